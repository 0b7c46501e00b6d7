"""Node and node: what an EPR socket of NetQASM tells its other end."""

from __future__ import annotations

from qnode.wire.application import RequestKind
from qnode.wire.codec import Message
from qnode.wire.quantum import Axis


class NetqasmPairsAsked(Message, frozen=True, kw_only=True, tag="netqasm_pairs_asked"):
    """The sender's application has asked for pairs; the recipient's is to receive them."""

    request: str
    """The sender's own name of it, never used before."""
    socket: int
    """The recipient's."""
    remote_socket: int
    """The sender's."""
    kind: RequestKind
    number: int
    minimum_fidelity: float
    priority: int
    axis: Axis = "Z"
    """M: what the recipient measures along, if it draws none."""
    axes: tuple[Axis, ...] = ()
    """M: of these it draws one for each pair."""
    shares: tuple[float, ...] = ()
    """With which probabilities."""


class NetqasmPairTaken(Message, frozen=True, kw_only=True, tag="netqasm_pair_taken"):
    """Which pair of a circuit is the next pair of a request."""

    request: str
    circuit: str
    number: int


class NetqasmPairsEnded(Message, frozen=True, kw_only=True, tag="netqasm_pairs_ended"):
    """There will be no more pairs of a request, at neither end."""

    request: str
    reason: str


class NetqasmSocketClosed(Message, frozen=True, kw_only=True, tag="netqasm_socket_closed"):
    """The sender's application has ended, or its node has lost it."""

    socket: int
    remote_socket: int


class NetqasmAlive(Message, frozen=True, kw_only=True, tag="netqasm_alive"):
    """Nothing but to be acknowledged: somebody waits for pairs."""


NetqasmPeerMessage = NetqasmPairsAsked | NetqasmPairTaken | NetqasmPairsEnded | NetqasmSocketClosed | NetqasmAlive
