"""EPR sockets: pairs of type K, M and R over a link and over circuits, and what is said when they do not come."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from in_process import InProcess
from netqasm.backend import messages
from netqasm_host import Returned, create_text, nodes, program, receive_text, say, subroutine

from orchestrator.scenario import LinkDown, Network, NodeKill
from orchestrator.scenario.faults import SlotFailure
from orchestrator.scenario.hardware import Memory
from qnode.stack.events import SessionEnded
from qnode.stack.netqasm.language import Fault
from qnode.stack.netqasm.memory import ApplicationMemory
from qnode.stack.netqasm.requests import Asked, EprSocket, Side, Wanted
from qnode.stack.netqasm.sockets import Sockets
from qnode.wire.application import BellPair, CircuitPair, NextCircuitPair, Sleep

SIGMAS = 4.5
FIELDS = 10
OVER = {"a link": None, "circuits": Network()}


def ends(over: str) -> tuple[tuple[str, ...], str, int, int]:
    """The nodes, the far one's name, and the numbers of both ends."""
    return (("alice", "bob"), "bob", 1, 0) if over == "a link" else (("alice", "bob", "carol"), "carol", 2, 0)


def joined(
    over: str,
    create: list[Any],
    receive: list[Any],
    *,
    fidelity: int = 100,
    at_most_s: float = 100.0,
    qubits: int = 5,
    testbed: InProcess | None = None,
    stop: bool = True,
    until: Any = None,
    **options: Any,
) -> tuple[list[Returned], list[Returned], InProcess]:
    """A host at each end of a socket."""
    names, far, far_number, near_number = ends(over)
    testbed = testbed or InProcess(nodes(*names, network=OVER[over], **options))
    near_seen: list[Returned] = []
    far_seen: list[Returned] = []
    near = program(create, near_seen, max_qubits=qubits, sockets=[(0, far_number, 0, fidelity)], stop=stop)
    distant = program(receive, far_seen, max_qubits=qubits, sockets=[(0, near_number, 0, fidelity)], stop=stop)
    testbed.start("alice", near)
    testbed.start(far, distant)
    testbed.run(until and (lambda: until(near_seen, far_seen)), at_most_s=at_most_s)
    return near_seen, far_seen, testbed


def create(over: str, number: int, **options: Any) -> str:
    return create_text(ends(over)[2], number, **options)


def receive(over: str, number: int, **options: Any) -> str:
    return receive_text(ends(over)[3], number, **options)


def pairs(returned: Returned, base: int = 0) -> list[list[int | None]]:
    """The results, a list for each pair."""
    array = returned.arrays[base]
    return [array[start : start + FIELDS] for start in range(0, len(array), FIELDS)]


@pytest.mark.parametrize("over", OVER)
def test_a_kept_pair_is_phi_plus_and_its_fields_are_right(over: str) -> None:
    near, far, testbed = joined(
        over, [create(over, 3) + "ret_arr @0\n"], [receive(over, 3) + "ret_arr @0\n"], stop=False
    )
    _, _, far_number, near_number = ends(over)
    phi = np.zeros((4, 4))
    phi[np.ix_([0, 3], [0, 3])] = 0.5
    for index in range(3):
        names = [near[0].qubits[index], far[0].qubits[index]]
        np.testing.assert_allclose(testbed.engine.laboratory.state_now(names, testbed.now), phi, atol=1e-9)
    for returned, creates, remote in ((near[0], True, far_number), (far[0], False, near_number)):
        for index, (kind, request, qubit, receives, sequence, purpose, node, took, fidelity, bell) in enumerate(
            pairs(returned)
        ):
            assert (kind, request, qubit, sequence, purpose, node, bell) == (0, 0, index, index, 0, remote, 0)
            assert receives == (not creates)
            assert 0 < took <= testbed.now / 1e6 + 1
            assert fidelity == 10_000


def vector(axes: str, turns: tuple[int, int, int]) -> np.ndarray:
    """The direction that is measured along after these turns, from rotation matrices."""
    paulis = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
    unitary = np.eye(2)
    for axis, turn in zip(axes, turns, strict=True):
        angle = turn * np.pi / 16
        unitary = (np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * paulis[axis]) @ unitary
    observable = unitary.conj().T @ paulis["Z"] @ unitary
    return np.array([np.trace(observable @ paulis[axis]).real / 2 for axis in "XYZ"])


TURNS = [
    ("XYX", (0, 0, 0), (0, 0, 0)),
    ("XYX", (8, 0, 0), (8, 0, 0)),
    ("XYX", (0, 24, 0), (0, 28, 0)),
    ("XYX", (3, 5, 7), (1, 30, 4)),
    ("YZY", (8, 24, 24), (3, 9, 1)),
    ("ZXZ", (24, 24, 8), (2, 6, 5)),
]
AXES = ["XYX", "YZY", "ZXZ"]


@pytest.mark.parametrize(("over", "fidelity"), [("a link", 1.0), ("a link", 0.85), ("circuits", 0.9)])
def test_measured_pairs_are_correlated_as_their_axes_say(over: str, fidelity: float) -> None:
    """Of Werner pairs, <A B> = (4 F - 1)/3 (a_x b_x - a_y b_y + a_z b_z); two swapped pairs multiply their factors."""
    number = 200
    settings = TURNS if over == "a link" else TURNS[2:4]
    texts, answers = [], []
    for axes, local, remote in settings:
        turns = dict(zip(range(14, 20), (*local, *remote), strict=True)) | {20: AXES.index(axes), 21: AXES.index(axes)}
        texts.append(
            create(over, number, kind=1, arguments=turns).replace(store_addresses(number), "") + "ret_arr @0\n"
        )
        answers.append(receive(over, number).replace(store_addresses(number), "") + "ret_arr @0\n")
    near, far, _ = joined(over, texts, answers, link_fidelity=fidelity)
    factor = ((4 * fidelity - 1) / 3) ** (1 if over == "a link" else 2)
    for (axes, local, remote), mine, theirs in zip(settings, near, far, strict=True):
        assert mine.done and theirs.done, (mine.reason, theirs.reason)
        products = [(-1) ** (here[2] + there[2]) for here, there in zip(pairs(mine), pairs(theirs), strict=True)]
        a, b = vector(axes, local), vector(axes, remote)
        expected = factor * float(a @ (b * [1, -1, 1]))
        spread = math.sqrt(max(1 - expected**2, 0.0) / number)
        assert abs(np.mean(products) - expected) <= SIGMAS * spread + 1e-9, (over, axes, local, remote)
        assert [pair[0] for pair in pairs(mine)] == [1] * number


def store_addresses(number: int) -> str:
    """What only kept pairs need."""
    return "".join(f"store {index} @1[{index}]\n" for index in range(number))


NAMED = {0: (0, 0, 1), 1: (1, 0, 0), 2: (0, 1, 0), 3: (0.5**0.5, 0, 0.5**0.5), 4: (-(0.5**0.5), 0, 0.5**0.5)}


@pytest.mark.parametrize(
    ("basis_set", "parts", "expected"),
    [
        (1, {}, {1: 1 / 2, 0: 1 / 2}),
        (2, {}, {1: 1 / 3, 2: 1 / 3, 0: 1 / 3}),
        (3, {}, {3: 1 / 2, 4: 1 / 2}),
        (1, {10: 51, 12: 204}, {1: 0.2, 0: 0.8}),
        (2, {10: 51, 11: 102, 12: 51, 13: 102}, {1: 0.2, 2: 0.4, 0: 0.4}),
    ],
)
def test_random_bases(basis_set: int, parts: dict[int, int], expected: dict[int, float]) -> None:
    number = 400
    arguments = {2: basis_set, 3: basis_set, **parts}
    text = create("a link", number, kind=1, arguments=arguments).replace(store_addresses(number), "")
    answer = receive("a link", number).replace(store_addresses(number), "")
    near, far, _ = joined("a link", [text + "ret_arr @0\n"], [answer + "ret_arr @0\n"])
    for returned in (near[0], far[0]):
        found = [pair[3] for pair in pairs(returned)]
        assert set(found) <= set(expected)
        for basis, share in expected.items():
            if returned is far[0] and 12 in parts and basis_set == 1:
                share = {1: 0.8, 0: 0.2}[basis]
            spread = math.sqrt(share * (1 - share) / number)
            assert abs(found.count(basis) / number - share) <= SIGMAS * spread, (basis, found.count(basis))
    by_bases: dict[tuple[int, int], list[int]] = {}
    for here, there in zip(pairs(near[0]), pairs(far[0]), strict=True):
        by_bases.setdefault((here[3], there[3]), []).append((-1) ** (here[2] + there[2]))
    assert len(by_bases) == len(expected) ** 2, "the ends draw together"
    for (mine, theirs), products in by_bases.items():
        mean = float(np.dot(NAMED[mine], np.multiply(NAMED[theirs], [1, -1, 1])))
        spread = math.sqrt(max(0.0, 1 - mean**2) / len(products))
        assert abs(np.mean(products) - mean) <= SIGMAS * spread + 1e-9, (mine, theirs)


@pytest.mark.parametrize("over", OVER)
def test_a_remotely_prepared_state_is_what_the_creator_measured(over: str) -> None:
    """Of Phi+, a half found along (x, y, z) leaves the other along (x, -y, z)."""
    turns = (3, 5, 7)
    text = create(over, 4, kind=2, arguments=dict(zip((14, 15, 16), turns, strict=True)))
    near, far, testbed = joined(over, [text + "ret_arr @0\n"], [receive(over, 4) + "ret_arr @0\n"], stop=False)
    assert not any(near[0].qubits)
    for index, (here, there) in enumerate(zip(pairs(near[0]), pairs(far[0]), strict=True)):
        assert (here[0], there[0]) == (1, 0)
        direction = vector("XYX", turns) * [1, -1, 1] * (-1) ** here[2]
        state = testbed.engine.laboratory.state_now([far[0].qubits[index]], testbed.now)
        bloch = [2 * state[0, 1].real, -2 * state[0, 1].imag, (state[0, 0] - state[1, 1]).real]
        np.testing.assert_allclose(bloch, direction, atol=1e-9)


@pytest.mark.parametrize("over", OVER)
def test_pairs_are_received_in_the_order_of_their_creation_whoever_asks_for_how_many(over: str) -> None:
    measure = "".join(f"set Q0 {index}\nmeas Q0 M{index}\nqfree Q0\nret_reg M{index}\n" for index in range(3))
    one = "set Q0 0\nmeas Q0 M0\nqfree Q0\nret_reg M0\n"
    for seed in range(4):
        near, far, _ = joined(
            over,
            [create(over, 3) + measure],
            [receive(over, 1) + one, receive(over, 1) + one, receive(over, 1) + one],
            seed=seed,
        )
        bits = [near[0].registers[f"M{index}"] for index in range(3)]
        assert [each.registers["M0"] for each in far] == bits


@pytest.mark.parametrize("over", OVER)
def test_both_ends_of_a_socket_may_create(over: str) -> None:
    one = "set Q0 0\nmeas Q0 M0\nqfree Q0\nret_reg M0\n"
    _, _, far_number, near_number = ends(over)
    there = create_text(near_number, 1)
    near, far, _ = joined(
        over,
        [create(over, 1) + one, receive_text(far_number, 1) + one] * 2,
        [receive(over, 1) + one, there + one] * 2,
    )
    assert [each.registers for each in near] == [each.registers for each in far]


@pytest.mark.parametrize("over", OVER)
def test_pairs_move_to_storage_where_another_is_to_come(over: str) -> None:
    small = {"communication": Memory(slots=1), "storage": 4} if over == "a link" else {"slots": 2, "storage": 6}
    near, far, testbed = joined(
        over, [create(over, 4) + "ret_arr @0\n"], [receive(over, 4) + "ret_arr @0\n"], stop=False, **small
    )
    assert near[0].done and far[0].done, (near, far)
    phi = np.zeros((4, 4))
    phi[np.ix_([0, 3], [0, 3])] = 0.5
    for index in range(4):
        names = [near[0].qubits[index], far[0].qubits[index]]
        np.testing.assert_allclose(testbed.engine.laboratory.state_now(names, testbed.now), phi, atol=1e-9)


def test_more_pairs_than_a_circuit_has_slots() -> None:
    """Each that is moved to storage makes room in the circuit for another."""
    near, far, _ = joined("circuits", [create("circuits", 12)], [receive("circuits", 12)], qubits=12)
    assert near[0].done and far[0].done, (near, far)


def test_a_pair_of_a_circuit_is_made_after_it_was_asked_for() -> None:
    """While nobody asks, a circuit has pairs ready; after two seconds nothing is left of their entanglement."""
    memory = Memory(slots=8, t2_s=0.1)
    testbed = InProcess(nodes("alice", "bob", "carol", network=Network(), communication=memory, storage_memory=memory))
    numbers = {"alice": (2, create_text), "carol": (0, receive_text)}
    qubits: dict[str, str] = {}

    def host(node: str) -> Any:
        remote, text = numbers[node]
        yield from say(messages.InitNewAppMessage(0, 5))
        yield from say(messages.OpenEPRSocketMessage(0, 0, remote, 0, 100))
        yield from say(subroutine(text(remote, 1) + "set Q0 0\nqfree Q0\n"))
        yield Sleep(call=0, duration_ps=2 * 10**12)
        returned = yield from say(subroutine(text(remote, 1)))
        qubits[node] = returned.qubits[0]

    for node in numbers:
        testbed.start(node, host(node))
    testbed.run()
    state = testbed.engine.laboratory.state_now([qubits["alice"], qubits["carol"]], testbed.now)
    assert state[0, 3].real > 0.4


def test_the_receiver_takes_the_pair_that_the_creator_has_taken_and_no_other() -> None:
    testbed = InProcess(nodes("alice", "bob", network=Network()))
    station = testbed.seats["bob"].node.netqasm.station
    sockets = Sockets(station, 0, ApplicationMemory(5), lambda _: None, lambda *_: None, lambda: None)
    socket, wanted = EprSocket(0, "alice", 0, 0, 0.0), Wanted(0, 1, 3, 0)
    asked = Asked("alice:0", "K", 3, 0.0, 0, Side("Z", (), ()), taken=[("c", 4), ("c", 5), ("c", 7)])

    def pair(number: int) -> CircuitPair:
        described = BellPair(
            pair_id=f"p{number}",
            qubit=f"bob#{number}",
            remote="alice",
            bell_state="PHI_PLUS",
            goodness=0.9,
            emitted_at_ps=0,
            heralded_at_ps=0,
        )
        return CircuitPair(call=0, now_ps=0, circuit="c", number=number, pair=described)

    def take(*numbers: int) -> Any:
        task = sockets._same_pair(socket, wanted, asked, None)
        try:
            answer = None
            for number in (*numbers, None):
                assert task.send(answer) == NextCircuitPair(call=0, circuit="c")
                answer = pair(number) if number is not None else None
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it goes on")

    assert take(2, 3, 4).qubit == "bob#4", "earlier ones are thrown away"
    asked.done = 1
    with pytest.raises(Fault, match="pair 5 of circuit c was lost"):
        take(7)
    asked.done = 2
    assert take().qubit == "bob#7", "and a later one is kept for its turn"


def test_an_exchanged_qubit_is_no_half_of_a_pair_for_the_node() -> None:
    text = create("a link", 1) + "set Q0 0\nset Q1 1\nqalloc Q1\ninit Q1\nswp Q0 Q1\n"
    near, far, testbed = joined("a link", [text], [receive("a link", 1)], stop=False)
    assert not testbed.seats["alice"].node.core.memory.halves
    state = testbed.engine.laboratory.state_now([near[0].qubits[1], far[0].qubits[0]], testbed.now)
    assert state[0, 3].real == pytest.approx(0.5)


def test_qubits_that_occupy_every_slot_are_said_to() -> None:
    near, far, _ = joined(
        "a link", [create("a link", 3)], [receive("a link", 3)], communication=Memory(slots=1), storage=1
    )
    for returned in (*near, *far):
        assert returned.error
    assert "NO_QUBIT" in {near[0].error, far[0].error}
    assert "occupy every slot" in near[0].reason + far[0].reason


@pytest.mark.parametrize("over", OVER)
def test_a_pair_waits_for_its_virtual_address_to_be_free(over: str) -> None:
    """A sequential request: every pair comes to address 0, and is measured before the next comes."""

    def sequential(text: str) -> str:
        head, _, _ = (
            text.replace("store 1 @1[1]", "store 0 @1[1]")
            .replace("store 2 @1[2]", "store 0 @1[2]")
            .partition("wait_all")
        )
        for index in range(3):
            head += (
                f"wait_all @0[{10 * index}:{10 * index + 10}]\nset Q0 0\nmeas Q0 M{index}\nqfree Q0\nret_reg M{index}\n"
            )
        return head

    near, far, testbed = joined(over, [sequential(create(over, 3))], [sequential(receive(over, 3))])
    if over == "a link":
        assert testbed.engine.laboratory.occupancy["alice", "communication"].peak == 1, "nor is it made before"
    assert near[0].done, near[0].reason
    assert near[0].registers == far[0].registers


@pytest.mark.parametrize("over", OVER)
def test_a_request_that_takes_too_long_ends_at_both_ends(over: str) -> None:
    text = create(over, 5, arguments={5: 1, 6: 1})
    near, far, _ = joined(over, [text, "set R0 1\nret_reg R0"], [receive(over, 5), "ret_reg R0"], success=1e-4)
    for returned in (near[0], far[0]):
        assert returned.error == "GENERAL"
    assert near[1].done
    assert "within 0.00" in near[0].reason or "in time" in near[0].reason or "open within" in near[0].reason
    assert near[0].now_ps < 2 * 10**9


@pytest.mark.parametrize("over", OVER)
def test_who_waits_for_an_application_that_has_ended_is_told(over: str) -> None:
    _, far, _ = joined(over, [create(over, 1)], [receive(over, 1), receive(over, 1)])
    assert far[0].done
    assert far[1].error == "GENERAL"
    assert "has ended" in far[1].reason


@pytest.mark.parametrize("over", OVER)
def test_who_creates_for_an_application_that_has_ended_is_told(over: str) -> None:
    near, _, _ = joined(over, [create(over, 1), create(over, 1, base=10)], [receive(over, 1)])
    assert near[0].done
    assert near[1].error == "GENERAL"
    assert "has ended" in near[1].reason


@pytest.mark.parametrize("waits", ["to create", "to receive"])
@pytest.mark.parametrize("over", OVER)
def test_who_waits_for_a_dead_node_is_told(over: str, waits: str) -> None:
    names, far, far_number, near_number = ends(over)
    killed = NodeKill(node=far, at_s=0.5)
    testbed = InProcess(nodes(*names, network=OVER[over], faults=(killed,), success=1e-5))
    seen: list[Returned] = []
    create, receive = create_text(far_number, 5), receive_text(near_number, 5)
    if waits == "to receive":
        create, receive = receive_text(far_number, 5), create_text(near_number, 5)
    testbed.start("alice", program([create, "set R0 1\nret_reg R0"], seen, sockets=[(0, far_number, 0, 100)]))
    testbed.start(far, program([receive], [], sockets=[(0, near_number, 0, 100)]))
    testbed.run(lambda: len(seen) == 2, at_most_s=400)
    assert seen[0].error == "GENERAL"
    assert any(words in seen[0].reason for words in ("does not answer", "no other path")), seen[0].reason
    assert seen[1].registers == {"R0": 1}


def test_who_waits_for_pairs_of_a_path_that_is_cut_for_good_is_told() -> None:
    cut = LinkDown(link="bob-carol", at_s=0.5)
    near, far, _ = joined("circuits", [create("circuits", 5)], [receive("circuits", 5)], faults=(cut,), success=1e-5)
    for returned in (near[0], far[0]):
        assert returned.error == "GENERAL"
        assert any(words in returned.reason for words in ("does not answer", "no other path")), returned.reason


def test_pairs_come_again_once_a_path_is_whole() -> None:
    cut = LinkDown(link="bob-carol", at_s=0.02, for_s=0.5)
    near, far, _ = joined("circuits", [create("circuits", 5)], [receive("circuits", 5)], faults=(cut,), success=1e-3)
    assert near[0].done and far[0].done, (near[0].reason, far[0].reason)
    assert far[0].now_ps > 0.52e12


def test_a_qubit_whose_slot_fails_is_an_error_at_its_next_use() -> None:
    fails = SlotFailure(node="alice", at_s=0.5, slots=16, role="storage")
    testbed = InProcess(nodes("alice", "bob", faults=(fails,)))
    seen: list[Returned] = []

    def host() -> Any:
        yield from say(messages.InitNewAppMessage(0, 5))
        allocated = "set Q0 0\nqalloc Q0\ninit Q0\nset Q1 1\nqalloc Q1\ninit Q1\n"
        seen.append((yield from say(subroutine(allocated))))
        yield Sleep(call=0, duration_ps=10**12)
        seen.append((yield from say(subroutine("x Q0\n"))))
        seen.append((yield from say(subroutine("qfree Q0\nqalloc Q0\nx Q0\nmeas Q0 M0\nret_reg M0"))))

    testbed.start("alice", host())
    testbed.run()
    assert seen[0].done
    assert seen[1].error == "GENERAL" and "slot failed" in seen[1].reason, seen[1].reason
    assert seen[2].registers == {"M0": 1}, "in a communication slot, for those of storage are gone"


@pytest.mark.parametrize("over", OVER)
def test_a_session_that_ends_in_the_middle_ends_the_waiting_of_the_other_end(over: str) -> None:
    names, far, far_number, near_number = ends(over)
    testbed = InProcess(nodes(*names, network=OVER[over], success=1e-3))
    seen: list[Returned] = []
    testbed.start("alice", program([create_text(far_number, 5)], [], sockets=[(0, far_number, 0, 100)]))
    text = "set Q3 3\nqalloc Q3\ninit Q3\n" + receive_text(near_number, 2) + receive_text(near_number, 3, base=10)
    testbed.start(
        far, program([text.replace("store 2 @11[2]", "store 4 @11[2]")], seen, sockets=[(0, near_number, 0, 100)])
    )
    node = testbed.seats["alice"].node
    testbed.run(lambda: any(qubit.pair and qubit.session == 0 for qubit in node.core.memory.qubits.values()))
    window = testbed.window

    def ends_first(name: str, grant: Any) -> None:
        if name == "alice" and node.netqasm.apps:
            handle = node.handle
            node.handle = lambda now, event: handle(now, SessionEnded(0, "its process ended")) + handle(now, event)
            window(name, grant)
            node.handle = handle
        else:
            window(name, grant)

    testbed.window = ends_first  # type: ignore[method-assign]
    testbed.run(lambda: bool(seen))
    assert not node.netqasm.apps
    assert seen[0].error == "GENERAL"
    assert "has ended" in seen[0].reason, seen[0].reason


def test_a_receiver_may_be_late_for_a_circuit() -> None:
    """Longer than circuits wait to be accepted."""
    testbed = InProcess(nodes("alice", "bob", "carol", network=Network()))
    near: list[Returned] = []
    far: list[Returned] = []

    def late() -> Any:
        yield Sleep(call=0, duration_ps=25 * 10**12)
        yield from program([receive_text(0, 1)], far, sockets=[(0, 0, 0, 100)])

    testbed.start("alice", program([create_text(2, 1)], near, sockets=[(0, 2, 0, 100)]))
    testbed.start("carol", late())
    testbed.run()
    assert near[0].done and far[0].done, (near, far)


def test_a_circuit_that_is_not_good_enough_is_replaced() -> None:
    texts = [create("circuits", 1), create("circuits", 1, base=10, arguments={4: 80}), create("circuits", 1, base=20)]
    for number, base in enumerate((0, 10, 20)):
        texts[number] = texts[number].replace(f"store 0 @{base + 1}[0]", f"store {number} @{base + 1}[0]")
    receipts = [
        receive("circuits", 1, base=10 * number).replace(
            f"store 0 @{10 * number + 1}[0]", f"store {number} @{10 * number + 1}[0]"
        )
        for number in range(3)
    ]
    near, far, testbed = joined("circuits", texts, receipts, link_fidelity=0.95)
    assert all(each.done for each in (*near, *far)), (near, far)
    opened = testbed.of_kind("circuit_requested")
    assert [each["minimum_fidelity"] for each in opened] == [0.0, 0.8]


SMALL = nodes("alice", "bob")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (create_text(1, 1, socket=3), "socket 3 to node 1 is not open"),
        (create_text(0, 1), "socket 0 to node 0 is not open"),
        (create_text(1, 1, kind=7), "type 7"),
        (create_text(1, 1, arguments={1: 0}), "0 pairs"),
        (create_text(1, 1, arguments={1: 2}), "10 entries for the results of 2 pairs"),
        (create_text(1, 1, arguments={4: 101}), "minimum fidelity of 101"),
        (create_text(1, 1, arguments={5: 3}), "unit 3"),
        (create_text(1, 1, arguments={20: 3}), "rotation axes 3"),
        (create_text(1, 1, kind=1, arguments={2: 4}), "random basis set 4"),
        (create_text(1, 1, kind=1, arguments={2: 1, 10: 256}), "probabilities"),
        (create_text(1, 1).replace("array 22", "array 21"), "21 arguments"),
        (create_text(1, 1).replace("store 0 @1[0]", "store 9 @1[0]"), "virtual qubit 9"),
        (receive_text(1, 1).replace("array 10", "array 9"), "9 entries"),
    ],
)
def test_a_request_that_makes_no_sense_is_an_error(text: str, reason: str) -> None:
    testbed = InProcess(SMALL)
    seen: list[Returned] = []
    testbed.start("alice", program([text, "set R0 1\nret_reg R0"], seen, sockets=[(0, 1, 0, 100)]))
    testbed.run(lambda: testbed.running == 0)
    assert seen[0].error in ("GENERAL", "NO_QUBIT")
    assert reason in seen[0].reason
    assert seen[1].registers == {"R0": 1}


def test_a_fidelity_that_no_link_reaches_is_refused_with_the_link_s_words() -> None:
    near, far, _ = joined("a link", [create("a link", 1)], [receive("a link", 1)], fidelity=95, link_fidelity=0.9)
    assert "0.95" in near[0].reason and "0.90" in near[0].reason
    assert far[0].error
    near, _, _ = joined("a link", [create("a link", 1)], [receive("a link", 1)], fidelity=89, link_fidelity=0.9)
    assert near[0].done
    near, _, _ = joined("a link", [create("a link", 1)], [receive("a link", 1)], fidelity=100, link_fidelity=0.9)
    assert near[0].done, "100 is what the SDK asks for where its user asks for nothing"


def test_a_qubit_that_grew_too_old_is_an_error_at_its_next_use() -> None:
    memory = Memory(slots=4, cutoff_s=1e-3)
    names = ("alice", "bob")
    testbed = InProcess(nodes(*names, communication=memory))
    seen: list[Returned] = []

    def late() -> Any:
        yield from say(messages.InitNewAppMessage(0, 5))
        yield from say(messages.OpenEPRSocketMessage(0, 0, 1, 0, 100))
        seen.append((yield from say(subroutine(create_text(1, 1)))))
        yield Sleep(call=0, duration_ps=10**10)
        seen.append((yield from say(subroutine("set Q0 0\nh Q0\nmeas Q0 M0\nret_reg M0"))))
        seen.append((yield from say(subroutine("set Q0 0\nqfree Q0\nqalloc Q0\nh Q0\nmeas Q0 M0\nret_reg M0"))))

    testbed.start("alice", late())
    testbed.start("bob", program([receive_text(0, 1)], [], sockets=[(0, 0, 0, 100)], stop=False))
    testbed.run()
    assert seen[0].done
    assert seen[1].error == "GENERAL" and "older than the cutoff" in seen[1].reason
    assert seen[2].done, seen[2].reason


@pytest.mark.parametrize("over", OVER)
def test_the_same_seed_gives_the_same_run(over: str) -> None:
    def run(seed: int) -> tuple[Any, ...]:
        text = create(over, 8, kind=1, arguments={2: 2, 3: 2}).replace(store_addresses(8), "")
        answer = receive(over, 8).replace(store_addresses(8), "")
        near, far, testbed = joined(over, [text + "ret_arr @0\n"], [answer + "ret_arr @0\n"], seed=seed)
        return near, far, testbed.records, testbed.now

    assert run(1) == run(1)
    assert run(1)[:2] != run(2)[:2]
