"""Reduces a failing fault schedule to a small one that still fails in the same way.

First faults are left out: delta debugging, the algorithm ddmin of Zeller and Hildebrandt (IEEE Transactions on Software
Engineering 28(2), 183-200, 2002). Then what is left is made simpler field by field: fewer strikes, fewer targets,
shorter times, rounder instants. Every candidate is a run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from orchestrator.scenario import Fault
from orchestrator.scenario.faults import kind_of, target_of
from orchestrator.trials.sweep import first

Faults = tuple[Fault, ...]
SHORTEST_S = 1e-3
"""A duration is not shortened below this."""


class LimitReached(Exception):
    """No more runs may be made."""


@dataclass(slots=True)
class Shrunk:
    """What is left."""

    faults: Faults
    is_minimal: bool
    """Whether every run that left out one more fault passed, or failed in another way (1-minimal)."""
    runs: int
    limit_reached: bool = False


@dataclass(slots=True)
class Shrinker:
    """Tries candidates and remembers them."""

    fails: Callable[[Faults], Awaitable[bool]]
    """One run: whether it fails in the way that is looked for."""
    jobs: int
    allowed: Callable[[int], bool]
    """Whether one more run may be made, after so many."""
    heard: Callable[[Faults, int], None] = lambda faults, runs: None
    """Is told of the smallest schedule and the number of runs so far, whenever one of them changes."""
    runs: int = 0
    smallest: Faults = ()
    _known: dict[Faults, bool] = field(default_factory=dict)

    async def shrink(self, faults: Faults) -> Shrunk:
        """The smallest schedule that was found, from one that fails."""
        self._smaller(faults)
        try:
            if faults and await self._any([()]) is not None:
                self._smaller(())
            await self._leave_out()
            while await self._simplify():
                await self._leave_out()
        except LimitReached:
            return Shrunk(self.smallest, self._is_minimal(), self.runs, limit_reached=True)
        return Shrunk(self.smallest, self._is_minimal(), self.runs)

    async def _leave_out(self) -> None:
        """Algorithm ddmin: subsets first, then complements, then twice as many parts."""
        parts = 2
        while len(self.smallest) >= 2:
            faults = self.smallest
            chunks = list(_chunks(faults, parts))
            complements = [tuple(fault for fault in faults if fault not in chunk) for chunk in chunks]
            index = await self._any([*chunks, *(complements if parts > 2 else ())])
            if index is None:
                if parts >= len(faults):
                    return
                parts = min(len(faults), 2 * parts)
            elif index < len(chunks):
                self._smaller(chunks[index])
                parts = 2
            else:
                self._smaller(complements[index - len(chunks)])
                parts = max(parts - 1, 2)

    async def _simplify(self) -> bool:
        """Make each fault as simple as it can be; whether one could be made simpler."""
        changed = False
        for position in range(len(self.smallest)):
            while True:
                before, fault, after = self._around(position)
                simpler = [(*before, each, *after) for each in simpler_faults(fault)]
                index = await self._any(simpler)
                if index is None:
                    break
                self._smaller(simpler[index])
                changed = True
        return changed

    def _around(self, position: int) -> tuple[Faults, Fault, Faults]:
        return self.smallest[:position], self.smallest[position], self.smallest[position + 1 :]

    async def _any(self, candidates: Sequence[Faults]) -> int | None:
        """The first of the candidates that fails."""

        async def tried(candidate: Faults) -> bool:
            known = self._known.get(candidate)
            if known is None:
                if not self.allowed(self.runs):
                    raise LimitReached
                self.runs += 1
                self.heard(self.smallest, self.runs)
                known = self._known[candidate] = await self.fails(candidate)
            return known

        return await first([functools.partial(tried, each) for each in candidates], jobs=self.jobs)

    def _smaller(self, faults: Faults) -> None:
        self.smallest = faults
        self._known[faults] = True
        self.heard(faults, self.runs)

    def _is_minimal(self) -> bool:
        left_out = [self.smallest[:n] + self.smallest[n + 1 :] for n in range(len(self.smallest))]
        return all(self._known.get(each) is False for each in left_out)


def _chunks(faults: Faults, parts: int) -> Iterator[Faults]:
    """So many parts of nearly the same length, in order."""
    start = 0
    for number in range(parts):
        end = start + (len(faults) - start) // (parts - number)
        yield faults[start:end]
        start = end


def simpler_faults(fault: Fault) -> Iterator[Fault]:
    """What is one step simpler than a fault, the greatest step first: a row for each field that has a simpler value."""
    fields = msgspec.structs.asdict(fault)
    for name, simpler in SIMPLER.items():
        if fields.get(name) is not None:
            for changes in simpler(fields):
                yield msgspec.structs.replace(fault, **changes)


def _once(fields: dict[str, object]) -> Iterator[dict[str, object]]:
    yield {"every_s": None, "times": None}


def _fewer_times(fields: dict[str, object]) -> Iterator[dict[str, object]]:
    times = fields["times"]
    assert isinstance(times, int)
    for fewer in dict.fromkeys((2, times // 2, times - 1)):
        if 1 < fewer < times:
            yield {"times": fewer}


def _one(fields: dict[str, object]) -> Iterator[dict[str, object]]:
    if fields["select"] != "one":
        yield {"select": "one"}


def _shorter(fields: dict[str, object]) -> Iterator[dict[str, object]]:
    for_s = float(str(fields["for_s"]))
    for share in (0.1, 0.5):
        shorter = max(SHORTEST_S, float(f"{for_s * share:.1g}"))
        if shorter < for_s:
            yield {"for_s": shorter}
    for digits in (1, 2):
        unit = 10.0 ** (math.floor(math.log10(for_s)) + 1 - digits)
        rounder = float(f"{math.floor(for_s / unit) * unit:.{digits}g}")
        if SHORTEST_S <= rounder < for_s:
            yield {"for_s": rounder}


def _rounder(fields: dict[str, object]) -> Iterator[dict[str, object]]:
    at_s = float(str(fields["at_s"]))
    for digits in (1, 2, 3):
        rounder = float(f"{at_s:.{digits}g}")
        if len(str(rounder)) < len(str(at_s)):
            yield {"at_s": rounder}


SIMPLER: dict[str, Callable[[dict[str, object]], Iterator[dict[str, object]]]] = {
    "every_s": _once,
    "times": _fewer_times,
    "select": _one,
    "for_s": _shorter,
    "at_s": _rounder,
}
"""By field: the changes that make it simpler. Each leads to something strictly simpler, so this comes to an end."""


def in_words(fault: Fault) -> str:
    """A fault in a line: its name, what it does to whom, when and for how long, and all else that is not as usual."""
    told = {"name", "at_s", "for_s", "every_s", "times", "link", "node", "nodes", "select", "among"}
    fields = msgspec.structs.asdict(fault)
    words = f"{fault.name}: {kind_of(fault)} of {target_of(fault)} at {fault.at_s:g} s"
    if fault.for_s is not None:
        words += f" for {fault.for_s:g} s"
    if fault.every_s is not None:
        words += f", every {fault.every_s:g} s" + (f", {fault.times} times" if fault.times is not None else "")
    usual = {each.name: each.default for each in msgspec.structs.fields(fault)}
    more = [f"{name} {value}" for name, value in fields.items() if name not in told and value != usual[name]]
    return words + (f" ({', '.join(more)})" if more else "")
