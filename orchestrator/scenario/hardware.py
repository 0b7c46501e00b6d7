"""What a node's quantum hardware can do and how badly it does it: the truth, known to the fabric only.

A profile is a named set of these numbers with its sources (``hardware.yaml``); a scenario may override any
field.
"""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Literal

import msgspec

from orchestrator.scenario.document import Tree, read_document

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
Duration = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
"""Seconds that something takes; virtual time is a 64-bit number of picoseconds, so no more than 1e6 s."""
Lifetime = Annotated[float, msgspec.Meta(gt=0)]
"""The time constant of a decay, in seconds."""


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Memory slots of one role. A time of ``None`` is infinite: that decay does not happen."""

    slots: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
    """How many qubits of this role the node holds."""
    t1_s: Lifetime | None = None
    """Relaxation time: populations approach the target state as exp(-t/T1)."""
    t2_s: Lifetime | None = None
    """Total coherence time, T2 <= 2 T1: coherences decay as exp(-t/T2)."""
    relaxes_to: Literal["ground", "mixed"] = "ground"
    """The T1 target: |0> (zero temperature) or the maximally mixed state (infinite temperature)."""
    depolarising_time_s: Lifetime | None = None
    """rho -> w rho + (1 - w) I/2 with w = exp(-t/T), beside T1 and T2."""
    cutoff_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None
    """A Bell pair older than this is discarded by its node, and both ends are told."""


class Hardware(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node's devices.

    Every depolarising probability p means rho -> (1 - p) rho + p I/d on the gate's qubits.
    """

    communication: Memory
    """Qubits bound to link generation; as many links are served at a time as there are of them."""
    storage: Memory
    """Qubits that hold what was moved or prepared there."""
    initialise_duration_s: Duration = 0.0
    single_qubit_gate_duration_s: Duration = 0.0
    two_qubit_gate_duration_s: Duration = 0.0
    measure_duration_s: Duration = 0.0
    move_duration_s: Duration = 0.0
    """Moving a qubit between slots."""
    instruction_duration_s: Duration = 0.0
    """Of a classical instruction of NetQASM."""
    initial_state_error: Probability = 0.0
    """Probability that initialisation leaves |1> in place of |0>."""
    single_qubit_gate_depolarising_probability: Probability = 0.0
    two_qubit_gate_depolarising_probability: Probability = 0.0
    move_depolarising_probability: Probability = 0.0
    readout_error_0: Probability = 0.0
    """Probability to read 1 where the outcome is 0."""
    readout_error_1: Probability = 0.0
    """Probability to read 0 where the outcome is 1."""
    bell_measurement_success_probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    """Of a joint Bell measurement; else it tells nothing and both qubits are lost. Linear optics: at most 1/2."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named set of hardware numbers and the papers that they come from."""

    description: str
    sources: tuple[str, ...]
    """Citations; which number comes from which stands beside the number in the file."""
    hardware: Hardware


def load_profiles() -> dict[str, Profile]:
    """The built-in profiles by name, read from ``hardware.yaml`` beside this module."""
    text = resources.files("orchestrator.scenario").joinpath("hardware.yaml").read_text(encoding="utf-8")
    document = read_document(text, source="hardware.yaml")
    assert isinstance(document.value, dict)
    return {name: _profile(tree) for name, tree in document.value.items()}


def _profile(tree: Tree) -> Profile:
    entries = tree.plain()
    assert isinstance(entries, dict)
    head = {key: entries.pop(key) for key in ("description", "sources")}
    return msgspec.convert({**head, "hardware": entries}, Profile)
