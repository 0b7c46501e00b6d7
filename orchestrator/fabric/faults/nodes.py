"""Faults of the processes of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.fabric.faults.links import LinkStates
from orchestrator.fabric.faults.schedule import Occurrence

if TYPE_CHECKING:
    from orchestrator.fabric.engine import Engine


class NodeFaults:
    """Carries out what befalls nodes; their processes are the supervisor's to end."""

    def __init__(self, engine: Engine, links: LinkStates) -> None:
        self._engine = engine
        self._links = links

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Nodes are killed."""
        return [self._kill(node, occurrence.name, at) for node in occurrence.targets if not self._gone(node)]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Who is dead stays so."""
        return []

    def _gone(self, node: str) -> bool:
        return self._engine.seats[node].gone

    def _kill(self, node: str, fault: str, at: int) -> dict[str, Any]:
        """A node is gone from this instant on: its qubits, its asks, its links; the supervisor ends its process."""
        engine = self._engine
        seat = engine.seats[node]
        seat.gone, seat.events, seat.work_at = True, [], None
        links = [name for name, link in engine.scenario.links.items() if node in link.ends]
        channels = [name for name, each in engine.scenario.classical_links.items() if node in each.ends]
        for link in (*links, *channels):
            self._links.take_down(link, fault)
        engine.forget_asks(seat, at)
        lost = engine.laboratory.lose_all(node, at)
        engine.truth.lost(qubit.name for qubit in lost)
        engine.casualties.append((node, fault))
        return {"node": node, "qubits_lost": len(lost), "links": links}
