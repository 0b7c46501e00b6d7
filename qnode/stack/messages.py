"""Classical messages between applications, kept until they are asked for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from qnode.stack.core import Core, RequestRefused
from qnode.stack.events import TimerKey
from qnode.wire.application import Received, ReceiveMessage, SendMessage
from qnode.wire.codec import MAXIMUM_PAYLOAD_BYTES
from qnode.wire.peer import ApplicationMessage

MAILBOX_BYTES = 64 * 1024 * 1024
"""Most bytes of unread messages at one node; what comes beyond is dropped and the event log says so."""
LONGEST_TAG = 256


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
        message = ApplicationMessage(
            sender_application=self.core.sessions[session].application,
            recipient_application=recipient or None,
            tag=request.tag,
            payload=request.payload,
        )
        self.core.send(node, message)
        self.core.done(session, request.call)

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
                self.unread_bytes -= len(message.payload)
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
        if self.unread_bytes + len(message.payload) > MAILBOX_BYTES:
            self.core.record("message_dropped", sender=sender, tag=message.tag, reason="mailbox full")
            return
        self.unread.setdefault(key, deque()).append(message)
        self.unread_bytes += len(message.payload)

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


def _timer(session: int, call: int) -> TimerKey:
    return ("receive", str(session), call)
