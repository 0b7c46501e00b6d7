// A client of a node in plain JavaScript: a ZeroMQ DEALER over a Unix socket (ZMTP 3.0, RFC 23), one MessagePack map a
// frame. Nothing but Node.js is needed. The messages themselves are in docs/wire.md.

import { createConnection } from "node:net";

const VERSION = 3;
const MORE = 1, LONG = 2, COMMAND = 4; // flags of a ZMTP frame

/** Open a session with the node whose socket is in QLOOM_SOCKET. */
export async function attach(endpoint = process.env.QLOOM_SOCKET, application = process.env.QLOOM_APPLICATION) {
  if (!endpoint?.startsWith("ipc://")) throw new Error(`expected the ipc:// endpoint of a node, found ${endpoint}`);
  const session = new Session(await connected(endpoint.slice("ipc://".length)));
  await session.ask("attach", { version: VERSION, application, process_id: process.pid });
  return session;
}

/** A node refused a request; `code` is one of the failure codes of the wire. */
export class RequestFailed extends Error {
  constructor({ code, reason }) {
    super(`${code}: ${reason}`);
    this.code = code;
  }
}

class Session {
  #dealer;
  #calls = 0;
  #waiting = new Map();

  constructor(dealer) {
    this.#dealer = dealer;
    dealer.heard = (frame) => this.#heard(frame);
    dealer.closed = (why) => this.#closed(why);
  }

  /** Send a request and wait for its answer; virtual time goes on meanwhile. Integers beyond 2^53 come as BigInt. */
  ask(type, fields = {}) {
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(call, { resolve, reject });
      this.#dealer.send(packed({ type, call, ...fields }));
    });
  }

  /** Measure one qubit; it is gone afterwards. */
  async measure(qubit, axis = "Z") {
    return (await this.ask("run", { steps: [{ type: "measure", qubit, axis }] })).bits[0];
  }

  /** End the session and the connection. */
  async detach() {
    await this.ask("detach");
    this.#dealer.end();
  }

  #heard(frame) {
    if (frame.length === 0) return; // the node looks whether this client is still there
    const answer = unpacked(frame);
    if (answer.call === null) return this.#closed(`${answer.code}: ${answer.reason}`);
    const { resolve, reject } = this.#waiting.get(answer.call);
    this.#waiting.delete(answer.call);
    if (answer.type === "failed") reject(new RequestFailed(answer));
    else resolve(answer);
  }

  #closed(why) {
    for (const { reject } of this.#waiting.values()) reject(new Error(`no answer will come: ${why}`));
    this.#waiting.clear();
  }
}

/** Connect and greet; resolves once the other side is ready. */
function connected(path) {
  return new Promise((resolve, reject) => {
    const stream = createConnection(path);
    const dealer = { heard: null, closed: reject, send: (body) => stream.write(framed(0, body)), end: () => stream.end() };
    let rest = Buffer.alloc(0), greeted = false;
    stream.on("error", (error) => dealer.closed(error.message));
    stream.on("close", () => dealer.closed("the node has closed the connection"));
    stream.write(greeting());
    stream.on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      if (!greeted) {
        if (rest.length < 64) return;
        if (rest[0] !== 0xff || rest[10] < 3) return reject(new Error("the other side does not speak ZMTP 3"));
        greeted = true;
        rest = rest.subarray(64);
        stream.write(framed(COMMAND, ready()));
      }
      for (let frame; (frame = nextFrame(rest)); ) {
        rest = rest.subarray(frame.end);
        if (!(frame.flags & COMMAND)) dealer.heard(frame.body);
        else if (frame.body.subarray(1, 6).toString() === "READY") resolve(dealer);
        else if (frame.body.subarray(1, 6).toString() === "ERROR") dealer.closed(frame.body.subarray(7).toString());
      }
    });
  });
}

function greeting() {
  const bytes = Buffer.alloc(64);
  bytes[0] = 0xff;
  bytes[9] = 0x7f;
  bytes[10] = 3; // version 3.0
  bytes.write("NULL", 12); // no security: the directory of the socket is private
  return bytes;
}

function ready() {
  const property = (name, value) => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(value.length);
    return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), size, Buffer.from(value)]);
  };
  return Buffer.concat([Buffer.from("\x05READY"), property("Socket-Type", "DEALER"), property("Identity", "")]);
}

function framed(flags, body) {
  if (body.length < 256) return Buffer.concat([Buffer.from([flags, body.length]), body]);
  const head = Buffer.alloc(9);
  head[0] = flags | LONG;
  head.writeBigUInt64BE(BigInt(body.length), 1);
  return Buffer.concat([head, body]);
}

function nextFrame(bytes) {
  if (bytes.length < 2) return null;
  const start = bytes[0] & LONG ? 9 : 2;
  if (bytes.length < start) return null;
  const end = start + (bytes[0] & LONG ? Number(bytes.readBigUInt64BE(1)) : bytes[1]);
  if (bytes.length < end) return null;
  if (bytes[0] & MORE) throw new Error("a message of several frames; a node sends one");
  return { flags: bytes[0], body: bytes.subarray(start, end), end };
}

/** MessagePack of null, booleans, numbers, strings, bytes, arrays and plain objects. */
export function packed(value) {
  if (value === null || value === undefined) return Buffer.from([0xc0]);
  if (typeof value === "boolean") return Buffer.from([value ? 0xc3 : 0xc2]);
  if (typeof value === "bigint" || Number.isInteger(value)) return withSize([0xd3], 8, (b) => b.writeBigInt64BE(BigInt(value), 1));
  if (typeof value === "number") return withSize([0xcb], 8, (b) => b.writeDoubleBE(value, 1));
  if (typeof value === "string") return Buffer.concat([length(0xdb, Buffer.byteLength(value)), Buffer.from(value)]);
  if (value instanceof Uint8Array) return Buffer.concat([length(0xc6, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([length(0xdd, value.length), ...value.map(packed)]);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Buffer.concat([length(0xdf, entries.length), ...entries.flat().map(packed)]);
}

function withSize(head, size, write) {
  const bytes = Buffer.alloc(1 + size);
  bytes[0] = head[0];
  write(bytes);
  return bytes;
}

function length(tag, count) {
  return withSize([tag], 4, (bytes) => bytes.writeUInt32BE(count, 1));
}

/** The value that a buffer of MessagePack holds. */
export function unpacked(bytes) {
  let at = 0;
  const take = (count) => bytes.subarray(at, (at += count));
  const unsigned = (size) => (size === 8 ? small(take(8).readBigUInt64BE()) : take(size).readUIntBE(0, size));
  const signed = (size) => (size === 8 ? small(take(8).readBigInt64BE()) : take(size).readIntBE(0, size));
  const text = (count) => take(count).toString();
  const array = (count) => Array.from({ length: count }, value);
  const map = (count) => Object.fromEntries(Array.from({ length: count }, () => [value(), value()]));
  function value() {
    const tag = take(1)[0];
    if (tag < 0x80) return tag;
    if (tag < 0x90) return map(tag & 0x0f);
    if (tag < 0xa0) return array(tag & 0x0f);
    if (tag < 0xc0) return text(tag & 0x1f);
    if (tag >= 0xe0) return tag - 256;
    switch (tag) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return take(unsigned(1 << (tag - 0xc4)));
      case 0xca: return take(4).readFloatBE();
      case 0xcb: return take(8).readDoubleBE();
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return unsigned(1 << (tag - 0xcc));
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return signed(1 << (tag - 0xd0));
      case 0xd9: case 0xda: case 0xdb: return text(unsigned(1 << (tag - 0xd9)));
      case 0xdc: case 0xdd: return array(unsigned(2 << (tag - 0xdc)));
      case 0xde: case 0xdf: return map(unsigned(2 << (tag - 0xde)));
      default: throw new Error(`MessagePack byte ${tag.toString(16)} is not one that a node sends`);
    }
  }
  return value();
}

function small(integer) {
  return Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
}
