"""The closed forms that tests use, against known limits, values of the papers, and simulations done another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracles import (
    bell_measurement_spectrum,
    chain,
    expected_maximum,
    nested_doubling_within,
    repeater_chain_capacity,
    swap_as_soon_as_possible,
    swap_as_soon_as_possible_within,
    swapped,
    two_links_with_cutoff,
    werner_spectrum,
)

SIGMAS = 4.5
RUNS = 20_000
SEED = 20260


def assert_mean(samples: list[int], expected: float) -> None:
    """The sample's mean is within 4.5 standard errors."""
    values = np.array(samples, dtype=float)
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean() - expected) < SIGMAS * error, (values.mean(), expected, error, SEED)


@pytest.mark.parametrize(
    ("links", "success", "expected"),
    [(1, 0.5, 2.0), (2, 0.5, 8 / 3), (3, 0.5, 22 / 7), (2, 0.1, 14.736842105263161), (16, 0.001, 3379.538346872209)],
)
def test_expected_maximum(links: int, success: float, expected: float) -> None:
    assert expected_maximum(links, success) == pytest.approx(expected, rel=1e-9)


def test_expected_maximum_of_rare_successes_is_the_harmonic_sum() -> None:
    harmonic = sum(1 / k for k in range(1, 11))
    assert expected_maximum(10, 1e-6) * 1e-6 == pytest.approx(harmonic, rel=1e-4)


def test_expected_maximum_by_drawing() -> None:
    draws = np.random.default_rng(SEED).geometric(0.2, size=(RUNS, 5)).max(axis=1)
    assert_mean(draws.tolist(), expected_maximum(5, 0.2))


def test_cutoff_limits() -> None:
    for p in (0.01, 0.3, 0.9):
        assert two_links_with_cutoff(p, p, cutoff=0) == pytest.approx(1 / p**2)
        assert two_links_with_cutoff(p, p, cutoff=100_000) == pytest.approx((3 - 2 * p) / (p * (2 - p)))
    assert two_links_with_cutoff(0.2, 1.0, cutoff=0) == pytest.approx(5.0)
    assert two_links_with_cutoff(0.2, 0.7, cutoff=3) == pytest.approx(two_links_with_cutoff(0.7, 0.2, cutoff=3))


@pytest.mark.parametrize(("first", "second", "cutoff"), [(0.1, 0.1, 4), (0.3, 0.05, 2), (0.2, 0.2, 1)])
def test_cutoff_by_stepping(first: float, second: float, cutoff: int) -> None:
    rng = np.random.default_rng(SEED)
    samples = []
    for _ in range(RUNS // 4):
        attempt, born = 0, [None, None]
        while None in born:
            attempt += 1
            for link, success in enumerate((first, second)):
                if born[link] is None and rng.random() < success:
                    born[link] = attempt  # type: ignore[call-overload]
            if None in born:
                born = [None if time is None or attempt - time == cutoff else time for time in born]
        samples.append(attempt)
    assert_mean(samples, two_links_with_cutoff(first, second, cutoff=cutoff))


def test_swapping_limits() -> None:
    assert swap_as_soon_as_possible([0.1], 0.5) == pytest.approx(10.0)
    for segments in (2, 3, 4, 6):
        certain = swap_as_soon_as_possible([0.15] * segments, 1.0)
        assert certain == pytest.approx(expected_maximum(segments, 0.15))
    assert swap_as_soon_as_possible([0.15] * 2, 0.5) == pytest.approx(expected_maximum(2, 0.15) / 0.5)
    assert swap_as_soon_as_possible([1.0] * 5, 0.5) == pytest.approx(2.0**4), "each attempt needs four swaps"


def stepped(success: list[float], swap_success: float, rng: np.random.Generator) -> int:
    """One run with explicit pairs (left node, right node) and nodes that measure."""
    segments, attempt = len(success), 0
    pairs: list[tuple[int, int]] = []
    while (0, segments) not in pairs:
        attempt += 1
        covered = {segment for left, right in pairs for segment in range(left, right)}
        pairs += [(s, s + 1) for s in range(segments) if s not in covered and rng.random() < success[s]]
        pairs.sort()
        swapping = [
            node for node in range(1, segments) if {node} <= {r for _, r in pairs} & {left for left, _ in pairs}
        ]
        good = {node: rng.random() < swap_success for node in swapping}
        joined: list[list[tuple[int, int]]] = []
        for pair in pairs:
            if joined and joined[-1][-1][1] == pair[0]:
                joined[-1].append(pair)
            else:
                joined.append([pair])
        pairs = [(run[0][0], run[-1][1]) for run in joined if all(good[left] for left, _ in run[1:])]
    return attempt


@pytest.mark.parametrize(
    ("success", "swap_success"), [([0.3] * 3, 0.5), ([0.5, 0.2, 0.4, 0.3], 0.7), ([0.6] * 5, 0.75)]
)
def test_swapping_by_stepping(success: list[float], swap_success: float) -> None:
    rng = np.random.default_rng(SEED)
    samples = [stepped(success, swap_success, rng) for _ in range(RUNS // 4)]
    assert_mean(samples, swap_as_soon_as_possible(success, swap_success))
    within = swap_as_soon_as_possible_within(success, swap_success, 40)
    for attempts in (1, 5, 20, 40):
        share, exact = np.mean(np.array(samples) <= attempts), within[attempts]
        assert abs(share - exact) < SIGMAS * math.sqrt(exact * (1 - exact) / len(samples)) + 1 / len(samples)


def test_distribution_and_mean_are_of_the_same_chain() -> None:
    within = swap_as_soon_as_possible_within([0.4, 0.3, 0.5], 0.6, 2000)
    assert np.sum(1 - within) == pytest.approx(swap_as_soon_as_possible([0.4, 0.3, 0.5], 0.6))


def test_doubling_limits() -> None:
    attempts = 3000
    certain = nested_doubling_within(3, 0.1, 1.0, attempts)
    assert np.sum(1 - certain) == pytest.approx(expected_maximum(8, 0.1))
    one_swap = nested_doubling_within(1, 0.1, 0.5, attempts)
    np.testing.assert_allclose(one_swap, swap_as_soon_as_possible_within([0.1] * 2, 0.5, attempts), atol=1e-10)
    asap = swap_as_soon_as_possible_within([0.1] * 4, 0.5, attempts)
    doubled = nested_doubling_within(2, 0.1, 0.5, attempts)
    assert np.sum(1 - doubled) != pytest.approx(np.sum(1 - asap), rel=1e-3), "which nodes may swap matters"


def doubled(levels: int, success: float, swap_success: float, rng: np.random.Generator) -> int:
    """One run of nested doubling by recursion."""
    if levels == 0:
        return int(rng.geometric(success))
    elapsed = 0
    while True:
        elapsed += max(doubled(levels - 1, success, swap_success, rng) for _ in range(2))
        if rng.random() < swap_success:
            return elapsed


def test_doubling_by_drawing() -> None:
    rng = np.random.default_rng(SEED)
    samples = [doubled(3, 0.3, 0.6, rng) for _ in range(RUNS // 4)]
    assert_mean(samples, float(np.sum(1 - nested_doubling_within(3, 0.3, 0.6, 3000))))


def test_capacity_limits() -> None:
    assert repeater_chain_capacity([0.5]) == pytest.approx(1.0)
    assert repeater_chain_capacity([0.9, 0.1, 0.5]) == repeater_chain_capacity([0.1])
    assert repeater_chain_capacity([1e-6]) == pytest.approx(1e-6 / math.log(2), rel=1e-5)


def test_swap_of_werner_pairs() -> None:
    """F = F1 F2 + (1 - F1)(1 - F2)/3."""
    for first, second, expected in ((0.9, 0.9, 0.8133333333333334), (0.95, 0.8, 0.7633333333333333)):
        np.testing.assert_allclose(
            swapped(werner_spectrum(first), werner_spectrum(second)), werner_spectrum(expected), atol=1e-12
        )


def test_chain_is_not_the_twirled_one() -> None:
    """The untwirled closed form at F = 0.95, gates 0.99 and 0.98, readout 0.97; from three links on it is larger
    than the one that twirls after each swap (Briegel et al. 1998, PRL 81 5932)."""
    measurement = bell_measurement_spectrum(depolarising=1 - 0.99 * 0.98, error_0=0.03, error_1=0.03)
    expected = {2: 0.8339155168, 3: 0.7374876336144617, 4: 0.6573151222636313, 8: 0.45005729487544605}
    for links, fidelity in expected.items():
        assert chain([werner_spectrum(0.95)] * links, measurement)[0] == pytest.approx(fidelity, abs=1e-12)
        gate = 0.99 * 0.98 * (4 * 0.97**2 - 1) / 3
        twirled = (1 + 3 * gate ** (links - 1) * ((4 * 0.95 - 1) / 3) ** links) / 4
        assert (fidelity == pytest.approx(twirled, abs=1e-12)) if links == 2 else fidelity > twirled + 1e-4
