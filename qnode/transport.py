"""The sockets of a node: the only place where a node imports ZeroMQ."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import zmq

from qnode.config import NodeConfiguration
from qnode.security.doorkeeper import Doorkeeper, secure_client, user_of
from qnode.security.refusals import Refusals
from qnode.wire import application, fabric

LARGEST_ZMQ_MESSAGE_BYTES = 64 * 1024 * 1024
"""Beyond this a client is cut off; up to it, what is too large gets an answer that says so."""
LINGER_MS = 500
"""How long a closing socket may go on delivering answers."""
MOMENT_MS = 10
"""While virtual time waits for applications, only they are listened to for this long at a time."""

FABRIC = "fabric"
CLIENTS = "clients"


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
        self._clients.set(zmq.SNDHWM, 0)
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

    def wait(self, timeout_ms: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Wait until something is there; yield its source, and for a client whose process ended its identity.

        Without a timeout the wait has no deadline of its own: the fabric's watchdog probes a node that does not block.
        """
        for source, _ in self._poller.poll(timeout_ms):
            if source is self._fabric:
                yield FABRIC, b""
            elif source is self._clients:
                yield CLIENTS, b""
            else:
                yield "", self.unwatch(source)

    def to_fabric(self, message: fabric.ToFabric) -> None:
        """Send a frame to the fabric."""
        self._fabric.send(fabric.to_fabric.encode(message))

    def from_fabric(self) -> fabric.ToNode:
        """The next frame of the fabric, which must be there."""
        return fabric.to_node.decode(self._fabric.recv(zmq.NOBLOCK))

    def to_client(self, identity: bytes, message: application.Answer) -> None:
        """Answer a client; one that is gone is no error."""
        self._clients.send(identity, zmq.SNDMORE)
        self._clients.send(application.answers.encode(message))

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
