"""Distillation of pairs that two nodes share: who chooses, what both do, and what becomes of the pair that is kept.

The end nearer to the head chooses two pairs, measures and tells; the other end does its part and answers. Both then
know both bits. It costs one round trip of classical messages each round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from qnode.stack.circuits.link_pair import LinkPair
from qnode.stack.circuits.then import Then
from qnode.stack.core import Core
from qnode.stack.distillation import (
    Frame,
    UnsuitableFrame,
    check_frames,
    keeps,
    local_steps,
    next_round,
    resulting_frame,
)
from qnode.stack.memory import Cause
from qnode.wire.application import DistillationProtocol, DistillationSchedule
from qnode.wire.circuits import DistilPairs, PairDistilled
from qnode.wire.fabric import Circuit


class Holder(Protocol):
    """Who holds the pairs: one side of a circuit at a node, or one end of it."""

    @property
    def protocol(self) -> DistillationProtocol:
        """Which one."""

    @property
    def schedule(self) -> DistillationSchedule:
        """Which pairs with which."""

    @property
    def rounds_wanted(self) -> int:
        """How many rounds a pair is to come through."""

    @property
    def chooses(self) -> bool:
        """Whether this is the end nearer to the head."""

    @property
    def core(self) -> Core:
        """The node's."""

    @property
    def circuit_name(self) -> str:
        """The circuit's id."""

    def undistilled(self) -> Sequence[LinkPair]:
        """The pairs that are ready and not yet distilled as often as wanted, the oldest first."""

    def common_name(self, pair: LinkPair) -> str:
        """What both ends call a pair."""

    def ready_under(self, common_name: str) -> LinkPair | None:
        """A pair that is ready."""

    def is_coming(self, common_name: str) -> bool:
        """Whether the pair may yet become ready."""

    def take(self, pair: LinkPair) -> None:
        """Let no other rule use it."""

    def give_back(self, pair: LinkPair) -> None:
        """It is ready again."""

    def spoil(self, pair: LinkPair, reason: str) -> None:
        """Discard it; the other end knows."""

    def lose(self, pair: LinkPair, reason: str) -> None:
        """Discard it, and tell the other end."""

    def tell_other_end(self, message: DistilPairs | PairDistilled) -> None:
        """Send to the node that holds the other halves."""


@dataclass(slots=True)
class Round:
    """One round under way at this end."""

    kept: LinkPair
    sacrificed: LinkPair
    ids: tuple[str, str]
    frames: tuple[tuple[int, int], tuple[int, int]]
    protocol: DistillationProtocol
    bit: int | None = None
    """What this end has read."""
    other_bit: int | None = None


@dataclass(slots=True)
class Distilling:
    """All rounds between this end and the other."""

    holder: Holder
    rounds: dict[str, Round] = field(default_factory=dict)
    """By the common name of the kept pair."""
    asked: dict[str, DistilPairs] = field(default_factory=dict)
    """What the other end has begun and this one cannot yet."""
    stopped: bool = False

    def stop(self) -> None:
        """The circuit is gone: let go of what a round holds."""
        self.stopped = True
        self.asked.clear()
        for current in self.rounds.values():
            if current.bit is not None:
                self.holder.core.settle(current.kept.held)
        self.rounds.clear()

    def look(self) -> None:
        """Begin what can begin."""
        if self.stopped:
            return
        holder = self.holder
        for message in list(self.asked.values()):
            self._follow(message)
        if not holder.chooses:
            return
        while True:
            waiting = [pair for pair in holder.undistilled() if not pair.held.busy]
            chosen = next_round(holder.schedule, [pair.rounds for pair in waiting], wanted=holder.rounds_wanted)
            if chosen is None:
                return
            kept, sacrificed = waiting[chosen[0]], waiting[chosen[1]]
            frames = (kept.frame, sacrificed.frame)
            self._begin(kept, sacrificed, frames, suitable(holder.protocol, frames))

    def told(self, message: DistilPairs | PairDistilled) -> None:
        """The other end has begun a round, or answers."""
        if isinstance(message, DistilPairs):
            self.asked[message.kept] = message
            self._follow(message)
            return
        current = self.rounds.get(message.kept)
        if current is None:
            return
        if message.bit is None:
            del self.rounds[message.kept]
            self._spoil(current.kept, "its other half was gone when it was to be distilled")
        else:
            current.other_bit = message.bit
            self._judge(message.kept, current)

    def _follow(self, message: DistilPairs) -> None:
        """Do this end's part of a round, as soon as both pairs are ready."""
        holder = self.holder
        kept, sacrificed = holder.ready_under(message.kept), holder.ready_under(message.sacrificed)
        if kept is not None and sacrificed is not None and not (kept.held.busy or sacrificed.held.busy):
            del self.asked[message.kept]
            self._begin(kept, sacrificed, message.frames, message.protocol, other_bit=message.bit)
        elif not (holder.is_coming(message.kept) and holder.is_coming(message.sacrificed)):
            del self.asked[message.kept]
            for pair in (kept, sacrificed):
                if pair is not None and not pair.held.busy:
                    holder.spoil(pair, "its other half was used to distil a pair that was gone here")
            self._answer(message.kept, message.sacrificed, None)

    def _begin(
        self,
        kept: LinkPair,
        sacrificed: LinkPair,
        frames: tuple[tuple[int, int], tuple[int, int]],
        protocol: DistillationProtocol,
        *,
        other_bit: int | None = None,
    ) -> None:
        holder = self.holder
        ids = (holder.common_name(kept), holder.common_name(sacrificed))
        current = self.rounds[ids[0]] = Round(kept, sacrificed, ids, frames, protocol, other_bit=other_bit)
        for pair in (kept, sacrificed):
            holder.take(pair)
            pair.held.busy = True
        sacrificed.held.slot.change(Cause.LEAVE)
        steps = local_steps(
            protocol,
            end="head" if holder.chooses else "tail",
            kept=kept.held.name,
            sacrificed=sacrificed.held.name,
            pair_ids=ids,
        )

        def measured(bits: tuple[int, ...]) -> None:
            current.bit = bits[0]
            holder.core.memory.release(sacrificed.held, why="was measured to distil another pair")
            holder.spoil(sacrificed, "")
            if self.stopped:
                holder.core.settle(kept.held)
                return
            if holder.chooses:
                holder.tell_other_end(
                    DistilPairs(
                        circuit=holder.circuit_name,
                        kept=ids[0],
                        sacrificed=ids[1],
                        protocol=protocol,
                        bit=bits[0],
                        frames=frames,
                    )
                )
            else:
                self._answer(*ids, bits[0])
            self._judge(ids[0], current)

        def refused(_: str, reason: str) -> None:
            self.rounds.pop(ids[0], None)
            for pair in (kept, sacrificed):
                if holder.chooses and not self.stopped:
                    holder.lose(pair, reason)
                else:
                    holder.spoil(pair, reason)
                holder.core.settle(pair.held)
            if not holder.chooses:
                self._answer(*ids, None)

        holder.core.operate(Circuit(steps=steps), Then(measured, refused))

    def _judge(self, name: str, current: Round) -> None:
        """Once both bits are known: keep the pair, or discard it."""
        if current.bit is None or current.other_bit is None or name not in self.rounds:
            return
        del self.rounds[name]
        holder, kept = self.holder, current.kept
        good = keeps(current.protocol, current.bit, current.other_bit, pair_ids=current.ids, frames=current.frames)
        if holder.chooses:
            holder.core.record("distilled", circuit=holder.circuit_name, pair=name, kept=good)
        if not good:
            self._spoil(kept, "its distillation failed")
            return
        kept.frame = resulting_frame(current.protocol, pair_ids=current.ids, frames=current.frames)
        kept.rounds += 1
        died = kept.held.doomed is not None
        holder.core.settle(kept.held)
        if died:
            holder.spoil(kept, "")
        else:
            holder.give_back(kept)
            self.look()

    def _spoil(self, pair: LinkPair, reason: str) -> None:
        """Discard a pair that a round is holding."""
        self.holder.spoil(pair, reason)
        self.holder.core.settle(pair.held)

    def _answer(self, kept: str, sacrificed: str, bit: int | None) -> None:
        self.holder.tell_other_end(
            PairDistilled(circuit=self.holder.circuit_name, kept=kept, sacrificed=sacrificed, bit=bit)
        )


def suitable(protocol: DistillationProtocol, frames: tuple[Frame, Frame]) -> DistillationProtocol:
    """The protocol, or DEJMPS where it cannot take pairs that are announced like that."""
    try:
        check_frames(protocol, frames)
    except UnsuitableFrame:
        return "dejmps"
    return protocol
