"""The algebra of Bell-diagonal states against published closed forms and against density matrices."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.config import BellDiagonal, SwapConfiguration
from qnode.stack import bell_diagonal as algebra

ONE, X, Z = np.eye(2), np.array([[0, 1], [1, 0]]), np.diag([1, -1])
Y = 1j * X @ Z
CNOT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
PHI_PLUS = np.array([1, 0, 0, 1]) / math.sqrt(2)
PAULIS = tuple(np.linalg.matrix_power(X, k >> 1) @ np.linalg.matrix_power(Z, k & 1) for k in range(4))
BELL = tuple(np.kron(p, ONE) @ PHI_PLUS for p in PAULIS)

spectra = st.tuples(*[st.floats(0.01, 1.0)] * 4).map(lambda w: tuple(x / sum(w) for x in w))
probabilities = st.floats(0.0, 1.0)


def kron(*factors: Any) -> Any:
    return functools.reduce(np.kron, factors)


def state(spectrum: BellDiagonal) -> Any:
    return sum(p * np.outer(b, b.conj()) for p, b in zip(spectrum, BELL, strict=True))


def spectrum_of(rho: Any) -> tuple[float, ...]:
    return tuple(float(np.real(b.conj() @ rho @ b)) for b in BELL)


def on(operator: Any, wires: tuple[int, ...], n: int) -> Any:
    """``operator`` on these of ``n`` qubits."""
    others = [w for w in range(n) if w not in wires]
    order = [*wires, *others]
    full = kron(operator, np.eye(2 ** len(others))).reshape([2] * (2 * n))
    axes = [order.index(w) for w in range(n)]
    return full.transpose(axes + [n + a for a in axes]).reshape(2**n, 2**n)


def depolarise(rho: Any, wires: tuple[int, int], p: float, n: int) -> Any:
    mixed = sum(
        (e := on(np.kron(a, b), wires, n)) @ rho @ e.conj().T for a, b in itertools.product((ONE, X, Y, Z), repeat=2)
    )
    return (1 - p) * rho + p * mixed / 16


def ordered(phi_plus: float, psi_minus: float, psi_plus: float, phi_minus: float) -> BellDiagonal:
    """From the order that the literature writes A, B, C, D in."""
    return (phi_plus, phi_minus, psi_plus, psi_minus)


# Published numbers


@pytest.mark.parametrize(
    ("f1", "f2", "expected"),
    [(0.9, 0.9, 0.8133333333333334), (0.95, 0.8, 0.7633333333333333), (0.7, 0.7, 0.52)],
)
def test_a_perfect_swap_of_werner_pairs(f1: float, f2: float, expected: float) -> None:
    out = algebra.swapped(algebra.werner(f1), algebra.werner(f2), SwapConfiguration())
    assert out == pytest.approx(algebra.werner(expected), abs=1e-12)
    product = algebra.werner_parameter(f1) * algebra.werner_parameter(f2)
    assert algebra.werner_parameter(out[0]) == pytest.approx(product, abs=1e-12)


def test_a_perfect_swap_of_bell_diagonal_pairs() -> None:
    out = algebra.convolve(ordered(0.8, 0.05, 0.1, 0.05), ordered(0.7, 0.1, 0.15, 0.05))
    assert out == pytest.approx(ordered(0.5825, 0.1275, 0.1975, 0.0925), abs=1e-12)


@pytest.mark.parametrize(
    ("links", "expected"),
    [(2, 0.8339155168), (3, 0.7374876336144617), (4, 0.6573151222636313), (8, 0.45005729487544605)],
)
def test_an_untwirled_chain_with_noisy_swaps(links: int, expected: float) -> None:
    swap = SwapConfiguration(depolarising_probability=1 - 0.99 * 0.98, readout_error=0.03)
    out = functools.reduce(lambda a, b: algebra.swapped(a, b, swap), [algebra.werner(0.95)] * links)
    assert out[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("fidelity", "better", "success"),
    [
        (0.6, 0.6204379562043795, 0.6088888888888889),
        (0.7, 0.7352941176470588, 0.68),
        (0.8, 0.838150289017341, 0.7688888888888891),
        (0.9, 0.9263959390862945, 0.8755555555555555),
    ],
)
def test_bbpssw_of_werner_pairs(fidelity: float, better: float, success: float) -> None:
    out, p = algebra.bbpssw(algebra.werner(fidelity), algebra.werner(fidelity))
    assert (out[0], p) == pytest.approx((better, success), abs=1e-9)
    assert algebra.werner_twirled(out) == pytest.approx(algebra.werner(better), abs=1e-9)


@pytest.mark.parametrize(
    ("pair", "out", "success"),
    [
        (
            (0.7, 0.1, 0.1, 0.1),
            (0.7352941176470588, 0.029411764705882363, 0.029411764705882363, 0.20588235294117646),
            0.68,
        ),
        (
            (0.8, 0.05, 0.1, 0.05),
            (0.8624161073825503, 0.01342281879194631, 0.016778523489932886, 0.10738255033557048),
            0.745,
        ),
        ((0.8, 0, 0, 0.2), (0.9411764705882353, 0.0, 0.058823529411764705, 0.0), 0.68),
        ((0.8, 0.2, 0, 0), (0.68, 0.0, 0.0, 0.32), 1.0),
    ],
)
def test_dejmps(pair: BellDiagonal, out: BellDiagonal, success: float) -> None:
    a = ordered(*pair)
    spectrum, p = algebra.dejmps(a, a)
    assert spectrum == pytest.approx(ordered(*out), abs=1e-9)
    assert p == pytest.approx(success, abs=1e-9)


# Density matrices


@settings(max_examples=20, deadline=None)
@given(spectra, spectra, probabilities, probabilities)
def test_a_noisy_swap_is_that_of_the_density_matrix(
    a: BellDiagonal, b: BellDiagonal, depolarising: float, misread: float
) -> None:
    """Qubits: A, B1, B2, C. B measures; C applies X^x Z^z as it was told."""
    rho = depolarise(kron(state(a), state(b)), (1, 2), depolarising, 4)
    out = np.zeros((4, 4), complex)
    for told in range(4):
        for true in range(4):
            wrong = (told ^ true).bit_count()
            weight = misread**wrong * (1 - misread) ** (2 - wrong)
            projector = on(np.outer(BELL[true], BELL[true].conj()), (1, 2), 4)
            joined = (projector @ rho @ projector).reshape([2] * 8)
            rest = np.einsum("abcdebcf->adef", joined).reshape(4, 4)
            correction = np.kron(ONE, PAULIS[told])
            out += weight * correction @ rest @ correction.conj().T
    swap = SwapConfiguration(depolarising_probability=depolarising, readout_error=misread)
    assert algebra.swapped(a, b, swap) == pytest.approx(spectrum_of(out), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(spectra, spectra, st.booleans(), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.5))
def test_distillation_is_that_of_the_density_matrix(
    a: BellDiagonal, b: BellDiagonal, rotate: bool, pa: float, pb: float, ra: float, rb: float
) -> None:
    """Qubits: A1, B1 (kept), A2, B2 (measured)."""
    rho = kron(state(a), state(b))
    if rotate:
        down, up = (ONE - 1j * X) / math.sqrt(2), (ONE + 1j * X) / math.sqrt(2)
        turn = kron(down, up, down, up)
        rho = turn @ rho @ turn.conj().T
    for wires, p in (((0, 2), pa), ((1, 3), pb)):
        gate = on(CNOT, wires, 4)
        rho = depolarise(gate @ rho @ gate.conj().T, wires, p, 4)
    kept = np.zeros((4, 4), complex)
    for true in itertools.product(range(2), repeat=2):
        for told in ((0, 0), (1, 1)):
            weight = math.prod(r if t != u else 1 - r for t, u, r in zip(true, told, (ra, rb), strict=True))
            ket = np.kron(np.eye(2)[true[0]], np.eye(2)[true[1]])
            bra = kron(np.eye(4), ket[None, :])
            kept += weight * bra @ rho @ bra.T
    success = float(np.real(np.trace(kept)))
    at_a = SwapConfiguration(gate_depolarising_probability=pa, readout_error=ra)
    at_b = SwapConfiguration(gate_depolarising_probability=pb, readout_error=rb)
    depolarising, misread = algebra.distillation_noise(at_a, at_b)
    protocol = algebra.dejmps if rotate else algebra.bbpssw
    spectrum, p = protocol(a, b, depolarising=depolarising, misread=misread)
    assert p == pytest.approx(success, abs=1e-12)
    assert spectrum == pytest.approx(spectrum_of(kept / success), abs=1e-9)


@pytest.mark.parametrize(("t1_s", "t2_s"), [(None, None), (1.0, None), (None, 0.3), (1.0, 0.7), (1.0, 5.0)])
def test_decay_is_the_pauli_twirl_of_relaxation_and_dephasing(t1_s: float | None, t2_s: float | None) -> None:
    wait_s, a = 0.2, algebra.werner(0.9)
    gamma = 1 - math.exp(-wait_s / t1_s) if t1_s else 0.0
    coherence = math.exp(-wait_s * max(0.5 / t1_s if t1_s else 0.0, 1 / t2_s if t2_s else 0.0))
    pure = coherence / math.sqrt(1 - gamma)
    relax = (np.diag([1, math.sqrt(1 - gamma)]), np.array([[0, math.sqrt(gamma)], [0, 0]]))
    dephase = (math.sqrt((1 + pure) / 2) * ONE, math.sqrt((1 - pure) / 2) * Z)
    kraus = [d @ r for d in dephase for r in relax]
    one = sum(np.abs([np.trace(p.conj().T @ k) / 2 for p in PAULIS]) ** 2 for k in kraus)
    rho = state(a)
    for side in (0, 1):
        errors = [on(p, (side,), 2) for p in PAULIS]
        rho = sum(p * e @ rho @ e.conj().T for p, e in zip(one, errors, strict=True))
    assert algebra.decayed(a, wait_s, t1_s, t2_s) == pytest.approx(spectrum_of(rho), abs=1e-12)


def test_dephasing_alone_is_exact() -> None:
    assert algebra.decayed(algebra.PERFECT, 0.4, None, 1.0)[0] == pytest.approx((1 + math.exp(-0.8)) / 2, abs=1e-12)


@given(spectra, spectra, spectra, probabilities)
def test_errors_commute_and_keep_their_sum(a: BellDiagonal, b: BellDiagonal, c: BellDiagonal, p: float) -> None:
    assert algebra.convolve(a, b) == pytest.approx(algebra.convolve(b, a))
    assert algebra.convolve(algebra.convolve(a, b), c) == pytest.approx(algebra.convolve(a, algebra.convolve(b, c)))
    assert algebra.convolve(a, algebra.PERFECT) == pytest.approx(a)
    assert sum(algebra.depolarised(algebra.convolve(a, b), p)) == pytest.approx(1.0)
    assert algebra.depolarised(a, 1.0) == pytest.approx(algebra.MIXED)


def test_distillation_that_never_succeeds_says_so() -> None:
    assert algebra.bbpssw((1, 0, 0, 0), (0, 0, 1, 0)) == (algebra.MIXED, 0.0)
