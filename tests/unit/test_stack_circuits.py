"""Sessions and the circuits that they run on their own qubits: events in, actions out."""

from __future__ import annotations

from typing import Any

import pytest

from qnode.stack.events import Answer, Asked, Operate, Record, SessionEnded, SetTimer, TimerFired
from qnode.wire import application, fabric
from qnode.wire.application import Attached, Done, Failed, Outcomes, Run
from qnode.wire.quantum import Discard, Gate, Measure, MeasureBell, Move, Prepare

X = Gate(name="X", qubits=("$0",))


def test_attach_says_where_the_application_is(driven: Any) -> None:
    alice = driven("alice", "bob", "carol", process_id=77)
    assert alice.attach(3, "app") == [
        Record("application_attached", {"application": "app"}),
        Answer(
            3,
            Attached(
                call=0,
                now_ps=0,
                version=3,
                node="alice",
                process_id=77,
                neighbours=("bob", "carol"),
                communication_slots=2,
                storage_slots=2,
            ),
        ),
    ]


def test_a_session_attaches_once(alice: Any) -> None:
    alice.handle(Asked(0, application.Attach(call=9, version=3, application="again")))
    assert alice.failure() == (9, "bad_request")
    assert alice.node.core.sessions[0].application == "app"


def test_a_prepared_qubit_is_named_by_the_node_and_answered_when_done(alice: Any) -> None:
    actions = alice.ask(Run, steps=(Prepare(role="communication"), X, Measure(qubit="$0"), Prepare()))
    steps = (
        Prepare(qubit="alice#0", role="communication"),
        Gate(name="X", qubits=("alice#0",)),
        Measure(qubit="alice#0"),
        Prepare(qubit="alice#1"),
    )
    assert actions == [Operate(0, fabric.Circuit(steps=steps))]
    assert alice.free() == (1, 1)
    alice.now = 40
    assert alice.complete(1) == [Answer(0, Outcomes(call=1, now_ps=40, bits=(1,), qubits=("alice#0", "alice#1")))]
    assert alice.free() == (2, 1), "the measured qubit has left its slot"


def test_a_slot_is_reserved_while_the_circuit_is_under_way(alice: Any) -> None:
    alice.ask(Run, steps=(Prepare(), Prepare()))
    alice.ask(Run, steps=(Prepare(),))
    assert alice.failure() == (2, "no_slot")
    assert alice.operations == []


def test_a_slot_of_a_measured_qubit_is_not_free_within_its_circuit(alice: Any) -> None:
    alice.ask(Run, steps=(Prepare(), Prepare(), Measure(qubit="$0"), Prepare()))
    assert alice.failure() == (1, "no_slot")
    assert alice.free() == (2, 2)


@pytest.mark.parametrize(
    "steps",
    [
        (Prepare(), Prepare(role="communication"), X),
        (Prepare(), Measure(qubit="$0")),
        (Prepare(), Move(qubit="$0", role="communication")),
        (Measure(qubit="alice#0"),),
        (Discard(qubit="alice#0"),),
        (MeasureBell(qubits=("alice#0", "alice#1")),),
        (Move(qubit="alice#0", role="communication"),),
        (Move(qubit="alice#0", role="communication"), Discard(qubit="alice#0")),
    ],
    ids=lambda steps: "+".join(step.__struct_config__.tag for step in steps),
)
def test_a_refusal_restores_memory(driven: Any, steps: Any) -> None:
    alice = driven("alice", "bob", storage_slots=3)
    alice.attach()
    alice.prepare()
    alice.prepare()
    before = repr(sorted(alice.node.core.memory.qubits.items())), alice.free()
    alice.ask(Run, steps=steps)
    alice.refuse("bad_request", "step 0: no")
    assert alice.answers == [Failed(call=3, now_ps=0, code="bad_request", reason="step 0: no")]
    assert (repr(sorted(alice.node.core.memory.qubits.items())), alice.free()) == before
    alice.ask(Run, steps=(Measure(qubit="alice#0"), Measure(qubit="alice#1")))
    alice.complete(0, 1)
    assert alice.answers == [Outcomes(call=4, now_ps=0, bits=(0, 1))]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("no_slot", "no_slot"),
        ("limit", "limit"),
        ("gone", "gone"),
        ("not_yours", "refused"),
        ("anything", "refused"),
    ],
)
def test_the_fabric_s_codes_are_told_in_the_application_s_words(alice: Any, code: str, told: str) -> None:
    alice.ask(Run, steps=(Prepare(),))
    alice.refuse(code)
    assert alice.failure() == (1, told)


def test_a_moved_qubit_occupies_both_slots_until_it_has_moved(alice: Any) -> None:
    qubit = alice.prepare()
    alice.ask(Run, steps=(Move(qubit=qubit, role="communication"),))
    assert alice.free() == (1, 1)
    alice.complete()
    assert alice.free() == (1, 2)
    alice.ask(Run, steps=(Move(qubit=qubit, role="communication"),))
    assert alice.free() == (1, 2), "it is there already"


def test_a_qubit_that_is_leaving_cannot_be_used(alice: Any) -> None:
    qubit = alice.prepare()
    alice.ask(Run, steps=(Measure(qubit=qubit),))
    alice.ask(Run, steps=(Measure(qubit=qubit),))
    assert alice.failure() == (3, "gone")


def test_qubits_are_their_session_s_only(alice: Any) -> None:
    alice.attach(1, "other")
    qubit = alice.prepare()
    alice.ask(Run, session=1, steps=(Measure(qubit=qubit),))
    assert alice.failure() == (2, "not_yours")


def test_a_session_s_end_discards_its_qubits_and_nobody_else_s(alice: Any) -> None:
    alice.attach(1, "other")
    mine, theirs = alice.prepare(session=0), alice.prepare(session=1)
    actions = alice.handle(SessionEnded(0, "killed"))
    assert [each.action for each in alice.operations] == [fabric.Circuit(steps=(Discard(qubit=mine),))]
    assert actions[-1] == Record("application_detached", {"application": "app", "reason": "killed"})
    alice.complete()
    assert set(alice.node.core.memory.qubits) == {theirs}
    assert alice.handle(SessionEnded(0, "killed")) == [], "told twice, ended once"


def test_detach_is_answered(alice: Any) -> None:
    alice.ask(application.Detach)
    assert alice.answers == [Done(call=1, now_ps=0)]
    assert alice.node.core.sessions == {}


def discarded(alice: Any) -> list[str]:
    """The qubits that the last actions have the fabric discard, each in a circuit of its own."""
    circuits = [each.action for each in alice.operations]
    assert all(isinstance(step, Discard) for circuit in circuits for step in circuit.steps)
    return [step.qubit for circuit in circuits for step in circuit.steps]


def test_a_circuit_that_outlives_its_session_leaves_nothing(alice: Any) -> None:
    """A discard before the preparation ends would be refused, and the qubit live on in the fabric for ever."""
    alice.ask(Run, steps=(Prepare(), Prepare(), Measure(qubit="$0")))
    circuit = alice.operation
    alice.handle(SessionEnded(0, "killed"))
    assert alice.operations == []
    alice.complete(0, operation=circuit)
    assert alice.answers == []
    assert discarded(alice) == ["alice#1"]
    alice.complete()
    assert alice.free() == (2, 2)


@pytest.mark.parametrize("moves", [True, False])
def test_a_session_that_ends_during_a_move_leaves_nothing(alice: Any, moves: bool) -> None:
    qubit = alice.prepare()
    alice.ask(Run, steps=(Move(qubit=qubit, role="communication"),))
    move = alice.operation
    alice.handle(SessionEnded(0, "killed"))
    assert alice.operations == []
    if moves:
        alice.complete(operation=move)
    else:
        alice.refuse("no_slot", operation=move)
    assert discarded(alice) == [qubit]
    alice.complete()
    assert alice.free() == (2, 2)


@pytest.mark.parametrize("step", [Measure, Discard, lambda qubit: Move(qubit=qubit, role="storage")])
def test_one_call_at_a_time_works_on_a_qubit(alice: Any, step: Any) -> None:
    """Or the fabric might do the later circuit first, and memory would follow neither."""
    qubit = alice.prepare()
    alice.ask(Run, steps=(Move(qubit=qubit, role="communication"),))
    move = alice.operation
    alice.ask(Run, steps=(step(qubit=qubit),))
    assert alice.failure() == (3, "bad_request")
    alice.complete(operation=move)
    alice.ask(Run, steps=(step(qubit=qubit),))
    assert len(alice.operations) == 1


def test_memory_follows_a_circuit_that_stopped_half_way(alice: Any) -> None:
    qubit, other = alice.prepare(), alice.prepare()
    steps = (Prepare(role="communication"), Measure(qubit=qubit), Measure(qubit=other))
    alice.ask(Run, steps=steps)
    alice.refuse("limit", "step 2: too large; the 2 steps before it were done", done=2)
    assert alice.failure() == (3, "limit")
    assert discarded(alice) == ["alice#2"], "nobody was told of the qubit that it had prepared"
    alice.complete()
    assert set(alice.node.core.memory.qubits) == {other}
    alice.ask(Run, steps=(Measure(qubit=qubit),))
    assert alice.failure() == (4, "gone")
    alice.ask(Run, steps=(Measure(qubit=other),))
    assert len(alice.operations) == 1


def test_a_request_behind_a_detach_is_answered(alice: Any) -> None:
    alice.ask(application.Detach)
    alice.ask(application.Sleep, duration_ps=1)
    assert alice.failure() == (2, "bad_request")


@pytest.mark.parametrize("timeout_ps", [0, -1, -(1 << 63), 10**18 + 1, (1 << 64) - 1])
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (application.RequestPairs, {"remote": "bob"}),
        (application.ReceiveMessage, {"peer": "bob"}),
        (application.ReceiveQubit, {"remote": "bob"}),
        (application.ReceiveTeleported, {"pair_id": "alice-bob/0"}),
    ],
)
def test_deadlines_lie_in_the_future_and_fit_into_64_bits(alice: Any, kind: Any, fields: Any, timeout_ps: int) -> None:
    alice.pair()
    alice.ask(kind, timeout_ps=timeout_ps, **fields)
    assert alice.failure() == (2, "bad_request")
    assert not any(isinstance(action, SetTimer) for action in alice.actions)


@pytest.mark.parametrize("duration_ps", [-1, 10**18 + 1, (1 << 64) - 1])
def test_so_do_sleeps(alice: Any, duration_ps: int) -> None:
    alice.ask(application.Sleep, duration_ps=duration_ps)
    assert alice.failure() == (1, "bad_request")


def test_sleep_ends_with_its_timer(alice: Any) -> None:
    assert alice.ask(application.Sleep, duration_ps=30) == [SetTimer(30, ("sleep", "0", 1))]
    alice.now = 30
    assert alice.handle(TimerFired(("sleep", "0", 1))) == [Answer(0, Done(call=1, now_ps=30))]


def test_a_call_is_open_once(alice: Any) -> None:
    alice.ask(application.Sleep, duration_ps=30)
    alice.ask(application.Sleep, call=1, duration_ps=5)
    assert alice.failure() == (None, "bad_request")
    alice.handle(TimerFired(("sleep", "0", 1)))
    alice.ask(application.Sleep, call=1, duration_ps=5)
    assert alice.answers == [], "an answered call's number is free again"


def test_open_calls_are_limited(alice: Any) -> None:
    for _ in range(1024):
        alice.ask(application.Sleep, duration_ps=1)
    alice.ask(application.Sleep, duration_ps=1)
    assert alice.failure() == (1025, "limit")


def test_a_report_is_recorded_as_it_is(alice: Any) -> None:
    values = {"a": 1.0, "b": (0.5, 0.1)}
    assert alice.ask(application.Report, values=values) == [
        Record("application_reported", {"application": "app", "values": values}),
        Answer(0, Done(call=1, now_ps=0)),
    ]


def test_ended_qubits_are_remembered_by_their_fate(alice: Any) -> None:
    measured, discarded = alice.prepare(), alice.prepare()
    alice.ask(Run, steps=(Measure(qubit=measured), Discard(qubit=discarded)))
    alice.now = 2_000_000
    alice.complete(1)
    alice.ask(Run, steps=(Measure(qubit=measured),))
    (answer,) = alice.answers
    assert (answer.code, answer.reason) == ("gone", f"qubit {measured} was measured at 0 s")
    alice.ask(Run, steps=(Measure(qubit=discarded),))
    assert alice.answers[0].code == "discarded"
