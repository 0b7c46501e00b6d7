"""Classical messages between applications: their order, their recipients, their limits."""

from __future__ import annotations

from typing import Any

import pytest

from qnode.config import ApplicationLimits
from qnode.stack import messages
from qnode.stack.events import Answer, Record, SendTo, SessionEnded, SetTimer, TimerFired
from qnode.wire import fabric
from qnode.wire.application import Done, Received, ReceiveMessage, SendMessage
from qnode.wire.peer import ApplicationMessage


def message(payload: bytes = b"", *, tag: str = "", to: str | None = None) -> ApplicationMessage:
    return ApplicationMessage(sender_application="x", recipient_application=to, tag=tag, payload=payload)


def payloads(alice: Any) -> list[tuple[int, bytes]]:
    return [(answer.call, answer.payload) for answer in alice.answers if isinstance(answer, Received)]


@pytest.mark.parametrize(("peer", "recipient"), [("bob", None), ("bob/", None), ("bob/y", "y"), ("bob/y/z", "y/z")])
def test_sending_is_done_at_once(alice: Any, peer: str, recipient: str | None) -> None:
    assert alice.ask(SendMessage, peer=peer, payload=b"hi", tag="t") == [
        SendTo(
            "bob",
            ApplicationMessage(sender_application="app", recipient_application=recipient, tag="t", payload=b"hi"),
        ),
        Answer(0, Done(call=1, now_ps=0)),
    ]


def test_an_unknown_peer_gets_a_suggestion(driven: Any) -> None:
    alice = driven("alice", "bob", peers=("alice", "bob", "boris"))
    alice.attach()
    alice.ask(SendMessage, peer="bop", payload=b"")
    assert alice.failure() == (1, "unsupported")
    assert "did you mean bob or boris?" in alice.answers[0].reason


def test_unread_messages_are_read_in_the_order_of_their_arrival(alice: Any) -> None:
    for payload in (b"1", b"2", b"3"):
        assert alice.hear("bob", message(payload)) == []
    read = []
    for _ in range(3):
        alice.ask(ReceiveMessage, peer="bob")
        read += payloads(alice)
    assert read == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert (alice.node.mailbox.unread, alice.node.mailbox.unread_bytes) == ({}, 0)


def test_waiting_calls_are_served_in_their_order(alice: Any) -> None:
    alice.ask(ReceiveMessage, peer="bob")
    alice.ask(ReceiveMessage, peer="bob")
    alice.hear("bob", message(b"1"))
    assert payloads(alice) == [(1, b"1")]
    alice.hear("bob", message(b"2"))
    assert payloads(alice) == [(2, b"2")]
    assert alice.node.mailbox.waiting == {}


def test_senders_and_tags_do_not_mix(driven: Any) -> None:
    alice = driven("alice", "bob", "carol")
    alice.attach()
    alice.hear("bob", message(b"bob, no tag"))
    alice.hear("bob", message(b"bob, t", tag="t"))
    alice.hear("carol", message(b"carol, t", tag="t"))
    for peer, tag, payload in (("carol", "t", b"carol, t"), ("bob", "t", b"bob, t"), ("bob", "", b"bob, no tag")):
        alice.ask(ReceiveMessage, peer=peer, tag=tag)
        assert payloads(alice) == [(alice.calls, payload)]


def test_a_recipient_reads_its_own_and_anybody_the_rest(alice: Any) -> None:
    alice.attach(1, "other")
    alice.ask(ReceiveMessage, session=0, peer="bob")
    assert alice.hear("bob", message(b"for other", to="other")) == []
    alice.hear("bob", message(b"for all"))
    assert payloads(alice) == [(1, b"for all")]
    alice.ask(ReceiveMessage, session=0, peer="bob")
    assert alice.actions == []
    alice.ask(ReceiveMessage, session=1, peer="bob")
    assert payloads(alice) == [(3, b"for other")]


def test_a_receiver_times_out_and_the_message_is_kept(alice: Any) -> None:
    assert alice.ask(ReceiveMessage, peer="bob", timeout_ps=10) == [SetTimer(10, ("receive", "0", 1))]
    alice.now = 10
    alice.handle(TimerFired(("receive", "0", 1)))
    assert alice.failure() == (1, "timeout")
    assert alice.hear("bob", message(b"late")) == []
    alice.ask(ReceiveMessage, peer="bob")
    assert payloads(alice) == [(2, b"late")]


def test_a_session_s_end_leaves_messages_to_the_others(alice: Any) -> None:
    alice.attach(1, "other")
    alice.ask(ReceiveMessage, session=0, peer="bob")
    alice.ask(ReceiveMessage, session=1, peer="bob")
    alice.handle(SessionEnded(0, "killed"))
    alice.hear("bob", message(b"1"))
    assert payloads(alice) == [(2, b"1")]


@pytest.mark.parametrize("limit", ["of the node", "of one application"])
def test_a_full_mailbox_drops_and_says_so(driven: Any, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(messages, "MESSAGE_OVERHEAD_BYTES", 0)
    limits = ApplicationLimits(message_bytes=10 if limit == "of one application" else 1000)
    if limit == "of the node":
        monkeypatch.setattr(messages, "MAILBOX_BYTES", 10)
    alice = driven(limits=limits)
    alice.attach()
    assert alice.hear("bob", message(b"12345678")) == []
    (record,) = alice.hear("bob", message(b"901"))
    assert record == Record("message_dropped", {"sender": "bob", "tag": "", "reason": "mailbox full"})
    assert alice.hear("bob", message(b"90")) == []
    alice.ask(ReceiveMessage, peer="bob")
    assert alice.hear("bob", message(b"12345678")) == [], "reading makes room"


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x81\xa4type\xa4hack"])
def test_bytes_that_are_no_message_are_recorded_and_dropped(alice: Any, payload: bytes) -> None:
    (record,) = alice.handle(fabric.Delivered(at=0, sender="bob", payload=payload))
    assert (record.kind, record.details["sender"]) == ("message_dropped", "bob")


def test_what_applications_wait_for_can_be_told(alice: Any) -> None:
    alice.pair()
    alice.ask(ReceiveMessage, peer="bob", tag="t")
    assert alice.node.waits() == ("app waits for a message from bob under tag 't'",)
