"""The vocabulary of faults: what can be broken, where, and for how long. One type per kind; units in every name.

The words are those of netem and Mininet (latency, jitter, loss, correlation, duplicate, reorder, corrupt, bandwidth),
Toxiproxy and Chaos Mesh (named faults with a duration, selectors), and Jepsen (partitions, clocks, pauses).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

import msgspec

from orchestrator.scenario.section import Interval, Moment, Section

Select = Literal["one", "minority", "majority", "all"]
Shift = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
"""Seconds."""
WallTime = Annotated[float, msgspec.Meta(gt=0, le=10)]
"""Seconds of the wall clock, few enough that the fabric is not taken for dead."""


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


class OnNode(Timed, frozen=True, kw_only=True):
    """A fault of nodes: of one that is named, or of some that are selected."""

    node: str = ""
    select: Select | None = None
    """In place of ``node``: drawn anew at each strike, by the seed and the fault's name."""
    among: tuple[str, ...] = ()
    """The nodes to select from. Default: all that the fault can strike."""


class LinkDown(OnLink, Lasting, frozen=True, kw_only=True, tag="link_down"):
    """A link fails: no attempt succeeds, no qubit is sent, its own classical channel is silent."""


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


Fault = (
    LinkDown
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
)
KINDS: dict[str, type[Timed]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Fault)}
"""By the name that scenarios give."""


def kind_of(fault: Timed) -> str:
    """The fault's kind, as scenarios call it."""
    return str(type(fault).__struct_config__.tag)


def target_of(fault: Timed) -> str:
    """What a fault strikes, in a word or two."""
    if not isinstance(fault, OnLink | OnNode):
        return "fabric"
    named = fault.link if isinstance(fault, OnLink) else fault.node
    return named or f"{fault.select}{' of ' + ', '.join(fault.among) if fault.among else ''}"


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
