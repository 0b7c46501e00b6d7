"""The data plane of circuits at one node: rules made of building blocks, matched on local state.

A circuit's links are numbered from the head. At each node a circuit has a side for each of its links there. Every side
generates pairs; a side may distil them; a router swaps one pair of either side; an end delivers. What is older than the
cutoff is discarded. The rules are RFC 9340 section 4.4's operations, with local state as their only condition.

A pair keeps the id that its link gave it until its ends name it anew. So a router that has joined two pairs knows which
is which, and news that one of them died goes on along the other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from qnode.config import LinkConfiguration
from qnode.stack.circuits.distilling import Distilling
from qnode.stack.circuits.link_pair import Frame, LinkPair, number_of, xor
from qnode.stack.circuits.reservations import Reservation
from qnode.stack.circuits.rules import BuildingBlock, ForwardingRule
from qnode.stack.circuits.then import Then
from qnode.stack.core import Core
from qnode.stack.link_layer import Generating, LinkLayer
from qnode.stack.memory import Cause, HeldQubit
from qnode.wire.application import DistillationProtocol, DistillationSchedule
from qnode.wire.circuits import (
    CircuitMessage,
    DistilPairs,
    Hop,
    PairDied,
    PairDistilled,
    Path,
    SegmentGrew,
    SwapOutcome,
)
from qnode.wire.fabric import Circuit, Heralded
from qnode.wire.quantum import MeasureBell, Move

MOST_REMEMBERED = 4096
"""Joined and early dead pairs that a node remembers for each circuit."""


class End(Protocol):
    """What an end of a circuit does with its side's pairs."""

    def ready(self, pair: LinkPair) -> None:
        """A pair is there, distilled as the circuit's path says."""

    def died(self, pair_id: str, reason: str) -> None:
        """A pair that this end has taken is worth nothing."""

    def distil(self, message: DistilPairs | PairDistilled) -> None:
        """The other end's part in distilling pairs."""


@dataclass(slots=True, eq=False)
class Side:
    """One link of the circuit at this node: a consumer of the link layer."""

    circuit: Installed
    hop: Hop
    link: LinkConfiguration
    is_upstream: bool
    purpose: str
    priority: int
    at_once: int
    reserved: bool
    is_full: bool = False
    to_herald: int = 0
    operating_point: int = 0
    pairs: OrderedDict[str, LinkPair] = field(default_factory=OrderedDict)
    """Ready to be swapped or delivered, the oldest first."""
    taken: dict[str, LinkPair] = field(default_factory=dict)
    """Being moved, distilled or swapped, or taken by the end."""
    early: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """Pairs that died before their herald came, and why."""
    distilling: Distilling | None = None
    grown: OrderedDict[str, SegmentGrew] = field(default_factory=OrderedDict)
    """In nested swapping: news of how far pairs reach that came before they were ready."""
    last_number: int = -1

    @property
    def core(self) -> Core:
        """The node's."""
        return self.circuit.core

    @property
    def circuit_name(self) -> str:
        """The circuit's id."""
        return self.circuit.name

    @property
    def chooses(self) -> bool:
        """Whether this is the link's end nearer to the head."""
        return not self.is_upstream

    @property
    def protocol(self) -> DistillationProtocol:
        """As the path says."""
        return self.circuit.path.distillation_protocol

    @property
    def schedule(self) -> DistillationSchedule:
        """As the path says."""
        return self.circuit.path.distillation_schedule

    @property
    def rounds_wanted(self) -> int:
        """As the path says of this link."""
        return self.hop.distillation_rounds

    def heralded(self, held: HeldQubit, herald: Heralded) -> None:
        """A pair of this link."""
        self.last_number = number_of(herald.pair_id)
        pair = LinkPair(herald.pair_id, held, (herald.bell_index >> 1, herald.bell_index & 1), self.circuit.core.now)
        pair.far_node, pair.far_pair = self.link.remote, pair.pair_id
        held.released = self._slot_freed
        reason = self.early.pop(herald.pair_id, None)
        if reason is not None:
            self.circuit.core.discard(held, why=reason, tell=False)
            self.look()
        elif self.reserved or self.circuit.takes_at_once:
            self._ready(pair)
        else:
            self.taken[pair.pair_id] = pair
            self._move(pair)

    def died(self, held: HeldQubit, why: str, *, tell: bool) -> None:
        """News that a pair had died came before its herald."""
        assert held.pair is not None
        pair_id = held.pair.pair_id
        self.last_number = number_of(pair_id)
        held.released = self._slot_freed
        self.to_herald -= 1
        if tell:
            self._tell_death(pair_id, why)
        self.circuit.core.discard(held, why=why, tell=False)
        if self.circuit.end is not None:
            self.circuit.end.died(pair_id, why)
        self.look()

    def refused(self, reason: str) -> None:
        """The fabric will never make such pairs on this link: a fault of the configuration."""
        self.to_herald = 0
        self.circuit.core.record("circuit_link_refused", circuit=self.circuit.name, link=self.link.name, reason=reason)

    def _move(self, pair: LinkPair) -> None:
        """Into storage, so that the communication slot is free for others."""
        memory = self.circuit.core.memory
        pair.held.busy = True
        if memory.free("storage") == 0:
            self.circuit.core.settle(pair.held)
            self._lose_taken(pair, "no storage slot was free")
            return
        old = memory.begin_move(pair.held, "storage")

        def moved(_: tuple[int, ...]) -> None:
            memory.end_move(old)
            self.circuit.core.settle(pair.held)
            if self.taken.pop(pair.pair_id, None) is not None:
                self._ready(pair)

        def not_moved(_: str, reason: str) -> None:
            memory.undo_move(pair.held, old)
            died = pair.held.doomed is not None
            self.circuit.core.settle(pair.held)
            if not died:
                self._lose_taken(pair, reason)

        self.circuit.core.operate(Circuit(steps=(Move(qubit=pair.held.name, role="storage"),)), Then(moved, not_moved))

    def _lose_taken(self, pair: LinkPair, reason: str) -> None:
        self.lose(pair, reason)
        if self.circuit.end is not None:
            self.circuit.end.died(pair.pair_id, reason)

    def _ready(self, pair: LinkPair) -> None:
        self.pairs[pair.pair_id] = pair
        grown = self.grown.pop(pair.pair_id, None)
        if grown is not None:
            pair.far_node, pair.far_pair = grown.far_node, grown.far_pair
        self.circuit.watch(self, pair)
        self.look()

    def look(self) -> None:
        """Apply the rules to what is ready."""
        if self.distilling is not None:
            self.distilling.look()
        self.circuit.look()

    def fully_distilled(self, pair: LinkPair) -> bool:
        """Whether the pair has had all the rounds that the path asks for."""
        return pair.rounds >= self.hop.distillation_rounds

    def undistilled(self) -> list[LinkPair]:
        """What is ready and has rounds to come."""
        return [pair for pair in self.pairs.values() if not self.fully_distilled(pair)]

    def common_name(self, pair: LinkPair) -> str:
        """The link's id of the pair."""
        return pair.pair_id

    def ready_under(self, common_name: str) -> LinkPair | None:
        """A pair that is ready."""
        return self.pairs.get(common_name)

    def is_coming(self, common_name: str) -> bool:
        """Whether the pair's herald has not come yet, or it is on its way into storage."""
        return common_name in self.taken or common_name in self.pairs or number_of(common_name) > self.last_number

    def take(self, pair: LinkPair) -> None:
        """The pair is being worked on; other rules leave it alone."""
        del self.pairs[pair.pair_id]
        self.taken[pair.pair_id] = pair

    def give_back(self, pair: LinkPair) -> None:
        """The pair is ready again."""
        if self.taken.pop(pair.pair_id, None) is not None:
            self._ready(pair)

    def spoil(self, pair: LinkPair, reason: str) -> None:
        """Discard a pair that the other end knows to be worth nothing; one that was measured is only forgotten."""
        self.forget(pair)
        if reason:
            self.core.record("pair_died", circuit=self.circuit.name, pair=pair.pair_id, reason=reason)
            self.core.discard(pair.held, why=reason, tell=False)

    def tell_other_end(self, message: DistilPairs | PairDistilled) -> None:
        """Send to the neighbour."""
        self.circuit.tell(self.link.remote, message)

    def lose(self, pair: LinkPair, reason: str) -> None:
        """This end discards a pair, and tells the other."""
        self.forget(pair)
        core = self.circuit.core
        core.record("pair_died", circuit=self.circuit.name, pair=pair.pair_id, reason=reason)
        self._tell_death(pair.pair_id, reason)
        core.discard(pair.held, why=reason, tell=False)

    def _tell_death(self, pair_id: str, reason: str) -> None:
        self.circuit.tell(self.link.remote, PairDied(circuit=self.circuit.name, pair_id=pair_id, reason=reason))

    def forget(self, pair: LinkPair) -> None:
        """The pair is no longer this side's."""
        self.pairs.pop(pair.pair_id, None)
        self.taken.pop(pair.pair_id, None)
        self.circuit.core.cancel_timer(("pair_cutoff", pair.pair_id, 0))

    def _slot_freed(self) -> None:
        """The qubit of one of its pairs is gone."""
        if not self.circuit.closed:
            self.to_herald += 1
            if self.reserved:
                self.circuit.link_layer.set_aside += 1


@dataclass(slots=True, eq=False)
class Installed:
    """A circuit's rules at this node, as long as they stand."""

    core: Core
    link_layer: LinkLayer
    path: Path
    position: int
    """0 at the head, the number of links at the tail."""
    tell: Callable[[str, CircuitMessage], None]
    end: End | None = None
    takes_at_once: bool = False
    """Whether pairs are used up as soon as they are heralded, so that they need no storage."""
    sides: dict[str, Side] = field(default_factory=dict)
    """By link."""
    joined: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """Which pair each swapped pair was joined to."""
    dying: dict[str, str] = field(default_factory=dict)
    """Pairs that died while they were being swapped, and why."""
    closed: bool = False
    swaps: int = 0

    @property
    def name(self) -> str:
        """The circuit's id."""
        return self.path.circuit

    def install(self, reservation: Reservation, *, sharing: tuple[str, ...] = ()) -> None:
        """Begin to generate; ``sharing``: neighbours on the path that have no slots for the circuit alone."""
        hops = self.path.hops
        around: tuple[tuple[Hop, bool], ...] = ((hops[self.position - 1], True),) if self.position > 0 else ()
        around += ((hops[self.position], False),) if self.position < len(hops) else ()
        for hop, is_upstream in around:
            side = Side(
                self,
                hop,
                self.link_layer.links[hop.link],
                is_upstream,
                purpose=f"circuit {self.name} {self.path.generation}",
                priority=self.path.priority,
                at_once=reservation.slots_per_side,
                reserved=reservation.dedicated,
                to_herald=reservation.slots_per_side,
                operating_point=hop.operating_point,
            )
            if hop.distillation_rounds:
                side.distilling = Distilling(side)
            self.sides[hop.link] = side
            if reservation.dedicated:
                self.link_layer.set_aside += reservation.slots_per_side
            self.link_layer.add(side, other_end_shares=side.link.remote in sharing)

    def uninstall(self, reason: str) -> None:
        """Stop; discard every pair that is not delivered."""
        self.closed = True
        for side in self.sides.values():
            if side.distilling is not None:
                side.distilling.stop()
            self.link_layer.remove(side)
            if side.reserved:
                bound = sum(each.bound_for is side for each in self._generating(side))
                used = sum(held.released == side._slot_freed for held in self.core.memory.qubits.values())
                self.link_layer.set_aside -= max(0, side.at_once - bound - used)
                side.reserved = False
            for pair in (*side.pairs.values(), *side.taken.values()):
                side.forget(pair)
                self.core.discard(pair.held, why=reason, tell=False)

    def _generating(self, side: Side) -> list[Generating]:
        return self.link_layer.generating.get((side.link.name, side.purpose), [])

    def rules(self) -> tuple[ForwardingRule, ...]:
        """What this node does for the circuit, in words."""
        rules = []
        for side in self.sides.values():
            name = "upstream" if side.is_upstream else "downstream"
            rules.append(ForwardingRule(BuildingBlock.GENERATE, name, f"while fewer than {side.at_once} pairs"))
            if side.hop.distillation_rounds:
                rounds = side.hop.distillation_rounds
                rules.append(ForwardingRule(BuildingBlock.DISTIL, name, f"two pairs of equal round below {rounds}"))
            rules.append(ForwardingRule(BuildingBlock.DISCARD, name, "older than the cutoff"))
        if len(self.sides) == 2:
            when = "a pair on either side"
            if self.path.swapping == "nested":
                up, down = self._segment()
                when += f" that reaches {up} and {down}"
            rules.append(ForwardingRule(BuildingBlock.SWAP, "both", when))
        else:
            rules.append(ForwardingRule(BuildingBlock.DELIVER, name, "its other end is the circuit's other end"))
        return tuple(rules)

    def watch(self, side: Side, pair: LinkPair) -> None:
        """Discard the pair when it has waited too long."""
        cutoff_ps = self.path.cutoff_ps if self.path.cutoff_ps is not None else self.core.cutoff_ps(pair.held)
        if cutoff_ps is not None and pair.held.pair is not None:
            age = self.core.now - pair.held.pair.emitted_at
            self.core.set_timer(max(0, cutoff_ps - age), ("pair_cutoff", pair.pair_id, 0))

    def expired(self, pair_id: str) -> None:
        """A pair has reached the cutoff; one that is being swapped is past it, too, but goes its way."""
        side = self._side_of(pair_id)
        if side is not None and pair_id in side.pairs:
            side.lose(side.pairs[pair_id], "older than the cutoff")
        elif side is not None and pair_id in side.taken and self.end is not None:
            pair = side.taken[pair_id]
            if pair.held.busy:
                pair.overdue = True
            else:
                side.lose(pair, "older than the cutoff")
                self.end.died(pair_id, "older than the cutoff")

    def lost(self, pair_id: str, reason: str) -> None:
        """The half here of a pair is lost. One that is being swapped is told of when that is refused."""
        side = self._side_of(pair_id)
        pair = (side.pairs.get(pair_id) or side.taken.get(pair_id)) if side is not None else None
        if side is None or pair is None or pair.swapping:
            return
        side.lose(pair, reason)
        if self.end is not None:
            self.end.died(pair_id, reason)

    def look(self) -> None:
        """Apply the rules: swap, or let the end take what is ready."""
        if self.closed:
            return
        if self.end is not None:
            (side,) = self.sides.values()
            for pair in [pair for pair in side.pairs.values() if side.fully_distilled(pair)]:
                side.take(pair)
                self.end.ready(pair)
            return
        up, down = self.sides.values()
        while True:
            first = self._swappable(up)
            second = self._swappable(down)
            if first is None or second is None:
                return
            self._swap(up, first, down, second)

    def _swappable(self, side: Side) -> LinkPair | None:
        """The oldest pair of a side that the rule matches."""
        nested = self.path.swapping == "nested"
        reach = self._segment()[0 if side.is_upstream else 1] if nested else ""
        for pair in side.pairs.values():
            if side.fully_distilled(pair) and not pair.held.busy and (not nested or pair.far_node == reach):
                return pair
        return None

    def _segment(self) -> tuple[str, str]:
        """In nested swapping: the nodes between which this one joins two segments of 2^level links."""
        hops = self.path.hops
        length = self.position & -self.position
        first, last = self.position - length, min(self.position + length, len(hops))
        nodes = (*(hop.upstream for hop in hops), hops[-1].downstream)
        return nodes[first], nodes[last]

    def _swap(self, up: Side, first: LinkPair, down: Side, second: LinkPair) -> None:
        core = self.core
        for side, pair in ((up, first), (down, second)):
            side.take(pair)
            core.cancel_timer(("pair_cutoff", pair.pair_id, 0))
            pair.held.busy = pair.swapping = True
            pair.held.slot.change(Cause.LEAVE)

        def swapped(bits: tuple[int, ...]) -> None:
            self.swaps += 1
            self._remember(first.pair_id, second.pair_id)
            self._gone(up, first, down, second, f"was swapped at {core.now / 1e12:.9g} s")
            reasons = [self.dying.pop(pair.pair_id, None) for pair in (first, second)]
            for dead, side, other in ((reasons[0], down, second), (reasons[1], up, first)):
                if dead is not None:
                    told = PairDied(circuit=self.name, pair_id=other.pair_id, reason=dead)
                    self.tell(side.link.remote, told)
            if reasons == [None, None]:
                self._tell_outcome(first, second, xor((bits[0], bits[1]), second.frame))

        def failed(code: str, reason: str) -> None:
            why = "the Bell measurement was inconclusive" if code == "inconclusive" else reason
            for pair in (first, second):
                self.dying.pop(pair.pair_id, None)
            if code == "inconclusive":
                self._gone(up, first, down, second, "was lost in a swap")
            else:
                for side, pair in ((up, first), (down, second)):
                    side.forget(pair)
                    core.settle(pair.held)
                    core.discard(pair.held, why=why, tell=False)
            core.record("swap_failed", circuit=self.name, upstream=first.pair_id, downstream=second.pair_id)
            for side, pair in ((up, first), (down, second)):
                self.tell(side.link.remote, PairDied(circuit=self.name, pair_id=pair.pair_id, reason=why))

        step = MeasureBell(qubits=(first.held.name, second.held.name))
        core.operate(Circuit(steps=(step,)), Then(swapped, failed))

    def _gone(self, up: Side, first: LinkPair, down: Side, second: LinkPair, why: str) -> None:
        for side, pair in ((up, first), (down, second)):
            side.taken.pop(pair.pair_id, None)
            self.core.memory.release(pair.held, why=why)

    def _remember(self, first: str, second: str) -> None:
        self.joined[first], self.joined[second] = second, first
        while len(self.joined) > MOST_REMEMBERED:
            self.joined.popitem(last=False)

    def _tell_outcome(self, first: LinkPair, second: LinkPair, frame: Frame) -> None:
        path = self.path
        head = path.hops[0].upstream
        self.core.record("swap", circuit=self.name, upstream=first.pair_id, downstream=second.pair_id)
        self.tell(
            head,
            SwapOutcome(
                circuit=self.name,
                generation=path.generation,
                upstream_pair=first.pair_id,
                downstream_pair=second.pair_id,
                frame=frame,
            ),
        )
        if path.swapping == "nested":
            tail = path.hops[-1].downstream
            for near, far in ((first, second), (second, first)):
                if near.far_node not in (head, tail):
                    grew = SegmentGrew(
                        circuit=self.name,
                        generation=path.generation,
                        pair_id=near.far_pair,
                        far_node=far.far_node,
                        far_pair=far.far_pair,
                    )
                    self.tell(near.far_node, grew)

    def grew(self, message: SegmentGrew) -> None:
        """A pair's other end is further away now."""
        side = self._side_of(message.pair_id)
        if side is None:
            return
        pair = side.pairs.get(message.pair_id)
        if pair is not None:
            if self._is_further(message.far_node, pair.far_node):
                pair.far_node, pair.far_pair = message.far_node, message.far_pair
                self.look()
        elif side.is_coming(message.pair_id):
            before = side.grown.get(message.pair_id)
            if before is None or self._is_further(message.far_node, before.far_node):
                side.grown[message.pair_id] = message
                while len(side.grown) > MOST_REMEMBERED:
                    side.grown.popitem(last=False)

    def _is_further(self, node: str, other: str) -> bool:
        """Whether a node of the path is further from here than another: news may overtake older news."""
        nodes = [hop.upstream for hop in self.path.hops] + [self.path.hops[-1].downstream]
        if node not in nodes or other not in nodes:
            return False
        return abs(nodes.index(node) - self.position) > abs(nodes.index(other) - self.position)

    def has(self, pair_id: str) -> bool:
        """Whether it is one of the circuit's pairs here, not yet named by its ends."""
        side = self._side_of(pair_id)
        return side is not None and (pair_id in side.pairs or pair_id in side.taken)

    def distil(self, sender: str, message: DistilPairs | PairDistilled) -> None:
        """Another node's part in distilling two pairs of a link, or of the two ends."""
        if message.between_ends:
            if self.end is not None:
                self.end.distil(message)
            return
        side = self._side_of(message.kept)
        if side is not None and side.distilling is not None and side.link.remote == sender:
            side.distilling.told(message)

    def pair_died(self, message: PairDied) -> None:
        """News from a neighbour: discard the half here, or pass the news on along the pair it was joined to."""
        pair_id, reason = message.pair_id, message.reason
        side = self._side_of(pair_id)
        if side is None:
            return
        pair = side.pairs.get(pair_id)
        if pair is not None:
            side.forget(pair)
            self.core.discard(pair.held, why=reason, tell=False)
        elif pair_id in side.taken:
            self._died_in_use(side, side.taken[pair_id], reason)
        elif pair_id in self.joined:
            other = self.joined[pair_id]
            far = self._side_of(other)
            if far is not None:
                self.tell(far.link.remote, PairDied(circuit=self.name, pair_id=other, reason=reason))
        elif self.end is not None and number_of(pair_id) <= side.last_number:
            self.end.died(pair_id, reason)
        elif number_of(pair_id) > side.last_number:
            side.early[pair_id] = reason
            while len(side.early) > MOST_REMEMBERED:
                side.early.popitem(last=False)

    def _died_in_use(self, side: Side, pair: LinkPair, reason: str) -> None:
        if self.end is not None:
            side.forget(pair)
            self.core.discard(pair.held, why=reason, tell=False)
            self.end.died(pair.pair_id, reason)
        elif pair.swapping:
            self.dying[pair.pair_id] = reason
        else:
            side.forget(pair)
            self.core.discard(pair.held, why=reason, tell=False)

    def _side_of(self, pair_id: str) -> Side | None:
        return self.sides.get(pair_id.rpartition("/")[0])
