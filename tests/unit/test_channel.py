"""The reliable channel: each message once and in order, whatever happens between; and what follows a give-up."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.config import NodeConfiguration
from qnode.stack.channel import MOST_TRIES, Channel
from qnode.stack.core import Core
from qnode.stack.events import CancelTimer, SendTo, SetTimer
from qnode.stack.memory import Memory
from qnode.wire.circuits import LinkReady
from qnode.wire.peer import Acknowledged, PeerMessage, Sequenced

MS = 10**9
DELAY_PS = 5 * MS
Fate = Callable[[str, PeerMessage], list[int]]
"""Gets the sender and the message; gives the latencies (ps) of the copies that arrive."""


@dataclass
class Party:
    """One node that has a channel and nothing else."""

    name: str
    got: list[str] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    """When it was told that messages were lost."""
    timers: dict[tuple[str, str, int], int] = field(default_factory=dict)
    restarts: int = 0

    def __post_init__(self) -> None:
        self.start(0)

    def start(self, now: int) -> None:
        """Begin, or begin anew with nothing remembered."""
        configuration = NodeConfiguration(name=self.name, communication_slots=0, storage_slots=0)
        self.core = Core(configuration, Memory(self.name, 0, 0), now=now)
        self.timers.clear()
        self.got.clear()
        self.channel = Channel(
            self.core,
            DELAY_PS,
            lambda _, message: self.got.append(message.purpose),  # type: ignore[union-attr]
            lambda _: self.lost.append(self.core.now),
        )


class Wire:
    """Two parties, ``a`` and ``b``, and what befalls each message between them."""

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.parties = {name: Party(name) for name in "ab"}
        self.events: list[tuple[int, int, Callable[[], None]]] = []
        self.count = itertools.count()
        self.now = 0
        self.messages = 0

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.count), what))

    def do(self, name: str, what: Callable[[Party], None]) -> None:
        """Let a party act, and carry out its actions."""
        party = self.parties[name]
        party.core.now, party.core.actions = self.now, []
        what(party)
        for action in party.core.actions:
            if isinstance(action, SetTimer):
                party.timers[action.key] = action.at
                self.at(action.at, lambda action=action: self._fire(name, action))  # type: ignore[misc]
            elif isinstance(action, CancelTimer):
                party.timers.pop(action.key, None)
            elif isinstance(action, SendTo):
                self.messages += 1
                for latency in self.fate(name, action.message):
                    message = action.message
                    self.at(self.now + latency, lambda message=message: self._arrive(name, message))  # type: ignore[misc]

    def _fire(self, name: str, timer: SetTimer) -> None:
        party = self.parties[name]
        if party.timers.get(timer.key) == timer.at:
            del party.timers[timer.key]
            purpose, peer, _ = timer.key
            self.do(
                name, lambda party: (party.channel.owed if purpose == "acknowledge" else party.channel.silent)(peer)
            )

    def _arrive(self, sender: str, message: PeerMessage) -> None:
        recipient = "b" if sender == "a" else "a"
        if isinstance(message, Sequenced):
            self.do(recipient, lambda party: party.channel.arrived(sender, message))
        else:
            assert isinstance(message, Acknowledged)
            self.do(recipient, lambda party: party.channel.acknowledged(sender, message))

    def send(self, when: int, sender: str, text: str) -> None:
        to = "b" if sender == "a" else "a"
        message = LinkReady(link="l", purpose=text)
        self.at(when, lambda: self.do(sender, lambda party: party.channel.send(to, message)))

    def run(self, until: int | None = None) -> None:
        while self.events and (until is None or self.events[0][0] <= until):
            self.now, _, what = heapq.heappop(self.events)
            what()


def _disturbed(chance: random.Random, loss: float, repeats: float, longest_ms: int) -> Fate:
    def fate(_: str, __: PeerMessage) -> list[int]:
        copies = 0 if chance.random() < loss else 1 + (chance.random() < repeats)
        return [MS // 10 + chance.randrange(longest_ms * MS) for _ in range(copies)]

    return fate


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    loss=st.sampled_from((0.0, 0.1, 0.5)),
    repeats=st.sampled_from((0.0, 0.5)),
    longest_ms=st.sampled_from((1, 10, 100)),
    times=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 300)), max_size=40),
)
def test_each_message_arrives_once_and_in_order(
    seed: int, loss: float, repeats: float, longest_ms: int, times: list[tuple[str, int]]
) -> None:
    wire = Wire(_disturbed(random.Random(seed), loss, repeats, longest_ms))
    sent: dict[str, list[str]] = {"a": [], "b": []}
    for number, (sender, when_ms) in enumerate(sorted(times, key=lambda each: each[1])):
        wire.send(when_ms * MS, sender, str(number))
        sent[sender].append(str(number))
    wire.run()
    lost = [party.lost for party in wire.parties.values() if party.lost]
    for sender, recipient in ("ab", "ba"):
        got = wire.parties[recipient].got
        if not lost:  # nine times in a row nothing came through: rare, and told
            assert got == sent[sender]
        else:
            assert got == [text for text in sent[sender] if text in set(got)], "each at most once, and in order"
        for party in wire.parties.values():
            assert not party.timers, "nothing is waited for any more"
            assert all(not each.unacknowledged for each in party.channel.conversations.values())
    assert loss == 0.5 or not lost


def test_a_message_and_its_acknowledgement_are_all_that_is_sent_where_nothing_is_lost() -> None:
    wire = Wire(lambda _, __: [MS])
    wire.send(0, "a", "one")
    wire.run()
    assert wire.parties["b"].got == ["one"]
    assert wire.messages == 2


def test_answers_carry_acknowledgements() -> None:
    wire = Wire(lambda _, __: [MS])
    for number in range(10):
        wire.send(number * 4 * MS, "a" if number % 2 == 0 else "b", str(number))
    wire.run()
    assert wire.messages == 11, "ten messages, and an acknowledgement of the last"


def test_one_loss_among_many_is_mended_without_waiting_for_the_timer() -> None:
    dropped: list[PeerMessage] = []

    def fate(_: str, message: PeerMessage) -> list[int]:
        if isinstance(message, Sequenced) and message.number == 1 and not dropped:
            dropped.append(message)
            return []
        return [MS]

    wire = Wire(fate)
    for number in range(4):
        wire.send(number, "a", str(number))
    wire.run(until=4 * MS)
    assert wire.parties["b"].got == ["0", "1", "2", "3"]


def test_a_silent_peer_is_given_up_and_what_follows_is_a_new_sequence() -> None:
    reachable = False
    wire = Wire(lambda _, __: [MS] if reachable else [])
    wire.send(0, "a", "lost")
    wire.run()
    party = wire.parties["a"]
    assert len(party.lost) == 1
    assert party.lost[0] == 4 * DELAY_PS * (2 ** (MOST_TRIES + 1) - 1)
    assert not party.timers
    reachable = True
    wire.send(wire.now + MS, "a", "kept")
    wire.send(wire.now + 2 * MS, "b", "back")
    wire.run()
    assert wire.parties["b"].got == ["kept"]
    assert wire.parties["a"].got == ["back"]
    assert not wire.parties["b"].lost, "it had heard nothing before"


def test_a_peer_learns_that_it_was_given_up() -> None:
    reachable = True
    wire = Wire(lambda _, __: [MS] if reachable else [])
    wire.send(0, "a", "one")
    wire.send(1, "b", "two")
    wire.run()
    reachable = False
    wire.send(wire.now, "a", "lost")
    wire.run()
    reachable = True
    wire.send(wire.now, "b", "before the news")
    wire.send(wire.now + 10 * MS, "a", "three")
    wire.send(wire.now + 20 * MS, "b", "four")
    wire.run()
    a, b = wire.parties["a"], wire.parties["b"]
    assert (a.got, b.got) == (["two", "before the news", "four"], ["one", "three"])
    assert (len(a.lost), len(b.lost)) == (1, 1)


@pytest.mark.parametrize("restarted", ["a", "b"])
@pytest.mark.parametrize("first", ["a", "b"])
def test_a_peer_that_starts_anew_is_heard_and_hears(restarted: str, first: str) -> None:
    wire = Wire(lambda _, __: [MS])
    for number in range(5):
        wire.send(number, "a", f"a{number}")
        wire.send(number, "b", f"b{number}")
    wire.run()
    party = wire.parties[restarted]
    wire.now += MS
    party.start(wire.now)
    for each in wire.parties.values():
        each.got.clear()
    other = "b" if first == "a" else "a"
    wire.send(wire.now + MS, first, "x")
    wire.send(wire.now + 3 * MS, other, "y")
    wire.run()
    wire.send(wire.now + MS, first, "z")
    wire.run()
    got = {first: wire.parties[first].got, other: wire.parties[other].got}
    assert got[first] == ["y"]
    assert got[other][-1] == "z"
    survivor = wire.parties["b" if restarted == "a" else "a"]
    assert len(survivor.lost) == 1, "it is told once that messages were lost"
    assert wire.now < 1000 * MS, "nothing was waited for that could not come"
    assert not any(each.timers for each in wire.parties.values())


def test_messages_of_an_old_sequence_that_come_late_are_dropped() -> None:
    held_back: list[PeerMessage] = []
    holds = True

    def fate(sender: str, message: PeerMessage) -> list[int]:
        if sender == "a" and holds:
            held_back.append(message)
            return []
        return [MS]

    wire = Wire(fate)
    wire.send(0, "a", "old")
    wire.run()
    holds = False
    wire.send(wire.now, "a", "new")
    wire.run()
    for message in held_back:
        wire._arrive("a", message)
    wire.run()
    assert wire.parties["b"].got == ["new"]


def test_a_peer_that_is_reached_again_is_told_at_once() -> None:
    reachable = False
    wire = Wire(lambda _, __: [MS] if reachable else [])
    wire.send(0, "a", "one")
    wire.run(until=3000 * MS)
    reachable = True
    wire.do("a", lambda party: party.channel.repeat("b"))
    wire.run(until=wire.now + 2 * MS)
    assert wire.parties["b"].got == ["one"]
    wire.run()
    assert not wire.parties["a"].timers


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), restarts=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 400)), max_size=3))
def test_restarts_at_any_moment_lose_messages_and_never_the_conversation(
    seed: int, restarts: list[tuple[str, int]]
) -> None:
    wire = Wire(_disturbed(random.Random(seed), 0.2, 0.2, 20))
    for number in range(40):
        wire.send(number * 10 * MS, "ab"[number % 2], str(number))
    for name, when_ms in restarts:
        wire.at(when_ms * MS, lambda name=name: wire.parties[name].start(wire.now))  # type: ignore[misc]
    wire.run()
    for recipient in "ab":
        got = wire.parties[recipient].got
        assert len(got) == len(set(got)), "none twice to one that remembers"
    for party in wire.parties.values():
        party.got.clear()
    for number in range(6):
        wire.send(wire.now + number * 100 * MS, "ab"[number % 2], f"after {number}")
    wire.run()
    assert wire.parties["a"].got[-2:] == ["after 3", "after 5"]
    assert wire.parties["b"].got[-2:] == ["after 2", "after 4"]
