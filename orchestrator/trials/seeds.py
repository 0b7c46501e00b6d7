"""Seeds as a person writes them: ``0..99``, ``3,7,10..20``, ``5..`` for all from there on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds to run, each once, in the order in which they were written."""

    parts: tuple[Iterable[int], ...]
    count: int | None
    """None: without end."""

    def __iter__(self) -> Iterator[int]:
        return itertools.chain.from_iterable(self.parts)


def parse(text: str) -> Seeds:
    """The seeds that a text names.

    Raises:
        ValueError: it names none, or one twice, or is no list of numbers and ranges.
    """
    parts: list[Iterable[int]] = []
    ranges: list[range] = []
    endless = None
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:(\.\.)\s*(\d+)?)?\s*", part)
        if match is None or endless is not None:
            raise ValueError(f"expected seeds such as 0..99 or 3,7,10..20 (or 5.. at the end), found {text!r}")
        first, dots, last = int(match[1]), match[2], match[3]
        if dots and last is None:
            endless = first
            parts.append(itertools.count(first))
            continue
        numbers = range(first, (int(last) if dots else first) + 1)
        if not numbers or numbers[-1] > LARGEST_SEED:
            raise ValueError(f"expected a range from a seed to a larger one, at most 2^63-1, found {part.strip()!r}")
        ranges.append(numbers)
        parts.append(numbers)
    _refuse_overlaps(sorted(ranges, key=lambda each: each.start), endless, text)
    return Seeds(tuple(parts), None if endless is not None else sum(map(len, ranges)))


def _refuse_overlaps(ranges: list[range], endless: int | None, text: str) -> None:
    for earlier, later in itertools.pairwise(ranges):
        if later.start <= earlier[-1]:
            raise ValueError(f"expected each seed once, found {later.start} twice in {text!r}")
    if endless is not None and ranges and ranges[-1][-1] >= endless:
        raise ValueError(f"expected each seed once, found {ranges[-1][-1]} twice in {text!r}")
