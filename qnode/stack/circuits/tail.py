"""The end of a circuit that accepted it: it hands over what the head has named, if its half is still there."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from qnode.stack.circuits.data_plane import MOST_REMEMBERED, Installed, Side
from qnode.stack.circuits.distilling import Distilling
from qnode.stack.circuits.end_pairs import EndPairs
from qnode.stack.circuits.finished import Deliver, Finished, measure
from qnode.stack.circuits.link_pair import LinkPair, number_of
from qnode.stack.memory import PairEnd
from qnode.wire.circuits import DistilPairs, PairComplete, PairDistilled, PairKept
from qnode.wire.quantum import Axis


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

            measure(self.installed.core, pair.held, axis, measured, lost=lambda reason: self._lost(pair, reason))
            while len(self.read) > MOST_REMEMBERED:
                self.read.popitem(last=False)
            return
        self.pairs[pair.pair_id] = pair
        if self.distilling is not None:
            assert isinstance(self.distilling.holder, EndPairs)
            self.distilling.holder.add(LinkPair(pair.pair_id, pair.held, pair.frame, pair.heralded_at), pair)
            self.distilling.look()
        self._answer_if_told(pair.pair_id)

    def _lost(self, pair: LinkPair, reason: str) -> None:
        """A half that this end has taken from its side is lost."""
        self.died(pair.pair_id, reason)
        self._side.lose(pair, reason)

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
            measure(
                core,
                held,
                message.test_axis,
                lambda bit: self._answer(message, kept=True, bit=bit),
                lost=lambda _: self._answer(message, kept=False),
            )
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
