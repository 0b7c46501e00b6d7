"""Every instruction of NetQASM against its meaning, and random subroutines of them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from in_process import InProcess
from netqasm.lang.instr.flavour import CORE_INSTRUCTIONS, NVFlavour, VanillaFlavour
from netqasm_host import Returned, execute, nodes, program
from netqasm_reference import Reference

OUTCOMES = 99
"""The array in which a test's subroutine notes its outcomes, in their order."""


def compare(text: str, *, flavour: str = "vanilla", qubits: int = 4, seed: int = 1) -> Returned:
    """Execute a subroutine; state, registers and arrays are to be those of the reference with the same outcomes."""
    testbed = InProcess(nodes("alice", "bob", seed=seed))
    seen: list[Returned] = []
    testbed.start("alice", program([text], seen, flavour=flavour, max_qubits=qubits, stop=False))
    testbed.run(lambda: testbed.running == 0)
    (returned,) = seen
    assert returned.done, (returned.reason, text)
    outcomes = [bit for bit in returned.arrays.get(OUTCOMES, ()) if bit is not None]
    reference = Reference(qubits, outcomes)
    reference.run(text, flavour)
    assert returned.registers == reference.returned_registers, text
    assert returned.arrays == reference.returned_arrays, text
    app = testbed.seats["alice"].node.netqasm.apps[(0, 0)]
    assert {address for address, qubit in enumerate(app.memory.qubits) if qubit} == reference.allocated
    there = [address for address, name in enumerate(returned.qubits) if name]
    if there:
        state = testbed.engine.laboratory.state_now([returned.qubits[each] for each in there], testbed.now)
        np.testing.assert_allclose(state, reference.reduced(there), atol=1e-9, err_msg=text)
    elsewhere = [address for address in range(qubits) if address not in there]
    if elsewhere:  # without a slot, or without a qubit: nothing was done to it
        expected = np.zeros((2 ** len(elsewhere),) * 2)
        expected[0, 0] = 1.0
        np.testing.assert_allclose(reference.reduced(elsewhere), expected, atol=1e-9)
    assert len(testbed.engine.laboratory.qubits) == len(there)
    return returned


def bell(flavour: str, first: int = 0, second: int = 3) -> str:
    """Two qubits, maximally entangled: what a gate does to one shows all that it does."""
    text = f"set Q{first} {first}\nqalloc Q{first}\ninit Q{first}\n"
    text += f"set Q{second} {second}\nqalloc Q{second}\ninit Q{second}\n"
    if flavour == "vanilla":
        return f"{text}h Q{first}\ncnot Q{first} Q{second}\n"
    return f"{text}rot_y Q{first} 1 1\ncrot_x Q{first} Q{second} 1 1\n"


SINGLE = ["x", "y", "z", "h", "s", "k", "t"]
ROTATIONS = ["rot_x", "rot_y", "rot_z"]
ANGLES = [(1, 0), (1, 1), (3, 2), (5, 4), (31, 4), (255, 7), (0, 0), (7, 200)]
NOTE = f"set C15 0\nset C14 1\nset C13 8\narray C13 @{OUTCOMES}\n"


def noted(register: str) -> str:
    """Note an outcome."""
    return f"store {register} @{OUTCOMES}[C15]\nadd C15 C15 C14\n"


TWO_PAIRS = {flavour: bell(flavour, 0, 2) + bell(flavour, 1, 3) for flavour in ("vanilla", "nv")}


@pytest.mark.parametrize("gate", SINGLE)
def test_a_gate_on_one_qubit(gate: str) -> None:
    compare(bell("vanilla") + f"{gate} Q0")
    compare(f"set Q1 1\nqalloc Q1\n{gate} Q1")


@pytest.mark.parametrize("flavour", ["vanilla", "nv"])
@pytest.mark.parametrize("gate", ROTATIONS)
def test_a_rotation(gate: str, flavour: str) -> None:
    for numerator, denominator in ANGLES:
        compare(bell(flavour) + f"{gate} Q0 {numerator} {denominator}", flavour=flavour)


@pytest.mark.parametrize("gate", ["crot_x", "crot_y"])
def test_a_controlled_rotation(gate: str) -> None:
    for numerator, denominator in ANGLES:
        compare(TWO_PAIRS["nv"] + f"{gate} Q0 Q1 {numerator} {denominator}", flavour="nv")
        compare(TWO_PAIRS["nv"] + f"{gate} Q1 Q0 {numerator} {denominator}", flavour="nv")


@pytest.mark.parametrize("gate", ["cnot", "cphase"])
def test_a_gate_on_two_qubits(gate: str) -> None:
    compare(TWO_PAIRS["vanilla"] + f"{gate} Q0 Q1")
    compare(TWO_PAIRS["vanilla"] + f"{gate} Q1 Q0")
    compare(f"set Q0 0\nset Q1 1\nqalloc Q0\nqalloc Q1\n{gate} Q0 Q1")


@pytest.mark.parametrize("flavour", ["vanilla", "nv"])
@pytest.mark.parametrize("gate", ["mov", "swp"])
def test_what_exchanges_two_qubits(gate: str, flavour: str) -> None:
    compare(TWO_PAIRS[flavour] + f"{gate} Q0 Q1", flavour=flavour)
    compare(bell(flavour) + f"set Q1 1\nqalloc Q1\ninit Q1\n{gate} Q0 Q1", flavour=flavour)
    compare(bell(flavour) + f"set Q1 1\nqalloc Q1\n{gate} Q0 Q1\nrot_x Q0 1 1", flavour=flavour)


@pytest.mark.parametrize("flavour", ["vanilla", "nv"])
def test_a_move_to_an_address_without_a_qubit_allocates_it(flavour: str) -> None:
    returned = compare(bell(flavour) + "set Q1 1\nmov Q0 Q1\nqfree Q0\n", flavour=flavour)
    assert not returned.qubits[0] and returned.qubits[1]


@pytest.mark.parametrize("flavour", ["vanilla", "nv"])
def test_a_measured_qubit_stays_as_it_was_found(flavour: str) -> None:
    for seed in range(8):
        compare(bell(flavour) + f"{NOTE}meas Q0 M0\n{noted('M0')}ret_arr @{OUTCOMES}", flavour=flavour, seed=seed)
        text = bell(flavour) + f"{NOTE}meas Q0 M0\nrot_y Q0 1 1\nmeas Q0 M1\n{noted('M0')}{noted('M1')}"
        compare(text + f"qfree Q0\nret_arr @{OUTCOMES}", flavour=flavour, seed=seed)
    text = bell(flavour) + f"{NOTE}set Q1 1\nqalloc Q1\ninit Q1\nmeas Q0 M0\nrot_x Q0 1 1\nswp Q0 Q1\nqfree Q0\n"
    compare(f"{text}{noted('M0')}ret_arr @{OUTCOMES}", flavour=flavour)


@pytest.mark.parametrize("flavour", ["vanilla", "nv"])
@pytest.mark.parametrize("measurement", ["meas_basis", "meas_basis_yzy", "meas_basis_zxz"])
def test_a_measurement_in_a_basis(measurement: str, flavour: str) -> None:
    for seed, turns in enumerate([(1, 2, 3, 2), (0, 8, 0, 4), (24, 0, 0, 4), (16, 5, 31, 4), (0, 0, 0, 0)]):
        text = bell(flavour) + f"{NOTE}{measurement} Q0 M2 {' '.join(map(str, turns))}\n{noted('M2')}"
        compare(f"{text}ret_arr @{OUTCOMES}", flavour=flavour, seed=seed)


def test_outcomes_are_distributed_as_they_should() -> None:
    """sin^2(pi/8) of 2000, within 4.5 standard deviations."""
    text = """
    set C0 2000
    set C1 1
    set R0 0
    set R1 0
    set Q0 0
    loop:
    beq R0 C0 end
    qalloc Q0
    init Q0
    rot_x Q0 1 2
    meas Q0 M0
    qfree Q0
    add R1 R1 M0
    add R0 R0 C1
    jmp loop
    end:
    ret_reg R1
    """
    (returned,) = execute(text)
    expected = np.sin(np.pi / 8) ** 2
    assert abs(returned.registers["R1"] / 2000 - expected) < 4.5 * np.sqrt(expected * (1 - expected) / 2000)


@pytest.mark.parametrize("flavour", ["vanilla", "nv"])
def test_init_resets_whatever_the_qubit_was_entangled_with(flavour: str) -> None:
    compare(bell(flavour) + "init Q0\nrot_x Q0 3 2", flavour=flavour)
    compare(bell(flavour) + "init Q0\ninit Q0", flavour=flavour)


def test_a_freed_address_can_be_allocated_again() -> None:
    compare(bell("vanilla") + "qfree Q0\nqalloc Q0\ninit Q0\nh Q0\nqfree Q3")
    compare("set Q0 0\nqalloc Q0\nqfree Q0\nqalloc Q0\nh Q0")


CLASSICAL = {
    "set": ("set R3 -5\nret_reg R3", {"R3": -5}),
    "set, the largest": (
        "set C15 2147483647\nset R0 -2147483648\nret_reg C15\nret_reg R0",
        {"C15": 2**31 - 1, "R0": -(2**31)},
    ),
    "lea": ("lea R1 @12345\nret_reg R1", {"R1": 12345}),
    "add": ("set R0 3\nset R1 -7\nadd R2 R0 R1\nret_reg R2", {"R2": -4}),
    "add into an operand": ("set R0 3\nadd R0 R0 R0\nret_reg R0", {"R0": 6}),
    "sub": ("set R0 3\nset R1 -7\nsub R2 R0 R1\nret_reg R2", {"R2": 10}),
    "addm": ("set R0 9\nset R1 8\nset R2 10\naddm R3 R0 R1 R2\nret_reg R3", {"R3": 7}),
    "subm": ("set R0 3\nset R1 8\nset R2 10\nsubm R3 R0 R1 R2\nret_reg R3", {"R3": 5}),
    "mul": ("set R0 -3\nset R1 8\nmul R3 R0 R1\nret_reg R3", {"R3": -24}),
    "div": ("set R0 -7\nset R1 2\ndiv R3 R0 R1\nret_reg R3", {"R3": -4}),
    "rem": ("set R0 -7\nset R1 3\nrem R3 R0 R1\nret_reg R3", {"R3": 2}),
    "jmp": ("set R0 1\njmp over\nset R0 2\nover:\nret_reg R0", {"R0": 1}),
    "jmp to the end": ("set R0 1\nret_reg R0\njmp end\nset R0 2\nret_reg R0\nend:", {"R0": 1}),
}
for _branch, _value, _taken in [("bez", 0, True), ("bez", 1, False), ("bnz", 0, False), ("bnz", -1, True)]:
    CLASSICAL[f"{_branch} of {_value}"] = (
        f"set R0 {_value}\nset R1 1\n{_branch} R0 over\nset R1 2\nover:\nret_reg R1",
        {"R1": 1 if _taken else 2},
    )
for _branch, _pairs in {
    "beq": {(1, 1): True, (1, 2): False},
    "bne": {(1, 1): False, (1, 2): True},
    "blt": {(1, 2): True, (2, 2): False, (3, 2): False, (-1, 0): True},
    "bge": {(1, 2): False, (2, 2): True, (3, 2): True, (-1, 0): False},
}.items():
    for (_a, _b), _taken in _pairs.items():
        CLASSICAL[f"{_branch} of {_a} and {_b}"] = (
            f"set R0 {_a}\nset R2 {_b}\nset R1 1\n{_branch} R0 R2 over\nset R1 2\nover:\nret_reg R1",
            {"R1": 1 if _taken else 2},
        )


@pytest.mark.parametrize("case", CLASSICAL)
def test_a_classical_instruction(case: str) -> None:
    text, expected = CLASSICAL[case]
    assert compare(text).registers == expected


def test_arrays() -> None:
    text = "set R0 4\narray R0 @7\nset R1 2\nset R2 -9\nstore R2 @7[R1]\nload R3 @7[R1]\nret_reg R3\nret_arr @7\n"
    returned = compare(text)
    assert (returned.registers, returned.arrays) == ({"R3": -9}, {7: [None, None, -9, None]})
    returned = compare(text + "undef @7[R1]\nret_arr @7")
    assert returned.arrays == {7: [None] * 4}
    assert compare("set R0 0\narray R0 @1\nret_arr @1").arrays == {1: []}
    assert compare("set R0 2\narray R0 @1\nstore R0 @1[1]\narray R0 @1\nret_arr @1").arrays == {1: [None, None]}


def test_registers_of_all_banks_and_memory_last_from_one_subroutine_to_the_next() -> None:
    places = [f"{bank}{index}" for bank in "RCQM" for index in range(16)]
    array, filled, registers, last = execute(
        "set R0 2\nset R1 1\nset R2 5\narray R0 @3\nstore R2 @3[R1]",
        "\n".join(f"set {place} {number}" for number, place in enumerate(places)),
        "\n".join(f"ret_reg {place}" for place in places),
        "ret_arr @3",
    )
    assert array.done and filled.done
    assert registers.registers == {place: number for number, place in enumerate(places)}
    assert last.arrays == {3: [None, 5]}


@pytest.mark.parametrize("wait", ["wait_all @0[R0:R1]", "wait_any @0[R0:R2]", "wait_single @0[R0]"])
def test_a_wait_for_what_is_there_is_over_at_once(wait: str) -> None:
    text = "array 3 @0\nset R0 1\nset R1 2\nset R2 3\nstore 7 @0[1]\n"
    (returned,) = execute(f"{text}{wait}\nset R5 1\nret_reg R5")
    assert returned.registers == {"R5": 1}


@pytest.mark.parametrize(
    "wait", ["wait_all @0[R0:R4]", "wait_any @0[R2:R2]", "wait_any @0[R2:R4]", "wait_single @0[R2]"]
)
def test_a_wait_for_what_nobody_will_ever_fill_is_an_error(wait: str) -> None:
    text = "array 3 @0\nset R0 1\nset R2 2\nset R4 3\nstore 7 @0[1]\n"
    (returned,) = execute(f"{text}{wait}")
    assert returned.error == "GENERAL"
    assert "would wait for ever" in returned.reason


def test_a_breakpoint_does_nothing_but_the_log_says_so() -> None:
    testbed = InProcess(nodes("alice", "bob"))
    seen: list[Returned] = []
    testbed.start("alice", program([bell("vanilla") + "breakpoint 2 1\nset R0 3\nret_reg R0"], seen))
    testbed.run(lambda: testbed.running == 0)
    assert seen[0].registers == {"R0": 3}
    (record,) = testbed.of_kind("netqasm_breakpoint")
    assert (record["action"], record["role"], record["line"]) == ("dump global state", 1, 8)


def test_every_instruction_of_both_flavours_is_tried_above_or_with_pairs() -> None:
    """A new instruction of the package is not to be forgotten."""
    mine = {
        *SINGLE,
        *ROTATIONS,
        *("crot_x", "crot_y", "cnot", "cphase", "mov", "swp"),
        *("meas", "meas_basis", "meas_basis_yzy", "meas_basis_zxz", "init", "qalloc", "qfree"),
        *{case.split(",")[0].split(" ")[0] for case in CLASSICAL},
        *("array", "store", "load", "undef", "ret_reg", "ret_arr", "wait_all", "wait_any", "wait_single", "breakpoint"),
    }
    with_pairs = {"create_epr", "recv_epr"}  # tests of sockets
    known = {each.mnemonic for each in CORE_INSTRUCTIONS}
    known |= {each.mnemonic for flavour in (VanillaFlavour(), NVFlavour()) for each in flavour.instrs}
    assert mine | with_pairs == known


def random_subroutine(draw: random.Random, flavour: str, length: int) -> str:
    """Quantum and classical instructions in any order, with branches onward and a loop."""
    lines = [NOTE.replace("set C13 8", "set C13 200")]
    allocated: set[int] = set()
    registers = [f"R{index}" for index in range(6)]
    lines += [f"set {register} {draw.randrange(-5, 6)}" for register in registers]
    lines += [f"set Q{index} {index}" for index in range(4)] + ["set C12 5", "array C12 @1"]
    lines += [f"set C{index} {index}\nstore R{index} @1[C{index}]" for index in range(5)]
    label = 0

    def quantum() -> str:
        free = [address for address in range(4) if address not in allocated]
        if free and (not allocated or draw.random() < 0.25):
            address = draw.choice(free)
            allocated.add(address)
            return f"qalloc Q{address}" + (f"\ninit Q{address}" if draw.random() < 0.7 else "")
        mine = sorted(allocated)
        qubit = draw.choice(mine)
        choice = draw.random()
        if choice < 0.05:
            allocated.remove(qubit)
            return f"qfree Q{qubit}"
        if choice < 0.1:
            return f"init Q{qubit}"
        if choice < 0.5 and len(mine) > 1:
            first, second = draw.sample(mine, 2)
            gate = draw.choice(
                ["cnot", "cphase", "mov", "swp"] if flavour == "vanilla" else ["crot_x", "crot_y", "mov"]
            )
            return f"{gate} Q{first} Q{second}" + (f" {draw.randrange(32)} 4" if gate.startswith("crot") else "")
        if choice < 0.75 and flavour == "vanilla":
            return f"{draw.choice(SINGLE)} Q{qubit}"
        return f"{draw.choice(ROTATIONS)} Q{qubit} {draw.randrange(32)} 4"

    def measured() -> str:
        qubit, register = draw.choice(sorted(allocated)), f"M{draw.randrange(4)}"
        basis = draw.choice(["", "", "_basis", "_basis_yzy", "_basis_zxz"])
        turns = f" {draw.randrange(32)} {draw.randrange(32)} {draw.randrange(32)} 4" if basis else ""
        return f"meas{basis} Q{qubit} {register}{turns}\n{noted(register)}" + (
            f"add R0 R0 {register}" if draw.random() < 0.5 else ""
        )

    def classical() -> str:
        nonlocal label
        into, first, second = (draw.choice(registers) for _ in range(3))
        choice = draw.randrange(6)
        if choice == 0:
            return f"{draw.choice(['addm', 'subm'])} {into} {first} {second} C3"
        if choice == 1:
            return f"{draw.choice(['div', 'rem'])} {into} {first} C{draw.randrange(1, 5)}"
        if choice == 2:
            return f"store {first} @1[C{draw.randrange(5)}]"
        if choice == 3:
            return f"load {into} @1[C{draw.randrange(5)}]"
        if choice == 4:
            label += 1
            branch = draw.choice(["beq", "bne", "blt", "bge"])
            return f"{branch} {first} {second} l{label}\nset {into} {draw.randrange(9)}\nl{label}:"
        return f"{draw.choice(['add', 'sub'])} {into} {first} C{draw.randrange(5)}"

    for _ in range(length):
        kind = draw.random()
        if kind < 0.15 and allocated:
            lines.append(measured())
        elif kind < 0.65:
            lines.append(quantum())
        else:
            lines.append(classical())
    if allocated:
        turned = f"rot_y Q{sorted(allocated)[0]} 3 2"
        lines.append(f"set R7 0\nloop:\n{turned}\n{measured()}\nadd R7 R7 C14\nblt R7 C3 loop")
    lines += [f"ret_reg {register}" for register in registers] + ["ret_arr @1", f"ret_arr @{OUTCOMES}"]
    return "\n".join(lines)


@pytest.mark.parametrize("flavour", ["vanilla", "nv"])
def test_random_subroutines_mean_the_same_here_and_in_the_reference(flavour: str) -> None:
    for seed in range(12):
        compare(random_subroutine(random.Random(f"{flavour} {seed}"), flavour, 60), flavour=flavour, seed=seed)
