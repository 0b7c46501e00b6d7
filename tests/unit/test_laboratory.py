"""The fabric's qubits near the limit of a register."""

from __future__ import annotations

import pytest

from orchestrator.fabric.laboratory import Laboratory, OperationRefused
from orchestrator.fabric.streams import Streams
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire.quantum import Discard, Gate, Measure, Prepare

COUNT = 10


def ghz(*, t2_s: float | None = None) -> Laboratory:
    """A ket of ten qubits, in a laboratory where a density matrix of more than four does not fit."""
    memory = Memory(slots=COUNT, t2_s=t2_s)
    hardware = {"A": Hardware(communication=memory, storage=memory)}
    laboratory = Laboratory(hardware, streams=Streams(2), register_bytes=16 << COUNT)
    for number in range(COUNT):
        laboratory.do("A", Prepare(qubit=f"q{number}"), 0)
    laboratory.do("A", Gate(name="H", qubits=("q0",)), 0)
    for number in range(1, COUNT):
        laboratory.do("A", Gate(name="CX", qubits=("q0", f"q{number}")), 0)
    return laboratory


def test_a_qubit_can_be_discarded_from_a_ket_that_could_not_become_mixed() -> None:
    laboratory = ghz()
    laboratory.do("A", Discard(qubit="q3"), 1)
    bits = {laboratory.do("A", Measure(qubit=f"q{number}"), 2) for number in range(COUNT) if number != 3}
    assert len(bits) == 1, "the others of a GHZ state still agree"


def test_a_ket_too_large_to_decay_is_refused_by_size() -> None:
    laboratory = ghz(t2_s=1.0)
    with pytest.raises(OperationRefused, match="10 qubits in one register as a density matrix need 16 MiB") as refusal:
        laboratory.do("A", Measure(qubit="q0"), 10**9)
    assert refusal.value.code == "limit"
    assert "q0" in laboratory.qubits
