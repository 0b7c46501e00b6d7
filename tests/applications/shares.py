"""What a program reports, as a share of so many trials, and whether it agrees with a probability."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

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
    error = math.sqrt(max(share.probability * (1 - share.probability), 0.0) / trials)
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
