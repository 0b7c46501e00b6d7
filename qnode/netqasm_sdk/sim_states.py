"""What programs import as ``netqasm.sdk.toolbox.sim_states``: states to compare with, without NetSquid."""

from __future__ import annotations

import numpy as np


def qubit_from(phi: float, theta: float) -> np.ndarray:
    """The ket cos(theta/2)|0> + exp(i phi) sin(theta/2)|1>, as ``netqasm.sdk.toolbox.set_qubit_state`` prepares it."""
    return np.array([np.cos(theta / 2), np.exp(1j * phi) * np.sin(theta / 2)])


def to_dm(q: np.ndarray) -> np.ndarray:
    """The density matrix of a ket."""
    return np.outer(q, q.conj())


def get_fidelity(q1: np.ndarray, q2: np.ndarray) -> float:
    """sqrt(<q1|q2|q1>) of a ket and a density matrix: the root, as in NetSquid's convention."""
    return float(np.sqrt(max(0.0, (q1.conj() @ q2 @ q1).real)))
