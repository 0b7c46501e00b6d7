"""Faults of memories: lifetimes that change, slots that fail, and bursts that upset all qubits of a node.

How faults of one node compose: factors on lifetimes multiply; slots that failed add up, as far as there are any; every
burst upsets what is there. With no fault left, memories are the scenario's again.

Slots fail in this order: free ones, those bound to attempts (the latest first, and the attempts end), those that hold a
qubit, drawn by the seed. A node notices at once that its slots fail, and which qubits are lost; of lifetimes and bursts
nobody tells it.
"""

from __future__ import annotations

import math
from typing import Any

from orchestrator.fabric.clock import EventClass
from orchestrator.fabric.happenings import Delivery
from orchestrator.fabric.memories import Burst
from orchestrator.fabric.schedule import Occurrence, strikes_for_ever
from orchestrator.fabric.world import World
from orchestrator.scenario.faults import BurstDecoherence, MemoryLifetime, SlotFailure
from qnode.wire import fabric
from qnode.wire.quantum import Role


class Lifetimes:
    """Memories that decay faster or slower than the scenario says."""

    KINDS = (MemoryLifetime,)

    def __init__(self, world: World) -> None:
        self._world = world
        self._at_work: dict[str, list[Occurrence]] = {}

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Lifetimes are multiplied."""
        for node in occurrence.targets:
            self._at_work.setdefault(node, []).append(occurrence)
        return [self._changed(node, at) for node in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They are no longer."""
        for node in occurrence.targets:
            self._at_work[node].remove(occurrence)
        return [self._changed(node, at) for node in occurrence.targets]

    def _changed(self, node: str, at: int) -> dict[str, Any]:
        faults = (each.fault for each in self._at_work[node])
        factor = math.prod(fault.factor for fault in faults if isinstance(fault, MemoryLifetime))
        self._world.laboratory.memories[node].live(factor, at)
        return {"node": node, "factor": factor}


class Bursts:
    """Upsets of all qubits in a node's memories, also of those whose herald is still on its way."""

    KINDS = (BurstDecoherence,)

    def __init__(self, world: World) -> None:
        self._world = world

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """A burst."""
        fault = occurrence.fault
        assert isinstance(fault, BurstDecoherence)
        laboratory = self._world.laboratory
        burst = Burst(fault.amplitude_damping, fault.dephasing_probability, fault.depolarising_probability)
        for node in occurrence.targets:
            laboratory.memories[node].burst(burst, at)
        owners = [qubit.owner for qubit in laboratory.qubits.values()]
        return [{"node": node, "qubits": owners.count(node)} for node in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """It was over at once."""
        return []


class FailedSlots:
    """Slots that are out of service."""

    KINDS = (SlotFailure,)

    def __init__(self, world: World) -> None:
        self._world = world
        self._failed: dict[Occurrence, dict[str, int]] = {}
        """By node, how many each occurrence has put out of service."""

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Slots fail."""
        self._failed[occurrence] = {}
        return [self._fail(occurrence, node, at) for node in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They are back, empty."""
        fault = occurrence.fault
        assert isinstance(fault, SlotFailure)
        lines = []
        for node, number in self._failed.pop(occurrence).items():
            self._world.laboratory.memories[node].failed[fault.role] -= number
            self.tell(node, fault.role, at, upkeep=strikes_for_ever(fault))
            lines.append({"node": node, "role": fault.role, "slots_back": number})
        return lines

    def tell(self, node: str, role: Role, at: int, *, lost: tuple[str, ...] = (), upkeep: bool = False) -> None:
        """Let a node know how many of its slots are out of service, and which qubits went with them.

        ``upkeep``: it will go on for ever, so that it does not count as something that happens.
        """
        world = self._world
        number = world.laboratory.memories[node].failed.get(role, 0)
        event = fabric.SlotsOutOfService(at=at, role=role, number=number, lost=lost)
        seat = world.seats[node]
        world.agenda.add(at, EventClass.OPERATION, seat.number, Delivery(seat, event, upkeep))

    def tell_again(self, node: str, at: int) -> None:
        """Let a node that was started again know of what is out of service."""
        for role, number in self._world.laboratory.memories[node].failed.items():
            if number:
                self.tell(node, role, at)

    def _fail(self, occurrence: Occurrence, node: str, at: int) -> dict[str, Any]:
        world, fault = self._world, occurrence.fault
        assert isinstance(fault, SlotFailure)
        laboratory, role = world.laboratory, fault.role
        memories = laboratory.memories[node]
        number = min(fault.slots, memories.slots(role))
        memories.failed[role] = memories.failed.get(role, 0) + number
        self._failed[occurrence][node] = number
        excess = laboratory.occupied(node, role) - memories.slots(role)
        ended = 0
        if role == "communication" and excess > 0:
            ended = world.end_asks(world.seats[node], excess, f"slots of {node} failed", at)
        stream = world.streams.of("fault", fault.name)
        held = [qubit.name for qubit in laboratory.qubits.values() if (qubit.owner, qubit.role) == (node, role)]
        drawn = sorted((stream.uniform(), name) for name in held)[: max(0, excess - ended)]
        lost = tuple(name for _, name in drawn)
        laboratory.lose_from(node, lost, at)
        world.truth.lost(lost)
        self.tell(node, role, at, lost=lost, upkeep=strikes_for_ever(fault))
        return {"node": node, "role": role, "slots_failed": number, "attempts_ended": ended, "qubits_lost": lost}
