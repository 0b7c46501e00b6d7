"""Supervisor and fabric, and the observer's port: the messages between them."""

from __future__ import annotations

from typing import Any, Literal

from qnode.wire.codec import Codec, Message


class Start(Message, frozen=True, kw_only=True, tag="start"):
    """Begin virtual time."""


class Stop(Message, frozen=True, kw_only=True, tag="stop"):
    """End the run and tell how it was."""

    reason: str


class NodeDied(Message, frozen=True, kw_only=True, tag="node_died"):
    """The process of a node has ended by itself."""

    node: str
    status: str


class ApplicationDied(Message, frozen=True, kw_only=True, tag="application_died"):
    """The process of an application has ended."""

    node: str
    application: str
    status: str


class AskStatus(Message, frozen=True, kw_only=True, tag="ask_status"):
    """How far is it?"""


class Steer(Message, frozen=True, kw_only=True):
    """Base of what whoever steers a testbed asks of the fabric; each is answered by one ``Steered``."""

    call: int = 0
    """Numbered by the supervisor."""


class AddFault(Steer, frozen=True, kw_only=True, tag="add_fault"):
    """Break something, by the same keys as in a scenario's ``faults:``; an instant that is over means now."""

    fault: dict[str, Any]


class RemoveFault(Steer, frozen=True, kw_only=True, tag="remove_fault"):
    """Heal what a fault broke; it strikes no more."""

    name: str


class ResetFaults(Steer, frozen=True, kw_only=True, tag="reset_faults"):
    """Remove all faults, the scenario's too."""


class ListFaults(Steer, frozen=True, kw_only=True, tag="list_faults"):
    """Which faults are known?"""


class Hold(Steer, frozen=True, kw_only=True, tag="hold"):
    """Let virtual time stand still."""


class Go(Steer, frozen=True, kw_only=True, tag="go"):
    """Let virtual time go on until the first of these; without any, for ever, which is answered at once."""

    until_ps: int | None = None
    """What happens at that instant is still to come then."""
    line: dict[str, Any] | None = None
    """To just after a line of the event log with this kind and these details."""
    ended: bool = False
    """Until every application has ended."""


class LetIn(Steer, frozen=True, kw_only=True, tag="let_in"):
    """Let a node see who has attached, while virtual time stands still."""

    node: str


Steering = AddFault | RemoveFault | ResetFaults | ListFaults | Hold | Go | LetIn


class Repeat(Message, frozen=True, kw_only=True, tag="repeat"):
    """Another supervisor is here, which knows of so many orders: say all later ones again."""

    orders: int


ToFabric = Repeat | Start | Stop | NodeDied | ApplicationDied | AskStatus | Steering


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """Every node has said hello."""


class Recovered(Message, frozen=True, kw_only=True, tag="recovered"):
    """A fabric has taken the place of one that was killed, and has heard from every node."""

    now_ps: int
    rounds: int
    """How many rounds of grants there have been."""


class Status(Message, frozen=True, kw_only=True, tag="status"):
    """How far it is."""

    now_ps: int
    pairs: int
    applications: int
    nodes_up: int


class Lateness(Message, frozen=True, kw_only=True):
    """Wall seconds by which grants of a paced run came late."""

    grants: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    max_s: float = 0.0
    histogram: dict[str, int] = {}
    """Grants by the upper edge of their bin."""


class EndNode(Message, frozen=True, kw_only=True, tag="end_node"):
    """A fault has ended a node in virtual time: end its process, and its applications' processes."""

    node: str
    fault: str
    orderly: bool = False
    """Whether they end by themselves, having been told why."""


class StartNode(Message, frozen=True, kw_only=True, tag="start_node"):
    """A node that a fault had ended comes back: start its process, and these applications of the scenario on it."""

    node: str
    incarnation: int
    applications: tuple[str, ...] = ()


class PauseNode(Message, frozen=True, kw_only=True, tag="pause_node"):
    """Stop a node's process (SIGSTOP)."""

    node: str


class ResumeNode(Message, frozen=True, kw_only=True, tag="resume_node"):
    """Let a stopped node's process go on (SIGCONT)."""

    node: str


class HinderFabric(Message, frozen=True, kw_only=True, tag="hinder_fabric"):
    """What befalls the fabric's own process; it does that itself."""

    wait_s: float = 0.0
    """Wall seconds, now."""
    wait_per_window_s: float | None = None
    """Wall seconds, before each window from now on."""


Order = EndNode | StartNode | PauseNode | ResumeNode | HinderFabric


class Ordered(Message, frozen=True, kw_only=True, tag="ordered"):
    """An order for the supervisor. A recovered fabric gives all of them again; what was done once is not done twice."""

    number: int
    """Counted from nought."""
    order: EndNode | StartNode | PauseNode | ResumeNode


class CircuitTruth(Message, frozen=True, kw_only=True):
    """What the oracle saw of the pairs that a circuit delivered while it had one path."""

    circuit: str
    generation: int
    delivered: int
    seen: int
    """Those of which it saw the state at their first use."""
    mismatched: int
    """Those whose ends were not entangled with each other alone."""
    mean_state: list[list[tuple[float, float]]]
    """4x4 as real and imaginary parts, turned by the announced frame; empty if none was seen."""


class MemoryUse(Message, frozen=True, kw_only=True):
    """How full a node's slots of one role were over the run."""

    node: str
    role: str
    mean: float
    peak: int


class Finished(Message, frozen=True, kw_only=True, tag="finished"):
    """The run has ended; nothing more happens."""

    reason: str
    error: str = ""
    """What went wrong with the testbed itself, if anything did."""
    now_ps: int
    wall_s: float
    digest: str
    log_lines: int
    outside: tuple[str, ...]
    """What came from outside virtual time; a run with any is not deterministic."""
    lateness: Lateness
    mean_states: dict[str, tuple[int, list[list[tuple[float, float]]]]]
    """The oracle's mean state of each link's used pairs (count; 4x4 as real and imaginary parts, Phi+ frame)."""
    circuits: tuple[CircuitTruth, ...] = ()
    memory: tuple[MemoryUse, ...] = ()
    housekeeping_messages: int = 0
    fault_effects: dict[str, dict[str, int]] = {}
    """What each fault did, by its name: how often, by the kinds of lines of the event log."""


class FaultState(Message, frozen=True, kw_only=True):
    """A fault that is known: what it is, who wanted it, and whether it is at work now."""

    name: str
    kind: str
    target: str
    cause: str
    active: bool


Why = Literal["", "time", "line", "ended", "idle", "let_in", "over"]


class Steered(Message, frozen=True, kw_only=True, tag="steered"):
    """The answer to a call of whoever steers."""

    call: int
    now_ps: int
    error: str = ""
    """Why it was not done."""
    name: str = ""
    """Of the fault that was added."""
    faults: tuple[FaultState, ...] = ()
    why: Why = ""
    """Why virtual time stands still again; ``idle``: nothing is left to happen."""
    line: dict[str, Any] = {}
    """The line that was waited for."""
    waits: tuple[str, ...] = ()
    """Where nothing is left to happen: what applications wait for."""


FromFabric = Ready | Recovered | Status | Ordered | Steered | Finished

to_fabric: Codec[ToFabric] = Codec(ToFabric)
from_fabric: Codec[FromFabric] = Codec(FromFabric)


class AskState(Message, frozen=True, kw_only=True, tag="state"):
    """The true joint state of qubits."""

    qubits: tuple[str, ...]


class AskPair(Message, frozen=True, kw_only=True, tag="pair"):
    """The true fidelity of a pair with each Bell state."""

    pair_id: str


class AskCensus(Message, frozen=True, kw_only=True, tag="census"):
    """Every qubit and its owner."""


Observation = AskState | AskPair | AskCensus


class OracleView(Message, frozen=True, kw_only=True, tag="oracle"):
    """What no node knows: the truth, for tests and reports only."""

    oracle: bool = True
    now_ps: int
    error: str = ""
    qubits: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    dimension: int = 0
    state: bytes = b""
    """Row-major complex128, little-endian, ``dimension`` squared."""
    bell_fidelities: dict[str, float] = {}


observations: Codec[Observation] = Codec(Observation)
oracle_views: Codec[OracleView] = Codec(OracleView, maximum_bytes=1 << 30)
