"""Links that are down, and because of what.

A link that is down makes no pairs: attempts are broken off without a herald, both ends go on asking, and draw again
when it is up. Its own classical channel carries nothing either, unless only what is quantum about it is down. What was
on its way already arrives.
"""

from __future__ import annotations

from typing import Any

from orchestrator.fabric.faults.channels import ChannelStates
from orchestrator.fabric.schedule import Occurrence
from orchestrator.fabric.world import World
from orchestrator.scenario.faults import QuantumDown

LINK_DOWN = "the link is down"
"""Why its own channel carries nothing."""


class LinkStates:
    """Which links are down, and because of what: a link is up when nothing keeps it down."""

    def __init__(self, world: World, channels: ChannelStates) -> None:
        self._world = world
        self._channels = channels
        self._reasons: dict[str, set[str]] = {}
        self._quantum_reasons: dict[str, set[str]] = {}
        """What keeps only pairs and qubits from it."""

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Links go down."""
        down = self.take_quantum_down if isinstance(occurrence.fault, QuantumDown) else self.take_down
        return [{"link": link, "attempts_end": down(link, occurrence.name)} for link in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They are up again, unless something else keeps them down."""
        up = self.bring_quantum_up if isinstance(occurrence.fault, QuantumDown) else self.bring_up
        return [{"link": link, "attempts_start": up(link, occurrence.name, at)} for link in occurrence.targets]

    def take_down(self, link: str, reason: str, *, breaks_off: bool = True) -> bool:
        """One more reason for a link to be down. Returns whether a series of attempts was broken off."""
        reasons = self._reasons.setdefault(link, set())
        reasons.add(reason)
        if len(reasons) > 1:
            return False
        for forward in (True, False):
            self._channels.take_down(link, LINK_DOWN, forward=forward)
        return self._end_attempts(link, breaks_off=breaks_off)

    def take_quantum_down(self, link: str, reason: str) -> bool:
        """One more reason for a link to make no pairs and carry no qubits, and nothing else. Returns likewise."""
        self._quantum_reasons.setdefault(link, set()).add(reason)
        return self._end_attempts(link, breaks_off=True)

    def bring_up(self, link: str, reason: str, at: int) -> bool:
        """A reason is gone at ``at`` (ps). Returns whether a series of attempts starts now."""
        reasons = self._reasons[link]
        reasons.discard(reason)
        if reasons:
            return False
        for forward in (True, False):
            self._channels.bring_up(link, LINK_DOWN, forward=forward)
        return self._begin_attempts(link, at)

    def bring_quantum_up(self, link: str, reason: str, at: int) -> bool:
        """Such a reason is gone. Returns likewise."""
        self._quantum_reasons[link].discard(reason)
        return self._begin_attempts(link, at)

    def why_down(self, link: str) -> str:
        """The reasons that keep pairs and qubits from a link; empty if it is up."""
        return ", ".join(sorted({*self._reasons.get(link, ()), *self._quantum_reasons.get(link, ())}))

    def _end_attempts(self, link: str, *, breaks_off: bool) -> bool:
        generation = self._world.links.get(link)
        if generation is None or generation.down:
            return False
        generation.down = True
        return breaks_off and generation.break_off()

    def _begin_attempts(self, link: str, at: int) -> bool:
        generation = self._world.links.get(link)
        if generation is None or self.why_down(link):
            return False
        series = generation.bring_up(at)
        self._world.started(generation, series)
        return series is not None
