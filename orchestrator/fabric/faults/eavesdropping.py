"""Eve at a tap in the fibre: how she measures a qubit, what she learns, and what that costs those who share it.

Along her basis she distinguishes two states of a probe at the angle theta, that is of overlap cos(theta), as well as
anybody can (Helstrom). To the qubit that is one of two operators, a P0 + b P1 or b P0 + a P1, with
a^2 = (1 + sin theta)/2 and b^2 = (1 - sin theta)/2; P0 and P1 project onto the basis. At theta = pi/2 that is a
projective measurement and a resend of what was found.

- In her basis nobody has an error, and she knows the bit with the probability (1 + sin theta)/2.
- In a basis conjugate to hers the error rate is D = (1 - cos theta)/2, and she knows nothing.
- Her information on a bit in her basis, 1 - h((1 + sin theta)/2) with the binary entropy h, is the most that any attack
  gains for the error rate D in the conjugate basis: phi(2 sqrt(D (1 - D)))/2 with
  phi(z) = (1 + z) log2(1 + z) + (1 - z) log2(1 - z) (Fuchs et al. 1997, PRA 56 1163).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from orchestrator.fabric import gates
from orchestrator.fabric.registers import Registers
from orchestrator.fabric.streams import Stream
from orchestrator.scenario.faults import Eavesdropping

Basis = Literal["Z", "X", "Y"]
BASES: dict[str, tuple[Basis, ...]] = {
    "z": ("Z",),
    "x": ("X",),
    "y": ("Y",),
    "random_zx": ("Z", "X"),
    "random_xyz": ("X", "Y", "Z"),
}


@dataclass(slots=True, frozen=True)
class Found:
    """What Eve has of one qubit: nobody but the oracle knows."""

    basis: Basis
    bit: int


def attack(fault: Eavesdropping, registers: Registers, qubit: str, stream: Stream) -> Found | None:
    """Measure a qubit in the fibre, or let it pass; three draws either way, so that each qubit's fate is its own."""
    hit, which, outcome = stream.uniform(), stream.uniform(), stream.uniform()
    if hit >= fault.fraction:
        return None
    bases = BASES[fault.basis]
    basis = bases[int(which * len(bases))]
    bit = registers.probe(qubit, operators(basis, fault.angle_rad), outcome)
    return Found(basis, bit)


def operators(basis: Basis, angle_rad: float) -> tuple[np.ndarray, np.ndarray]:
    """What finding 0 and finding 1 do to the qubit (2, 2)."""
    sine = math.sin(angle_rad)
    likely, unlikely = math.sqrt((1.0 + sine) / 2.0), math.sqrt(max(0.0, 1.0 - sine) / 2.0)
    pauli = gates.gate(basis)
    along, opposite = (np.eye(2) + pauli) / 2.0, (np.eye(2) - pauli) / 2.0
    return likely * along + unlikely * opposite, unlikely * along + likely * opposite
