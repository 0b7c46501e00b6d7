"""When faults strike and whom: each at a virtual instant, before all else of that instant; selections by the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.streams import Stream
from orchestrator.scenario.faults import Fault, OnLink, OnNode, OnNodes, Select, named_targets


@dataclass(slots=True, frozen=True, eq=False)
class Occurrence:
    """One strike of a fault, and all that it breaks until it is healed."""

    fault: Fault
    cause: str
    """Who wanted it: the scenario, or somebody by the control port."""
    targets: tuple[str, ...]
    """Names of links or nodes; empty where the fault strikes something else."""

    @property
    def name(self) -> str:
        """The fault's."""
        return self.fault.name


@dataclass(slots=True, frozen=True)
class Strike:
    """A fault begins now, the ``number``-th time counted from nought."""

    fault: Fault
    cause: str
    number: int = 0

    @property
    def for_ever(self) -> bool:
        """Whether it strikes again and again, so that something always is to come."""
        return strikes_for_ever(self.fault)

    def next_at(self, at: int) -> int | None:
        """When it strikes again, having struck ``at`` (ps)."""
        every_s, times = self.fault.every_s, self.fault.times
        if every_s is None or (times is not None and self.number + 1 >= times):
            return None
        return at + max(1, round(every_s * PICOSECONDS))


@dataclass(slots=True, frozen=True)
class Heal:
    """An occurrence is over now."""

    occurrence: Occurrence
    cause: str

    @property
    def for_ever(self) -> bool:
        """Whether it is to be healed again and again."""
        return strikes_for_ever(self.occurrence.fault)


def strikes_for_ever(fault: Fault) -> bool:
    """Whether it strikes again and again until it is removed."""
    return fault.every_s is not None and fault.times is None


def first_at(fault: Fault) -> int:
    """When it strikes first (ps)."""
    return round(fault.at_s * PICOSECONDS)


def heals_at(fault: Fault, at: int) -> int | None:
    """When what strikes ``at`` is over (ps); None: not by itself."""
    return None if fault.for_s is None else at + max(1, round(fault.for_s * PICOSECONDS))


def targets(fault: Fault, candidates: Sequence[str], stream: Stream) -> tuple[str, ...]:
    """Whom this strike hits, in the order of ``candidates``, which are all that it could."""
    if not isinstance(fault, OnLink | OnNode | OnNodes):
        return ()
    if fault.select is None:
        return named_targets(fault)
    pool = [name for name in candidates if not fault.among or name in fault.among]
    chosen = sorted((stream.uniform(), name) for name in pool)[: how_many(fault.select, len(pool))]
    names = {name for _, name in chosen}
    return tuple(name for name in pool if name in names)


def how_many(select: Select, count: int) -> int:
    """How many of ``count``: a minority is the largest number below half, but at least one."""
    sizes = {"one": 1, "minority": max(1, (count - 1) // 2), "majority": count // 2 + 1, "all": count}
    return min(count, sizes[select])
