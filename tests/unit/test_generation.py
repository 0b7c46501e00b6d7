"""Who asks at either end of a link, and what a cancellation leaves behind."""

from __future__ import annotations

import pytest

from orchestrator.fabric.clock import Agenda, EventClass
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.generation import Ask, LinkGeneration
from orchestrator.fabric.operating_points import operating_models
from orchestrator.fabric.streams import Streams
from orchestrator.scenario import Link, Source


def generation(probability: float = 0.5, cycle_s: float = 1e-6) -> LinkGeneration:
    heralding = Source(success_probability=probability, attempt_cycle_s=cycle_s)
    link = Link(ends=("A", "B"), length_km=0.001, heralding=heralding)
    return LinkGeneration("l", link, operating_models(link), Streams(1).of("link", "l"))


def ask(end: int, operation: int, *, at: int = 0, purpose: str = "") -> Ask:
    return Ask(end, operation, f"{'AB'[end]}#{operation}", purpose, at)


def test_attempts_start_when_both_ends_ask() -> None:
    link = generation()
    assert link.ask(ask(0, 1, at=5)) is None
    series = link.ask(ask(1, 9, at=70))
    assert series is not None
    assert series.started_at == 70
    assert series.heralded_at[0] == 70 + (series.attempts - 1) * 10**6 + link.models[0].herald_delay_ps[0]


def test_ends_are_matched_by_purpose_in_the_order_of_asking() -> None:
    link = generation()
    assert link.ask(ask(0, 1, purpose="x")) is None
    assert link.ask(ask(1, 2, purpose="y")) is None
    series = link.ask(ask(1, 3, purpose="x"))
    assert series is not None
    assert [each.operation for each in series.asks] == [1, 3]
    assert link.ask(ask(0, 4, purpose="y")) is None, "one series at a time"
    following = link.succeeded(series)
    assert following is not None
    assert [each.operation for each in following.asks] == [4, 2]
    assert following.started_at >= series.free_at
    assert (series.pair_id, following.pair_id) == ("l/0", "l/1")


def test_an_end_that_cancels_stops_the_attempts_and_the_other_goes_on_asking() -> None:
    link = generation(probability=1e-6)
    link.ask(ask(0, 1))
    series = link.ask(ask(1, 2))
    assert series is not None
    assert series.attempts > 1
    assert link.cancel(0, 1, 500) == ("A#1", None)
    assert series.cancelled
    again = link.ask(ask(0, 3, at=900))
    assert again is not None
    assert [each.operation for each in again.asks] == [3, 2]
    assert again.started_at == 900


def test_what_is_heralded_already_cannot_be_cancelled() -> None:
    link = generation(probability=1.0)
    link.ask(ask(0, 1))
    series = link.ask(ask(1, 2))
    assert series is not None
    assert link.cancel(1, 2, series.decided_at) == (None, None)
    assert not series.cancelled


def test_cancelling_a_matched_pair_that_waits_its_turn() -> None:
    link = generation(probability=1e-6)
    for end, operation in ((0, 1), (1, 2), (0, 3), (1, 4)):
        link.ask(ask(end, operation))
    assert link.cancel(0, 3, 10) == ("A#3", None)
    qubit, following = link.cancel(0, 1, 20)
    assert (qubit, following) == ("A#1", None)
    again = link.ask(ask(0, 5, at=30))
    assert again is not None
    assert [each.operation for each in again.asks] == [5, 2], "the one that was trying is first again"


def test_a_link_that_can_never_succeed_never_does() -> None:
    link = generation(probability=1e-300)
    link.ask(ask(0, 1))
    assert link.ask(ask(1, 2)) is None
    assert link.cancel(0, 1, 7) == ("A#1", None)


def test_streams_do_not_depend_on_who_asks_first() -> None:
    first, second = Streams(3), Streams(3)
    drawn = [first.of("measure", name).uniform() for name in ("a", "b")]
    assert drawn == list(reversed([second.of("measure", name).uniform() for name in ("b", "a")]))
    assert len({*drawn, first.of("link", "a").uniform(), Streams(4).of("measure", "a").uniform()}) == 4


def test_the_agenda_is_a_total_order() -> None:
    agenda: Agenda[str] = Agenda(lookahead_ps=10)
    agenda.add(5, EventClass.MESSAGE, 0, "message of 0")
    agenda.add(5, EventClass.MESSAGE, 1, "message of 1")
    agenda.add(5, EventClass.OPERATION, 1, "operation of 1")
    agenda.add(5, EventClass.OPERATION, 0, "first operation of 0")
    agenda.add(5, EventClass.OPERATION, 0, "second operation of 0")
    agenda.add(20, EventClass.WAKE, 0, "later")
    now, until = agenda.window()
    assert (now, until) == (5, 15)
    assert [what for _, what in agenda.take(until)] == [
        "first operation of 0",
        "second operation of 0",
        "operation of 1",
        "message of 0",
        "message of 1",
    ]
    assert agenda.next_time() == 20
    with pytest.raises(ValueError, match="virtual time is already 5 ps"):
        agenda.add(4, EventClass.WAKE, 0, "too late")


def test_the_digest_is_of_lines_in_the_order_of_time() -> None:
    first, second, other = EventLog(None), EventLog(None), EventLog(None)
    first.write(2, "b", x=1)
    first.write(1, "a")
    second.write(1, "a")
    second.write(2, "b", x=1)
    other.write(1, "a")
    other.write(2, "b", x=2)
    for log in (first, second, other):
        log.close_window()
    assert first.digest == second.digest != other.digest
