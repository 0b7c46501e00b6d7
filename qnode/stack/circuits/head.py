"""The end of a circuit that opened it: what makes link pairs and swap outcomes into pairs that both ends hand over.

The head follows each of its pairs through the swaps, combines all frames, and names the pair. It then tells the tail,
and from then on keeps its half until the tail answers; the tail hands the pair over when it is told, if its half is
still there, and answers. So no pair is handed over at one end that the other has discarded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from qnode.stack.circuits.data_plane import MOST_REMEMBERED, Installed, Side
from qnode.stack.circuits.distilling import Distilling
from qnode.stack.circuits.end_pairs import EndPairs
from qnode.stack.circuits.estimate import Estimate
from qnode.stack.circuits.finished import TEST_AXES, Deliver, Finished, flips, measure
from qnode.stack.circuits.link_pair import Frame, LinkPair, xor
from qnode.stack.circuits.then import Then
from qnode.stack.core import Core
from qnode.stack.link_layer import correction
from qnode.stack.memory import PairEnd
from qnode.wire.circuits import DistilPairs, PairComplete, PairDistilled, PairKept, SwapOutcome
from qnode.wire.fabric import Circuit
from qnode.wire.quantum import Axis


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

            measure(self.installed.core, pair.held, chain.axis, measured, lost=lambda reason: self._lost(pair, reason))
        self._extend(chain)

    @property
    def _side(self) -> Side:
        (side,) = self.installed.sides.values()
        return side

    def _lost(self, pair: LinkPair, reason: str) -> None:
        """A half that this end has taken from its side is lost."""
        self.died(pair.pair_id, reason)
        self._side.lose(pair, reason)

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
            measure(core, held, axis, measured, lost=lambda _: self._withdraw(number))
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
            if died:
                give_up("its half at the head is lost")
            else:
                self._tell(chain, finished, None)

        def refused(_: str, reason: str) -> None:
            core.settle(held)
            give_up(reason)

        def give_up(reason: str) -> None:
            self._withdraw(number)
            self._side.lose(chain.pair, reason)

        core.operate(Circuit(steps=steps), Then(corrected, refused))

    def _withdraw(self, number: int) -> None:
        """What was promised cannot be kept."""
        self.committed.pop(number, None)

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
        if finished.axis is not None and finished.bit is not None and finished.other_bit is not None:
            self.committed.pop(finished.number, None)
            self.estimate.add(str(finished.axis), finished.bit ^ finished.other_bit)
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
    elif finished.held is not None and not core.lives(finished.held):
        del committed[message.number]  # the tail is told apart
    elif message.bit is not None:
        finished.other_bit = message.bit
        judge_test(finished)
    else:
        del committed[message.number]
        deliver(finished)
