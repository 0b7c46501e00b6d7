"""Circuits: steps collected to be run in one request."""

from __future__ import annotations

from collections.abc import Sequence

from qnode.wire.application import BellPair
from qnode.wire.quantum import Axis, Discard, Gate, Measure, MeasureBell, Move, Prepare, Role, Step, Unitary

QubitLike = str | BellPair
"""A qubit's name, or a pair, which stands for this end's half."""


def name_of(qubit: QubitLike) -> str:
    """The qubit's name."""
    return qubit.qubit if isinstance(qubit, BellPair) else qubit


def gate_step(name: str, qubits: Sequence[QubitLike], parameters: Sequence[float] = ()) -> Gate:
    """A named gate."""
    return Gate(name=name, qubits=tuple(map(name_of, qubits)), parameters=tuple(map(float, parameters)))


class Circuit:
    """A list of steps; each method adds one and returns the circuit, but ``prepare``, which returns the new qubit."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._prepared = 0

    def prepare(self, *, role: Role = "storage") -> str:
        """A fresh qubit in |0>; the name is good within this circuit, the outcomes tell the real one."""
        self.steps.append(Prepare(role=role))
        self._prepared += 1
        return f"${self._prepared - 1}"

    def gate(self, name: str, *qubits: QubitLike, parameters: Sequence[float] = ()) -> Circuit:
        """A named gate; angles in radians."""
        self.steps.append(gate_step(name, qubits, parameters))
        return self

    def unitary(self, matrix: bytes, *qubits: QubitLike) -> Circuit:
        """Any unitary, row-major complex128; the first qubit is the most significant."""
        self.steps.append(Unitary(qubits=tuple(map(name_of, qubits)), matrix=matrix))
        return self

    def measure(self, qubit: QubitLike, *, axis: Axis = "Z") -> Circuit:
        """A measurement; its bit is in the outcomes, in the order of the steps."""
        self.steps.append(Measure(qubit=name_of(qubit), axis=axis))
        return self

    def measure_bell(self, first: QubitLike, second: QubitLike) -> Circuit:
        """A Bell measurement; its two bits (x, z) are in the outcomes."""
        self.steps.append(MeasureBell(qubits=(name_of(first), name_of(second))))
        return self

    def move(self, qubit: QubitLike, role: Role) -> Circuit:
        """To a slot of another role."""
        self.steps.append(Move(qubit=name_of(qubit), role=role))
        return self

    def discard(self, qubit: QubitLike) -> Circuit:
        """Throw a qubit away."""
        self.steps.append(Discard(qubit=name_of(qubit)))
        return self
