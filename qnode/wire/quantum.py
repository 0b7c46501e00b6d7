"""What can be done to qubits: the steps of a circuit, the same on a node's socket and at the fabric.

A qubit is named ``node#number`` by the node that made it and keeps that name wherever it is sent. In a circuit
that an application submits, ``$0`` is the first qubit that this very circuit prepares, ``$1`` the second.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from qnode.wire.codec import Message

Role = Literal["communication", "storage"]
Axis = Literal["X", "Y", "Z"] | tuple[float, float, float]
"""A measurement axis on the Bloch sphere; a vector need not be normalised."""
Bit = Annotated[int, msgspec.Meta(ge=0, le=1)]


class Prepare(Message, frozen=True, kw_only=True, tag="prepare"):
    """A fresh qubit in |0>, in a slot of ``role``."""

    qubit: str = ""
    """Its name; an application leaves it empty, the node gives one."""
    role: Role = "storage"


class Gate(Message, frozen=True, kw_only=True, tag="gate"):
    """A named gate; the first qubit is the control where there is one."""

    name: str
    qubits: tuple[str, ...]
    parameters: tuple[float, ...] = ()
    """Angles in radians."""


class Unitary(Message, frozen=True, kw_only=True, tag="unitary"):
    """Any unitary on one to three qubits; the first qubit is the most significant."""

    qubits: tuple[str, ...]
    matrix: bytes
    """Row-major complex128, little-endian: 16 * 4^n bytes."""


class Measure(Message, frozen=True, kw_only=True, tag="measure"):
    """A projective measurement along ``axis``; gives one bit, and the qubit is gone."""

    qubit: str
    axis: Axis = "Z"


class MeasureInPlace(Message, frozen=True, kw_only=True, tag="measure_in_place"):
    """A projective measurement along ``axis``; gives one bit, and the qubit stays, along the axis or opposite to it."""

    qubit: str
    axis: Axis = "Z"


class MeasureBell(Message, frozen=True, kw_only=True, tag="measure_bell"):
    """A joint Bell measurement; gives two bits (x, z), naming the state X^x Z^z (x) I |Phi+>; both qubits are gone."""

    qubits: tuple[str, str]


class Move(Message, frozen=True, kw_only=True, tag="move"):
    """The qubit goes to a slot of another role."""

    qubit: str
    role: Role


class Discard(Message, frozen=True, kw_only=True, tag="discard"):
    """The qubit is thrown away and its slot is free."""

    qubit: str


Step = Prepare | Gate | Unitary | Measure | MeasureInPlace | MeasureBell | Move | Discard

BELL_STATES = ("PHI_PLUS", "PHI_MINUS", "PSI_PLUS", "PSI_MINUS")
"""Indexed by 2x + z for the state X^x Z^z (x) I |Phi+>."""
