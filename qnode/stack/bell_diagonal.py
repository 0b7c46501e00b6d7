"""What nodes expect of pairs: the algebra of Bell-diagonal states.

A spectrum holds the populations of a pair's four Bell states relative to the announced one, in Bell index order
``2x + z``: no error, Z, X, XZ. Its first entry is the fidelity. Nodes reckon with spectra; only the fabric has states.
"""

from __future__ import annotations

import math

from qnode.config import BellDiagonal, SwapConfiguration

PERFECT: BellDiagonal = (1.0, 0.0, 0.0, 0.0)
MIXED: BellDiagonal = (0.25, 0.25, 0.25, 0.25)


def werner(fidelity: float) -> BellDiagonal:
    """The spectrum of a Werner state."""
    rest = (1.0 - fidelity) / 3.0
    return (fidelity, rest, rest, rest)


def werner_twirled(spectrum: BellDiagonal) -> BellDiagonal:
    """The Werner state of the same fidelity: what random bilateral rotations leave (Bennett et al. 1996)."""
    return werner(spectrum[0])


def werner_parameter(fidelity: float) -> float:
    """``w`` of the Werner state w |Phi+><Phi+| + (1 - w) I/4: it multiplies along a chain of perfect swaps."""
    return (4.0 * fidelity - 1.0) / 3.0


def convolve(a: BellDiagonal, b: BellDiagonal) -> BellDiagonal:
    """The errors of both, one after the other (convolution over Z2 x Z2): what a perfect swap does to two pairs."""
    a0, a1, a2, a3 = a
    b0, b1, b2, b3 = b
    return (
        a0 * b0 + a1 * b1 + a2 * b2 + a3 * b3,
        a0 * b1 + a1 * b0 + a2 * b3 + a3 * b2,
        a0 * b2 + a2 * b0 + a1 * b3 + a3 * b1,
        a0 * b3 + a3 * b0 + a1 * b2 + a2 * b1,
    )


def depolarised(spectrum: BellDiagonal, p: float) -> BellDiagonal:
    """After two-qubit depolarising: rho -> (1 - p) rho + p I/4."""
    a0, a1, a2, a3 = spectrum
    keep, mixed = 1.0 - p, 0.25 * p
    return (keep * a0 + mixed, keep * a1 + mixed, keep * a2 + mixed, keep * a3 + mixed)


def memory_error(wait_s: float, t1_s: float | None, t2_s: float | None) -> BellDiagonal:
    """The Pauli errors of one qubit that waits in memory: the Pauli twirl of relaxation (T1) and dephasing (T2).

    p_X = p_Y = (1 - exp(-t/T1))/4, p_Z = (1 - exp(-t/T2))/2 - p_X (Geller and Zhou 2013, Phys. Rev. A 88, 012314).
    None is an infinite T1; a T2 of None is 2 T1. A T2 beyond 2 T1 is none: 2 T1 is taken.
    """
    relaxation = 0.0 if t1_s is None else 1.0 / t1_s
    dephasing = max(0.5 * relaxation, 0.0 if t2_s is None else 1.0 / t2_s)
    flip = -math.expm1(-wait_s * relaxation) / 4.0
    phase = max(0.0, -math.expm1(-wait_s * dephasing) / 2.0 - flip)
    return (1.0 - 2.0 * flip - phase, phase, flip, flip)


def decayed(spectrum: BellDiagonal, wait_s: float, t1_s: float | None, t2_s: float | None) -> BellDiagonal:
    """After both halves have waited in equal memories.

    An approximation: of each half's decay only the Pauli twirl is kept. What it leaves out is that relaxation drives
    both halves towards one same state, of second order in wait/T1.
    """
    one = memory_error(wait_s, t1_s, t2_s)
    return convolve(spectrum, convolve(one, one))


def swap_error(depolarising_probability: float, readout_error: float) -> BellDiagonal:
    """What a noisy Bell measurement adds: its x and its z bit are misread with ``readout_error`` each, and its
    two-qubit gate depolarises."""
    wrong, right = readout_error, 1.0 - readout_error
    return depolarised((right * right, right * wrong, wrong * right, wrong * wrong), depolarising_probability)


def swapped(a: BellDiagonal, b: BellDiagonal, swap: SwapConfiguration) -> BellDiagonal:
    """The pair that a swap of ``a`` and ``b`` leaves, without twirl."""
    return convolve(convolve(a, b), swap_error(swap.depolarising_probability, swap.readout_error))


def bbpssw(
    kept: BellDiagonal, measured: BellDiagonal, *, depolarising: float = 0.0, misread: float = 0.0
) -> tuple[BellDiagonal, float]:
    """CNOT at both ends from the kept pair onto the measured one; keep it if both ends read the same.

    Bennett et al. 1996 without their twirl, for any two Bell-diagonal pairs. ``depolarising`` is the probability that
    either end's CNOT depolarises its two qubits, ``misread`` that the comparison of the two bits comes out wrong.

    Returns:
        The spectrum of the kept pair, and the probability of success.
    """
    both = 1.0 - depolarising
    mixed = depolarising / 16.0
    out = [0.0, 0.0, 0.0, 0.0]
    for i in range(4):
        for j in range(4):
            equal = 1.0 - misread if i >> 1 == j >> 1 else misread
            out[i ^ (j & 1)] += equal * (both * kept[i] * measured[j] + mixed)
    success = math.fsum(out)
    if success <= 0.0:
        return MIXED, 0.0
    return (out[0] / success, out[1] / success, out[2] / success, out[3] / success), success


def dejmps(
    kept: BellDiagonal, measured: BellDiagonal, *, depolarising: float = 0.0, misread: float = 0.0
) -> tuple[BellDiagonal, float]:
    """As `bbpssw`, after Rx(pi/2) on both halves at one end and Rx(-pi/2) at the other (Deutsch et al. 1996).

    The rotations leave the announced state as it is and exchange the Z with the XZ error.
    """
    return bbpssw(_rotated(kept), _rotated(measured), depolarising=depolarising, misread=misread)


def distillation_noise(a: SwapConfiguration, b: SwapConfiguration) -> tuple[float, float]:
    """``depolarising`` and ``misread`` of a distillation between nodes with these gates and readouts."""
    depolarising = 1.0 - (1.0 - a.gate_depolarising_probability) * (1.0 - b.gate_depolarising_probability)
    misread = a.readout_error * (1.0 - b.readout_error) + b.readout_error * (1.0 - a.readout_error)
    return depolarising, misread


def _rotated(spectrum: BellDiagonal) -> BellDiagonal:
    return (spectrum[0], spectrum[3], spectrum[2], spectrum[1])
