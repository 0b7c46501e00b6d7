"""A pair of one of a circuit's links, as one of its ends has it."""

from __future__ import annotations

from dataclasses import dataclass

from qnode.stack.memory import HeldQubit

Frame = tuple[int, int]
"""(x, z) of the Bell state X^x Z^z (x) I |Phi+> that a pair is known to be in."""


@dataclass(slots=True, eq=False)
class LinkPair:
    """A pair of one of the circuit's links, at this end."""

    pair_id: str
    held: HeldQubit
    frame: Frame
    """The Bell state that was announced."""
    heralded_at: int
    rounds: int = 0
    """How often it was distilled."""
    swapping: bool = False
    overdue: bool = False
    """The cutoff came while something was being done to it."""
    far_node: str = ""
    """In nested swapping, where its other end is known to be."""
    far_pair: str = ""


def xor(first: Frame, second: Frame) -> Frame:
    """The frame of two pairs that were joined, up to a phase."""
    return (first[0] ^ second[0], first[1] ^ second[1])


def number_of(pair_id: str) -> int:
    """A link counts its pairs; -1: this is none of any link."""
    number = pair_id.rpartition("/")[2]
    return int(number) if number.isdecimal() and len(number) < 20 else -1
