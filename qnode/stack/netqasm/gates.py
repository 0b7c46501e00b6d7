"""Quantum instructions of both flavours as steps of a circuit."""

from __future__ import annotations

import math
import struct

from qnode.wire.quantum import Gate, Step, Unitary

SINGLE = {"x": "X", "y": "Y", "z": "Z", "h": "H", "s": "S", "t": "T"}
ROTATIONS = {"rot_x": "RX", "rot_y": "RY", "rot_z": "RZ"}
TWO_QUBIT = {"cnot": "CX", "cphase": "CZ"}
BASES = {"meas_basis": "XYX", "meas_basis_yzy": "YZY", "meas_basis_zxz": "ZXZ"}
"""The axes that a qubit is turned about before it is measured along Z."""
CONTROLLED_ROTATIONS = ("crot_x", "crot_y")


def _matrix(*rows: tuple[complex, ...]) -> bytes:
    return b"".join(struct.pack("<dd", complex(entry).real, complex(entry).imag) for row in rows for entry in row)


K = _matrix((math.sqrt(0.5), -1j * math.sqrt(0.5)), (1j * math.sqrt(0.5), -math.sqrt(0.5) + 0j))
"""(Y + Z)/sqrt(2), which exchanges these axes."""


def angle(numerator: int, denominator: int) -> float:
    """``numerator`` pi / 2^``denominator``, in radians."""
    return numerator * math.pi / 2.0**denominator


def single(mnemonic: str, qubit: str) -> Step:
    """A gate without operands but its qubit."""
    if mnemonic == "k":
        return Unitary(qubits=(qubit,), matrix=K)
    return Gate(name=SINGLE[mnemonic], qubits=(qubit,))


def rotation(axis: str, radians: float, qubit: str) -> Step:
    """exp(-i radians P / 2) with the Pauli matrix P of ``axis``."""
    return Gate(name=f"R{axis}", qubits=(qubit,), parameters=(radians,))


def controlled_rotation(mnemonic: str, radians: float, control: str, target: str) -> Step:
    """Turns the target by ``radians`` if the control is 0 and back by as much if it is 1: the gate of an electron and a
    carbon (Abobeih et al. 2018, as in the NV flavour)."""
    cosine, sine = math.cos(radians / 2), math.sin(radians / 2)
    (a, b), (c, d) = ((cosine, -1j * sine), (-1j * sine, cosine))
    if mnemonic == "crot_y":
        (a, b), (c, d) = ((cosine, -sine), (sine, cosine))
    matrix = _matrix((a, b, 0j, 0j), (c, d, 0j, 0j), (0j, 0j, a, -b), (0j, 0j, -c, d))
    return Unitary(qubits=(control, target), matrix=matrix)
