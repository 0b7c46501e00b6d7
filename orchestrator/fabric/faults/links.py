"""Links that are down, and because of what.

A link that is down makes no pairs: attempts are broken off without a herald, both ends go on asking, and draw again
when it is up. Its own classical channel carries nothing either. What was on its way already arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.fabric.faults.schedule import Occurrence

if TYPE_CHECKING:
    from orchestrator.fabric.engine import Engine


class LinkStates:
    """Which links are down, and because of what: a link is up when nothing keeps it down."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reasons: dict[str, set[str]] = {}

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Links go down."""
        return [{"link": link, "attempts_end": self.take_down(link, occurrence.name)} for link in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They are up again, unless something else keeps them down."""
        return [
            {"link": link, "attempts_start": self.bring_up(link, occurrence.name, at)} for link in occurrence.targets
        ]

    def take_down(self, link: str, reason: str) -> bool:
        """One more reason for a link to be down. Returns whether a series of attempts was broken off."""
        reasons = self._reasons.setdefault(link, set())
        reasons.add(reason)
        if len(reasons) > 1:
            return False
        self._engine.topology.take_down(link)
        generation = self._engine.links.get(link)
        return generation is not None and generation.take_down()

    def bring_up(self, link: str, reason: str, at: int) -> bool:
        """A reason is gone at ``at`` (ps). Returns whether a series of attempts starts now."""
        reasons = self._reasons[link]
        reasons.discard(reason)
        if reasons:
            return False
        self._engine.topology.bring_up(link)
        generation = self._engine.links.get(link)
        series = generation.bring_up(at) if generation is not None else None
        if generation is not None:
            self._engine.started(generation, series)
        return series is not None

    def why_down(self, link: str) -> str:
        """The reasons that keep a link down; empty if it is up."""
        return ", ".join(sorted(self._reasons.get(link, ())))
