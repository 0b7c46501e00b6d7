"""A pair that both ends have, and what measuring its halves means in the frame that is announced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qnode.stack.circuits.link_pair import Frame
from qnode.stack.circuits.then import Then
from qnode.stack.core import Core
from qnode.stack.memory import Cause, HeldQubit
from qnode.wire.fabric import Circuit
from qnode.wire.quantum import Axis, Measure

TEST_AXES: tuple[Axis, ...] = ("X", "Y", "Z")


@dataclass(slots=True)
class Finished:
    """A pair, or what was read from it, ready for the application."""

    number: int
    pair_id: str
    held: HeldQubit | None
    frame: Frame
    heralded_at: int
    swaps: int
    axis: Axis | None = None
    bit: int | None = None
    other_qubit: str = ""
    """At the tail: the head's half."""
    other_bit: int | None = None
    """Of a sacrificed pair: what the tail read."""


Deliver = Callable[[Finished], None]


def flips(axis: Axis, frame: Frame) -> int:
    """Whether X^x Z^z turns the outcome along a Pauli axis round."""
    x, z = frame
    return {"X": z, "Y": x ^ z, "Z": x}[axis] if isinstance(axis, str) else 0


def measure(
    core: Core, held: HeldQubit, axis: Axis, then: Callable[[int], None], *, lost: Callable[[str], None] | None = None
) -> None:
    """Measure a half and free its slot; ``then`` gets the bit, or ``lost`` the reason why there will be none.

    Without ``lost``, the pair's other end is told.
    """
    held.busy = True
    held.slot.change(Cause.LEAVE)

    def measured(bits: tuple[int, ...]) -> None:
        core.memory.release(held, why=f"was measured at {core.now / 1e12:.9g} s")
        then(bits[0])

    def refused(_: str, reason: str) -> None:
        core.settle(held)
        core.discard(held, why=reason, tell=lost is None)
        if lost is not None:
            lost(reason)

    core.operate(Circuit(steps=(Measure(qubit=held.name, axis=axis),)), Then(measured, refused))
