"""The quantum state of the whole network, as a product of registers; the only module that imports QuTiP.

A register is an ordered list of qubits and one QuTiP object: a ket while it is pure, a density matrix once it is
mixed. Its first qubit is the most significant. The kernels below work in place on the memory of that object's
dense data, one reshaped view a qubit, so no operator is ever expanded to the register's size: a gate costs O(2^n)
on a ket and O(4^n) on a density matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import qutip
from qutip.core.data import Dense
from qutip.core.dimensions import Dimensions

Array = npt.NDArray[np.complex128]
Axis = tuple[float, float, float]

CERTAIN = 1e-13
"""An outcome less probable than this is rounding error and never drawn."""


class RegisterError(Exception):
    """What was asked cannot be done; no state was changed."""


class UnknownQubit(RegisterError):
    """No register holds a qubit of that name."""


class QubitExists(RegisterError):
    """The name is taken, or stands twice where different qubits are needed."""


class RegisterTooLarge(RegisterError):
    """The joint state would not fit into the memory that one register may take."""


class StateShape(RegisterError):
    """An array is not a ket or density matrix of that many qubits."""


class _Register:
    """``array`` is the memory of ``state``: shape (2^n, 1) for a ket, (2^n, 2^n) for a density matrix, C order."""

    __slots__ = ("array", "ket", "qubits", "state")

    def __init__(self, qubits: list[str], array: Array) -> None:
        self.qubits = qubits
        self.set(array)

    def set(self, array: Array) -> None:
        """Take ``array`` (C order, not shared) as the state."""
        self.ket: bool = array.shape[1] == 1
        self.state: Any = _quantum_object(array, count=len(self.qubits))
        self.array: Array = self.state.data.as_ndarray()


class Registers:
    """The global state. Every method raises a `RegisterError` before it changes anything, or succeeds."""

    def __init__(self, *, max_register_bytes: int) -> None:
        self._of: dict[str, _Register] = {}
        self._max_register_bytes = max_register_bytes
        self._count = 0

    @property
    def register_count(self) -> int:
        """How many registers there are."""
        return self._count

    def __contains__(self, qubit: str) -> bool:
        return qubit in self._of

    def qubits_with(self, qubit: str) -> tuple[str, ...]:
        """The qubits of the register that holds ``qubit``, most significant first."""
        return tuple(self._find(qubit).qubits)

    def is_pure(self, qubit: str) -> bool:
        """Whether the register that holds ``qubit`` is kept as a ket."""
        return self._find(qubit).ket

    def prepare(self, qubit: str) -> None:
        """A new register: ``qubit`` in |0>."""
        self.insert((qubit,), _ZERO)

    def insert(self, qubits: Sequence[str], state: npt.NDArray[Any]) -> None:
        """A new register with a copy of ``state``: a ket (2^n,) or (2^n, 1), or a density matrix (2^n, 2^n).

        Only the shape is checked: the caller is trusted to give a normalised physical state.
        """
        names = list(qubits)
        if len(set(names)) != len(names):
            raise QubitExists(f"a qubit stands twice in {names}")
        for name in names:
            if name in self._of:
                raise QubitExists(f"qubit {name!r} exists already, together with {self.qubits_with(name)}")
        size = 1 << len(names)
        if not names or state.shape not in ((size,), (size, 1), (size, size)):
            raise StateShape(
                f"{len(names)} qubits need a ket ({size},) or a density matrix ({size}, {size}): got {state.shape}"
            )
        ket = state.size == size
        self._check_size(len(names), ket=ket)
        array = np.array(state, dtype=np.complex128, order="C")
        self._add(_Register(names, array.reshape(size, 1) if ket else array))

    def apply(self, unitary: Array, qubits: Sequence[str]) -> None:
        """Apply a unitary (2^k, 2^k) to k qubits, the first the most significant; merges their registers.

        The matrix is trusted: `orchestrator.fabric.gates` makes and checks them.
        """
        if unitary.shape != (1 << len(qubits),) * 2:
            raise StateShape(f"a gate on {len(qubits)} qubits got a matrix of shape {unitary.shape}")
        register = self._joined(qubits)
        names, array = register.qubits, register.array
        positions = tuple([names.index(qubit) for qubit in qubits])
        scratch = np.empty_like(array)
        if register.ket:
            _transform(array, unitary, axes=len(names), positions=positions, out=scratch)
            array[...] = scratch
        else:
            axes = 2 * len(names)
            _transform(array, unitary, axes=axes, positions=positions, out=scratch)
            columns = tuple([position + len(names) for position in positions])
            _transform(scratch, unitary.conj(), axes=axes, positions=columns, out=array)

    def relax(self, qubit: str, *, gamma: float, coherence: float, excited_population: float = 0.0) -> None:
        """Populations move by the fraction ``gamma`` towards (1 - e, e); coherences are multiplied by ``coherence``.

        With e = ``excited_population`` 0 this is decay to |0>, with 1/2 to the mixed state. It is the solution of
        the Bloch equations for a time t, with gamma = 1 - exp(-t/T1) and coherence = exp(-t/T2).
        """
        if gamma == 0.0 and coherence == 1.0:
            self._find(qubit)
            return
        ground, excited, upper, lower = self._blocks(qubit)
        if gamma != 0.0:
            flow = excited * (gamma * (1.0 - excited_population))
            if excited_population != 0.0:
                flow -= ground * (gamma * excited_population)
            ground += flow
            excited -= flow
        if coherence != 1.0:
            upper *= coherence
            lower *= coherence

    def damp(self, qubit: str, gamma: float) -> None:
        """Amplitude damping: |1> decays to |0> with probability ``gamma``."""
        self.relax(qubit, gamma=gamma, coherence=math.sqrt(1.0 - gamma))

    def dephase(self, qubit: str, probability: float) -> None:
        """A Z with this probability."""
        self.relax(qubit, gamma=0.0, coherence=1.0 - 2.0 * probability)

    def pauli(self, qubit: str, x: float, y: float, z: float) -> None:
        """An X, Y or Z with these probabilities (sum at most 1)."""
        if x == 0.0 and y == 0.0:
            self.dephase(qubit, z)
            return
        ground, excited, upper, lower = self._blocks(qubit)
        flow = (excited - ground) * (x + y)
        ground += flow
        excited -= flow
        crossed = lower * (x - y)
        lower *= 1.0 - x - y - 2.0 * z
        lower += upper * (x - y)
        upper *= 1.0 - x - y - 2.0 * z
        upper += crossed

    def depolarise(self, qubits: Sequence[str], probability: float) -> None:
        """rho -> (1 - p) rho + p (I/d) (x) tr_qubits(rho) on one or more qubits together; merges registers."""
        if probability == 0.0:
            for qubit in qubits:
                self._find(qubit)
        elif len(qubits) == 1:
            self.relax(qubits[0], gamma=probability, coherence=1.0 - probability, excited_population=0.5)
        else:
            register = self._joined(qubits, mixed=True)
            names, array = register.qubits, register.array
            blocks = _diagonal_blocks(array, len(names), tuple([names.index(qubit) for qubit in qubits]))
            share = sum(blocks[1:], start=blocks[0]) * (probability / len(blocks))
            array *= 1.0 - probability
            for block in blocks:
                block += share

    def measure(self, qubit: str, axis: Axis, draw: float) -> int:
        """Measure along a unit Bloch vector: 0 (along the axis) iff ``draw``, uniform in [0, 1), is below p0.

        The qubit is gone afterwards; what it was entangled with is left in the state that the outcome means.
        """
        register = self._find(qubit)
        names = register.qubits
        position = names.index(qubit)
        along, opposite = _eigenvectors(axis)
        rest = _project(register, position, along)
        weight = _weight(rest, ket=register.ket)
        outcome = 0 if weight > 1.0 - CERTAIN or (weight >= CERTAIN and draw < weight) else 1
        if len(names) > 1:
            if outcome:
                rest = _project(register, position, opposite)
                weight = _weight(rest, ket=register.ket)
            rest *= 1.0 / (math.sqrt(weight) if register.ket else weight)
        self._remove(register, (qubit,), rest)
        return outcome

    def measure_in_place(self, qubit: str, axis: Axis, draw: float) -> int:
        """Measure as `measure` does, but leave the qubit along the axis, or opposite to it."""
        return self.probe(qubit, _projectors(axis), draw)

    def probe(self, qubit: str, operators: tuple[Array, Array], draw: float) -> int:
        """Measure without taking the qubit: outcome k does ``operators[k]`` (2, 2) to it, their squares add up to 1.

        The outcome is 0 iff ``draw``, uniform in [0, 1), is below its probability.
        """
        register = self._find(qubit)
        marginal = _marginal(register, (register.qubits.index(qubit),))
        weights = [max(0.0, float(np.trace(each @ marginal @ each.conj().T).real)) for each in operators]
        certain = weights[0] > 1.0 - CERTAIN
        outcome = 0 if certain or (weights[0] >= CERTAIN and draw < weights[0]) else 1
        self.apply(operators[outcome], (qubit,))
        register.array *= 1.0 / (math.sqrt(weights[outcome]) if register.ket else weights[outcome])
        return outcome

    def measure_bell(self, first: str, second: str, draw: float) -> tuple[int, int]:
        """Joint Bell measurement: bits (x, z) name the state (X^x Z^z (x) I)|Phi+> found; both qubits are gone.

        So Phi+ = (0, 0), Phi- = (0, 1), Psi+ = (1, 0), Psi- = (1, 1). A qubit teleported through Phi+ is restored by
        X^x and Z^z at the far end; two pairs of Bell index i and j swapped with outcome k leave index i ^ j ^ k.
        """
        register = self._joined((first, second))
        names = register.qubits
        front = _front_pair(register, (names.index(first), names.index(second)))
        candidates = [_project_bell(front, index) for index in range(4)]
        weights = [max(0.0, _weight(candidate, ket=register.ket)) for candidate in candidates]
        threshold = draw * sum(weights)
        index = max(range(4), key=weights.__getitem__)
        for candidate, weight in enumerate(weights):
            if threshold < weight and weight >= CERTAIN:
                index = candidate
                break
            threshold -= weight
        rest = candidates[index]
        rest *= 1.0 / (math.sqrt(weights[index]) if register.ket else weights[index])
        self._remove(register, (first, second), rest)
        return index >> 1, index & 1

    def discard(self, qubit: str) -> None:
        """Throw the qubit away: partial trace. What it was entangled with becomes mixed, so it needs more memory."""
        register = self._find(qubit)
        names = register.qubits
        position = names.index(qubit)
        if not register.ket:
            blocks = _diagonal_blocks(register.array, len(names), (position,))
            rest = np.ascontiguousarray(blocks[0] + blocks[1]).reshape(len(register.array) // 2, -1)
        else:
            halves = np.moveaxis(register.array.reshape(1 << position, 2, -1), 1, 0).reshape(2, -1)
            density = halves.conj() @ halves.T
            if abs(density[0, 0] * density[1, 1] - density[0, 1] * density[1, 0]) < CERTAIN:
                rest = halves[int(density[1, 1].real > 0.5)].reshape(-1, 1)
                rest = rest / np.linalg.norm(rest)
            else:
                self._check_size(len(names) - 1, ket=False)
                rest = halves.T @ halves.conj()
        self._remove(register, (qubit,), rest)

    def reduced(self, qubits: Sequence[str]) -> Array:
        """Density matrix (2^k, 2^k) of these qubits in this order, a copy; separate registers are multiplied."""
        wanted = tuple(qubits)
        if wanted and (whole := self._find(wanted[0])).qubits == list(wanted) and not whole.ket:
            return whole.array.copy()
        if not wanted or len(set(wanted)) != len(wanted):
            raise QubitExists(f"expected different qubits, got {wanted}")
        registers: dict[int, _Register] = {id(found): found for found in map(self._find, wanted)}
        self._check_size(len(wanted), ket=False)
        names: list[str] = []
        density: Array = np.ones((1, 1), dtype=np.complex128)
        for register in registers.values():
            kept = [qubit for qubit in wanted if qubit in register.qubits]
            part = _marginal(register, tuple([register.qubits.index(qubit) for qubit in kept]))
            density = _product(density, part)
            names += kept
        order = [names.index(qubit) for qubit in wanted]
        tensor = density.reshape((2,) * (2 * len(order)))
        tensor = tensor.transpose(order + [len(order) + axis for axis in order])
        return tensor.reshape(density.shape).copy()

    def state(self, qubits: Sequence[str]) -> qutip.Qobj:
        """A copy of the state as a QuTiP object: a ket if the qubits are one whole pure register in its order."""
        if qubits and (register := self._find(qubits[0])).qubits == list(qubits):
            return register.state.copy()
        return _quantum_object(self.reduced(qubits), count=len(qubits))

    def _find(self, qubit: str) -> _Register:
        register = self._of.get(qubit)
        if register is None:
            raise UnknownQubit(f"no qubit {qubit!r} exists: never prepared, already measured, discarded or lost")
        return register

    def _add(self, register: _Register) -> None:
        for name in register.qubits:
            self._of[name] = register
        self._count += 1

    def _remove(self, register: _Register, qubits: Sequence[str], rest: Array) -> None:
        """Take qubits out of the register; ``rest`` is the state of the others."""
        for qubit in qubits:
            register.qubits.remove(qubit)
            del self._of[qubit]
        if register.qubits:
            register.set(rest)
        else:
            self._count -= 1

    def _joined(self, qubits: Sequence[str], *, mixed: bool = False) -> _Register:
        """The one register that holds all the qubits, made if need be; as a density matrix if ``mixed``."""
        first = self._find(qubits[0])
        parts = [first]
        for qubit in qubits[1:]:
            part = self._find(qubit)
            if part not in parts:
                parts.append(part)
        if len(qubits) > 1 and len(set(qubits)) != len(qubits):
            raise QubitExists(f"expected different qubits, got {tuple(qubits)}")
        if len(parts) == 1 and not (mixed and first.ket):
            return first
        ket = not mixed and all(part.ket for part in parts)
        self._check_size(sum(len(part.qubits) for part in parts), ket=ket)
        array = first.array if ket else _density(first)
        for part in parts[1:]:
            array = _product(array, part.array if ket else _density(part))
            first.qubits += part.qubits
            for name in part.qubits:
                self._of[name] = first
            self._count -= 1
        first.set(array)
        return first

    def _blocks(self, qubit: str) -> tuple[Array, Array, Array, Array]:
        """Views <0|rho|0>, <1|rho|1>, <0|rho|1>, <1|rho|0> of the qubit's register, made a density matrix."""
        register = self._of.get(qubit)
        if register is None or register.ket:
            register = self._joined((qubit,), mixed=True)
        names = register.qubits
        view = register.array.reshape(_split(2 * len(names), (names.index(qubit), names.index(qubit) + len(names))))
        rows, columns = view[:, 0], view[:, 1]
        return rows[:, :, 0], columns[:, :, 1], rows[:, :, 1], columns[:, :, 0]

    def _check_size(self, count: int, *, ket: bool) -> None:
        needed = 16 << (count if ket else 2 * count)
        if needed > self._max_register_bytes:
            kind = "a ket" if ket else "a density matrix"
            raise RegisterTooLarge(
                f"{count} qubits in one register as {kind} need {_human(needed)}, the limit is "
                f"{_human(self._max_register_bytes)}: entangle fewer qubits, measure some first, or raise the "
                f"scenario's limits.register_bytes"
            )


_ZERO: Array = np.array([1.0, 0.0], dtype=np.complex128)


def _human(size: int) -> str:
    """A number of bytes in the largest binary unit that it fills."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            return f"{size} {unit}"
        size = -(-size // 1024)
    return f"{size} EiB"


@lru_cache(maxsize=64)
def _dimensions(count: int, ket: bool) -> Any:
    return Dimensions([[2] * count, [1] if ket else [2] * count])


def _quantum_object(array: Array, *, count: int) -> Any:
    """A QuTiP object around ``array`` (2^n, 1) or (2^n, 2^n), which it shares."""
    return qutip.Qobj(Dense(array, copy=False), dims=_dimensions(count, array.shape[1] == 1), copy=False)


@lru_cache(maxsize=4096)
def _split(axes: int, positions: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of 2^axes numbers with an axis of 2 at each (ascending) position and the rest lumped between."""
    edges = (-1, *positions, axes)
    shape: list[int] = []
    for before, after in pairwise(edges):
        shape += [1 << (after - before - 1), 2]
    return tuple(shape[:-1])


@lru_cache(maxsize=4096)
def _gathering(axes: int, positions: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Shape, permutation that brings the positions (in their order) to the front, and the shape after it."""
    ascending = tuple(sorted(positions))
    shape = _split(axes, ascending)
    front = [2 * ascending.index(position) + 1 for position in positions]
    permutation = (*front, *range(0, len(shape), 2))
    return shape, permutation, tuple([shape[axis] for axis in permutation])


def _transform(array: Array, matrix: Array, *, axes: int, positions: tuple[int, ...], out: Array) -> None:
    """Multiply ``matrix`` onto the given axes of the 2 x 2 x ... tensor in ``array``, into ``out``."""
    if len(positions) == 1:
        shape = _split(axes, positions)
        outer, _, inner = shape
        if inner <= 8 and outer > 256:  # many tiny products: make them one product with a slightly larger matrix
            wide = np.kron(matrix, np.eye(inner)) if inner > 1 else matrix
            np.matmul(array.reshape(outer, 2 * inner), wide.T, out=out.reshape(outer, 2 * inner))
        else:
            np.matmul(matrix, array.reshape(shape), out=out.reshape(shape))
        return
    shape, permutation, gathered = _gathering(axes, positions)
    front = array.reshape(shape).transpose(permutation).reshape(len(matrix), -1)
    out.reshape(shape).transpose(permutation)[...] = np.matmul(matrix, front).reshape(gathered)


def _density(register: _Register) -> Array:
    array = register.array
    return array * array.conj().T if register.ket else array


def _product(first: Array, second: Array) -> Array:
    """Kronecker product of two kets (n, 1) or two square matrices."""
    rows, columns = first.shape[0] * second.shape[0], first.shape[1] * second.shape[1]
    product = first[:, None, :, None] * second[None, :, None, :]
    return product.reshape(rows, columns)


def _diagonal_blocks(array: Array, count: int, positions: tuple[int, ...]) -> list[Array]:
    """Views <i|rho|i> of a density matrix for every basis state i of the qubits at ``positions``."""
    ascending = tuple(sorted(positions))
    view = array.reshape(_split(2 * count, ascending + tuple([position + count for position in ascending])))
    keep = slice(None)
    blocks = []
    for basis_state in np.ndindex(*(2,) * len(positions)):
        index: list[Any] = []
        for bit in basis_state + basis_state:
            index += [keep, bit]
        blocks.append(view[tuple(index)])
    return blocks


def _marginal(register: _Register, positions: tuple[int, ...]) -> Array:
    """Density matrix of the qubits at ``positions``, in that order."""
    size = 1 << len(positions)
    shape, permutation, _ = _gathering(len(register.qubits), positions)
    if register.ket:
        front = register.array.reshape(shape).transpose(permutation).reshape(size, -1)
        return np.asarray(np.matmul(front, front.conj().T))
    offset = len(shape)
    both = (*permutation, *[axis + offset for axis in permutation])
    rest = len(register.array) // size
    tensor = register.array.reshape(shape + shape).transpose(both).reshape(size, rest, size, rest)
    return np.asarray(np.trace(tensor, axis1=1, axis2=3))


@lru_cache(maxsize=1024)
def _eigenvectors(axis: Axis) -> tuple[Array, Array]:
    """The two eigenvectors (2,) of the spin along a unit Bloch vector: along it, and opposite."""
    x, y, z = axis
    if z < 0.0:
        along, opposite = _eigenvectors((-x, -y, -z))
        return opposite, along
    cosine = math.sqrt((1.0 + z) / 2.0)
    phase = complex(x, y) / (2.0 * cosine)
    return np.array([cosine, phase]), np.array([-phase.conjugate(), cosine], dtype=np.complex128)


@lru_cache(maxsize=1024)
def _projectors(axis: Axis) -> tuple[Array, Array]:
    """Onto the spin along a unit Bloch vector, and onto the opposite."""
    along, opposite = _eigenvectors(axis)
    return np.outer(along, along.conj()), np.outer(opposite, opposite.conj())


def _project(register: _Register, position: int, vector: Array) -> Array:
    """The unnormalised state of the others if the qubit at ``position`` is found in ``vector``."""
    array, count = register.array, len(register.qubits)
    half = len(array) // 2
    bra = vector.conj()
    if register.ket:
        return np.asarray(np.matmul(bra, array.reshape(_split(count, (position,))))).reshape(half, 1)
    if vector[1] == 0.0 or vector[0] == 0.0:
        bit = int(vector[0] == 0.0)
        view = array.reshape(_split(2 * count, (position, position + count)))
        return view[:, bit, :, bit].reshape(half, half).copy()
    rows: Array = np.matmul(bra, array.reshape(_split(2 * count, (position,))))
    rest: Array = np.matmul(vector, rows.reshape(_split(2 * count - 1, (position + count - 1,))))
    return rest.reshape(half, half)


def _front_pair(register: _Register, positions: tuple[int, int]) -> Array:
    """The state with two qubits in front: (4, rest) for a ket, (4, rest, 4, rest) for a density matrix; a copy."""
    shape, permutation, _ = _gathering(len(register.qubits), positions)
    if register.ket:
        return register.array.reshape(shape).transpose(permutation).reshape(4, -1)
    offset = len(shape)
    rest = len(register.array) // 4
    both = (*permutation, *[axis + offset for axis in permutation])
    return register.array.reshape(shape + shape).transpose(both).reshape(4, rest, 4, rest)


def _project_bell(front: Array, bell_index: int) -> Array:
    """The unnormalised state of the others if the pair in ``front`` is found in the Bell state 2x + z."""
    one, other = ((0, 3), (1, 2))[bell_index >> 1]
    sign = -1.0 if bell_index & 1 else 1.0
    if front.ndim == 2:
        return np.asarray((front[one] + sign * front[other]) * math.sqrt(0.5)).reshape(-1, 1)
    crossed = front[one, :, other] + front[other, :, one]
    return np.asarray((front[one, :, one] + front[other, :, other] + sign * crossed) * 0.5)


def _weight(array: Array, *, ket: bool) -> float:
    """Squared norm of a ket, trace of a density matrix."""
    if ket:
        return float(np.vdot(array, array).real)
    if len(array) == 2:
        return float(array.item(0).real + array.item(3).real)
    return float(array.trace().real)
