"""The vocabulary of faults: what can be broken, where, and for how long. One type per kind; units in every name.

The words are those of netem and Mininet (latency, jitter, loss, correlation, duplicate, reorder, corrupt, bandwidth),
Toxiproxy and Chaos Mesh (named faults with a duration, selectors), and Jepsen (partitions, clocks, pauses).
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, get_args

import msgspec

from orchestrator.scenario.hardware import Probability
from orchestrator.scenario.section import Interval, Length, Moment, Section
from qnode.wire.quantum import Role

Select = Literal["one", "minority", "majority", "all"]
Shift = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
"""Seconds."""
WallTime = Annotated[float, msgspec.Meta(gt=0, le=10)]
"""Seconds of the wall clock, few enough that the fabric is not taken for dead."""
EveBasis = Literal["z", "x", "y", "random_zx", "random_xyz"]
Correlation = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Delay = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Timed(Section, frozen=True, kw_only=True, tag_field="kind"):
    """What every fault has: a name and its time."""

    name: str = ""
    """Default: the kind and what it strikes."""
    at_s: Moment = 0.0
    """Virtual time of the first strike; one that is over means now."""
    for_s: Interval | None = None
    """How long it lasts. Default: until it is removed, or the run ends."""
    every_s: Interval | None = None
    """It strikes again that long after each strike."""
    times: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    """How often it strikes in all, with ``every_s``. Default: until it is removed, or the run ends."""


class Lasting(Timed, frozen=True, kw_only=True):
    """A fault that is healed when its time is over, or when it is removed."""


class OverAtOnce(Timed, frozen=True, kw_only=True):
    """A fault of an instant: there is nothing to heal."""


class OnLink(Timed, frozen=True, kw_only=True):
    """A fault of links: of one that is named, or of some that are selected."""

    strikes_classical_links: ClassVar[bool] = True

    link: str = ""
    """Of a quantum or, where that makes sense, a classical link."""
    select: Select | None = None
    """In place of ``link``: drawn anew at each strike, by the seed and the fault's name."""
    among: tuple[str, ...] = ()
    """The links to select from. Default: all that the fault can strike."""


class OnQuantumLink(OnLink, Lasting, frozen=True, kw_only=True):
    """A fault of what is quantum about links: their pairs, and the qubits that are sent over them."""

    strikes_classical_links: ClassVar[bool] = False
    schemes: ClassVar[tuple[str, ...]] = ()
    """The heralding schemes whose links it can strike; empty: all."""
    needs_fibre: ClassVar[bool] = False
    """Whether it can strike no link of length 0."""


class OnNode(Timed, frozen=True, kw_only=True):
    """A fault of nodes: of one that is named, or of some that are selected."""

    node: str = ""
    select: Select | None = None
    """In place of ``node``: drawn anew at each strike, by the seed and the fault's name."""
    among: tuple[str, ...] = ()
    """The nodes to select from. Default: all that the fault can strike."""


class OnNodes(Timed, frozen=True, kw_only=True):
    """A fault of a group of nodes: of those that are named, or of some that are selected."""

    nodes: tuple[str, ...] = ()
    select: Select | None = None
    """In place of ``nodes``: drawn anew at each strike, by the seed and the fault's name."""
    among: tuple[str, ...] = ()
    """The nodes to select from. Default: all."""


class OnChannel(OnLink, Lasting, frozen=True, kw_only=True):
    """A fault of the classical channel of a link: of the one beside a quantum link, or of a classical link."""

    direction: Literal["both", "forward", "backward"] = "both"
    """``forward``: from the link's first end to its second."""


class LinkDown(OnLink, Lasting, frozen=True, kw_only=True, tag="link_down"):
    """A link fails: no attempt succeeds, no qubit is sent, its own classical channel is silent."""


class ClassicalDown(OnChannel, frozen=True, kw_only=True, tag="classical_down"):
    """A channel carries no messages; the quantum link beside it goes on. What was on its way already arrives."""


class Partition(OnNodes, Lasting, frozen=True, kw_only=True, tag="partition"):
    """No channel carries messages between a group of nodes and the others; quantum links go on."""

    direction: Literal["to", "from", "both"] = "both"
    """Which messages are cut off: those to the group, from it, or both."""


class FibreCut(OnLink, Lasting, frozen=True, kw_only=True, tag="fibre_cut"):
    """A link's fibre is cut: it is down, and what is in flight and has not passed the point is lost."""

    at_km: Length | None = None
    """From the link's first end, at most its length. Default: half of the way."""


class MessageLoss(OnChannel, frozen=True, kw_only=True, tag="message_loss"):
    """Messages are lost."""

    probability: Probability
    correlation: Correlation = 0.0
    """Probability that a message fares like the one before it; else it is drawn anew (Gilbert's chain)."""


class MessageDuplicate(OnChannel, frozen=True, kw_only=True, tag="message_duplicate"):
    """Messages are sent twice."""

    probability: Probability
    correlation: Correlation = 0.0
    """Probability that a message fares like the one before it; else it is drawn anew."""


class MessageCorrupt(OnChannel, frozen=True, kw_only=True, tag="message_corrupt"):
    """Bits of messages flip. The receiver finds that the checksum is wrong, and drops the message."""

    probability: Probability
    correlation: Correlation = 0.0
    """Probability that a message fares like the one before it; else it is drawn anew."""
    bits: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """How many flip in such a message, any of its bits."""


class MessageLatency(OnChannel, frozen=True, kw_only=True, tag="message_latency"):
    """Messages wait before they enter the channel. With jitter, later ones may overtake earlier ones."""

    added_s: Delay = 0.0
    """Mean of the added time."""
    jitter_s: Delay = 0.0
    """``uniform``: the added time is up to so much less or more; ``normal``: its standard deviation."""
    distribution: Literal["uniform", "normal"] = "uniform"
    """Below 0 it counts as 0: nothing is faster than the channel."""
    correlation: Correlation = 0.0
    """Of one message's jitter with that of the one before it: rho of a stationary Gaussian chain of first order, whose
    values are mapped to the distribution."""


class MessageReorder(OnChannel, frozen=True, kw_only=True, tag="message_reorder"):
    """Messages are kept back, so that those that come meanwhile overtake them."""

    probability: Probability
    correlation: Correlation = 0.0
    """Probability that a message fares like the one before it; else it is drawn anew."""
    delay_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    """For how long."""


class Bandwidth(OnChannel, frozen=True, kw_only=True, tag="bandwidth"):
    """A channel takes so many bits a second: it stores and forwards messages, each direction in its own queue."""

    bits_per_s: Annotated[float, msgspec.Meta(gt=0, le=1e15)]
    """Of the payload with its checksum; there are no other headers."""


class Hold(OnChannel, frozen=True, kw_only=True, tag="hold"):
    """Messages over a link, or between two nodes, are held until the fault is healed, then go on in their order."""

    between: tuple[str, ...] = ()
    """Two nodes, in place of ``link``: all messages from one to the other, whatever way they take. ``direction`` is
    then that from the first to the second."""


class ManInTheMiddle(OnChannel, frozen=True, kw_only=True, tag="man_in_the_middle"):
    """Somebody reads, changes or drops messages, and makes their checksums valid again."""

    action: Literal["read", "change", "drop"]
    messages: tuple[str, ...] = ("application_message",)
    """By the type of message as the wire calls it (``application_message``, ``hello``, ``swap_outcome`` ...), or
    ``all``."""
    tag: str | None = None
    """Only applications' messages under this tag."""
    fraction: Probability = 1.0
    """Which share of them, drawn for each."""
    payload: str | None = None
    """What an application's message is changed to: text, as UTF-8."""
    flip_bits: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    """How many bits are flipped: of an application's payload, or of the whole of another message."""


class Ending(OnNode, frozen=True, kw_only=True):
    """A fault that ends the process of a node."""

    restart_applications: bool = False
    """Whether the scenario's applications on it are started again with it."""


class NodeKill(Ending, Lasting, frozen=True, kw_only=True, tag="node_kill"):
    """The process of a node is killed, and its applications with it; its qubits are lost and its links go down. Healed,
    it is started again: what it knew is gone, as after a power cut."""


class NodeStop(Ending, Lasting, frozen=True, kw_only=True, tag="node_stop"):
    """A node ends in good order: its applications are told why. Its qubits are lost and its links go down. Healed,
    it is started again."""


class NodeRestart(Ending, Lasting, frozen=True, kw_only=True, tag="node_restart"):
    """A power cut: the process of a node is killed and soon started again; its memory is lost, both kinds of it."""

    for_s: Interval | None = 1e-3
    """How long it takes until the node is back."""


class NodePause(OnNode, Lasting, frozen=True, kw_only=True, tag="node_pause"):
    """The process of a node is stopped (SIGSTOP) and goes on when healed: until then it notices nothing, and its qubits
    decay. What came meanwhile, it finds then."""


class NodeSlow(OnNode, Lasting, frozen=True, kw_only=True, tag="node_slow"):
    """A busy processor: a node notices messages, heralds, results and timers late. Its devices are not slower."""

    late_s: Interval
    """How much later."""


class ClockOffset(OnNode, Lasting, frozen=True, kw_only=True, tag="clock_offset"):
    """A node's own clock is wrong by a constant while this lasts; the fabric's stays true."""

    offset_s: Shift
    """Positive: its clock is ahead."""


class ClockDrift(OnNode, Lasting, frozen=True, kw_only=True, tag="clock_drift"):
    """A node's own clock runs too fast or too slow. Healed, it is set right, as by a time server."""

    drift_ppm: Annotated[float, msgspec.Meta(ge=-900_000, le=9_000_000)]
    """Millionths; positive: its clock gains."""


class ClockJump(OnNode, OverAtOnce, frozen=True, kw_only=True, tag="clock_jump"):
    """Somebody sets a node's own clock forward or back, and leaves it so."""

    jump_s: Shift
    """Positive: forward."""


class ClockReset(OnNode, OverAtOnce, frozen=True, kw_only=True, tag="clock_reset"):
    """A node's own clock starts from 0 again."""


class FabricPause(OverAtOnce, frozen=True, kw_only=True, tag="fabric_pause"):
    """The fabric does nothing for some wall-clock time. Virtual time does not notice: the same events come, later."""

    wall_s: WallTime


class FabricSlow(Lasting, frozen=True, kw_only=True, tag="fabric_slow"):
    """The fabric takes longer, in wall-clock time, for each window of virtual time; the same events come, later."""

    wall_s_per_window: WallTime


class FabricKill(OverAtOnce, frozen=True, kw_only=True, tag="fabric_kill"):
    """The fabric's process is killed; it comes back from its journal, and the same events come."""


class QuantumDown(OnQuantumLink, frozen=True, kw_only=True, tag="quantum_down"):
    """A link makes no pairs and carries no qubits; the classical channel beside it goes on."""


class ExtraLoss(OnQuantumLink, frozen=True, kw_only=True, tag="extra_loss"):
    """The fibre loses more, evenly over its length; a plain source succeeds that much less often."""

    needs_fibre: ClassVar[bool] = True

    loss_db: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    """Added to the loss from end to end."""


class HeraldLatency(OnQuantumLink, frozen=True, kw_only=True, tag="herald_latency"):
    """Heralds take longer to both ends; attempts that wait for them follow one another that much later."""

    added_s: Interval


class DarkCounts(OnQuantumLink, frozen=True, kw_only=True, tag="dark_counts"):
    """The detectors click by themselves: false heralds."""

    schemes: ClassVar[tuple[str, ...]] = ("single_click", "double_click", "midpoint_source", "sender_receiver")

    dark_count_probability: Probability
    """Per detector and detection window, in place of the link's own."""


class PauliNoise(OnQuantumLink, frozen=True, kw_only=True, tag="pauli_noise"):
    """Pauli errors in the fibre: on each qubit that is sent, and on the second end's half of each heralded pair."""

    pauli_probabilities: tuple[Probability, Probability, Probability]
    """Probabilities of an X, a Y and a Z."""


class FidelityDrift(OnQuantumLink, frozen=True, kw_only=True, tag="fidelity_drift"):
    """A link that loses its alignment: depolarisation of what passes it, with a probability that grows with the time t
    since the strike as 1 - exp(-rate_per_s t)."""

    rate_per_s: Annotated[float, msgspec.Meta(gt=0, le=1e12)]


class Eavesdropping(OnQuantumLink, frozen=True, kw_only=True):
    """Eve has a tap in the fibre: on each qubit that is sent, and on the second end's half of each heralded pair."""

    fraction: Probability = 1.0
    """Of the qubits that she attacks."""
    basis: EveBasis = "random_zx"
    """Along which she measures; a random one is drawn anew for each qubit."""

    @property
    def angle_rad(self) -> float:
        """Between her two states in a quarter turn: 0 learns nothing, pi/2 all about the chosen basis."""
        raise NotImplementedError


class InterceptResend(Eavesdropping, frozen=True, kw_only=True, tag="intercept_resend"):
    """Eve measures and sends on what she found."""

    @property
    def angle_rad(self) -> float:
        """She measures fully."""
        return math.pi / 2


class EntangleAndMeasure(Eavesdropping, frozen=True, kw_only=True, tag="entangle_and_measure"):
    """Eve lets a probe interact with the qubit, by a part of a CNOT in the chosen basis, and measures the probe."""

    strength: Probability
    """How far the probe is turned: its two states overlap by cos(strength pi/2). 1 is as good as intercept_resend."""

    @property
    def angle_rad(self) -> float:
        """Of the probe's two states."""
        return self.strength * math.pi / 2


class MemoryLifetime(OnNode, Lasting, frozen=True, kw_only=True, tag="memory_lifetime"):
    """A node's memories decay faster, or slower: T1, T2 and the depolarising time are multiplied."""

    factor: Annotated[float, msgspec.Meta(gt=0, le=1e9)]


class SlotFailure(OnNode, Lasting, frozen=True, kw_only=True, tag="slot_failure"):
    """Memory slots of a node are out of service, free ones first; what lies in others is lost, and the node notices."""

    slots: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    """How many."""
    role: Role = "communication"


class BurstDecoherence(OnNode, OverAtOnce, frozen=True, kw_only=True, tag="burst_decoherence"):
    """All qubits in a node's memories are upset at once, as by a cosmic ray (McEwen et al. 2022, Nat. Phys. 18 107)."""

    amplitude_damping: Probability = 0.0
    """Probability that |1> decays to |0>, as where the ray's quasiparticles take a transmon's energy."""
    dephasing_probability: Probability = 0.0
    """Probability of a Z."""
    depolarising_probability: Probability = 0.0


Fault = (
    LinkDown
    | FibreCut
    | ClassicalDown
    | Partition
    | ManInTheMiddle
    | MessageLoss
    | MessageDuplicate
    | MessageCorrupt
    | MessageLatency
    | MessageReorder
    | Bandwidth
    | Hold
    | NodeKill
    | NodeStop
    | NodeRestart
    | NodePause
    | NodeSlow
    | ClockOffset
    | ClockDrift
    | ClockJump
    | ClockReset
    | FabricPause
    | FabricSlow
    | QuantumDown
    | ExtraLoss
    | HeraldLatency
    | DarkCounts
    | PauliNoise
    | FidelityDrift
    | InterceptResend
    | EntangleAndMeasure
    | MemoryLifetime
    | SlotFailure
    | BurstDecoherence
)
KINDS: dict[str, type[Timed]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Fault)}
"""By the name that scenarios give. Several faults of one channel act in this order."""


def cannot_strike(kind: type[Timed], *, scheme: str, length_km: float) -> str:
    """Why faults of this kind mean nothing on a quantum link of that heralding scheme and length; empty if they do."""
    if not issubclass(kind, OnQuantumLink):
        return ""
    if kind.schemes and scheme not in kind.schemes:
        return f"a link with heralding {' or '.join(kind.schemes)}, where that makes sense, found {scheme}"
    if kind.needs_fibre and length_km == 0:
        return "a link with a fibre, found one of length 0"
    return ""


def kind_of(fault: Timed) -> str:
    """The fault's kind, as scenarios call it."""
    return str(type(fault).__struct_config__.tag)


def target_of(fault: Timed) -> str:
    """What a fault strikes, in a word or two."""
    if isinstance(fault, Hold) and fault.between:
        return " and ".join(fault.between)
    if not isinstance(fault, OnLink | OnNode | OnNodes):
        return "fabric"
    return ", ".join(named_targets(fault)) or f"{fault.select}{' of ' + ', '.join(fault.among) if fault.among else ''}"


def named_targets(fault: OnLink | OnNode | OnNodes) -> tuple[str, ...]:
    """What a fault names to strike; nothing where it selects."""
    if isinstance(fault, OnNodes):
        return fault.nodes
    name = fault.link if isinstance(fault, OnLink) else fault.node
    return (name,) if name else ()


def named(faults: tuple[Fault, ...], taken: tuple[str, ...] = ()) -> list[Fault]:
    """The faults with their names filled in: by default kind and target, numbered where that is not enough."""
    names = set(taken)
    result: list[Fault] = []
    for fault in faults:
        base = name = fault.name or f"{kind_of(fault)} {target_of(fault)}"
        number = 2
        while name in names:
            name, number = f"{base} #{number}", number + 1
        names.add(name)
        result.append(msgspec.structs.replace(fault, name=name))
    return result
