"""What theory says about a pair of qubits: closed forms and exact sums over its state, for reports and expectations.

A pair state is a density matrix (4, 4), the first end more significant. A Bell index is 2x + z for the state
(X^x Z^z (x) I)|Phi+>: Phi+, Phi-, Psi+, Psi-. "In the Phi+ frame" means after `to_phi_plus`, as applications see it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PairState = npt.NDArray[np.complex128]
Matrix = npt.NDArray[np.complex128]


class Readout(NamedTuple):
    """Errors of one end's readout."""

    error_0: float = 0.0
    """Probability to read 1 where the outcome is 0."""
    error_1: float = 0.0
    """Probability to read 0 where the outcome is 1."""

    def read(self, observable: Matrix) -> Matrix:
        """What is averaged in place of an observable with outcomes +1 (bit 0) and -1: r A + delta I."""
        contrast, offset = 1.0 - self.error_0 - self.error_1, self.error_1 - self.error_0
        return np.asarray(contrast * observable + offset * _I)


PERFECT = Readout()

_I: Matrix = np.eye(2, dtype=np.complex128)
_X: Matrix = np.array([[0, 1], [1, 0]], dtype=np.complex128)
_Y: Matrix = np.array([[0, -1j], [1j, 0]], dtype=np.complex128)
_Z: Matrix = np.array([[1, 0], [0, -1]], dtype=np.complex128)
_CORRECTIONS = (_I, _Z, _X, _X @ _Z)
"""By Bell index: X^x Z^z."""


def bell_state(bell_index: int) -> npt.NDArray[np.complex128]:
    """The Bell state 2x + z as a ket (4,), with the phase of Phi+, Phi-, Psi+ and (|01> - |10>)/sqrt(2)."""
    amplitude = math.sqrt(0.5)
    sign = -1.0 if bell_index & 1 else 1.0
    ket = np.zeros(4, dtype=np.complex128)
    first, second = (1, 2) if bell_index >> 1 else (0, 3)
    ket[first], ket[second] = amplitude, sign * amplitude
    return ket


def werner(fidelity: float, bell_index: int = 0) -> PairState:
    """The Werner state (4, 4): ``fidelity`` in one Bell state, the rest shared by the other three (Werner 1989)."""
    ket = bell_state(bell_index)
    weight = (4.0 * fidelity - 1.0) / 3.0
    return np.asarray(weight * np.outer(ket, ket.conj()) + (1.0 - weight) / 4.0 * np.eye(4))


def fidelity(rho: PairState, bell_index: int = 0) -> float:
    """Overlap <B|rho|B> with a Bell state."""
    ket = bell_state(bell_index)
    return float((ket.conj() @ rho @ ket).real)


def to_phi_plus(rho: PairState, bell_index: int) -> PairState:
    """The state after the Pauli correction, on the second qubit, that turns the Bell state into Phi+."""
    correction = np.kron(_I, _CORRECTIONS[bell_index])
    return np.asarray(correction @ rho @ correction.conj().T)


def relaxed(rho: PairState, end: int, *, gamma: float, coherence: float, excited_population: float) -> PairState:
    """The state after the memory of one ``end`` (0 or 1) decayed; the numbers are those of `noise.decay`."""
    view = np.moveaxis(rho.reshape(2, 2, 2, 2).copy(), (end, end + 2), (0, 1))
    flow = gamma * ((1.0 - excited_population) * view[1, 1] - excited_population * view[0, 0])
    view[0, 0] += flow
    view[1, 1] -= flow
    view[0, 1] *= coherence
    view[1, 0] *= coherence
    return np.moveaxis(view, (0, 1), (end, end + 2)).reshape(4, 4)


def correlation(
    rho: PairState, first: Matrix, second: Matrix, *, readout: tuple[Readout, Readout] = (PERFECT, PERFECT)
) -> float:
    """Mean product of two +-1 observables (2, 2), one at each end, as read out."""
    product = np.kron(readout[0].read(first), readout[1].read(second))
    return float(np.trace(rho @ product).real)


def chsh_value(rho: PairState, *, readout: tuple[Readout, Readout] = (PERFECT, PERFECT)) -> float:
    """S = E(A0,B0) + E(A0,B1) + E(A1,B0) - E(A1,B1) with A: Z, X and B: (Z+X)/sqrt(2), (Z-X)/sqrt(2).

    For a Werner state in the Phi+ frame S = 2 sqrt(2) (4F - 1)/3 (Clauser et al. 1969, PRL 23 880).
    """
    alice = (_Z, _X)
    bob = ((_Z + _X) * math.sqrt(0.5), (_Z - _X) * math.sqrt(0.5))
    values = [[correlation(rho, a, b, readout=readout) for b in bob] for a in alice]
    return values[0][0] + values[0][1] + values[1][0] - values[1][1]


def chsh_winning_probability(chsh: float) -> float:
    """Probability to win the CHSH game at uniformly random settings: 1/2 + S/8."""
    return 0.5 + chsh / 8.0


def qber(rho: PairState, *, readout: tuple[Readout, Readout] = (PERFECT, PERFECT)) -> tuple[float, float]:
    """Probabilities that the bits differ when both ends measure Z, and when both measure X, in the Phi+ frame.

    2(1 - F)/3 in both for a Werner state (Shor and Preskill 2000, PRL 85 441).
    """
    error_z = (1.0 - correlation(rho, _Z, _Z, readout=readout)) / 2.0
    error_x = (1.0 - correlation(rho, _X, _X, readout=readout)) / 2.0
    return error_z, error_x


def key_fraction(error_z: float, error_x: float) -> float:
    """Secret bits per sifted bit, max(0, 1 - h(e_Z) - h(e_X)) (Shor and Preskill 2000)."""
    return max(0.0, 1.0 - _binary_entropy(error_z) - _binary_entropy(error_x))


def teleportation_fidelity(
    rho: PairState, *, bell_readout: Readout = PERFECT, verification_readout: Readout = PERFECT
) -> float:
    """Probability that a teleported Pauli eigenstate is read as prepared, averaged over the six; Phi+ frame.

    The sender holds the first qubit. (2F + 1)/3 with perfect readout, for any ``rho`` (Horodecki 1999, PRA 60 1888).
    ``bell_readout`` flips each of the two bits of the Bell measurement by itself, which leads to a wrong Pauli
    correction; in the end the receiver measures the Pauli whose eigenstate was prepared and compares the bit,
    through ``verification_readout``.
    """
    total = 0.0
    for pauli in (_X, _Y, _Z):
        for prepared, sign in ((0, 1.0), (1, -1.0)):
            correct = _teleported_overlap(rho, (_I + sign * pauli) / 2.0, bell_readout=bell_readout)
            error = verification_readout.error_1 if prepared else verification_readout.error_0
            false = verification_readout.error_0 if prepared else verification_readout.error_1
            total += correct * (1.0 - error) + (1.0 - correct) * false
    return total / 6.0


def _teleported_overlap(rho: PairState, state: Matrix, *, bell_readout: Readout) -> float:
    """Fidelity with the pure ``state`` (2, 2) after its teleportation, summed over true and reported outcomes."""
    joint = np.kron(state, rho).reshape(4, 2, 4, 2)
    overlap = 0.0
    for true in range(4):
        ket = bell_state(true)
        received = np.einsum("i,iajb,j->ab", ket.conj(), joint, ket)
        for reported in range(4):
            chance = _reads(true >> 1, reported >> 1, bell_readout) * _reads(true & 1, reported & 1, bell_readout)
            correction = _CORRECTIONS[reported]
            overlap += chance * float(np.trace(state @ correction @ received @ correction.conj().T).real)
    return overlap


def _reads(true: int, reported: int, readout: Readout) -> float:
    flipped = readout.error_1 if true else readout.error_0
    return flipped if true != reported else 1.0 - flipped


def _binary_entropy(probability: float) -> float:
    if probability <= 0.0 or probability >= 1.0:
        return 0.0
    return -probability * math.log2(probability) - (1.0 - probability) * math.log2(1.0 - probability)
