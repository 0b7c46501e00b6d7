"""Application and node: the protocol of a node's socket, documented in ``docs/wire.md``.

An application sends requests, each with a ``call`` number of its own; the node answers each once, with that number.
``waiting`` says that the application does nothing until an answer comes, so virtual time may go on.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from qnode.wire.codec import Codec, Message
from qnode.wire.quantum import Axis, Step

AT_MOST = msgspec.Meta(max_length=1 << 17)
"""No array or map of a request is longer: it is refused before any of its elements is read."""

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
    """A link with a knob is turned until its pairs are as good; both ends ask for the same."""
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


Swapping = Literal["asap", "nested"]
"""Routers swap as soon as both sides have a pair, or by doubling: segments of 1, 2, 4 ... links."""


DistillationProtocol = Literal["bbpssw", "dejmps", "epl"]
"""Bennett et al. 1996, Deutsch et al. 1996, Campbell and Benjamin 2008."""
DistillationSchedule = Literal["recurrence", "pumping"]


class OpenCircuit(Message, frozen=True, kw_only=True, tag="open_circuit"):
    """Ask for a quantum virtual circuit to any end node. Answered by ``circuit_opened``."""

    call: int
    remote: str
    minimum_fidelity: float = 0.0
    rate_bpps: float = 1.0
    """Bell pairs per second that the network is to reserve."""
    kind: RequestKind = "K"
    """K: both ends keep their halves; M: each end measures its half as soon as it has it."""
    purpose: str = ""
    """The application at the other end accepts circuits of this purpose."""
    priority: int = 0
    """A circuit may take the place of those of lower priority, which are told."""
    timeout_ps: int | None = None
    """Open by then, or ``failed`` with code ``timeout``."""
    slots: int = 2
    """Memory slots that each node sets aside for each of its sides, as far as it has them."""
    swapping: Swapping = "asap"
    cutoff_ps: int | None = None
    """A pair that waits longer on its way is discarded; default: what each node's memory says."""
    axes: Annotated[tuple[Axis, ...], AT_MOST] = ()
    """M: the axes that the head measures along, one pair after the other; the tail names its own. Default Z."""
    as_heralded: bool = False
    """Whether to leave pairs in the Bell state that they are in; otherwise the head turns them into Phi+."""
    distillation: bool = True
    """Whether links may distil pairs where the fidelity needs it."""
    end_distillation_rounds: int = 0
    """Rounds of distillation between the ends."""
    distillation_protocol: DistillationProtocol = "dejmps"
    """For links and ends; EPL only where pairs are Psi, as of single clicks, and else DEJMPS in its place."""
    distillation_schedule: DistillationSchedule = "recurrence"
    """Equal with equal, or the best pair with a fresh one."""
    test_fraction: float = 0.0
    """Share of the pairs that the ends sacrifice to estimate the fidelity."""
    waiting: bool = True


class AcceptCircuit(Message, frozen=True, kw_only=True, tag="accept_circuit"):
    """Wait for a circuit that another node opens to here. Answered by ``circuit_opened``."""

    call: int
    remote: str = ""
    """Only from this node; default: from any."""
    purpose: str = ""
    axes: Annotated[tuple[Axis, ...], AT_MOST] = ()
    """M: the axes that this end measures along."""
    timeout_ps: int | None = None
    waiting: bool = True


class NextCircuitPair(Message, frozen=True, kw_only=True, tag="next_circuit_pair"):
    """Wait for the next pair of a circuit. Answered by ``circuit_pair``."""

    call: int
    circuit: str
    timeout_ps: int | None = None
    waiting: bool = True


class NextCircuitEvent(Message, frozen=True, kw_only=True, tag="next_circuit_event"):
    """Wait for the next event of a circuit. Answered by ``circuit_event``."""

    call: int
    circuit: str
    timeout_ps: int | None = None
    waiting: bool = True


class CloseCircuit(Message, frozen=True, kw_only=True, tag="close_circuit"):
    """Free all that a circuit has reserved; pairs that were handed over stay. Answered by ``done``."""

    call: int
    circuit: str
    waiting: bool = True


GroupState = Literal["GHZ", "W"]
"""(|0...0> + |1...1>)/sqrt(2), or the even superposition of all states with a single 1."""


class OpenGroup(Message, frozen=True, kw_only=True, tag="open_group"):
    """Ask for states shared with several end nodes, whose applications join. Answered by ``group_opened``."""

    call: int
    members: Annotated[tuple[str, ...], AT_MOST]
    """The other nodes."""
    state: GroupState = "GHZ"
    purpose: str = ""
    """The applications at the other nodes join groups of this purpose."""
    rate_hz: float = 1.0
    """States per second that the network is to reserve."""
    minimum_fidelity: float = 0.0
    """Of the Bell pairs that the states are made of."""
    centre: str = ""
    """The node that makes the states; default: the best switch, or else this node."""
    slots: int = 2
    timeout_ps: int | None = None
    waiting: bool = True


class JoinGroup(Message, frozen=True, kw_only=True, tag="join_group"):
    """Wait for a group that another node opens with this one. Answered by ``group_opened``."""

    call: int
    purpose: str = ""
    timeout_ps: int | None = None
    waiting: bool = True


class NextGroupQubit(Message, frozen=True, kw_only=True, tag="next_group_qubit"):
    """Wait for this node's qubit of the next state of a group. Answered by ``group_qubit``."""

    call: int
    group: str
    timeout_ps: int | None = None
    waiting: bool = True


class CloseGroup(Message, frozen=True, kw_only=True, tag="close_group"):
    """Leave a group, which ends for all; qubits that were handed over stay. Answered by ``done``."""

    call: int
    group: str
    waiting: bool = True


class Run(Message, frozen=True, kw_only=True, tag="run"):
    """Do the steps of a circuit on qubits of this session. Answered by ``outcomes``."""

    call: int
    steps: Annotated[tuple[Step, ...], AT_MOST]
    waiting: bool = True


class Teleport(Message, frozen=True, kw_only=True, tag="teleport"):
    """Consume ``qubit`` and this end of the pair; the bits go to the pair's other end. Answered by ``outcomes``."""

    call: int
    qubit: str
    pair_id: str
    confirmed: bool = False
    """Answer only once the qubit lies at the other end; ``failed`` with code ``lost`` if it never will."""
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


class OracleState(Message, frozen=True, kw_only=True, tag="oracle_state"):
    """Ask for the true state of qubits, as no real node can. Answered by ``true_state``, or ``failed``: ``denied``."""

    call: int
    qubits: Annotated[tuple[str, ...], AT_MOST]
    entangled: bool = False
    """Whether also of all that they are entangled with, wherever that lies."""
    waiting: bool = True


class Report(Message, frozen=True, kw_only=True, tag="report"):
    """Named numbers for the run's report, each alone or with its standard error. Answered by ``done``."""

    call: int
    values: Annotated[dict[str, float | tuple[float, float]], AT_MOST]
    waiting: bool = True


class ReportKey(Message, frozen=True, kw_only=True, tag="report_key"):
    """Tell of a key that is shared with ``remote``, without telling the key. Answered by ``done``."""

    call: int
    remote: str
    bits: int
    """How long the key is."""
    fingerprint: bytes
    """BLAKE2b of 16 bytes over the key, packed from the most significant bit on, with zeros at the end."""
    name: str = ""
    """Keys of one name and two nodes belong together, in the order in which each end tells of them."""
    waiting: bool = True


Flavour = Literal["vanilla", "nv"]
"""Which quantum instructions a NetQASM subroutine is made of: its bytes do not say (Dahlberg et al. 2022)."""


class NetqasmMessage(Message, frozen=True, kw_only=True, tag="netqasm"):
    """One message of a NetQASM host to its quantum node. Answered by ``netqasm_returned`` when it has been obeyed."""

    call: int
    message: bytes
    """As ``netqasm.backend.messages`` packs it: a new application, an EPR socket, a subroutine, a stop or a signal."""
    flavour: Flavour = "vanilla"
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
    | OpenCircuit
    | AcceptCircuit
    | NextCircuitPair
    | NextCircuitEvent
    | CloseCircuit
    | OpenGroup
    | JoinGroup
    | NextGroupQubit
    | CloseGroup
    | Run
    | Teleport
    | ReceiveTeleported
    | TransmitQubit
    | ReceiveQubit
    | SendMessage
    | ReceiveMessage
    | Sleep
    | OracleState
    | Report
    | ReportKey
    | NetqasmMessage
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


class CircuitOpened(Message, frozen=True, kw_only=True, tag="circuit_opened"):
    """A circuit is open, and its pairs are under way."""

    call: int
    now_ps: int
    circuit: str
    remote: str
    path: tuple[str, ...]
    """The nodes from the head to the tail."""
    kind: RequestKind
    minimum_fidelity: float
    rate_bpps: float
    expected_fidelity: float
    """As the network's own estimates of its links let expect."""
    expected_rate_bpps: float


class CircuitPair(Message, frozen=True, kw_only=True, tag="circuit_pair"):
    """One pair of a circuit; both ends number it alike."""

    call: int
    now_ps: int
    circuit: str
    number: int
    pair: BellPair | None = None
    """K: this end's half."""
    axis: Axis | None = None
    """M: what this end measured along."""
    bit: int | None = None
    """M: what it read, as if the pair had been Phi+."""


CircuitEventKind = Literal["rerouted", "down", "preempted", "degraded", "closed"]


class CircuitEvent(Message, frozen=True, kw_only=True, tag="circuit_event"):
    """Something happened to a circuit."""

    call: int
    now_ps: int
    circuit: str
    kind: CircuitEventKind
    reason: str
    path: tuple[str, ...] = ()
    """The nodes of the new path."""


class GroupOpened(Message, frozen=True, kw_only=True, tag="group_opened"):
    """A group is complete, and its states are under way."""

    call: int
    now_ps: int
    group: str
    members: tuple[str, ...]
    """All of them; the first opened it."""
    centre: str
    state: GroupState


class GroupQubit(Message, frozen=True, kw_only=True, tag="group_qubit"):
    """This node's qubit of one state; all members number it alike."""

    call: int
    now_ps: int
    group: str
    number: int
    qubit: str


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


class NetqasmReturned(Message, frozen=True, kw_only=True, tag="netqasm_returned"):
    """What a NetQASM host is told: values that a subroutine returns, and at last that it is done, or an error."""

    call: int
    now_ps: int
    messages: tuple[bytes, ...]
    """In order, each as ``netqasm.backend.messages`` packs it."""
    reason: str = ""
    """The error in words, which the protocol's own message has none for."""
    qubits: tuple[str, ...] = ()
    """The NetQASM application's qubits by virtual address; empty where there is none."""


class TrueState(Message, frozen=True, kw_only=True, tag="true_state"):
    """The oracle's view of qubits at this instant."""

    call: int
    now_ps: int
    qubits: tuple[str, ...]
    """Those that were asked for, then those that they are entangled with, by name."""
    state: bytes
    """Their density matrix, the first qubit most significant: row-major complex128, little-endian."""


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
    "no_route",
    "no_capacity",
    "no_time",
    "denied",
    "inconclusive",
    "closed",
    "stopped",
]


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """The request was not carried out, and nothing was changed by it unless the reason says so."""

    call: int | None
    """None where the frame could not be read."""
    now_ps: int
    code: FailureCode
    reason: str


Answer = (
    Attached
    | Pair
    | Measured
    | CircuitOpened
    | CircuitPair
    | CircuitEvent
    | GroupOpened
    | GroupQubit
    | Outcomes
    | Qubit
    | Received
    | NetqasmReturned
    | TrueState
    | Done
    | Failed
)

requests: Codec[Request] = Codec(Request)
answers: Codec[Answer] = Codec(Answer)
