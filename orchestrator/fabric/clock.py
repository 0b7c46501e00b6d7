"""Virtual time: integer picoseconds, one total order of events, and the windows in which nodes may act.

An event stands at ``(t, class, source, sequence)``; nothing else, and never the order of arrival, decides what comes
first. ``window`` takes the earliest events up to ``t + lookahead``: nothing that a participant does at or after t can
happen to another before that.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")

PICOSECONDS = 10**12
"""In a second."""


class EventClass(IntEnum):
    """The order of events at one instant."""

    FAULT = -1
    OPERATION = 0
    HERALD = 1
    ARRIVAL = 2
    MESSAGE = 3
    WAKE = 4


class Agenda(Generic[T]):
    """All future events in their total order."""

    def __init__(self, *, lookahead_ps: int) -> None:
        self.lookahead_ps = lookahead_ps
        self.now_ps = 0
        self._heap: list[tuple[int, int, int, int, T]] = []
        self._sequence = 0

    def add(self, at: int, event_class: EventClass, source: int, what: T) -> None:
        """Let ``what`` happen at ``at`` (ps), caused by participant number ``source``.

        Raises:
            ValueError: that instant is over.
        """
        if at < self.now_ps:
            raise ValueError(f"an event at {at} ps, but virtual time is already {self.now_ps} ps")
        self._sequence += 1
        heapq.heappush(self._heap, (at, event_class, source, self._sequence, what))

    def next_time(self) -> int | None:
        """When the earliest event happens."""
        return self._heap[0][0] if self._heap else None

    def pending(self) -> Iterator[T]:
        """All future events, in no order."""
        return (event[-1] for event in self._heap)

    def scheduled(self) -> Iterator[tuple[int, T]]:
        """All future events and their instants, in no order."""
        return ((event[0], event[-1]) for event in self._heap)

    def window(self) -> tuple[int, int]:
        """Open the next window ``[now, until)`` at the earliest event, of which there must be one."""
        self.now_ps = self._heap[0][0]
        return self.now_ps, self.now_ps + max(self.lookahead_ps, 1)

    def take(self, until: int) -> Iterator[tuple[int, T]]:
        """The events before ``until`` in order, those added meanwhile included."""
        while self._heap and self._heap[0][0] < until:
            at, _, _, _, what = heapq.heappop(self._heap)
            self.now_ps = at
            yield at, what

    def __len__(self) -> int:
        return len(self._heap)
