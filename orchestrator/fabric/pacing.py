"""Virtual time against the wall clock: when something is due, and how late it came."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter

from orchestrator.control import Lateness
from orchestrator.fabric.clock import PICOSECONDS

BIN_EDGES_S = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0, float("inf"))
MOST_SAMPLES = 1_000_000


class Pace:
    """``pace`` virtual seconds in each wall second, from ``start`` on; None leaps from event to event."""

    def __init__(self, pace: float | None) -> None:
        self.pace = pace
        self._zero_s = 0.0
        self._late: list[float] = []
        self._bins: Counter[int] = Counter()

    def start(self, zero_s: float) -> None:
        """Virtual time 0 is when the monotonic clock shows ``zero_s``."""
        self._zero_s = zero_s

    def stood_still(self, seconds: float) -> None:
        """Virtual time stood still for so many wall seconds."""
        self._zero_s += seconds

    @property
    def wall_s(self) -> float:
        """Wall seconds since the start."""
        return time.monotonic() - self._zero_s

    def until_due_s(self, at_ps: int) -> float:
        """Wall seconds until virtual time ``at_ps``; negative if it has passed, 0 without a pace."""
        if self.pace is None:
            return 0.0
        return at_ps / PICOSECONDS / self.pace - self.wall_s

    def now_ps(self) -> int:
        """The virtual time that the wall clock shows; 0 without a pace."""
        return 0 if self.pace is None else int(self.wall_s * self.pace * PICOSECONDS)

    def late_s(self, at_ps: int) -> float:
        """By how many wall seconds the work of ``at_ps`` is late now; 0 without a pace."""
        return 0.0 if self.pace is None else max(0.0, -self.until_due_s(at_ps))

    def note(self, late_s: float) -> None:
        """Work was granted so late."""
        if self.pace is None:
            return
        if len(self._late) < MOST_SAMPLES:
            self._late.append(late_s)
        self._bins[bisect_left(BIN_EDGES_S, late_s)] += 1

    def lateness(self) -> Lateness:
        """The whole run's lateness."""
        if not self._late:
            return Lateness()
        late = sorted(self._late)
        return Lateness(
            grants=sum(self._bins.values()),
            p50_s=late[len(late) // 2],
            p99_s=late[min(len(late) - 1, len(late) * 99 // 100)],
            max_s=late[-1],
            histogram={f"{BIN_EDGES_S[index]:g}": self._bins[index] for index in sorted(self._bins)},
        )
