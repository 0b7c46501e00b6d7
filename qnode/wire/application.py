"""Application and node: the protocol of a node's socket, documented in ``docs/wire.md``.

An application sends requests, each with a ``call`` number of its own; the node answers each once, with that number.
``waiting`` says that the application does nothing until an answer comes, so virtual time may go on.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from qnode.wire.codec import Codec, Message
from qnode.wire.quantum import Axis, Step

RequestKind = Literal["K", "M", "R"]
"""Create and keep, measure directly, remote state preparation (RFC 9340; Dahlberg et al. 2019)."""


class Attach(Message, frozen=True, kw_only=True, tag="attach"):
    """First message of a session."""

    call: int
    version: int
    application: str
    process_id: int | None = None
    """When this process ends, so does the session; without it, only ``detach`` ends it."""
    holds_time: bool = True
    """Whether virtual time stands still while the application computes; false only in a paced run."""


class RequestPairs(Message, frozen=True, kw_only=True, tag="request_pairs"):
    """Ask for Bell pairs with a neighbour. Answered by ``pair`` (the first of them) or, for M, ``measured`` (all)."""

    call: int
    remote: str
    number: int = 1
    kind: RequestKind = "K"
    minimum_fidelity: float = 0.0
    timeout_ps: int | None = None
    """All of them by then, or ``failed`` with code ``timeout``."""
    axis: Axis | None = None
    """M: measure along it (default Z). R: the end that gives an axis measures, the other keeps."""
    purpose: str = ""
    """Pairs are made for requests of both ends with the same purpose."""
    as_heralded: bool = False
    """Whether to leave the pair in the Bell state that was heralded; otherwise it is turned into Phi+."""
    priority: int = 0
    """Where slots are scarce, a request of higher priority is served first; otherwise they take turns."""
    waiting: bool = True


class NextPair(Message, frozen=True, kw_only=True, tag="next_pair"):
    """Wait for a further pair of an earlier request (its number is that request's ``call``)."""

    call: int
    request: int
    waiting: bool = True


class CancelRequest(Message, frozen=True, kw_only=True, tag="cancel_request"):
    """Stop generating for an earlier request."""

    call: int
    request: int
    waiting: bool = True


class Run(Message, frozen=True, kw_only=True, tag="run"):
    """Do the steps of a circuit on qubits of this session. Answered by ``outcomes``."""

    call: int
    steps: tuple[Step, ...]
    waiting: bool = True


class Teleport(Message, frozen=True, kw_only=True, tag="teleport"):
    """Consume ``qubit`` and this end of the pair; the bits go to the pair's other end. Answered by ``outcomes``."""

    call: int
    qubit: str
    pair_id: str
    waiting: bool = True


class ReceiveTeleported(Message, frozen=True, kw_only=True, tag="receive_teleported"):
    """Wait for the bits of a teleportation over the pair and correct. Answered by ``qubit``."""

    call: int
    pair_id: str
    timeout_ps: int | None = None
    waiting: bool = True


class TransmitQubit(Message, frozen=True, kw_only=True, tag="transmit_qubit"):
    """Send the qubit itself to a neighbour. Answered by ``done``."""

    call: int
    qubit: str
    remote: str
    waiting: bool = True


class ReceiveQubit(Message, frozen=True, kw_only=True, tag="receive_qubit"):
    """Wait for a qubit that a neighbour transmits. Answered by ``qubit``, or ``failed`` with code ``lost``."""

    call: int
    remote: str
    timeout_ps: int | None = None
    waiting: bool = True


class SendMessage(Message, frozen=True, kw_only=True, tag="send"):
    """Send bytes to an application on another node. Answered by ``done`` at once."""

    call: int
    peer: str
    """A node, or ``node/application``."""
    payload: bytes
    tag: str = ""
    waiting: bool = True


class ReceiveMessage(Message, frozen=True, kw_only=True, tag="receive"):
    """Wait for bytes from a node under a tag. Answered by ``message``."""

    call: int
    peer: str
    tag: str = ""
    timeout_ps: int | None = None
    waiting: bool = True


class Sleep(Message, frozen=True, kw_only=True, tag="sleep"):
    """Let virtual time pass. Answered by ``done``."""

    call: int
    duration_ps: int
    waiting: bool = True


class Report(Message, frozen=True, kw_only=True, tag="report"):
    """Named numbers for the run's report, each alone or with its standard error. Answered by ``done``."""

    call: int
    values: dict[str, float | tuple[float, float]]
    waiting: bool = True


class Wait(Message, frozen=True, kw_only=True, tag="wait"):
    """The application now waits for its open calls, having seen ``seen`` answers. Not answered."""

    seen: int


class Detach(Message, frozen=True, kw_only=True, tag="detach"):
    """End the session: its requests are cancelled, its qubits discarded. Answered by ``done``."""

    call: int
    waiting: bool = True


Request = (
    Attach
    | RequestPairs
    | NextPair
    | CancelRequest
    | Run
    | Teleport
    | ReceiveTeleported
    | TransmitQubit
    | ReceiveQubit
    | SendMessage
    | ReceiveMessage
    | Sleep
    | Report
    | Wait
    | Detach
)


class Attached(Message, frozen=True, kw_only=True, tag="attached"):
    """The session is open."""

    call: int
    now_ps: int
    version: int
    node: str
    process_id: int
    """The node's; when that process ends, so has the session."""
    neighbours: tuple[str, ...]
    communication_slots: int
    storage_slots: int


class BellPair(msgspec.Struct, frozen=True, kw_only=True):
    """What the node believes about one end of a pair."""

    pair_id: str
    """The same at both ends."""
    qubit: str
    """This end's half."""
    remote: str
    bell_state: str
    goodness: float
    """The link's estimate of the fidelity at the herald."""
    emitted_at_ps: int
    """Since when this end's memory has been ageing."""
    heralded_at_ps: int
    remote_axis: Axis | None = None
    remote_bit: int | None = None
    """R, at the end that keeps: what the other end measured."""


class Pair(Message, frozen=True, kw_only=True, tag="pair"):
    """One Bell pair."""

    call: int
    now_ps: int
    request: int
    pair: BellPair


class Measured(Message, frozen=True, kw_only=True, tag="measured"):
    """Every pair of a request of kind M (or of R, at the end that measures): its bit, in the order of the pairs."""

    call: int
    now_ps: int
    pair_ids: tuple[str, ...]
    bits: tuple[int, ...]


class Outcomes(Message, frozen=True, kw_only=True, tag="outcomes"):
    """The bits of a circuit's measurements and the qubits that it prepared, in the order of its steps."""

    call: int
    now_ps: int
    bits: tuple[int, ...] = ()
    qubits: tuple[str, ...] = ()


class Qubit(Message, frozen=True, kw_only=True, tag="qubit"):
    """A qubit that came from elsewhere."""

    call: int
    now_ps: int
    qubit: str


class Received(Message, frozen=True, kw_only=True, tag="message"):
    """A classical message."""

    call: int
    now_ps: int
    sender: str
    sender_application: str
    tag: str
    payload: bytes


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """The request was carried out."""

    call: int
    now_ps: int


FailureCode = Literal[
    "bad_message",
    "bad_request",
    "unsupported",
    "no_slot",
    "not_yours",
    "gone",
    "discarded",
    "refused",
    "timeout",
    "lost",
    "cancelled",
    "limit",
    "stopped",
]


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The request was not carried out, and nothing was changed by it unless the reason says so."""

    call: int | None
    """None where the frame could not be read."""
    now_ps: int
    code: FailureCode
    reason: str


Answer = Attached | Pair | Measured | Outcomes | Qubit | Received | Done | Failed

requests: Codec[Request] = Codec(Request)
answers: Codec[Answer] = Codec(Answer)
