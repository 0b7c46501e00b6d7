"""Nodes' own clocks: what a node takes for the time, and when that truly is. The fabric's time stays true.

All times in the frames of a node whose clock is wrong are turned here, on their way in and out: local(t) = t + sum of
offsets + sum of drift_i (t - s_i), each drift from its strike s_i on, rounded down to whole picoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from orchestrator.fabric.schedule import Occurrence
from qnode.wire import fabric

BILLION = 10**9
SLOWEST = -9 * BILLION // 10
"""All drifts of a clock together leave it a tenth of its pace, so that it never stands still."""


@dataclass(slots=True)
class LocalClock:
    """One node's clock. Rates are in parts per billion."""

    step_ps: int = 0
    """Of jumps and resets, which nobody heals."""
    offsets_ps: dict[Occurrence, int] = field(default_factory=dict)
    drifts: dict[Occurrence, tuple[int, int]] = field(default_factory=dict)
    """Start (ps) and rate."""

    def local(self, true: int) -> int:
        """What the clock shows at the instant ``true`` (ps); it never runs backwards between two strikes."""
        drifted = sum((true - start) * rate for start, rate in self.drifts.values()) // BILLION
        return true + self.step_ps + sum(self.offsets_ps.values()) + drifted

    def true(self, local: int) -> int:
        """The first instant (ps) at which the clock shows ``local`` or more."""
        rate = BILLION + sum(rate for _, rate in self.drifts.values())
        drifted = sum(start * rate for start, rate in self.drifts.values())
        at = ((local - self.step_ps - sum(self.offsets_ps.values())) * BILLION + drifted) // rate
        while self.local(at) < local:
            at += 1
        while self.local(at - 1) >= local:
            at -= 1
        return at

    @property
    def right(self) -> bool:
        """Whether it shows the true time."""
        return not (self.step_ps or self.offsets_ps or self.drifts)

    def grant(self, grant: fabric.Grant) -> fabric.Grant:
        """A grant as the node is to see it: every local time before ``until`` is one that comes in the window."""
        events = []
        for event in grant.events:
            changes = {"at": self.local(event.at)}
            if isinstance(event, fabric.Heralded):
                changes["emitted_at"] = self.local(event.emitted_at)
            events.append(msgspec.structs.replace(event, **changes))
        return fabric.Grant(now=self.local(grant.now), until=self.local(grant.until - 1) + 1, events=tuple(events))

    def block(self, block: fabric.Block, *, not_before: int) -> fabric.Block:
        """A node's answer in true time; what rounding would put before ``not_before`` (ps) happens then."""

        def turned(each: Any) -> Any:
            return msgspec.structs.replace(each, at=max(not_before, self.true(each.at)))

        return msgspec.structs.replace(
            block,
            wake_at=None if block.wake_at is None else self.true(block.wake_at),
            sends=tuple(map(turned, block.sends)),
            operations=tuple(map(turned, block.operations)),
            notes=tuple(map(turned, block.notes)),
        )
