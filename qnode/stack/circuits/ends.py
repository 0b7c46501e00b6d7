"""The two ends of a circuit: what makes link pairs and swap outcomes into pairs that both ends hand over.

The head follows each of its pairs through the swaps, combines all frames, and names the pair. It then tells the tail,
and from then on keeps its half until the tail answers; the tail hands the pair over when it is told, if its half is
still there, and answers. So no pair is handed over at one end that the other has discarded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from qnode.stack.circuits.data_plane import MOST_REMEMBERED, Frame, Installed, LinkPair, Side, number_of, xor
from qnode.stack.circuits.distilling import Distilling
from qnode.stack.circuits.estimate import Estimate
from qnode.stack.circuits.then import Then
from qnode.stack.core import Core
from qnode.stack.link_layer import correction
from qnode.stack.memory import Cause, HeldQubit, PairEnd
from qnode.wire.application import DistillationProtocol, DistillationSchedule
from qnode.wire.circuits import DistilPairs, PairComplete, PairDistilled, PairKept, SwapOutcome
from qnode.wire.fabric import Circuit
from qnode.wire.quantum import Axis, Measure

TEST_AXES: tuple[Axis, ...] = ("X", "Y", "Z")


@dataclass(slots=True)
class Finished:
    """A pair, or what was read from it, ready for the application."""

    number: int
    pair_id: str
    held: HeldQubit | None
    frame: Frame
    heralded_at: int
    swaps: int
    axis: Axis | None = None
    bit: int | None = None
    other_qubit: str = ""


Deliver = Callable[[Finished], None]


def flips(axis: Axis, frame: Frame) -> int:
    """Whether X^x Z^z turns the outcome along a Pauli axis round."""
    x, z = frame
    return {"X": z, "Y": x ^ z, "Z": x}[axis] if isinstance(axis, str) else 0


def measure(core: Core, held: HeldQubit, axis: Axis, then: Callable[[int], None]) -> None:
    """Measure a half and free its slot; ``then`` gets the bit."""
    held.busy = True
    held.slot.change(Cause.LEAVE)

    def measured(bits: tuple[int, ...]) -> None:
        core.memory.release(held, why=f"was measured at {core.now / 1e12:.9g} s")
        then(bits[0])

    def refused(_: str, reason: str) -> None:
        core.settle(held)
        core.discard(held, why=reason)

    core.operate(Circuit(steps=(Measure(qubit=held.name, axis=axis),)), Then(measured, refused))


@dataclass(slots=True, eq=False)
class Chain:
    """One of the head's pairs and all that it has been joined to."""

    pair: LinkPair
    reaches: str
    """The link pair at its far end."""
    frame: Frame
    swaps: int = 0
    axis: Axis | None = None
    bit: int | None = None
    """M: what was read."""
    complete: bool = False


@dataclass(slots=True, eq=False)
class EndPairs:
    """The pairs between both ends of a circuit that are distilled there: a holder for `Distilling`."""

    installed: Installed
    remote: str
    chooses: bool
    side: Side
    finished: Callable[[LinkPair], None]
    """What to do with a pair that has had all its rounds."""
    lost: Callable[[str], None]
    pairs: OrderedDict[str, LinkPair] = field(default_factory=OrderedDict)
    """By the tail's id."""
    taken: dict[str, LinkPair] = field(default_factory=dict)
    of_side: dict[str, LinkPair] = field(default_factory=dict)
    """The same pairs as the side of the circuit here has taken them."""

    def add(self, pair: LinkPair, of_side: LinkPair) -> None:
        """One more pair between the ends."""
        self.pairs[pair.pair_id], self.of_side[pair.pair_id] = pair, of_side

    def forget(self, common_name: str) -> None:
        """It is used, or worth nothing."""
        for each in (self.pairs, self.taken, self.of_side):
            each.pop(common_name, None)

    @property
    def core(self) -> Core:
        """The node's."""
        return self.installed.core

    @property
    def circuit_name(self) -> str:
        """The circuit's id."""
        return self.installed.name

    @property
    def protocol(self) -> DistillationProtocol:
        """As the path says."""
        return self.installed.path.distillation_protocol

    @property
    def schedule(self) -> DistillationSchedule:
        """As the path says."""
        return self.installed.path.distillation_schedule

    @property
    def rounds_wanted(self) -> int:
        """As the path says."""
        return self.installed.path.end_distillation_rounds

    def undistilled(self) -> list[LinkPair]:
        """What has rounds to come."""
        return [pair for pair in self.pairs.values() if pair.rounds < self.rounds_wanted]

    def common_name(self, pair: LinkPair) -> str:
        """The tail's id."""
        return pair.pair_id

    def ready_under(self, common_name: str) -> LinkPair | None:
        """A pair that is ready."""
        return self.pairs.get(common_name)

    def is_coming(self, common_name: str) -> bool:
        """Whether the tail's half may yet be ready."""
        return (
            common_name in self.taken
            or common_name in self.side.taken
            or number_of(common_name) > (self.side.last_number)
        )

    def take(self, pair: LinkPair) -> None:
        """It is being distilled."""
        self.taken[pair.pair_id] = self.pairs.pop(pair.pair_id)

    def give_back(self, pair: LinkPair) -> None:
        """It came through a round."""
        self.taken.pop(pair.pair_id, None)
        if self.chooses and pair.rounds >= self.rounds_wanted:
            self.forget(pair.pair_id)
            self.finished(pair)
            return
        self.pairs[pair.pair_id] = pair
        of_side = self.of_side[pair.pair_id]
        if of_side.overdue:
            self.installed.expired(of_side.pair_id)

    def lose(self, pair: LinkPair, reason: str) -> None:
        """It is worth nothing, and the other end does not know."""
        of_side = self.of_side[pair.pair_id]
        self.forget(pair.pair_id)
        self.side.lose(of_side, reason)
        self.lost(pair.pair_id)

    def spoil(self, pair: LinkPair, reason: str) -> None:
        """It is worth nothing."""
        self.forget(pair.pair_id)
        self.lost(pair.pair_id)
        if reason:
            self.core.record("pair_died", circuit=self.circuit_name, pair=pair.pair_id, reason=reason)
            self.core.discard(pair.held, why=reason, tell=False)

    def tell_other_end(self, message: DistilPairs | PairDistilled) -> None:
        """Send to the circuit's other end."""
        self.installed.tell(self.remote, msgspec.structs.replace(message, between_ends=True))


@dataclass(slots=True, eq=False)
class Head:
    """The end that opened the circuit."""

    installed: Installed
    tail: str
    kind: str
    corrects: bool
    """Whether pairs are turned into Phi+ here."""
    axes: tuple[Axis, ...]
    test_fraction: float
    deliver: Deliver
    estimate: Estimate
    numbers: Callable[[], int]
    """Gives each pair of the circuit its number, through all its paths."""
    committed: dict[int, Finished]
    """Told to the tail, which has not answered; they outlive this path of the circuit."""
    tested: Callable[[], None]
    """A sacrificed pair is known at both ends."""
    chains: dict[str, Chain] = field(default_factory=dict)
    """By the head's pair."""
    reaching: dict[str, Chain] = field(default_factory=dict)
    """By the pair at the chain's far end."""
    joins: OrderedDict[str, SwapOutcome] = field(default_factory=OrderedDict)
    """Swaps that no chain has come to yet, by their upstream pair."""
    distilling: Distilling | None = None
    _measured: int = 0

    def ready(self, pair: LinkPair) -> None:
        """A new chain begins."""
        chain = Chain(pair, pair.pair_id, pair.frame)
        self.chains[pair.pair_id] = self.reaching[pair.pair_id] = chain
        if self.kind == "M":
            chain.axis = self.axes[self._measured % len(self.axes)] if self.axes else "Z"
            self._measured += 1
            self._side.forget(pair)

            def measured(bit: int) -> None:
                chain.bit = bit
                if self.chains.get(pair.pair_id) is chain:
                    self._look(chain)

            measure(self.installed.core, pair.held, chain.axis, measured)
        self._extend(chain)

    @property
    def _side(self) -> Side:
        (side,) = self.installed.sides.values()
        return side

    def swapped(self, outcome: SwapOutcome) -> None:
        """A router joined two pairs."""
        self.joins[outcome.upstream_pair] = outcome
        chain = self.reaching.get(outcome.upstream_pair)
        if chain is not None:
            self._extend(chain)
        while len(self.joins) > MOST_REMEMBERED:
            self.joins.popitem(last=False)

    def _extend(self, chain: Chain) -> None:
        del self.reaching[chain.reaches]
        while (outcome := self.joins.pop(chain.reaches, None)) is not None:
            chain.reaches = outcome.downstream_pair
            chain.frame = xor(chain.frame, outcome.frame)
            chain.swaps += 1
        self.reaching[chain.reaches] = chain
        chain.complete = chain.reaches.rpartition("/")[0] == self.installed.path.hops[-1].link
        self._look(chain)

    def _look(self, chain: Chain) -> None:
        """Finish the chain if it is complete (and measured)."""
        if not chain.complete or (self.kind == "M" and chain.bit is None) or self.installed.closed:
            return
        if self.installed.path.end_distillation_rounds and self.kind == "K":
            pair = LinkPair(chain.reaches, chain.pair.held, chain.frame, chain.pair.heralded_at)
            if self.distilling is None:
                self.distilling = Distilling(
                    EndPairs(self.installed, self.tail, True, self._side, self._distilled, self._spoiled)
                )
            holder = self.distilling.holder
            assert isinstance(holder, EndPairs)
            holder.add(pair, chain.pair)
            self.distilling.look()
            return
        self._finish(chain)

    def _distilled(self, pair: LinkPair) -> None:
        chain = self.reaching[pair.pair_id]
        chain.frame = pair.frame
        self._finish(chain)

    def _spoiled(self, reaches: str) -> None:
        chain = self.reaching.get(reaches)
        if chain is not None:
            self._drop(chain)
            self._side.forget(chain.pair)

    def _drop(self, chain: Chain) -> None:
        del self.chains[chain.pair.pair_id]
        del self.reaching[chain.reaches]

    def _finish(self, chain: Chain) -> None:
        """Name the pair, and tell the tail."""
        core, installed = self.installed.core, self.installed
        self._drop(chain)
        self._side.forget(chain.pair)
        number = self.numbers()
        pair_id = f"{installed.name}/{number}"
        finished = Finished(
            number, pair_id, None, chain.frame, chain.pair.heralded_at, chain.swaps, chain.axis, chain.bit
        )
        self.committed[number] = finished
        if self.kind == "M":
            assert chain.axis is not None
            assert chain.bit is not None
            finished.bit = chain.bit ^ flips(chain.axis, chain.frame)
            finished.frame = (0, 0)
            self._tell(chain, finished, None)
            return
        held = finished.held = chain.pair.held
        assert held.pair is not None
        core.memory.rename(held, PairEnd(pair_id, self.tail, held.pair.emitted_at))
        held.busy = True
        if self.estimate.wants(self.test_fraction):
            axis = TEST_AXES[self.estimate.begun % 3]
            self.estimate.begun += 1
            finished.axis, finished.held = axis, None

            def measured(bit: int) -> None:
                finished.bit = bit ^ flips(axis, finished.frame)
                self.judge_test(finished)

            self._tell(chain, finished, axis)
            measure(core, held, axis, measured)
            return
        steps = correction(held.name, *chain.frame) if self.corrects else ()
        if not steps:
            held.busy = False
            self._tell(chain, finished, None)
            return
        finished.frame = (0, 0)

        def corrected(_: tuple[int, ...]) -> None:
            died = held.doomed is not None
            core.settle(held)
            if not died:
                self._tell(chain, finished, None)

        def refused(_: str, reason: str) -> None:
            self.committed.pop(number, None)
            core.settle(held)
            core.discard(held, why=reason, tell=False)

        core.operate(Circuit(steps=steps), Then(corrected, refused))

    def _tell(self, chain: Chain, finished: Finished, test_axis: Axis | None) -> None:
        installed = self.installed
        installed.tell(
            self.tail,
            PairComplete(
                circuit=installed.name,
                generation=installed.path.generation,
                number=finished.number,
                downstream_pair=chain.reaches,
                qubit=chain.pair.held.name,
                frame=finished.frame,
                swaps=finished.swaps,
                test_axis=test_axis,
            ),
        )

    def judge_test(self, finished: Finished) -> None:
        """A sacrificed pair, once both bits are known."""
        if finished.axis is not None and finished.bit is not None and finished.other_qubit:
            self.committed.pop(finished.number, None)
            self.estimate.add(str(finished.axis), finished.bit ^ int(finished.other_qubit))
            self.tested()

    def distil(self, message: DistilPairs | PairDistilled) -> None:
        """The tail's part in distilling pairs between the ends."""
        if self.distilling is not None:
            self.distilling.told(message)

    def died(self, pair_id: str, reason: str) -> None:
        """One of the head's pairs is worth nothing."""
        chain = self.chains.get(pair_id)
        if chain is not None:
            self._drop(chain)
            if self.distilling is not None:
                assert isinstance(self.distilling.holder, EndPairs)
                self.distilling.holder.pairs.pop(chain.reaches, None)

    def stop(self) -> None:
        """The path is gone; what is committed stays."""
        if self.distilling is not None:
            self.distilling.stop()


def settle_kept(
    core: Core,
    committed: dict[int, Finished],
    message: PairKept,
    deliver: Deliver,
    judge_test: Callable[[Finished], None],
) -> None:
    """The tail has answered: hand the pair over, or discard it."""
    finished = committed.get(message.number)
    if finished is None:
        return
    if not message.kept:
        del committed[message.number]
        if finished.held is not None:
            core.discard(finished.held, why="its other half was gone", tell=False)
    elif message.bit is not None:
        finished.other_qubit = str(message.bit)
        judge_test(finished)
    else:
        del committed[message.number]
        deliver(finished)


@dataclass(slots=True, eq=False)
class Tail:
    """The other end."""

    installed: Installed
    head: str
    kind: str
    axes: tuple[Axis, ...]
    deliver: Deliver
    pairs: dict[str, LinkPair] = field(default_factory=dict)
    """Halves that the head has not named yet."""
    read: OrderedDict[str, tuple[Axis, int | None]] = field(default_factory=OrderedDict)
    """M: what was measured, and not named yet."""
    told: dict[str, PairComplete] = field(default_factory=dict)
    """Pairs named before they were ready here."""
    distilling: Distilling | None = None
    _measured: int = 0

    def __post_init__(self) -> None:
        if self.installed.path.end_distillation_rounds and self.kind == "K":
            self.distilling = Distilling(
                EndPairs(self.installed, self.head, False, self._side, lambda _: None, self._spoiled)
            )

    @property
    def _side(self) -> Side:
        (side,) = self.installed.sides.values()
        return side

    def ready(self, pair: LinkPair) -> None:
        """A half of a pair that goes on to somewhere."""
        if self.kind == "M":
            axis = self.axes[self._measured % len(self.axes)] if self.axes else "Z"
            self._measured += 1
            self.read[pair.pair_id] = (axis, None)
            self._side.forget(pair)

            def measured(bit: int) -> None:
                if pair.pair_id in self.read:
                    self.read[pair.pair_id] = (axis, bit)
                    self._answer_if_told(pair.pair_id)

            measure(self.installed.core, pair.held, axis, measured)
            while len(self.read) > MOST_REMEMBERED:
                self.read.popitem(last=False)
            return
        self.pairs[pair.pair_id] = pair
        if self.distilling is not None:
            assert isinstance(self.distilling.holder, EndPairs)
            self.distilling.holder.add(LinkPair(pair.pair_id, pair.held, pair.frame, pair.heralded_at), pair)
            self.distilling.look()
        self._answer_if_told(pair.pair_id)

    def _answer_if_told(self, pair_id: str) -> None:
        message = self.told.pop(pair_id, None)
        if message is not None:
            self.complete(message)

    def complete(self, message: PairComplete) -> None:
        """The head has named a pair: hand it over, and say so."""
        core, pair_id = self.installed.core, message.downstream_pair
        if self.kind == "M":
            axis, bit = self.read.get(pair_id, (None, None))
            if axis is not None and bit is None:
                self.told[pair_id] = message
                return
            self.read.pop(pair_id, None)
            self._answer(message, kept=bit is not None)
            if bit is not None:
                finished = self._finished(message, None)
                finished.axis, finished.bit = axis, bit
                self.deliver(finished)
            return
        pair = self.pairs.get(pair_id)
        if pair is None:
            if pair_id in self._side.taken or number_of(pair_id) > self._side.last_number:
                self.told[pair_id] = message
            else:
                self._answer(message, kept=False)
            return
        del self.pairs[pair_id]
        if self.distilling is not None:
            assert isinstance(self.distilling.holder, EndPairs)
            self.distilling.holder.forget(pair_id)
        self._side.forget(pair)
        held = pair.held
        assert held.pair is not None
        core.memory.rename(held, PairEnd(f"{message.circuit}/{message.number}", self.head, held.pair.emitted_at))
        if message.test_axis is not None:
            measure(core, held, message.test_axis, lambda bit: self._answer(message, kept=True, bit=bit))
            return
        self._answer(message, kept=True)
        self.deliver(self._finished(message, pair))

    def _finished(self, message: PairComplete, pair: LinkPair | None) -> Finished:
        return Finished(
            message.number,
            f"{message.circuit}/{message.number}",
            pair.held if pair is not None else None,
            message.frame,
            pair.heralded_at if pair is not None else self.installed.core.now,
            message.swaps,
            other_qubit=message.qubit,
        )

    def _answer(self, message: PairComplete, *, kept: bool, bit: int | None = None) -> None:
        self.installed.tell(self.head, PairKept(circuit=message.circuit, number=message.number, kept=kept, bit=bit))

    def _spoiled(self, pair_id: str) -> None:
        pair = self.pairs.pop(pair_id, None)
        if pair is not None:
            self._side.forget(pair)

    def distil(self, message: DistilPairs | PairDistilled) -> None:
        """The head's part in distilling pairs between the ends."""
        if self.distilling is not None:
            self.distilling.told(message)

    def died(self, pair_id: str, reason: str) -> None:
        """One of the tail's pairs is worth nothing."""
        self.pairs.pop(pair_id, None)
        self.read.pop(pair_id, None)
        message = self.told.pop(pair_id, None)
        if message is not None:
            self._answer(message, kept=False)
        if self.distilling is not None:
            assert isinstance(self.distilling.holder, EndPairs)
            self.distilling.holder.pairs.pop(pair_id, None)

    def stop(self) -> None:
        """The path is gone: what the head has named and was not ready here is not kept."""
        if self.distilling is not None:
            self.distilling.stop()
        for message in self.told.values():
            self._answer(message, kept=False)
        self.told.clear()
