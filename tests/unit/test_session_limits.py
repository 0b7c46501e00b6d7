"""What one application may cost its node, and what becomes of it beyond; the shell's limits."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from test_shell import CONFIGURATION, HALT, A, B, FakeTransport, attach, calls, grant, run

from qnode.clients import SMALL_FRAME_BYTES
from qnode.config import ApplicationLimits
from qnode.runtime import Shell
from qnode.security.refusals import MOST_REFUSED, MOST_REMEMBERED, RefusedSockets
from qnode.wire.application import CancelRequest, Failed, Report, RequestPairs, SendMessage, Sleep, Wait
from qnode.wire.fabric import Probe

Answers = list[tuple[int | None, str, int]]


def limited(*script: Any, expected: tuple[str, ...] = (), **limits: Any) -> FakeTransport:
    return run(*script, limits=ApplicationLimits(**limits), expected_applications=expected)


def reasons(transport: FakeTransport, identity: bytes = A) -> list[str]:
    return [each.reason for who, each in transport.clients if who == identity and isinstance(each, Failed)]


def notes(transport: FakeTransport) -> list[tuple[str, str]]:
    return [
        (note.details["application"], note.details["reason"])
        for block in transport.blocks
        for note in block.notes
        if note.kind == "application_detached"
    ]


def report(call: int, **values: float) -> Report:
    return Report(call=call, values=dict(values))


def test_a_node_is_full_but_never_for_those_of_the_scenario() -> None:
    script = [(B, attach("stranger")), (b"c", attach("another")), (A, attach("one")), (A, Wait(seen=1))]
    transport = limited(grant(0), *script, (B, Wait(seen=1)), HALT, expected=("one",), sessions=2)
    assert calls(transport, A) == calls(transport, B) == [(0, "attached", 0)]
    assert reasons(transport, b"c") == ["2 applications are attached to alice, and no more may"]
    assert transport.refusals.counts == {"limit": 1}


def test_one_that_loops_at_an_instant_is_detached_and_the_others_go_on() -> None:
    loop = [(A, report(call)) for call in range(1, 8)]
    script = [
        (A, attach("loop")),
        grant(3),
        *loop,
        (B, attach("other")),
        (A, Wait(seen=0)),
        (B, Wait(seen=1)),
        grant(9),
    ]
    transport = limited(*script, (B, Sleep(call=1, duration_ps=0)), (B, Wait(seen=2)), HALT, requests_per_instant=6)
    assert [call for call, kind, _ in calls(transport) if kind == "done"] == [1, 2, 3, 4, 5]  # attach is the sixth
    assert "more than 6 requests at 3 ps: it loops without letting virtual time pass" in reasons(transport)[-1]
    assert [who for who, _ in notes(transport)] == ["loop"]
    assert calls(transport, B) == [(0, "attached", 9), (1, "done", 9)]


def test_requests_are_counted_anew_when_time_moves() -> None:
    script: list[Any] = [(A, attach("one")), grant(0)]
    for call in range(1, 30):
        script += [(A, Sleep(call=call, duration_ps=1)), grant(call)]
    transport = limited(*script, (A, Wait(seen=30)), HALT, requests_per_instant=2)
    assert calls(transport)[-1] == (29, "done", 29)


def test_one_that_goes_on_beyond_its_requests_ahead_is_detached_and_heard_no_more() -> None:
    ahead = [(A, msgspec.structs.replace(report(call), waiting=False)) for call in range(1, 20)]
    transport = limited((A, attach("flood")), grant(0), ahead, grant(1), HALT, requests_ahead=4)
    refused = [call for call, kind, _ in calls(transport) if kind == "failed"]
    assert refused == [5, 6, 7, 8, 9, None]
    assert reasons(transport)[-1].startswith("detached: it goes on sending more than 4 requests ahead")
    assert [who for who, _ in notes(transport)] == ["flood"]
    assert transport.refusals.counts["limit"] == 5 + 1 + 10, "five refused, one detached, ten not listened to"


@pytest.mark.parametrize(
    ("clients", "messages", "words"),
    [
        ((A,), 2, "more than 200 bytes of requests at a time; let virtual time pass"),
        ((A, B, b"c", b"d"), 1, "more than 600 bytes of requests at this node at a time"),
    ],
    ids=["of one session", "of a node's sessions"],
)
def test_bytes_at_a_time(clients: tuple[bytes, ...], messages: int, words: str) -> None:
    """A message here takes more than 150 bytes and less than 200; a node takes three sessions' worth at a time."""
    script: list[Any] = [*((each, attach(each.decode())) for each in clients), grant(0)]
    for call in range(1, messages + 1):
        script += [(each, SendMessage(call=call, peer="bob", payload=bytes(120))) for each in clients]
    transport = limited(*script, *((each, Wait(seen=9)) for each in clients), HALT, bytes_ahead=200)
    assert [reason for each in clients for reason in reasons(transport, each)] == [words]


def test_time_that_moves_on_makes_room_for_bytes() -> None:
    script: list[Any] = [(A, attach("one")), grant(0)]
    for call in range(1, 6):
        script += [(A, SendMessage(call=2 * call, peer="bob", payload=bytes(100), waiting=True))]
        script += [(A, Sleep(call=2 * call + 1, duration_ps=1)), grant(call)]
    transport = limited(*script, (A, Wait(seen=11)), HALT, bytes_ahead=300)
    assert {kind for _, kind, _ in calls(transport)} == {"attached", "done"}


def test_a_large_frame_is_for_what_carries_something() -> None:
    large = RequestPairs(call=1, remote="bob", purpose="p" * SMALL_FRAME_BYTES)
    transport = limited((A, attach("one")), grant(0), (A, large), (A, Wait(seen=2)), HALT)
    assert f"expected at most {SMALL_FRAME_BYTES} for request_pairs" in reasons(transport)[0]


def test_a_stranger_that_talks_nonsense_is_not_answered_for_ever() -> None:
    nonsense = [(B, b"\xc1")] * (MOST_REFUSED + 50)
    script = [(A, attach("one")), grant(0), *nonsense, (B, attach("late")), (A, Sleep(call=1, duration_ps=0))]
    transport = limited(*script, (A, Wait(seen=2)), HALT)
    assert len(reasons(transport, B)) == MOST_REFUSED
    assert calls(transport) == [(0, "attached", 0), (1, "done", 0)]
    assert transport.refusals.counts == {"malformed": MOST_REFUSED + 1, "limit": 1 + 50}


def test_what_is_taken_of_a_socket_makes_up_for_what_was_refused() -> None:
    refused = RefusedSockets()
    for _ in range(3 * MOST_REFUSED):
        refused.refuse(b"clumsy")
        refused.forgive(b"clumsy")
    assert not refused.are_muted(b"clumsy")
    for _ in range(MOST_REFUSED + 1):  # hides among sound requests, and is heard no longer than without them
        refused.forgive(b"sly")
        refused.refuse(b"sly")
        refused.refuse(b"sly")
    assert refused.are_muted(b"sly")


def test_an_application_that_talks_nonsense_is_detached() -> None:
    nonsense = [(A, b"\xc1")] * (MOST_REFUSED + 1)
    transport = limited((A, attach("one")), grant(0), *nonsense, HALT)
    assert "too many frames that are no requests" in reasons(transport)[-1]
    assert [who for who, _ in notes(transport)] == ["one"]


def test_a_sensible_word_between_makes_up_for_nonsense() -> None:
    script: list[Any] = [(A, attach("one")), grant(0)]
    for call in range(1, MOST_REFUSED + 50):
        script += [(A, b"\xc1"), (A, report(call))]
    transport = limited(*script, (A, Wait(seen=10_000)), HALT)
    assert sum(kind == "done" for _, kind, _ in calls(transport)) == MOST_REFUSED + 49


def test_one_that_does_not_read_is_detached() -> None:
    transport = FakeTransport((A, attach("deaf")), grant(0), grant(1), HALT)
    transport.deaf = {A}
    Shell(CONFIGURATION, transport).run()  # type: ignore[arg-type]
    assert notes(transport) == [("deaf", "it does not read its answers, or is gone")]


def test_one_from_outside_may_not_keep_time_waiting_for_ever() -> None:
    transport = limited((A, attach("slow")), grant(0), Probe(), Probe(), grant(1), HALT, turn_s=1e-9)
    assert notes(transport) == [("slow", "it kept virtual time waiting for more than 1e-09 s")]
    assert transport.blocks


def test_one_of_the_scenario_may() -> None:
    script = [(A, attach("one")), grant(0), Probe(), Probe(), Probe(), (A, Wait(seen=1)), HALT]
    transport = limited(*script, expected=("one",), turn_s=1e-9)
    assert notes(transport) == []


def test_cancelled_timers_do_not_pile_up() -> None:
    script: list[Any] = [(A, attach("one")), grant(0)]
    for call in range(1, 6000, 2):
        asked = RequestPairs(call=call, remote="bob", timeout_ps=10**15, waiting=False)
        script += [[(A, asked), (A, CancelRequest(call=call + 1, request=call))]]
    transport = FakeTransport(*script, (A, Wait(seen=10_000)), HALT)
    shell = Shell(CONFIGURATION, transport)  # type: ignore[arg-type]
    shell.run()
    assert len(shell._timers) < 1100


def test_of_many_refused_sockets_the_latest_are_remembered() -> None:
    refused = RefusedSockets()
    refused.mute(b"first")
    assert refused.are_muted(b"first")
    for number in range(MOST_REMEMBERED):
        refused.refuse(str(number).encode())
    assert not refused.are_muted(b"first")
