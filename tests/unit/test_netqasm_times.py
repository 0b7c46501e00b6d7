"""How long instructions take and what noise they bring: as the node's hardware profile says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drive import Lines
from in_process import InProcess
from netqasm_host import Returned, nodes, program

from orchestrator.scenario.hardware import Memory

ALLOCATED = "set Q0 0\nqalloc Q0\ninit Q0\nset Q1 1\nqalloc Q1\ninit Q1\n"
DURATIONS = {
    "initialise_duration_s": 7e-6,
    "single_qubit_gate_duration_s": 1e-6,
    "two_qubit_gate_duration_s": 20e-6,
    "measure_duration_s": 300e-6,
    "move_duration_s": 4000e-6,
}


def run(text: str, **options: Any) -> tuple[Returned, InProcess]:
    flavour, options["length_km"] = options.pop("flavour", "vanilla"), 3000.0
    testbed = InProcess(nodes("alice", "bob", **options), log=Lines())
    seen: list[Returned] = []
    testbed.start("alice", program([text], seen, flavour=flavour, stop=False))
    testbed.run(lambda: testbed.running == 0)
    assert seen[0].done, seen[0].reason
    return seen[0], testbed


@pytest.mark.parametrize(
    ("text", "flavour", "expected_us"),
    [
        ("", "vanilla", 14),
        ("h Q0\nk Q0\nrot_x Q0 1 2\n", "vanilla", 17),
        ("cnot Q0 Q1\ncphase Q0 Q1\nswp Q0 Q1\nmov Q0 Q1\n", "vanilla", 94),
        ("crot_x Q0 Q1 1 2\ncrot_y Q0 Q1 1 2\n", "nv", 54),
        ("meas Q0 M0\n", "vanilla", 314),
        ("meas_basis Q0 M0 1 0 3 2\n", "vanilla", 316),
        ("qfree Q0\n", "vanilla", 15),  # the least time that anything takes in the testbed
        ("init Q0\n", "vanilla", 22),
        ("meas Q0 M0\nret_reg M0\nh Q0\nmeas Q1 M0\nstore M0 @0[R0]\n", "vanilla", 615),
        ("set R0 1\nadd R0 R0 R0\njmp end\nend:\n", "vanilla", 14),
    ],
)
def test_quantum_instructions_take_their_times_one_after_the_other(text: str, flavour: str, expected_us: float) -> None:
    head = "set R1 1\narray R1 @0\nset R0 0\n"
    returned, _ = run(head + ALLOCATED + text, flavour=flavour, **DURATIONS)
    assert returned.now_ps == round(expected_us * 1e6)


def test_a_move_to_storage_takes_its_time() -> None:
    """One storage slot is taken by the first qubit, so the second begins in the communication slot."""
    memory = {"communication": Memory(slots=1), "storage": 1}
    text = "set Q0 0\nqalloc Q0\ninit Q0\nset Q1 1\nqalloc Q1\ninit Q1\nqfree Q0\nset Q2 2\nmov Q1 Q2\n"
    returned, testbed = run(text, **DURATIONS, **memory)
    assert returned.now_ps == round((15 + 4000) * 1e6)
    assert testbed.engine.laboratory.qubits[returned.qubits[2]].role == "storage"


def test_classical_instructions_take_time_where_the_profile_says_so() -> None:
    text = "set R0 0\nset R1 1\nset R2 5\nloop:\nadd R0 R0 R1\nblt R0 R2 loop\nret_reg R0\n"
    returned, _ = run(text, instruction_duration_s=1e-6, **DURATIONS)
    assert returned.now_ps == (3 + 10 + 1) * 10**6
    returned, testbed = run(
        "set Q0 0\nqalloc Q0\ninit Q0\nset R0 1\nset R0 2\nmeas Q0 M0\nset R0 3\n",
        instruction_duration_s=1e-6,
        **DURATIONS,
    )
    assert returned.now_ps == round((2 + 7 + 2 + 300 + 1) * 1e6)
    done = [
        (line["t_ps"], line["steps"])
        for line in written(testbed)
        if line["kind"] == "circuit" and line["node"] == "alice"
    ]
    assert [at for at, _ in done] == [9 * 10**6, 311 * 10**6], "each step at its own instant"


def written(testbed: InProcess) -> list[dict[str, Any]]:
    return testbed.log.written  # type: ignore[attr-defined]


def test_what_depends_on_nothing_is_done_together() -> None:
    text = ALLOCATED + "h Q0\ncnot Q0 Q1\nmeas Q0 M0\nmeas Q1 M1\nset R0 0\nset R1 2\narray R1 @0\n"
    text += "store M0 @0[R0]\nload M2 @0[R0]\nqfree Q0\nret_arr @0\nret_reg M1\nret_reg M2\n"
    returned, testbed = run(text, **DURATIONS)
    circuits = [line for line in written(testbed) if line["kind"] == "circuit"]
    assert len(circuits) == 1
    assert returned.arrays == {0: [returned.registers["M1"], None]}
    assert returned.registers["M1"] == returned.registers["M2"]
    assert circuits[0]["steps"][-2].startswith("measure "), "a qubit that is freed after it was measured need not stay"


def bloch(testbed: InProcess, name: str) -> np.ndarray:
    state = testbed.engine.laboratory.state_now([name], testbed.now)
    return np.array([2 * state[0, 1].real, -2 * state[0, 1].imag, (state[0, 0] - state[1, 1]).real])


def test_gates_bring_the_noise_of_the_profile() -> None:
    noise = {"single_qubit_gate_depolarising_probability": 0.1, "two_qubit_gate_depolarising_probability": 0.3}
    returned, testbed = run(ALLOCATED + "x Q0\nrot_y Q0 1 1\nk Q1\ncnot Q0 Q1\n", **noise)
    state = testbed.engine.laboratory.state_now(list(returned.qubits[:2]), testbed.now)
    assert np.trace(state @ state).real < 0.8
    returned, testbed = run(ALLOCATED + "x Q0\nh Q0\nmeas_basis Q1 M0 0 0 0 0\n", **noise)
    np.testing.assert_allclose(bloch(testbed, returned.qubits[0]), [-0.81, 0, 0], atol=1e-12)
    np.testing.assert_allclose(bloch(testbed, returned.qubits[1]), [0, 0, 1], atol=1e-12)


def test_a_qubit_measured_in_place_is_as_it_was_and_not_as_it_was_read() -> None:
    returned, testbed = run(ALLOCATED + "x Q1\nmeas Q0 M0\nmeas Q1 M1\nret_reg M0\nret_reg M1\n", readout_error_0=1.0)
    assert returned.registers == {"M0": 1, "M1": 1}
    np.testing.assert_allclose(bloch(testbed, returned.qubits[0]), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(bloch(testbed, returned.qubits[1]), [0, 0, -1], atol=1e-12)


def test_qubits_decay_while_later_instructions_take_their_time() -> None:
    memory = Memory(slots=4, t1_s=1e-3, t2_s=1e-3)
    text = "set Q0 0\nqalloc Q0\ninit Q0\nx Q0\nset Q1 1\nqalloc Q1\ninit Q1\nmeas Q1 M1\n"
    returned, testbed = run(text, storage_memory=memory, **DURATIONS)
    survival = math.exp(-307e-6 / 1e-3)
    np.testing.assert_allclose(bloch(testbed, returned.qubits[0]), [0, 0, 1 - 2 * survival], atol=1e-9)
