"""The sockets of a node: the only place where a node imports ZeroMQ."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import zmq

from qnode.config import NodeConfiguration
from qnode.outside import CLIENTS, FABRIC
from qnode.security.doorkeeper import Doorkeeper, secure_client, user_of
from qnode.security.refusals import Refusals
from qnode.wire import application, fabric
from qnode.wire.codec import MAXIMUM_FRAME_BYTES

LARGEST_ZMQ_MESSAGE_BYTES = MAXIMUM_FRAME_BYTES + 64 * 1024
"""Beyond this a client is cut off; up to it, what is too large gets an answer that says so."""
MOST_UNREAD_FRAMES = 16
"""Of one connection, in memory; further ones wait at their sender."""
MOST_UNSENT_FRAMES = 8192
"""Answers to one client, more than its open calls and requests ahead can have; further ones are given up."""
LARGE_BYTES = 64 * 1024
"""Answers from this size are watched until they have left."""
PATIENCE_MS = 1000
"""How long an answer waits for a client that does not read."""
LINGER_MS = 500
"""How long a closing socket may go on delivering answers."""
MOMENT_MS = 10
"""While virtual time waits for applications, only they are listened to for this long at a time."""

PRESENCE_INTERVAL_S = 1.0
"""How often to look whether clients on other machines are still connected."""


class Transport:
    """A DEALER to the fabric, a ROUTER for applications, and one process descriptor a client."""

    def __init__(self, configuration: NodeConfiguration, *, listener: int | None = None) -> None:
        """``listener``: the descriptor of a TCP socket that listens already, at the application endpoint."""
        self.refusals = Refusals(Path(configuration.refused_path) if configuration.refused_path else None)
        self._context = zmq.Context()
        security = configuration.security
        self._doorkeeper = Doorkeeper(self._context, security, self.refusals) if security is not None else None
        self._fabric = self._context.socket(zmq.DEALER)
        self._fabric.set(zmq.LINGER, LINGER_MS)
        self._fabric.set(zmq.SNDHWM, 0)
        self._fabric.set(zmq.RCVHWM, 0)
        if security is not None:
            secure_client(self._fabric, keys=security.keys, server_key=configuration.fabric_key)
        self._fabric.setsockopt(zmq.ROUTING_ID, configuration.label.encode())
        self._fabric.connect(configuration.fabric_endpoint)
        self._clients = self._context.socket(zmq.ROUTER)
        self._clients.set(zmq.LINGER, LINGER_MS)
        self._clients.set(zmq.SNDHWM, MOST_UNSENT_FRAMES)
        self._clients.set(zmq.RCVHWM, MOST_UNREAD_FRAMES)
        self._clients.set(zmq.ROUTER_MANDATORY, 1)
        self._clients.set(zmq.SNDTIMEO, PATIENCE_MS)
        self._clients.set(zmq.MAXMSGSIZE, LARGEST_ZMQ_MESSAGE_BYTES)
        self._clients.set(zmq.RCVTIMEO, MOMENT_MS)
        if self._doorkeeper is not None:
            self._doorkeeper.guard(self._clients, place=f"node-{configuration.name}")
            self._doorkeeper.start()
        if listener is not None:
            self._clients.set(zmq.USE_FD, listener)
        self._clients.bind(configuration.application_endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._fabric, zmq.POLLIN)
        self._poller.register(self._clients, zmq.POLLIN)
        self._processes: dict[int, bytes] = {}
        self._leaving: dict[bytes, list[tuple[int, zmq.MessageTracker]]] = {}
        """Large answers that had not left when last looked at, with their sizes."""
        self._looked_at_s = 0.0

    def wait(self, timeout_ms: int | None = None, *, flooded: bool = False) -> Iterator[tuple[str, bytes]]:
        """Wait until something is there; yield its source, and for a client whose process ended its identity.

        Without a timeout the wait has no deadline of its own: the fabric's watchdog probes a node that does not block.

        Args:
            flooded: clients send rubbish; listen to the fabric alone for a moment first.
        """
        if flooded and timeout_ms != 0 and self._fabric.poll(MOMENT_MS):
            yield FABRIC, b""
            return
        for source, _ in self._poller.poll(timeout_ms):
            if source is self._fabric:
                yield FABRIC, b""
            elif source is self._clients:
                yield CLIENTS, b""
            else:
                yield "", self.unwatch(source)

    def to_fabric(self, message: fabric.ToFabric) -> None:
        """Send a frame to the fabric.

        Raises:
            OverflowError: it is larger than the fabric takes: a fault of this node, whose limits are to prevent it.
        """
        frame = fabric.to_fabric.encode(message)
        if len(frame) > fabric.MAXIMUM_BLOCK_BYTES:
            raise OverflowError(f"a frame of {len(frame)} bytes, the fabric takes {fabric.MAXIMUM_BLOCK_BYTES}")
        self._fabric.send(frame)

    def from_fabric(self) -> fabric.ToNode:
        """The next frame of the fabric, which must be there."""
        return fabric.to_node.decode(self._fabric.recv(zmq.NOBLOCK))

    def to_client(self, identity: bytes, message: application.Answer, *, most_unread: int | None = None) -> bool:
        """Answer a client; returns whether it is there and takes it.

        Args:
            most_unread: wait a while for the client to read, if need be, and let so many bytes of large answers be
                under way to it. None: do not wait.
        """
        frame = application.answers.encode(message)
        large = len(frame) >= LARGE_BYTES
        if large and most_unread is not None and not self._has_room(identity, len(frame), most_unread):
            return False
        try:
            self._clients.send(identity, zmq.SNDMORE if most_unread is not None else zmq.SNDMORE | zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                raise
            return False
        if large:
            tracker = self._clients.send(frame, copy=False, track=True)
            self._leaving.setdefault(identity, []).append((len(frame), tracker))
        else:
            self._clients.send(frame)
        return True

    def _has_room(self, identity: bytes, size: int, most_unread: int) -> bool:
        """Whether a large answer may be sent, after waiting a while for earlier ones to leave."""
        deadline_s = time.monotonic() + PATIENCE_MS / 1000.0
        while leaving := self._leaving.get(identity):
            self._leaving[identity] = leaving = [each for each in leaving if not each[1].done]
            if not leaving:
                del self._leaving[identity]
                break
            if sum(each[0] for each in leaving) + size <= most_unread:
                break
            with contextlib.suppress(zmq.NotDone):
                leaving[0][1].wait(max(0.0, deadline_s - time.monotonic()))
            if time.monotonic() >= deadline_s:
                return False
        return True

    def forget(self, identity: bytes) -> None:
        """A client has left."""
        self._leaving.pop(identity, None)

    def gone(self, identities: Iterable[bytes]) -> tuple[bytes, ...]:
        """Those of some clients that are no longer connected, looked at once in a while only."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < PRESENCE_INTERVAL_S:
            return ()
        self._looked_at_s = now_s
        return tuple(identity for identity in identities if not self._reaches(identity))

    def is_late(self, identity: bytes, since_s: float, limit_s: float) -> bool:
        """Whether a client has had more than ``limit_s`` since the monotonic clock showed ``since_s``."""
        return time.monotonic() - since_s > limit_s

    def _reaches(self, identity: bytes) -> bool:
        """Whether a client is still connected: an empty frame, which clients pass over, can be sent to it."""
        try:
            self._clients.send(identity, zmq.SNDMORE | zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return bool(error.errno != zmq.EHOSTUNREACH)
        self._clients.send(b"")
        return True

    def from_client(self) -> tuple[bytes, str, list[bytes]] | None:
        """The next client message: its socket's identity, its authenticated name and its frames.

        None if none came within a moment; the name is empty where sockets are not guarded by keys.
        """
        try:
            if self._doorkeeper is None:
                identity, *frames = self._clients.recv_multipart()
                return identity, "", frames
            first, *rest = self._clients.recv_multipart(copy=False)
        except zmq.Again:
            return None
        return first.bytes, user_of(first), [frame.bytes for frame in rest]

    def watch(self, process_id: int, identity: bytes) -> int:
        """Have ``wait`` tell when a client's process ends; returns the descriptor.

        Raises:
            OSError: there is no such process here.
        """
        descriptor = os.pidfd_open(process_id)
        self._processes[descriptor] = identity
        self._poller.register(descriptor, zmq.POLLIN)
        return descriptor

    def unwatch(self, descriptor: int) -> bytes:
        """Stop watching a process; returns the identity of its client."""
        self._poller.unregister(descriptor)
        os.close(descriptor)
        return self._processes.pop(descriptor)

    def close(self) -> None:
        """Deliver what can be delivered within the linger time and close."""
        if self._doorkeeper is not None:
            self._doorkeeper.close()
        self.refusals.close()
        with contextlib.suppress(zmq.ZMQError):
            self._clients.close()
            self._fabric.close()
            self._context.term()
