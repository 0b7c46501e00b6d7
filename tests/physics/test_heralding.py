"""Links against the closed forms of their papers, against a simulation photon by photon, and drawn attempts."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import kstwo

from orchestrator.fabric.heralding import (
    LinkModel,
    Outcome,
    draw_attempts,
    expected_state,
    fibre_transmission,
    light_delay_ps,
    link_model,
    pick_outcome,
)
from orchestrator.scenario import DoubleClick, Heralding, Link, MidpointSource, SenderReceiver, SingleClick, Source

SEED = 20260101
SPEED_KM_PER_S = 299_792.458
INDEX_OF_2E8 = SPEED_KM_PER_S / 200_000.0
"""The group index at which light makes 200 000 km/s in the fibre."""
BELL = {
    0: np.array([1, 0, 0, 1]) / math.sqrt(2),
    1: np.array([1, 0, 0, -1]) / math.sqrt(2),
    2: np.array([0, 1, 1, 0]) / math.sqrt(2),
    3: np.array([0, 1, -1, 0]) / math.sqrt(2),
}


def link(heralding: Heralding, *, length_km: float = 0.0, **fields: float) -> Link:
    return Link(ends=("alice", "bob"), length_km=length_km, heralding=heralding, **fields)  # type: ignore[arg-type]


def check_physical(model: LinkModel) -> None:
    assert sum(outcome.weight for outcome in model.outcomes) == pytest.approx(1.0, abs=1e-12)
    for outcome in model.outcomes:
        assert np.trace(outcome.state) == pytest.approx(1.0, abs=1e-12)
        np.testing.assert_allclose(outcome.state, outcome.state.conj().T, atol=1e-15)
        assert np.linalg.eigvalsh(outcome.state).min() > -1e-12


@pytest.mark.parametrize(
    ("length_km", "expected"),
    [(1, 0.954992586021436), (10, 0.6309573444801932), (25, 0.31622776601683794), (50, 0.1), (1000, 1e-20)],
)
def test_fibre_transmission_at_0_2_db_per_km(length_km: float, expected: float) -> None:
    assert fibre_transmission(length_km, 0.2) == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("length_km", "index", "expected_us"),
    [
        (1, 1.468, 4.896720917508873),
        (10, 1.468, 48.96720917508872),
        (50, 1.468, 244.8360458754436),
        (1000, 1.468, 4896.720917508872),
        (25, INDEX_OF_2E8, 125.0),
        (0, 1.468, 0.0),
    ],
)
def test_light_delay(length_km: float, index: float, expected_us: float) -> None:
    assert light_delay_ps(length_km, index) == round(expected_us * 1e6)


@pytest.mark.parametrize("eta", [1.0, 0.5, 0.1, 0.001, 0.37])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3, 0.62])
def test_single_click_as_in_humphreys_2018(alpha: float, eta: float) -> None:
    probability = 2 * alpha * (1 - alpha) * eta + alpha**2 * eta * (2 - eta)
    ideal = SingleClick(bright_state_population=alpha, coupling_efficiency=eta)
    model = link_model(link(ideal))
    assert model.success_probability == pytest.approx(probability, rel=1e-12, abs=0)
    assert model.fidelity == pytest.approx(2 * (1 - alpha) / (2 - alpha * eta), abs=1e-12)
    probability = 2 * alpha * (1 - alpha) * eta + 2 * alpha**2 * eta * (1 - eta)
    resolving = SingleClick(bright_state_population=alpha, coupling_efficiency=eta, detector="number_resolving")
    model = link_model(link(resolving))
    assert model.success_probability == pytest.approx(probability, rel=1e-12, abs=0)
    assert model.fidelity == pytest.approx((1 - alpha) / (1 - alpha * eta), abs=1e-12)
    assert [outcome.bell_index for outcome in model.outcomes] == [2, 3]
    check_physical(model)


def test_single_click_at_the_oracles_numbers() -> None:
    model = link_model(link(SingleClick(bright_state_population=0.1, coupling_efficiency=0.5)))
    assert (model.success_probability, model.fidelity) == pytest.approx((0.0975, 0.9230769230769231), abs=1e-12)
    heralding = SingleClick(bright_state_population=0.05, coupling_efficiency=0.5)
    model = link_model(link(heralding, length_km=50, refractive_index=INDEX_OF_2E8))
    assert model.success_probability == pytest.approx(0.015748888300841896, abs=1e-15)
    assert model.fidelity == pytest.approx(0.9537701073793777, abs=1e-12)
    assert model.rate_hz == pytest.approx(62.99555320336758, rel=1e-12, abs=0)


def test_phase_and_visibility_of_single_click_multiply_its_coherence() -> None:
    alpha, eta, visibility, sigma = 0.08, 0.2, 0.81, 0.4
    heralding = SingleClick(
        bright_state_population=alpha,
        coupling_efficiency=eta,
        visibility=visibility,
        phase_uncertainty_rad=sigma,
        detector="number_resolving",
    )
    contrast = math.sqrt(visibility) * math.exp(-(sigma**2) / 2)
    assert link_model(link(heralding)).fidelity == pytest.approx(
        (1 - alpha) / (1 - alpha * eta) * (1 + contrast) / 2, abs=1e-12
    )


@pytest.mark.parametrize(("eta_a", "eta_b"), [(1.0, 1.0), (0.5, 0.5), (0.1, 0.1), (0.9, 0.02)])
@pytest.mark.parametrize("visibility", [1.0, 0.9, 0.0])
@pytest.mark.parametrize("detector", ["threshold", "number_resolving"])
def test_double_click_as_in_barrett_and_kok(eta_a: float, eta_b: float, visibility: float, detector: str) -> None:
    heralding = DoubleClick(coupling_efficiency=(eta_a, eta_b), visibility=visibility, detector=detector)  # type: ignore[arg-type]
    model = link_model(link(heralding))
    assert model.success_probability == pytest.approx(eta_a * eta_b / 2, rel=1e-12, abs=0)
    assert model.fidelity == pytest.approx((1 + visibility) / 2, abs=1e-12)
    assert [(outcome.weight, outcome.bell_index) for outcome in model.outcomes] == [(0.5, 2), (0.5, 3)]
    check_physical(model)


Photon = tuple[int, ...]
"""A mode: (time bin, output or -1 where lost, wave packet, or the end that lost it)."""


def photon(end: int, time_bin: int, *, eta: float, visibility: float, phase: float) -> dict[Photon, complex]:
    """The creation operator of a photon that an end emits, in the modes behind loss and a 50:50 beam splitter."""
    packets = {0: 1.0} if end == 0 else {0: math.sqrt(visibility), 1: math.sqrt(1 - visibility)}
    sign = (1.0, 1.0) if end == 0 else (1.0, -1.0)
    turn = complex(math.cos(phase), math.sin(phase)) if end == 0 else 1.0
    operator: dict[Photon, complex] = {(time_bin, -1, end): turn * math.sqrt(1 - eta)}
    for packet, amplitude in packets.items():
        for output in (0, 1):
            operator[(time_bin, output, packet)] = turn * amplitude * sign[output] * math.sqrt(eta / 2)
    return operator


Emissions = Callable[[int, int], tuple[tuple[int, int], ...]]
"""Which photons, as (end, time bin), the memories |i>|j> have emitted."""


def by_photons(
    amplitudes: np.ndarray,
    emissions: Emissions,
    *,
    etas: tuple[float, float],
    visibility: float,
    sigma: float,
    dark: float,
    resolving: bool,
    bins: int,
) -> dict[tuple[int, ...], np.ndarray]:
    """Unnormalised memory states (4, 4) for each heralding pattern (which output clicks in each bin), photon by photon.

    Every creation operator is expanded in the output modes, every phase averaged by quadrature, every combination of
    dark counts listed: nothing is taken from the formulas under test.
    """
    results: dict[tuple[int, ...], np.ndarray] = defaultdict(lambda: np.zeros((4, 4), dtype=complex))
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        state: dict[tuple[tuple[Photon, int], ...], np.ndarray] = defaultdict(lambda: np.zeros(4, dtype=complex))
        for i, j in itertools.product((0, 1), repeat=2):
            polynomial: dict[tuple[Photon, ...], complex] = {(): amplitudes[2 * i + j]}
            for end, time_bin in emissions(i, j):
                operator = photon(end, time_bin, eta=etas[end], visibility=visibility, phase=sigma * node)
                grown: dict[tuple[Photon, ...], complex] = defaultdict(complex)
                for (modes, one), (mode, other) in itertools.product(polynomial.items(), operator.items()):
                    grown[tuple(sorted((*modes, mode)))] += one * other
                polynomial = grown
            for modes, amplitude in polynomial.items():
                occupation = tuple((mode, len(list(group))) for mode, group in itertools.groupby(modes))
                norm = math.prod(math.sqrt(math.factorial(count)) for _, count in occupation)
                state[occupation][2 * i + j] += amplitude * norm
        for occupation, ket in state.items():
            for pattern, chance in heralds(occupation, dark=dark, resolving=resolving, bins=bins):
                results[pattern] += weight * chance * np.outer(ket, ket.conj())
    return results


def heralds(
    occupation: tuple[tuple[Photon, int], ...], *, dark: float, resolving: bool, bins: int
) -> Iterator[tuple[tuple[int, ...], float]]:
    detectors = list(itertools.product(range(bins), (0, 1)))
    for darks in itertools.product((0, 1), repeat=len(detectors)):
        chance = math.prod(dark if count else 1 - dark for count in darks)
        counts = dict(zip(detectors, darks, strict=True))
        for mode, count in occupation:
            if mode[1] >= 0:
                counts[mode[0], mode[1]] += count
        if not resolving:
            counts = {detector: min(1, count) for detector, count in counts.items()}
        if all(counts[time_bin, 0] + counts[time_bin, 1] == 1 for time_bin in range(bins)):
            yield tuple(counts[time_bin, 1] for time_bin in range(bins)), chance


@pytest.mark.parametrize("resolving", [False, True])
@pytest.mark.parametrize(
    ("alphas", "etas", "visibility", "sigma", "dark"),
    [
        ((0.1, 0.1), (0.5, 0.5), 1.0, 0.0, 0.0),
        ((0.3, 0.2), (0.9, 0.4), 0.8, 0.3, 0.05),
        ((0.6, 0.1), (0.01, 0.7), 0.35, 0.7, 0.2),
        ((0.5, 0.5), (1.0, 1.0), 0.0, 0.0, 0.5),
    ],
)
def test_single_click_photon_by_photon(
    alphas: tuple[float, float],
    etas: tuple[float, float],
    visibility: float,
    sigma: float,
    dark: float,
    resolving: bool,
) -> None:
    def emissions(i: int, j: int) -> tuple[tuple[int, int], ...]:
        return ((0, 0),) * i + ((1, 0),) * j

    ends = [np.array([math.sqrt(1 - alpha), math.sqrt(alpha)]) for alpha in alphas]
    expected = by_photons(
        np.kron(*ends), emissions, etas=etas, visibility=visibility, sigma=sigma, dark=dark, resolving=resolving, bins=1
    )
    heralding = SingleClick(
        bright_state_population=alphas,
        coupling_efficiency=etas,
        dark_count_probability=dark,
        visibility=visibility,
        phase_uncertainty_rad=sigma,
        detector="number_resolving" if resolving else "threshold",
    )
    model = link_model(link(heralding))
    check_physical(model)
    assert model.success_probability == pytest.approx(sum(np.trace(rho).real for rho in expected.values()), abs=1e-10)
    for outcome, pattern in zip(model.outcomes, ((0,), (1,)), strict=True):
        joint = model.success_probability * outcome.weight * outcome.state
        np.testing.assert_allclose(joint, expected[pattern], atol=1e-10)


@pytest.mark.parametrize("resolving", [False, True])
@pytest.mark.parametrize(
    ("etas", "visibility", "dark"),
    [((1.0, 1.0), 1.0, 0.0), ((0.9, 0.4), 0.8, 0.05), ((0.02, 0.7), 0.35, 0.2)],
)
def test_double_click_photon_by_photon(
    etas: tuple[float, float], visibility: float, dark: float, resolving: bool
) -> None:
    def emissions(i: int, j: int) -> tuple[tuple[int, int], ...]:
        return ((0, i), (1, j))

    expected = by_photons(
        np.full(4, 0.5), emissions, etas=etas, visibility=visibility, sigma=0, dark=dark, resolving=resolving, bins=2
    )
    heralding = DoubleClick(
        coupling_efficiency=etas,
        dark_count_probability=dark,
        visibility=visibility,
        detector="number_resolving" if resolving else "threshold",
    )
    model = link_model(link(heralding))
    check_physical(model)
    same, different = expected[0, 0] + expected[1, 1], expected[0, 1] + expected[1, 0]
    for outcome, state in zip(model.outcomes, (same, different), strict=True):
        joint = model.success_probability * outcome.weight * outcome.state
        np.testing.assert_allclose(joint, state, atol=1e-10)


def test_midpoint_source_without_dark_counts() -> None:
    heralding = MidpointSource(
        source_efficiency=0.6, source_fidelity=0.93, coupling_efficiency=(0.5, 0.8), detector_efficiency=0.9
    )
    model = link_model(link(heralding, length_km=50, midpoint_km=20))
    expected = 0.6 * 0.5 * 10 ** (-0.2 * 20 / 10) * 0.9 * 0.8 * 10 ** (-0.2 * 30 / 10) * 0.9
    assert model.success_probability == pytest.approx(expected, rel=1e-12, abs=0)
    assert model.fidelity == pytest.approx(0.93, abs=1e-12)
    assert [outcome.bell_index for outcome in model.outcomes] == [0]


def test_false_heralds_of_a_midpoint_source_by_listing_all_cases() -> None:
    source, fidelity, couplings, detector, dark = 0.7, 0.95, (0.4, 0.15), 0.8, 0.03
    expected = np.zeros((4, 4), dtype=complex)
    werner = fidelity * np.outer(BELL[0], BELL[0]) + (1 - fidelity) / 3 * (np.eye(4) - np.outer(BELL[0], BELL[0]))
    for emitted, loaded_a, loaded_b in itertools.product((False, True), repeat=3):
        chance = source if emitted else 1 - source
        for loaded, coupling in ((loaded_a, couplings[0]), (loaded_b, couplings[1])):
            load = coupling if emitted else 0.0
            chance *= load if loaded else 1 - load
            chance *= 1 - (1 - detector) * (1 - dark) if loaded else dark
        expected += chance * (werner if loaded_a and loaded_b else np.eye(4) / 4)
    heralding = MidpointSource(
        source_efficiency=source,
        source_fidelity=fidelity,
        coupling_efficiency=couplings,
        detector_efficiency=detector,
        dark_count_probability=dark,
    )
    model = link_model(link(heralding))
    assert model.success_probability == pytest.approx(np.trace(expected).real, rel=1e-12, abs=0)
    np.testing.assert_allclose(model.success_probability * model.outcomes[0].state, expected, atol=1e-14)


def test_sender_receiver() -> None:
    heralding = SenderReceiver(emission_fidelity=0.97, coupling_efficiency=0.5)
    model = link_model(link(heralding, length_km=50))
    assert model.success_probability == pytest.approx(0.05, rel=1e-12, abs=0)
    assert model.fidelity == pytest.approx(0.97, abs=1e-12)
    dark = 0.01
    heralding = SenderReceiver(emission_fidelity=0.97, coupling_efficiency=0.5, dark_count_probability=dark)
    model = link_model(link(heralding, length_km=50))
    assert model.success_probability == pytest.approx(0.05 + 0.95 * dark, rel=1e-12, abs=0)
    assert model.fidelity == pytest.approx((0.05 * 0.97 + 0.95 * dark / 4) / (0.05 + 0.95 * dark), abs=1e-12)


def test_plain_source() -> None:
    model = link_model(link(Source(success_probability=0.2, fidelity=0.9), length_km=10))
    travel = light_delay_ps(10, 1.468)
    assert (model.success_probability, model.attempt_cycle_ps) == (0.2, travel)
    assert model.fidelity == pytest.approx(0.9, abs=1e-12)
    assert model.herald_delay_ps == model.emission_delay_ps == (travel, travel)
    model = link_model(link(Source(attempt_cycle_s=1e-3), length_km=0))
    assert (model.attempt_cycle_ps, model.herald_delay_ps) == (10**9, (1, 1))
    assert link_model(link(Source())).attempt_cycle_ps == 1


US = 10**6


@pytest.mark.parametrize(
    ("heralding", "cycle", "herald", "emission"),
    [
        (SingleClick(), 250, (250, 250), (0, 0)),
        (DoubleClick(), 250, (250, 250), (0, 0)),
        (SenderReceiver(), 500, (500, 250), (0, 250)),
        (MidpointSource(), 375, (375, 375), (125, 125)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple | int) else None,
)
def test_cycles_of_jones_2016_at_50_km(
    heralding: Heralding, cycle: int, herald: tuple[int, int], emission: tuple[int, int]
) -> None:
    model = link_model(link(heralding, length_km=50, refractive_index=INDEX_OF_2E8))
    assert model.attempt_cycle_ps == cycle * US
    assert model.herald_delay_ps == (herald[0] * US, herald[1] * US)
    assert model.emission_delay_ps == (emission[0] * US, emission[1] * US)


@pytest.mark.parametrize(
    ("heralding", "cycle", "herald", "emission"),
    [
        # arms of 10 and 40 km: 50 us and 200 us; photons meet at 200 us; heralds go back
        (SingleClick(attempt_overhead_s=7e-6), 407, (257, 407), (157, 7)),
        (DoubleClick(attempt_overhead_s=7e-6), 407, (257, 407), (157, 7)),
        # loaded at 50 and 200 us; the other end hears of it 250 us later
        (MidpointSource(attempt_overhead_s=7e-6), 457, (457, 307), (57, 207)),
        (SenderReceiver(attempt_overhead_s=7e-6), 507, (507, 257), (7, 257)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple | int) else None,
)
def test_times_of_an_off_centre_station(
    heralding: Heralding, cycle: int, herald: tuple[int, int], emission: tuple[int, int]
) -> None:
    model = link_model(link(heralding, length_km=50, midpoint_km=10, refractive_index=INDEX_OF_2E8))
    assert model.attempt_cycle_ps == cycle * US
    assert model.herald_delay_ps == (herald[0] * US, herald[1] * US)
    assert model.emission_delay_ps == (emission[0] * US, emission[1] * US)


def test_rates_of_the_oracle_at_50_km() -> None:
    def model(heralding: Heralding) -> LinkModel:
        return link_model(link(heralding, length_km=50, refractive_index=INDEX_OF_2E8))

    double = model(DoubleClick(coupling_efficiency=0.5))
    assert (double.success_probability, double.rate_hz) == pytest.approx((0.0125, 50.0), rel=1e-12, abs=0)
    assert model(SenderReceiver(coupling_efficiency=0.5)).success_probability == pytest.approx(0.05, rel=1e-12, abs=0)
    assert model(MidpointSource(coupling_efficiency=0.5)).success_probability == pytest.approx(0.025, rel=1e-12, abs=0)


def test_modes_multiply_the_chances() -> None:
    one = link_model(link(SenderReceiver(coupling_efficiency=0.01)))
    ten = link_model(link(SenderReceiver(coupling_efficiency=0.01, modes=10)))
    assert ten.success_probability == pytest.approx(0.09561792499119559, rel=1e-12, abs=0)
    np.testing.assert_array_equal(one.outcomes[0].state, ten.outcomes[0].state)
    tiny = link_model(link(SenderReceiver(coupling_efficiency=1e-18, modes=1000)))
    assert tiny.success_probability == pytest.approx(1e-15, rel=1e-9, abs=0)


def test_another_bright_state_population() -> None:
    heralding = SingleClick(bright_state_population=0.05, coupling_efficiency=0.5)
    model = link_model(link(heralding), bright_state_population=0.3)
    assert model.fidelity == pytest.approx(0.7567567567567567, abs=1e-12)
    with pytest.raises(ValueError, match="this link is double_click"):
        link_model(link(DoubleClick()), bright_state_population=0.3)
    with pytest.raises(ValueError, match=r"between 0 and 1, found 1\.5"):
        link_model(link(heralding), bright_state_population=1.5)


def test_a_hopeless_link_has_no_outcomes() -> None:
    model = link_model(link(DoubleClick(coupling_efficiency=0.0)))
    assert (model.success_probability, model.outcomes, model.fidelity, model.rate_hz) == (0.0, (), 0, 0.0)
    with pytest.raises(ValueError, match=r"\(0, 1\], found 0\.0"):
        draw_attempts(model.success_probability, 0.5)


def test_the_expected_state_is_in_the_phi_plus_frame() -> None:
    model = link_model(link(SingleClick(bright_state_population=0.2, coupling_efficiency=(0.5, 0.1), visibility=0.9)))
    rho = expected_state(model)
    assert (BELL[0] @ rho @ BELL[0]).real == pytest.approx(model.fidelity, abs=1e-12)
    assert np.trace(rho) == pytest.approx(1.0, abs=1e-12)


def attempts(probability: float, *, count: int, seed: int) -> np.ndarray:
    uniforms = np.random.Generator(np.random.Philox(seed)).random(count)
    return np.array([draw_attempts(probability, float(uniform)) for uniform in uniforms], dtype=float)


@pytest.mark.parametrize("probability", [0.5, 0.1, 0.01, 1e-6, 1e-12, 1e-20, 0.999])
def test_attempts_are_geometric(probability: float) -> None:
    count = 20_000
    drawn = attempts(probability, count=count, seed=SEED)
    assert drawn.min() >= 1
    standard_error = math.sqrt(1 - probability) / probability / math.sqrt(count)
    assert abs(drawn.mean() - 1 / probability) <= 4.5 * standard_error, f"seed {SEED}"
    ordered = np.sort(drawn)
    cumulative = -np.expm1(ordered * math.log1p(-probability))
    after = np.searchsorted(ordered, ordered, side="right") / count
    # the continuous law's quantile, an upper bound for a discrete one (Noether 1963)
    assert np.abs(after - cumulative).max() <= kstwo.ppf(1 - 1e-4, count), f"seed {SEED}"


def test_attempts_by_inversion_at_its_edges() -> None:
    assert draw_attempts(1.0, 0.999) == 1
    assert draw_attempts(0.3, 0.0) == 1
    assert draw_attempts(0.3, 0.2999999) == 1
    assert draw_attempts(0.3, 0.3000001) == 2
    assert draw_attempts(0.3, 1 - 0.7**2 + 1e-9) == 3
    assert draw_attempts(0.01, 0.5) == 69
    assert draw_attempts(0.01, 0.95) == 299
    assert draw_attempts(5e-324, 1 - 2.0**-53) > 10**300
    with pytest.raises(ValueError, match="found nan"):
        draw_attempts(math.nan, 0.5)


def test_attempts_with_modes_match_the_first_of_many() -> None:
    modes, probability, count = 10, 0.01, 20_000
    drawn = attempts(-math.expm1(modes * math.log1p(-probability)), count=count, seed=SEED + 1)
    each = np.random.Generator(np.random.Philox(SEED + 2)).geometric(probability, size=(count, modes))
    first_success = each.min(axis=1)
    difference = drawn.mean() - first_success.mean()
    standard_error = math.sqrt((drawn.var() + first_success.var()) / count)
    assert abs(difference) <= 4.5 * standard_error, f"seed {SEED}"


def test_outcomes_are_picked_by_weight() -> None:
    state = np.eye(4, dtype=complex) / 4
    outcomes = tuple(Outcome(weight, index, state) for index, weight in enumerate((0.5, 0.2, 0.3)))
    model = LinkModel(
        success_probability=0.5, attempt_cycle_ps=1, outcomes=outcomes, herald_delay_ps=(1, 1), emission_delay_ps=(0, 0)
    )
    picked = [pick_outcome(model, uniform).bell_index for uniform in (0.0, 0.4999, 0.5, 0.6999, 0.7001, 0.9999999)]
    assert picked == [0, 0, 1, 1, 2, 2]
    assert pick_outcome(model, math.nextafter(1.0, 0.0)).bell_index == 2
