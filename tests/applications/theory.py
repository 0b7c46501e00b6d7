"""What every application's numbers are in theory, as probabilities: closed forms, or all courses of the protocol.

Each number that a program reports is a share of so many independent trials. `SHARES` has for each application a function of
the noise that gives the shares' probabilities; F is the fidelity of a Werner pair, w = (4F - 1)/3 its weight of Phi+, g the
depolarising probability of a two-qubit gate, e a readout error and k = 1 - 2e.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from exact import distribution
from variants import Noise


class Share(NamedTuple):
    """A share that programs report, the number of trials that it is of, and its probability."""

    value: str
    of: str
    probability: float


Theory = Callable[[Noise], list[Share]]
SIGMAS = 4.5
TAIL = math.erfc(SIGMAS / math.sqrt(2)) / 2
"""Probability beyond so many standard deviations, on one side."""


def deviation(share: Share, found: float, trials: int) -> float:
    """How many standard deviations off; infinite where a certain thing did not happen."""
    error = math.sqrt(share.probability * (1 - share.probability) / trials)
    if error < 1e-9:
        return 0.0 if abs(found - share.probability) < 1e-9 else math.inf
    return (found - share.probability) / error


def agrees(share: Share, found: float, trials: int) -> bool:
    """Whether so many or fewer, and so many or more, are both as probable as 4.5 sigma, by the binomial distribution."""
    p, successes = share.probability, round(found * trials)
    if min(p, 1 - p) < 1e-12:
        return abs(found - p) < 1e-9
    return trials > 0 and min(_tail(successes, trials, p), _tail(trials - successes, trials, 1 - p)) > TAIL


def _tail(most: int, trials: int, p: float) -> float:
    """Of at most ``most`` successes."""
    logarithm = [
        math.lgamma(trials + 1)
        - math.lgamma(n + 1)
        - math.lgamma(trials - n + 1)
        + n * math.log(p)
        + (trials - n) * math.log1p(-p)
        for n in range(most + 1)
    ]
    return math.fsum(map(math.exp, logarithm))


def _chsh(noise: Noise) -> list[Share]:
    """Clauser, Horne, Shimony, Holt, PRL 23, 880 (1969); Cleve et al., quant-ph/0404076: each product is w k^2/sqrt(2)."""
    return [Share("alice.won", "alice.rounds", 0.5 + noise.w * noise.k**2 * math.sqrt(2) / 4)]


def _teleportation(noise: Noise) -> list[Share]:
    """Horodecki, Horodecki, Horodecki, PRA 60, 1888 (1999), with F the fidelity: (2F + 1)/3 = (1 + w)/2.

    Of alice's two bits a wrong x flips Z and Y eigenstates, a wrong z those of X and Y.
    """
    k = noise.k
    contrast = noise.w * (1 - noise.gate) * k * (k + k + k**2) / 3
    return [Share("bob.as_sent", "bob.qubits", (1 + contrast) / 2)]


def _superdense_coding(noise: Noise) -> list[Share]:
    """Bennett and Wiesner, PRL 69, 2881 (1992): of a Bell-diagonal state, Bob reads the right one of four."""
    e, direct = noise.readout, noise.hops == 1
    w = noise.w * (1 - noise.gate)
    if direct:
        right = w * (1 - e) ** 2 + (1 - w) / 4
    else:  # the half is teleported: a pair, a Bell measurement and two bits more, each of which may be wrong
        w *= noise.w * (1 - noise.gate)
        one_flip = (1 - e) ** 2 + e**2  # neither the bit of the teleportation nor that of the reading, or both
        right = w * one_flip**2 + (1 - w) / 4
    arrive = noise.transmission if direct else 1.0
    return [
        Share("bob.arrived", "bob.messages", arrive),
        Share("bob.as_sent", "bob.arrivals", right),
    ]


BOUNDS = {
    "chsh": (0.75, "without entanglement"),
    "superdense_coding": (0.5, "one bit in a qubit, and a guess"),
    "teleportation": (2 / 3, "without entanglement"),
}
"""What the first share is at most by classical means."""

SHARES: dict[str, Theory] = {
    "chsh": _chsh,
    "superdense_coding": _superdense_coding,
    "teleportation": _teleportation,
}
__all__ = ["BOUNDS", "SHARES", "Share", "Theory", "agrees", "deviation", "distribution"]
