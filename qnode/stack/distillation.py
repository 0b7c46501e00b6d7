"""Entanglement distillation: what one end of two pairs does to its halves, and when the two bits mean "keep".

Both ends do a CNOT from the half that is kept to the half that is sacrificed, measure the latter along Z and tell each
other the bit. The protocols differ in what comes before and in which bits are good:

- ``bbpssw`` (Bennett et al. 1996, PRL 76 722): each pair is twirled to a Werner state first; equal bits.
- ``dejmps`` (Deutsch et al. 1996, PRL 77 2818): RX(pi/2) at the head, RX(-pi/2) at the tail, on both halves, which
  exchange Phi- and Psi-; equal bits.
- ``epl`` (Campbell and Benjamin 2008, PRL 101 130502; Nickerson et al. 2014, PRX 4 041041), against extreme photon
  loss: for pairs (1 - a)|Psi><Psi| + a|11><11| of single-click links; both bits 1.

No gate corrects a Pauli frame. The frame (x, z) of a pair, which stands for the announced state X^x Z^z (x) I |Phi+>,
is carried through the Clifford gates: it decides which parity is the expected one (`keeps`) and what the kept pair is
announced as (`resulting_frame`). So only an end that decides has to know the frames, and no gate adds noise for them.

The twirl's average over U (x) U* leaves Phi+ alone, U at the head and U* at the tail, and makes any other state the
Werner state of the same fidelity to Phi+. A pair announced as another Bell state becomes a Werner state about the one
that its new frame names. U runs through Bennett's twelve bilateral rotations, the rotations of a tetrahedron, each made
of two gates at most; which one it is follows from the pairs' ids, so that the ends agree without a message.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Literal

from qnode.wire.application import DistillationProtocol as Protocol
from qnode.wire.application import DistillationSchedule as Schedule
from qnode.wire.quantum import Gate, Measure, Step

End = Literal["head", "tail"]
Frame = tuple[int, int]
"""(x, z) of X^x Z^z (x) I |Phi+>."""

PHI_PLUS: Frame = (0, 0)

_QUARTER = math.pi / 2
_Turn = tuple[str, float | None]
"""A gate of the head: its name, and its angle if it has one."""

_TWIRLS: tuple[tuple[_Turn, ...], ...] = (
    (),
    (("X", None),),
    (("Y", None),),
    (("Z", None),),
    *((("RX", x), ("RY", y)) for x in (_QUARTER, -_QUARTER) for y in (_QUARTER, -_QUARTER)),
    *((("RY", y), ("RX", x)) for x in (_QUARTER, -_QUARTER) for y in (_QUARTER, -_QUARTER)),
)
"""The identity, the three half turns, and the eight third turns about (+-1, +-1, +-1)."""
_DEUTSCH: tuple[_Turn, ...] = (("RX", _QUARTER),)


class UnsuitableFrame(ValueError):
    """The protocol cannot be used on pairs that are announced like that."""


def local_steps(
    protocol: Protocol, *, end: End, kept: str, sacrificed: str, pair_ids: tuple[str, str]
) -> tuple[Step, ...]:
    """What this end runs on its two halves; the one bit that is read is the sacrificed half's.

    Args:
        protocol: the same at both ends.
        end: ``head`` at exactly one of the two ends.
        kept: the qubit that goes on.
        sacrificed: the qubit that is measured.
        pair_ids: of the kept and the sacrificed pair, as both ends know them. The same ids give the same twirl, so a
            pair that is kept must meet a sacrificed pair of another id in its next round.
    """
    steps: list[Step] = []
    for qubit, turns in zip((kept, sacrificed), _turns(protocol, pair_ids), strict=True):
        steps += [_gate(turn, qubit, end) for turn in turns]
    return (*steps, Gate(name="CX", qubits=(kept, sacrificed)), Measure(qubit=sacrificed))


def keeps(
    protocol: Protocol,
    own_bit: int,
    other_bit: int,
    *,
    pair_ids: tuple[str, str],
    frames: tuple[Frame, Frame] = (PHI_PLUS, PHI_PLUS),
) -> bool:
    """Whether the kept pair is worth keeping; the same at both ends.

    ``frames`` are those of the kept and the sacrificed pair before this round.

    Raises:
        UnsuitableFrame: as `check_frames`.
    """
    check_frames(protocol, frames)
    if protocol == "epl":
        return own_bit == other_bit == 1
    (x, _), (sacrificed_x, _) = _turned_frames(protocol, pair_ids, frames)
    return own_bit ^ other_bit == x ^ sacrificed_x


def resulting_frame(protocol: Protocol, *, pair_ids: tuple[str, str], frames: tuple[Frame, Frame]) -> Frame:
    """What the kept pair is announced as afterwards: through the rotations, then the Z of the target onto the control.

    Raises:
        UnsuitableFrame: as `check_frames`.
    """
    check_frames(protocol, frames)
    (x, z), (_, sacrificed_z) = _turned_frames(protocol, pair_ids, frames)
    return x, z ^ sacrificed_z


def check_frames(protocol: Protocol, frames: tuple[Frame, Frame]) -> None:
    """EPL needs both pairs as a single-click herald announces them: Psi+ or Psi-, with nothing done to them since.

    A bit flip at one end would turn |11>, the state of too many photons, into a state that passes.

    Raises:
        UnsuitableFrame: EPL, and a pair is announced as Phi+ or Phi-.
    """
    if protocol == "epl" and not (frames[0][0] and frames[1][0]):
        raise UnsuitableFrame(f"epl takes pairs announced as Psi+ (1, 0) or Psi- (1, 1), found {frames}")


def next_round(schedule: Schedule, rounds: Sequence[int], *, wanted: int) -> tuple[int, int] | None:
    """Which two of the held pairs to distil: the positions of the kept and the sacrificed one; None: wait for more.

    ``recurrence`` joins the first two that have come through equally many rounds; ``pumping`` joins the one that has
    come furthest with a fresh one (Dür and Briegel 2007, Rep. Prog. Phys. 70 1381).

    Args:
        schedule: the rule.
        rounds: how many rounds each held pair has come through, in an order that both ends agree on.
        wanted: how many rounds a pair needs; one that has them is left alone.
    """
    waiting = [position for position, done in enumerate(rounds) if done < wanted]
    if schedule == "recurrence":
        first_of: dict[int, int] = {}
        for position in waiting:
            first = first_of.setdefault(rounds[position], position)
            if first != position:
                return first, position
        return None
    if not waiting:
        return None
    kept = max(waiting, key=lambda position: (rounds[position], -position))
    fresh = next((position for position in waiting if rounds[position] == 0 and position != kept), None)
    return None if fresh is None else (kept, fresh)


def fresh_pairs(schedule: Schedule, *, rounds: int) -> int:
    """How many fresh pairs one pair of so many rounds is made of, if no round fails."""
    return 1 << rounds if schedule == "recurrence" else rounds + 1


def _turns(protocol: Protocol, pair_ids: tuple[str, str]) -> tuple[tuple[_Turn, ...], tuple[_Turn, ...]]:
    """The head's gates on the kept and on the sacrificed half, before the CNOT."""
    if protocol == "epl":
        return (), ()
    if protocol == "dejmps":
        return _DEUTSCH, _DEUTSCH
    number = zlib.crc32("\0".join(pair_ids).encode())
    first, second = divmod(number % len(_TWIRLS) ** 2, len(_TWIRLS))
    return _TWIRLS[first], _TWIRLS[second]


def _gate(turn: _Turn, qubit: str, end: End) -> Gate:
    """U at the head, U* at the tail up to its sign: X, Z and RY are real, Y* = -Y, RX(angle)* = RX(-angle)."""
    name, angle_rad = turn
    if angle_rad is None:
        return Gate(name=name, qubits=(qubit,))
    conjugated = end == "tail" and name == "RX"
    return Gate(name=name, qubits=(qubit,), parameters=(-angle_rad if conjugated else angle_rad,))


def _turned_frames(protocol: Protocol, pair_ids: tuple[str, str], frames: tuple[Frame, Frame]) -> tuple[Frame, Frame]:
    kept, sacrificed = _turns(protocol, pair_ids)
    return _turned(frames[0], kept), _turned(frames[1], sacrificed)


def _turned(frame: Frame, turns: Sequence[_Turn]) -> Frame:
    """U P U^dagger up to its sign: a quarter turn about X exchanges Y and Z, one about Y exchanges X and Z."""
    x, z = frame
    for name, _ in turns:
        if name == "RX":
            x ^= z
        elif name == "RY":
            x, z = z, x
    return x, z
