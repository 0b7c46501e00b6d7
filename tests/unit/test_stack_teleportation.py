"""Teleportation, and qubits that travel themselves."""

from __future__ import annotations

from typing import Any

import pytest

from qnode.stack.events import Answer, CancelTimer, Operate, SendTo, SessionEnded, SetTimer, TimerFired
from qnode.wire.application import (
    Done,
    Failed,
    Outcomes,
    Qubit,
    ReceiveQubit,
    ReceiveTeleported,
    RequestPairs,
    Run,
    Teleport,
    TransmitQubit,
)
from qnode.wire.fabric import Arrived, Circuit, Lost, Transmit
from qnode.wire.peer import PairDiscarded, TeleportOutcome
from qnode.wire.quantum import Gate, Measure, MeasureBell

PAIR = "alice-bob/0"


def test_teleporting_measures_both_qubits_and_tells_the_other_end(alice: Any) -> None:
    alice.pair()
    data = alice.prepare()
    alice.ask(Teleport, qubit=data, pair_id=PAIR)
    assert [each.action for each in alice.operations] == [Circuit(steps=(MeasureBell(qubits=(data, "alice#0")),))]
    alice.now = 9
    assert alice.complete(1, 0) == [
        SendTo("bob", TeleportOutcome(pair_id=PAIR, bits=(1, 0))),
        Answer(0, Outcomes(call=3, now_ps=9, bits=(1, 0))),
    ]
    assert alice.free() == (2, 2)


def test_a_refused_teleportation_keeps_both_qubits(alice: Any) -> None:
    alice.pair()
    data = alice.prepare()
    alice.ask(Teleport, qubit=data, pair_id=PAIR)
    alice.refuse("limit")
    assert alice.failure() == (3, "refused")
    assert alice.sent == []
    alice.ask(Teleport, qubit=data, pair_id=PAIR)
    assert len(alice.operations) == 1


@pytest.mark.parametrize(("bits", "gates"), [((0, 0), ""), ((0, 1), "Z"), ((1, 0), "X"), ((1, 1), "XZ")])
@pytest.mark.parametrize("told_first", [True, False])
def test_the_receiver_corrects_whether_it_asks_early_or_late(
    alice: Any, bits: tuple[int, int], gates: str, told_first: bool
) -> None:
    alice.pair()
    told = TeleportOutcome(pair_id=PAIR, bits=bits)
    if told_first:
        assert alice.hear("bob", told) == []
        alice.ask(ReceiveTeleported, pair_id=PAIR)
    else:
        assert alice.ask(ReceiveTeleported, pair_id=PAIR) == []
        alice.hear("bob", told)
    if gates:
        steps = tuple(Gate(name=name, qubits=("alice#0",)) for name in gates)
        assert [each.action for each in alice.operations] == [Circuit(steps=steps)]
        assert alice.answers == []
        alice.complete()
    assert alice.answers == [Qubit(call=2, now_ps=0, qubit="alice#0")]
    assert alice.node.core.memory.halves == {}, "it is data now, no end of a pair"


def test_an_outcome_told_twice_is_used_once(alice: Any) -> None:
    alice.pair()
    told = TeleportOutcome(pair_id=PAIR, bits=(0, 0))
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.hear("bob", told)
    assert alice.node.teleportation.waiting == {}
    assert alice.hear("bob", told) == []
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    assert alice.failure() == (3, "gone")


def test_of_two_outcomes_the_first_counts(alice: Any) -> None:
    alice.pair()
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(1, 1)))
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    assert alice.answers == [Qubit(call=2, now_ps=0, qubit="alice#0")]


def test_an_outcome_that_overtakes_the_herald_is_remembered(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    assert alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0))) == []
    alice.herald(PAIR, operation=0)
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    assert alice.answers == [Qubit(call=2, now_ps=0, qubit="alice#0")]


def test_a_half_whose_outcome_is_awaited_is_not_measured_meanwhile(alice: Any) -> None:
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    assert alice.failure() == (3, "bad_request")
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))
    assert alice.answers == [Qubit(call=2, now_ps=0, qubit="alice#0")]
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    assert len(alice.operations) == 1


def test_an_outcome_that_comes_while_the_half_is_being_measured_changes_nothing(alice: Any) -> None:
    alice.pair()
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    measurement = alice.operation
    assert alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(1, 1))) == []
    alice.complete(0, operation=measurement)
    assert alice.answers == [Outcomes(call=2, now_ps=0, bits=(0,))]


def test_a_receiver_is_told_that_its_pair_grew_too_old(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100)
    alice.attach()
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.now = 100
    alice.handle(TimerFired(("cutoff", "alice#0", 0)))
    assert alice.failure() == (2, "discarded")
    assert [sent.message.pair_id for sent in alice.sent] == [PAIR]


def test_an_outcome_of_no_pair_here_is_ignored(alice: Any) -> None:
    assert alice.hear("bob", TeleportOutcome(pair_id="alice-bob/77", bits=(1, 1))) == []
    assert alice.hear("bob", TeleportOutcome(pair_id="nowhere/0", bits=(1, 1))) == []


@pytest.mark.parametrize("bits", [(2, 0), (0, -1)])
def test_an_outcome_that_is_no_bits_is_ignored(alice: Any, bits: tuple[int, int]) -> None:
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    (dropped,) = alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=bits))
    assert dropped.kind == "message_dropped"


def test_a_receiver_may_give_up_and_ask_again(alice: Any) -> None:
    alice.pair()
    assert alice.ask(ReceiveTeleported, pair_id=PAIR, timeout_ps=10) == [SetTimer(10, ("teleported", PAIR, 2))]
    alice.now = 10
    alice.handle(TimerFired(("teleported", PAIR, 2)))
    assert alice.failure() == (2, "timeout")
    alice.ask(ReceiveTeleported, pair_id=PAIR, timeout_ps=10)
    assert alice.handle(TimerFired(("teleported", PAIR, 2))) == [], "the first call's timer is not the second's"
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))
    assert alice.actions[:1] == [CancelTimer(("teleported", PAIR, 3))]
    assert alice.answers == [Qubit(call=3, now_ps=10, qubit="alice#0")]


def test_one_call_waits_for_a_pair(alice: Any) -> None:
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    assert alice.failure() == (3, "bad_request")


def test_a_receiver_is_told_that_its_pair_was_discarded(alice: Any) -> None:
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.hear("bob", PairDiscarded(pair_id=PAIR, reason="older than the cutoff"))
    assert alice.answers == [
        Failed(call=2, now_ps=0, code="discarded", reason=f"pair {PAIR} was discarded: at bob, older than the cutoff")
    ]


def test_a_receiver_that_is_gone_is_forgotten(alice: Any) -> None:
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.handle(SessionEnded(0, "killed"))
    alice.complete()
    assert alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(1, 1))) == []


# Qubits that travel


def test_a_transmitted_qubit_frees_its_slot_when_it_has_left(alice: Any) -> None:
    qubit = alice.prepare()
    assert alice.ask(TransmitQubit, qubit=qubit, remote="bob") == [Operate(1, Transmit(link="alice-bob", qubit=qubit))]
    alice.ask(Run, steps=(Measure(qubit=qubit),))
    assert alice.failure() == (3, "gone")
    alice.complete(operation=1)
    assert alice.answers == [Done(call=2, now_ps=0)]
    assert alice.free() == (2, 2)


def test_a_qubit_that_could_not_leave_stays(alice: Any) -> None:
    qubit = alice.prepare()
    alice.ask(TransmitQubit, qubit=qubit, remote="bob")
    alice.refuse("anything")
    assert alice.failure() == (2, "refused")
    alice.ask(Run, steps=(Measure(qubit=qubit),))
    assert len(alice.operations) == 1


@pytest.mark.parametrize("asked_first", [True, False])
def test_an_arriving_qubit_is_the_first_receiver_s(alice: Any, asked_first: bool) -> None:
    arrival = Arrived(at=0, link="alice-bob", qubit="bob#4")
    if asked_first:
        assert alice.ask(ReceiveQubit, remote="bob") == []
        alice.handle(arrival)
    else:
        assert alice.handle(arrival) == []
        alice.ask(ReceiveQubit, remote="bob")
    assert alice.answers == [Qubit(call=1, now_ps=0, qubit="bob#4")]
    assert alice.free() == (1, 2)
    alice.ask(Run, steps=(Measure(qubit="bob#4"),))
    assert len(alice.operations) == 1


def test_an_arrived_qubit_is_nobody_s_until_received(alice: Any) -> None:
    alice.handle(Arrived(at=0, link="alice-bob", qubit="bob#4"))
    alice.ask(Run, steps=(Measure(qubit="bob#4"),))
    assert alice.failure() == (1, "not_yours")


def test_arrivals_and_losses_are_handed_over_in_order(alice: Any) -> None:
    alice.handle(Arrived(at=0, link="alice-bob", qubit="bob#1"))
    alice.handle(Lost(at=0, link="alice-bob", qubit="bob#2", reason="absorbed"))
    alice.ask(ReceiveQubit, remote="bob")
    assert alice.answers == [Qubit(call=1, now_ps=0, qubit="bob#1")]
    alice.ask(ReceiveQubit, remote="bob")
    assert alice.failure() == (2, "lost")


def test_receivers_of_qubits_are_served_in_their_order(alice: Any) -> None:
    alice.ask(ReceiveQubit, remote="bob")
    alice.ask(ReceiveQubit, remote="bob")
    alice.handle(Arrived(at=0, link="alice-bob", qubit="bob#1"))
    assert alice.answers == [Qubit(call=1, now_ps=0, qubit="bob#1")]


def test_a_qubit_that_arrives_where_the_last_slot_was_just_taken_waits_for_it(driven: Any) -> None:
    """The fabric gave it the slot; this node had asked for the same one within the same window, and will be refused."""
    alice = driven("alice", "bob", communication_slots=1)
    alice.attach()
    alice.ask(RequestPairs, remote="bob")
    generation = alice.operation
    alice.ask(ReceiveQubit, remote="bob")
    assert alice.handle(Arrived(at=0, link="alice-bob", qubit="bob#0")) == []
    alice.refuse("no_slot", operation=generation)
    assert alice.answers == [Qubit(call=2, now_ps=0, qubit="bob#0")]
    assert alice.operations == []
    alice.ask(Run, steps=(Measure(qubit="bob#0"),))
    alice.complete(1)
    assert len(alice.operations) == 1, "now the attempts begin"


def test_a_receiver_of_qubits_times_out(alice: Any) -> None:
    assert alice.ask(ReceiveQubit, remote="bob", timeout_ps=10) == [SetTimer(10, ("receive_qubit", "0", 1))]
    alice.now = 10
    alice.handle(TimerFired(("receive_qubit", "0", 1)))
    assert alice.failure() == (1, "timeout")
    assert alice.handle(Arrived(at=10, link="alice-bob", qubit="bob#4")) == []


def test_a_session_s_end_forgets_its_receivers(alice: Any) -> None:
    alice.attach(1, "other")
    alice.ask(ReceiveQubit, remote="bob")
    alice.ask(ReceiveQubit, session=1, remote="bob")
    alice.handle(SessionEnded(0, "killed"))
    alice.handle(Arrived(at=0, link="alice-bob", qubit="bob#4"))
    assert alice.actions == [
        CancelTimer(("receive_qubit", "1", 2)),
        Answer(1, Qubit(call=2, now_ps=0, qubit="bob#4")),
    ]
