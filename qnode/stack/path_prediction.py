"""What a chain of links can be expected to yield: fidelity, rate, and how much of each link's time that takes.

Links make pairs after exponential waiting times, independent of each other; every node swaps the oldest pairs as soon
as it can. Approximations, each noted where it is made: decay is reckoned at mean waiting times, several memories a link
are exact for two links and taken over to chains, and waits under a cutoff are taken to be exponential.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qnode.config import BellDiagonal, SwapConfiguration
from qnode.stack.bell_diagonal import convolve, dejmps, depolarised, distillation_noise, memory_error, swap_error
from qnode.wire.routing import LinkState, PathRequirement

SECOND_PS = 10**12
MOST_MEMORIES = 64
"""Beyond which a queue is reckoned no longer."""
NEWS_TO_DELIVER = 1.5
"""Crossings of the path after the last swap, on average, until a pair is handed over: the outcome comes to the head
from the middle, the head tells the tail."""
NEWS_TO_FREE = 2.5
"""And until the head's memory is free again: the tail answers."""


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


def expected_gap_s(a_hz: float, b_hz: float, memories: int = 1) -> float:
    """Mean time that a pair of one link waits for one of the other at the node between them, either way.

    With one memory each: between the first events of two exponential processes, 1/a + 1/b - 2/(a + b).
    """
    return queueing_s(a_hz, b_hz, memories) + queueing_s(b_hz, a_hz, memories)


def queueing_s(own_hz: float, other_hz: float, memories: int) -> float:
    """Mean time, over all swaps, that the pair of one link has waited for the other's, oldest first.

    By how many pairs the link is ahead is a random walk between -m and m, as either stops when its memories are full;
    its stationary weights are (own/other)^k. Little's law: mean queue over throughput. For equal rates r and both
    directions together it is (m + 1)/(2r); for one memory and one direction own/(other (own + other)).
    """
    memories = min(memories, MOST_MEMORIES)
    step = math.log(own_hz / other_hz)
    weights = [math.exp(k * step - memories * abs(step)) for k in range(-memories, memories + 1)]
    ahead = math.fsum(k * weight for k, weight in enumerate(weights[memories:]))
    return ahead / (own_hz * math.fsum(weights[:-1]))


def kept_wait_s(mean_s: float, cutoff_s: float) -> float:
    """Mean wait of what is not thrown away at the cutoff, if waits are exponential: at most half the cutoff."""
    if mean_s <= 0.0 or cutoff_s > 100.0 * mean_s:
        return mean_s
    return mean_s - cutoff_s / math.expm1(cutoff_s / mean_s)


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

    Fidelity: all errors of a path commute, so they are folded together. The halves at a node between two links wait for
    each other; those at the ends wait for all links and for the news of it, unless they are measured at once (kind M,
    and the head's of kind R). With more memories there are more that wait, oldest first. A cutoff shortens
    all waits. A node whose communication slots are too few for that moves every pair to storage. Links are reckoned
    with the time that they have free now: circuits that come later make waits longer.

    Rate: with one memory a link, all links start anew for each pair, which then takes E[max T]; with ever more, the
    slowest link sets the pace; m of them are reckoned as 1/m of the way from the latter to the former, which for two
    equal links is exact. Nor is a pair faster than an end's memories are free again. Every swap has to succeed. Of
    pairs that wait W on average, exp(-cutoff/W) are taken to be thrown away.
    """
    cutoff_s = math.inf if requirement.cutoff_ps is None else requirement.cutoff_ps / SECOND_PS
    made = [link_yield(segment, states[i], states[i + 1], cutoff_s) for i, segment in enumerate(segments)]
    rates_hz = [max(rate * segment.free_share, 1e-12) for (_, rate), segment in zip(made, segments, strict=True)]
    complete_s = expected_maximum_s(rates_hz)
    news_s = sum(segment.latency_s for segment in segments)
    memories = memories_per_link(segments, states)
    if requirement.slots:
        memories = min(memories, requirement.slots)

    spectrum = made[0][0]
    success = 1.0
    for i, state in enumerate(states[1:-1]):
        gap_s = kept_wait_s(expected_gap_s(rates_hz[i], rates_hz[i + 1], memories), cutoff_s)
        spectrum = convolve(spectrum, made[i + 1][0])
        spectrum = convolve(spectrum, memory_error(gap_s, state.t1_s, state.t2_s))
        spectrum = convolve(spectrum, swap_error(state.swap_depolarising_probability, state.swap_readout_error))
        success *= state.swap_success_probability
    for i, state in enumerate(states):
        at_an_end = i in (0, len(segments))
        sides = 1 if at_an_end else 2
        measured = at_an_end and requirement.kind == "M"
        if not measured and state.dedicated_slots is not None and state.dedicated_slots < sides * memories:
            for _ in range(sides):
                spectrum = depolarised(spectrum, state.move_depolarising_probability)
    keepers = {"K": (0, -1), "M": (), "R": (-1,)}[requirement.kind]
    for end in keepers:
        wait_s = complete_s - 1.0 / rates_hz[end]
        if memories > 1 and len(segments) > 1:
            # as many times longer than with one memory as if the slowest of the other links were the only one
            own_hz, others_hz = rates_hz[end], min(rates_hz[1:] if end == 0 else rates_hz[:-1])
            wait_s *= queueing_s(own_hz, others_hz, memories) / queueing_s(own_hz, others_hz, 1)
        wait_s = kept_wait_s(wait_s, cutoff_s) + NEWS_TO_DELIVER * news_s
        spectrum = convolve(spectrum, memory_error(wait_s, states[end].t1_s, states[end].t2_s))

    slowest_s = 1.0 / min(rates_hz)
    time_s = slowest_s + (complete_s - slowest_s) / memories
    if requirement.kind != "M":
        time_s = max(time_s, (1.0 / rates_hz[0] + NEWS_TO_FREE * news_s) / memories)
    waste_s = complete_s - 1.0 / sum(rates_hz)
    kept = -math.expm1(-cutoff_s / waste_s) if len(segments) > 1 else 1.0
    shares = tuple(requirement.rate_bpps / max(rate * success * kept, 1e-12) for _, rate in made)
    rate_bpps = success * kept / time_s
    if requirement.end_distillation_rounds and requirement.kind == "K":
        distilled, rate_bpps = _distilled_at_ends(
            spectrum, rate_bpps, states[0], states[-1], rounds=requirement.end_distillation_rounds, news_s=news_s
        )
        shares = tuple(share * success * kept / (time_s * rate_bpps) for share in shares)
        spectrum = distilled
    return Prediction(spectrum[0], rate_bpps, shares, tuple(each[0] for each, _ in made))


def _distilled_at_ends(
    spectrum: BellDiagonal, rate_bpps: float, head: LinkState, tail: LinkState, *, rounds: int, news_s: float
) -> tuple[BellDiagonal, float]:
    """Spectrum and rate after rounds between the ends (DEJMPS, recurrence).

    The first pair of each round waits for the second, and both for the bits to cross the path twice; rounds go on side
    by side, so only the pairs that they use up cost rate.
    """
    depolarising, misread = distillation_noise(swap_of(head), swap_of(tail))
    for _ in range(rounds):
        first = _waited(spectrum, head, tail, 1.0 / rate_bpps + 2.0 * news_s)
        second = _waited(spectrum, head, tail, 2.0 * news_s)
        spectrum, success = dejmps(first, second, depolarising=depolarising, misread=misread)
        rate_bpps *= success / 2.0
    return spectrum, rate_bpps


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
