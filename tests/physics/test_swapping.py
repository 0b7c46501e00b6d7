"""Swaps as nodes do them in the fabric's state machine, against closed forms; frames tracked as Bell indices.

A pair of index i and one of index j, measured with the bits (x, z) read, are announced as i ^ j ^ (2x + z). What cannot
be enumerated is run with the fabric's own random streams.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from exhaustive import bell_diagonal, branches, hardware, laboratory, spectrum, werner
from oracles import bell_measurement_spectrum, chain, swapped, werner_spectrum

from orchestrator.fabric.laboratory import Laboratory
from orchestrator.fabric.streams import Streams
from orchestrator.scenario.hardware import Hardware
from qnode.wire.quantum import MeasureBell

EXACT = 1e-9
SIGMAS = 4.5
BELL_INDICES = range(4)
PAULIS = [
    np.linalg.matrix_power(np.array([[0, 1], [1, 0]]), x) @ np.linalg.matrix_power(np.diag([1, -1]), z)
    for x in (0, 1)
    for z in (0, 1)
]


def announced_as(index: int, state: np.ndarray) -> np.ndarray:
    """A state that is ``state`` relative to the Bell state ``index``: X^x Z^z on the first qubit."""
    pauli = np.kron(PAULIS[index], np.eye(2))
    return pauli @ state @ pauli.T


def relative_to(index: int, state: np.ndarray) -> np.ndarray:
    """The inverse of `announced_as`."""
    pauli = np.kron(PAULIS[index], np.eye(2))
    return pauli.T @ state @ pauli


def swap(first: np.ndarray, second: np.ndarray, indices: tuple[int, int] = (0, 0), **noise: float) -> np.ndarray:
    """The mean pair that A and B hold after R swapped, relative to what it is announced as, over all that can happen.

    ``first`` (A, R) and ``second`` (R, B) are relative to the Bell states ``indices``.
    """
    devices = {"A": hardware(), "R": hardware(**noise), "B": hardware()}
    pairs = {
        "l": ("A", "R", announced_as(indices[0], first)),
        "r": ("R", "B", announced_as(indices[1], second)),
    }
    mean, total = np.zeros((4, 4), dtype=complex), 0.0
    for branch in branches(lambda: laboratory(pairs, devices), [("R", MeasureBell(qubits=("l.1", "r.0")))]):
        x, z = branch.bits
        state = branch.laboratory.state_now(("l.0", "r.1"), 0)
        mean += branch.probability * relative_to(indices[0] ^ indices[1] ^ (2 * x + z), state)
        total += branch.probability
    assert total == pytest.approx(1.0, abs=EXACT)
    return mean


@pytest.mark.parametrize("indices", list(itertools.product(BELL_INDICES, BELL_INDICES)))
def test_bell_diagonal_pairs_are_convolved(indices: tuple[int, int]) -> None:
    """Phi+, Psi-, Psi+, Phi- of 0.8, 0.05, 0.1, 0.05 and 0.7, 0.1, 0.15, 0.05, whatever the pairs are announced as."""
    swapped_state = swap(bell_diagonal([0.8, 0.05, 0.1, 0.05]), bell_diagonal([0.7, 0.05, 0.15, 0.1]), indices)
    np.testing.assert_allclose(swapped_state, bell_diagonal([0.5825, 0.0925, 0.1975, 0.1275]), atol=EXACT)


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(0.9, 0.9, 0.8133333333333334), (0.95, 0.8, 0.7633333333333333), (0.7, 0.7, 0.52)]
)
def test_werner_pairs(first: float, second: float, expected: float) -> None:
    """F = F1 F2 + (1 - F1)(1 - F2)/3, and the result is a Werner state again."""
    np.testing.assert_allclose(swap(werner(first), werner(second)), werner(expected), atol=EXACT)


@pytest.mark.parametrize("indices", [(0, 0), (1, 3), (2, 1)])
def test_any_two_pairs_swap_as_their_populations(indices: tuple[int, int]) -> None:
    """Teleporting through any state is the Pauli channel of its Bell populations (Bowen and Bose 2001 PRL 87 267901);
    the four outcomes are not equally likely here."""
    rng = np.random.default_rng(3)
    states = []
    for _ in range(2):
        matrix = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
        states.append(matrix @ matrix.conj().T / np.trace(matrix @ matrix.conj().T))
    result = spectrum(swap(*states, indices))
    np.testing.assert_allclose(result, swapped(spectrum(states[0]), spectrum(states[1])), atol=EXACT)


@pytest.mark.parametrize(
    ("depolarising", "error_0", "error_1"), [(0.04, 0.0, 0.0), (0.0, 0.03, 0.03), (0.0, 0.05, 0.01), (0.1, 0.02, 0.07)]
)
def test_noise_of_the_bell_measurement(depolarising: float, error_0: float, error_1: float) -> None:
    first, second = [0.8, 0.05, 0.1, 0.05], [0.7, 0.05, 0.15, 0.1]
    result = swap(
        bell_diagonal(first),
        bell_diagonal(second),
        (2, 3),
        two_qubit_gate_depolarising_probability=depolarising,
        readout_error_0=error_0,
        readout_error_1=error_1,
    )
    measurement = bell_measurement_spectrum(depolarising=depolarising, error_0=error_0, error_1=error_1)
    np.testing.assert_allclose(result, bell_diagonal(chain([first, second], measurement)), atol=EXACT)


@pytest.mark.parametrize(
    ("links", "expected"),
    [(2, 0.8339155168), (3, 0.7374876336144617), (4, 0.6573151222636313), (8, 0.45005729487544605)],
)
def test_chain_with_noisy_gates_and_readout_segment_by_segment(links: int, expected: float) -> None:
    """Link fidelity 0.95, gates 0.99 * 0.98, readout 0.97: each swap's mean state is the next one's input."""
    state = werner(0.95)
    for number in range(links - 1):
        state = swap(
            state,
            werner(0.95),
            (number % 4, (3 * number + 1) % 4),
            two_qubit_gate_depolarising_probability=1 - 0.99 * 0.98,
            readout_error_0=0.03,
            readout_error_1=0.03,
        )
    assert float(spectrum(state)[0]) == pytest.approx(expected, abs=EXACT)


def chain_laboratory(
    links: Sequence[np.ndarray], indices: Sequence[int], device: Hardware, streams: Streams | None = None
) -> Laboratory:
    """Nodes n0, n1, ... with pair ``k`` between n(k) and n(k+1), announced as ``indices[k]``."""
    pairs = {
        f"p{number}": (f"n{number}", f"n{number + 1}", announced_as(index, state))
        for number, (state, index) in enumerate(zip(links, indices, strict=True))
    }
    built = laboratory(pairs, {f"n{number}": device for number in range(len(links) + 1)})
    if streams is not None:
        built._streams = streams
    return built


def test_three_links_in_one_go_over_all_courses() -> None:
    """Different Bell-diagonal links, different frames, two noisy swaps: 256 courses."""
    links = [[0.9, 0.04, 0.05, 0.01], [0.85, 0.01, 0.02, 0.12], [0.8, 0.1, 0.07, 0.03]]
    indices, noise = (1, 2, 3), {"depolarising": 0.05, "error_0": 0.02, "error_1": 0.06}
    device = hardware(two_qubit_gate_depolarising_probability=0.05, readout_error_0=0.02, readout_error_1=0.06)
    circuit = [
        ("n1", MeasureBell(qubits=("p0.1", "p1.0"))),
        ("n2", MeasureBell(qubits=("p1.1", "p2.0"))),
    ]
    mean, count = np.zeros((4, 4), dtype=complex), 0
    states = [bell_diagonal(link) for link in links]
    for branch in branches(lambda: chain_laboratory(states, indices, device), circuit):
        first_x, first_z, second_x, second_z = branch.bits
        index = indices[0] ^ indices[1] ^ indices[2] ^ (2 * first_x + first_z) ^ (2 * second_x + second_z)
        mean += branch.probability * relative_to(index, branch.laboratory.state_now(("p0.0", "p2.1"), 0))
        count += 1
    assert count == 256
    np.testing.assert_allclose(mean, bell_diagonal(chain(links, bell_measurement_spectrum(**noise))), atol=EXACT)


def run_chain(built: Laboratory, indices: Sequence[int], order: Sequence[int]) -> np.ndarray:
    """Swap at the inner nodes in this order; the end-to-end state relative to what it is announced as."""
    index = 0
    for announced in indices:
        index ^= announced
    for node in order:
        x, z = built.do(f"n{node}", MeasureBell(qubits=(f"p{node - 1}.1", f"p{node}.0")), 0)
        index ^= 2 * x + z
    return relative_to(index, built.state_now(("p0.0", f"p{len(indices) - 1}.1"), 0))


@pytest.mark.parametrize("seed", range(8))
def test_eight_links_with_noisy_gates_in_any_order(seed: int) -> None:
    """Without readout errors every outcome leaves the same state relative to its frame, so one run is exact."""
    rng = np.random.default_rng(seed)
    links = [rng.dirichlet([12, 1, 1, 1]) for _ in range(8)]
    indices = rng.integers(4, size=8).tolist()
    device = hardware(two_qubit_gate_depolarising_probability=0.03)
    built = chain_laboratory([bell_diagonal(link) for link in links], indices, device, Streams(seed))
    state = run_chain(built, indices, rng.permutation(range(1, 8)).tolist())
    expected = chain(links, bell_measurement_spectrum(depolarising=0.03))
    np.testing.assert_allclose(state, bell_diagonal(expected), atol=EXACT)


def test_four_links_with_readout_errors_by_the_fabrics_own_draws() -> None:
    """1500 runs: a wrong reading gives a wrong frame, which only the mean shows."""
    runs = 1500
    noise = {"depolarising": 0.02, "error_0": 0.01, "error_1": 0.05}
    device = hardware(two_qubit_gate_depolarising_probability=0.02, readout_error_0=0.01, readout_error_1=0.05)
    streams = Streams(17)
    indices = (2, 3, 3, 2)
    fidelities = []
    for _ in range(runs):
        built = chain_laboratory([werner(0.96)] * 4, indices, device, streams)
        fidelities.append(float(spectrum(run_chain(built, indices, (2, 1, 3)))[0]))
    expected = chain([werner_spectrum(0.96)] * 4, bell_measurement_spectrum(**noise))[0]
    error = float(np.std(fidelities, ddof=1)) / math.sqrt(runs)
    assert error > 0
    assert abs(float(np.mean(fidelities)) - expected) < SIGMAS * error, (np.mean(fidelities), expected, error)
