"""A siege: mutated frames at the sockets of a testbed that is doing honest work, from those whom it knows and others.

`python tests/process/hostile.py --frames 1000000` prints one JSON object; exit 0 iff the testbed stood it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import random
import runpy
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgpack
import msgspec
import zmq
from program import World, wait_until

from orchestrator import security
from orchestrator.run_directory import TestbedRecord
from qnode.security.keys import read_credentials
from qnode.wire import application
from qnode.wire.codec import WireError
from qnode.wire.version import VERSION

MEBIBYTE = 1 << 20
Mode = Literal["ipc", "tcp", "attached"]
SHARES: dict[Mode, float] = {"ipc": 0.5, "tcp": 0.3, "attached": 0.2}
"""Of all frames."""
LEAST_RATE = 0.5
"""Of honest work, as a share of what it is in peace."""
MOST_GROWTH_MEBIBYTES = 256
"""Of any process: sixteen unread frames of the largest size."""
LONGEST_S = 3600.0
WAIT: bytes = msgpack.packb({"type": "wait", "seen": 2**40})
FRAMES_A_CONNECTION = 400
"""More than a socket is listened to: the rest is thrown away, and the next connection is a fresh stranger."""
LARGE_ONE_IN = 5000
LOOK_EVERY_S = 0.02
PROGRAM = """\
import sys
from qnode.sdk import attach

with attach() as session:
    ones = 0
    for _ in range(int(sys.argv[2])):
        pair = session.request_pair(sys.argv[1])
        ones += session.measure(pair)
    session.report(ones=float(ones))
"""


@functools.cache
def real_frames() -> tuple[bytes, ...]:
    """One of every message of every protocol."""
    golden = runpy.run_path(str(Path(__file__).parents[1] / "wire" / "test_golden.py"))
    return tuple(golden["CODECS"][protocol].encode(message) for protocol, message in golden["EXAMPLES"])


class Forge:
    """Frames that are nearly right: real ones, bent."""

    def __init__(self, numbers: random.Random) -> None:
        self._numbers = numbers
        self.real = real_frames()

    def frames(self) -> tuple[bytes, ...]:
        """One message: mostly a single frame."""
        numbers = self._numbers
        kind = numbers.random()
        if kind < 0.05:
            return (self.frame(),) * numbers.choice((0, 2, 3, 20))
        return (self.frame(),)

    def frame(self) -> bytes:
        """One frame."""
        numbers = self._numbers
        kind = numbers.random()
        if kind < 0.5:
            return self._bent()
        frame = numbers.choice(self.real)
        if kind < 0.6:
            return frame
        if kind < 0.7:
            return frame[: numbers.randrange(len(frame))]
        if kind < 0.8:
            flipped = bytearray(frame)
            for _ in range(numbers.randint(1, 8)):
                flipped[numbers.randrange(len(flipped))] ^= 1 << numbers.randrange(8)
            return bytes(flipped)
        if kind < 0.87:
            other = numbers.choice(self.real)
            return frame[: numbers.randrange(len(frame))] + other[numbers.randrange(len(other)) :]
        if kind < 0.93:
            return self._bomb(frame)
        if numbers.randrange(LARGE_ONE_IN) == 0:
            return numbers.choice((bytes(16 * MEBIBYTE), b"\x91" * (4 * MEBIBYTE), b"\xdd" + bytes(MEBIBYTE)))
        return numbers.randbytes(numbers.randint(0, 200))

    def _bent(self) -> bytes:
        """A real message with one to three things in it changed."""
        numbers = self._numbers
        message = msgpack.unpackb(numbers.choice(self.real), strict_map_key=False)
        for _ in range(numbers.randint(1, 3)):
            message = self._bend(message)
        frame: bytes = msgpack.packb(message)
        return frame

    def _bend(self, value: Any) -> Any:
        numbers = self._numbers
        if isinstance(value, dict) and value and numbers.random() < 0.8:
            key = numbers.choice(list(value))
            kind = numbers.random()
            bent = dict(value)
            if kind < 0.1:
                del bent[key]
            elif kind < 0.2:
                bent[numbers.choice(("unknown", "call", "type", "session", "owner", 7, ""))] = bent.pop(key)
            elif kind < 0.3:
                other = msgpack.unpackb(numbers.choice(self.real), strict_map_key=False)
                bent.update(dict(numbers.sample(sorted(other.items(), key=str), min(2, len(other)))))
            else:
                bent[key] = self._bend(bent[key])
            return bent
        if isinstance(value, list) and value and numbers.random() < 0.7:
            bent_list = list(value)
            place = numbers.randrange(len(bent_list))
            if numbers.random() < 0.3:
                return bent_list * numbers.choice((0, 2, 50))
            bent_list[place] = self._bend(bent_list[place])
            return bent_list
        return self._value()

    def _value(self) -> Any:
        numbers = self._numbers
        return numbers.choice(
            (
                None,
                True,
                -1,
                0,
                1,
                1 << 31,
                (1 << 63) - 1,
                -(1 << 63),
                (1 << 64) - 1,
                float("nan"),
                float("inf"),
                -0.0,
                1e308,
                "",
                "x" * 3000,
                "alice",
                "bob",
                "alice#0",
                "bob#0",
                "alice-bob/0",
                "alice:0",
                "\x00",
                "é" * 70,
                b"",
                bytes(3000),
                [],
                [[]] * 20,
                {},
                {"type": "discard", "qubit": "alice#0"},
                VERSION + 1,
                numbers.choice(
                    ["attach", "run", "send", "detach", "hello", "block", "grant", "halt", "census", "wait", "resumed"]
                ),
                msgpack.ExtType(numbers.randrange(128), b"ext"),
                msgpack.Timestamp(1),
            )
        )

    def _bomb(self, frame: bytes) -> bytes:
        """Few bytes that claim to be many, or to be deep."""
        numbers = self._numbers
        claim = numbers.choice((b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9")) + struct.pack(
            ">I", numbers.choice((0xFFFFFFFF, 1 << 31, 1 << 24, 200_000))
        )
        deep = numbers.choice((b"\x91", b"\x81\xa1a")) * numbers.choice((100, 2000, 20_000))
        end = numbers.choice((claim, deep, deep + claim))
        return numbers.choice((end, frame[: numbers.randrange(len(frame))] + end, frame + end))


def opens_a_session(frame: bytes) -> bool:
    """Whether a frame is a sound request for a session, which is no attack but a change of what is going on."""
    try:
        return isinstance(application.requests.decode(frame), application.Attach)
    except WireError:
        return False


@dataclass(frozen=True, slots=True)
class Target:
    """A socket and how it is attacked."""

    name: str
    endpoint: str
    keys: tuple[str, str, str] | None = None
    """Public and secret of its own, public of whom it speaks to."""
    identities: tuple[bytes, ...] = ()
    """Under which it connects, in turn, with a number for ``*``; else under none in particular."""
    attaches_as: str = ""
    """First opens a session, and lets virtual time pass after each frame."""
    shut: bool = False
    """Nobody opens there: frames are offered, and never leave."""
    spares: Callable[[bytes], bool] = lambda _: False
    """Frames that it does not send."""
    raw: bool = False
    """Bytes instead of messages: into a TCP connection."""


@dataclass(slots=True)
class Attack:
    """Frames at one target, from a thread of its own."""

    target: Target
    frames: int
    seed: int
    sent: int = 0
    connections: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    failure: BaseException | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Send them all, unless stopped."""
        try:
            if self.target.raw:
                self._run_raw()
            else:
                self._run()
        except BaseException as error:  # noqa: BLE001 - a thread's end; whoever joins it raises it
            self.failure = error

    def _run(self) -> None:
        forge = Forge(random.Random(f"{self.seed} {self.target.name}"))
        context = zmq.Context()
        while self.sent < self.frames and not self.stop.is_set():
            dealer = context.socket(zmq.DEALER)
            dealer.set(zmq.LINGER, 2000)
            dealer.set(zmq.SNDHWM, 50)
            dealer.set(zmq.SNDTIMEO, 200)
            dealer.set(zmq.RCVHWM, 50)
            if self.target.identities:
                identity = self.target.identities[self.connections % len(self.target.identities)]
                dealer.setsockopt(zmq.ROUTING_ID, identity.replace(b"*", str(self.connections).encode()))
            if self.target.keys is not None:
                public, secret, server = (key.encode() for key in self.target.keys)
                dealer.curve_publickey, dealer.curve_secretkey, dealer.curve_serverkey = public, secret, server
            dealer.connect(self.target.endpoint)
            self.connections += 1
            reads = self.connections % 2 == 0
            if self.target.attaches_as:
                self._attach(dealer)
            refused = 0
            for _ in range(FRAMES_A_CONNECTION):
                frames = forge.frames()
                if not frames or any(map(self.target.spares, frames)):
                    continue
                try:
                    dealer.send_multipart(frames)
                    if self.target.attaches_as:
                        dealer.send(WAIT)
                except zmq.Again:
                    refused += 1
                    if refused > 3 or self.stop.is_set():
                        break
                    continue
                self.sent += 1
                if self.sent >= self.frames:
                    break
                if reads and self.sent % 16 == 0:
                    self._read(dealer)
            if self.target.attaches_as:
                self._detach(dealer)
            dealer.close()
        context.term()

    def _attach(self, dealer: Any) -> None:
        message = {"type": "attach", "call": 1, "version": VERSION, "application": self.target.attaches_as}
        dealer.send(msgpack.packb({**message, "process_id": os.getpid()}))
        if dealer.poll(10_000):
            self._read(dealer)

    def _detach(self, dealer: Any) -> None:
        with contextlib.suppress(zmq.Again):  # the node is busy with others; the session ends with this process
            dealer.send(msgpack.packb({"type": "detach", "call": 2**40}))
        deadline_s = time.monotonic() + 2.0
        while time.monotonic() < deadline_s and dealer.poll(100):
            self._read(dealer)

    def _read(self, dealer: Any) -> None:
        while dealer.poll(0):
            frame = dealer.recv()
            answer = msgpack.unpackb(frame) if frame else {}
            self.answers[str(answer.get("code") or answer.get("type") or "nothing")] += 1

    def _run_raw(self) -> None:
        """What is no ZeroMQ at all, or half of it: greetings, commands, and rubbish."""
        numbers = random.Random(f"{self.seed} {self.target.name}")
        forge = Forge(numbers)
        host, port = self.target.endpoint.removeprefix("tcp://").split(":")
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00"
        while self.sent < self.frames and not self.stop.is_set():
            self.connections += 1
            try:
                with socket.create_connection((host, int(port)), timeout=5) as plain:
                    start = numbers.choice((b"", greeting[: numbers.randint(0, 12)], greeting))
                    if start == greeting:
                        mechanism = numbers.choice((b"NULL", b"CURVE", b"PLAIN", numbers.randbytes(20)))
                        start += mechanism.ljust(20, b"\0")[:20] + bytes(32)
                    plain.sendall(start)
                    for _ in range(10):
                        body = (
                            numbers.choice((b"\x05HELLO", b"\x08INITIATE", b"\x07MESSAGE", b""))
                            + forge.frame()[:60_000]
                        )
                        flags = numbers.choice((4, 6, 0, 1, 2, 255))
                        size = (
                            len(body) if numbers.random() < 0.7 else numbers.choice((0, 255, 2**32, 2**63, 2**64 - 1))
                        )
                        long = flags & 2 or size > 255
                        head = bytes([flags]) + (struct.pack(">Q", size) if long else bytes([size]))
                        self.sent += 1
                        plain.sendall(head + body)
            except OSError:
                continue


def resident_bytes(process_id: int) -> int:
    """What a process holds in memory."""
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Memory:
    """The memory of processes, watched from a thread."""

    processes: dict[str, int]
    before: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until stopped."""
        self.before = {name: resident_bytes(each) for name, each in self.processes.items()}
        self.most = dict(self.before)
        while not self.stop.wait(LOOK_EVERY_S):
            for name, each in self.processes.items():
                try:
                    self.most[name] = max(self.most[name], resident_bytes(each))
                except (OSError, IndexError):
                    return  # the run is over

    def growth_mebibytes(self) -> dict[str, float]:
        """By how much each grew at most."""
        return {name: (self.most[name] - self.before[name]) / MEBIBYTE for name in self.before}


def targets(socket_directory: Path, mode: Mode) -> Iterator[Target]:
    """Every way to speak to a testbed, as a stranger and as one who was let in."""
    node, hub = f"ipc://{socket_directory}/node-alice", f"ipc://{socket_directory}/fabric"
    if mode == "ipc":
        yield Target("node, stranger", node, spares=opens_a_session)
        yield Target("fabric, stranger", hub, identities=(b"mallory*", b"alice+*", b"\xff\x00*"))
        yield Target("fabric, as a node that is there", hub, identities=(b"alice", b"bob"), shut=True)
        yield Target("observer", f"ipc://{socket_directory}/observer")
        return
    if mode == "attached":
        yield Target("node, application", node, attaches_as="mallory", spares=opens_a_session)
        yield Target("node, another application", node, attaches_as="eve", spares=opens_a_session)
        return
    record = msgspec.json.decode((socket_directory / "testbed.json").read_bytes(), type=TestbedRecord)
    doors = record.doors

    def known(place: str, name: str, at: str) -> tuple[str, str, str]:
        path = security.enrol(socket_directory, doors[place], place=place, name=name, same_machine=True)
        keys = read_credentials(path).keys
        return keys.public, keys.secret, doors[at].key

    alice = doors["node-alice"]
    public, secret = (key.decode() for key in zmq.curve_keypair())
    for place in ("node-alice", "fabric", "control", "observer"):
        yield Target(f"{place}, raw", doors[place].endpoint, raw=True)
    yield Target("node, no keys", alice.endpoint, shut=True)
    yield Target("node, unknown key", alice.endpoint, (public, secret, alice.key), shut=True)
    yield Target("node, key for elsewhere", alice.endpoint, known("node-bob", "eve", "node-alice"), shut=True)
    yield Target(
        "node, key of an application", alice.endpoint, known("node-alice", "eve", "node-alice"), spares=opens_a_session
    )
    names = (b"alice", b"carol*", b"bob", b"alice+*", b"bob+*")
    yield Target("fabric, a node's key", doors["fabric"].endpoint, known("fabric", "bob", "fabric"), identities=names)
    yield Target("observer, with a key", doors["observer"].endpoint, known("observer", "eve", "observer"))


@dataclass(frozen=True, slots=True)
class Siege:
    """A run under attack."""

    sent: dict[str, int]
    """Frames by target."""
    offered: dict[str, int]
    """Frames that nobody let in."""
    answers: dict[str, int]
    took_s: float
    report: dict[str, Any]
    growth_mebibytes: dict[str, float]

    @property
    def frames(self) -> int:
        """That arrived."""
        return sum(self.sent.values())


def scenario(world: World, mode: Mode, *, pairs: int) -> Path:
    """Two honest programs on a link."""
    (world.directory / "honest.py").write_text(PROGRAM)
    path = world.directory / f"{mode}.json"
    tree = {
        "version": 1,
        "name": "siege",
        "seed": 5,
        "placement": {"cores": "one"},
        "sockets": {"transport": "tcp" if mode == "tcp" else "ipc"},
        "nodes": {"alice": {}, "bob": {}},
        "links": {"ab": {"ends": ["alice", "bob"], "length_km": 1}},
        "applications": [
            {"name": name, "node": node, "command": ["python", "honest.py", remote, str(pairs)]}
            for name, node, remote in (("left", "alice", "bob"), ("right", "bob", "alice"))
        ],
    }
    path.write_text(json.dumps(tree))
    return path


def peace(world: World, mode: Mode, *, pairs: int) -> dict[str, Any]:
    """The report of the honest programs' run when nobody disturbs it."""
    return world.run(scenario(world, mode, pairs=pairs), "--out", f"peace-{mode}")


def besiege(world: World, mode: Mode, *, frames: int, pairs: int, seed: int = 1) -> Siege:
    """Run the honest programs under attack, with so many frames at most and for as long as they run."""
    running = world.start("run", scenario(world, mode, pairs=pairs), "--json", "--out", f"war-{mode}")
    real_frames()
    (directory,) = wait_until(world.socket_directories, "the directory of sockets")
    wait_until((directory / "testbed.json").exists, "every node to be up")
    names = {"fabric": "qloom: fabric", "node alice": "qloom: node alice", "node bob": "qloom: node bob"}
    memory = Memory({name: wait_until(functools.partial(world.process, title), name) for name, title in names.items()})
    goals = list(targets(directory, mode))
    open_goals = sum(not goal.shut for goal in goals)
    attacks = [Attack(goal, -(-frames // open_goals), seed) for goal in goals]
    threads = [threading.Thread(target=each.run, name=each.target.name) for each in attacks]
    threads.append(threading.Thread(target=memory.run, name="memory"))
    began = time.monotonic()
    for thread in threads:
        thread.start()
    ended = world.ended(running, deadline_s=LONGEST_S)
    took_s = time.monotonic() - began
    for each in (*attacks, memory):
        each.stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), f"{thread.name} hangs"
    failures = [each.failure for each in attacks if each.failure is not None]
    assert not failures, failures
    assert ended.code == 0, ended
    answers: Counter[str] = Counter()
    for each in attacks:
        answers.update(each.answers)
    sent = {each.target.name: each.sent for each in attacks if not each.target.shut}
    offered = {each.target.name: each.sent for each in attacks if each.target.shut}
    return Siege(sent, offered, dict(answers), took_s, ended.report, memory.growth_mebibytes())


def main() -> int:
    """Besiege in every way, until so many frames were sent, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5000, help="honest work: pairs made and measured at both ends")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = figures(frames=arguments.frames, pairs=arguments.pairs, seed=arguments.seed)
    print(json.dumps(found, indent=2))
    return 0 if found["held"] else 1


def figures(*, frames: int, pairs: int, seed: int) -> dict[str, Any]:
    """Siege after siege, each with its share of the frames, and what they show."""
    found: dict[str, Any] = {}
    for mode, share in SHARES.items():
        with tempfile.TemporaryDirectory(prefix="qloom-siege-") as directory:
            world = World(Path(directory).resolve())
            try:
                sieges: list[Siege] = []
                calm: list[dict[str, Any]] = []
                while sum(siege.frames for siege in sieges) < share * frames:
                    left = round(share * frames) - sum(siege.frames for siege in sieges)
                    calm.append(peace(world, mode, pairs=pairs))
                    shutil.rmtree(world.directory / f"peace-{mode}")
                    sieges.append(besiege(world, mode, frames=left, pairs=pairs, seed=seed + len(sieges)))
                    shutil.rmtree(world.directory / f"war-{mode}")
                    print(f"{mode}: {left - sieges[-1].frames} frames to go", file=sys.stderr, flush=True)
            finally:
                world.destroy()
        refused: Counter[str] = Counter()
        for siege in sieges:
            for counts in siege.report["refused"].values():
                refused.update(counts)
        calm_s, wall_s = (sum(each["wall_s"] for each in runs) for runs in (calm, [siege.report for siege in sieges]))
        found[mode] = {
            "sieges": len(sieges),
            "frames": sum(siege.frames for siege in sieges),
            "frames_by_target": dict(sum((Counter(siege.sent) for siege in sieges), Counter())),
            "offered_where_nobody_opens": sum(sum(siege.offered.values()) for siege in sieges),
            "frames_per_s": sum(siege.frames for siege in sieges) / sum(siege.took_s for siege in sieges),
            "refused": dict(refused),
            "rate": calm_s / wall_s,
            "growth_mebibytes": {
                name: max(siege.growth_mebibytes[name] for siege in sieges) for name in sieges[0].growth_mebibytes
            },
            "same": all(same(peaceful, siege.report, mode) for peaceful, siege in zip(calm, sieges, strict=True)),
        }
    held = all(
        each["same"] and each["rate"] >= LEAST_RATE
        and max(each["growth_mebibytes"].values()) <= MOST_GROWTH_MEBIBYTES
        for each in found.values()
    )  # fmt: skip
    return {"held": held, "seed": seed, **found}


def same(undisturbed: dict[str, Any], disturbed: dict[str, Any], mode: Mode) -> bool:
    """Whether the honest programs saw what they see in peace.

    Who attaches, even if only to be hostile, shares links with the others: there, that both ends read the same.
    """
    ends = disturbed["results"]["left"]["ones"] == disturbed["results"]["right"]["ones"]
    return bool(disturbed["ok"] and ends and (mode == "attached" or undisturbed["digest"] == disturbed["digest"]))


if __name__ == "__main__":
    sys.exit(main())
