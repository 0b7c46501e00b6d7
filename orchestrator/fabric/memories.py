"""What a node's memories do to qubits, now and at every instant before: laws of decay change, and bursts upset all.

Decoherence is applied late, when a qubit is next touched. So what has changed is remembered, to be applied in turn.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from orchestrator.fabric import noise
from orchestrator.fabric.registers import Registers
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire.quantum import Role


@dataclass(slots=True, frozen=True)
class Burst:
    """An upset of every qubit in the memories at an instant: damping, then dephasing, then depolarisation."""

    amplitude_damping: float = 0.0
    dephasing_probability: float = 0.0
    depolarising_probability: float = 0.0

    def upset(self, registers: Registers, qubit: str) -> None:
        """What it does to one qubit."""
        registers.damp(qubit, self.amplitude_damping)
        registers.dephase(qubit, self.dephasing_probability)
        registers.depolarise((qubit,), self.depolarising_probability)


@dataclass(slots=True)
class NodeMemories:
    """The memories of one node: slots, and how they decay."""

    hardware: Hardware
    """As the scenario gives it."""
    failed: dict[Role, int] = field(default_factory=dict)
    """Slots that are out of service."""
    _instants: list[int] = field(default_factory=list)
    _changes: list[tuple[float, Burst | None]] = field(default_factory=list)
    """For each instant (ps): the factor on the scenario's lifetimes from then on, and the burst at it."""

    def slots(self, role: Role) -> int:
        """How many work."""
        return self._given(role).slots - self.failed.get(role, 0)

    def live(self, factor: float, at: int) -> None:
        """From ``at`` (ps) on, all lifetimes are the scenario's times ``factor``."""
        self._instants.append(at)
        self._changes.append((factor, None))

    def burst(self, burst: Burst, at: int) -> None:
        """All that lies here at ``at`` (ps) is upset."""
        factor = self._changes[-1][0] if self._changes else 1.0
        self._instants.append(at)
        self._changes.append((factor, burst))

    def age(self, registers: Registers, qubit: str, role: Role, since: int, until: int) -> None:
        """Let a qubit that has been in a slot of ``role`` since an instant (ps) decohere until another.

        What strikes at ``since`` struck before it came.
        """
        if not self._instants:
            noise.age(registers, qubit, self._given(role), until - since)
            return
        for memory, elapsed_ps, burst in self._pieces(role, since, until):
            noise.age(registers, qubit, memory, elapsed_ps)
            if burst is not None:
                burst.upset(registers, qubit)

    def _pieces(self, role: Role, since: int, until: int) -> Iterator[tuple[Memory, int, Burst | None]]:
        """The laws of decay in turn, for how long (ps) each, and the burst that ends it."""
        first, last = bisect_right(self._instants, since), bisect_right(self._instants, until)
        given, factor = self._given(role), self._changes[first - 1][0] if first else 1.0
        for position in range(first, last):
            instant = self._instants[position]
            after, burst = self._changes[position]
            yield _scaled(given, factor), instant - since, burst
            since, factor = instant, after
        yield _scaled(given, factor), until - since, None

    def _given(self, role: Role) -> Memory:
        return self.hardware.communication if role == "communication" else self.hardware.storage


@lru_cache(maxsize=4096)
def _scaled(memory: Memory, factor: float) -> Memory:
    """The memory with all its lifetimes times ``factor``; itself for a factor of 1."""
    if factor == 1.0:
        return memory

    def times(lifetime_s: float | None) -> float | None:
        return None if lifetime_s is None else lifetime_s * factor

    return msgspec.structs.replace(
        memory,
        t1_s=times(memory.t1_s),
        t2_s=times(memory.t2_s),
        depolarising_time_s=times(memory.depolarising_time_s),
    )
