"""What a circuit's or link's fidelity is, as its two ends can know: by statistics on pairs that they sacrifice.

Both ends measure X, Y and Z in turn. For the pair in the Phi+ frame F = (1 + <XX> - <YY> + <ZZ>)/4, so the mean
products of the bits give F without any assumption on the state (direct fidelity estimation; Flammia and Liu 2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_SIGN = {"X": 1.0, "Y": -1.0, "Z": 1.0}


@dataclass(slots=True)
class Estimate:
    """Counts of equal and different bits along each axis."""

    equal: dict[str, int] = field(default_factory=lambda: dict.fromkeys("XYZ", 0))
    different: dict[str, int] = field(default_factory=lambda: dict.fromkeys("XYZ", 0))
    begun: int = 0
    """Tests begun, which gives each its axis."""
    _pairs: int = 0

    def wants(self, fraction: float) -> bool:
        """Whether the next pair is to be sacrificed, so that ``fraction`` of all are."""
        self._pairs += 1
        return math.floor(self._pairs * fraction) > self.begun

    def add(self, axis: str, differs: int) -> None:
        """Count one test."""
        (self.different if differs else self.equal)[axis] += 1

    @property
    def tests(self) -> int:
        """How many there were."""
        return sum(self.equal.values()) + sum(self.different.values())

    def fidelity(self) -> tuple[float, float] | None:
        """The estimate and its standard error; None while an axis has fewer than two tests.

        The error of each axis is that of a binomial mean with one equal and one different bit added (Agresti and Coull
        1998), so that it is not zero where all were equal.
        """
        value, variance = 0.25, 0.0
        for axis, sign in _SIGN.items():
            equal, number = self.equal[axis], self.equal[axis] + self.different[axis]
            if number < 2:
                return None
            value += sign * (2 * equal / number - 1.0) / 4.0
            share = (equal + 1) / (number + 2)
            variance += 4.0 * share * (1.0 - share) / (number + 2) / 16.0
        return value, math.sqrt(variance)
