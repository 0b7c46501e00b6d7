"""What a half of a pair is measured along: rotations and random bases as directions on the Bloch sphere."""

from __future__ import annotations

import math

from qnode.stack.netqasm.gates import BASES
from qnode.stack.netqasm.language import Fault
from qnode.wire.quantum import Axis

Vector = tuple[float, float, float]
NAMED: tuple[Vector, ...] = (
    (0.0, 0.0, 1.0),
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (math.sqrt(0.5), 0.0, math.sqrt(0.5)),
    (-math.sqrt(0.5), 0.0, math.sqrt(0.5)),
)
"""Z, X, Y, Z + X, Z - X: by their number in the results of a measured pair."""
RANDOM: dict[int, tuple[Vector, ...]] = {1: (NAMED[1], NAMED[0]), 2: (NAMED[1], NAMED[2], NAMED[0]), 3: NAMED[3:]}
"""XZ, XYZ and CHSH, by their number in a request."""
AXES = tuple(BASES.values())
STEPS_PER_HALF_TURN = 16
MOST_SHARE = 255
"""Probabilities are given in so many parts of 1."""


def turned_back(axes: str, numbers: tuple[int, int, int]) -> Vector:
    """The direction that turns about ``axes``, one after the other, by multiples of pi/16, bring to Z."""
    vector = [0.0, 0.0, 1.0]
    for axis, number in reversed(tuple(zip(axes, numbers, strict=True))):
        radians = -number * math.pi / STEPS_PER_HALF_TURN
        cosine, sine = math.cos(radians), math.sin(radians)
        first, second = (("XYZ".index(axis) + 1) % 3, ("XYZ".index(axis) + 2) % 3)
        one, other = vector[first], vector[second]
        vector[first], vector[second] = cosine * one - sine * other, sine * one + cosine * other
    return vector[0], vector[1], vector[2]


def basis_number(axis: Axis) -> int:
    """The number of a named basis; 0 for any other."""
    if isinstance(axis, str):
        return {"Z": 0, "X": 1, "Y": 2}[axis]
    for number, named in enumerate(NAMED):
        if math.dist(axis, named) < 1e-9:
            return number
    return 0


def random_axes(basis_set: int, first: int, second: int) -> tuple[tuple[Vector, ...], tuple[float, ...]]:
    """The axes that are drawn from, and their probabilities: ``first`` and ``second`` parts of 255; 0: all alike.

    Raises:
        Fault: there is no such set, or the probabilities are none.
    """
    if basis_set == 0:
        return (), ()
    axes = RANDOM.get(basis_set)
    if axes is None:
        raise Fault(f"random basis set {basis_set}, expected 0 (none), 1 (XZ), 2 (XYZ) or 3 (CHSH)")
    if first == second == 0:
        return axes, tuple(1.0 / len(axes) for _ in axes)
    given = (first, second)[: len(axes) - 1]
    if any(part < 0 for part in given) or sum(given) > MOST_SHARE:
        raise Fault(f"probabilities of bases {given}, expected 0 to {MOST_SHARE} in all")
    parts = (*given, MOST_SHARE - sum(given))
    return axes, tuple(part / MOST_SHARE for part in parts)


def drawn(axes: tuple[Axis, ...], shares: tuple[float, ...], uniform: float) -> Axis:
    """One of the axes; ``uniform`` is a draw in [0, 1)."""
    for axis, share in zip(axes, shares, strict=True):
        if uniform < share:
            return axis
        uniform -= share
    return axes[-1]
