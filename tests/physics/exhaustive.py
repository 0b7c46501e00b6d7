"""Every way that a circuit can go in the fabric's laboratory, with its probability: expectations without sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from orchestrator.fabric.laboratory import Laboratory
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire.quantum import Measure, MeasureBell, Step

BELL = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]]) / np.sqrt(2)
"""By Bell index 2x + z; the first qubit is the more significant."""
_ALMOST_ONE = 1.0 - 2.0**-53


class Branch(NamedTuple):
    """One course of a circuit."""

    probability: float
    bits: tuple[int, ...]
    """As they were read."""
    laboratory: Laboratory


class _Choice(NamedTuple):
    """One thing that a measurement can do: the draws that bring it about, and how probable it is."""

    probability: float
    draws: tuple[float, ...]


class ScriptedStreams:
    """Gives the draws that it was told to give."""

    def __init__(self) -> None:
        self.draws: list[float] = []

    def of(self, purpose: str, entity: str) -> ScriptedStreams:
        return self

    def uniform(self) -> float:
        return self.draws.pop(0)


def hardware(**noise: float) -> Hardware:
    """Memories that keep everything, and whatever noise the operations have."""
    memory = Memory(slots=64)
    return Hardware(communication=memory, storage=memory, **noise)  # type: ignore[arg-type]


def laboratory(pairs: dict[str, tuple[str, str, np.ndarray]], devices: dict[str, Hardware]) -> Laboratory:
    """Pairs by name as (owner, owner, state (4, 4)); the halves of pair ``p`` are ``p.0`` and ``p.1``."""
    built = Laboratory(devices, streams=ScriptedStreams(), register_bytes=1 << 24)  # type: ignore[arg-type]
    for name, (first, second, state) in pairs.items():
        for owner in (first, second):
            built.occupy(owner, "communication", 0)
        built.place_pair((f"{name}.0", f"{name}.1"), (first, second), state, since_ps=(0, 0), pair=name)
    return built


def branches(build: Callable[[], Laboratory], circuit: Sequence[tuple[str, Step]]) -> Iterator[Branch]:
    """All courses of the steps, each done by the node beside it, from a laboratory that is built anew for each."""
    untried: list[list[int]] = [[]]
    while untried:
        chosen = untried.pop()
        built = build()
        script: ScriptedStreams = built._streams  # type: ignore[assignment]
        probability, bits, measured = 1.0, [], 0
        for node, step in circuit:
            if isinstance(step, Measure | MeasureBell):
                choices = _choices(built, node, step)
                if measured == len(chosen):
                    untried += [[*chosen, number] for number in range(1, len(choices))]
                    chosen = [*chosen, 0]
                choice = choices[chosen[measured]]
                measured += 1
                probability *= choice.probability
                script.draws = list(choice.draws)
            bits += built.do(node, step, 0)
        yield Branch(probability, tuple(bits), built)


def spectrum(state: np.ndarray) -> np.ndarray:
    """Populations of the four Bell states."""
    return np.einsum("ki,ij,kj->k", BELL, state, BELL).real


def bell_diagonal(weights: Sequence[float]) -> np.ndarray:
    """The state with these populations of the Bell states and nothing else."""
    return np.einsum("k,ki,kj->ij", np.asarray(weights), BELL, BELL).astype(complex)


def werner(fidelity: float, bell_index: int = 0) -> np.ndarray:
    """``fidelity`` in one Bell state, the rest shared equally by the others."""
    return bell_diagonal([fidelity if index == bell_index else (1 - fidelity) / 3 for index in range(4)])


def _choices(built: Laboratory, node: str, step: Measure | MeasureBell) -> list[_Choice]:
    """Every outcome and every wrong reading of it."""
    devices = built._hardware[node]
    errors = (devices.readout_error_0, devices.readout_error_1)
    if isinstance(step, Measure):
        assert step.axis == "Z"
        weights = np.diag(built.state_now((step.qubit,), 0)).real
        outcomes = [((bit,), float(weight), 0.0 if bit == 0 else _ALMOST_ONE) for bit, weight in enumerate(weights)]
    else:
        depolarised = devices.two_qubit_gate_depolarising_probability
        weights = (1 - depolarised) * spectrum(built.state_now(step.qubits, 0)) + depolarised / 4
        ends = np.cumsum(weights)
        outcomes = [
            ((index >> 1, index & 1), float(weight), float(end - weight / 2))
            for index, (weight, end) in enumerate(zip(weights, ends, strict=True))
        ]
    choices = []
    for true_bits, weight, draw in outcomes:
        readings = [_Choice(weight, (draw,))]
        for bit in true_bits:
            readings = [
                _Choice(done.probability * chance, (*done.draws, reading))
                for done in readings
                for chance, reading in ((1 - errors[bit], _ALMOST_ONE), (errors[bit], 0.0))
            ]
        choices += readings
    return [choice for choice in choices if choice.probability > 1e-12]
