"""Faults of the processes of nodes: ended, started again, stopped for a while, slow."""

from __future__ import annotations

from typing import Any

from orchestrator import control
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.faults.links import LinkStates
from orchestrator.fabric.faults.memory import FailedSlots
from orchestrator.fabric.schedule import Occurrence
from orchestrator.fabric.world import World
from orchestrator.scenario.faults import FabricPause, FabricSlow, NodePause, NodeSlow, NodeStop


class EndedNodes:
    """Nodes whose processes faults have ended. The supervisor ends and starts them as the orders say."""

    def __init__(self, world: World, links: LinkStates, slots: FailedSlots) -> None:
        self._world = world
        self._links = links
        self._slots = slots
        self._reasons: dict[str, list[str]] = {}
        """By node, the faults that keep it down."""

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Nodes end."""
        details = [self._end(node, occurrence, at) for node in occurrence.targets]
        return [each for each in details if each is not None]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They are started again, unless another fault keeps them down."""
        return [self._start(node, occurrence, at) for node in occurrence.targets]

    def _end(self, node: str, occurrence: Occurrence, at: int) -> dict[str, Any] | None:
        """A node is gone from this instant on: its qubits, its asks, its links."""
        world, name = self._world, occurrence.name
        reasons = self._reasons.setdefault(node, [])
        reasons.append(name)
        seat = world.seats[node]
        if seat.gone:
            return {"node": node, "qubits_lost": 0, "links": []} if len(reasons) > 1 else None
        seat.gone, seat.events, seat.work_at = True, [], None
        for link in self._channels(node):
            self._links.take_down(link, f"{node} is gone")
        world.forget_asks(seat, at)
        lost = world.laboratory.lose_all(node, at)
        world.truth.lost(qubit.name for qubit in lost)
        orderly = isinstance(occurrence.fault, NodeStop)
        world.orders.append(control.EndNode(node=node, fault=name, orderly=orderly))
        links = [link for link, each in world.scenario.links.items() if node in each.ends]
        return {"node": node, "qubits_lost": len(lost), "links": links}

    def _start(self, node: str, occurrence: Occurrence, at: int) -> dict[str, Any]:
        """A node comes back, with nothing of what it had."""
        world = self._world
        reasons = self._reasons[node]
        reasons.remove(occurrence.name)
        if reasons:
            return {"node": node, "starts": False}
        seat = world.sit_down_again(node)
        fault: Any = occurrence.fault
        applications = tuple(
            each.name for each in world.scenario.applications if fault.restart_applications and each.node == node
        )
        world.orders.append(control.StartNode(node=node, incarnation=seat.incarnation, applications=applications))
        attempts = [link for link in self._channels(node) if self._links.bring_up(link, f"{node} is gone", at)]
        world.wake(seat, at)
        self._slots.tell_again(node, at)
        return {"node": node, "starts": True, "attempts_start": attempts}

    def _channels(self, node: str) -> list[str]:
        scenario = self._world.scenario
        quantum = [name for name, link in scenario.links.items() if node in link.ends]
        return quantum + [name for name, link in scenario.classical_links.items() if node in link.ends]


class HinderedNodes:
    """Nodes that notice what happens to them late, or not before they go on."""

    def __init__(self, world: World) -> None:
        self._world = world

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Nodes stop, or are slow."""
        fault = occurrence.fault
        for node in occurrence.targets:
            seat = self._world.seats[node]
            if isinstance(fault, NodePause):
                seat.pauses += 1
                if seat.pauses == 1 and not seat.gone:
                    self._world.orders.append(control.PauseNode(node=node))
            elif isinstance(fault, NodeSlow):
                seat.late_ps += round(fault.late_s * PICOSECONDS)
        return [{"node": node} for node in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They go on, or are as fast as before. A node that was started again meanwhile is a new process."""
        fault = occurrence.fault
        for node in occurrence.targets:
            seat = self._world.seats[node]
            if isinstance(fault, NodeSlow):
                seat.late_ps -= round(fault.late_s * PICOSECONDS)
                continue
            seat.pauses -= 1
            if seat.pauses == 0 and not seat.gone:
                self._world.orders.append(control.ResumeNode(node=node))
                self._world.resume(seat, at)
        return [{"node": node} for node in occurrence.targets]


class HinderedFabric:
    """Faults of the fabric's own process, in wall-clock time: virtual time does not notice them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._slow: list[FabricSlow] = []

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """The fabric stands still for a while, or is slow from now on."""
        fault = occurrence.fault
        if isinstance(fault, FabricPause):
            self._world.orders.append(control.HinderFabric(wait_s=fault.wall_s))
        elif isinstance(fault, FabricSlow):
            self._slow.append(fault)
            self._be_slow()
        return [{}]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """It is as fast as before."""
        self._slow.remove(occurrence.fault)  # type: ignore[arg-type]
        self._be_slow()
        return [{}]

    def _be_slow(self) -> None:
        total_s = sum(fault.wall_s_per_window for fault in self._slow)
        self._world.orders.append(control.HinderFabric(wait_per_window_s=total_s))
