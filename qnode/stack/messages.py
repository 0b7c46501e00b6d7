"""Classical messages between applications, kept until they are asked for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from qnode.stack.core import Core, RequestRefused
from qnode.stack.events import TimerKey
from qnode.wire.application import Received, ReceiveMessage, SendMessage
from qnode.wire.codec import MAXIMUM_PAYLOAD_BYTES
from qnode.wire.peer import ApplicationMessage

MAILBOX_BYTES = 256 * 1024 * 1024
"""Most bytes of unread messages at one node; what comes beyond is dropped and the event log says so."""
MESSAGE_OVERHEAD_BYTES = 256
"""What a message is taken to need beside its payload and tag."""
NODE_SHARE = 3
"""How many times what one application may send at once all of a node's may."""
LONGEST_TAG = 256
PICOSECONDS = 10**12


@dataclass(slots=True)
class Quota:
    """Bytes that may leave at once, and as many again in time: a bucket, by the time at which it is full again."""

    burst_bytes: int
    bytes_per_s: int
    full_at_ps: int = 0

    def room(self, size: int, now_ps: int) -> bool:
        """Whether so many bytes may leave now."""
        return self._after(size, now_ps) - now_ps <= self.burst_bytes * PICOSECONDS // self.bytes_per_s

    def take(self, size: int, now_ps: int) -> None:
        """They do."""
        self.full_at_ps = self._after(size, now_ps)

    def _after(self, size: int, now_ps: int) -> int:
        return max(self.full_at_ps, now_ps) + size * PICOSECONDS // self.bytes_per_s


@dataclass(slots=True)
class Receiving:
    """A call that waits for a message."""

    session: int
    application: str
    call: int


@dataclass(slots=True)
class Mailbox:
    """Unread messages and waiting calls, by sender and tag; each queue is first come, first served."""

    core: Core
    unread: dict[tuple[str, str], deque[ApplicationMessage]] = field(default_factory=dict)
    waiting: dict[tuple[str, str], deque[Receiving]] = field(default_factory=dict)
    unread_bytes: int = 0
    unread_of: dict[tuple[str, str], int] = field(default_factory=dict)
    """Bytes of unread messages by sending node and application."""
    quotas: dict[int | None, Quota] = field(default_factory=dict)
    """By session; None: of the node."""

    def send(self, session: int, request: SendMessage) -> None:
        """Send bytes to ``node`` or ``node/application``.

        Raises:
            RequestRefused: no such node can be reached, or the payload or tag is too large.
        """
        node, _, recipient = request.peer.partition("/")
        configuration = self.core.configuration
        if node not in configuration.peers:
            near = [peer for peer in configuration.peers if peer.lower().startswith(node.lower()[:2])][:5]
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise RequestRefused("unsupported", f"no classical path from {configuration.name} to a node {node!r}{hint}")
        size = len(request.payload)
        if size > MAXIMUM_PAYLOAD_BYTES:
            raise RequestRefused(
                "limit", f"a payload of {size} bytes, expected at most {MAXIMUM_PAYLOAD_BYTES}; split it"
            )
        if len(request.tag) > LONGEST_TAG:
            raise RequestRefused("limit", f"a tag of {len(request.tag)} characters, expected at most {LONGEST_TAG}")
        self._check_quota(session, size + MESSAGE_OVERHEAD_BYTES)
        message = ApplicationMessage(
            sender_application=self.core.sessions[session].application,
            recipient_application=recipient or None,
            tag=request.tag,
            payload=request.payload,
        )
        self.core.send(node, message)
        self.core.done(session, request.call)

    def _check_quota(self, session: int, size: int) -> None:
        limits, now = self.core.configuration.limits, self.core.now
        rate = limits.sent_bytes_per_s
        mine = self.quotas.setdefault(session, Quota(limits.sent_bytes, rate))
        of_all = self.quotas.setdefault(None, Quota(NODE_SHARE * limits.sent_bytes, NODE_SHARE * rate))
        for quota, whose in ((mine, "this application"), (of_all, "all of this node's applications")):
            if not quota.room(size, now):
                raise RequestRefused(
                    "limit",
                    f"{whose} may send {quota.burst_bytes} bytes at once and {quota.bytes_per_s} more a second of "
                    f"virtual time; {size} are too many now",
                )
        mine.take(size, now)
        of_all.take(size, now)

    def receive(self, session: int, request: ReceiveMessage) -> None:
        """Answer with the oldest unread message from ``request.peer`` under ``request.tag``, now or when it comes.

        Raises:
            RequestRefused: no such node can be reached.
        """
        if request.peer not in self.core.configuration.peers:
            raise RequestRefused(
                "unsupported", f"no classical path from a node {request.peer!r} to {self.core.configuration.name}"
            )
        key = (request.peer, request.tag)
        application = self.core.sessions[session].application
        queue = self.unread.get(key, deque())
        for message in queue:
            if message.recipient_application in (None, application):
                queue.remove(message)
                self._count(request.peer, message, -_size(message))
                if not queue:
                    del self.unread[key]
                self._hand_over(session, request.call, request.peer, message)
                return
        self.waiting.setdefault(key, deque()).append(Receiving(session, application, request.call))
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, _timer(session, request.call))

    def arrived(self, sender: str, message: ApplicationMessage) -> None:
        """A message from another node: to the first call that waits for it, or kept."""
        key = (sender, message.tag)
        queue = self.waiting.get(key, deque())
        for receiving in queue:
            if message.recipient_application in (None, receiving.application):
                queue.remove(receiving)
                if not queue:
                    del self.waiting[key]
                self.core.cancel_timer(_timer(receiving.session, receiving.call))
                self._hand_over(receiving.session, receiving.call, sender, message)
                return
        size, mine = _size(message), self.unread_of.get((sender, message.sender_application), 0)
        if self.unread_bytes + size > MAILBOX_BYTES or mine + size > self.core.configuration.limits.message_bytes:
            self.core.record("message_dropped", sender=sender, tag=message.tag, reason="mailbox full")
            return
        self.unread.setdefault(key, deque()).append(message)
        self._count(sender, message, size)

    def _count(self, sender: str, message: ApplicationMessage, size: int) -> None:
        key = (sender, message.sender_application)
        self.unread_bytes += size
        self.unread_of[key] = self.unread_of.get(key, 0) + size
        if self.unread_of[key] == 0:
            del self.unread_of[key]

    def timed_out(self, session: int, call: int) -> None:
        """A receiver's deadline has come."""
        for key, queue in list(self.waiting.items()):
            for receiving in queue:
                if (receiving.session, receiving.call) == (session, call):
                    queue.remove(receiving)
                    if not queue:
                        del self.waiting[key]
                    self.core.fail(session, call, "timeout", f"no message from {key[0]} under tag {key[1]!r} in time")
                    return

    def forget(self, session: int) -> None:
        """The session is over."""
        self.quotas.pop(session, None)
        for key, queue in list(self.waiting.items()):
            kept = deque(receiving for receiving in queue if receiving.session != session)
            if kept:
                self.waiting[key] = kept
            else:
                del self.waiting[key]

    def _hand_over(self, session: int, call: int, sender: str, message: ApplicationMessage) -> None:
        self.core.answer(
            session,
            Received(
                call=call,
                now_ps=self.core.now,
                sender=sender,
                sender_application=message.sender_application,
                tag=message.tag,
                payload=message.payload,
            ),
        )


def _size(message: ApplicationMessage) -> int:
    return len(message.payload) + len(message.tag) + MESSAGE_OVERHEAD_BYTES


def _timer(session: int, call: int) -> TimerKey:
    return ("receive", str(session), call)
