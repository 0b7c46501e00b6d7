"""The shell between a fake transport and a real stack: whose turn it is, when time goes on, what ends a session."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pytest

from qnode.config import ApplicationLimits, LinkConfiguration, NodeConfiguration
from qnode.runtime import Shell, SteppingForever
from qnode.security.refusals import Refusals
from qnode.transport import CLIENTS, FABRIC
from qnode.wire import application, fabric
from qnode.wire.application import (
    Attach,
    Attached,
    CancelRequest,
    Detach,
    Done,
    Failed,
    Received,
    ReceiveMessage,
    Report,
    RequestPairs,
    SendMessage,
    Sleep,
    Wait,
)
from qnode.wire.fabric import (
    Block,
    Delivered,
    Grant,
    Halt,
    Hello,
    Interrupt,
    Probe,
    ProbeAnswer,
    Resume,
    Resumed,
)
from qnode.wire.peer import ApplicationMessage, sealed, unsealed

A, B = b"a", b"b"
GONE = object()


class OutOfScript(AssertionError):
    """The shell waits, but the test has nothing more for it."""


class FakeTransport:
    """Hands the shell one thing of a script at a time and keeps what it sends."""

    def __init__(self, *script: Any) -> None:
        self.script = deque(script)
        self.from_the_fabric: deque[fabric.ToNode] = deque()
        self.from_the_clients: deque[tuple[Any, ...]] = deque()
        self.ended: deque[bytes] = deque()
        self.fabric: list[fabric.ToFabric] = []
        self.clients: list[tuple[bytes, application.Answer]] = []
        self.order: list[Any] = []
        self.watched: dict[int, bytes] = {}
        self.unwatched: list[int] = []
        self.refusals = Refusals(None)
        self.deaf: set[bytes] = set()

    @property
    def left(self) -> int:
        return len(self.script) + len(self.from_the_fabric) + len(self.from_the_clients) + len(self.ended)

    def _go_on(self) -> None:
        """Let the next item of the script come; the items of a list come at once."""
        if not self.script:
            raise OutOfScript(f"the shell waits; sent so far: {self.order}")
        item = self.script.popleft()
        for each in item if isinstance(item, list) else [item]:
            if not isinstance(each, tuple):
                self.from_the_fabric.append(each)
            elif each[1] is GONE:
                self.ended.append(each[0])
            else:
                self.from_the_clients.append(each)

    def wait(self, timeout_ms: int | None = None, *, flooded: bool = False) -> Iterator[tuple[str, bytes]]:
        if not (self.from_the_fabric or self.from_the_clients or self.ended):
            self._go_on()
        sources = [(FABRIC, b"")] * bool(self.from_the_fabric) + [(CLIENTS, b"")] * bool(self.from_the_clients)
        sources += [("", self.ended.popleft()) for _ in range(len(self.ended))]
        yield from sources

    def from_fabric(self) -> fabric.ToNode | None:
        return self.from_the_fabric.popleft() if self.from_the_fabric else None

    def from_client(self) -> tuple[bytes, str, list[bytes]] | None:
        if not (self.from_the_fabric or self.from_the_clients or self.ended) and self.script:
            first = self.script[0][0] if isinstance(self.script[0], list) else self.script[0]
            if isinstance(first, tuple) and first[1] is not GONE:
                self._go_on()
        if not self.from_the_clients:
            return None
        identity, *requests = self.from_the_clients.popleft()
        return (
            identity,
            "",
            [each if isinstance(each, bytes) else application.requests.encode(each) for each in requests],
        )

    def to_fabric(self, message: fabric.ToFabric) -> None:
        fabric.to_fabric.encode(message)
        self.fabric.append(message)
        self.order.append(message)

    def to_client(self, identity: bytes, message: application.Answer, *, most_unread: int | None = None) -> bool:
        application.answers.encode(message)
        self.clients.append((identity, message))
        self.order.append((identity, message))
        return identity not in self.deaf

    def forget(self, identity: bytes) -> None:
        self.deaf.discard(identity)

    def gone(self, identities: Iterable[bytes]) -> tuple[bytes, ...]:
        return ()

    def is_late(self, identity: bytes, since_s: float, limit_s: float) -> bool:
        return time.monotonic() - since_s > limit_s

    def watch(self, process_id: int, identity: bytes) -> int:
        if process_id == 404:
            raise ProcessLookupError("no such process")
        self.watched[process_id] = identity
        return process_id

    def unwatch(self, descriptor: int) -> bytes:
        self.unwatched.append(descriptor)
        return self.watched.pop(descriptor)

    @property
    def blocks(self) -> list[Block]:
        return [message for message in self.fabric if isinstance(message, Block)]


CONFIGURATION = NodeConfiguration(
    name="alice",
    process_id=5,
    communication_slots=2,
    storage_slots=2,
    links=(LinkConfiguration(name="alice-bob", remote="bob", goodness=1.0, corrects=True),),
    peers=("alice", "bob"),
)
HALT = Halt(reason="enough")


def run(*script: Any, **configuration: Any) -> FakeTransport:
    """Run a shell through a script, which ends with a Halt."""
    transport = FakeTransport(*script)
    Shell(msgspec.structs.replace(CONFIGURATION, **configuration), transport).run()  # type: ignore[arg-type]
    assert transport.left == 0
    return transport


def attach(name: str, **fields: Any) -> Attach:
    return Attach(call=0, version=3, application=name, **fields)


def grant(now: int, until: int | None = None, *events: fabric.Event) -> Grant:
    return Grant(now=now, until=now + 1 if until is None else until, events=events)


def mail(at: int, payload: bytes) -> Delivered:
    return Delivered(at=at, sender="bob", payload=sealed(ApplicationMessage(sender_application="x", payload=payload)))


def calls(transport: FakeTransport, identity: bytes = A) -> list[tuple[int | None, str, int]]:
    """Call, type and moment of every answer that a client got."""
    return [(m.call, str(m.__struct_config__.tag), m.now_ps) for who, m in transport.clients if who == identity]


def test_it_says_hello_first_and_blocks_when_there_is_nothing_to_do() -> None:
    transport = run(grant(0), HALT)
    assert transport.fabric == [Hello(version=3, node="alice", process_id=5), Block()]


def test_requests_are_served_by_session_and_not_by_arrival() -> None:
    """b's request arrives first; a is the first in the scenario."""
    expected = {"expected_applications": ("one", "two")}
    scripts = [
        [grant(0), (B, attach("two")), (A, attach("one"))],
        [grant(0), (A, attach("one")), (B, attach("two"))],
        [(A, attach("one")), (B, attach("two")), grant(0)],
    ]
    sends = {
        A: (A, SendMessage(call=1, peer="bob", payload=b"from one")),
        B: (B, SendMessage(call=1, peer="bob", payload=b"from two")),
    }
    ends = [(A, Sleep(call=2, duration_ps=9)), (B, Sleep(call=2, duration_ps=9))]
    seen = set()
    for script in scripts:
        for order in ((A, B), (B, A)):
            transport = run(*script, *(sends[each] for each in order), *ends, HALT, **expected)
            (block,) = transport.blocks
            seen.add(tuple(unsealed(send.payload).payload for send in block.sends))  # type: ignore[union-attr]
            assert calls(transport, A) == calls(transport, B) == [(0, "attached", 0), (1, "done", 0), (2, "failed", 0)]
    assert seen == {(b"from one", b"from two")}


def test_time_waits_for_every_expected_application() -> None:
    transport = FakeTransport(grant(0), (A, attach("one")), (A, Sleep(call=1, duration_ps=5)))
    configuration = msgspec.structs.replace(CONFIGURATION, expected_applications=("one", "two"))
    with pytest.raises(OutOfScript):
        Shell(configuration, transport).run()  # type: ignore[arg-type]
    assert transport.blocks == []


def test_an_application_that_ended_is_no_longer_expected() -> None:
    ended = fabric.ApplicationEnded(application="two", status="exit code 1")
    (block,) = run(grant(0), ended, HALT, expected_applications=("two",)).blocks
    assert block.applications == 0
    assert [note.kind for note in block.notes] == ["application_never_attached"]


def test_timers_and_events_of_a_window_are_merged_in_time() -> None:
    """The classic bug: a timer inside a window that has events behind it."""
    transport = run(
        (A, attach("one")),
        grant(0, 1),
        (A, Sleep(call=1, duration_ps=10, waiting=False)),
        (A, Sleep(call=2, duration_ps=30, waiting=False)),
        (A, Sleep(call=3, duration_ps=20, waiting=False)),
        (A, ReceiveMessage(call=4, peer="bob")),
        grant(5, 100, mail(20, b"at 20"), mail(40, b"at 40")),
        (A, Wait(seen=2)),
        (A, ReceiveMessage(call=5, peer="bob")),
        (A, Wait(seen=4)),
        (A, Wait(seen=5)),
        (A, Wait(seen=6)),
        HALT,
    )
    assert calls(transport) == [
        (0, "attached", 0),
        (1, "done", 10),
        (4, "message", 20),
        (3, "done", 20),
        (2, "done", 30),
        (5, "message", 40),
    ]
    assert [block.wake_at for block in transport.blocks] == [10, None]


def test_a_timer_at_the_end_of_the_window_is_left_to_the_next() -> None:
    transport = run(
        (A, attach("one")),
        grant(0, 1),
        (A, Sleep(call=1, duration_ps=10)),
        grant(4, 10),
        grant(10, 11),
        (A, Wait(seen=2)),
        HALT,
    )
    assert [block.wake_at for block in transport.blocks] == [10, 10, None]
    assert calls(transport) == [(0, "attached", 0), (1, "done", 10)]


def test_what_is_sent_inside_a_window_leaves_at_its_own_instant() -> None:
    transport = run(
        (A, attach("one")),
        grant(0, 1),
        (A, Sleep(call=1, duration_ps=10)),
        grant(10, 50),
        (A, SendMessage(call=2, peer="bob", payload=b"1")),
        (A, Sleep(call=3, duration_ps=15)),
        (A, SendMessage(call=4, peer="bob", payload=b"2")),
        (A, RequestPairs(call=5, remote="bob")),
        HALT,
    )
    first, second = transport.blocks
    assert first.sends == ()
    assert [send.at for send in second.sends] == [10, 25]
    assert [(operation.operation, operation.at) for operation in second.operations] == [(0, 25)]


def test_time_stands_still_between_an_answer_and_the_next_waiting_request() -> None:
    """The answer to call 1 wakes the application: without its next word there is no block."""
    transport = FakeTransport((A, attach("one")), grant(0), (A, Report(call=1, values={})))
    with pytest.raises(OutOfScript):
        Shell(CONFIGURATION, transport).run()  # type: ignore[arg-type]
    assert transport.blocks == []
    assert calls(transport) == [(0, "attached", 0), (1, "done", 0)]


def test_a_request_that_does_not_wait_waits_for_the_wait() -> None:
    script = [(A, attach("one")), grant(0), (A, Report(call=1, values={}, waiting=False))]
    transport = FakeTransport(*script)
    with pytest.raises(OutOfScript):
        Shell(CONFIGURATION, transport).run()  # type: ignore[arg-type]
    assert calls(transport) == [(0, "attached", 0)], "the application may still have more to say at this instant"
    transport = run(*script, (A, Wait(seen=1)), (A, Wait(seen=2)), HALT)
    assert calls(transport) == [(0, "attached", 0), (1, "done", 0)]
    assert len(transport.blocks) == 1


def test_a_wait_that_has_not_seen_the_last_answer_does_not_count() -> None:
    """The answer was under way when the application said that it waits: it is about to read it and to go on."""
    script = [
        (A, attach("one")),
        grant(0, 1),
        (A, Sleep(call=1, duration_ps=10, waiting=False)),
        (A, Sleep(call=2, duration_ps=20)),
        grant(10, 100),
        (A, Wait(seen=1)),
    ]
    transport = FakeTransport(*script)
    with pytest.raises(OutOfScript):
        Shell(CONFIGURATION, transport).run()  # type: ignore[arg-type]
    assert calls(transport)[-1] == (1, "done", 10)
    transport = run(*script, (A, Wait(seen=2)), (A, Wait(seen=3)), HALT)
    assert calls(transport)[-1] == (2, "done", 20)


def test_refusals_of_the_shell_count_as_answers_seen() -> None:
    transport = run(
        (A, attach("one")),
        grant(0),
        (A, b"\xc1"),
        (A, Attach(call=7, version=3, application="x")),
        (A, Wait(seen=3)),
        HALT,
    )
    assert calls(transport) == [(0, "attached", 0), (None, "failed", 0), (7, "failed", 0)]


def test_a_wait_that_has_not_seen_a_refusal_does_not_count() -> None:
    transport = FakeTransport((A, attach("one")), grant(0), (A, b"\xc1"), (A, Wait(seen=1)))
    with pytest.raises(OutOfScript):
        Shell(CONFIGURATION, transport).run()  # type: ignore[arg-type]
    assert transport.blocks == []


def test_a_request_behind_a_detach_is_answered() -> None:
    last = [(A, Detach(call=1)), (A, Sleep(call=2, duration_ps=1))]
    transport = run((A, attach("one")), grant(0), (A, Wait(seen=1)), last, grant(1), HALT)
    assert calls(transport) == [(0, "attached", 0), (1, "done", 1), (2, "failed", 1)]


def test_stepping_for_ever_at_one_instant_is_an_error_that_says_where() -> None:
    events = tuple(mail(3, b"") for _ in range(20))
    with pytest.raises(SteppingForever, match=r"node alice took more than 10 steps at 3 ps.*steps_per_instant"):
        run(grant(3, 4, *events), steps_per_instant=10)


def test_steps_are_counted_anew_when_time_moves() -> None:
    script: list[Any] = [(A, attach("one")), grant(0)]
    for call in range(1, 30):
        script += [(A, Sleep(call=call, duration_ps=1)), grant(call)]
    transport = run(*script, (A, Wait(seen=30)), HALT, steps_per_instant=4)
    assert calls(transport)[-1] == (29, "done", 29)


def test_letting_time_flow_needs_a_pace() -> None:
    flows = attach("viewer", holds_time=False)
    transport = run(grant(0), (A, flows), HALT, paced=False)
    ((_, answer),) = transport.clients
    assert isinstance(answer, Failed)
    assert (answer.code, "pace max" in answer.reason) == ("unsupported", True)
    transport = run((A, flows), grant(0), HALT, paced=True)
    assert [type(answer) for _, answer in transport.clients] == [Attached]
    assert transport.blocks[0].applications == 1, "and the node has blocked without a word of it"


def test_a_request_in_a_blocked_node_asks_for_a_grant_once() -> None:
    transport = run(
        (A, attach("one")),
        grant(0),
        (A, ReceiveMessage(call=1, peer="bob")),
        (A, ReceiveMessage(call=2, peer="bob", tag="t")),
        (A, ReceiveMessage(call=3, peer="bob", tag="u")),
        grant(50),
        HALT,
    )
    reasons = [message.reason for message in transport.fabric if isinstance(message, Interrupt)]
    assert reasons == ["application one sent attach", "application one sent receive"]


def test_a_stranger_is_told_to_attach_first() -> None:
    transport = run(grant(0), (A, Sleep(call=4, duration_ps=1)), (B, Wait(seen=0)), HALT)
    assert [(who, answer.call) for who, answer in transport.clients] == [(A, 4), (B, None)]


@pytest.mark.parametrize("frames", [(b"",), (b"\xc1",), (b"", b""), (b"\x80", b"\x80", b"\x80")])
def test_what_is_no_message_is_answered_and_forgotten(frames: tuple[bytes, ...]) -> None:
    ((_, answer),) = run(grant(0), (A, *frames), HALT).clients
    assert isinstance(answer, Failed)
    assert (answer.call, answer.code) == (None, "bad_message")


def test_requests_ahead_of_their_turn_are_limited() -> None:
    ahead = [
        (A, Report(call=call, values={}, waiting=False)) for call in range(1, ApplicationLimits().requests_ahead + 1)
    ]
    transport = FakeTransport((A, attach("one")), *ahead)
    with pytest.raises(OutOfScript):
        Shell(CONFIGURATION, transport).run()  # type: ignore[arg-type]
    assert calls(transport) == [(ApplicationLimits().requests_ahead, "failed", 0)]
    (answer,) = [answer for _, answer in transport.clients if isinstance(answer, Failed)]
    assert answer.code == "limit"


def test_a_process_that_ends_ends_its_session_after_its_last_words() -> None:
    transport = run(
        (A, attach("one", process_id=99)),
        grant(0),
        [(A, SendMessage(call=1, peer="bob", payload=b"last words", waiting=False)), (A, GONE)],
        HALT,
    )
    (block,) = transport.blocks
    assert [send.to for send in block.sends] == ["bob"]
    assert block.applications == 0
    assert [note.kind for note in block.notes] == ["application_attached", "application_detached"]


def test_detaching_stops_the_watch_and_frees_the_socket() -> None:
    transport = run(
        (A, attach("one", process_id=99)), grant(0), (A, Detach(call=1)), grant(5), (A, attach("two")), grant(6), HALT
    )
    assert transport.unwatched == [99]
    assert calls(transport) == [(0, "attached", 0), (1, "done", 0), (0, "attached", 6)]


def test_a_process_that_is_not_there_cannot_be_named() -> None:
    ((_, answer),) = run(grant(0), (A, attach("one", process_id=404)), HALT).clients
    assert isinstance(answer, Failed)
    assert "process_id 404" in answer.reason


def test_a_probe_is_answered_while_applications_run() -> None:
    transport = run(
        (A, attach("one")), grant(0), Probe(), (A, RequestPairs(call=1, remote="bob", number=2)), Probe(), HALT
    )
    assert [message for message in transport.fabric if isinstance(message, ProbeAnswer)] == [
        ProbeAnswer(waits=("application one to make its next call",)),
        ProbeAnswer(waits=("one waits for 2 of 2 pairs with bob",)),
    ]


def test_halting_answers_every_open_call_once() -> None:
    transport = run(
        (A, attach("one")),
        grant(0),
        (A, Sleep(call=1, duration_ps=50, waiting=False)),
        (A, ReceiveMessage(call=2, peer="bob")),
        (A, CancelRequest(call=3, request=9)),
        HALT,
    )
    stopped = [answer for _, answer in transport.clients if isinstance(answer, Failed)]
    assert [(answer.call, answer.code, answer.reason) for answer in stopped] == [
        (call, "stopped", "enough") for call in (1, 2, 3)
    ]


def test_halting_while_others_still_run_answers_buffered_requests_once() -> None:
    """a's request waits for its turn because b runs; then the run ends."""
    transport = run(
        (A, attach("one")),
        (B, attach("two")),
        grant(0),
        (A, SendMessage(call=1, peer="bob", payload=b"")),
        HALT,
    )
    assert calls(transport) == [(0, "attached", 0), (1, "failed", 0)]


def test_an_answer_goes_to_its_session_only() -> None:
    transport = run(
        (A, attach("one")),
        (B, attach("two")),
        grant(0, 1),
        (A, ReceiveMessage(call=1, peer="bob")),
        (B, ReceiveMessage(call=1, peer="bob")),
        grant(7, 8, mail(7, b"first")),
        (A, Wait(seen=2)),
        HALT,
    )
    received = [(who, answer.payload) for who, answer in transport.clients if isinstance(answer, Received)]
    assert received == [(A, b"first")]
    assert not any(isinstance(answer, Done) for _, answer in transport.clients)


def test_all_last_words_of_a_process_are_heard() -> None:
    words = [(A, SendMessage(call=call, peer="bob", payload=b"w", waiting=False)) for call in (1, 2, 3)]
    script = [
        (A, attach("one", process_id=99)),
        grant(0),
        (A, Wait(seen=1)),
        [*words, (A, GONE), grant(50)],
        grant(60),
        HALT,
    ]
    assert sum(len(block.sends) for block in run(*script).blocks) == 3


def test_a_recovered_fabric_hears_how_many_grants_there_were_and_the_last_block_again() -> None:
    words = SendMessage(call=1, peer="bob", payload=b"w", waiting=False)
    script = [
        Resume(),
        (A, attach("one")),
        grant(0),
        (A, Wait(seen=1)),
        grant(50),
        [(A, words), (A, Wait(seen=1))],
        Resume(),
        grant(60),
        [(A, Wait(seen=2))],
        Resume(),
        HALT,
    ]
    transport = run(*script)
    before, interrupted, after = [message for message in transport.fabric if isinstance(message, Resumed)]
    blocks = transport.blocks
    assert (before.process_id, before.grants, before.block, before.interrupt) == (5, 0, None, None)
    assert (interrupted.grants, interrupted.block) == (2, blocks[1])
    assert interrupted.interrupt == "application one sent send"
    assert (after.grants, after.block, after.interrupt) == (3, blocks[2], None)
    assert len(after.block.sends) == 1


def test_a_node_that_holds_a_grant_has_no_block_to_say_again() -> None:
    transport = run((A, attach("one")), grant(0), Resume(), (A, Wait(seen=1)), HALT)
    (resumed,) = [message for message in transport.fabric if isinstance(message, Resumed)]
    assert (resumed.grants, resumed.block) == (1, None)
    assert transport.fabric.index(resumed) < transport.fabric.index(transport.blocks[0])
