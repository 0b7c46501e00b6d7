"""What papers say about pairs, chains and waiting times, written from the papers and not from the product.

A spectrum is the populations of Phi+, Phi-, Psi+, Psi- (Bell index 2x + z), relative to the announced state. Times are
counted in attempts: all links that lack a pair try at once, in step; signals and swaps take no time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt

Spectrum = Sequence[float] | npt.NDArray[np.float64]


def werner_spectrum(fidelity: float) -> npt.NDArray[np.float64]:
    """Populations of a Werner state."""
    return np.array([fidelity] + [(1.0 - fidelity) / 3.0] * 3)


def swapped(first: Spectrum, second: Spectrum) -> npt.NDArray[np.float64]:
    """Two Bell-diagonal pairs joined by a perfect swap: convolution over Z2 x Z2, where indices add by XOR."""
    joined = np.zeros(4)
    for i, j in itertools.product(range(4), repeat=2):
        joined[i ^ j] += first[i] * second[j]
    return joined


def bell_measurement_spectrum(
    *, depolarising: float = 0.0, error_0: float = 0.0, error_1: float = 0.0
) -> npt.NDArray[np.float64]:
    """What a noisy Bell measurement does to a swap, as a spectrum to convolve with.

    Both qubits are depolarised together before; each bit is then read wrongly with ``error_0`` or ``error_1``, and as
    the four outcomes of a swap of Bell-diagonal pairs are equally likely, with the mean of them.
    """
    wrong = (error_0 + error_1) / 2.0
    bit = (1.0 - wrong, wrong)
    ideal = np.array([bit[x] * bit[z] for x in (0, 1) for z in (0, 1)])
    return (1.0 - depolarising) * ideal + depolarising / 4.0


def chain(links: Sequence[Spectrum], measurement: Spectrum = (1.0, 0.0, 0.0, 0.0)) -> npt.NDArray[np.float64]:
    """The untwirled chain: all links and one noisy Bell measurement at each inner node, convolved in any order."""
    factors = [*links, *[measurement] * (len(links) - 1)]
    return reduce(swapped, factors[1:], np.asarray(factors[0], dtype=float))


def expected_maximum(links: int, success: float) -> float:
    """Mean attempts until all of n parallel links have succeeded (Bernardes et al. 2011, PRA 83 012323).

    sum over k = 1..n of C(n, k) (-1)^(k+1) / (1 - (1-p)^k); for n = 2 it is (3 - 2p)/(p(2 - p)).
    """
    return math.fsum(
        math.comb(links, k) * (-1.0) ** (k + 1) / -math.expm1(k * math.log1p(-success)) for k in range(1, links + 1)
    )


def two_links_with_cutoff(first: float, second: float, *, cutoff: int) -> float:
    """Mean attempts until two links have a pair at once, where a pair is given up after ``cutoff`` attempts of waiting.

    The renewal argument of Collins et al. 2007 (PRL 98 060502): a round ends well if both succeed in one attempt, or
    the other within the next ``cutoff`` attempts; if not, the pair is discarded and both start over with the next
    attempt. With q = 1 - p, a round's length divided by its probability to end well is

        (1 + p1 q2 (1 - q2^c)/p2 + q1 p2 (1 - q1^c)/p1) / (p1 p2 + p1 q2 (1 - q2^c) + q1 p2 (1 - q1^c)).

    ``cutoff`` 0: only simultaneous successes count. Without end it is `expected_maximum`.
    """
    in_time = [1.0 - (1.0 - success) ** cutoff for success in (first, second)]
    only_first, only_second = first * (1.0 - second), (1.0 - first) * second
    length = 1.0 + only_first * in_time[1] / second + only_second * in_time[0] / first
    return length / (first * second + only_first * in_time[1] + only_second * in_time[0])


def swap_as_soon_as_possible(success: Sequence[float], swap_success: float) -> float:
    """Mean attempts until a chain of links with these success probabilities has its first end-to-end pair.

    An absorbing Markov chain over which segments are covered by a live pair (Shchukin, Schmidt and van Loock 2019,
    PRA 100 032322), solved exactly. Assumed: one pair at a time on a segment, also while it is part of a longer pair;
    an inner node swaps as soon as it has a pair on either side, all nodes at once; a failed swap destroys everything
    that touches it, so that a run of neighbouring pairs becomes one pair with the probability ``swap_success`` to
    the number of its swaps, or nothing; its segments try again with the next attempt. Memories keep for ever.
    """
    step = _swap_transitions(success, swap_success)
    transient = step[:-1, :-1]
    return float(np.linalg.solve(np.eye(len(transient)) - transient, np.ones(len(transient)))[0])


def swap_as_soon_as_possible_within(success: Sequence[float], swap_success: float, attempts: int) -> np.ndarray:
    """Probability that the end-to-end pair of `swap_as_soon_as_possible` is there after 0, 1, ... ``attempts``."""
    step = _swap_transitions(success, swap_success)
    state = np.zeros(len(step))
    state[0] = 1.0
    reached = [0.0]
    for _ in range(attempts):
        state = state @ step
        reached.append(float(state[-1]))
    return np.array(reached)


def nested_doubling_within(levels: int, success: float, swap_success: float, attempts: int) -> np.ndarray:
    """Probability that a chain of 2^levels equal links has its end-to-end pair after 0, 1, ... ``attempts``.

    Halves of the chain wait for each other and are joined at the middle; a failed swap starts both over. With M the
    maximum of two independent times of the level below, the time of a level is the sum of a geometric number of M:
    f = a m + (1 - a) m * f (Brand, Coopmans and Elkouss 2020, IEEE J. Sel. Areas Commun. 38 619). Same assumptions as
    `swap_as_soon_as_possible`, except for which nodes may swap.
    """
    within = 1.0 - (1.0 - success) ** np.arange(attempts + 1)
    for _ in range(levels):
        both = np.diff(within**2, prepend=0.0)
        found = np.zeros(attempts + 1)
        for attempt in range(1, attempts + 1):
            again = both[1:attempt] @ found[attempt - 1 : 0 : -1]
            found[attempt] = swap_success * both[attempt] + (1.0 - swap_success) * again
        within = np.cumsum(found)
    return within


def repeater_chain_capacity(transmissions: Sequence[float]) -> float:
    """Most ebits per use and mode over a chain of lossy links with ideal repeaters: -log2(1 - eta_min).

    Pirandola 2019, Commun. Phys. 2 51; for one link the PLOB bound, Pirandola et al. 2017, Nat. Commun. 8 15043.
    """
    return -math.log2(1.0 - min(transmissions))


def _swap_transitions(success: Sequence[float], swap_success: float) -> np.ndarray:
    """One attempt and its swaps, from and to every set of covered segments, as bit masks; the full set is absorbing."""
    segments = len(success)
    full = (1 << segments) - 1
    step = np.zeros((full + 1, full + 1))
    step[full, full] = 1.0
    for covered in range(full):
        free = [segment for segment in range(segments) if not covered >> segment & 1]
        for results in itertools.product((0, 1), repeat=len(free)):
            chance, heralded = 1.0, 0
            for segment, result in zip(free, results, strict=True):
                chance *= success[segment] if result else 1.0 - success[segment]
                heralded |= result << segment
            reached = {covered | heralded: chance}
            for run in _runs(covered | heralded):
                pairs = (run & heralded).bit_count() + len(_runs(run & covered))
                joins = swap_success ** (pairs - 1)
                split: dict[int, float] = {}
                for mask, probability in reached.items():
                    split[mask] = split.get(mask, 0.0) + probability * joins
                    split[mask & ~run] = split.get(mask & ~run, 0.0) + probability * (1.0 - joins)
                reached = split
            for mask, probability in reached.items():
                step[covered, mask] += probability
    return step


def _runs(mask: int) -> list[int]:
    """The maximal runs of neighbouring segments, each as a mask."""
    runs, segment = [], 0
    while mask >> segment:
        run = 0
        while mask >> segment & 1:
            run |= 1 << segment
            segment += 1
        if run:
            runs.append(run)
        segment += 1
    return runs
