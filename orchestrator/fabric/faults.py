"""What the scenario breaks, and when: each fault strikes at a virtual instant, before all else of that instant.

A link that is down makes no pairs: attempts are broken off without a herald, both ends go on asking, and draw again
when it is up. Its own classical channel carries nothing either. What was on its way already arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.generation import LinkGeneration, Series
from orchestrator.scenario import Fault, LinkDown, Scenario
from orchestrator.topology import Topology


@dataclass(slots=True, frozen=True)
class Strike:
    """A fault begins now."""

    name: str
    fault: Fault


@dataclass(slots=True, frozen=True)
class Heal:
    """A fault is over now."""

    name: str
    fault: LinkDown


def fault_names(faults: tuple[Fault, ...]) -> list[str]:
    """The faults' names, by default made of kind and target, numbered where that is not enough."""
    names: list[str] = []
    for fault in faults:
        target = fault.link if isinstance(fault, LinkDown) else fault.node
        base = name = fault.name or f"{type(fault).__struct_config__.tag} {target}"
        number = 2
        while name in names:
            name, number = f"{base} #{number}", number + 1
        names.append(name)
    return names


def schedule(scenario: Scenario) -> Iterator[tuple[int, Strike | Heal]]:
    """Everything that the scenario breaks or heals, with its instant (ps)."""
    for name, fault in zip(fault_names(scenario.faults), scenario.faults, strict=True):
        strikes = round(fault.at_s * PICOSECONDS)
        yield strikes, Strike(name, fault)
        if isinstance(fault, LinkDown) and fault.for_s is not None:
            yield strikes + max(1, round(fault.for_s * PICOSECONDS)), Heal(name, fault)


class LinkStates:
    """Which links are down, and because of what: a link is up when nothing keeps it down."""

    def __init__(self, links: dict[str, LinkGeneration], topology: Topology) -> None:
        self._links = links
        self._topology = topology
        self._reasons: dict[str, set[str]] = {}

    def take_down(self, link: str, reason: str) -> bool:
        """One more reason for a link to be down. Returns whether a series of attempts was broken off."""
        reasons = self._reasons.setdefault(link, set())
        reasons.add(reason)
        if len(reasons) > 1:
            return False
        self._topology.take_down(link)
        return link in self._links and self._links[link].take_down()

    def bring_up(self, link: str, reason: str, at: int) -> Series | None:
        """A reason is gone. Returns the series of attempts that starts now, if one does."""
        reasons = self._reasons[link]
        reasons.discard(reason)
        if reasons:
            return None
        self._topology.bring_up(link)
        return self._links[link].bring_up(at) if link in self._links else None

    def why_down(self, link: str) -> str:
        """The reasons that keep a link down; empty if it is up."""
        return ", ".join(sorted(self._reasons.get(link, ())))
