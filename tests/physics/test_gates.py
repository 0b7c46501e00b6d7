"""Gates and axes: the matrices of the textbook, and what is refused."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from scipy.linalg import expm

from orchestrator.fabric.gates import GATE_NAMES, GateError, axis, check_unitary, gate, unitary_from_bytes

X = np.array([[0, 1], [1, 0]])
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1, -1])
ANGLES = (-2.5, 0.0, 0.3, math.pi, 7.0)
ONE_ANGLE = ("RX", "RY", "RZ", "PHASE", "CPHASE", "CRX", "CRY", "CRZ")


def controlled(target: np.ndarray) -> np.ndarray:
    return np.kron(np.diag([1, 0]), np.eye(len(target))) + np.kron(np.diag([0, 1]), target)


@pytest.mark.parametrize("name", GATE_NAMES)
def test_every_gate_is_unitary(name: str) -> None:
    matrix = gate(name, (0.7,) if name in ONE_ANGLE else ())
    count = len(matrix).bit_length() - 1
    np.testing.assert_allclose(check_unitary(matrix, count), matrix, atol=0)


@pytest.mark.parametrize("angle", ANGLES)
def test_rotations_are_exponentials_of_paulis(angle: float) -> None:
    for name, pauli in (("RX", X), ("RY", Y), ("RZ", Z)):
        rotation = expm(-0.5j * angle * pauli)
        np.testing.assert_allclose(gate(name, (angle,)), rotation, atol=1e-12)
        np.testing.assert_allclose(gate("C" + name, (angle,)), controlled(rotation), atol=1e-12)
    phase = np.diag([1, cmath.exp(1j * angle)])
    np.testing.assert_allclose(gate("PHASE", (angle,)), phase, atol=1e-12)
    np.testing.assert_allclose(gate("CPHASE", (angle,)), controlled(phase), atol=1e-12)


def test_fixed_gates_obey_their_algebra() -> None:
    h, s, t, sx = gate("H"), gate("S"), gate("T"), gate("SX")
    np.testing.assert_allclose(h @ X @ h, Z, atol=1e-12)
    np.testing.assert_allclose(h, (X + Z) / math.sqrt(2), atol=1e-12)
    np.testing.assert_allclose(t @ t, s, atol=1e-12)
    np.testing.assert_allclose(s @ s, Z, atol=1e-12)
    np.testing.assert_allclose(sx @ sx, X, atol=1e-12)
    np.testing.assert_allclose(gate("SDG") @ s, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(gate("TDG") @ t, np.eye(2), atol=1e-12)
    for name, target in (("CX", X), ("CNOT", X), ("CY", Y), ("CZ", Z)):
        np.testing.assert_allclose(gate(name), controlled(target), atol=0)
    np.testing.assert_allclose(gate("ISWAP"), expm(0.25j * math.pi * (np.kron(X, X) + np.kron(Y, Y))), atol=1e-12)
    for name, pauli in (("X", X), ("Y", Y), ("Z", Z), ("I", np.eye(2))):
        np.testing.assert_allclose(gate(name), pauli, atol=0)


@pytest.mark.parametrize(
    ("name", "truth"),
    [("SWAP", (0, 2, 1, 3)), ("CCX", (0, 1, 2, 3, 4, 5, 7, 6)), ("CSWAP", (0, 1, 2, 3, 4, 6, 5, 7))],
)
def test_permuting_gates_have_their_truth_table(name: str, truth: tuple[int, ...]) -> None:
    matrix = gate(name)
    for source, target in enumerate(truth):
        assert matrix[target, source] == 1.0
    assert np.count_nonzero(matrix) == len(truth)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("CNTO", (), "did you mean 'CNOT'"),
        ("h", (), "did you mean 'H'"),
        ("?", (), "expected one of I, X"),
        ("H", (0.1,), "takes no angle .* found 1"),
        ("RX", (), "takes one angle .* found 0"),
        ("RX", (math.nan,), "finite angle .* found nan"),
        ("RZ", (math.inf,), "finite angle .* found inf"),
    ],
)
def test_a_wrong_gate_is_refused_with_what_was_expected(name: str, parameters: tuple[float, ...], words: str) -> None:
    with pytest.raises(GateError, match=words):
        gate(name, parameters)


def test_a_shared_matrix_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        gate("X")[0, 0] = 5.0


@pytest.mark.parametrize(
    ("matrix", "count", "words"),
    [
        (np.eye(4), 1, r"shape \(2, 2\), found \(4, 4\)"),
        (np.eye(2)[0], 1, r"found \(2,\)"),
        (np.eye(16), 4, "1 to 3 qubits, found 4"),
        (np.eye(1), 0, "1 to 3 qubits, found 0"),
        (np.diag([1.0, math.nan]), 1, "NaN"),
        (np.diag([1.0, 1.0 + 1e-8]), 1, "not unitary: .* found 2e-08"),
        (np.diag([1.0, 1e200]), 1, "not unitary: .* found 1e"),
        (np.array([[1, 1], [0, 1]]), 1, "not unitary"),
    ],
)
def test_what_is_not_a_unitary_is_refused(matrix: np.ndarray, count: int, words: str) -> None:
    with pytest.raises(GateError, match=words):
        check_unitary(matrix, count)


def test_a_unitary_travels_as_row_major_little_endian_bytes() -> None:
    matrix = gate("RY", (0.4,)) @ gate("S")
    np.testing.assert_array_equal(unitary_from_bytes(matrix.astype("<c16").tobytes(order="C"), 1), matrix)
    with pytest.raises(GateError, match="takes 64 bytes, found 63"):
        unitary_from_bytes(matrix.tobytes()[:-1], 1)
    with pytest.raises(GateError, match="1 to 3 qubits"):
        unitary_from_bytes(b"", -1)


def test_axes_are_unit_vectors() -> None:
    assert axis("Z") == (0.0, 0.0, 1.0)
    assert axis("-X") == (-1.0, 0.0, 0.0)
    assert axis((3.0, 0.0, 4.0)) == pytest.approx((0.6, 0.0, 0.8), abs=1e-15)
    assert axis((0.0, 1e-200, 0.0)) == (0.0, 1.0, 0.0)
    assert axis((1e200, 0.0, -1e200)) == pytest.approx((math.sqrt(0.5), 0.0, -math.sqrt(0.5)), abs=1e-15)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("W", "unknown axis 'W'"),
        ("x", "did you mean 'X'"),
        ((0.0, 0.0, 0.0), "zero vector"),
        ((1.0, 0.0), "found 2 numbers"),
        ((math.nan, 0.0, 1.0), "finite"),
        ((math.inf, 0.0, 1.0), "finite"),
    ],
)
def test_a_wrong_axis_is_refused(wrong: str | tuple[float, ...], words: str) -> None:
    with pytest.raises(GateError, match=words):
        axis(wrong)
