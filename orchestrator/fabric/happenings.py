"""What the engine keeps and what it has to do: seats of nodes, things that happen at an instant, the oracle's sums."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from orchestrator.fabric.generation import LinkGeneration, Series
from orchestrator.fabric.predictions import bell_state, to_phi_plus
from qnode.wire import fabric
from qnode.wire.quantum import Step


@dataclass(slots=True)
class NodeSeat:
    """A node at the fabric."""

    name: str
    number: int
    holds: bool = False
    started: bool = False
    gone: bool = False
    wake_at: int | None = None
    queued_wakes: set[int] = field(default_factory=set)
    applications: int = 0
    flowing: int = 0
    blocked_once: bool = False
    events: list[fabric.Event] = field(default_factory=list)
    work_at: int | None = None
    """The first instant of this window at which the node has something to do."""


@dataclass(slots=True)
class Wake:
    """A node asked to be woken now."""

    seat: NodeSeat


@dataclass(slots=True)
class CircuitStep:
    """A step of a circuit is complete now."""

    seat: NodeSeat
    operation: int
    steps: tuple[Step, ...]
    position: int
    bits: tuple[int, ...]


@dataclass(slots=True)
class Departure:
    """A qubit leaves for a link now."""

    seat: NodeSeat
    operation: int
    link: str
    qubit: str


@dataclass(slots=True)
class QubitArrival:
    """A transmitted qubit reaches the far end now, or would have."""

    link: str
    seat: NodeSeat
    qubit: str
    survived: bool


@dataclass(slots=True)
class HeraldArrival:
    """A herald reaches one end now."""

    generation: LinkGeneration
    series: Series
    end: int


@dataclass(slots=True)
class Delivery:
    """An event for a node, and nothing else."""

    seat: NodeSeat
    event: fabric.Event


What = Wake | CircuitStep | Departure | QubitArrival | HeraldArrival | Delivery


@dataclass(slots=True)
class LinkUse:
    """What the oracle saw of a link's pairs when they were first used: their states summed, by nearest Bell state."""

    pairs: int = 0
    state_sums: np.ndarray = field(default_factory=lambda: np.zeros((4, 4, 4), dtype=complex))

    def add(self, state: np.ndarray) -> None:
        """Count one pair's state (4, 4)."""
        nearest = int((_BELL_PROJECTORS @ state.ravel()).real.argmax())
        self.pairs += 1
        self.state_sums[nearest] += state

    def mean_state(self) -> np.ndarray:
        """The mean of all states (4, 4), each turned into the Phi+ frame."""
        turned = [to_phi_plus(state, index) for index, state in enumerate(self.state_sums)]
        return np.asarray(sum(turned) / self.pairs)


_BELL_PROJECTORS = np.array([np.outer(ket, ket.conj()).conj().ravel() for ket in map(bell_state, range(4))])
"""Row i times a flattened state is its fidelity with Bell state i."""
