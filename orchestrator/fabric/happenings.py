"""What the engine keeps and what it has to do: seats of nodes, and things that happen at an instant."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.fabric.generation import LinkGeneration, Series
from orchestrator.fabric.local_clock import LocalClock
from orchestrator.fabric.schedule import Heal, Strike
from orchestrator.topology import Route
from qnode.wire import fabric
from qnode.wire.quantum import Step


@dataclass(slots=True)
class NodeSeat:
    """A node at the fabric."""

    name: str
    number: int
    holds: bool = False
    started: bool = False
    gone: bool = False
    incarnation: int = 0
    wake_at: int | None = None
    queued_wakes: set[int] = field(default_factory=set)
    applications: int = 0
    strangers: int = 0
    flowing: int = 0
    expects: bool = False
    """Whether something may come of waking it."""
    blocked_once: bool = False
    events: list[fabric.Event] = field(default_factory=list)
    work_at: int | None = None
    """The first instant of this window at which the node has something to do."""
    granted_at: int = 0
    """Where its last grant begins."""
    clock: LocalClock | None = None
    """Its own, where that is wrong."""
    pauses: int = 0
    """How many faults keep it from noticing anything."""
    deferred: list[tuple[fabric.Event, bool]] = field(default_factory=list)
    """What happened to it meanwhile, and whether that is housekeeping."""
    late_ps: int = 0
    """How much later than it happens it notices anything."""


@dataclass(slots=True)
class Wake:
    """A node asked to be woken now."""

    seat: NodeSeat
    late: bool = False
    """Whether a slow node's delay is over."""


@dataclass(slots=True)
class CircuitStep:
    """A step of a circuit is complete now."""

    seat: NodeSeat
    operation: int
    steps: tuple[Step, ...]
    position: int
    bits: tuple[int, ...]


@dataclass(slots=True)
class Departure:
    """A qubit leaves for a link now."""

    seat: NodeSeat
    operation: int
    link: str
    qubit: str


@dataclass(slots=True)
class Looked:
    """A node looks at the true state of its qubits now."""

    seat: NodeSeat
    operation: int
    look: fabric.Look


@dataclass(slots=True)
class QubitArrival:
    """A transmitted qubit reaches the far end now, or would have."""

    link: str
    seat: NodeSeat
    qubit: str
    survived: bool
    lost_to: str = ""
    """The fault that took it on its way."""


@dataclass(slots=True)
class HeraldArrival:
    """A herald reaches one end now."""

    generation: LinkGeneration
    series: Series
    end: int
    seat: NodeSeat

    @property
    def lost(self) -> bool:
        """Whether it never comes: the attempts were broken off, or a fault took it on its way."""
        return self.series.cancelled or self.series.unheard == self.end


@dataclass(slots=True)
class Delivery:
    """An event for a node, and nothing else."""

    seat: NodeSeat
    event: fabric.Event
    housekeeping: bool = False
    late: bool = False
    route: Route | None = None
    """Of a message."""
    enters: tuple[int, ...] = ()
    """When it enters each channel of its route, where a fault may have delayed it."""
    lost: bool = False
    """On its way, since it was sent."""

    def entered(self) -> tuple[int, ...]:
        """When a message enters each channel of its route (ps)."""
        if self.enters or self.route is None:
            return self.enters
        latencies = [hop.latency_ps for hop in self.route.hops]
        return tuple(self.event.at - sum(latencies[position:]) for position in range(len(latencies)))


What = Wake | CircuitStep | Departure | Looked | QubitArrival | HeraldArrival | Delivery | Strike | Heal


def comes_to_something(what: What) -> bool:
    """Whether a network in which only such things happen is still doing what somebody wants: not its own upkeep."""
    if isinstance(what, Wake):
        return what.seat.expects and not what.seat.gone
    if isinstance(what, Delivery):
        return not what.housekeeping and not what.lost and not what.seat.gone
    if isinstance(what, HeraldArrival):
        return not what.lost
    if isinstance(what, Strike | Heal):
        return not what.for_ever  # but see Faults.holds_back
    return not (isinstance(what, CircuitStep | Departure | Looked) and what.seat.gone)
