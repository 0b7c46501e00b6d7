"""The fabric's sockets: to the nodes, to the supervisor and to observers, with what is turned away at them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import zmq

from orchestrator import control
from orchestrator.fabric.configuration import FabricConfiguration
from qnode.security.doorkeeper import Doorkeeper, user_of
from qnode.security.refusals import Kind, Refusals, RefusedSockets
from qnode.wire import fabric
from qnode.wire.codec import WireError

LINGER_MS = 500
MOST_UNREAD_FRAMES = 16
"""Of one peer, in memory; further ones wait at their sender."""
MOST_UNSENT_FRAMES = 1024
"""To one peer: to a node, many more than it can owe; a stranger loses what it does not read."""
MOST_UNREAD_VIEWS = 16
"""By one observer; it loses further ones."""
LARGEST_QUESTION_BYTES = 1 << 20
"""Of an observer."""
MOMENT_MS = 10
"""While nodes hold grants, only they are listened to for this long at a time: a wait on one socket is the fastest."""
LONGEST_WAIT_S = 86_400.0
"""So that no number is too large for the machine; a paced run may wait for years."""


@dataclass(frozen=True, slots=True)
class FromNode:
    """What came from a node, or under its name."""

    identity: bytes
    """Of the socket that sent it; a node's is its label."""
    name: str
    """The node's, by the identity."""
    message: fabric.ToFabric
    frame: bytes


class Sockets:
    """All that is bound."""

    def __init__(self, configuration: FabricConfiguration, listeners: Mapping[str, int]) -> None:
        """``listeners``: by place, descriptors of TCP sockets that listen already at the endpoints."""
        self._context = zmq.Context()
        self._refusals = Refusals(Path(configuration.refused_path) if configuration.refused_path else None)
        security = configuration.security
        self._doorkeeper = Doorkeeper(self._context, security, self._refusals) if security is not None else None
        self._refused = RefusedSockets()
        self._nodes = self._socket(zmq.ROUTER, "fabric")
        self._nodes.set(zmq.MAXMSGSIZE, fabric.MAXIMUM_BLOCK_BYTES)
        self._nodes.set(zmq.RCVTIMEO, MOMENT_MS)
        self._control = self._socket(zmq.DEALER, "control")
        self._observer = self._socket(zmq.ROUTER, "observer")
        self._observer.set(zmq.MAXMSGSIZE, LARGEST_QUESTION_BYTES)
        self._observer.set(zmq.SNDHWM, MOST_UNREAD_VIEWS)
        if self._doorkeeper is not None:
            self._doorkeeper.start()
        self._poller = zmq.Poller()
        for socket, place, endpoint in (
            (self._nodes, "fabric", configuration.nodes_endpoint),
            (self._control, "control", configuration.control_endpoint),
            (self._observer, "observer", configuration.observer_endpoint),
        ):
            if place in listeners:
                socket.set(zmq.USE_FD, listeners[place])
            socket.bind(endpoint)
            self._poller.register(socket, zmq.POLLIN)

    def _socket(self, kind: int, place: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, LINGER_MS)
        socket.set(zmq.SNDHWM, 0 if kind == zmq.DEALER else MOST_UNSENT_FRAMES)
        socket.set(zmq.RCVHWM, MOST_UNREAD_FRAMES)
        if self._doorkeeper is not None:
            self._doorkeeper.guard(socket, place=place)
        return socket

    def wait(self, timeout_s: float | None) -> tuple[bool, bool, bool]:
        """Wait at most so long (None: for ever) until somebody speaks: a node, the supervisor, an observer.

        A wait of more than ``LONGEST_WAIT_S`` ends after that.
        """
        if timeout_s is None:
            timeout_ms = None
        elif timeout_s < 0.001:
            timeout_ms = 0
        else:
            timeout_ms = int(min(timeout_s, LONGEST_WAIT_S) * 1000)
        ready = {socket for socket, _ in self._poller.poll(timeout_ms)}
        if not ready and timeout_s is not None and 0 < timeout_s < 0.001:
            time.sleep(timeout_s)  # the rest of a wait for the wall clock, finer than a poll can be
        return self._nodes in ready, self._control in ready, self._observer in ready

    def from_nodes(self) -> FromNode | None:
        """The next frame of a node; None if it was none, and was turned away.

        Raises:
            zmq.Again: none came within a moment.
        """
        frames, user = self._received_from_nodes()
        identity = frames[0]
        if self._refused.are_muted(identity):
            self._refusals.note("limit", "a socket that is not listened to any more")
            self._refused.heard(rubbish=True)
            return None
        name = identity.decode(errors="replace").partition("+")[0]
        if user not in (None, name):
            self.complain(identity, "impostor", f"frame from {name!r} refused: its key is that of {user!r}")
            return None
        try:
            if len(frames) != 2:
                raise WireError(f"a message of {len(frames) - 1} frames, expected one")
            return FromNode(identity, name, fabric.to_fabric.decode(frames[1]), frames[1])
        except WireError as error:
            self.complain(identity, "malformed", f"frame from {name!r} refused: {error}")
            return None

    def _received_from_nodes(self) -> tuple[list[bytes], str | None]:
        """The frames of the next message, and where keys guard the socket, whose key it was sent with."""
        if self._doorkeeper is None:
            return self._nodes.recv_multipart(), None
        frames = self._nodes.recv_multipart(copy=False)
        return [frame.bytes for frame in frames], user_of(frames[0])

    def to_node(self, label: bytes, message: fabric.ToNode) -> None:
        """Send to a node; what it is too late to get is dropped."""
        self._nodes.send_multipart((label, fabric.to_node.encode(message)))

    def reaches(self, label: bytes, message: fabric.ToNode) -> bool:
        """Send to a node if it is connected; returns whether it is."""
        self._nodes.set(zmq.ROUTER_MANDATORY, 1)
        try:
            self.to_node(label, message)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        finally:
            self._nodes.set(zmq.ROUTER_MANDATORY, 0)
        return True

    def complain(self, identity: bytes, kind: Kind, reason: str, *, is_node: bool = False) -> None:
        """Note that a peer broke the protocol, and tell it; ``is_node``: it may be a node's own, which goes on."""
        self._refusals.note(kind, reason)
        self._refused.heard(rubbish=True)
        if is_node:
            return
        if self._refused.refuse(identity):
            self._refusals.note("limit", f"too many refusals; the last: {reason}")
        else:
            self.to_node(identity, fabric.Halt(reason=reason))

    def from_supervisor(self) -> control.ToFabric | None:
        """The supervisor's next message, which must be there; None if it is none, and was turned away."""
        try:
            return control.to_fabric.decode(self._control.recv())
        except WireError as error:
            self._refusals.note("malformed", f"frame on the supervisor's socket: {error}")
            return None

    def to_supervisor(self, message: control.FromFabric) -> None:
        """Tell the supervisor, or whoever adopts the testbed."""
        self._control.send(control.from_fabric.encode(message))

    def tell_if_there(self, message: control.FromFabric) -> None:
        """Tell a supervisor that has asked; it may just have died, and then another does not care."""
        with contextlib.suppress(zmq.Again):
            self._control.send(control.from_fabric.encode(message), zmq.NOBLOCK)

    def wait_for_supervisor(self, deadline_s: float) -> None:
        """Until it is connected again, or for so long."""
        self._control.poll(round(deadline_s * 1000), zmq.POLLOUT)

    def from_observers(self) -> tuple[bytes, control.Observation | WireError]:
        """The next question of an observer, which must be there, or what is wrong with it; and who asks."""
        identity, *frames = self._observer.recv_multipart()
        try:
            if len(frames) != 1:
                raise WireError(f"a message of {len(frames)} frames, expected one")
            return identity, control.observations.decode(frames[0])
        except WireError as error:
            self._refusals.note("malformed", f"an observer's question: {error}")
            return identity, error

    def to_observer(self, identity: bytes, view: control.OracleView) -> None:
        """Answer an observer."""
        self._observer.send_multipart((identity, control.oracle_views.encode(view)))

    def close(self) -> None:
        """Deliver what can be delivered within the linger time and close."""
        if self._doorkeeper is not None:
            self._doorkeeper.close()
        self._refusals.close()
        for socket in (self._nodes, self._control, self._observer):
            socket.close()
        self._context.term()
