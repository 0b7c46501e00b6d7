"""A whole testbed in one process: the real fabric engine, the real nodes' stacks, programs as generators.

What a run of real processes does between sockets is done here by calls, so thousands of runs fit into a test. A program
is a generator: it yields requests (with ``call=0``), and gets the answer of each as the value of its ``yield``.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from orchestrator import control
from orchestrator.deployment import node_configurations
from orchestrator.fabric.clock import EventClass
from orchestrator.fabric.course import Course
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.happenings import Delivery, NodeSeat
from orchestrator.fabric.journal import head_of
from orchestrator.fabric.pacing import Pace
from orchestrator.scenario import Scenario
from orchestrator.topology import Topology
from qnode.config import NodeConfiguration
from qnode.stack.events import Answer, Asked, CancelTimer, Event, Operate, Record, SendTo, SetTimer, Started, TimerFired
from qnode.stack.node import Node
from qnode.wire import application, fabric
from qnode.wire.peer import sealed

Program = Generator[Any, application.Answer, None]
"""Yields requests with ``call=0``; what it is sent is the answer."""
Tamper = Callable[[str, str, bytes], tuple[int, ...]]
"""Gets sender, recipient and payload; gives the extra delays (ps) of the copies that arrive: (0,) as it should be."""


@dataclass
class Seat:
    """One node and its programs."""

    node: Node
    timers: list[tuple[int, int, Any]] = field(default_factory=list)
    times: dict[Any, int] = field(default_factory=dict)
    housekeeping: set[Any] = field(default_factory=set)
    counter: int = 0
    started: bool = False
    programs: dict[int, Program] = field(default_factory=dict)
    waits_for: dict[int, int] = field(default_factory=dict)
    """The call that each session waits for."""
    calls: int = 0


class InProcess:
    """A testbed."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        tamper: Tamper | None = None,
        check: bool = True,
        log: EventLog | None = None,
        journal: Path | None = None,
    ) -> None:
        self.log = log or EventLog(None)
        self.records: list[dict[str, Any]] = []
        """Every line of the event log that a node wrote: at, node, kind and details."""
        self.engine = Engine(scenario, self.log)
        self.tamper = tamper
        self.check = check
        groups = Topology(scenario).classical_components()
        self.seats: dict[str, Seat] = {}
        for configuration in node_configurations(scenario, applications=False):
            peers = next(group for group in groups if configuration.name in group)
            self.seats[configuration.name] = Seat(Node(msgspec.structs.replace(configuration, peers=peers)))
        self.now = 0
        self._pending: deque[tuple[str, int, application.Request]] = deque()
        self._send = self.engine._send
        self.engine._send = self._sent  # type: ignore[method-assign]
        self.course = Course(self.engine, Pace(None))
        if journal is not None:
            self.course.create_journal(journal, head_of(scenario))
        self.course.begin()

    def configuration(self, node: str) -> NodeConfiguration:
        """What a node was told."""
        return self.seats[node].node.configuration

    def start(self, node: str, program: Program, *, name: str = "app") -> int:
        """Let a program act at virtual time 0, or at the node's next step; returns its session."""
        seat = self.seats[node]
        session = len(seat.programs)
        seat.programs[session] = program
        attach = application.Attach(call=0, version=3, application=f"{name}{session}")
        self._pending.append((node, session, attach))
        return session

    @property
    def running(self) -> int:
        """How many programs have not ended."""
        return sum(len(seat.waits_for) for seat in self.seats.values()) + len(self._pending)

    def run(self, until: Callable[[], bool] | None = None, *, at_most_s: float = 100.0) -> None:
        """Go on until every program has ended (or ``until`` holds); fails after ``at_most_s`` of virtual time."""
        limit_ps = round(at_most_s * 1e12)
        while not (until() if until is not None else self.now > 0 and self.running == 0):
            due = self.engine.next_time()
            assert due is not None, f"nothing is left to happen at {self.now} ps; {self.waits()}"
            assert due <= limit_ps, f"still going at {due / 1e12} s; {self.waits()}"
            self.step()

    def run_for(self, seconds: float) -> None:
        """Go on for so much virtual time."""
        end = self.now + round(seconds * 1e12)

        def over() -> bool:
            due = self.engine.next_time()
            return due is None or due >= end

        self.run(over, at_most_s=1e6)

    def step(self) -> None:
        """One window."""
        grants = self.course.open_round(0.0)
        self.obey_orders()
        for name, grant in grants.items():
            self.window(name, grant)

    def obey_orders(self) -> None:
        """Do all that faults want."""
        for order in self.engine.orders:
            self.obey(order)
        self.engine.orders.clear()

    def obey(self, order: control.Order) -> None:
        """Do to a node, and to the programs on it, what a fault wants."""
        if isinstance(order, control.EndNode):
            self.seats[order.node].waits_for.clear()
            self._pending = deque(each for each in self._pending if each[0] != order.node)
        elif isinstance(order, control.StartNode):
            old = self.configuration(order.node)
            again = msgspec.structs.replace(old, incarnation=order.incarnation, expected_applications=())
            self.seats[order.node] = Seat(Node(again))

    def waits(self) -> dict[str, tuple[str, ...]]:
        """What the programs wait for."""
        return {name: lines for name, seat in self.seats.items() if (lines := seat.node.waits())}

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The nodes' records of one kind."""
        return [record for record in self.records if record["kind"] == kind]

    def window(self, name: str, grant: fabric.Grant) -> None:
        """A node does all that it has to do, and blocks."""
        seat = self.seats[name]
        sends: list[fabric.Send] = []
        operations: list[fabric.Operation] = []
        notes: list[fabric.Note] = []
        self.now = grant.now

        def handle(event: Event) -> None:
            for action in seat.node.handle(self.now, event):
                if isinstance(action, SetTimer):
                    seat.counter += 1
                    seat.times[action.key] = seat.counter
                    heapq.heappush(seat.timers, (action.at, seat.counter, action.key))
                    (seat.housekeeping.add if action.housekeeping else seat.housekeeping.discard)(action.key)
                elif isinstance(action, CancelTimer):
                    seat.times.pop(action.key, None)
                    seat.housekeeping.discard(action.key)
                elif isinstance(action, SendTo):
                    sends.append(
                        fabric.Send(
                            at=self.now,
                            to=action.to,
                            payload=sealed(action.message),
                            over=action.over,
                            housekeeping=action.housekeeping,
                        )
                    )
                elif isinstance(action, Operate):
                    operation = fabric.Operation(operation=action.operation, at=self.now, action=action.action)
                    operations.append(operation)
                elif isinstance(action, Record):
                    notes.append(fabric.Note(at=self.now, kind=action.kind, details=action.details))
                    self.records.append({"at": self.now, "node": name, "kind": action.kind, **action.details})
                elif isinstance(action, Answer):
                    self._answered(name, seat, action)
            if self.check:
                seat.node.core.memory.check()
            mine = [each for each in self._pending if each[0] == name]
            for each in mine:
                self._pending.remove(each)
            for _, session, request in mine:
                seat.waits_for[session] = request.call
                handle(Asked(session, request))

        def next_timer() -> int | None:
            while seat.timers and seat.times.get(seat.timers[0][2]) != seat.timers[0][1]:
                heapq.heappop(seat.timers)
            return seat.timers[0][0] if seat.timers else None

        if not seat.started:
            seat.started = True
            handle(Started())
        events = deque(grant.events)
        while True:
            upcoming = next_timer()
            if upcoming is not None:
                upcoming = max(upcoming, self.now)  # one that a fault kept back
            if events and (upcoming is None or events[0].at <= upcoming):
                event = events.popleft()
                self.now = event.at
                handle(event)
            elif upcoming is not None and upcoming < grant.until:
                self.now = upcoming
                _, _, key = heapq.heappop(seat.timers)
                del seat.times[key]
                seat.housekeeping.discard(key)
                handle(TimerFired(key))
            else:
                break
        block = fabric.Block(
            wake_at=next_timer(),
            sends=tuple(sends),
            operations=tuple(operations),
            notes=tuple(notes),
            applications=len(seat.waits_for),
            expects=len(seat.times) > len(seat.housekeeping),
        )
        self.course.blocked(name, block, fabric.to_fabric.encode(block))

    def _answered(self, name: str, seat: Seat, action: Answer) -> None:
        """Resume the program that waits for this answer."""
        session = action.session
        if seat.waits_for.get(session) != action.message.call:
            return
        del seat.waits_for[session]
        program = seat.programs[session]
        try:
            first = isinstance(action.message, application.Attached)
            request = next(program) if first else program.send(action.message)
        except StopIteration:
            return
        seat.calls += 1
        self._pending.append((name, session, msgspec.structs.replace(request, call=seat.calls)))

    def _sent(self, seat: NodeSeat, send: fabric.Send) -> None:
        if self.tamper is None:
            self._send(seat, send)
            return
        for extra_ps in self.tamper(seat.name, send.to, send.payload):
            if extra_ps == 0:
                self._send(seat, send)
                continue
            latency = self.engine.topology.classical_latency_ps(seat.name, send.to)
            if latency is None:
                continue
            arrival = send.at + latency + extra_ps
            event = fabric.Delivered(at=arrival, sender=seat.name, payload=send.payload)
            delivery = Delivery(self.engine.seats[send.to], event)
            self.engine.agenda.add(arrival, EventClass.MESSAGE, seat.number, delivery)
