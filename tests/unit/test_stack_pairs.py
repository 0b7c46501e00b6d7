"""Pair requests of kinds K, M and R: attempts, heralds, Pauli frames, deadlines, cancellations, cutoffs."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from qnode.config import LinkConfiguration, OperatingPoint
from qnode.stack.events import Answer, CancelTimer, Operate, Record, SendTo, SessionEnded, SetTimer, TimerFired
from qnode.stack.pair_requests import turned
from qnode.wire.application import (
    BellPair,
    CancelRequest,
    Failed,
    Measured,
    NextPair,
    Pair,
    RequestPairs,
    Run,
)
from qnode.wire.fabric import Cancel, Circuit, Generate
from qnode.wire.peer import PairDiscarded, PreparedRemotely
from qnode.wire.quantum import BELL_STATES, Discard, Gate, Measure, Move

LINK = "alice-bob"
PAIR_0, PAIR_1 = f"{LINK}/0", f"{LINK}/1"
DISCARD_0 = Circuit(steps=(Discard(qubit="alice#0"),))


def wanted(alice: Any) -> list[Any]:
    return [each.action for each in alice.operations]


# Kind K


def test_a_request_starts_attempts_and_a_herald_of_phi_plus_delivers(alice: Any) -> None:
    assert alice.ask(RequestPairs, remote="bob", purpose="p") == [
        Operate(0, Generate(link=LINK, qubit="alice#0", purpose="p"))
    ]
    alice.now = 50
    pair = BellPair(
        pair_id=PAIR_0,
        qubit="alice#0",
        remote="bob",
        bell_state="PHI_PLUS",
        goodness=0.9,
        emitted_at_ps=20,
        heralded_at_ps=50,
    )
    assert alice.herald(PAIR_0, operation=0, emitted_at=20) == [
        Record("pair_delivered", {"application": "app", "pair": PAIR_0}),
        Answer(0, Pair(call=1, now_ps=50, request=1, pair=pair)),
        CancelTimer(("pairs", "0", 1)),
    ]


@pytest.mark.parametrize(("index", "gates"), [(0, ""), (1, "Z"), (2, "X"), (3, "XZ")])
def test_the_correcting_end_turns_every_bell_state_into_phi_plus(alice: Any, index: int, gates: str) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.herald(PAIR_0, operation=0, bell_index=index)
    if gates:
        steps = tuple(Gate(name=name, qubits=("alice#0",)) for name in gates)
        assert wanted(alice) == [Circuit(steps=steps)]
        assert alice.answers == []
        alice.complete()
    assert alice.answers[0].pair.bell_state == "PHI_PLUS"


@pytest.mark.parametrize("index", range(4))
def test_the_other_end_never_corrects(driven: Any, index: int) -> None:
    link = LinkConfiguration(name=LINK, remote="bob", goodness=1.0, corrects=False)
    alice = driven("alice", "bob", links=(link,))
    alice.attach()
    alice.ask(RequestPairs, remote="bob")
    alice.herald(PAIR_0, operation=0, bell_index=index)
    assert alice.answers[0].pair.bell_state == "PHI_PLUS"
    assert alice.operations == []


@pytest.mark.parametrize("index", range(4))
def test_as_heralded_leaves_the_state_and_names_it(alice: Any, index: int) -> None:
    alice.ask(RequestPairs, remote="bob", as_heralded=True)
    (generate,) = wanted(alice)
    assert generate.purpose != "", "an end that corrects must not meet one that does not"
    alice.herald(PAIR_0, operation=0, bell_index=index)
    assert alice.operations == []
    assert alice.answers[0].pair.bell_state == BELL_STATES[index]


def test_pairs_come_one_by_one_as_they_are_asked_for(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", number=3)
    alice.herald(PAIR_0, operation=0)
    assert alice.answers[0].request == 1
    (generate,) = wanted(alice)
    assert generate.qubit == "alice#1", "the link goes on while a slot is free"
    alice.herald(PAIR_1, operation=1)
    assert (alice.answers, alice.operations) == ([], []), "nobody waits, and memory is full"
    alice.ask(NextPair, request=1)
    assert (alice.answers[0].call, alice.answers[0].pair.pair_id) == (2, PAIR_1)
    alice.ask(NextPair, request=1)
    assert alice.actions == []
    alice.ask(NextPair, request=1)
    assert alice.failure() == (4, "bad_request"), "one call waits already"
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    alice.complete(1)
    assert wanted(alice) == [Generate(link=LINK, qubit="alice#2")], "the freed slot is used at once"
    alice.herald(f"{LINK}/2", operation=alice.operation)
    assert [answer.call for answer in alice.answers] == [3]
    alice.ask(NextPair, request=1)
    assert alice.failure() == (6, "bad_request"), "the request is over"


def test_no_attempts_without_a_free_slot(driven: Any) -> None:
    alice = driven("alice", "bob", communication_slots=1)
    alice.attach()
    qubit = alice.prepare(role="communication")
    alice.ask(RequestPairs, remote="bob")
    assert alice.actions == []
    alice.ask(Run, steps=(Move(qubit=qubit, role="storage"),))
    alice.complete()
    assert wanted(alice) == [Generate(link=LINK, qubit="alice#1")]


def test_a_node_without_communication_slots_says_so(driven: Any) -> None:
    alice = driven("alice", "bob", communication_slots=0)
    alice.attach()
    alice.ask(RequestPairs, remote="bob")
    assert alice.failure() == (1, "no_slot")


def test_more_fidelity_than_the_link_has_is_refused(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", minimum_fidelity=0.91)
    assert alice.failure() == (1, "unsupported")
    alice.ask(RequestPairs, remote="bob", minimum_fidelity=0.9)
    assert len(alice.operations) == 1


def test_one_purpose_generates_for_one_request_at_a_time_in_their_order(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.ask(RequestPairs, remote="bob")
    assert alice.operations == []
    alice.ask(RequestPairs, remote="bob", purpose="other")
    assert wanted(alice) == [Generate(link=LINK, qubit="alice#1", purpose="other")]
    alice.herald(PAIR_0, operation=0)
    assert alice.answers[0].call == 1


# Kind M


@pytest.mark.parametrize(("corrects", "index"), list(itertools.product((True, False), range(4))))
def test_m_measures_along_an_axis_turned_by_the_frame(driven: Any, corrects: bool, index: int) -> None:
    link = LinkConfiguration(name=LINK, remote="bob", goodness=1.0, corrects=corrects)
    alice = driven("alice", "bob", links=(link,))
    alice.attach()
    alice.ask(RequestPairs, remote="bob", kind="M", axis=(0.1, 0.2, 0.3))
    alice.herald(PAIR_0, operation=0, bell_index=index)
    signs = {0: (1, 1, 1), 1: (-1, -1, 1), 2: (1, -1, -1), 3: (-1, 1, -1)}[index if corrects else 0]
    ((measure,),) = [circuit.steps for circuit in wanted(alice)]
    assert measure.axis == tuple(sign * value for sign, value in zip(signs, (0.1, 0.2, 0.3), strict=True))


@pytest.mark.parametrize("axis", ["X", "Y", "Z", (0.6, 0.0, 0.8), (0.3, -0.5, 0.1)])
@pytest.mark.parametrize(("x", "z"), list(itertools.product((0, 1), repeat=2)))
def test_turning_the_axis_is_doing_the_gates(axis: Any, x: int, z: int) -> None:
    """P+(turned) = U^dagger P+(axis) U with U = Z^z X^x, compared as matrices."""
    import numpy as np

    paulis = [np.array(m, complex) for m in ([[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]])]

    def operator(direction: Any) -> Any:
        vector = (
            {"X": (1, 0, 0), "Y": (0, 1, 0), "Z": (0, 0, 1)}[direction] if isinstance(direction, str) else direction
        )
        return sum(component * pauli for component, pauli in zip(vector, paulis, strict=True))

    gates = np.linalg.matrix_power(paulis[2], z) @ np.linalg.matrix_power(paulis[0], x)
    assert np.allclose(operator(turned(axis, x, z)), gates.conj().T @ operator(axis) @ gates)


def test_m_answers_once_with_all_bits_in_the_order_of_the_pairs(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", kind="M", number=2)
    alice.herald(PAIR_0, operation=0)
    first, second = alice.operations
    assert (first.action.steps, second.action.qubit) == ((Measure(qubit="alice#0"),), "alice#1")
    alice.herald(PAIR_1, operation=second.operation)
    alice.complete(0)
    assert alice.answers == []
    alice.complete(1, operation=first.operation)
    assert alice.answers == [Measured(call=1, now_ps=0, pair_ids=(PAIR_0, PAIR_1), bits=(1, 0))]
    assert alice.free() == (2, 2)


def test_m_gets_another_pair_for_one_that_was_lost(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", kind="M")
    alice.herald(PAIR_0, operation=0)
    alice.refuse("gone")
    assert wanted(alice) == [Generate(link=LINK, qubit="alice#1")]
    alice.herald(PAIR_1, operation=alice.operation)
    alice.complete(1)
    assert alice.answers == [Measured(call=1, now_ps=0, pair_ids=(PAIR_1,), bits=(1,))]


# Kind R


def test_r_with_an_axis_measures_and_tells_the_other_end(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", kind="R", axis="X")
    alice.herald(PAIR_0, operation=0)
    assert wanted(alice) == [Circuit(steps=(Measure(qubit="alice#0", axis="X"),))]
    alice.complete(1)
    assert alice.sent == [SendTo("bob", PreparedRemotely(pair_id=PAIR_0, axis="X", bit=1))]
    assert alice.answers == [Measured(call=1, now_ps=0, pair_ids=(PAIR_0,), bits=(1,))]


@pytest.mark.parametrize("told_first", [True, False])
def test_r_without_an_axis_waits_until_it_is_told(alice: Any, told_first: bool) -> None:
    told = PreparedRemotely(pair_id=PAIR_0, axis=(0.0, 0.0, 1.0), bit=1)
    alice.ask(RequestPairs, remote="bob", kind="R")
    if told_first:
        alice.hear("bob", told)
        alice.herald(PAIR_0, operation=0)
    else:
        alice.herald(PAIR_0, operation=0)
        assert alice.answers == []
        alice.hear("bob", told)
    (answer,) = alice.answers
    assert (answer.pair.remote_axis, answer.pair.remote_bit) == ((0.0, 0.0, 1.0), 1)
    alice.hear("bob", told)
    assert alice.answers == [], "told twice, delivered once"


# Deadlines and cancellations


def test_a_deadline_ends_the_request_and_stops_the_attempts(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", number=2, timeout_ps=100)
    assert SetTimer(100, ("pairs", "0", 1)) in alice.actions
    alice.herald(PAIR_0, operation=0)
    alice.ask(NextPair, request=1)
    alice.now = 100
    alice.handle(TimerFired(("pairs", "0", 1)))
    assert alice.failure() == (2, "timeout")
    assert "1 of 2 pairs with bob" in alice.answers[0].reason
    assert wanted(alice) == [Cancel(operation=1)]
    alice.complete(1)
    assert alice.free() == (1, 2), "the delivered pair is still the application's"


def test_a_deadline_after_the_end_changes_nothing(alice: Any) -> None:
    alice.pair(timeout_ps=100)
    assert alice.handle(TimerFired(("pairs", "0", 1))) == []


def test_cancelling_frees_the_slot_once_the_fabric_says_so(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.ask(CancelRequest, request=1)
    assert wanted(alice) == [Cancel(operation=0)]
    assert [(answer.call, answer.__struct_config__.tag) for answer in alice.answers] == [(1, "failed"), (2, "done")]
    assert alice.free() == (1, 2)
    alice.complete(1)
    assert alice.free() == (2, 2)


@pytest.mark.parametrize("herald_first", [True, False])
def test_a_herald_that_was_on_its_way_is_discarded_and_the_other_end_told(alice: Any, herald_first: bool) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.ask(CancelRequest, request=1)
    cancel = alice.operation
    if not herald_first:
        alice.complete(0, operation=cancel)
        assert alice.free() == (1, 2)
    alice.herald(PAIR_0, operation=0)
    assert wanted(alice) == [DISCARD_0]
    (sent,) = alice.sent
    assert (sent.to, sent.message.pair_id) == ("bob", PAIR_0)
    assert alice.answers == []
    alice.complete()
    if herald_first:
        alice.complete(0, operation=cancel)
    assert alice.free() == (2, 2)


def test_a_new_request_of_the_same_purpose_waits_for_the_old_one_s_attempts_to_stop(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.ask(CancelRequest, request=1)
    cancel = alice.operation
    alice.ask(RequestPairs, remote="bob")
    assert alice.operations == []
    alice.complete(1, operation=cancel)
    assert wanted(alice) == [Generate(link=LINK, qubit="alice#1")]


def test_cancelling_discards_pairs_that_were_not_handed_over(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", number=3)
    alice.herald(PAIR_0, operation=0)
    alice.herald(PAIR_1, operation=1)
    alice.ask(CancelRequest, request=1)
    assert wanted(alice) == [Circuit(steps=(Discard(qubit="alice#1"),))]
    assert [sent.message.pair_id for sent in alice.sent] == [PAIR_1]
    assert [answer.call for answer in alice.answers] == [2], "no call was waiting for it"


def test_a_refused_generation_fails_its_request(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.refuse("bad_request", "no such link")
    assert alice.answers == [Failed(call=1, now_ps=0, code="cancelled", reason="no such link")]
    assert alice.free() == (2, 2)


def test_a_generation_whose_slot_an_arriving_qubit_took_is_tried_again(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.refuse("no_slot")
    assert alice.answers == []
    assert wanted(alice) == [], "trying again at once would be in vain, and without end"
    qubit = alice.prepare()
    alice.ask(Run, steps=(Discard(qubit=qubit),))
    alice.complete()
    assert wanted(alice) == [Generate(link=LINK, qubit="alice#2")]


def test_a_call_number_used_again_is_another_request(alice: Any) -> None:
    alice.ask(RequestPairs, call=1, remote="bob", kind="M")
    alice.herald(PAIR_0, operation=0)
    old = alice.operation
    alice.ask(CancelRequest, call=2, request=1)
    alice.ask(RequestPairs, call=1, remote="bob", kind="M", number=5)
    alice.complete(1, operation=old)
    assert alice.answers == []
    assert alice.node.pair_requests.requests[(0, 1)].asked.number == 5


def test_a_late_herald_of_a_cancelled_m_is_discarded_and_not_measured(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", kind="M")
    alice.ask(CancelRequest, request=1)
    alice.herald(PAIR_0, operation=0)
    assert wanted(alice) == [DISCARD_0]
    assert [sent.message.pair_id for sent in alice.sent] == [PAIR_0]


@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_pair_that_dies_while_it_is_corrected_is_replaced(alice: Any, index: int) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.herald(PAIR_0, operation=0, bell_index=index)
    correction = alice.operation
    alice.hear("bob", PairDiscarded(pair_id=PAIR_0, reason="older than the cutoff"))
    alice.complete(operation=correction)
    assert alice.answers == []
    assert [type(action) for action in wanted(alice)] == [Circuit, Generate]
    assert DISCARD_0 in wanted(alice)


def test_a_pair_that_could_not_be_corrected_is_replaced(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob")
    alice.herald(PAIR_0, operation=0, bell_index=1)
    alice.refuse("limit")
    assert alice.answers == []
    assert [sent.message.pair_id for sent in alice.sent] == [PAIR_0]
    assert [type(action) for action in wanted(alice)] == [Circuit, Generate]


def test_a_discard_that_overtakes_the_herald_is_remembered(alice: Any) -> None:
    """A classical link may be faster than the fibre that the herald comes through."""
    alice.ask(RequestPairs, remote="bob")
    assert alice.hear("bob", PairDiscarded(pair_id=PAIR_0, reason="older than the cutoff")) == []
    alice.herald(PAIR_0, operation=0)
    assert DISCARD_0 in wanted(alice)
    assert alice.sent == []


def test_news_of_a_pair_counts_only_from_its_other_end(driven: Any) -> None:
    alice = driven("alice", "bob", "carol")
    alice.attach()
    alice.pair()
    (record,) = alice.hear("carol", PairDiscarded(pair_id=PAIR_0, reason="mine"))
    assert record.kind == "message_dropped"
    assert PAIR_0 in alice.node.core.memory.halves


def test_news_of_pairs_that_never_come_is_not_kept(alice: Any) -> None:
    alice.pair("alice-bob/5")
    for pair in ("alice-bob/5x", "alice-bob/4", "elsewhere/9", "nonsense", "alice-bob/-1", "alice-bob/\u00b2"):
        assert alice.hear("bob", PairDiscarded(pair_id=pair, reason="r")) == []
    assert alice.node._early == {}


def test_a_session_s_end_stops_attempts_and_gives_back_everything(alice: Any) -> None:
    alice.ask(RequestPairs, remote="bob", number=2, timeout_ps=100)
    alice.herald(PAIR_0, operation=0)
    alice.handle(SessionEnded(0, "killed"))
    assert wanted(alice) == [Cancel(operation=1), DISCARD_0]
    cancel, discard = (each.operation for each in alice.operations)
    alice.complete(operation=discard)
    alice.herald(PAIR_1, operation=1)
    assert alice.answers == []
    last = alice.operation
    alice.complete(operation=last)
    alice.complete(0, operation=cancel)
    assert alice.free() == (2, 2)
    assert (alice.node.pair_requests.requests, alice.node.link_layer.generating) == ({}, {})


# Cutoffs, and pairs that die


def test_a_pair_older_than_the_cutoff_is_discarded_and_both_ends_know(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100)
    alice.attach()
    alice.ask(RequestPairs, remote="bob")
    alice.now = 30
    alice.herald(PAIR_0, operation=0, emitted_at=10)
    assert SetTimer(110, ("cutoff", "alice#0", 0)) in alice.actions
    alice.now = 110
    alice.handle(TimerFired(("cutoff", "alice#0", 0)))
    assert wanted(alice) == [DISCARD_0]
    assert alice.sent == [SendTo("bob", PairDiscarded(pair_id=PAIR_0, reason="older than the cutoff"))]
    alice.complete()
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    assert alice.failure() == (2, "discarded")


def test_the_cutoff_of_the_slot_that_it_was_moved_to_counts(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100, storage_cutoff_ps=1000)
    alice.attach()
    alice.pair()
    alice.ask(Run, steps=(Move(qubit="alice#0", role="storage"),))
    alice.now = 50
    alice.complete()
    assert SetTimer(1000, ("cutoff", "alice#0", 0)) in alice.actions
    alice.now = 100
    assert alice.handle(TimerFired(("cutoff", "alice#0", 0))) == [], "the old timer finds it young enough"
    alice.now = 1000
    alice.handle(TimerFired(("cutoff", "alice#0", 0)))
    assert wanted(alice) == [DISCARD_0]


def test_a_cutoff_comes_too_late_for_a_qubit_that_is_being_measured(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100)
    alice.attach()
    alice.pair()
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    alice.now = 100
    assert alice.handle(TimerFired(("cutoff", "alice#0", 0))) == []


def test_a_pair_that_waits_for_its_application_is_replaced_when_it_dies(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100)
    alice.attach()
    alice.ask(RequestPairs, remote="bob", number=2)
    alice.herald(PAIR_0, operation=0)
    alice.herald(PAIR_1, operation=1)
    alice.now = 100
    alice.handle(TimerFired(("cutoff", "alice#1", 0)))
    alice.complete()
    assert wanted(alice) == [Generate(link=LINK, qubit="alice#2")]


def test_a_pair_discarded_at_the_other_end_is_discarded_here_without_an_echo(alice: Any) -> None:
    alice.pair()
    alice.hear("bob", PairDiscarded(pair_id=PAIR_0, reason="older than the cutoff"))
    assert wanted(alice) == [DISCARD_0]
    assert alice.sent == []
    discard = alice.operation
    assert alice.hear("bob", PairDiscarded(pair_id=PAIR_0, reason="again")) == []
    alice.complete(operation=discard)
    assert alice.hear("bob", PairDiscarded(pair_id=PAIR_0, reason="again")) == []
    alice.ask(Run, steps=(Measure(qubit="alice#0"),))
    (answer,) = alice.answers
    assert answer.code == "discarded"
    assert "older than the cutoff" in answer.reason


def test_both_ends_may_discard_at_once(driven: Any) -> None:
    alice = driven("alice", "bob", communication_cutoff_ps=100)
    alice.attach()
    alice.pair()
    alice.now = 100
    alice.handle(TimerFired(("cutoff", "alice#0", 0)))
    discard = alice.operation
    assert alice.hear("bob", PairDiscarded(pair_id=PAIR_0, reason="older than the cutoff")) == []
    alice.complete(operation=discard)
    assert alice.free() == (2, 2)


def test_a_link_with_a_knob_is_turned_until_its_pairs_are_as_good_as_asked_for(driven: Any) -> None:
    points = tuple(
        OperatingPoint(rate_hz=rate, spectrum=(fidelity, 1 - fidelity, 0.0, 0.0))
        for rate, fidelity in ((100.0, 0.9), (50.0, 0.95), (25.0, 0.975))
    )
    link = LinkConfiguration(
        name=LINK, remote="bob", goodness=0.9, corrects=False, operating_points=points, cycle_ps=1000
    )
    alice = driven("alice", "bob", links=(link,))
    alice.attach()
    for asked, point, goodness in ((0.0, 0, 0.9), (0.92, 1, 0.95), (0.975, 2, 0.975)):
        alice.ask(RequestPairs, remote="bob", minimum_fidelity=asked, purpose=str(point))
        (operation,) = alice.operations
        assert operation.action.operating_point == point
        alice.herald(f"{LINK}/{point}", operation=operation.operation)
        (answer,) = alice.answers
        assert answer.pair.goodness == goodness
        alice.ask(Run, steps=(Discard(qubit=answer.pair.qubit),))
        alice.complete()
    alice.ask(RequestPairs, remote="bob", minimum_fidelity=0.98)
    assert alice.failure()[1] == "unsupported"


def test_a_deadline_before_the_first_attempts_end_is_refused_at_once(driven: Any) -> None:
    link = LinkConfiguration(name=LINK, remote="bob", goodness=0.9, corrects=False, cycle_ps=1000)
    alice = driven("alice", "bob", links=(link,))
    alice.attach()
    alice.ask(RequestPairs, remote="bob", number=3, timeout_ps=2999)
    assert alice.failure()[1] == "no_time"
    assert not alice.node.pair_requests.requests
    alice.ask(RequestPairs, remote="bob", number=3, timeout_ps=3000)
    assert alice.operations
