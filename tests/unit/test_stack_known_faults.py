"""Faults of the stack that are known and not yet mended: each test says what should be, and fails.

``strict``: whoever mends one is told by this file, and moves the test to its subject's.
"""

from __future__ import annotations

from typing import Any

import pytest

from qnode.stack.events import Asked, SessionEnded, SetTimer, TimerFired
from qnode.wire import fabric
from qnode.wire.application import (
    CancelRequest,
    Detach,
    Measured,
    Pair,
    ReceiveMessage,
    ReceiveTeleported,
    RequestPairs,
    Run,
    Sleep,
)
from qnode.wire.peer import PairDiscarded, TeleportOutcome
from qnode.wire.quantum import Discard, Measure, Move, Prepare

PAIR = "alice-bob/0"


def slots_are_sound(alice: Any) -> None:
    free = [id(slot) for slots in alice.node.core.memory._free.values() for slot in slots]
    assert len(set(free)) == len(free), "a slot is free twice"


@pytest.mark.xfail(strict=True, raises=KeyError, reason="a request behind a detach ends the node process")
def test_a_request_behind_a_detach(alice: Any) -> None:
    alice.ask(Detach)
    alice.handle(Asked(0, Sleep(call=2, duration_ps=1)))


@pytest.mark.xfail(strict=True, reason="undo_move frees the new slot a second time and loses the old one")
def test_a_qubit_is_measured_before_its_move_ends(alice: Any) -> None:
    qubit = alice.prepare()
    alice.ask(Run, steps=(Move(qubit=qubit, role="communication"),))
    move = alice.operation
    alice.ask(Run, steps=(Measure(qubit=qubit),))
    alice.complete(1)
    alice.refuse("gone", operation=move)
    slots_are_sound(alice)


@pytest.mark.xfail(strict=True, reason="the same, when an application ends during a move")
def test_a_session_ends_during_a_move(alice: Any) -> None:
    qubit = alice.prepare()
    alice.ask(Run, steps=(Move(qubit=qubit, role="communication"),))
    move = alice.operation
    alice.handle(SessionEnded(0, "killed"))
    alice.complete()
    alice.refuse("gone", operation=move)
    slots_are_sound(alice)


@pytest.mark.xfail(strict=True, reason="the qubit lives on in the fabric, unknown to its node, and keeps a slot there")
def test_a_session_ends_during_a_preparation(alice: Any) -> None:
    alice.ask(Run, steps=(Prepare(),))
    prepare = alice.operation
    alice.handle(SessionEnded(0, "killed"))
    alice.refuse("gone", "qubit alice#0 does not exist")  # the discard comes before the qubit
    alice.complete(operation=prepare)
    assert [each.action for each in alice.operations] == [fabric.Circuit(steps=(Discard(qubit="alice#0"),))]


@pytest.mark.xfail(strict=True, reason="memory follows a circuit as if none of its steps were done")
def test_a_circuit_is_refused_after_some_of_its_steps_were_done(alice: Any) -> None:
    qubit = alice.prepare()
    alice.ask(Run, steps=(Measure(qubit=qubit), Prepare()))
    alice.refuse("no_slot", "step 1: all 2 storage slots of alice are occupied; the 1 steps before it were done")
    assert qubit not in alice.node.core.memory.qubits, "it was measured, its slot stays bound for ever"


@pytest.mark.xfail(strict=True, reason="IllegalTransition ends the node process: leaving -> unpair")
def test_an_outcome_arrives_while_the_half_is_being_measured(alice: Any) -> None:
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))


@pytest.mark.xfail(strict=True, reason="the call stays open for ever")
def test_a_receiver_whose_half_was_measured_is_answered(alice: Any) -> None:
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    alice.complete(0)
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))
    assert alice.node.core.sessions[0].open_calls == set()


@pytest.mark.xfail(strict=True, reason="a cutoff at this end does not tell the call that waits for the pair's outcome")
def test_a_receiver_whose_pair_grew_too_old_is_answered(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100)
    alice.attach()
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.now = 100
    alice.handle(TimerFired(("cutoff", "alice#0", 0)))
    assert alice.failure() == (2, "discarded")


@pytest.mark.xfail(strict=True, reason="and if the outcome comes while the half is being discarded, the node process ends")
def test_an_outcome_arrives_while_the_half_is_being_discarded(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100)
    alice.attach()
    alice.pair()
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    alice.now = 100
    alice.handle(TimerFired(("cutoff", "alice#0", 0)))
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))


@pytest.mark.xfail(strict=True, reason="an outcome that nobody asks for is kept beyond its qubit; 4096 of them block all")
def test_an_outcome_is_forgotten_with_its_qubit(alice: Any) -> None:
    alice.pair()
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    alice.complete(0)
    assert alice.node.teleportation.outcomes == {}


@pytest.mark.xfail(strict=True, raises=IndexError, reason="the node has taken its last slot in the same window: it ends")
def test_a_qubit_arrives_where_the_last_slot_was_just_taken(driven: Any) -> None:
    alice = driven("alice", "bob", communication_slots=1)
    alice.attach()
    alice.ask(RequestPairs, remote="bob")
    alice.handle(fabric.Arrived(at=0, link="alice-bob", qubit="bob#0"))


@pytest.mark.xfail(strict=True, reason="the timer fires in the past, and the fabric then ends the whole run")
def test_a_deadline_in_the_past_is_refused(alice: Any) -> None:
    alice.now = 100
    alice.ask(ReceiveMessage, peer="bob", timeout_ps=-50)
    assert alice.failure() == (1, "bad_request")


@pytest.mark.xfail(strict=True, raises=OverflowError, reason="10^21 ps is more than a MessagePack integer: the node ends")
def test_the_longest_sleep_fits_into_a_frame(alice: Any) -> None:
    alice.now = 100
    alice.ask(Sleep, duration_ps=2**64 - 1)
    for action in alice.actions:
        if isinstance(action, SetTimer):
            fabric.to_fabric.encode(fabric.Block(wake_at=action.at))


@pytest.mark.xfail(strict=True, reason="requests are told apart by call number, not by themselves")
def test_a_call_number_used_again_is_another_request(alice: Any) -> None:
    alice.ask(RequestPairs, call=1, remote="bob", kind="M")
    alice.herald(PAIR, operation=0)
    old = alice.operation
    alice.ask(CancelRequest, call=2, request=1)
    alice.ask(RequestPairs, call=1, remote="bob", kind="M", number=5)
    alice.complete(1, operation=old)
    assert not any(isinstance(answer, Measured) for answer in alice.answers)


@pytest.mark.xfail(strict=True, reason="the correction goes on and hands over a pair that is being discarded")
def test_a_pair_that_dies_while_it_is_corrected_is_not_delivered(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.herald(PAIR, operation=0, bell_index=3)
    correction = alice.operation
    alice.hear("bob", PairDiscarded(pair_id=PAIR, reason="older than the cutoff"))
    alice.complete(operation=correction)
    assert not any(isinstance(answer, Pair) for answer in alice.answers)


@pytest.mark.xfail(strict=True, reason="told before its own herald (a classical link faster than the fibre), it forgets")
def test_a_discard_that_overtakes_the_herald_is_remembered(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.hear("bob", PairDiscarded(pair_id=PAIR, reason="older than the cutoff"))
    alice.herald(PAIR, operation=0)
    assert not any(isinstance(answer, Pair) for answer in alice.answers)


@pytest.mark.xfail(strict=True, reason="told before its own herald (a classical link faster than the fibre), it forgets")
def test_an_outcome_that_overtakes_the_herald_is_remembered(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.hear("bob", TeleportOutcome(pair_id=PAIR, bits=(0, 0)))
    alice.herald(PAIR, operation=0)
    alice.ask(ReceiveTeleported, pair_id=PAIR)
    assert alice.answers
