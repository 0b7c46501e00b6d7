"""How long circuits wait for their pairs, against exact Markov chains that count attempts.

The papers' chains count attempts in step, and let signals and swaps take no time. So here an attempt takes as long as
the light over a link, classical channels of no latency run beside the links, and all heralds fall on one grid of
instants: what is compared are whole numbers of attempts, with one memory at each side of a node.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from circuit_runs import SECOND_PS, SIGMAS, chain, hardware, run
from oracles import (
    expected_maximum,
    nested_doubling_within,
    swap_as_soon_as_possible,
    swap_as_soon_as_possible_within,
    two_links_with_cutoff,
)

from orchestrator.fabric.heralding import light_delay_ps
from orchestrator.scenario import Scenario, Source
from orchestrator.scenario.hardware import Hardware

LENGTH_KM = 20.0
ATTEMPT_PS = light_delay_ps(LENGTH_KM, 1.468)


def in_step(success: Sequence[float], devices: Hardware | Sequence[Hardware], seed: int) -> Scenario:
    """A chain whose links attempt in step, and in which news takes no time."""
    sources = [Source(success_probability=each) for each in success]
    return chain(sources, devices, length_km=LENGTH_KM, seed=seed, instant_messages=True)


def attempts_until_first_pair(scenario: Scenario, *, circuits: int, **asked: object) -> np.ndarray:
    """Of so many circuits, each opened anew."""
    _, ends = run(scenario, circuits=circuits, pairs=1, slots=1, **asked)
    return attempts([answer.now_ps - opened.now_ps for answer, opened in zip(ends.at_head, ends.opened, strict=True)])


def attempts_between_pairs(scenario: Scenario, *, pairs: int, **asked: object) -> np.ndarray:
    """Of one circuit whose links are all free again at the instant when a pair is there."""
    _, ends = run(scenario, pairs=pairs, slots=1, **asked)
    instants = [ends.opened[0].now_ps, *(answer.now_ps for answer in ends.at_head)]
    return attempts([after - before for before, after in itertools.pairwise(instants)])


def attempts(times_ps: Sequence[int]) -> np.ndarray:
    """Whole numbers of them."""
    counts = np.array(times_ps) / ATTEMPT_PS
    assert (counts == np.round(counts)).all(), "every herald is on the grid"
    return counts


def agrees(waits: np.ndarray, expected: float) -> None:
    """The mean is within 4.5 of its standard errors."""
    error = float(waits.std(ddof=1)) / math.sqrt(len(waits))
    assert 0 < error < 0.08 * expected
    assert abs(waits.mean() - expected) < SIGMAS * error, (waits.mean(), expected, error)


def agrees_at(waits: np.ndarray, within: np.ndarray) -> None:
    """The share of waits of at most 3, 10, 30 ... attempts is as likely as ``within`` says."""
    for most in (3, 10, 20, 40, 80):
        chance = float(within[most])
        error = math.sqrt(chance * (1 - chance) / len(waits))
        assert abs((waits <= most).mean() - chance) < SIGMAS * error + 1e-12, (most, (waits <= most).mean(), chance)


@pytest.mark.parametrize(
    ("nodes", "circuits"), [(3, 400), (5, 250), (10, 150), pytest.param(20, 100, marks=pytest.mark.slow)]
)
def test_parallel_links(nodes: int, circuits: int) -> None:
    """The first pair comes when the last of all links has one: sums over the 1/n-th segments' waiting times."""
    waits = attempts_until_first_pair(
        in_step([0.1] * (nodes - 1), hardware(slots=2), seed=nodes), circuits=circuits, timeout_ps=10**15
    )
    agrees(waits, expected_maximum(nodes - 1, 0.1))
    grid = np.arange(81)
    agrees_at(waits, (1 - 0.9**grid) ** (nodes - 1))


@pytest.mark.parametrize("swapping", ["asap", "nested"])
@pytest.mark.parametrize("nodes", [3, 5, 10, 20])
def test_certain_links_take_one_attempt(nodes: int, swapping: str) -> None:
    """And so does every pair after the first, for all memories are free again at once."""
    waits = attempts_between_pairs(in_step([1.0] * (nodes - 1), hardware(slots=2), seed=1), pairs=20, swapping=swapping)
    assert (waits == 1).all()


@pytest.mark.parametrize("swapping", ["asap", "nested"])
def test_two_links_pair_after_pair(swapping: str) -> None:
    """800 pairs; with one memory a side, each pair takes the maximum of two geometric numbers, (3 - 2p)/(p(2 - p))."""
    waits = attempts_between_pairs(in_step([0.1] * 2, hardware(slots=2), seed=3), pairs=800, swapping=swapping)
    agrees(waits, (3 - 0.2) / (0.1 * 1.9))
    first, second = waits[:-1] - waits.mean(), waits[1:] - waits.mean()
    correlation = float((first * second).mean() / waits.var())
    assert abs(correlation) < SIGMAS / math.sqrt(len(waits)), "waits are independent"


@pytest.mark.parametrize(("success", "cutoff"), [((0.1, 0.1), 1), ((0.1, 0.1), 4), ((0.05, 0.2), 6), ((0.1, 0.3), 2)])
def test_two_links_with_a_cutoff(success: tuple[float, float], cutoff: int) -> None:
    """500 pairs; the router gives a pair up after so many attempts, tells its neighbour, and both try again. A herald at
    the very instant of the cutoff is in time. The ends keep what they have: only the router knows what was swapped."""
    router = hardware(slots=2, decay={"cutoff_s": cutoff * ATTEMPT_PS / SECOND_PS})
    scenario = in_step(success, [hardware(slots=1), router, hardware(slots=1)], seed=5 + cutoff)
    waits = attempts_between_pairs(scenario, pairs=500)
    expected = two_links_with_cutoff(*success, cutoff=cutoff)
    agrees(waits, expected)
    assert expected > 1.1 * two_links_with_cutoff(*success, cutoff=1000), "the cutoff makes a difference"


@pytest.mark.parametrize(("success", "swap_success"), [((0.2, 0.2), 0.5), ((0.1, 0.3), 0.7), ((0.2, 0.1, 0.3), 0.5)])
def test_probabilistic_swaps_as_soon_as_possible(success: tuple[float, ...], swap_success: float) -> None:
    """500 pairs over two and three links: a failed swap costs all pairs that it touched, and their links start over."""
    device = hardware(slots=2, bell_measurement_success_probability=swap_success)
    waits = attempts_between_pairs(in_step(success, device, seed=len(success)), pairs=500, swapping="asap")
    agrees(waits, swap_as_soon_as_possible(success, swap_success))
    agrees_at(waits, swap_as_soon_as_possible_within(success, swap_success, 80))


@pytest.mark.slow
def test_four_links_make_pairs_beneath_longer_ones() -> None:
    """200 circuits: a router whose swap is done has its memories free, so inner links make new pairs while the longer
    pair lives; if that dies, they are there. So the first pair comes sooner than in the chain of the paper, where a
    segment rests while it is covered, as a chain says that follows the memories (by less than one hundredth)."""
    success = (0.4, 0.2, 0.5, 0.3)
    device = hardware(slots=2, bell_measurement_success_probability=0.5)
    waits = attempts_until_first_pair(in_step(success, device, seed=9), circuits=200)
    expected = with_one_memory_a_side(success, 0.5)
    agrees(waits, expected)
    assert expected < swap_as_soon_as_possible(success, 0.5)


@pytest.mark.parametrize(("levels", "swap_success", "pairs"), [(1, 0.5, 400), (2, 0.5, 300), (2, 0.8, 300)])
def test_nested_doubling(levels: int, swap_success: float, pairs: int) -> None:
    """Two and four links: halves wait for each other, and a failed swap starts both over."""
    device = hardware(slots=2, bell_measurement_success_probability=swap_success)
    scenario = in_step((0.2,) * 2**levels, device, seed=levels)
    waits = attempts_between_pairs(scenario, pairs=pairs, swapping="nested")
    within = nested_doubling_within(levels, 0.2, swap_success, 1500)
    assert within[-1] > 1 - 1e-9
    agrees(waits, float((1.0 - within).sum()))
    agrees_at(waits, within)


Pair = tuple[int, int]
"""The nodes of its ends, the first nearer to the head."""


def with_one_memory_a_side(success: Sequence[float], swap_success: float) -> float:
    """Mean attempts until the first end-to-end pair, swapping as soon as possible, from an absorbing Markov chain.

    As `oracles.swap_as_soon_as_possible`, but its states are the live pairs: a link attempts if the memories at both of
    its ends are free, which is so again at a router that has swapped.
    """
    ends = (0, len(success))
    states: dict[frozenset[Pair], int] = {frozenset(): 0}
    rows: list[dict[int, float]] = []
    pending = [frozenset[Pair]()]
    while pending:
        row: dict[int, float] = {}
        for after, chance in _one_attempt(pending.pop(0), success, swap_success):
            if ends not in after:
                if after not in states:
                    states[after] = len(states)
                    pending.append(after)
                row[states[after]] = row.get(states[after], 0.0) + chance
        rows.append(row)
    step = np.zeros((len(states), len(states)))
    for number, row in enumerate(rows):
        for other, chance in row.items():
            step[number, other] = chance
    return float(np.linalg.solve(np.eye(len(states)) - step, np.ones(len(states)))[0])


def _one_attempt(
    pairs: frozenset[Pair], success: Sequence[float], swap_success: float
) -> Iterator[tuple[frozenset[Pair], float]]:
    starts, stops = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    free = [link for link in range(len(success)) if link not in starts and link + 1 not in stops]
    for results in itertools.product((False, True), repeat=len(free)):
        chance, live = 1.0, set(pairs)
        for link, result in zip(free, results, strict=True):
            chance *= success[link] if result else 1.0 - success[link]
            if result:
                live.add((link, link + 1))
        yield from _swap(frozenset(live), chance, swap_success)


def _swap(live: frozenset[Pair], chance: float, swap_success: float) -> Iterator[tuple[frozenset[Pair], float]]:
    """Every row of pairs that meet at nodes becomes one pair, or nothing if any of its swaps fails."""
    by_start = {pair[0]: pair for pair in live}
    stops = {pair[1] for pair in live}
    for pair in sorted(live):
        row = [pair]
        while row[-1][1] in by_start:
            row.append(by_start[row[-1][1]])
        if pair[0] not in stops and len(row) > 1:
            rest, works = live - set(row), swap_success ** (len(row) - 1)
            yield from _swap(rest | {(row[0][0], row[-1][1])}, chance * works, swap_success)
            yield from _swap(rest, chance * (1.0 - works), swap_success)
            return
    yield live, chance


def test_the_chain_of_memories_is_the_papers_where_they_agree() -> None:
    """Up to three links no link is free beneath a longer pair."""
    for success in ((0.3,), (0.2, 0.4), (0.2, 0.5, 0.3)):
        expected = swap_as_soon_as_possible(success, 0.6)
        assert with_one_memory_a_side(success, 0.6) == pytest.approx(expected, rel=1e-9)
    assert with_one_memory_a_side((0.3,) * 5, 1.0) == pytest.approx(expected_maximum(5, 0.3), rel=1e-9)
