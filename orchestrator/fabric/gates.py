"""Gates and measurement axes: from names, angles and bytes to matrices that are known to be sound.

The first qubit of a gate is the most significant one and, where there is a control, the control. All errors are
`GateError`, a ``ValueError``; they say what was expected and what was found.
"""

from __future__ import annotations

import cmath
import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.complex128]

UNITARY_TOLERANCE = 1e-9
"""How far U^dagger U may be from the identity, in its largest entry."""
MAX_QUBITS = 3
"""The most qubits of one gate."""


class GateError(ValueError):
    """A gate, unitary or axis that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Gate:
    """A gate: what makes its matrix, from how many angles."""

    parameters: int
    make: Callable[..., Matrix]


def _matrix(*rows: Sequence[complex]) -> Matrix:
    return np.array(rows, dtype=np.complex128)


def _fixed(matrix: Matrix) -> _Gate:
    matrix.setflags(write=False)
    return _Gate(0, lambda: matrix)


def _controlled(target: Matrix) -> Matrix:
    """Do ``target`` on the last qubits if the first is |1>."""
    size = len(target)
    matrix = np.eye(2 * size, dtype=np.complex128)
    matrix[size:, size:] = target
    return matrix


def _rx(angle_rad: float) -> Matrix:
    cosine, sine = math.cos(angle_rad / 2), math.sin(angle_rad / 2)
    return _matrix((cosine, -1j * sine), (-1j * sine, cosine))


def _ry(angle_rad: float) -> Matrix:
    cosine, sine = math.cos(angle_rad / 2), math.sin(angle_rad / 2)
    return _matrix((cosine, -sine), (sine, cosine))


def _rz(angle_rad: float) -> Matrix:
    return _matrix((cmath.exp(-0.5j * angle_rad), 0), (0, cmath.exp(0.5j * angle_rad)))


def _phase(angle_rad: float) -> Matrix:
    return _matrix((1, 0), (0, cmath.exp(1j * angle_rad)))


_X = _matrix((0, 1), (1, 0))
_Y = _matrix((0, -1j), (1j, 0))
_Z = _matrix((1, 0), (0, -1))
_SWAP = _matrix((1, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 0, 1))

_GATES: dict[str, _Gate] = {
    "I": _fixed(_phase(0.0)),
    "X": _fixed(_X),
    "Y": _fixed(_Y),
    "Z": _fixed(_Z),
    "H": _fixed((_X + _Z) * math.sqrt(0.5)),
    "S": _fixed(_matrix((1, 0), (0, 1j))),
    "SDG": _fixed(_matrix((1, 0), (0, -1j))),
    "T": _fixed(_phase(math.pi / 4)),
    "TDG": _fixed(_phase(-math.pi / 4)),
    "SX": _fixed(_matrix((0.5 + 0.5j, 0.5 - 0.5j), (0.5 - 0.5j, 0.5 + 0.5j))),
    "RX": _Gate(1, _rx),
    "RY": _Gate(1, _ry),
    "RZ": _Gate(1, _rz),
    "PHASE": _Gate(1, _phase),
    "CX": _fixed(_controlled(_X)),
    "CNOT": _fixed(_controlled(_X)),
    "CY": _fixed(_controlled(_Y)),
    "CZ": _fixed(_controlled(_Z)),
    "SWAP": _fixed(_SWAP),
    "ISWAP": _fixed(_matrix((1, 0, 0, 0), (0, 0, 1j, 0), (0, 1j, 0, 0), (0, 0, 0, 1))),
    "CPHASE": _Gate(1, lambda angle_rad: _controlled(_phase(angle_rad))),
    "CRX": _Gate(1, lambda angle_rad: _controlled(_rx(angle_rad))),
    "CRY": _Gate(1, lambda angle_rad: _controlled(_ry(angle_rad))),
    "CRZ": _Gate(1, lambda angle_rad: _controlled(_rz(angle_rad))),
    "CCX": _fixed(_controlled(_controlled(_X))),
    "CSWAP": _fixed(_controlled(_SWAP)),
}

GATE_NAMES = tuple(_GATES)
"""Every name that `gate` knows."""

_AXES: dict[str, tuple[float, float, float]] = {
    "X": (1.0, 0.0, 0.0),
    "Y": (0.0, 1.0, 0.0),
    "Z": (0.0, 0.0, 1.0),
    "-X": (-1.0, 0.0, 0.0),
    "-Y": (0.0, -1.0, 0.0),
    "-Z": (0.0, 0.0, -1.0),
}


def gate(name: str, parameters: Sequence[float] = ()) -> Matrix:
    """The matrix (2^k, 2^k) of a named gate; angles in radians. The matrices of fixed gates are shared, read-only.

    RX, RY, RZ are exp(-i angle P / 2); PHASE is diag(1, exp(i angle)); SX is the root of X; ISWAP swaps with a
    factor i. CPHASE, CRX, CRY, CRZ, CX (also CNOT), CY, CZ are controlled by the first qubit, CCX by the first two,
    CSWAP swaps the last two if the first is |1>.

    Raises:
        GateError: an unknown name, a wrong number of angles, or an angle that is not finite.
    """
    found = _GATES.get(name)
    if found is None:
        raise GateError(f"unknown gate {name!r}{_nearest(name, GATE_NAMES)}")
    if len(parameters) != found.parameters:
        angles = "one angle" if found.parameters else "no angle"
        raise GateError(f"gate {name} takes {angles} (radians), found {len(parameters)}: {tuple(parameters)}")
    for angle_rad in parameters:
        if not math.isfinite(angle_rad):
            raise GateError(f"gate {name} needs a finite angle in radians, found {angle_rad}")
    return found.make(*parameters)


def check_unitary(matrix: npt.NDArray[Any], qubit_count: int) -> Matrix:
    """The matrix as complex128, if it is a unitary (2^n, 2^n) on n = ``qubit_count`` qubits, 1 to 3.

    Raises:
        GateError: too many qubits, a wrong shape, entries that are not finite, or |U^dagger U - 1| above 1e-9.
    """
    size = _size(qubit_count)
    if matrix.shape != (size, size):
        raise GateError(f"a unitary on {qubit_count} qubits has shape ({size}, {size}), found {matrix.shape}")
    unitary = np.asarray(matrix, dtype=np.complex128)
    if not np.isfinite(unitary).all():
        raise GateError("a unitary has finite entries, found NaN or infinity")
    if np.abs(unitary).max() > 2.0:  # also keeps the product below from overflowing
        raise GateError(f"not unitary: expected entries of modulus at most 1, found {np.abs(unitary).max():.3g}")
    deviation = float(np.abs(unitary.conj().T @ unitary - np.eye(size)).max())
    if deviation > UNITARY_TOLERANCE:
        raise GateError(
            f"not unitary: U^dagger U may differ from the identity by {UNITARY_TOLERANCE:g}, found {deviation:.3g}"
        )
    return unitary


def unitary_from_bytes(data: bytes, qubits: int) -> Matrix:
    """A unitary on that many qubits from row-major little-endian complex128: 16 * 4^n bytes.

    Raises:
        GateError: a wrong number of bytes, or anything that `check_unitary` refuses.
    """
    size = _size(qubits)
    if len(data) != 16 * size * size:
        raise GateError(f"a unitary on {qubits} qubits takes {16 * size * size} bytes, found {len(data)}")
    return check_unitary(np.frombuffer(data, dtype="<c16").reshape(size, size), qubits)


def axis(name_or_vector: str | Sequence[float]) -> tuple[float, float, float]:
    """Unit Bloch vector (x, y, z) of a measurement axis: "X", "Y", "Z", "-X", "-Y", "-Z", or any vector.

    Raises:
        GateError: an unknown name, not three numbers, a number that is not finite, or the zero vector.
    """
    if isinstance(name_or_vector, str):
        named = _AXES.get(name_or_vector)
        if named is None:
            raise GateError(f"unknown axis {name_or_vector!r}{_nearest(name_or_vector, tuple(_AXES))}")
        return named
    if len(name_or_vector) != 3:
        raise GateError(f"an axis is X, Y, Z or three numbers, found {len(name_or_vector)} numbers")
    x, y, z = name_or_vector
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        raise GateError(f"an axis has finite components, found {(x, y, z)}")
    largest = max(abs(x), abs(y), abs(z))
    if largest == 0.0:
        raise GateError("an axis has a direction, found the zero vector")
    x, y, z = x / largest, y / largest, z / largest  # no under- or overflow in the squares
    length = math.sqrt(x * x + y * y + z * z)
    return (x / length, y / length, z / length)


def _size(qubit_count: int) -> int:
    if not 1 <= qubit_count <= MAX_QUBITS:
        raise GateError(f"a unitary acts on 1 to {MAX_QUBITS} qubits, found {qubit_count}")
    return 1 << qubit_count


def _nearest(name: str, known: tuple[str, ...]) -> str:
    matches = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.5)
    return f": did you mean {matches[0]!r}?" if matches else f": expected one of {', '.join(known)}"
