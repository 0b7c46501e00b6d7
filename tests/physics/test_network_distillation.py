"""Distillation as circuits do it, between neighbours and between their ends, against the formulas of the papers.

Memories keep everything and links are certain, so the state of a distilled pair is the formula's, pair by pair; how
often a round succeeds is counted.
"""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from circuit_runs import EXACT, SIGMAS, Ends, Watched, certain_werner, chain, hardware, joined, run
from oracles import Spectrum, bell_measurement_spectrum, werner_spectrum

from orchestrator.scenario import DoubleClick, SingleClick


def deutsch(first: Spectrum, second: Spectrum, *, depolarising: float = 0.0) -> tuple[np.ndarray, float]:
    """Deutsch et al. 1996 PRL 77 2818 equation 5 for two pairs: populations and success.

    With A, B, C, D those of Phi+, Psi-, Psi+, Phi-: N = (A+B)(A'+B') + (C+D)(C'+D'). ``depolarising`` is that of
    either end's CNOT; once one of them has happened, all 16 pairs of Bell states are equally likely and half of them pass.
    """
    (a, d, c, b), (e, h, g, f) = first, second
    passed = np.array([a * e + b * f, a * f + b * e, c * g + d * h, c * h + d * g])
    clean = (1.0 - depolarising) ** 2
    passed = clean * passed + (1.0 - clean) / 8.0
    success = float(passed.sum())
    return passed / success, success


def recurrence(spectrum: Spectrum, rounds: int, *, depolarising: float = 0.0) -> list[tuple[np.ndarray, float]]:
    """Populations after each round, and the round's success."""
    results = []
    for _ in range(rounds):
        spectrum, success = deutsch(spectrum, spectrum, depolarising=depolarising)
        results.append((spectrum, success))
    return results


def successes(testbed: Watched, *, node: str) -> dict[int, list[bool]]:
    """Of each round, counted from 1, at the end that chooses; its kept pair has come through all the rounds before."""
    through: dict[str, int] = defaultdict(int)
    found: dict[int, list[bool]] = defaultdict(list)
    for record in testbed.of_kind("distilled"):
        if record["node"] == node:
            through[record["pair"]] += 1
            found[through[record["pair"]]].append(record["kept"])
    return found


def agrees(kept: list[bool], chance: float) -> None:
    """As often as the formula says, within 4.5 standard errors."""
    error = math.sqrt(chance * (1 - chance) / len(kept))
    assert abs(np.mean(kept) - chance) < SIGMAS * error, (np.mean(kept), chance, error, len(kept))


def rounds_of(testbed: Watched) -> list[int]:
    """At each link, as the circuit was opened."""
    (opened,) = testbed.of_kind("circuit_opened")
    return list(opened["distillation_rounds"])


LINKS = [
    (certain_werner(0.9), werner_spectrum(0.9)),
    (DoubleClick(visibility=0.8), np.array([0.9, 0.1, 0.0, 0.0])),
]


@pytest.mark.parametrize("link", LINKS, ids=["werner", "phase flips"])
@pytest.mark.parametrize(("rounds", "pairs"), [(1, 300), (2, 150)])
def test_one_link_distils_where_the_fidelity_needs_it(link: tuple[object, Spectrum], rounds: int, pairs: int) -> None:
    """DEJMPS between neighbours; the network chooses as many rounds as the asked fidelity needs."""
    results = recurrence(link[1], rounds)
    below, reached = recurrence(link[1], 2)[0][0][0] if rounds == 2 else link[1][0], results[-1][0][0]
    testbed, ends = run(
        chain([link[0]], hardware(slots=10), seed=rounds),
        pairs=pairs,
        slots=8,
        minimum_fidelity=float(below + reached) / 2,
        as_heralded=True,
        check=True,
    )
    assert rounds_of(testbed) == [rounds]
    assert ends.opened[0].expected_fidelity == pytest.approx(reached, abs=EXACT), "nothing decays, so it is exact"
    for pair in testbed.delivered:
        np.testing.assert_allclose(pair.state, np.diag(results[-1][0]), atol=EXACT)
    counted = successes(testbed, node="n00")
    for number, (_, success) in enumerate(results, start=1):
        agrees(counted[number], success)


def test_links_distil_and_routers_swap_what_came_through() -> None:
    """150 pairs over four links, each distilled once with noisy gates, then three noisy swaps."""
    error = 0.01
    device = hardware(slots=16, two_qubit_gate_depolarising_probability=error)
    swap = bell_measurement_spectrum(depolarising=error)
    raw = joined(*[werner_spectrum(0.93)] * 4, swap, swap, swap)[0]
    ((once, success),) = recurrence(werner_spectrum(0.93), 1, depolarising=error)
    expected = joined(*[once] * 4, swap, swap, swap)
    assert expected[0] > raw + 0.03
    testbed, ends = run(
        chain([certain_werner(0.93)] * 4, device, seed=4),
        pairs=150,
        slots=6,
        minimum_fidelity=float(expected[0]) - 1e-6,
    )
    assert rounds_of(testbed) == [1] * 4
    assert ends.opened[0].expected_fidelity == pytest.approx(expected[0], abs=EXACT)
    for pair in testbed.delivered:
        np.testing.assert_allclose(pair.state, np.diag(expected), atol=EXACT)
    kept = [record["kept"] for record in testbed.of_kind("distilled")]
    assert {record["node"] for record in testbed.of_kind("distilled")} == {"n00", "n01", "n02", "n03"}
    agrees(kept, success)


@pytest.mark.parametrize(("rounds", "pairs"), [(1, 250), (2, 100), (3, 40)])
def test_rounds_between_the_ends(rounds: int, pairs: int) -> None:
    """DEJMPS across two swaps; a pair of round k is made of 2^k, and each round costs as many tries as it fails."""
    spectrum = joined(*[werner_spectrum(0.96)] * 3)
    results = recurrence(spectrum, rounds)
    testbed, ends = run(
        chain([certain_werner(0.96)] * 3, hardware(slots=24), seed=rounds + 5),
        pairs=pairs,
        slots=10,
        end_distillation_rounds=rounds,
    )
    check_end_rounds(testbed, ends, results)


def check_end_rounds(testbed: Watched, ends: Ends, results: list[tuple[np.ndarray, float]]) -> None:
    """Every pair is the last round's, as was promised, and every round succeeds as often as it should."""
    assert ends.opened[0].expected_fidelity == pytest.approx(results[-1][0][0], abs=EXACT)
    assert all(answer.pair is not None and answer.pair.bell_state == "PHI_PLUS" for answer in ends.at_head)
    for pair in testbed.delivered:
        np.testing.assert_allclose(pair.state, np.diag(results[-1][0]), atol=EXACT)
    counted = successes(testbed, node="n00")
    for number, (_, success) in enumerate(results, start=1):
        agrees(counted[number], success)
    for number in range(1, len(results)):
        through, used = sum(counted[number]), 2 * len(counted[number + 1])
        assert used <= through <= used + 24, "two pairs of a round go into one of the next, few are left over"


def test_bbpssw_between_the_ends() -> None:
    """250 pairs. Werner pairs are Werner pairs after any twirl, so the first round is Bennett's (1996), pair by pair:
    F' N = F^2 + G^2, N = F^2 + 2FG + 5G^2, G = (1 - F)/3."""
    fidelity = float(joined(*[werner_spectrum(0.95)] * 2)[0])
    rest = (1 - fidelity) / 3
    success = fidelity**2 + 2 * fidelity * rest + 5 * rest**2
    testbed, _ = run(
        chain([certain_werner(0.95)] * 2, hardware(slots=20), seed=8),
        pairs=250,
        slots=8,
        end_distillation_rounds=1,
        distillation_protocol="bbpssw",
    )
    for pair in testbed.delivered:
        assert pair.spectrum[0] == pytest.approx((fidelity**2 + rest**2) / success, abs=EXACT)
    agrees(successes(testbed, node="n00")[1], success)


def test_bbpssw_twice() -> None:
    """250 pairs, two rounds: the twirl before the second makes the mean of all pairs what a Werner pair would give."""
    fidelity, success = 0.9, 0.0
    for _ in range(2):
        rest = (1 - fidelity) / 3
        success = fidelity**2 + 2 * fidelity * rest + 5 * rest**2
        fidelity = (fidelity**2 + rest**2) / success
    testbed, _ = run(
        chain([certain_werner(0.9)], hardware(slots=20), seed=9),
        pairs=250,
        slots=16,
        end_distillation_rounds=2,
        distillation_protocol="bbpssw",
    )
    fidelities = np.array([pair.spectrum[0] for pair in testbed.delivered])
    error = float(fidelities.std(ddof=1)) / math.sqrt(len(fidelities))
    assert 0 < error < 0.01
    assert abs(fidelities.mean() - fidelity) < SIGMAS * error, (fidelities.mean(), fidelity, error)
    agrees(successes(testbed, node="n00")[2], success)


def test_epl_of_single_click_pairs() -> None:
    """150 pairs: (1 - a)|Psi><Psi| + a|11><11| becomes Psi+ or Psi- itself, with (1 - a)^2 / 2 (Campbell, Benjamin 2008)."""
    alpha, length_km = 0.2, 10.0
    link = SingleClick(bright_state_population=alpha, detector="number_resolving")
    efficiency = 10 ** (-0.02 * length_km / 2)
    fidelity = (1 - alpha) / (1 - alpha * efficiency)
    testbed, _ = run(
        chain([link], hardware(slots=20), length_km=length_km, seed=10),
        pairs=150,
        slots=8,
        end_distillation_rounds=1,
        distillation_protocol="epl",
        as_heralded=True,
    )
    for pair in testbed.delivered:
        assert pair.spectrum[0] == pytest.approx(1.0, abs=EXACT)
    agrees(successes(testbed, node="n00")[1], fidelity**2 / 2)


def test_pumping_between_the_ends() -> None:
    """150 pairs of two rounds: each joins what came through with a fresh pair (Duer and Briegel 2007)."""
    fresh = joined(*[werner_spectrum(0.95)] * 2)
    first, first_success = deutsch(fresh, fresh)
    second, second_success = deutsch(first, fresh)
    testbed, _ = run(
        chain([certain_werner(0.95)] * 2, hardware(slots=20), seed=11),
        pairs=150,
        slots=8,
        end_distillation_rounds=2,
        distillation_schedule="pumping",
    )
    for pair in testbed.delivered:
        np.testing.assert_allclose(pair.state, np.diag(second), atol=EXACT)
    counted = successes(testbed, node="n00")
    agrees(counted[1], first_success)
    agrees(counted[2], second_success)
