"""The shell of a node: frames become events, actions become frames. It decides nothing about protocols.

Between GRANT and BLOCK the node walks through its window instant by instant: events, timers, then the requests of
applications, whose turn ends when each of them waits. Requests are served in the order of sessions, never of arrival.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Iterable

from qnode.clients import KEY_SHARE, LARGE_REQUESTS, PROCESS_ENDED, SMALL_FRAME_BYTES, Client
from qnode.config import NodeConfiguration
from qnode.outside import CLIENTS, FABRIC, Outside
from qnode.security.refusals import Kind, RefusedSockets
from qnode.stack.events import (
    Action,
    Answer,
    Asked,
    CancelTimer,
    Event,
    Operate,
    Record,
    SendTo,
    SessionEnded,
    SetTimer,
    Started,
    TimerFired,
    TimerKey,
)
from qnode.stack.node import Node
from qnode.transport import PRESENCE_INTERVAL_S
from qnode.wire import application, fabric
from qnode.wire.application import Request
from qnode.wire.codec import WireError
from qnode.wire.peer import sealed
from qnode.wire.version import VERSION

LONGEST_NAME = 64
FEW_TIMERS = 1024
"""Up to so many cancelled timers are left lying."""
EVENTS_PER_REQUEST = 8
"""That one request may lead to at one instant."""
FRAMES_IN_A_ROW = 64
"""Of clients, before the fabric and the ends of processes are looked after again."""
LAST_WORDS_S = 1.0
"""Longest that is listened for what an ended process had still sent."""
NODE_SHARE = 3
"""How many times the bytes that one session may send at a time all of a node's may: they fit into one block."""


class SteppingForever(RuntimeError):
    """A node acted again and again without virtual time moving on."""


class Shell:
    """One node process between its sockets."""

    def __init__(self, configuration: NodeConfiguration, transport: Outside) -> None:
        self._configuration = configuration
        self._transport = transport
        self._node = Node(configuration)
        self._clients: dict[bytes, Client] = {}
        self._of_session: dict[int, Client] = {}
        self._expected = {name: number for number, name in enumerate(configuration.expected_applications)}
        self._sessions = len(self._expected)
        self._timers: list[tuple[int, int, TimerKey]] = []
        self._set: dict[TimerKey, int] = {}
        self._housekeeping: set[TimerKey] = set()
        """Of the timers that are set."""
        self._timer_count = 0
        self._now = 0
        self._holding = False
        self._started = False
        self._interrupted = False
        self._halted = False
        self._steps = 0
        self._grants = 0
        self._last_block: fabric.Block | None = None
        """None while a grant is held."""
        self._last_interrupt: str | None = None
        """None if there was none since the last grant."""
        self._requests = 0
        """Served at this instant."""
        self._limits = configuration.limits
        self._refused = RefusedSockets()
        self._window_bytes = 0
        """Of requests since the last block."""
        self._sends: list[fabric.Send] = []
        self._operations: list[fabric.Operation] = []
        self._notes: list[fabric.Note] = []

    def run(self) -> None:
        """Serve until the fabric halts the node."""
        hello = fabric.Hello(version=VERSION, node=self._configuration.name, process_id=self._configuration.process_id)
        self._transport.to_fabric(hello)
        while not self._halted:
            grant = self._receive()
            if grant is not None:
                self._granted(grant)

    def _look_around(self) -> None:
        """While applications are waited for: whether the fabric has a word, a process has ended, one takes too long."""
        self._receive(timeout_ms=0)
        now_s = time.monotonic()
        for client in list(self._clients.values()):
            if client.expected or not client.runs():
                continue
            if client.turn_since_s is None:
                client.turn_since_s = now_s
            elif self._transport.is_late(client.identity, client.turn_since_s, self._limits.turn_s):
                self._end(client, f"it kept virtual time waiting for more than {self._limits.turn_s:g} s", outside=True)

    def _receive(self, *, timeout_ms: int | None = None) -> fabric.Grant | None:
        """Take in one thing from each source that has some; returns a grant if one came."""
        grant = None
        if any(client.remote for client in self._clients.values()):
            timeout_ms = round(PRESENCE_INTERVAL_S * 1000) if timeout_ms is None else timeout_ms
            self._look_after_remote()
        for source, identity in self._transport.wait(timeout_ms, flooded=self._refused.flooded):
            if source == FABRIC:
                grant = self._from_fabric() or grant
            elif source == CLIENTS:
                frames = 1
                while self._from_client() and self._refused.flooded and frames < FRAMES_IN_A_ROW:
                    frames += 1
            else:
                self._process_ended(identity)
        return grant

    def _look_after_remote(self) -> None:
        """End the sessions of clients whose connections are gone."""
        remote = [client.identity for client in self._clients.values() if client.remote and not client.ended]
        for identity in self._transport.gone(remote):
            self._end(self._clients[identity], "its connection is gone", outside=True, limit=False)

    def _from_fabric(self) -> fabric.Grant | None:
        message = self._transport.from_fabric()
        if isinstance(message, fabric.Grant):
            return message
        if isinstance(message, fabric.Probe):
            self._transport.to_fabric(fabric.ProbeAnswer(waits=self._waits()))
        elif isinstance(message, fabric.ApplicationEnded):
            self._application_ended(message)
        elif isinstance(message, fabric.Resume):
            self._transport.to_fabric(
                fabric.Resumed(
                    process_id=self._configuration.process_id,
                    grants=self._grants,
                    block=self._last_block,
                    interrupt=self._last_interrupt,
                )
            )
        else:
            self._halt(message.reason)
        return None

    def _granted(self, grant: fabric.Grant) -> None:
        """Walk through the window, then block."""
        begins = not self._started
        self._holding, self._started, self._interrupted = True, True, False
        self._grants += 1
        self._last_block = self._last_interrupt = None
        self._advance(grant.now)
        if begins:
            self._do(Started())
        events = iter(grant.events)
        event = next(events, None)
        while not self._halted:
            self._settle()
            upcoming = self._next_timer()
            if upcoming is not None:
                upcoming = max(upcoming, self._now)  # one whose time went by while the node was stopped, or slow
            if event is not None and (upcoming is None or event.at <= upcoming):
                self._advance(event.at)
                self._do(event)
                event = next(events, None)
                while event is not None and event.at == self._now:
                    self._do(event)
                    event = next(events, None)
            elif upcoming is not None and upcoming < grant.until:
                self._advance(upcoming)
                self._do(TimerFired(self._pop_timer()))
            else:
                break
        if self._halted:
            return
        self._holding = False
        self._pause()
        applications = len(self._expected) + sum(not client.ended for client in self._clients.values())
        self._last_block = fabric.Block(
            wake_at=self._next_timer(),
            sends=tuple(self._sends),
            operations=tuple(self._operations),
            notes=tuple(self._notes),
            applications=applications,
            strangers=sum(not (client.expected or client.ended) for client in self._clients.values()),
            flowing=sum(not client.holds_time for client in self._clients.values()),
            expects=len(self._set) > len(self._housekeeping),
        )
        self._transport.to_fabric(self._last_block)
        self._sends, self._operations, self._notes = [], [], []
        self._window_bytes = 0
        for client in self._clients.values():
            client.window_bytes = 0

    def _advance(self, at: int) -> None:
        if at != self._now:
            self._now, self._steps, self._requests = at, 0, 0

    def _settle(self) -> None:
        """Let every application act at this instant until all of them wait."""
        while not self._halted:
            frames = 0
            while (self._expected or any(client.runs() for client in self._clients.values())) and not self._halted:
                if self._from_client():
                    frames += 1
                    if frames % FRAMES_IN_A_ROW:
                        continue
                self._look_around()
            ready = [client for client in self._clients.values() if client.inbox or client.ended]
            if not ready or self._halted:
                return
            for client in sorted(ready, key=lambda client: client.session):
                for request in client.take_inbox():
                    if client.is_let_go():
                        break
                    if client.identity in self._clients:
                        self._ask(client, request)
                    elif not isinstance(request, application.Wait):
                        self._refuse(client.identity, request.call, "bad_request", "the session is over")
                    if isinstance(request, application.Detach):
                        self._forget(client)
                if client.ended:
                    self._do(SessionEnded(client.session, client.ended))
                    self._forget(client)

    def _forget(self, client: Client) -> None:
        self._of_session.pop(client.session, None)
        self._transport.forget(client.identity)
        if self._clients.pop(client.identity, None) is not None and client.descriptor is not None:
            self._transport.unwatch(client.descriptor)
            client.descriptor = None

    def _ask(self, client: Client, request: Request) -> None:
        """Serve a request, unless its application makes virtual time stand still with them."""
        most = self._limits.requests_per_instant
        if client.served(self._now) > most:
            reason = f"more than {most} requests at {self._now} ps: it loops without letting virtual time pass"
            self._end(client, f"{reason}; raise limits.applications.requests_per_instant if that is meant")
            return
        self._requests += 1
        self._act(self._node.handle(self._now, Asked(client.session, request)))

    def _do(self, event: Event) -> None:
        self._steps += 1
        if self._steps > self._configuration.steps_per_instant + EVENTS_PER_REQUEST * self._requests:
            raise SteppingForever(
                f"node {self._configuration.name} took more than {self._configuration.steps_per_instant} steps at "
                f"{self._now} ps (last event: {event}); raise time.steps_per_instant if that is meant"
            )
        self._act(self._node.handle(self._now, event))

    def _act(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Answer):
                self._answer(action)
            elif isinstance(action, Operate):
                self._operations.append(
                    fabric.Operation(operation=action.operation, at=self._now, action=action.action)
                )
            elif isinstance(action, SendTo):
                payload = sealed(action.message)
                self._sends.append(
                    fabric.Send(
                        at=self._now,
                        to=action.to,
                        payload=payload,
                        over=action.over,
                        housekeeping=action.housekeeping,
                    )
                )
            elif isinstance(action, SetTimer):
                self._timer_count += 1
                self._set[action.key] = self._timer_count
                heapq.heappush(self._timers, (action.at, self._timer_count, action.key))
                (self._housekeeping.add if action.housekeeping else self._housekeeping.discard)(action.key)
                if len(self._timers) > 2 * len(self._set) + FEW_TIMERS:
                    self._timers = [each for each in self._timers if self._set.get(each[2]) == each[1]]
                    heapq.heapify(self._timers)
            elif isinstance(action, CancelTimer):
                self._set.pop(action.key, None)
                self._housekeeping.discard(action.key)
            elif isinstance(action, Record):
                self._notes.append(fabric.Note(at=self._now, kind=action.kind, details=action.details))

    def _answer(self, action: Answer) -> None:
        client = self._of_session.get(action.session)
        if client is not None and not client.is_let_go():
            self._pause()
            client.answered += 1
            client.waits = False
            client.turn_since_s = None
            if not self._transport.to_client(client.identity, action.message, most_unread=self._limits.unread_bytes):
                self._end(client, "it does not read its answers, or is gone", outside=True)

    def _next_timer(self) -> int | None:
        while self._timers and self._set.get(self._timers[0][2]) != self._timers[0][1]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _pop_timer(self) -> TimerKey:
        _, _, key = heapq.heappop(self._timers)
        del self._set[key]
        self._housekeeping.discard(key)
        return key

    def _from_client(self) -> bool:
        """Take in the next message of a client; False if none came within a moment."""
        received = self._transport.from_client()
        if received is None:
            return False
        identity, user, frames = received
        if self._refused.are_muted(identity):
            self._transport.refusals.note("limit", "a socket that is not listened to any more")
            self._refused.heard(rubbish=True)
            return True
        try:
            if len(frames) != 1:
                raise WireError(f"a message of {len(frames)} frames, expected one")
            self._request(identity, user, application.requests.decode(frames[0]), len(frames[0]))
        except WireError as error:
            self._refuse(identity, None, "bad_message", str(error), kind="malformed")
        return True

    def _request(self, identity: bytes, user: str, request: Request, size: int) -> None:
        client = self._clients.get(identity)
        if client is not None and client.user != user:
            story = f"{user} speaks where application {client.application} of {client.user} is attached"
            self._transport.refusals.note("impostor", story)
            return
        if client is None:
            if not isinstance(request, application.Attach):
                call = None if isinstance(request, application.Wait) else request.call
                reason = "not attached: the first message is `attach`"
                self._refuse(identity, call, "bad_request", reason, kind="unexpected")
                return
            client = self._attach(identity, user, request)
            if client is None:
                return
        elif isinstance(request, application.Wait):
            self._refused.heard(rubbish=client.waits)
            client.waits = request.seen >= client.answered
            return
        elif isinstance(request, application.Attach):
            self._refuse(identity, request.call, "bad_request", "attached already; one session a socket")
            return
        else:
            self._refused.forgive(identity)
            self._refused.heard(rubbish=False)
            reason = client.no_room(size, self._limits)
            if not reason and self._window_bytes + size > NODE_SHARE * self._limits.bytes_ahead:
                reason = f"more than {NODE_SHARE * self._limits.bytes_ahead} bytes of requests at this node at a time"
            if size > SMALL_FRAME_BYTES and not isinstance(request, LARGE_REQUESTS):
                tag = request.__struct_config__.tag
                reason = f"a frame of {size} bytes, expected at most {SMALL_FRAME_BYTES} for {tag}"
            if reason:
                self._transport.refusals.note("limit", f"application {client.application}: {reason}")
                self._refuse(identity, request.call, "limit", reason)
                client.refused_ahead += 1
                if client.refused_ahead > self._limits.requests_ahead:
                    self._end(client, f"it goes on sending {reason}", outside=True)
                return
            client.window_bytes += size
            self._window_bytes += size
            client.waits = request.waiting or isinstance(request, application.Detach)
        outside = not client.holds_time or (isinstance(request, application.Attach) and not client.expected)
        client.inbox.append(request)
        self._interrupt(f"application {client.application} sent {request.__struct_config__.tag}", outside=outside)

    def _attach(self, identity: bytes, user: str, request: application.Attach) -> Client | None:
        """A new client, or None and an answer that says why not."""
        if user and user != request.application:
            reason = f"its key is that of application {user!r}, not of {request.application[:80]!r}"
            self._refuse(identity, request.call, "denied", reason, kind="impostor")
            return None
        if request.version != VERSION:
            reason = f"this node speaks version {VERSION} of the wire, the application version {request.version}"
            self._refuse(identity, request.call, "unsupported", reason, kind="version")
            return None
        name = request.application
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or "/" in name:
            reason = f"application name {name[:80]!r}: expected 1 to {LONGEST_NAME} printable characters without '/'"
            self._refuse(identity, request.call, "bad_request", reason)
            return None
        if not request.holds_time and not self._configuration.paced:
            reason = "at pace max nothing but the applications holds virtual time back: attach with holds_time"
            self._refuse(identity, request.call, "unsupported", reason)
            return None
        full = self._no_session(name, user)
        if full:
            self._refuse(identity, request.call, "limit", full, kind="limit")
            return None
        descriptor = None
        if request.process_id is not None:
            try:
                descriptor = self._transport.watch(request.process_id, identity)
            except (OSError, OverflowError) as error:
                reason = f"process_id {request.process_id} is no process that this node can watch ({error})"
                self._refuse(identity, request.call, "bad_request", reason)
                return None
        session = self._expected.pop(name, None)
        expected = session is not None
        if session is None:
            session = self._sessions
            self._sessions += 1
        remote = descriptor is None and bool(user)
        client = Client(session, identity, user, name, request.holds_time, expected, remote)
        client.waits, client.descriptor = True, descriptor
        self._refused.forgive(identity)
        self._clients[identity] = self._of_session[session] = client
        return client

    def _no_session(self, name: str, user: str) -> str:
        """Why there is none for one more application; empty if there is. Those of the scenario have theirs."""
        most = self._limits.sessions
        if name in self._expected:
            return ""
        if len(self._clients) + len(self._expected) >= most:
            return f"{most} applications are attached to {self._configuration.name}, and no more may"
        if user and sum(client.user == user for client in self._clients.values()) >= max(1, most // KEY_SHARE):
            return f"{max(1, most // KEY_SHARE)} sessions have the key of {user!r}, and no more may"
        return ""

    def _refuse(
        self,
        identity: bytes,
        call: int | None,
        code: application.FailureCode,
        reason: str,
        *,
        kind: Kind | None = None,
    ) -> None:
        """Say no; ``kind``: to something that no sound program sends, which is counted and not answered for ever."""
        client = self._clients.get(identity)
        if kind is not None:
            self._transport.refusals.note(kind, reason)
            self._refused.heard(rubbish=True)
            if self._refused.refuse(identity):
                self._transport.refusals.note("limit", f"too many refusals; the last: {reason}")
                if client is not None:
                    self._end(client, f"too many frames that are no requests; the last: {reason}")
                return
        if client is not None:
            client.answered += 1
        self._transport.to_client(identity, application.Failed(call=call, now_ps=self._now, code=code, reason=reason))

    def _end(self, client: Client, reason: str, *, outside: bool = False, limit: bool = True) -> None:
        """End a session from this side; nothing more is heard from its socket."""
        if client.ended:
            return
        client.ended = reason
        client.take_inbox()
        if limit:
            self._transport.refusals.note("limit", f"application {client.application} is detached: {reason}")
            failed = application.Failed(call=None, now_ps=self._now, code="limit", reason=f"detached: {reason}")
            self._transport.to_client(client.identity, failed)
            self._refused.mute(client.identity)
        self._interrupt(f"application {client.application} was detached: {reason}", outside=outside)

    def _process_ended(self, identity: bytes) -> None:
        client = self._clients.get(identity)
        if client is not None:
            began_s = time.monotonic()
            while self._from_client() and not self._transport.is_late(identity, began_s, LAST_WORDS_S):
                pass  # its last words may still be on their way
            if client.ended:
                return
            client.descriptor = None
            outside = not client.runs()
            client.ended = PROCESS_ENDED
            self._interrupt(f"the process of application {client.application} ended", outside=outside)

    def _application_ended(self, message: fabric.ApplicationEnded) -> None:
        if self._expected.pop(message.application, None) is not None:
            self._notes.append(
                fabric.Note(
                    at=self._now,
                    kind="application_never_attached",
                    details={"application": message.application, "status": message.status},
                )
            )

    def _interrupt(self, reason: str, *, outside: bool) -> None:
        """Ask for a grant where none is held, and let the fabric know of what came from outside virtual time."""
        if self._started and not self._holding:
            if self._interrupted:
                return
            self._interrupted = True
        elif not outside:
            return
        self._last_interrupt = reason
        self._transport.to_fabric(fabric.Interrupt(reason=reason))

    def _waits(self) -> tuple[str, ...]:
        """What keeps this node from blocking, or what its applications wait for."""
        running = [
            f"application {client.application} to make its next call"
            for client in self._clients.values()
            if client.runs()
        ]
        expected = [f"application {name} to attach" for name in self._expected]
        return tuple(expected + running) if self._holding else self._node.waits()

    def _halt(self, reason: str) -> None:
        """Tell every open call that the run is over."""
        self._halted = True
        for client in self._clients.values():
            session = self._node.core.sessions.get(client.session)
            calls = set(session.open_calls) if session is not None else set()
            calls.update(request.call for request in client.inbox if not isinstance(request, application.Wait))
            for call in sorted(calls):
                self._transport.to_client(
                    client.identity, application.Failed(call=call, now_ps=self._now, code="stopped", reason=reason)
                )

    def _pause(self) -> None:
        """A random wall-clock pause, if this run is to be shaken."""
        if self._configuration.shake_s:
            time.sleep(random.uniform(0, self._configuration.shake_s))
