"""Distillation as the two ends do it in the fabric's state machine, against the formulas of the papers.

Every course of a round is followed with its probability, so nothing is sampled and the bound is 1e-9.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from exhaustive import bell_diagonal, branches, hardware, laboratory, spectrum, werner

from orchestrator.fabric.gates import gate
from qnode.stack.distillation import Frame, Protocol, keeps, local_steps, resulting_frame
from qnode.wire.quantum import Gate

EXACT = 1e-9
PSI_PLUS: Frame = (1, 0)
PSI_MINUS: Frame = (1, 1)
FRAMES: tuple[Frame, ...] = ((0, 0), (0, 1), (1, 0), (1, 1))
IDS = ("a-b/3", "a-b/4")


@dataclass
class Kept:
    """A round's result: with which probability the pair is kept, and its mean state (4, 4) in the Phi+ frame."""

    probability: float
    state: np.ndarray

    @property
    def spectrum(self) -> np.ndarray:
        """Populations relative to the announced Bell state."""
        return spectrum(self.state)

    @property
    def fidelity(self) -> float:
        """Overlap with the announced Bell state."""
        return float(self.spectrum[0])


def in_phi_plus_frame(state: np.ndarray, frame: Frame) -> np.ndarray:
    """X^x Z^z undone at the first qubit."""
    x, z = frame
    pauli = np.linalg.matrix_power(gate("X"), x) @ np.linalg.matrix_power(gate("Z"), z)
    undo = np.kron(pauli, np.eye(2)).conj().T
    return undo @ state @ undo.conj().T


def distil(
    protocol: Protocol,
    kept: np.ndarray,
    sacrificed: np.ndarray,
    *,
    frames: tuple[Frame, Frame] = ((0, 0), (0, 0)),
    pair_ids: tuple[str, str] = IDS,
    **noise: float,
) -> Kept:
    """One round on two pairs of the given states between the nodes A (head) and B (tail)."""
    devices = {"A": hardware(**noise), "B": hardware(**noise)}
    pairs = {"kept": ("A", "B", kept), "sacrificed": ("A", "B", sacrificed)}
    head = local_steps(protocol, end="head", kept="kept.0", sacrificed="sacrificed.0", pair_ids=pair_ids)
    tail = local_steps(protocol, end="tail", kept="kept.1", sacrificed="sacrificed.1", pair_ids=pair_ids)
    circuit = [*(("A", step) for step in head), *(("B", step) for step in tail)]
    announced = resulting_frame(protocol, pair_ids=pair_ids, frames=frames)
    total, probability, state = 0.0, 0.0, np.zeros((4, 4), dtype=complex)
    for branch in branches(lambda: laboratory(pairs, devices), circuit):
        total += branch.probability
        at_head = keeps(protocol, *branch.bits, pair_ids=pair_ids, frames=frames)
        assert at_head == keeps(protocol, *branch.bits[::-1], pair_ids=pair_ids, frames=frames), "the ends agree"
        if at_head:
            probability += branch.probability
            state += branch.probability * branch.laboratory.state_now(("kept.0", "kept.1"), 0)
    assert total == pytest.approx(1.0, abs=EXACT)
    return Kept(probability, in_phi_plus_frame(state / probability, announced))


def bennett(first: float, second: float) -> tuple[float, float, np.ndarray]:
    """Bennett et al. 1996 PRL 76 722, for two fidelities: success, fidelity, populations by Bell index."""
    g, h = (1 - first) / 3, (1 - second) / 3
    success = first * second + first * h + g * second + 5 * g * h
    phi_minus = first * h + g * second
    populations = np.array([first * second + g * h, phi_minus, 2 * g * h, 2 * g * h]) / success
    return success, float(populations[0]), populations


@pytest.mark.parametrize(
    ("fidelity", "success", "expected"),
    [  # Bennett 1996, worked out by hand
        (0.6, 0.6088888888888889, 0.6204379562043795),
        (0.7, 0.68, 0.7352941176470588),
        (0.9, 0.8755555555555555, 0.9263959390862945),
    ],
)
def test_bbpssw_of_werner_pairs(fidelity: float, success: float, expected: float) -> None:
    kept = distil("bbpssw", werner(fidelity), werner(fidelity))
    assert kept.probability == pytest.approx(success, abs=EXACT)
    assert kept.fidelity == pytest.approx(expected, abs=EXACT)
    np.testing.assert_allclose(kept.spectrum, bennett(fidelity, fidelity)[2], atol=EXACT)


def test_bbpssw_of_unequal_werner_pairs() -> None:
    kept = distil("bbpssw", werner(0.93), werner(0.71))
    success, _, populations = bennett(0.93, 0.71)
    assert kept.probability == pytest.approx(success, abs=EXACT)
    np.testing.assert_allclose(kept.spectrum, populations, atol=EXACT)


def rotations(pair_ids: tuple[str, str]) -> tuple[tuple[Gate, ...], tuple[Gate, ...]]:
    """The head's twirl of the kept and of the sacrificed pair."""
    *turns, _, _ = local_steps("bbpssw", end="head", kept="k", sacrificed="s", pair_ids=pair_ids)
    gates = [step for step in turns if isinstance(step, Gate)]
    return tuple(g for g in gates if g.qubits == ("k",)), tuple(g for g in gates if g.qubits == ("s",))


def all_twirls() -> dict[tuple[object, object], tuple[str, str]]:
    """Pair ids for every combination of rotations that ids were found to choose."""
    found: dict[tuple[object, object], tuple[str, str]] = {}
    for number in range(4000):
        pair_ids = (f"l/{number}", f"l/{number + 1}")
        kept, sacrificed = rotations(pair_ids)
        key = (tuple((g.name, g.parameters) for g in kept), tuple((g.name, g.parameters) for g in sacrificed))
        found.setdefault(key, pair_ids)
    return found


def random_pair(seed: int) -> np.ndarray:
    """Any two-qubit state, rather near Phi+."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    state = matrix @ matrix.conj().T
    return 0.6 * bell_diagonal([1, 0, 0, 0]) + 0.4 * state / np.trace(state)


def test_twirl_leaves_phi_plus_and_makes_any_other_state_a_werner_state() -> None:
    """Bennett et al. 1996 PRA 54 3824, appendix A: twelve bilateral rotations are enough."""
    phi_plus = bell_diagonal([1, 0, 0, 0])
    state, mean = random_pair(5), np.zeros((4, 4), dtype=complex)
    seen = {}
    for pair_ids in all_twirls().values():
        unitary = np.eye(4)
        for end, name in (("head", "0"), ("tail", "1")):
            *turns, _, _ = local_steps("bbpssw", end=end, kept=name, sacrificed="-", pair_ids=pair_ids)  # type: ignore[arg-type]
            for step in turns:
                if isinstance(step, Gate) and step.qubits == (name,):
                    matrix = gate(step.name, step.parameters)
                    unitary = (np.kron(matrix, np.eye(2)) if end == "head" else np.kron(np.eye(2), matrix)) @ unitary
        np.testing.assert_allclose(unitary @ phi_plus @ unitary.conj().T, phi_plus, atol=1e-12)
        seen[np.round(np.kron(unitary, unitary.conj()), 6).tobytes()] = unitary
    assert len(seen) == 12
    for unitary in seen.values():
        mean += unitary @ state @ unitary.conj().T / 12
    np.testing.assert_allclose(mean, werner(float(spectrum(state)[0])), atol=1e-12)


def test_bbpssw_of_any_pairs_is_that_of_werner_pairs_on_average_over_the_twirls() -> None:
    first, second = random_pair(1), random_pair(2)
    twirls = all_twirls()
    assert len(twirls) == 144
    success, state = 0.0, np.zeros((4, 4), dtype=complex)
    for pair_ids in twirls.values():
        kept = distil("bbpssw", first, second, pair_ids=pair_ids)
        success += kept.probability / len(twirls)
        state += kept.probability * kept.state / len(twirls)
    expected, _, populations = bennett(float(spectrum(first)[0]), float(spectrum(second)[0]))
    assert success == pytest.approx(expected, abs=EXACT)
    np.testing.assert_allclose(state / success, bell_diagonal(populations), atol=EXACT)


@pytest.mark.parametrize(("fidelity", "gate_error", "readout_error"), [(0.8, 0.02, 0.01), (0.66, 0.05, 0.03)])
def test_bbpssw_with_noisy_gates_and_readout(fidelity: float, gate_error: float, readout_error: float) -> None:
    """Briegel, Dür, Cirac and Zoller 1998 PRL 81 5932; Dür et al. 1999 PRA 59 169."""
    F, p2, eta = fidelity, 1 - gate_error, 1 - readout_error
    G = (1 - F) / 3
    agree, differ = eta**2 + (1 - eta) ** 2, 2 * eta * (1 - eta)
    numerator = (F**2 + G**2) * agree + (F * G + G**2) * differ + (1 - p2**2) / (8 * p2**2)
    denominator = (F**2 + 2 * F * G + 5 * G**2) * agree + (F * G + G**2) * 4 * differ + 4 * (1 - p2**2) / (8 * p2**2)
    kept = distil(
        "bbpssw",
        werner(F),
        werner(F),
        two_qubit_gate_depolarising_probability=gate_error,
        readout_error_0=readout_error,
        readout_error_1=readout_error,
    )
    assert kept.fidelity == pytest.approx(numerator / denominator, abs=EXACT)
    assert kept.probability == pytest.approx(p2**2 * denominator, abs=EXACT)


def deutsch(a: Sequence[float], b: Sequence[float]) -> tuple[float, np.ndarray]:
    """Deutsch et al. 1996 PRL 77 2818, for two different pairs; populations by Bell index.

    The paper's order is A: Phi+, B: Psi-, C: Psi+, D: Phi-.
    """
    (A, D, C, B), (a_, d_, c_, b_) = a, b
    success = (A + B) * (a_ + b_) + (C + D) * (c_ + d_)
    new_a, new_b, new_c, new_d = A * a_ + B * b_, C * d_ + D * c_, C * c_ + D * d_, A * b_ + B * a_
    return success, np.array([new_a, new_d, new_c, new_b]) / success


def test_dejmps_worked_example() -> None:
    """A, B, C, D = 0.8, 0.05, 0.1, 0.05: N = 0.745."""
    kept = distil("dejmps", bell_diagonal([0.8, 0.05, 0.1, 0.05]), bell_diagonal([0.8, 0.05, 0.1, 0.05]))
    assert kept.probability == pytest.approx(0.745, abs=EXACT)
    expected = [0.8624161073825503, 0.10738255033557048, 0.016778523489932886, 0.01342281879194631]
    np.testing.assert_allclose(kept.spectrum, expected, atol=EXACT)


def test_dejmps_trap_phase_errors_first() -> None:
    """Phi- errors are found (0.94 from 0.8); Psi- errors, which take their place, are not."""
    found = distil("dejmps", bell_diagonal([0.8, 0.2, 0, 0]), bell_diagonal([0.8, 0.2, 0, 0]))
    assert (found.probability, found.fidelity) == pytest.approx((0.68, 0.9411764705882353), abs=EXACT)
    missed = distil("dejmps", bell_diagonal([0.8, 0, 0, 0.2]), bell_diagonal([0.8, 0, 0, 0.2]))
    assert (missed.probability, missed.fidelity) == pytest.approx((1.0, 0.68), abs=EXACT)


def test_dejmps_of_two_different_pairs_and_again() -> None:
    """Two rounds: the second is fed with what the first left."""
    first, second = [0.75, 0.12, 0.03, 0.10], [0.66, 0.04, 0.21, 0.09]
    once = distil("dejmps", bell_diagonal(first), bell_diagonal(second))
    success, populations = deutsch(first, second)
    assert once.probability == pytest.approx(success, abs=EXACT)
    np.testing.assert_allclose(once.state, bell_diagonal(populations), atol=EXACT)
    twice = distil("dejmps", once.state, once.state)
    success, populations = deutsch(populations, populations)
    assert twice.probability == pytest.approx(success, abs=EXACT)
    np.testing.assert_allclose(twice.spectrum, populations, atol=EXACT)


def test_dejmps_with_noisy_gates_and_readout() -> None:
    """Single-qubit noise mixes the spectra, two-qubit noise replaces both pairs, readout keeps some odd parities."""
    single, double, error = 0.01, 0.03, 0.02
    before = np.array([0.78, 0.10, 0.07, 0.05])
    mixed = (1 - single) ** 2 * before + (1 - (1 - single) ** 2) / 4
    A, D, C, B = mixed  # after the rotations: 00, 01, 10, 11 are A, B, C, D
    even = np.array([A * A + B * B, 2 * A * B, C * C + D * D, 2 * C * D])
    odd = np.array([A * C + B * D, A * D + B * C, A * C + B * D, A * D + B * C])
    good, wrong = (1 - error) ** 2 + error**2, 2 * error * (1 - error)
    survives = (1 - double) ** 2
    unnormalised = survives * (good * even + wrong * odd) + (1 - survives) / 8
    kept = distil(
        "dejmps",
        bell_diagonal(before),
        bell_diagonal(before),
        single_qubit_gate_depolarising_probability=single,
        two_qubit_gate_depolarising_probability=double,
        readout_error_0=error,
        readout_error_1=error,
    )
    assert kept.probability == pytest.approx(unnormalised.sum(), abs=EXACT)
    np.testing.assert_allclose(kept.spectrum, unnormalised / unnormalised.sum(), atol=EXACT)


def single_click(alpha: float, *, visibility: float = 1.0, bell_index: int = 2) -> np.ndarray:
    """(1 - a) of Psi with some of the other Psi, and a of |11> (Cabrillo et al. 1999; Humphreys et al. 2018)."""
    populations = [0.0] * 4
    populations[bell_index] = (1 - alpha) * (1 + visibility) / 2
    populations[bell_index ^ 1] = (1 - alpha) * (1 - visibility) / 2
    state = bell_diagonal(populations)
    state[3, 3] += alpha
    return state


@pytest.mark.parametrize("alphas", [(0.1, 0.1), (0.3, 0.05), (0.5, 0.5)])
@pytest.mark.parametrize("frames", [(PSI_PLUS, PSI_PLUS), (PSI_PLUS, PSI_MINUS), (PSI_MINUS, PSI_MINUS)])
def test_epl_removes_all_of_the_double_excitation(alphas: tuple[float, float], frames: tuple[Frame, Frame]) -> None:
    """Campbell and Benjamin 2008 PRL 101 130502: success (1 - a)(1 - b)/2, and a perfect pair."""
    states = [single_click(alpha, bell_index=2 * x + z) for alpha, (x, z) in zip(alphas, frames, strict=True)]
    kept = distil("epl", states[0], states[1], frames=frames)
    assert kept.probability == pytest.approx((1 - alphas[0]) * (1 - alphas[1]) / 2, abs=EXACT)
    assert kept.fidelity == pytest.approx(1.0, abs=EXACT)
    z = frames[0][1] ^ frames[1][1]
    assert resulting_frame("epl", pair_ids=IDS, frames=frames) == (1, z)


def test_epl_multiplies_visibilities() -> None:
    """Nickerson et al. 2014 PRX 4 041041: phase errors are not found, but add up."""
    kept = distil(
        "epl", single_click(0.2, visibility=0.9), single_click(0.2, visibility=0.8), frames=(PSI_PLUS, PSI_PLUS)
    )
    assert kept.probability == pytest.approx(0.8 * 0.8 / 2, abs=EXACT)
    assert kept.fidelity == pytest.approx((1 + 0.9 * 0.8) / 2, abs=EXACT)


def test_epl_with_wrong_readings() -> None:
    """Worked out course by course: bits 11 and 00 leave Psi+ or |11>, bits 01 and 10 leave |11>, |01>, |10>."""
    a, e0, e1 = 0.3, 0.04, 0.07
    coherent, mixed = (1 - a) ** 2 / 2, a * (1 - a)
    both, one, neither = (1 - e1) ** 2, e0 * (1 - e1), e0**2
    success = both * coherent + neither * (coherent + a * a) + 2 * one * mixed
    overlap = both * coherent + neither * coherent + 2 * one * (mixed / 2) / 2
    kept = distil(
        "epl",
        single_click(a),
        single_click(a),
        frames=(PSI_PLUS, PSI_PLUS),
        readout_error_0=e0,
        readout_error_1=e1,
    )
    assert kept.probability == pytest.approx(success, abs=EXACT)
    assert kept.fidelity == pytest.approx(overlap / success, abs=EXACT)


def test_epl_with_noisy_gates() -> None:
    """A depolarised end reads anything and leaves nothing: P(bit 1 at the other end) = (1 - a^2)/2."""
    a, p = 0.25, 0.06
    survives = 1 - p
    ideal = (1 - a) ** 2 / 2
    success = survives**2 * ideal + 2 * survives * p * (1 - a * a) / 4 + p * p / 4
    overlap = survives**2 * ideal + (success - survives**2 * ideal) / 4
    kept = distil(
        "epl",
        single_click(a),
        single_click(a),
        frames=(PSI_PLUS, PSI_PLUS),
        two_qubit_gate_depolarising_probability=p,
    )
    assert kept.probability == pytest.approx(success, abs=EXACT)
    assert kept.fidelity == pytest.approx(overlap / success, abs=EXACT)


@pytest.mark.parametrize("protocol", ["bbpssw", "dejmps"])
@pytest.mark.parametrize("frames", list(itertools.product(FRAMES, FRAMES)))
def test_announced_states_are_carried_through(protocol: Protocol, frames: tuple[Frame, Frame]) -> None:
    """Whatever the pairs are announced as, the result relative to what it is announced as is the same."""
    before = [0.75, 0.12, 0.03, 0.10], [0.66, 0.04, 0.21, 0.09]
    for pair_ids in [(f"l/{number}", "other") for number in range(12 if protocol == "bbpssw" else 1)]:
        plain = distil(protocol, bell_diagonal(before[0]), bell_diagonal(before[1]), pair_ids=pair_ids)
        states = [
            bell_diagonal([weights[index ^ (2 * x + z)] for index in range(4)])
            for weights, (x, z) in zip(before, frames, strict=True)
        ]
        kept = distil(protocol, *states, frames=frames, pair_ids=pair_ids)
        assert kept.probability == pytest.approx(plain.probability, abs=EXACT)
        np.testing.assert_allclose(kept.spectrum, plain.spectrum, atol=EXACT)
