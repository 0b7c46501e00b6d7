"""Messages between two nodes, each exactly once and in order, whatever the classical network loses, repeats or delays.

Sequence numbers, cumulative acknowledgements that ride on other messages where they can, and retransmission of all that
is unacknowledged (go-back-N) with exponential back-off (RFC 6298 in spirit, RFC 2961 for the idea of acknowledged
signalling). A peer that stays silent is given up: whoever has business with it is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from qnode.stack.core import Core
from qnode.stack.events import TimerKey
from qnode.wire.peer import Acknowledged, NetworkMessage, Sequenced

MOST_TRIES = 8
MOST_EARLY = 1024
"""Messages kept that came before their turn."""


@dataclass(slots=True)
class Conversation:
    """One peer's part of the channel."""

    stream: int
    """Which of our sequences this is, by when it began: a new one begins after a peer was given up, and one that began
    after a restart is newer than all before."""
    next_number: int = 0
    unacknowledged: deque[Sequenced] = field(default_factory=deque)
    housekeeping: deque[bool] = field(default_factory=deque)
    """Of each unacknowledged message."""
    sent_at: int = 0
    """When the oldest unacknowledged message was first sent; -1 once it was repeated."""
    round_trip_ps: int = 0
    tries: int = 0
    watch: Literal["none", "housekeeping", "expects"] = "none"
    """Of what sort the retransmission timer is that runs."""
    their_stream: int = -1
    heard: int = 0
    """All of their messages below this number are here."""
    early: dict[int, NetworkMessage] = field(default_factory=dict)
    owes: bool = False
    """Whether an acknowledgement is due."""


@dataclass(slots=True)
class Channel:
    """All conversations of a node."""

    core: Core
    acknowledge_delay_ps: int
    deliver: Callable[[str, NetworkMessage], None]
    lost_peer: Callable[[str], None]
    conversations: dict[str, Conversation] = field(default_factory=dict)

    def send(self, to: str, message: NetworkMessage, *, housekeeping: bool = False) -> None:
        """Have ``message`` reach ``to`` once, after all that was sent to it before."""
        conversation = self._with(to)
        framed = Sequenced(
            stream=conversation.stream,
            number=conversation.next_number,
            their_stream=conversation.their_stream,
            heard=conversation.heard,
            message=message,
        )
        conversation.next_number += 1
        if not conversation.unacknowledged:
            conversation.sent_at = self.core.now
        conversation.unacknowledged.append(framed)
        conversation.housekeeping.append(housekeeping)
        self._acknowledges(to, conversation)
        self.core.send(to, framed, housekeeping=housekeeping)
        if conversation.watch == "none" or (conversation.watch == "housekeeping" and not housekeeping):
            self._watch(to, conversation)

    def arrived(self, sender: str, framed: Sequenced) -> None:
        """Take in a message and hand over all whose turn has come."""
        conversation = self._with(sender)
        self._heard_of_ours(sender, conversation, framed.their_stream, framed.heard)
        if framed.stream > conversation.their_stream:
            self._begins_anew(sender, conversation, framed)
        if framed.stream < conversation.their_stream:
            return
        if framed.number != conversation.heard:
            if framed.number > conversation.heard and len(conversation.early) < MOST_EARLY:
                conversation.early[framed.number] = framed.message
            self._acknowledge(sender, conversation)
            return
        if not conversation.owes:
            conversation.owes = True
            self.core.set_timer(self.acknowledge_delay_ps, ("acknowledge", sender, 0), housekeeping=True)
        message: NetworkMessage | None = framed.message
        while message is not None:
            conversation.heard += 1
            self.deliver(sender, message)
            message = conversation.early.pop(conversation.heard, None)

    def acknowledged(self, sender: str, told: Acknowledged) -> None:
        """A bare acknowledgement; one that tells nothing new means that something was lost."""
        conversation = self._with(sender)
        fresh = self._heard_of_ours(sender, conversation, told.their_stream, told.heard)
        if told.stream > conversation.their_stream:
            self._begins_anew(sender, conversation, told)
            return
        if not fresh and told.gap and told.their_stream == conversation.stream and conversation.tries == 0:
            self._repeat(sender, conversation)

    def owed(self, peer: str) -> None:
        """No message came by for the acknowledgement to ride on."""
        conversation = self._with(peer)
        if conversation.owes:
            self._acknowledge(peer, conversation)

    def silent(self, peer: str) -> None:
        """The peer has not acknowledged in time."""
        conversation = self._with(peer)
        conversation.watch = "none"
        if not conversation.unacknowledged:
            return
        if conversation.tries < MOST_TRIES:
            self._repeat(peer, conversation)
            return
        self.core.record("peer_silent", peer=peer)
        self.give_up(peer)
        self.lost_peer(peer)

    def repeat(self, peer: str) -> None:
        """The peer can be reached again: send at once what it has not acknowledged."""
        conversation = self._with(peer)
        if conversation.tries > 0:
            conversation.tries = 0
            self._repeat(peer, conversation)

    def give_up(self, peer: str) -> None:
        """Forget what the peer did not acknowledge; what is sent from here on is a new sequence."""
        conversation = self._with(peer)
        conversation.unacknowledged.clear()
        conversation.housekeeping.clear()
        if conversation.next_number > 0:
            conversation.stream = max(self.core.now, conversation.stream + 1)
        conversation.next_number = conversation.tries = 0
        conversation.watch = "none"
        self.core.cancel_timer(_retransmit(peer))

    def _with(self, peer: str) -> Conversation:
        conversation = self.conversations.get(peer)
        if conversation is None:
            conversation = self.conversations[peer] = Conversation(self.core.now)
        return conversation

    def _begins_anew(self, peer: str, conversation: Conversation, framed: Sequenced | Acknowledged) -> None:
        """The peer's first message, or the first after it gave this node up, or after it was started anew."""
        first = conversation.their_stream < 0
        conversation.their_stream, conversation.heard = framed.stream, 0
        conversation.early.clear()
        if first:
            return
        self.core.record("peer_began_anew", peer=peer)
        unacknowledged = conversation.unacknowledged
        acknowledged = unacknowledged[0].number if unacknowledged else conversation.next_number
        if acknowledged > (framed.heard if framed.their_stream == conversation.stream else 0):
            self.give_up(peer)  # it has forgotten what it had acknowledged, and would wait for it
        self.lost_peer(peer)

    def _heard_of_ours(self, peer: str, conversation: Conversation, stream: int, heard: int) -> bool:
        """Whether the peer's acknowledgement tells something new."""
        if stream != conversation.stream or not conversation.unacknowledged:
            return False
        first = conversation.unacknowledged[0].number
        fresh = min(heard, conversation.next_number) - first
        if fresh <= 0:
            return False
        if conversation.sent_at >= 0:
            sample = self.core.now - conversation.sent_at
            conversation.round_trip_ps = max(sample, conversation.round_trip_ps - conversation.round_trip_ps // 8)
        for _ in range(fresh):
            conversation.unacknowledged.popleft()
            conversation.housekeeping.popleft()
        conversation.tries = 0
        conversation.sent_at = -1
        if conversation.unacknowledged:
            self._watch(peer, conversation)
        else:
            conversation.watch = "none"
            self.core.cancel_timer(_retransmit(peer))
        return True

    def _repeat(self, peer: str, conversation: Conversation) -> None:
        conversation.tries += 1
        conversation.sent_at = -1
        self._acknowledges(peer, conversation)
        for framed, housekeeping in zip(conversation.unacknowledged, conversation.housekeeping, strict=True):
            self.core.send(peer, framed, housekeeping=housekeeping)
        self._watch(peer, conversation)

    def _watch(self, peer: str, conversation: Conversation) -> None:
        """Set the timer after which the peer counts as silent."""
        delay = max(4 * self.acknowledge_delay_ps, 2 * conversation.round_trip_ps + self.acknowledge_delay_ps)
        housekeeping = all(conversation.housekeeping)
        conversation.watch = "housekeeping" if housekeeping else "expects"
        self.core.set_timer(delay << conversation.tries, _retransmit(peer), housekeeping=housekeeping)

    def _acknowledge(self, peer: str, conversation: Conversation) -> None:
        self._acknowledges(peer, conversation)
        told = Acknowledged(
            stream=conversation.stream,
            their_stream=conversation.their_stream,
            heard=conversation.heard,
            gap=bool(conversation.early),
        )
        self.core.send(peer, told, housekeeping=True)

    def _acknowledges(self, peer: str, conversation: Conversation) -> None:
        if conversation.owes:
            conversation.owes = False
            self.core.cancel_timer(("acknowledge", peer, 0))


def _retransmit(peer: str) -> TimerKey:
    return ("retransmit", peer, 0)
