"""The predictions that reports quote: against the papers' closed forms, and against Registers where readout errs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.fabric.gates import axis, gate
from orchestrator.fabric.predictions import (
    Readout,
    bell_state,
    chsh_value,
    chsh_winning_probability,
    correlation,
    fidelity,
    key_fraction,
    qber,
    teleportation_fidelity,
    to_phi_plus,
    werner,
)
from orchestrator.fabric.registers import Registers

BELL = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]]) / math.sqrt(2)
SPINS = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
LOSSY = (Readout(0.02, 0.07), Readout(0.05, 0.01))


def random_pair(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    return matrix @ matrix.conj().T / np.trace(matrix @ matrix.conj().T)


def test_bell_states_have_their_index() -> None:
    x, z = SPINS["X"], SPINS["Z"]
    for index in range(4):
        pauli = np.linalg.matrix_power(x, index >> 1) @ np.linalg.matrix_power(z, index & 1)
        made = np.kron(pauli, np.eye(2)) @ BELL[0]
        assert abs(np.vdot(made, bell_state(index))) == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(bell_state(index), BELL[index], atol=1e-12)


@pytest.mark.parametrize("bell_index", range(4))
def test_werner_states(bell_index: int) -> None:
    rho = werner(0.85, bell_index)
    spectrum = [fidelity(rho, index) for index in range(4)]
    expected = [0.05] * 4
    expected[bell_index] = 0.85
    assert spectrum == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(to_phi_plus(rho, bell_index), werner(0.85), atol=1e-12)


@pytest.mark.parametrize("bell_index", range(4))
def test_the_correction_acts_on_the_second_qubit_only(bell_index: int) -> None:
    rho = random_pair(3)
    corrected = to_phi_plus(rho, bell_index)
    assert fidelity(corrected, 0) == pytest.approx(fidelity(rho, bell_index), abs=1e-12)
    first, second = (state.reshape(2, 2, 2, 2).trace(axis1=1, axis2=3) for state in (rho, corrected))
    np.testing.assert_allclose(first, second, atol=1e-12)


@pytest.mark.parametrize(
    ("value", "expected", "winning"),
    [
        (1.0, 2.8284271247461903, 0.8535533905932737),
        (0.9, 2.451303508113365, 0.8064129385141706),
        (0.78033, 1.9999996760888628, 0.7499999595111079),
        (0.7, 1.697056274847714, 0.7121320343559643),
    ],
)
def test_chsh_of_werner_states(value: float, expected: float, winning: float) -> None:
    chsh = chsh_value(werner(value))
    assert chsh == pytest.approx(expected, abs=1e-9)
    assert chsh_winning_probability(chsh) == pytest.approx(winning, abs=1e-9)


def read(outcome: int, readout: Readout) -> tuple[float, float]:
    """Probabilities of the bits 0 and 1 being read."""
    return (readout.error_1, 1 - readout.error_1) if outcome else (1 - readout.error_0, readout.error_0)


def measured_correlation(rho: np.ndarray, first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Mean of (-1)^(a + b) over Registers' outcomes, each read out with errors."""
    total = 0.0
    for a, b in itertools.product((0, 1), repeat=2):
        state = Registers(max_register_bytes=1 << 20)
        state.insert(("a", "b"), rho)
        chance = 1.0
        for name, vector, outcome in (("a", first, a), ("b", second, b)):
            spin = sum(part * SPINS[letter] for part, letter in zip(vector, "XYZ", strict=True))
            zero = (1 + np.trace(state.reduced((name,)) @ spin).real) / 2
            assert state.measure(name, axis(vector), 0.0 if outcome == 0 else 1 - 1e-12) == outcome
            chance *= zero if outcome == 0 else 1 - zero
        signs = [read(outcome, readout) for outcome, readout in zip((a, b), LOSSY, strict=True)]
        total += chance * (signs[0][0] - signs[0][1]) * (signs[1][0] - signs[1][1])
    return total


@pytest.mark.parametrize("seed", [1, 2])
def test_chsh_and_qber_with_readout_errors_outcome_by_outcome(seed: int) -> None:
    rho = 0.7 * werner(1.0) + 0.3 * random_pair(seed)
    half = math.sqrt(0.5)
    alice = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    bob = ((half, 0.0, half), (-half, 0.0, half))
    values = [[measured_correlation(rho, a, b) for b in bob] for a in alice]
    expected = values[0][0] + values[0][1] + values[1][0] - values[1][1]
    assert chsh_value(rho, readout=LOSSY) == pytest.approx(expected, abs=1e-9)
    error_z, error_x = qber(rho, readout=LOSSY)
    assert error_z == pytest.approx((1 - measured_correlation(rho, alice[0], alice[0])) / 2, abs=1e-9)
    assert error_x == pytest.approx((1 - measured_correlation(rho, alice[1], alice[1])) / 2, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "error", "key"),
    [(1.0, 0.0, 1.0), (0.98, 0.04 / 3, 0.7956839271826991), (0.85, 0.1, 0.06200881282143755), (0.8, 0.4 / 3, 0.0)],
)
def test_qber_and_key_fraction_of_werner_states(value: float, error: float, key: float) -> None:
    errors = qber(werner(value))
    assert errors == pytest.approx((error, error), abs=1e-9)
    assert key_fraction(*errors) == pytest.approx(key, abs=1e-9)


def test_qber_of_a_bell_diagonal_state_is_told_apart_by_basis() -> None:
    weights = np.array([0.8, 0.03, 0.1, 0.07])  # Phi+, Phi-, Psi+, Psi-
    rho = np.einsum("k,ki,kj->ij", weights, BELL, BELL)
    assert qber(rho) == pytest.approx((0.1 + 0.07, 0.03 + 0.07), abs=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_teleportation_through_any_state_is_two_thirds_f_and_one_third(seed: int) -> None:
    """Horodecki 1999: f = (2F + 1)/3, for states that are not Werner's too."""
    rho = random_pair(seed)
    assert teleportation_fidelity(rho) == pytest.approx((2 * fidelity(rho) + 1) / 3, abs=1e-9)


@pytest.mark.parametrize("value", [1.0, 0.9, 0.5])
def test_teleportation_through_werner_states_with_symmetric_readout(value: float) -> None:
    """One flipped bit leaves a Pauli error of two thirds of the six states; likewise both."""
    flip, error = 0.04, 0.03
    bell = [value] + [(1 - value) / 3] * 3
    kept = sum(
        weight * chance
        for index, weight in enumerate(bell)
        for flips, chance in enumerate(((1 - flip) ** 2, flip * (1 - flip), (1 - flip) * flip, flip**2))
        if index == flips
    )
    found = (2 * kept + 1) / 3
    expected = found * (1 - error) + (1 - found) * error
    predicted = teleportation_fidelity(
        werner(value), bell_readout=Readout(flip, flip), verification_readout=Readout(error, error)
    )
    assert predicted == pytest.approx(expected, abs=1e-12)


def test_teleportation_with_asymmetric_readout_by_registers() -> None:
    rho, bell_readout, last = random_pair(11), Readout(0.03, 0.11), Readout(0.02, 0.06)
    total = 0.0
    for letter, prepared in itertools.product("XYZ", (0, 1)):
        ket = np.linalg.eigh(SPINS[letter])[1][:, 1 - prepared].astype(complex)
        cumulative = 0.0
        for true in range(4):
            joint = Registers(max_register_bytes=1 << 20)
            joint.insert(("in",), ket)
            joint.insert(("here", "there"), rho)
            chance = (BELL[true] @ joint.reduced(("in", "here")) @ BELL[true]).real
            x, z = joint.measure_bell("in", "here", cumulative + chance / 2)
            assert 2 * x + z == true
            cumulative += chance
            arrived = joint.reduced(("there",))
            for read_x, read_z in itertools.product((0, 1), repeat=2):
                state = Registers(max_register_bytes=1 << 20)
                state.insert(("there",), arrived)
                if read_x:
                    state.apply(gate("X"), ("there",))
                if read_z:
                    state.apply(gate("Z"), ("there",))
                overlap = (ket.conj() @ state.reduced(("there",)) @ ket).real
                right, wrong = read(prepared, last)[prepared], read(1 - prepared, last)[prepared]
                reads = read(x, bell_readout)[read_x] * read(z, bell_readout)[read_z]
                total += chance * reads * (overlap * right + (1 - overlap) * wrong) / 6
    predicted = teleportation_fidelity(rho, bell_readout=bell_readout, verification_readout=last)
    assert predicted == pytest.approx(total, abs=1e-9)


def test_readout_turns_an_observable_into_what_is_averaged() -> None:
    rho = random_pair(2)
    spin = SPINS["X"].astype(complex)
    plain = correlation(rho, spin, spin)
    assert correlation(rho, spin, spin, readout=(Readout(0.5, 0.5), Readout())) == pytest.approx(0.0, abs=1e-12)
    assert correlation(rho, spin, spin, readout=(Readout(1.0, 1.0), Readout())) == pytest.approx(-plain, abs=1e-12)
