"""What the ends of a circuit can know by statistics: error rates of what they measure, and their fidelity estimate.

For a Bell-diagonal pair relative to Phi+ with the populations s of no error, Z, X and XZ, outcomes along Z are wrong with
s2 + s3, along X with s1 + s3, along Y with s1 + s2.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from circuit_runs import SIGMAS, Ends, certain_werner, chain, hardware, joined, run
from oracles import bell_measurement_spectrum, werner_spectrum

from orchestrator.scenario import DoubleClick, Source
from qnode.wire.application import CircuitPair

AXES = ("X", "Y", "Z")
FLIPPED_BY = {"X": (1, 3), "Y": (1, 2), "Z": (2, 3)}
"""The errors that turn an outcome along the axis round."""


def error_rate(spectrum: np.ndarray, axis: str, misread: float = 0.0) -> float:
    """How often the two ends' outcomes are not as those of Phi+; each end misreads with ``misread``."""
    one = 2 * misread * (1 - misread)
    wrong = float(sum(spectrum[index] for index in FLIPPED_BY[axis]))
    return wrong * (1 - one) + (1 - wrong) * one


def outcomes(ends: Ends) -> list[tuple[CircuitPair, CircuitPair]]:
    """What both ends read of each pair; they number pairs alike, not in one order."""
    at_tail = {pair.number: pair for pair in ends.at_tail}
    return [(pair, at_tail[pair.number]) for pair in ends.at_head if pair.number in at_tail]


@pytest.mark.parametrize("nodes", [2, 4])
@pytest.mark.parametrize("swapping", ["asap", "nested"])
def test_error_rates_of_pairs_measured_on_arrival(nodes: int, swapping: str) -> None:
    """1500 pairs of kind M, each measured as its herald comes and long before it is known what it is joined to; links
    of different spectra, noisy swaps, misread bits. Along different axes the outcomes tell nothing of each other."""
    misread, depolarising, pairs = 0.02, 0.02, 1500
    visibility = 0.8
    links = [DoubleClick(visibility=visibility), certain_werner(0.94), DoubleClick(visibility=visibility)][: nodes - 1]
    phase = np.array([(1 + visibility) / 2, (1 - visibility) / 2, 0.0, 0.0])
    swap = bell_measurement_spectrum(depolarising=depolarising, error_0=misread, error_1=misread)
    spectrum = joined(*[phase, werner_spectrum(0.94), phase][: nodes - 1], *[swap] * (nodes - 2))
    device = hardware(
        8, two_qubit_gate_depolarising_probability=depolarising, readout_error_0=misread, readout_error_1=misread
    )
    _, ends = run(
        chain(links, device, length_km=5.0, seed=nodes), pairs=pairs, slots=4, kind="M", axes=AXES, swapping=swapping
    )
    both = outcomes(ends)
    assert len(both) > pairs - 20
    for axis in AXES:
        found = [
            (head.bit, tail.bit)
            for head, tail in both
            if (head.axis, tail.axis) == (axis, axis) and head.bit is not None and tail.bit is not None
        ]
        # Phi+ gives different bits along Y
        wrong = np.mean([(head ^ tail) != (axis == "Y") for head, tail in found])
        expected = error_rate(spectrum, axis, misread)
        error = math.sqrt(expected * (1 - expected) / len(found))
        assert len(found) > 120
        assert abs(wrong - expected) < SIGMAS * error, (axis, wrong, expected, error)
        ones = np.mean([head for head, _ in found])
        assert abs(ones - 0.5) < SIGMAS * 0.5 / math.sqrt(len(found))
    mixed = [(head.bit or 0) ^ (tail.bit or 0) for head, tail in both if head.axis != tail.axis]
    if mixed:
        assert abs(np.mean(mixed) - 0.5) < SIGMAS * 0.5 / math.sqrt(len(mixed))


def test_a_circuits_own_estimate_is_within_its_error_of_the_truth() -> None:
    """One circuit over three links, a half of its pairs sacrificed: 500 tests."""
    visibility = 0.9
    phase = np.array([(1 + visibility) / 2, (1 - visibility) / 2, 0.0, 0.0])
    swap = bell_measurement_spectrum(depolarising=0.03)
    spectrum = joined(phase, werner_spectrum(0.95), phase, swap, swap)
    links = [DoubleClick(visibility=visibility), certain_werner(0.95), DoubleClick(visibility=visibility)]
    testbed, _ = run(
        chain(links, hardware(8, two_qubit_gate_depolarising_probability=0.03), length_km=5.0, seed=3),
        pairs=500,
        slots=4,
        test_fraction=0.5,
    )
    estimate = testbed.of_kind("circuit_estimate")[-1]
    assert 450 <= estimate["tests"] <= 550
    assert abs(estimate["fidelity"] - spectrum[0]) < SIGMAS * estimate["standard_error"], (estimate, spectrum[0])
    expected = math.sqrt(variance(spectrum, estimate["tests"]))
    assert estimate["standard_error"] == pytest.approx(expected, rel=0.1)
    for pair in testbed.delivered:
        np.testing.assert_allclose(pair.spectrum, spectrum, atol=1e-9)


def variance(spectrum: np.ndarray, tests: int) -> float:
    """Of F = (1 + <XX> - <YY> + <ZZ>)/4 where each mean is over a third of the tests."""
    rates = [error_rate(spectrum, axis) for axis in AXES]
    return sum(4 * rate * (1 - rate) / (tests / 3) / 16 for rate in rates)


@pytest.mark.slow
def test_the_error_of_the_estimate_is_of_the_right_size() -> None:
    """100 circuits over two links, each with 36 tests or a few more: what their estimates scatter by is what they say."""
    circuits = 100
    link = werner_spectrum(0.88)
    spectrum = joined(link, link)
    testbed, _ = run(
        chain([Source(success_probability=0.5, fidelity=0.88)] * 2, hardware(8), seed=4),
        circuits=circuits,
        pairs=12,
        slots=2,
        test_fraction=0.75,
    )
    last = {record["circuit"]: record for record in testbed.of_kind("circuit_estimate")}
    assert len(last) == circuits
    values = np.array([record["fidelity"] for record in last.values()])
    errors = np.array([record["standard_error"] for record in last.values()])
    true = np.array([variance(spectrum, record["tests"]) for record in last.values()])
    assert {record["tests"] for record in last.values()} <= set(range(30, 45))
    scores = (values - spectrum[0]) / np.sqrt(true)
    assert abs(scores.mean()) < SIGMAS / math.sqrt(circuits), "without bias"
    assert abs((scores**2).mean() - 1) < SIGMAS * math.sqrt(2 / circuits)
    assert np.mean(errors**2) / np.mean(true) == pytest.approx(1.0, abs=0.15)
    assert (np.abs(values - spectrum[0]) < SIGMAS * errors).all()
