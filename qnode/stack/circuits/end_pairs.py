"""The pairs between both ends of a circuit that are distilled there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from qnode.stack.circuits.data_plane import Installed, Side
from qnode.stack.circuits.link_pair import LinkPair, number_of
from qnode.stack.core import Core
from qnode.wire.application import DistillationProtocol, DistillationSchedule
from qnode.wire.circuits import DistilPairs, PairDistilled


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
