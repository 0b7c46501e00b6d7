"""Random fault schedules: the section ``random_faults`` of a scenario, and what can be drawn.

To draw one more kind, give it a row in ``DRAWN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from orchestrator.scenario.section import Interval, Moment, Name, Section


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """How a kind of fault is drawn, beside its instant and its target."""

    lasts: bool
    """Whether it is healed, after a time that is drawn."""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Fields that are drawn uniformly between two numbers."""


DRAWN: dict[str, Drawn] = {
    "link_down": Drawn(lasts=True),
    "node_kill": Drawn(lasts=False),
}
"""By kind."""


class RandomFaults(Section, frozen=True, kw_only=True):
    """Faults that the seed draws before the run: each with a kind, a target, an instant and a duration, evenly."""

    name: Name = "random"
    """The faults are called by it and their number: ``random-0``, ``random-1``."""
    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    kinds: tuple[str, ...] = ()
    """What to draw from; a kind that is named twice is drawn twice as often. Default: all that can be drawn here."""
    from_s: Moment = 0.0
    """Virtual time from which they strike."""
    until_s: Interval
    """Virtual time before which they strike."""
    longest_s: Interval = 1.0
    """The longest that one lasts."""
    spare: tuple[str, ...] = ()
    """Nodes and links that none strikes."""
