"""CURVE for ZeroMQ sockets: who is let in, and under which name (ZAP, ZeroMQ RFC 27).

A thread of its own answers, so that a handshake never waits for what the process is computing.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from qnode.security.keys import KeyTable
from qnode.security.refusals import Refusals
from qnode.security.types import KeyPair, Security

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
CLOSING_ENDPOINT = "inproc://doorkeeper"
HANDSHAKE_MS = 10_000
"""A peer that has not finished its handshake by then is cut off."""
MECHANISM_MISMATCH = 0x11000002
CRYPTOGRAPHIC = 0x11000001
"""Of libzmq's ZMQ_PROTOCOL_ERROR values."""
DONE = (zmq.Event.HANDSHAKE_SUCCEEDED, zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL)
"""How a handshake ends, if it ends; a peer of an older ZMTP is cut off before."""
EVENTS = sum((zmq.Event.ACCEPTED, *DONE))


def new_key_pair() -> KeyPair:
    """A fresh one, from the system's random numbers."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public=public.decode(), secret=secret.decode())


def secure_client(socket: zmq.Socket[bytes] | Any, *, keys: KeyPair, server_key: str) -> None:
    """Have a socket connect with CURVE, and only to the owner of ``server_key``."""
    socket.set(zmq.CURVE_SERVERKEY, server_key.encode())
    socket.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
    socket.set(zmq.CURVE_SECRETKEY, keys.secret.encode())


def user_of(frame: zmq.Frame) -> str:
    """The authenticated sender of a frame: the name that the table has for its key."""
    return str(frame.get("User-Id"))


class Doorkeeper:
    """Lets the peers of a context's sockets in, or turns them away and counts them."""

    def __init__(self, context: zmq.Context[Any], security: Security, refusals: Refusals) -> None:
        self._context = context
        self._keys = security.keys
        self._table = KeyTable(Path(security.table))
        self._refusals = refusals
        self._guarded: list[zmq.Socket[bytes]] = []
        self._monitors: list[zmq.Socket[bytes]] = []
        self._seen: Counter[int] = Counter()
        self._zap = context.socket(zmq.REP)
        self._zap.set(zmq.LINGER, 0)
        self._zap.bind(ZAP_ENDPOINT)
        self._closing = self._pair()
        self._closing.bind(CLOSING_ENDPOINT)
        self._thread = threading.Thread(target=self._serve, name="doorkeeper", daemon=True)

    def guard(self, socket: zmq.Socket[bytes], *, place: str) -> None:
        """Let only those in at ``socket`` whom the table knows there. Before it is bound and the thread started."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._keys.secret.encode())
        socket.set(zmq.ZAP_DOMAIN, place.encode())
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        endpoint = f"inproc://doorkeeper-{len(self._guarded)}"
        socket.monitor(endpoint, EVENTS)
        monitor = self._pair()
        monitor.connect(endpoint)
        self._guarded.append(socket)
        self._monitors.append(monitor)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more. Before the guarded sockets are closed."""
        for socket in self._guarded:
            socket.disable_monitor()
        bell = self._pair()
        bell.connect(CLOSING_ENDPOINT)
        bell.send(b"")
        self._thread.join()
        bell.close()

    def _pair(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.PAIR)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVHWM, 0)  # a full monitor would make the input of all sockets wait
        socket.set(zmq.SNDHWM, 0)
        return socket

    def _serve(self) -> None:
        poller = zmq.Poller()
        for socket in (self._zap, self._closing, *self._monitors):
            poller.register(socket, zmq.POLLIN)
        closing = False
        while not closing:
            for socket, _ in poller.poll():
                if socket is self._zap:
                    self._answer()
                elif socket is self._closing:
                    closing = True
                else:
                    self._watch(socket)
        done = sum(self._seen[event] for event in DONE)
        self._refusals.set("no_handshake", max(0, self._seen[zmq.Event.ACCEPTED] - done))
        for socket in (self._zap, self._closing, *self._monitors):
            socket.close()

    def _answer(self) -> None:
        """Decide about one peer that has proved to own a key."""
        request = self._zap.recv_multipart()
        version, request_id, domain, address = request[:4]
        mechanism, credentials = request[5], request[6:]
        name = None
        if (version, mechanism) == (b"1.0", b"CURVE"):
            place = domain.decode()
            name = self._table.name_of(credentials[0], place=place)
            if name is None:
                key = z85.encode(credentials[0]).decode()
                self._refusals.note(
                    "unknown_key", f"at {place} from {address.decode()}: the key {key} is not known there"
                )
        status = (b"400", b"unknown key", b"") if name is None else (b"200", b"OK", name.encode())
        self._zap.send_multipart((b"1.0", request_id, *status, b""))

    def _watch(self, monitor: zmq.Socket[bytes]) -> None:
        """Count one event of a socket's connections."""
        with contextlib.suppress(zmq.Again):
            event = parse_monitor_message(monitor.recv_multipart(zmq.NOBLOCK))
            kind = event["event"]
            self._seen[kind] += 1
            if kind == zmq.Event.HANDSHAKE_FAILED_PROTOCOL:
                mismatch = event["value"] == MECHANISM_MISMATCH
                self._refusals.note("plaintext" if mismatch else "cryptographic", f"at {event['endpoint'].decode()}")
