"""Classical channels that carry nothing, each direction by itself, and because of what.

What was on its way already arrives, and what is sent takes the fastest way that is left.
"""

from __future__ import annotations

from typing import Any

from orchestrator.fabric.schedule import Occurrence
from orchestrator.fabric.world import World
from orchestrator.scenario.faults import Partition

FORWARD = {"both": (True, False), "forward": (True,), "backward": (False,)}
"""By the direction that a fault gives: whether each of its directions is from the link's first end."""


class ChannelStates:
    """A direction of a channel is up when nothing keeps it down."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reasons: dict[tuple[str, bool], set[str]] = {}

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Channels fall silent."""
        struck = self._struck(occurrence)
        for channel, forward in struck:
            self.take_down(channel, occurrence.name, forward=forward)
        return _described(occurrence, struck)

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They carry messages again, unless something else keeps them from it."""
        struck = self._struck(occurrence)
        for channel, forward in struck:
            self.bring_up(channel, occurrence.name, forward=forward)
        return _described(occurrence, struck)

    def take_down(self, channel: str, reason: str, *, forward: bool) -> None:
        """One more reason for one direction of a channel to carry nothing."""
        reasons = self._reasons.setdefault((channel, forward), set())
        reasons.add(reason)
        if len(reasons) == 1:
            self._world.topology.take_down(channel, forward=forward)

    def bring_up(self, channel: str, reason: str, *, forward: bool) -> None:
        """A reason is gone."""
        reasons = self._reasons[(channel, forward)]
        reasons.discard(reason)
        if not reasons:
            self._world.topology.bring_up(channel, forward=forward)

    def _struck(self, occurrence: Occurrence) -> list[tuple[str, bool]]:
        fault: Any = occurrence.fault
        if not isinstance(fault, Partition):
            return [(channel, forward) for channel in occurrence.targets for forward in FORWARD[fault.direction]]
        group, struck = set(occurrence.targets), []
        for channel, link in self._world.topology.channels.items():
            inside = tuple(end in group for end in link.ends)
            if inside[0] != inside[1]:
                leaves = inside[0]  # the forward direction does
                kinds = {"both": (True, False), "from": (leaves,), "to": (not leaves,)}
                struck += [(channel, forward) for forward in kinds[fault.direction]]
        return struck


def _described(occurrence: Occurrence, struck: list[tuple[str, bool]]) -> list[dict[str, Any]]:
    fault: Any = occurrence.fault
    if isinstance(fault, Partition):
        channels = list(dict.fromkeys(channel for channel, _ in struck))
        return [{"nodes": occurrence.targets, "direction": fault.direction, "channels": channels}]
    return [{"link": channel, "direction": fault.direction} for channel in occurrence.targets]
