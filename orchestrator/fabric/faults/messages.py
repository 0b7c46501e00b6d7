"""What befalls classical messages between their sending and their arrival.

A message takes its route as it is when it is sent, and meets the faults of each channel on its way, in the order of the
vocabulary. They act where it is about to enter the channel, so it is never faster than the channel itself. What is on
its way when a fault strikes is not touched, but by a cut of the fibre.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.fabric.clock import EventClass
from orchestrator.fabric.faults.channels import FORWARD
from orchestrator.fabric.faults.effects import (
    Corrupt,
    Draws,
    Duplicate,
    Effect,
    Hold,
    Latency,
    Loss,
    Narrow,
    Passing,
    Reorder,
    Tell,
)
from orchestrator.fabric.faults.interception import Interception
from orchestrator.fabric.happenings import Delivery, NodeSeat
from orchestrator.fabric.schedule import Occurrence
from orchestrator.fabric.world import World
from orchestrator.scenario.faults import (
    KINDS,
    Bandwidth,
    ManInTheMiddle,
    MessageCorrupt,
    MessageDuplicate,
    MessageLatency,
    MessageLoss,
    MessageReorder,
    kind_of,
)
from orchestrator.scenario.faults import Hold as HoldFault
from orchestrator.topology import Hop, Route
from qnode.wire import fabric

EFFECTS: dict[type, Callable[[Any, Draws, Tell], Effect]] = {
    ManInTheMiddle: Interception,
    MessageLoss: Loss.of,
    MessageDuplicate: Duplicate.of,
    MessageCorrupt: Corrupt.of,
    MessageLatency: Latency,
    MessageReorder: Reorder.of,
    Bandwidth: Narrow.of,
}
"""But ``hold``, which has to be healed by hand."""
ORDER = list(KINDS)


@dataclass(slots=True)
class _AtWork:
    """An effect on one direction of a channel."""

    order: int
    occurrence: Occurrence
    effect: Effect


@dataclass(slots=True, eq=False)
class _Held:
    """A message that waits for a fault to be healed."""

    passing: Passing
    route: Route
    sender: NodeSeat
    seat: NodeSeat


class MessageFaults:
    """The faults of messages that are at work, and the messages that they hold."""

    def __init__(self, world: World, count: Callable[[str, str], None]) -> None:
        self._world = world
        self._count = count
        self._on: dict[tuple[str, bool], list[_AtWork]] = {}
        """By channel and direction, in the order in which they act."""
        self._between: dict[tuple[str, str], list[Hold]] = {}
        """By sender and recipient."""
        self._holds: dict[Occurrence, Hold] = {}
        self._held: dict[Hold, list[_Held]] = {}

    @property
    def at_work(self) -> bool:
        """Whether there is any; if not, a message simply takes its time."""
        return bool(self._on or self._between)

    @property
    def holds(self) -> set[str]:
        """The names of the faults that hold messages for which somebody may wait."""
        return {hold.name for hold, held in self._held.items() if any(not each.passing.housekeeping for each in held)}

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Messages suffer from now on."""
        fault: Any = occurrence.fault
        effect = self._effect(occurrence)
        order = ORDER.index(kind_of(fault))
        for channel, forward in _struck(occurrence):
            effects = self._on.setdefault((channel, forward), [])
            effects.append(_AtWork(order, occurrence, effect))
            effects.sort(key=lambda each: each.order)
        if isinstance(effect, Hold):
            self._holds[occurrence] = effect
            for pair in _pairs(fault):
                self._between.setdefault(pair, []).append(effect)
        return _described(occurrence)

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They suffer no more; what is held goes on now."""
        for key in _struck(occurrence):
            self._on[key] = [each for each in self._on[key] if each.occurrence is not occurrence]
            if not self._on[key]:
                del self._on[key]
        hold = self._holds.pop(occurrence, None)
        if hold is None:
            return _described(occurrence)
        for pair in _pairs(occurrence.fault):
            self._between[pair].remove(hold)
            if not self._between[pair]:
                del self._between[pair]
        released = self._release(hold, at)
        return [{**details, "messages_released": released} for details in _described(occurrence)]

    def send(self, seat: NodeSeat, send: fabric.Send, route: Route) -> None:
        """Send a message through the faults of its way."""
        passing = Passing(seat.name, send.to, send.payload, send.at, send.at, send.housekeeping)
        passings = [passing]
        for position, hop in enumerate(route.hops):
            effects = [each.effect for each in self._on.get((hop.channel, hop.forward), ())]
            if position == 0:
                effects += self._between.get((seat.name, send.to), ())
            for effect in effects:
                passings = [after for each in passings for after in effect.act(each, hop)]
            for each in passings:
                each.enters.append(each.at)
                each.at += hop.latency_ps
        recipient = self._world.seats[send.to]
        for each in passings:
            if not each.lost:
                self._go_on(_Held(each, route, seat, recipient), send.at, "message")

    def lose_in_flight(self, channel: str, fraction: float, fault: str, at: int) -> int:
        """Messages that have not passed a point of a channel at ``at`` (ps), ``fraction`` of the way from its link's
        first end, never will. Returns how many there are."""
        lost = 0
        for what in self._world.agenda.pending():
            if not isinstance(what, Delivery) or what.route is None or what.lost:
                continue
            if hop := _not_past(what.route, what.entered(), channel, fraction, at):
                assert isinstance(what.event, fabric.Delivered)
                what.lost = True
                lost += 1
                event = what.event
                passing = Passing(event.sender, what.seat.name, event.payload, at, at, what.housekeeping)
                self._teller(fault)("message_lost", passing, hop, {})
        for held in self._held.values():
            for each in list(held):
                waits_before = each.passing.held_by[0][1]
                enters = [*each.passing.enters[:waits_before], *[at] * (len(each.route.hops) - waits_before)]
                if hop := _not_past(each.route, enters, channel, fraction, at):
                    held.remove(each)
                    lost += 1
                    each.passing.sent_at = at
                    self._teller(fault)("message_lost", each.passing, hop, {})
        return lost

    def _effect(self, occurrence: Occurrence) -> Effect:
        fault, tell = occurrence.fault, self._teller(occurrence.name)
        if isinstance(fault, HoldFault):
            return Hold(occurrence.name, tell)
        streams = self._world.streams
        draws = Draws(streams.of("fault", occurrence.name), streams.of("fault_copies", occurrence.name))
        return EFFECTS[type(fault)](fault, draws, tell)

    def _teller(self, fault: str) -> Tell:
        def tell(kind: str, passing: Passing, hop: Hop, details: dict[str, Any]) -> None:
            self._count(fault, kind)
            self._write(passing.sent_at, kind, passing, fault=fault, link=hop.channel, **details)

        return tell

    def _write(self, at: int, kind: str, passing: Passing, **details: Any) -> None:
        if not passing.housekeeping:
            size = len(passing.payload)
            self._world.log.write(at, kind, sender=passing.sender, to=passing.to, bytes=size, **details)

    def _go_on(self, held: _Held, at: int, kind: str, **details: Any) -> None:
        """Let a message wait for the next fault that holds it, or else arrive."""
        passing = held.passing
        if passing.held_by:
            self._held.setdefault(passing.held_by[0][0], []).append(held)
            return
        self._write(at, kind, passing, arrives_ps=passing.at, **details)
        event = fabric.Delivered(at=passing.at, sender=passing.sender, payload=passing.payload)
        delivery = Delivery(held.seat, event, passing.housekeeping, route=held.route, enters=tuple(passing.enters))
        self._world.agenda.add(passing.at, EventClass.MESSAGE, held.sender.number, delivery)

    def _release(self, hold: Hold, at: int) -> int:
        """What it holds goes on at ``at`` (ps), a picosecond apart, so that it stays in its order."""
        waiting = self._held.pop(hold, [])
        waiting.sort(key=lambda each: each.passing.enters[each.passing.held_by[0][1]])
        free = at
        for each in waiting:
            passing = each.passing
            _, position = passing.held_by.pop(0)
            enters = max(free, passing.enters[position])
            free = enters + 1
            late = enters - passing.enters[position]
            passing.enters[position:] = [instant + late for instant in passing.enters[position:]]
            passing.at += late
            self._count(hold.name, "message_released")
            self._go_on(each, at, "message_released", fault=hold.name)
        return len(waiting)


def _struck(occurrence: Occurrence) -> list[tuple[str, bool]]:
    fault: Any = occurrence.fault
    return [(channel, forward) for channel in occurrence.targets for forward in FORWARD[fault.direction]]


def _pairs(fault: Any) -> list[tuple[str, str]]:
    """Of a hold between two nodes: whose messages to whom."""
    if not fault.between:
        return []
    first, second = fault.between
    return [(first, second) if forward else (second, first) for forward in FORWARD[fault.direction]]


def _described(occurrence: Occurrence) -> list[dict[str, Any]]:
    fault: Any = occurrence.fault
    if isinstance(fault, HoldFault) and fault.between:
        return [{"between": fault.between, "direction": fault.direction}]
    return [{"link": channel, "direction": fault.direction} for channel in occurrence.targets]


def _not_past(route: Route, enters: Sequence[int], channel: str, fraction: float, at: int) -> Hop | None:
    """The hop over a channel, if a point of it still is before the message."""
    for hop, entered in zip(route.hops, enters, strict=True):
        if hop.channel == channel:
            way = fraction if hop.forward else 1.0 - fraction
            if entered + round(way * hop.latency_ps) >= at:
                return hop
    return None
