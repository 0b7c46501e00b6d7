"""What a host does wrong is answered with the protocol's error, and the node goes on; bytes that are bent, too."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import InProcess
from netqasm.backend import messages
from netqasm_host import Returned, create_text, execute, nodes, program, receive_text, say, subroutine

from orchestrator.scenario.hardware import Memory
from qnode.netqasm import decoding
from qnode.wire.application import Failed, NetqasmMessage, NetqasmReturned

FAULTS = {
    "a register without a value": ("add R0 R1 R2", "R1 holds no value"),
    "a branch on nothing": ("end:\nbez R7 end", "R7 holds no value"),
    "a value too large": ("set R0 2147483647\nadd R1 R0 R0", "does not fit"),
    "a product too large": ("set R0 -2147483648\nmul R1 R0 R0", "does not fit"),
    "division by zero": ("set R0 1\nset R1 0\ndiv R2 R0 R1", "division by 0"),
    "remainder by zero": ("set R0 1\nset R1 0\nrem R2 R0 R1", "division by 0"),
    "a modulus below one": ("set R0 1\nset R1 0\naddm R2 R0 R0 R1", "modulus 0"),
    "an array that is not there": ("set R0 0\nset R1 1\nstore R1 @5[R0]", "no array at address 5"),
    "an index out of range": ("set R0 2\narray R0 @5\nstore R0 @5[R0]", "entry 2 of array 5, which has 2"),
    "an index below zero": ("set R0 2\nset R1 -1\narray R0 @5\nstore R0 @5[R1]", "entry -1 of array 5"),
    "an entry without a value": (
        "set R0 2\nset R1 1\narray R0 @5\nload R2 @5[R1]",
        "entry 1 of array 5 holds no value",
    ),
    "an array of negative length": ("set R0 -1\narray R0 @5", "array of -1 entries"),
    "an array beyond all measure": ("set R0 2000000000\narray R0 @5", "2000000000 entries"),
    "arrays beyond all measure": ("set R0 150000\narray R0 @5\narray R0 @6", "in all arrays together"),
    "a slice out of range": ("set R0 2\nset R1 3\narray R0 @5\nwait_all @5[R0:R1]", "slice 2:3 of array 5"),
    "returning an array that is not there": ("ret_arr @1", "no array at address 1"),
    "returning for ever": ("set R0 99999\narray R0 @1\nl:\nret_arr @1\njmp l", "returned values"),
    "returning a register without a value": ("ret_reg M3", "M3 holds no value"),
    "a virtual qubit out of range": ("set Q0 5\nqalloc Q0", "virtual qubit 5"),
    "a virtual qubit below zero": ("set Q0 -1\nqalloc Q0", "virtual qubit -1"),
    "allocating twice": ("set Q0 0\nqalloc Q0\nqalloc Q0", "allocated already"),
    "a gate on nothing": ("set Q0 0\nx Q0", "not allocated"),
    "a gate on what was freed": ("set Q0 0\nqalloc Q0\nqfree Q0\nx Q0", "was freed"),
    "measuring nothing": ("set Q0 0\nmeas Q0 M0", "not allocated"),
    "initialising nothing": ("set Q0 0\ninit Q0", "not allocated"),
    "freeing nothing": ("set Q0 0\nqfree Q0", "not allocated"),
    "a gate on one qubit twice": ("set Q0 0\nqalloc Q0\ncnot Q0 Q0", "names one twice"),
    "a move onto itself": ("set Q0 0\nqalloc Q0\nmov Q0 Q0", "names one"),
    "a loop without end": ("l:\njmp l", "without virtual time passing"),
    "an endless loop of measurements": (
        "set Q0 0\nqalloc Q0\nl:\nmeas Q0 M0\nbez M0 l",
        "without virtual time passing",
    ),
}
NO_QUBIT = {"a virtual qubit out of range", "a virtual qubit below zero"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_subroutine_ends_with_an_error_and_others_go_on(fault: str) -> None:
    text, reason = FAULTS[fault]
    before = "set C0 7\nret_reg C0\nset Q1 3\nqalloc Q1\ninit Q1\nx Q1\n"
    testbed = InProcess(nodes("alice", "bob", instructions=20_000, steps=4_000))
    seen: list[Returned] = []
    others: list[Returned] = []
    testbed.start("alice", program([before + text, "set R9 1\nret_reg R9"], seen, stop=False))
    testbed.start("alice", program(["set Q1 3\nqalloc Q1\nx Q1\nmeas Q1 M0\nqfree Q1\nret_reg M0"] * 2, others))
    testbed.run(lambda: testbed.running == 0)
    faulty, following = seen
    assert faulty.error == ("NO_QUBIT" if fault in NO_QUBIT else "GENERAL")
    assert reason in faulty.reason
    assert faulty.registers == {"C0": 7}, "what was returned before stands"
    state = testbed.engine.laboratory.state_now([faulty.qubits[3]], testbed.now)
    assert state[1, 1].real == pytest.approx(1.0), "what was done before is done"
    assert following.registers == {"R9": 1}
    assert [each.registers for each in others] == [{"M0": 1}] * 2


def test_a_jump_out_of_the_subroutine_is_an_error() -> None:
    raw = bytearray(subroutine("l:\njmp l"))
    for line, good in ((0, False), (1, True), (2, False), (255, False)):
        raw[-6] = line
        (returned,) = execute(bytes(raw), scenario=nodes("alice", "bob", instructions=1000))
        assert returned.done is good


def test_a_subroutine_beyond_all_measure_is_an_error() -> None:
    raw = subroutine("set R0 1")
    for instructions, good in ((65_536, True), (65_537, False)):
        (returned,) = execute(raw + raw[-7:] * (instructions - 1))
        assert returned.done is good
        assert good or "65537 instructions" in returned.reason


def test_qubits_are_exhausted_by_memory_and_free_again() -> None:
    scenario = nodes("alice", "bob", communication=Memory(slots=1), storage=2)
    text = "".join(f"set Q{each} {each}\nqalloc Q{each}\ninit Q{each}\n" for each in range(3))
    fourth = "set Q3 3\nqalloc Q3\ninit Q3\n"
    first, second, third = execute(text, fourth, f"qfree Q0\n{fourth}x Q3\nmeas Q3 M0\nret_reg M0", scenario=scenario)
    assert first.done
    assert second.error == "NO_QUBIT"
    assert "no memory slot is free" in second.reason
    assert third.registers == {"M0": 1}


def test_an_application_that_may_have_two_slots_gets_no_third() -> None:
    scenario = nodes("alice", "bob", memory_slots=2)
    text = "".join(f"set Q{each} {each}\nqalloc Q{each}\ninit Q{each}\n" for each in range(3))
    first, second = execute(text, "set Q0 0\nqfree Q0\nqalloc Q0\nx Q0\nmeas Q0 M0\nret_reg M0", scenario=scenario)
    assert first.error == "NO_QUBIT"
    assert second.registers == {"M0": 1}
    testbed = InProcess(scenario)
    seen: list[Returned] = []
    testbed.start("alice", program([create_text(1, 3)], seen, sockets=[(0, 1, 0, 100)]))
    testbed.start("bob", program([receive_text(0, 3)], seen, sockets=[(0, 0, 0, 100)]))
    testbed.run()
    assert "NO_QUBIT" in [each.error for each in seen] and all(each.error for each in seen)


def test_an_outcome_that_never_came_is_an_error_whenever_it_is_used() -> None:
    """The fabric refuses to entangle four qubits, in the middle of what is done together."""
    text = "".join(f"set Q{each} {each}\nqalloc Q{each}\ninit Q{each}\nh Q{each}\n" for each in range(4))
    text += "meas Q3 M3\ncnot Q0 Q1\ncnot Q1 Q2\ncnot Q2 Q3\nmeas Q0 M0\n"
    seen = execute(text, "ret_reg M0", "ret_reg M3", scenario=nodes("alice", "bob", register_bytes=16 << 3))
    assert "need 256 B" in seen[0].reason
    for returned in seen[1:]:
        assert returned.error == "GENERAL" and "never came" in returned.reason


def test_slots_that_a_subroutine_frees_it_may_use_again() -> None:
    scenario = nodes("alice", "bob", communication=Memory(slots=1), storage=1)
    lines = "".join("qalloc Q0\ninit Q0\nqalloc Q1\ninit Q1\ncnot Q0 Q1\nqfree Q0\nqfree Q1\n" for _ in range(5))
    (returned,) = execute(f"set Q0 0\nset Q1 1\n{lines}", scenario=scenario)
    assert returned.done, returned.reason


def speak(*said: Any) -> list[Any]:
    """Answers to messages of one host."""
    testbed = InProcess(nodes("alice", "bob"))
    heard: list[Any] = []

    def host() -> Generator[Any, Any, None]:
        for each in said:
            heard.append((yield from say(each)))

    testbed.start("alice", host())
    testbed.run(lambda: testbed.running == 0)
    return heard


def test_messages_for_applications_that_are_not_there() -> None:
    heard = speak(
        subroutine("set R0 1"),
        messages.OpenEPRSocketMessage(0, 0, 1, 0, 100),
        messages.StopAppMessage(0),
        messages.InitNewAppMessage(0, 2),
        messages.InitNewAppMessage(0, 2),
        messages.OpenEPRSocketMessage(0, 0, 0, 0, 100),
        messages.OpenEPRSocketMessage(0, 0, 7, 0, 100),
        messages.OpenEPRSocketMessage(0, 0, 1, 0, 101),
        messages.OpenEPRSocketMessage(0, 0, 1, 0, 100),
        messages.OpenEPRSocketMessage(0, 0, 1, 0, 100),
        messages.SignalMessage(),
        messages.StopAppMessage(0),
        messages.StopAppMessage(0),
    )
    errors = [each.error for each in heard]
    assert errors == ["GENERAL"] * 3 + [""] + ["GENERAL"] * 4 + ["", "GENERAL", "", "", "GENERAL"]
    for words, each in zip(["no application 0"] * 3, heard, strict=False):
        assert words in each.reason
    assert "exists already" in heard[4].reason
    assert "no other node" in heard[5].reason and "no other node" in heard[6].reason
    assert "fidelity of 101" in heard[7].reason
    assert "open already" in heard[9].reason


def test_applications_of_one_session_and_of_two_do_not_share_memory() -> None:
    testbed = InProcess(nodes("alice", "bob"))
    seen: dict[str, list[Returned]] = {"one": [], "other": [], "both": []}

    def both() -> Generator[Any, Any, None]:
        for app in (1, 2):
            yield from say(messages.InitNewAppMessage(app, 2))
        for app in (1, 2):
            seen["both"].append((yield from say(subroutine(f"set R0 {app}\nset Q0 0\nqalloc Q0\ninit Q0", app=app))))
        yield from say(messages.StopAppMessage(1))
        seen["both"].append((yield from say(subroutine("ret_reg R0\nset Q0 0\nmeas Q0 M0", app=2))))
        seen["both"].append((yield from say(subroutine("ret_reg R0", app=1))))

    testbed.start("alice", program(["set R0 10", "ret_reg R0"], seen["one"]))
    testbed.start("alice", program(["set R0 20", "ret_reg R0"], seen["other"]))
    testbed.start("alice", both())
    testbed.run(lambda: testbed.running == 0)
    assert seen["one"][1].registers == {"R0": 10}
    assert seen["other"][1].registers == {"R0": 20}
    assert seen["both"][2].registers == {"R0": 2} and seen["both"][2].done
    assert seen["both"][3].error


def test_a_host_may_send_on_while_a_subroutine_waits() -> None:
    """Messages of an application are obeyed in their order, those of another at once."""
    testbed = InProcess(nodes("alice", "bob"))
    node = testbed.seats["alice"].node
    from qnode.stack.events import Answer, Asked
    from qnode.wire.application import Attach

    def ask(call: int, raw: bytes) -> list[Any]:
        actions = node.handle(0, Asked(0, NetqasmMessage(call=call, message=raw)))
        return [action.message.call for action in actions if isinstance(action, Answer)]

    node.handle(0, Asked(0, Attach(call=0, version=3, application="host")))
    assert ask(1, bytes(messages.InitNewAppMessage(0, 2))) == [1]
    assert ask(2, bytes(messages.OpenEPRSocketMessage(0, 0, 1, 0, 100))) == [2]
    assert ask(3, subroutine(create_text(1, 1))) == []
    assert ask(4, subroutine("set R0 1\nret_reg R0")) == []
    assert ask(5, bytes(messages.InitNewAppMessage(1, 2))) == [5]
    assert ask(6, subroutine("set R0 1\nret_reg R0", app=1)) == [6]
    assert ask(7, bytes(messages.StopAppMessage(0))) == []


def test_an_instruction_of_another_flavour_is_unsupported() -> None:
    (returned,) = execute(subroutine("set Q0 0\nqalloc Q0\nh Q0"), flavour="nv")
    assert returned.error == "UNSUPP"
    assert "number 23, which flavour nv does not have" in returned.reason


def test_without_the_package_the_host_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    decoding._package.cache_clear()
    for name in [name for name in sys.modules if name == "netqasm" or name.startswith("netqasm.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "netqasm", None)
    try:
        testbed = InProcess(nodes("alice", "bob"))
        heard: list[Any] = []

        def host() -> Generator[Any, Any, None]:
            heard.append((yield NetqasmMessage(call=0, message=bytes(9))))

        testbed.start("alice", host())
        testbed.run(lambda: testbed.running == 0)
    finally:
        monkeypatch.undo()
        decoding._package.cache_clear()
    assert isinstance(heard[0], Failed)
    assert heard[0].code == "unsupported" and "pip install 'qloom[netqasm]'" in heard[0].reason


GOOD = [
    bytes(messages.InitNewAppMessage(0, 3)),
    bytes(messages.OpenEPRSocketMessage(0, 0, 1, 0, 100)),
    bytes(messages.StopAppMessage(0)),
    bytes(messages.SignalMessage()),
    subroutine("set Q0 0\nqalloc Q0\ninit Q0\nh Q0\nrot_x Q0 3 2\nmeas Q0 M0\nstore M0 @0[1]\nqfree Q0\nret_reg M0"),
    subroutine(
        "array 3 @0\nset R0 2\nset R1 1\nloop:\nadd R0 R0 R1\nblt R0 9 loop\nlea R3 @0\nundef @0[1]\nret_arr @0"
    ),
    subroutine("set Q0 0\nset Q1 1\nqalloc Q0\nqalloc Q1\ncnot Q0 Q1\nmov Q0 Q1\nswp Q0 Q1\nmeas_basis Q0 M0 1 2 3 4"),
    subroutine(create_text(1, 2)),
    subroutine(receive_text(1, 1)),
]


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A good message with some bytes changed, cut off or added."""
    raw = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(raw) - 1)) if raw else 0
        change = draw(st.sampled_from(["set", "cut", "insert", "double"]))
        if change == "set" and raw:
            raw[position] = draw(st.integers(0, 255))
        elif change == "cut":
            del raw[position : position + draw(st.integers(1, 8))]
        elif change == "insert":
            raw[position:position] = draw(st.binary(min_size=1, max_size=8))
        else:
            raw += raw[position : position + 7]
    return bytes(raw)


@settings(max_examples=150, deadline=None)
@given(said=st.lists(bent() | st.sampled_from(GOOD) | st.binary(max_size=40), min_size=1, max_size=8), nv=st.booleans())
def test_whatever_bytes_a_host_sends_each_is_answered_and_the_node_goes_on(said: list[bytes], nv: bool) -> None:
    """Another host at the same node has its way meanwhile; what waits for pairs that nobody wants may wait."""
    testbed = InProcess(nodes("alice", "bob", instructions=300, steps=400))
    answers: list[Any] = []
    seen: list[Returned] = []

    def host() -> Generator[Any, Any, None]:
        for raw in (GOOD[0], GOOD[1], *said):
            answers.append((yield NetqasmMessage(call=0, message=raw, flavour="nv" if nv else "vanilla")))

    session = testbed.start("alice", host())
    sound = "set Q0 0\nqalloc Q0\nx Q0\nmeas Q0 M0\nqfree Q0\nret_reg M0"
    testbed.start("alice", program([sound] * 3, seen, stop=False))
    seat = testbed.seats["alice"]

    def over() -> bool:
        waits = seat.node.netqasm.waits(session)
        return len(seen) == 3 and (session not in seat.waits_for or bool(waits)) and not testbed._pending

    testbed.run(over)
    assert [each.registers for each in seen] == [{"M0": 1}] * 3
    assert all(isinstance(each, NetqasmReturned) for each in answers), answers
    assert all(each.messages for each in answers)
