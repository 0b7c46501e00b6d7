"""The faults of a run: which are known, which of them are at work now, and who carries each kind out."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any, Protocol

from orchestrator.fabric import schedule
from orchestrator.fabric.clock import EventClass
from orchestrator.fabric.faults.channels import ChannelStates
from orchestrator.fabric.faults.clocks import ClockFaults
from orchestrator.fabric.faults.cuts import FibreCuts
from orchestrator.fabric.faults.links import LinkStates
from orchestrator.fabric.faults.memory import Bursts, FailedSlots, Lifetimes
from orchestrator.fabric.faults.messages import EFFECTS, MessageFaults
from orchestrator.fabric.faults.nodes import EndedNodes, HinderedFabric, HinderedNodes
from orchestrator.fabric.faults.quantum import QuantumChannels
from orchestrator.fabric.schedule import Heal, Occurrence, Strike
from orchestrator.fabric.world import World
from orchestrator.scenario import Link
from orchestrator.scenario.faults import (
    ClassicalDown,
    ClockDrift,
    ClockJump,
    ClockOffset,
    ClockReset,
    Ending,
    FabricPause,
    FabricSlow,
    Fault,
    FibreCut,
    Hold,
    Lasting,
    LinkDown,
    NodeKill,
    NodePause,
    NodeRestart,
    NodeSlow,
    NodeStop,
    OnLink,
    OnNode,
    OnNodes,
    Partition,
    QuantumDown,
    cannot_strike,
    kind_of,
    named,
)

Details = dict[str, Any]
"""What a line of the event log says of a strike or a healing, beside name, kind and cause."""


class Handler(Protocol):
    """Carries out faults of some kinds."""

    def strike(self, occurrence: Occurrence, at: int) -> list[Details]:
        """The fault begins at ``at`` (ps); returns a line for the event log for each thing that it struck."""
        ...

    def heal(self, occurrence: Occurrence, at: int) -> list[Details]:
        """It is over at ``at`` (ps); returns lines likewise."""
        ...


class Faults:
    """All faults of a run, by name. They strike and heal at virtual instants, which no window reaches beyond."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, tuple[Fault, str]] = {}
        """Those that have not been removed, with their causes."""
        self._active: list[Occurrence] = []
        self._instants: list[int] = []
        self.effects: dict[str, Counter[str]] = {}
        """What each fault has done, by name: how often, in the words of the event log's kinds of lines."""
        channels = ChannelStates(world)
        self.links = LinkStates(world, channels)
        self.messages = MessageFaults(world, self.count)
        cuts = FibreCuts(world, self.links, self.messages, self.count)
        slots = FailedSlots(world)
        ended = EndedNodes(world, self.links, slots)
        hindered, clocks, fabric = HinderedNodes(world), ClockFaults(world), HinderedFabric(world)
        self.quantum = QuantumChannels(world)
        memories = (Lifetimes(world), Bursts(world), slots)
        self._handlers: dict[type, Handler] = {
            **dict.fromkeys((LinkDown, QuantumDown), self.links),
            FibreCut: cuts,
            **dict.fromkeys((ClassicalDown, Partition), channels),
            **dict.fromkeys((*EFFECTS, Hold), self.messages),
            **dict.fromkeys((NodeKill, NodeStop, NodeRestart), ended),
            **dict.fromkeys((NodePause, NodeSlow), hindered),
            **dict.fromkeys((ClockOffset, ClockDrift, ClockJump, ClockReset), clocks),
            **dict.fromkeys((FabricPause, FabricSlow), fabric),
            **{kind: handler for handler in (self.quantum, *memories) for kind in handler.KINDS},
        }

    def count(self, name: str, what: str, number: int = 1) -> None:
        """The fault of that name has done something: ``message_lost``, ``herald_lost`` ... Every one counts, also those
        of which the event log has no line."""
        self.effects.setdefault(name, Counter())[what] += number

    def begin(self) -> None:
        """The scenario's faults have their instants."""
        for fault in named(self._world.scenario.faults):
            self._schedule(fault, "scenario", schedule.first_at(fault))

    def add(self, fault: Fault, *, now: int) -> str:
        """Break something else, at its own time but not before ``now`` (ps). Returns the fault's name.

        Raises:
            ValueError: there is a fault of that name, or it cannot strike what it names.
        """
        if fault.name in self._known:
            raise ValueError(f"expected a new name, found {fault.name!r}, which is the name of another fault")
        link = self._world.scenario.links.get(fault.link) if isinstance(fault, OnLink) else None
        if link is not None and (reason := _cannot_strike(type(fault), link)):
            raise ValueError(f"expected {reason}")
        (fault,) = named((fault,), taken=tuple(self._known))
        self._schedule(fault, "control", max(schedule.first_at(fault), now))
        return fault.name

    def remove(self, name: str, *, now: int) -> None:
        """A fault strikes no more, and what it broke is healed at ``now`` (ps).

        Raises:
            KeyError: there is none of that name.
        """
        del self._known[name]
        for occurrence in self._active:
            if occurrence.name == name:
                self._at(now, Heal(occurrence, "removed"))

    def listed(self) -> list[tuple[Fault, str, bool]]:
        """All faults that are known, with their causes, and whether each is at work."""
        active = {occurrence.name for occurrence in self._active}
        return [(fault, cause, name in active) for name, (fault, cause) in self._known.items()]

    @property
    def strike_for_ever(self) -> bool:
        """Whether a fault strikes again and again until it is removed."""
        return any(schedule.strikes_for_ever(fault) for fault, _ in self._known.values())

    def brings_applications(self) -> bool:
        """Whether a node that has ended is to be started again with applications of the scenario on it."""
        on = {each.node for each in self._world.scenario.applications}
        return any(
            isinstance(each.fault, Ending)
            and each.fault.restart_applications
            and each.fault.for_s is not None
            and on.intersection(each.targets)
            for each in self._active
        )

    def next_instant(self, now: int) -> int | None:
        """The earliest instant after ``now`` (ps) at which a fault strikes or heals."""
        while self._instants and self._instants[0] <= now:
            heapq.heappop(self._instants)
        return self._instants[0] if self._instants else None

    def holds_back(self) -> bool:
        """Whether something will go on once a fault that strikes again and again is healed."""
        if any(each.name in self.messages.holds for each in self._active if schedule.strikes_for_ever(each.fault)):
            return True
        links = {
            link for each in self._active if schedule.strikes_for_ever(each.fault) for link in each.targets
        } & self._world.links.keys()
        return any(self._world.links[link].stalled for link in links)

    def carry_out(self, what: Strike | Heal, at: int) -> None:
        """A fault begins or is over."""
        if isinstance(what, Strike):
            self._strike(what, at)
        else:
            self._heal(what, at)

    def _schedule(self, fault: Fault, cause: str, at: int) -> None:
        self._known[fault.name] = (fault, cause)
        self._at(at, Strike(fault, cause))

    def _at(self, at: int, what: Strike | Heal) -> None:
        self._world.agenda.add(at, EventClass.FAULT, 0, what)
        heapq.heappush(self._instants, at)

    def _strike(self, strike: Strike, at: int) -> None:
        fault, cause = strike.fault, strike.cause
        if self._known.get(fault.name, (None,))[0] is not fault:
            return
        stream = self._world.streams.of("fault_select", fault.name)
        occurrence = Occurrence(fault, cause, schedule.targets(fault, self._candidates(fault), stream))
        if isinstance(fault, Lasting):
            self._active.append(occurrence)
            if (heals_at := schedule.heals_at(fault, at)) is not None:
                self._at(heals_at, Heal(occurrence, "its time is over"))
        for details in self._handlers[type(fault)].strike(occurrence, at):
            self._world.log.write(at, "fault", name=fault.name, fault=kind_of(fault), cause=cause, **details)
        if (next_at := strike.next_at(at)) is not None:
            self._at(next_at, Strike(fault, cause, strike.number + 1))

    def _heal(self, heal: Heal, at: int) -> None:
        occurrence = heal.occurrence
        if occurrence not in self._active:
            return  # it was removed before its time
        self._active.remove(occurrence)
        fault = occurrence.fault
        for details in self._handlers[type(fault)].heal(occurrence, at):
            self._world.log.write(at, "healed", name=fault.name, fault=kind_of(fault), cause=heal.cause, **details)

    def _candidates(self, fault: Fault) -> list[str]:
        """All that a fault of this kind can strike."""
        scenario = self._world.scenario
        if isinstance(fault, OnNode | OnNodes):
            return list(scenario.nodes)
        if isinstance(fault, OnLink):
            kind, links = type(fault), scenario.links.items()
            quantum = [name for name, link in links if not _cannot_strike(kind, link)]
            return [*quantum, *(scenario.classical_links if fault.strikes_classical_links else ())]
        return []


def _cannot_strike(kind: type[Fault], link: Link) -> str:
    scheme = str(type(link.heralding).__struct_config__.tag)
    return cannot_strike(kind, scheme=scheme, length_km=link.length_km)
