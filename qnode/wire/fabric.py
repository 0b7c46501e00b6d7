"""Node and fabric: BLOCK and GRANT, and all that rides inside them. Every time is virtual, in picoseconds."""

from __future__ import annotations

from qnode.wire.codec import Codec, Message
from qnode.wire.quantum import Role, Step


class Circuit(Message, frozen=True, kw_only=True, tag="circuit"):
    """Steps done one after the other, each taking its time; the bits of all measurements come back together."""

    steps: tuple[Step, ...]


class Generate(Message, frozen=True, kw_only=True, tag="generate"):
    """Try for a Bell pair on ``link`` with a fresh communication qubit, until heralded or cancelled."""

    link: str
    qubit: str
    purpose: str = ""
    """Attempts start once both ends ask with the same purpose and operating point."""
    operating_point: int = 0
    """Which of the link's trades of rate for fidelity; 0 is the one that the scenario gives."""


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    """Stop the attempts of an earlier ``Generate``."""

    operation: int


class Transmit(Message, frozen=True, kw_only=True, tag="transmit"):
    """Send the qubit itself to the other end of ``link``."""

    link: str
    qubit: str


class Look(Message, frozen=True, kw_only=True, tag="look"):
    """Tell the true state of qubits of this node, which a look does not change: for an application that asks."""

    qubits: tuple[str, ...]
    entangled: bool = False
    """Whether also of all that they are entangled with, wherever that lies."""


Action = Circuit | Generate | Cancel | Transmit | Look


class Operation(Message, frozen=True, kw_only=True):
    """One thing to do at the fabric, starting at ``at``; ``operation`` numbers it within its node."""

    operation: int
    at: int
    action: Action


class Send(Message, frozen=True, kw_only=True):
    """A classical message to another node, leaving at ``at``."""

    at: int
    to: str
    payload: bytes
    over: str = ""
    """Only over the channel beside this link, so that it fails with the link; else by the fastest way."""
    housekeeping: bool = False
    """Whether it would go on for ever, though nobody wants anything: hellos, refreshes."""


_Plain = None | bool | int | float | str
_Flat = _Plain | list[_Plain] | dict[str, _Plain]
_Folded = _Plain | list[_Flat] | dict[str, _Flat]
Detail = _Plain | list[_Folded] | dict[str, _Folded]
"""What a note may say: at most three levels of lists and maps, so that whoever writes it down need not recurse."""


class Note(Message, frozen=True, kw_only=True):
    """A line for the event log: what an application did or said."""

    at: int
    kind: str
    details: dict[str, Detail]


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """A node is up."""

    version: int
    node: str
    process_id: int


class Block(Message, frozen=True, kw_only=True, tag="block"):
    """The node has nothing to do before ``wake_at`` (None: before something happens to it)."""

    wake_at: int | None = None
    sends: tuple[Send, ...] = ()
    operations: tuple[Operation, ...] = ()
    notes: tuple[Note, ...] = ()
    applications: int = 0
    """How many applications are attached or still expected."""
    strangers: int = 0
    """How many of them the scenario does not know; the run does not wait for their end."""
    flowing: int = 0
    """How many of them let virtual time flow, so that they may act at any moment of the wall clock."""
    expects: bool = False
    """Whether a timer is set that is not housekeeping, so that something may come of waiting."""


class Interrupt(Message, frozen=True, kw_only=True, tag="interrupt"):
    """Something from outside virtual time wants the blocked node: grant it the present."""

    reason: str


class ProbeAnswer(Message, frozen=True, kw_only=True, tag="probe_answer"):
    """What the node is waiting for, a line each."""

    waits: tuple[str, ...]


class Resumed(Message, frozen=True, kw_only=True, tag="resumed"):
    """How far the node is: what a recovered fabric may have lost."""

    process_id: int
    grants: int
    """How many it has been given since it is up."""
    block: Block | None = None
    """The last; None while it holds a grant, and before the first."""
    interrupt: str | None = None
    """The reason of the last since the last grant."""


ToFabric = Hello | Block | Interrupt | ProbeAnswer | Resumed


class Delivered(Message, frozen=True, kw_only=True, tag="delivered"):
    """A classical message arrives."""

    at: int
    sender: str
    payload: bytes


class Completed(Message, frozen=True, kw_only=True, tag="completed"):
    """A circuit, transmission or cancellation is done."""

    at: int
    operation: int
    bits: tuple[int, ...] = ()


class Refused(Message, frozen=True, kw_only=True, tag="refused"):
    """An operation that the fabric would not do."""

    at: int
    operation: int
    code: str
    reason: str
    done: int = 0
    """How many steps of a circuit were done before the refused one."""


class Heralded(Message, frozen=True, kw_only=True, tag="heralded"):
    """A pair on ``link``, announced: this end's half is the qubit that its ``Generate`` named."""

    at: int
    operation: int
    link: str
    pair_id: str
    bell_index: int
    emitted_at: int
    """Since when this end's memory has been ageing."""


class Arrived(Message, frozen=True, kw_only=True, tag="arrived"):
    """A qubit sent by the other end of ``link`` lies in a communication slot here."""

    at: int
    link: str
    qubit: str


class Lost(Message, frozen=True, kw_only=True, tag="lost"):
    """A qubit sent by the other end of ``link`` did not arrive, and the channel tells."""

    at: int
    link: str
    qubit: str
    reason: str


class SlotsOutOfService(Message, frozen=True, kw_only=True, tag="slots_out_of_service"):
    """Memory slots here have failed, or are back."""

    at: int
    role: Role
    number: int
    """How many of this role are out of service now, in all."""
    lost: tuple[str, ...] = ()
    """The qubits that lay in those which have failed now."""


class Seen(Message, frozen=True, kw_only=True, tag="seen"):
    """What a ``Look`` showed. The node hands it to the application that asked, and takes no notice itself."""

    at: int
    operation: int
    qubits: tuple[str, ...]
    """Those that were named, then those that they are entangled with, by name."""
    state: bytes
    """Their density matrix, the first qubit most significant: row-major complex128, little-endian."""


Event = Delivered | Completed | Refused | Heralded | Arrived | Lost | SlotsOutOfService | Seen


class Grant(Message, frozen=True, kw_only=True, tag="grant"):
    """All that happens to the node in ``[now, until)``, in order."""

    now: int
    until: int
    events: tuple[Event, ...] = ()


class Probe(Message, frozen=True, kw_only=True, tag="probe"):
    """What are you waiting for?"""


class Halt(Message, frozen=True, kw_only=True, tag="halt"):
    """The run is over: applications are told why, and the node ends."""

    reason: str


class ApplicationEnded(Message, frozen=True, kw_only=True, tag="application_ended"):
    """The process of an application that was expected here has ended."""

    application: str
    status: str


class Resume(Message, frozen=True, kw_only=True, tag="resume"):
    """The fabric was killed and has been recovered: how far are you?"""


ToNode = Grant | Probe | Halt | ApplicationEnded | Resume

MAXIMUM_BLOCK_BYTES = 1 << 28
"""Of a frame to the fabric, which bundles what a node's applications may send at a time, and what that entails."""
MAXIMUM_GRANT_BYTES = 1 << 30
"""Of a frame to a node, which bundles what many others have sent it."""

to_fabric: Codec[ToFabric] = Codec(ToFabric, maximum_bytes=MAXIMUM_BLOCK_BYTES)
to_node: Codec[ToNode] = Codec(ToNode, maximum_bytes=MAXIMUM_GRANT_BYTES)
