"""What imperfect hardware does to qubits: from the numbers of a scenario to calls on `Registers`.

All durations come as integers of picoseconds of virtual time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.fabric.heralding import fibre_transmission
from orchestrator.scenario import Link, Transmission
from orchestrator.scenario.hardware import Hardware, Memory

if TYPE_CHECKING:
    from orchestrator.fabric.registers import Registers


class Decay(NamedTuple):
    """What a memory did to a qubit: the parameters of `Registers.relax`."""

    gamma: float
    """The fraction of the way to the target that the populations went."""
    coherence: float
    """What is left of the coherences."""
    excited_population: float
    """The population of |1> in the target state."""


def decay(memory: Memory, elapsed_ps: int) -> Decay | None:
    """The decay of a qubit in ``memory`` over a time; None if there is none.

    The Bloch equations with relaxation at the rate 1/T1 to |0> (or I/2) and depolarisation at the rate 1/T to I/2,
    together: populations approach the joint equilibrium as exp(-t/T1 - t/T), coherences decay as exp(-t/T2 - t/T).
    Without T2 it is limited by T1 alone, exp(-t/(2 T1)). Because this solves the joint equations, ageing in steps is
    the same as ageing at once.
    """
    rates = _rates(memory)
    if rates is None or elapsed_ps == 0:
        return None
    population, coherence, excited_population = rates
    elapsed_s = elapsed_ps * 1e-12
    return Decay(-math.expm1(-elapsed_s * population), math.exp(-elapsed_s * coherence), excited_population)


def age(registers: Registers, qubit: str, memory: Memory, elapsed_ps: int) -> None:
    """Let the qubit decohere for ``elapsed_ps`` in ``memory``."""
    decayed = decay(memory, elapsed_ps)
    if decayed is not None:
        gamma, coherence, excited_population = decayed
        registers.relax(qubit, gamma=gamma, coherence=coherence, excited_population=excited_population)


def after_gate(registers: Registers, hardware: Hardware, qubits: Sequence[str]) -> None:
    """The gate's depolarisation on the qubits it acted on; a three-qubit gate has the two-qubit probability."""
    if len(qubits) == 1:
        registers.depolarise(qubits, hardware.single_qubit_gate_depolarising_probability)
    else:
        registers.depolarise(qubits, hardware.two_qubit_gate_depolarising_probability)


def after_move(registers: Registers, hardware: Hardware, qubit: str) -> None:
    """The depolarisation of a qubit that was moved between slots."""
    registers.depolarise((qubit,), hardware.move_depolarising_probability)


def after_initialise(registers: Registers, hardware: Hardware, qubit: str) -> None:
    """A freshly prepared qubit is in |1> with the probability ``initial_state_error``."""
    registers.pauli(qubit, hardware.initial_state_error, 0.0, 0.0)


def read_out(hardware: Hardware, bit: int, draw: float) -> int:
    """The bit that is read where the outcome is ``bit``; ``draw`` is uniform in [0, 1)."""
    error = hardware.readout_error_1 if bit else hardware.readout_error_0
    return bit ^ 1 if draw < error else bit


def transmission_survival_probability(link: Link) -> float:
    """Probability that a qubit sent over the link arrives: coupling times the fibre's transmission."""
    fibre = fibre_transmission(link.length_km, link.attenuation_db_per_km)
    return link.transmission.coupling_efficiency * fibre


def transmit_noise(registers: Registers, transmission: Transmission, qubit: str) -> None:
    """What befalls a qubit that does arrive: amplitude damping, then Paulis, dephasing and depolarisation."""
    registers.damp(qubit, transmission.amplitude_damping)
    registers.pauli(qubit, *transmission.pauli_probabilities)
    registers.dephase(qubit, transmission.dephasing_probability)
    registers.depolarise((qubit,), transmission.depolarising_probability)


@lru_cache(maxsize=4096)
def _rates(memory: Memory) -> tuple[float, float, float] | None:
    """Rates (1/s) of populations and coherences, and the equilibrium's excited population; None without decay."""
    relaxation = 1.0 / memory.t1_s if memory.t1_s is not None else 0.0
    depolarisation = 1.0 / memory.depolarising_time_s if memory.depolarising_time_s is not None else 0.0
    dephasing = 1.0 / memory.t2_s if memory.t2_s is not None else 0.5 * relaxation
    population, coherence = relaxation + depolarisation, dephasing + depolarisation
    if population == 0.0 and coherence == 0.0:
        return None
    to_mixed = depolarisation + (relaxation if memory.relaxes_to == "mixed" else 0.0)
    return population, coherence, 0.5 * to_mixed / population if population else 0.0
