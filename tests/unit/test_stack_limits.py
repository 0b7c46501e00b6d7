"""What the stack refuses an application beyond its limits, and that nobody may touch what is another session's."""

from __future__ import annotations

import typing
from collections.abc import Callable, Generator
from typing import Any

import msgspec
import pytest
from in_process import InProcess

from orchestrator.scenario import Limits, Link, Network, Node, Scenario, Source
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.config import ApplicationLimits
from qnode.stack.circuits.service import MOST_CLOSED
from qnode.stack.messages import MESSAGE_OVERHEAD_BYTES
from qnode.wire import application
from qnode.wire.application import (
    AcceptCircuit,
    CancelRequest,
    CloseCircuit,
    CloseGroup,
    Detach,
    Failed,
    JoinGroup,
    NextCircuitEvent,
    NextCircuitPair,
    NextGroupQubit,
    NextPair,
    OpenCircuit,
    OpenGroup,
    OracleState,
    ReceiveTeleported,
    Report,
    RequestPairs,
    Run,
    SendMessage,
    Sleep,
    Teleport,
    TransmitQubit,
)
from qnode.wire.quantum import Discard, Gate, Measure, MeasureBell, Move, Prepare, Unitary

Program = Generator[Any, Any, None]


def network(**limits: Any) -> Scenario:
    hardware = Hardware(communication=Memory(slots=6), storage=Memory(slots=6))
    links = {"ab": ("a", "b"), "bc": ("b", "c")}
    return Scenario(
        version=1,
        name="limits",
        network=Network(),
        limits=Limits(applications=ApplicationLimits(**limits)),
        nodes={name: Node(hardware=hardware) for name in "abc"},
        links={
            name: Link(ends=ends, length_km=1, heralding=Source(success_probability=0.9))
            for name, ends in links.items()
        },
    )


def test_an_application_has_so_many_memory_slots_and_the_rest_are_for_others() -> None:
    """Two qubits of its own and a pair are its three slots: the next qubit is refused, the next pair waits for room."""
    testbed = InProcess(network(memory_slots=3))
    told: list[Any] = []

    def greedy() -> Program:
        qubits = (yield Run(call=0, steps=(Prepare(), Prepare()))).qubits
        first = yield RequestPairs(call=0, remote="b", number=2, waiting=False)
        told.append((yield Run(call=0, steps=(Prepare(),))))
        told.append((yield Run(call=0, steps=(Discard(qubit=first.pair.qubit), Prepare(), Prepare()))))
        told.append((yield OpenCircuit(call=0, remote="c", slots=4)))
        yield Sleep(call=0, duration_ps=10**12)
        assert len(testbed.seats["a"].node.core.memory.qubits) == 4, "and one of its neighbour in need"
        yield Run(call=0, steps=(Discard(qubit=qubits[0]),))
        told.append((yield NextPair(call=0, request=first.request)))

    def modest() -> Program:
        yield Sleep(call=0, duration_ps=5 * 10**11)
        pair = yield RequestPairs(call=0, remote="b", purpose="modest")
        told.append(pair)
        yield Sleep(call=0, duration_ps=10**12)

    def other() -> Program:
        yield RequestPairs(call=0, remote="a", number=2)
        yield Sleep(call=0, duration_ps=10**13)

    def another() -> Program:
        yield RequestPairs(call=0, remote="a", purpose="modest")
        yield Sleep(call=0, duration_ps=10**13)

    for node, program in (("a", greedy()), ("a", modest()), ("b", other()), ("b", another())):
        testbed.start(node, program)
    testbed.run()
    assert [getattr(each, "code", "") for each in told] == ["limit", "limit", "limit", "", ""]
    assert "step 0 (prepare): an application may have 3 memory slots; free some" in told[0].reason
    assert "step 2 (prepare)" in told[1].reason
    assert "would reserve 4 memory slots, expected at most 3" in told[2].reason


# Whose is it


def owner(have: dict[str, str]) -> Program:
    """Has one of everything, and tells what."""
    have["qubit"] = (yield Run(call=0, steps=(Prepare(),))).qubits[0]
    pair = yield RequestPairs(call=0, remote="b", number=3)
    have["request"] = str(pair.request)
    have["pair"], have["half"] = pair.pair.pair_id, pair.pair.qubit
    opened = yield OpenCircuit(call=0, remote="c")
    have["circuit"] = opened.circuit
    opened = yield OpenGroup(call=0, members=("c",))
    have["group"] = opened.group
    yield Sleep(call=0, duration_ps=10**13)


def neighbour() -> Program:
    yield RequestPairs(call=0, remote="a", number=3)
    yield Sleep(call=0, duration_ps=10**13)


def far() -> Program:
    yield AcceptCircuit(call=0)
    yield JoinGroup(call=0)
    yield Sleep(call=0, duration_ps=10**13)


TOUCHING: dict[str, tuple[Callable[[dict[str, str]], Any], str]] = {
    "measure": (lambda have: Run(call=0, steps=(Measure(qubit=have["qubit"]),)), "not_yours"),
    "gate": (lambda have: Run(call=0, steps=(Gate(name="X", qubits=(have["half"],)),)), "not_yours"),
    "unitary": (lambda have: Run(call=0, steps=(Unitary(qubits=(have["qubit"],), matrix=bytes(64)),)), "not_yours"),
    "measure_bell": (
        lambda have: Run(call=0, steps=(MeasureBell(qubits=(have["qubit"], have["half"])),)),
        "not_yours",
    ),
    "move": (lambda have: Run(call=0, steps=(Move(qubit=have["half"], role="storage"),)), "not_yours"),
    "discard": (lambda have: Run(call=0, steps=(Discard(qubit=have["qubit"]),)), "not_yours"),
    "teleport over its pair": (lambda have: Teleport(call=0, qubit=have["qubit"], pair_id=have["pair"]), "not_yours"),
    "receive over its pair": (lambda have: ReceiveTeleported(call=0, pair_id=have["pair"]), "not_yours"),
    "transmit": (lambda have: TransmitQubit(call=0, qubit=have["qubit"], remote="b"), "not_yours"),
    "look": (lambda have: OracleState(call=0, qubits=(have["qubit"],)), "not_yours"),
    "next pair": (lambda have: NextPair(call=0, request=int(have["request"])), "bad_request"),
    "cancel": (lambda have: CancelRequest(call=0, request=int(have["request"])), "bad_request"),
    "next circuit pair": (lambda have: NextCircuitPair(call=0, circuit=have["circuit"]), "not_yours"),
    "next circuit event": (lambda have: NextCircuitEvent(call=0, circuit=have["circuit"]), "not_yours"),
    "close circuit": (lambda have: CloseCircuit(call=0, circuit=have["circuit"]), "not_yours"),
    "next group qubit": (lambda have: NextGroupQubit(call=0, group=have["group"]), "not_yours"),
    "close group": (lambda have: CloseGroup(call=0, group=have["group"]), "not_yours"),
}
TOUCH_NOTHING = {
    "attach": "a session of its own",
    "request_pairs": "makes what will be its own",
    "open_circuit": "likewise",
    "open_group": "likewise",
    "accept_circuit": "takes a circuit that nobody has accepted",
    "join_group": "takes an invitation that nobody has accepted",
    "receive_qubit": "takes a qubit that nobody has received",
    "receive": "takes a message to nobody in particular, or to its own name",
    "send": "says who sent it",
    "sleep": "its own call",
    "netqasm": "its own NetQASM applications",
    "report": "under its own name",
    "report_key": "under its own name",
    "wait": "its own turn",
    "detach": "its own session",
}


def test_what_one_session_has_no_other_may_touch() -> None:
    have: dict[str, str] = {}
    found: dict[str, tuple[str, str]] = {}

    def thief() -> Program:
        yield Sleep(call=0, duration_ps=2 * 10**12)
        before = list(testbed.engine.laboratory.qubits)
        for name, (request, _) in TOUCHING.items():
            answer = yield request(have)
            assert isinstance(answer, Failed), (name, answer)
            found[name] = (answer.code, answer.reason)
        assert list(testbed.engine.laboratory.qubits) == before
        yield Detach(call=0)

    testbed = InProcess(network())
    testbed.start("a", owner(have))
    testbed.start("b", neighbour())
    testbed.start("c", far())
    testbed.start("a", thief())
    testbed.run(lambda: len(found) == len(TOUCHING), at_most_s=5)
    assert set(have) == {"qubit", "request", "pair", "half", "circuit", "group"}
    assert {name: code for name, (code, _) in found.items()} == {name: code for name, (_, code) in TOUCHING.items()}


def test_every_request_is_judged() -> None:
    """A new request is either tried on another session's things above, or said to touch nothing."""
    tags = {each.__struct_config__.tag for each in typing.get_args(application.Request)}
    nothing = {"qubit": "", "half": "", "pair": "", "request": "1", "circuit": "", "group": ""}
    tried = {request(nothing).__struct_config__.tag for request, _ in TOUCHING.values()}
    assert tried | set(TOUCH_NOTHING) == tags
    assert not tried & set(TOUCH_NOTHING)


# How much


def test_open_pair_requests(driven: Any) -> None:
    alice = driven(limits=ApplicationLimits(pair_requests=2))
    alice.attach()
    for _ in range(2):
        alice.ask(RequestPairs, remote="bob", purpose="p")
        assert not alice.answers
    alice.ask(RequestPairs, remote="bob", purpose="p")
    assert alice.failure()[1] == "limit"
    alice.attach(1, "other")
    alice.ask(RequestPairs, session=1, remote="bob")
    assert not alice.answers, "another session has its own"
    alice.ask(CancelRequest, request=1)
    alice.ask(RequestPairs, remote="bob", purpose="p")
    assert not alice.answers, "a cancelled one makes room"


def test_pairs_to_be_measured(driven: Any) -> None:
    alice = driven(limits=ApplicationLimits(measured_pairs=10))
    alice.attach()
    alice.ask(RequestPairs, remote="bob", kind="M", number=6)
    alice.ask(RequestPairs, remote="bob", kind="M", number=5)
    assert alice.failure()[1] == "limit"
    alice.ask(RequestPairs, remote="bob", kind="M", number=4)
    assert not alice.answers
    alice.ask(RequestPairs, remote="bob", number=1000)
    assert not alice.answers, "kept pairs are bounded by memory slots"


def test_open_calls(driven: Any) -> None:
    alice = driven(limits=ApplicationLimits(open_calls=3))
    alice.attach()
    for _ in range(3):
        alice.ask(Sleep, duration_ps=5)
    alice.ask(Sleep, duration_ps=5)
    assert alice.failure()[1] == "limit"


def test_bytes_sent_at_once_and_in_time(driven: Any) -> None:
    """Two messages fit at once; a third after what leaves in time; two greedy applications leave the node a share."""
    size = 1000 + MESSAGE_OVERHEAD_BYTES
    alice = driven(limits=ApplicationLimits(sent_bytes=2 * size, sent_bytes_per_s=size))
    for session in range(4):
        alice.attach(session, f"app{session}")

    def sends(session: int) -> bool:
        alice.ask(SendMessage, session=session, peer="bob", payload=bytes(1000))
        (answer,) = alice.answers
        assert not isinstance(answer, Failed) or answer.code == "limit"
        return bool(alice.sent)

    assert [sends(0) for _ in range(3)] == [True, True, False]
    alice.now += 10**12 - 1
    assert not sends(0)
    alice.now += 1
    assert sends(0)
    assert not sends(0)
    assert [sends(1), sends(1), sends(1)] == [True, True, False], "another session has its own"
    assert [sends(2), sends(2)] == [True, True]
    assert [sends(3), sends(3)] == [True, False], "together they have three sessions' worth"


def test_names_of_reported_values(alice: Any) -> None:
    alice.ask(Report, values={"v" * 257: 1.0})
    assert alice.failure()[1] == "limit"


def test_open_circuits_and_groups_and_those_that_were_closed() -> None:
    done: list[Any] = []
    closed: list[str] = []

    def opens() -> Program:
        kept = yield OpenCircuit(call=0, remote="c", rate_bpps=0.01)
        for _ in range(MOST_CLOSED + 10):
            opened = yield OpenCircuit(call=0, remote="c", rate_bpps=0.01)
            assert not isinstance(opened, Failed), opened
            closed.append(opened.circuit)
            yield CloseCircuit(call=0, circuit=opened.circuit)
        second = yield OpenCircuit(call=0, remote="c", rate_bpps=0.01)
        done.append((yield OpenCircuit(call=0, remote="c", rate_bpps=0.01)))
        done.append((yield CloseCircuit(call=0, circuit=closed[0])))
        done.append((yield CloseCircuit(call=0, circuit=closed[-1])))
        done.append((yield NextCircuitPair(call=0, circuit=kept.circuit, timeout_ps=10**11)))
        assert not isinstance(second, Failed)
        yield Detach(call=0)

    testbed = InProcess(network(circuits=2))
    testbed.start("a", opens())
    for _ in range(MOST_CLOSED + 12):
        testbed.start("c", one_circuit())
    testbed.run(lambda: len(done) == 4, at_most_s=500)
    assert (done[0].code, done[0].reason) == ("limit", "2 circuits of this application are open; close some")
    assert done[1].code == "bad_request", "the oldest of those that are closed are forgotten"
    assert not isinstance(done[2], Failed)
    assert not isinstance(done[3], Failed), "an open circuit goes on"


def one_circuit() -> Program:
    yield AcceptCircuit(call=0)
    yield Sleep(call=0, duration_ps=10**15)


def test_groups_that_are_open_at_a_time() -> None:
    done: list[Any] = []

    def opens() -> Program:
        first = yield OpenGroup(call=0, members=("c",))
        done.append((yield OpenGroup(call=0, members=("c",))))
        yield CloseGroup(call=0, group=first.group)
        done.append((yield OpenGroup(call=0, members=("c",), timeout_ps=10**12)))
        yield Detach(call=0)

    testbed = InProcess(network(groups=1))
    testbed.start("a", opens())
    testbed.start("c", one_group())
    testbed.start("c", one_group())
    testbed.run(lambda: len(done) == 2, at_most_s=50)
    assert done[0].code == "limit"
    assert isinstance(done[1], application.GroupOpened)


def one_group() -> Program:
    yield JoinGroup(call=0)
    yield Sleep(call=0, duration_ps=10**15)


@pytest.mark.parametrize("lazy", ["a", "c"])
def test_outcomes_that_nobody_asks_for_close_their_circuit(lazy: str) -> None:
    ends: dict[str, Any] = {}
    got: dict[str, int] = {"a": 0, "c": 0}

    def end(node: str, opening: Any) -> Program:
        opened = yield opening
        while node != lazy:
            answer = yield NextCircuitPair(call=0, circuit=opened.circuit)
            if isinstance(answer, Failed):
                ends[node] = answer
                break
            got[node] += 1
        if node == lazy:
            while (event := (yield NextCircuitEvent(call=0, circuit=opened.circuit))).kind != "closed":
                pass
            ends[node] = event
        yield Detach(call=0)

    testbed = InProcess(network(outcomes=20))
    testbed.start("a", end("a", OpenCircuit(call=0, remote="c", kind="M")))
    testbed.start("c", end("c", AcceptCircuit(call=0)))
    testbed.run(lambda: len(ends) == 2, at_most_s=50)
    assert f"limit: 21 outcomes were not asked for at {lazy}" in ends[lazy].reason
    assert ends["c" if lazy == "a" else "a"].code == "closed"
    assert got["c" if lazy == "a" else "a"] >= 20


def test_the_limits_are_the_scenarios() -> None:
    testbed = InProcess(network(circuits=7))
    assert testbed.configuration("b").limits == msgspec.structs.replace(ApplicationLimits(), circuits=7)
