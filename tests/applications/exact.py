"""Every course of a small protocol with its probability, by density matrices in NumPy and nothing of the product.

A protocol is a function of a `Desk`: it prepares, acts and measures, decides by what it reads, and returns what came of it.
`distribution` runs it once for each sequence of bits that it can read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

R = TypeVar("R", bound=Hashable)
SMALLEST = 1e-14
I2, X, Y, Z = np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
H = (X + Z) / np.sqrt(2)
S, SDG = np.diag([1, 1j]), np.diag([1, -1j])
CX = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
CZ = np.diag([1, 1, 1, -1])
CSWAP = np.eye(8)[[0, 1, 2, 3, 4, 6, 5, 7]]
PHI_PLUS = np.array([1, 0, 0, 1]) / np.sqrt(2)


def rz(angle_rad: float) -> Any:
    """exp(-i angle Z/2)."""
    return np.diag(np.exp([-0.5j * angle_rad, 0.5j * angle_rad]))


def rx(angle_rad: float) -> Any:
    """exp(-i angle X/2)."""
    return np.cos(angle_rad / 2) * I2 - 1j * np.sin(angle_rad / 2) * X


def ry(angle_rad: float) -> Any:
    """exp(-i angle Y/2)."""
    c, s = np.cos(angle_rad / 2), np.sin(angle_rad / 2)
    return np.array([[c, -s], [s, c]])


def phase(angle_rad: float) -> Any:
    """A phase for |1>."""
    return np.diag([1, np.exp(1j * angle_rad)])


def cphase(angle_rad: float) -> Any:
    """A phase for |11>."""
    return np.diag([1, 1, 1, np.exp(1j * angle_rad)])


def along(axis: Sequence[float] | str) -> Any:
    """The observable of a Bloch vector."""
    vector = {"X": (1, 0, 0), "Y": (0, 1, 0), "Z": (0, 0, 1)}[axis] if isinstance(axis, str) else axis
    return sum(part * pauli for part, pauli in zip(vector, (X, Y, Z), strict=True))


class Desk:
    """Qubits as one density matrix, unnormalised: its trace is the probability of what was read so far."""

    def __init__(self, script: Sequence[int], *, w: float, gate: float, readout: float) -> None:
        self.w, self.gate_error, self.readout_error = w, gate, readout
        self.rho = np.ones((1, 1), dtype=complex)
        self.names: list[int] = []
        self.made = 0
        self.script = list(script)
        self.read: list[int] = []
        self.untried: list[tuple[int, ...]] = []

    def add(self, rho: Any) -> list[int]:
        """Fresh qubits in the given state."""
        number = int(np.log2(len(rho)))
        new = list(range(self.made, self.made + number))
        self.made += number
        self.names += new
        self.rho = np.kron(self.rho, rho)
        return new

    def prepare(self, *gates: Any) -> int:
        """|0>, and gates on it."""
        (qubit,) = self.add(np.diag([1.0, 0.0]))
        for gate in gates:
            self.do(gate, qubit)
        return qubit

    def pair(self) -> tuple[int, int]:
        """A Werner pair: Phi+ with weight w, else nothing but noise."""
        first, second = self.add(self.w * np.outer(PHI_PLUS, PHI_PLUS) + (1 - self.w) * np.eye(4) / 4)
        return first, second

    def do(self, matrix: Any, *qubits: int) -> None:
        """A gate; one on several qubits depolarises them."""
        self._conjugate(matrix, qubits)
        if len(qubits) > 1:
            self.depolarise(self.gate_error, *qubits)

    def depolarise(self, probability: float, *qubits: int) -> None:
        """rho -> (1 - p) rho + p I/d on these."""
        if not probability:
            return
        before = self.rho
        for qubit in qubits:
            self._mix(qubit)
        self.rho = (1 - probability) * before + probability * self.rho

    def average(self, protocol: Callable[[Desk], None]) -> None:
        """Go on with the mean of all courses of a part whose outcomes nobody needs any more."""
        total, scripts, desk = 0.0, [()], self
        while scripts:
            desk = Desk(scripts.pop(), w=self.w, gate=self.gate_error, readout=self.readout_error)
            desk.rho, desk.names, desk.made = self.rho, list(self.names), self.made
            protocol(desk)
            total = total + desk.rho
            scripts += desk.untried
        self.rho, self.names, self.made = total, desk.names, desk.made

    def discard(self, qubit: int) -> None:
        """Throw it away."""
        self.rho = self._without(qubit)
        self.names.remove(qubit)

    def expectation(self, observable: Any, *qubits: int) -> float:
        """Of a Hermitian matrix, in the state as it is now."""
        return float(np.trace(self._rows(observable, qubits)).real / np.trace(self.rho).real)

    def readings(self, *qubits: int) -> Any:
        """The probabilities of what would be read along Z, readout errors included, an axis for each qubit."""
        places = [self.names.index(qubit) for qubit in qubits]
        found = np.diag(self.rho).real.reshape([2] * len(self.names))
        found = np.moveaxis(found, places, range(len(places)))
        found = found.reshape([2] * len(places) + [-1]).sum(axis=-1)
        error = self.readout_error
        for place in range(len(places)):
            found = (1 - error) * found + error * np.flip(found, axis=place)
        return found

    def measure(self, qubit: int, *, axis: Sequence[float] | str = "Z") -> int:
        """The bit as it is read, with readout errors; the qubit is gone."""
        projectors = [(np.eye(2) + sign * along(axis)) / 2 for sign in (1, -1)]
        before, branches = self.rho, []
        for projector in projectors:
            self._conjugate(projector, (qubit,))
            branches.append(self._without(qubit))
            self.rho = before
        error = self.readout_error
        seen = [(1 - error) * branches[bit] + error * branches[1 - bit] for bit in (0, 1)]
        self.names.remove(qubit)
        bit = self._choose([float(np.trace(each).real) for each in seen])
        self.rho = seen[bit]
        return bit

    def measure_bell(self, first: int, second: int) -> tuple[int, int]:
        """(x, z) of X^x Z^z (x) I |Phi+>, with the noise of one two-qubit gate and of two readouts."""
        self.do(CX, first, second)
        self.do(H, first)
        z = self.measure(first)
        return self.measure(second), z

    def correct(self, qubit: int, x: int, z: int) -> None:
        """Apply X^x, then Z^z."""
        if x:
            self.do(X, qubit)
        if z:
            self.do(Z, qubit)

    def teleport(self, qubit: int) -> int:
        """Over a fresh pair."""
        here, there = self.pair()
        self.correct(there, *self.measure_bell(qubit, here))
        return there

    def choose(self, number: int) -> int:
        """One of so many, each as probable."""
        before = self.rho
        chosen = self._choose([float(np.trace(before).real) / number] * number)
        self.rho = before / number
        return chosen

    def _choose(self, weights: Sequence[float]) -> int:
        place = len(self.read)
        if place == len(self.script):
            possible = [i for i, weight in enumerate(weights) if weight > SMALLEST]
            self.untried += [(*self.read, other) for other in possible[1:]]
            self.script.append(possible[0])
        self.read.append(self.script[place])
        return self.read[-1]

    def _rows(self, matrix: Any, qubits: Sequence[int]) -> Any:
        size, number = len(self.rho), len(qubits)
        places = [self.names.index(qubit) for qubit in qubits]
        tensor = self.rho.reshape([2] * len(self.names) + [size])
        gate = np.asarray(matrix).reshape([2] * (2 * number))
        tensor = np.tensordot(gate, tensor, axes=(list(range(number, 2 * number)), places))
        return np.moveaxis(tensor, list(range(number)), places).reshape(size, size)

    def _conjugate(self, matrix: Any, qubits: Sequence[int]) -> None:
        self.rho = self._rows(matrix, qubits).conj().T  # (U rho)^dagger = rho U^dagger
        self.rho = self._rows(matrix, qubits).conj().T

    def _mix(self, qubit: int) -> None:
        place, number, size = self.names.index(qubit), len(self.names), len(self.rho)
        tensor = np.moveaxis(self.rho.reshape([2] * (2 * number)), (place, number + place), (0, 1))
        mean = (tensor[0, 0] + tensor[1, 1]) / 2
        mixed = np.zeros_like(tensor)
        mixed[0, 0] = mixed[1, 1] = mean
        self.rho = np.moveaxis(mixed, (0, 1), (place, number + place)).reshape(size, size)

    def _without(self, qubit: int) -> Any:
        place, number = self.names.index(qubit), len(self.names)
        tensor = self.rho.reshape([2] * (2 * number))
        left = 2 ** (number - 1)
        return np.trace(tensor, axis1=place, axis2=number + place).reshape(left, left)


def distribution(
    protocol: Callable[[Desk], R], *, w: float = 1.0, gate: float = 0.0, readout: float = 0.0
) -> dict[R, float]:
    """The probability of each thing that ``protocol`` can return."""
    found: dict[R, float] = defaultdict(float)
    scripts: list[tuple[int, ...]] = [()]
    while scripts:
        desk = Desk(scripts.pop(), w=w, gate=gate, readout=readout)
        result = protocol(desk)
        found[result] += float(np.trace(desk.rho).real)
        scripts += desk.untried
    return dict(found)
