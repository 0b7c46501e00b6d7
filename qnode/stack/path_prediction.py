"""What a chain of links can be expected to yield: fidelity, rate, and how much of each link's time that takes.

Links make pairs after exponential waiting times, independent of each other; every node swaps as soon as it can. Three
approximations, each noted where it is made: decay is reckoned at mean waiting times, several memories a link are
interpolated between two limits, and what a cutoff throws away between one mean wait and the exponential's tail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qnode.config import BellDiagonal, SwapConfiguration
from qnode.stack.bell_diagonal import convolve, dejmps, distillation_noise, memory_error, swap_error
from qnode.wire.routing import LinkState, PathRequirement

SECOND_PS = 10**12


@dataclass(slots=True)
class Segment:
    """One link of a candidate path, and how it is to be used."""

    link: str
    points: tuple[tuple[float, BellDiagonal], ...]
    """Rate (Hz) and spectrum of each operating point."""
    free_share: float
    latency_s: float
    point: int = 0
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a path yields."""

    fidelity: float
    rate_bpps: float
    """With all of the time that its links have free."""
    shares: tuple[float, ...]
    """Of each link's time, needed for the rate that was asked for."""
    fidelities: tuple[float, ...]
    """Of each link's pairs, after its distillation."""


def swap_of(state: LinkState) -> SwapConfiguration:
    """What a node tells of its swaps."""
    return SwapConfiguration(
        success_probability=state.swap_success_probability,
        depolarising_probability=state.swap_depolarising_probability,
        readout_error=state.swap_readout_error,
        gate_depolarising_probability=state.gate_depolarising_probability,
        t1_s=state.t1_s,
        t2_s=state.t2_s,
    )


def expected_maximum_s(rates_hz: Sequence[float]) -> float:
    """Mean time until each of several exponential processes has happened once.

    The integral of 1 - prod(1 - exp(-r t)), by the trapezoidal rule in log t, which converges exponentially here: to
    8 digits. Of n equal rates it is the n-th harmonic number over the rate.
    """
    if len(rates_hz) == 1:
        return 1.0 / rates_hz[0]
    step, slowest, fastest = 0.25, min(rates_hz), max(rates_hz)
    first = math.log(1e-9 / fastest)
    total = 0.0
    for i in range(math.ceil((math.log(40.0 / slowest) - first) / step) + 1):
        t = math.exp(first + i * step)
        none_left = 1.0
        for rate in rates_hz:
            none_left *= -math.expm1(-rate * t)
        total += (1.0 - none_left) * t
    return total * step


def expected_gap_s(a_hz: float, b_hz: float) -> float:
    """Mean time between the first events of two exponential processes: how long one waits for the other."""
    return 1.0 / a_hz + 1.0 / b_hz - 2.0 / (a_hz + b_hz)


def link_yield(
    segment: Segment, left: LinkState, right: LinkState, cutoff_s: float = math.inf
) -> tuple[BellDiagonal, float]:
    """Spectrum and rate (Hz) of a link's pairs after its rounds of distillation (DEJMPS, recurrence).

    Each round takes two pairs, one after the other, and the ends' bits cross the link; the first pair decays meanwhile
    for the mean time of making the second, at most the cutoff.
    """
    rate_hz, spectrum = segment.points[segment.point]
    if not segment.rounds:
        return spectrum, rate_hz
    depolarising, misread = distillation_noise(swap_of(left), swap_of(right))
    for _ in range(segment.rounds):
        first = _waited(spectrum, left, right, min(1.0 / rate_hz, cutoff_s) + segment.latency_s)
        second = _waited(spectrum, left, right, segment.latency_s)
        spectrum, success = dejmps(first, second, depolarising=depolarising, misread=misread)
        rate_hz = success / (2.0 / rate_hz + segment.latency_s)
    return spectrum, rate_hz


def predict(segments: Sequence[Segment], states: Sequence[LinkState], requirement: PathRequirement) -> Prediction:
    """What a path of these links yields; ``states`` are those of its nodes, one more than links.

    Fidelity: all errors of a path commute, so they are folded together. The halves at a node between two links wait
    E|T1 - T2| in all, for one of them is swapped as it comes; those at the ends wait for the last link and for the
    news of it, unless they are measured at once (kind M, and the head's of kind R). No wait counts beyond the cutoff.

    Rate: with one memory a link, all links start anew for each pair, which then takes E[max T]; with ever more, the
    slowest link sets the pace; m of them are reckoned as 1/m of the way from the latter to the former. Every swap has
    to succeed. Of pairs that wait W on average, exp(-cutoff/W) are taken to be thrown away.
    """
    cutoff_s = math.inf if requirement.cutoff_ps is None else requirement.cutoff_ps / SECOND_PS
    made = [link_yield(segment, states[i], states[i + 1], cutoff_s) for i, segment in enumerate(segments)]
    rates_hz = [max(rate * segment.free_share, 1e-12) for (_, rate), segment in zip(made, segments, strict=True)]
    complete_s = expected_maximum_s(rates_hz)
    news_s = sum(segment.latency_s for segment in segments)

    spectrum = made[0][0]
    success = 1.0
    for i, state in enumerate(states[1:-1]):
        gap_s = min(expected_gap_s(rates_hz[i], rates_hz[i + 1]), cutoff_s)
        spectrum = convolve(spectrum, made[i + 1][0])
        spectrum = convolve(spectrum, memory_error(gap_s, state.t1_s, state.t2_s))
        spectrum = convolve(spectrum, swap_error(state.swap_depolarising_probability, state.swap_readout_error))
        success *= state.swap_success_probability
    keepers = {"K": (0, -1), "M": (), "R": (-1,)}[requirement.kind]
    for end in keepers:
        wait_s = min(complete_s - 1.0 / rates_hz[end], cutoff_s) + news_s
        spectrum = convolve(spectrum, memory_error(wait_s, states[end].t1_s, states[end].t2_s))

    slowest_s = 1.0 / min(rates_hz)
    time_s = slowest_s + (complete_s - slowest_s) / memories_per_link(segments, states)
    waste_s = complete_s - 1.0 / sum(rates_hz)
    kept = -math.expm1(-cutoff_s / waste_s) if len(segments) > 1 else 1.0
    shares = tuple(requirement.rate_bpps / max(rate * success * kept, 1e-12) for _, rate in made)
    return Prediction(spectrum[0], success * kept / time_s, shares, tuple(each[0] for each, _ in made))


def memories_per_link(segments: Sequence[Segment], states: Sequence[LinkState]) -> int:
    """How many pairs every link of a path can hold at once, beside those that its distillation works on."""
    spare = [
        (state.free_slots - needed) // (1 if i in (0, len(segments)) else 2)
        for i, (state, needed) in enumerate(zip(states, slots_needed(segments), strict=True))
    ]
    return 1 + max(0, min(spare))


def slots_needed(segments: Sequence[Segment]) -> tuple[int, ...]:
    """The fewest memory slots of each node: one for each of its links, and one more for each round of distillation."""
    each = [1 + segment.rounds for segment in segments]
    return tuple(a + b for a, b in zip([0, *each], [*each, 0], strict=True))


def _waited(spectrum: BellDiagonal, left: LinkState, right: LinkState, wait_s: float) -> BellDiagonal:
    errors = convolve(memory_error(wait_s, left.t1_s, left.t2_s), memory_error(wait_s, right.t1_s, right.t2_s))
    return convolve(spectrum, errors)
