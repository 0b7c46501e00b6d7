"""What the centre of a group does to its halves of Bell pairs, so that their other halves share a GHZ or W state."""

from __future__ import annotations

import math
from collections.abc import Callable

from qnode.wire.quantum import Gate, Measure, MeasureBell, Prepare, Step

Frames = Callable[[tuple[int, ...]], list[tuple[int, int]]]
"""From the bits that the centre read to (x, z) of what each member has to apply."""


def ghz_steps(halves: tuple[str, ...], *, keeps: bool) -> tuple[tuple[Step, ...], Frames]:
    """Join Phi+ pairs into a GHZ state of their other halves, and of ``$0`` at the centre if it ``keeps`` a qubit.

    CX spreads the first qubit's value; each target's bit says whether its member has to flip. The first qubit is then
    measured along X, if it is not kept; its bit is the sign, which the first member mends.
    """
    if keeps:
        steps: list[Step] = [Prepare(), Gate(name="H", qubits=("$0",))]
        for half in halves:
            steps += [Gate(name="CX", qubits=("$0", half)), Measure(qubit=half)]
        return tuple(steps), lambda bits: [(bit, 0) for bit in bits]
    first, *others = halves
    steps = []
    for half in others:
        steps += [Gate(name="CX", qubits=(first, half)), Measure(qubit=half)]
    steps.append(Measure(qubit=first, axis="X"))
    return tuple(steps), lambda bits: [(0, bits[-1]), *((bit, 0) for bit in bits[:-1])]


def w_steps(halves: tuple[str, ...], *, keeps: bool) -> tuple[tuple[Step, ...], Frames]:
    """Make a W state at the centre and teleport a qubit over each Phi+ pair; ``$0`` stays if the centre ``keeps`` one.

    One excitation is handed on: from qubit i to i + 1 with amplitude sqrt(1 - 1/(n - i)), by a controlled RY made of
    two CX, and a CX back.
    """
    number = len(halves) + keeps
    names = [f"${i}" for i in range(number)]
    steps: list[Step] = [Prepare() for _ in names]
    steps.append(Gate(name="X", qubits=(names[0],)))
    for i in range(number - 1):
        giver, taker = names[i], names[i + 1]
        angle = math.acos(math.sqrt(1.0 / (number - i)))
        steps += [
            Gate(name="RY", qubits=(taker,), parameters=(angle,)),
            Gate(name="CX", qubits=(giver, taker)),
            Gate(name="RY", qubits=(taker,), parameters=(-angle,)),
            Gate(name="CX", qubits=(giver, taker)),
            Gate(name="CX", qubits=(taker, giver)),
        ]
    sent = names[1:] if keeps else names
    steps += [MeasureBell(qubits=(name, half)) for name, half in zip(sent, halves, strict=True)]
    return tuple(steps), lambda bits: list(zip(bits[::2], bits[1::2], strict=True))
