"""The blocking flavour of the SDK: calls that are begun and not waited for, and whom each answer reaches."""

from __future__ import annotations

from typing import Any

import pytest

from qnode.sdk import calls
from qnode.sdk.blocking import Session
from qnode.sdk.errors import RunEnded, TimedOut
from qnode.wire.application import Attached, Done, Failed, Received


class FakeConnection:
    """A node that answers what it is told to, and notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.answers: list[Any] = []
        self.node = "alice"
        self.closed = False
        self._calls = 0

    def send_attach(self) -> int:
        return 0

    def attached(self, answer: Any) -> Any:
        return answer

    def send_call(self, call: Any, *, waiting: bool) -> int:
        self._calls += 1
        self.heard.append(f"{self._calls} {call.request.__struct_config__.tag} {'waiting' if waiting else 'on'}")
        return self._calls

    def send_wait(self) -> None:
        self.heard.append("wait")

    def wait_for_answer(self, *, deadline_s: float | None = None) -> Any:
        return self.answers.pop(0) if self.heard else None

    def close(self, *, linger_ms: int = 0) -> None:
        self.closed = True


@pytest.fixture
def connection() -> FakeConnection:
    return FakeConnection()


@pytest.fixture
def session(connection: FakeConnection) -> Session:
    return Session(connection)  # type: ignore[arg-type]


def message(call: int, text: str = "hi") -> Received:
    return Received(call=call, now_ps=1, sender="bob", sender_application="x", tag="", payload=text.encode())


def test_an_answer_to_an_earlier_call_lets_the_node_know_that_the_later_one_is_still_waited_for(
    session: Session, connection: FakeConnection
) -> None:
    """Or else virtual time would stand still for ever: an answer ends the waiting at the node."""
    pending = session.begin(calls.receive("bob"))
    connection.answers = [message(1), Done(call=2, now_ps=1)]
    session.sleep(1.0)
    assert connection.heard == ["1 receive on", "2 sleep waiting", "wait"]
    assert pending.answered
    assert pending.result() == b"hi"
    assert connection.heard[-1] == "wait", "its result was there"


def test_one_waits_for_whichever_comes_first(session: Session, connection: FakeConnection) -> None:
    first, second = session.begin(calls.receive("bob")), session.begin(calls.sleep(1.0))
    connection.answers = [Done(call=2, now_ps=1)]
    session.wait_any(first, second)
    assert (first.answered, second.answered) == (False, True)
    session.wait_any(first, second)
    assert connection.heard.count("wait") == 1
    connection.answers = [Failed(call=1, now_ps=1, code="timeout", reason="late")]
    with pytest.raises(TimedOut, match="late"):
        first.result()


def test_what_is_called_with_an_answer_may_call_in_turn(session: Session, connection: FakeConnection) -> None:
    """The outer call's answer may come while the inner one waits, and is not lost."""
    done: list[str] = []

    def then() -> None:
        session.sleep(1.0)
        done.append("inner")

    session.begin(calls.receive("bob")).then = then
    connection.answers = [message(1), Done(call=2, now_ps=1), Done(call=3, now_ps=1)]
    session.sleep(1.0)
    assert done == ["inner"]
    assert not connection.answers


def test_the_end_of_the_run_ends_every_call(session: Session, connection: FakeConnection) -> None:
    pending = session.begin(calls.receive("bob"))
    connection.answers = [Failed(call=1, now_ps=1, code="stopped", reason="the run is over")]
    for _ in range(2):
        with pytest.raises(RunEnded, match="over"):
            session.sleep(1.0)
    assert connection.closed
    with pytest.raises(RunEnded, match="over"):
        pending.result()


def test_an_attached_session_is_as_the_node_says() -> None:
    connection = FakeConnection()
    told = Attached(
        call=0, now_ps=0, version=3, node="a", process_id=1, neighbours=(), communication_slots=1, storage_slots=1
    )
    connection.heard = ["attach"]
    connection.answers = [told]
    assert Session(connection).attached is told  # type: ignore[arg-type]
