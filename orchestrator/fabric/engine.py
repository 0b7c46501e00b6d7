"""The fabric without its sockets: BLOCKs in, GRANTs out, one total order between them.

A round takes every event of the next window in order, carries it out, and grants the nodes to which something happens
in that window. When all of them have blocked again, their messages and operations become events, node by node.
"""

from __future__ import annotations

from functools import partial

import msgspec

from orchestrator.fabric import noise
from orchestrator.fabric.clock import PICOSECONDS, EventClass
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.faults.active import Faults
from orchestrator.fabric.generation import Ask
from orchestrator.fabric.happenings import (
    CircuitStep,
    Delivery,
    Departure,
    HeraldArrival,
    Looked,
    NodeSeat,
    QubitArrival,
    Wake,
    What,
    comes_to_something,
)
from orchestrator.fabric.heralding import light_delay_ps
from orchestrator.fabric.laboratory import MeasurementInconclusive, OperationRefused
from orchestrator.fabric.truth import DELIVERED
from orchestrator.fabric.world import World
from orchestrator.scenario import Scenario
from orchestrator.topology import Route
from qnode.config import labelled
from qnode.wire import fabric
from qnode.wire.quantum import BELL_STATES, Gate, Step

MOST_OUTSIDE = 100
"""How many inputs from outside are named; one is enough to make a run not deterministic."""


class Engine(World):
    """Virtual time, classical delivery and quantum state of one testbed."""

    def __init__(self, scenario: Scenario, log: EventLog) -> None:
        super().__init__(scenario, log)
        self.faults = Faults(self)
        self.outside: list[str] = []
        """What came from outside virtual time; a run with any is not deterministic."""
        self.cut_at: int | None = None
        """An instant (ps) at which somebody wants virtual time to stand still: no window reaches beyond it."""
        self._present_ps = 0
        self.housekeeping_messages = 0
        """Which stand in no line of the event log."""
        idle_after_s = scenario.network.idle_after_s if scenario.network is not None else 0.0
        self._idle_after_ps = round(idle_after_s * PICOSECONDS)
        self._last_event_ps = 0
        """When something last happened that was more than the network's upkeep."""
        self._blocks: dict[str, fabric.Block] = {}
        self._holders = 0
        self._window_start = 0
        self._window_end = 0

    @property
    def holders(self) -> list[str]:
        """The nodes that hold a grant."""
        return [seat.name for seat in self.seats.values() if seat.holds]

    @property
    def idle(self) -> bool:
        """Whether nobody holds a grant."""
        return self._holders == 0

    @property
    def present_ps(self) -> int:
        """The instant before which all has happened: what is done from outside now, happens then."""
        return max(self._present_ps, self._window_end, self.agenda.now_ps)

    def advance(self, to: int) -> None:
        """It is the instant ``to`` (ps), and nothing more happens before."""
        self._present_ps = max(self._present_ps, to)

    @property
    def applications(self) -> int:
        """How many applications are attached or expected."""
        return sum(seat.applications for seat in self.seats.values() if not seat.gone)

    @property
    def programs(self) -> int:
        """How many of them are the scenario's."""
        return self.applications - sum(seat.strangers for seat in self.seats.values() if not seat.gone)

    @property
    def may_act_from_outside(self) -> bool:
        """Whether an application lets virtual time flow, so that there may be more to come though nothing is due."""
        return any(seat.flowing for seat in self.seats.values() if not seat.gone)

    @property
    def settled(self) -> bool:
        """Whether every node has been up and blocked, so that ``applications`` counts them all."""
        return all(seat.blocked_once or seat.gone for seat in self.seats.values())

    def begin(self) -> None:
        """Every node starts at virtual time 0, and the scenario's faults have their instants."""
        self.faults.begin()
        for seat in self.seats.values():
            seat.started = True
            self.wake(seat, 0)

    def next_time(self) -> int | None:
        """When something happens next (ps)."""
        return self.agenda.next_time()

    def rests(self, due: int) -> bool:
        """Whether up to ``due``, when something happens next, and from then on there is only the network's upkeep."""
        upkeep = self.scenario.network is not None or self.faults.strike_for_ever
        if not upkeep or due - self._last_event_ps < self._idle_after_ps:
            return False
        if any(map(comes_to_something, self.agenda.pending())) or self.faults.holds_back():
            self._last_event_ps = due  # looked through once in a while only
            return False
        return not any(seat.expects for seat in self.seats.values() if not seat.gone)

    def round(self) -> dict[str, fabric.Grant]:
        """Carry out the next window; returns the grants to send. Nobody may hold one; something must be due."""
        now, until = self.agenda.window()
        if (next_fault := self.faults.next_instant(now)) is not None:
            until = min(until, next_fault)
        if self.cut_at is not None and self.cut_at > now:
            until = min(until, self.cut_at)
        self._window_start, self._window_end = now, until
        touched: dict[int, NodeSeat] = {}
        for at, what in self.agenda.take(until):
            if comes_to_something(what):
                self._last_event_ps = at
            for seat in self._carry_out(what, at):
                if not seat.gone:
                    touched[seat.number] = seat
        grants = {}
        for seat in touched.values():
            if seat.work_at is None:
                continue
            grant = fabric.Grant(now=seat.work_at, until=until, events=tuple(seat.events))
            grants[seat.name] = grant if seat.clock is None else seat.clock.grant(grant)
            seat.granted_at = seat.work_at
            seat.events, seat.work_at, seat.wake_at, seat.holds = [], None, None, True
        self._holders = len(grants)
        if not grants:
            self.log.close_window()
        return grants

    def block(self, name: str, block: fabric.Block) -> None:
        """A node has nothing to do before ``block.wake_at``.

        Raises:
            ValueError: it does not hold a grant, or speaks of times outside its window.
        """
        seat = self.seats[name]
        if not seat.holds:
            raise ValueError(f"node {name} blocks, but it holds no grant")
        if seat.clock is not None:
            block = seat.clock.block(block, not_before=seat.granted_at)
        times = [send.at for send in block.sends]
        times += [operation.at for operation in block.operations]
        times += [note.at for note in block.notes]
        if times and not self._window_start <= min(times) <= max(times) < self._window_end:
            raise ValueError(
                f"node {name} acts at {min(times)} to {max(times)} ps, but its window is "
                f"[{self._window_start}, {self._window_end})"
            )
        if block.wake_at is not None and block.wake_at < self._window_end:
            raise ValueError(f"node {name} asks to be woken at {block.wake_at} ps, before its window's end")
        seat.holds, seat.blocked_once = False, True
        seat.applications, seat.strangers = block.applications, block.strangers
        seat.flowing, seat.expects = block.flowing, block.expects
        self._blocks[name] = block
        self._holders -= 1
        if self._holders == 0:
            self._close_round()

    def interrupt(self, name: str, reason: str, *, now: int, repeatable: bool = False) -> None:
        """Something from outside reached a node; if it is blocked, it is granted the present.

        ``repeatable``: virtual time stands still for whoever sent it, so it comes at this instant in every run.
        """
        seat = self.seats[name]
        if not repeatable and len(self.outside) < MOST_OUTSIDE:
            self.outside.append(f"{name}: {reason}")
        if seat.started and not seat.holds and not seat.gone:
            at = max(now, self.present_ps)
            self._last_event_ps = max(self._last_event_ps, at)
            if seat.wake_at is None or at < seat.wake_at:
                self.wake(seat, at)

    def give_up(self, name: str) -> None:
        """The node is gone; the network goes on without it."""
        seat = self.seats[name]
        if not seat.gone:
            seat.gone = True
            self._blocks.pop(name, None)
            if seat.holds:
                seat.holds = False
                self._holders -= 1
                if self._holders == 0:
                    self._close_round()

    def _close_round(self) -> None:
        """All have blocked: what they did becomes events, in the order of nodes."""
        blocks, self._blocks = self._blocks, {}
        sends: list[tuple[NodeSeat, fabric.Send]] = []
        for seat in sorted((self.seats[name] for name in blocks), key=lambda seat: seat.number):
            block = blocks[seat.name]
            for note in block.notes:
                self.log.write(note.at, note.kind, node=seat.name, **note.details)
                if note.kind == DELIVERED:
                    self.truth.noted(note.details)
            for operation in block.operations:
                try:
                    self._submit(seat, operation)
                except OperationRefused as refusal:
                    self._refuse(seat, operation.operation, operation.at, refusal)
            sends += [(seat, send) for send in block.sends]
            if block.wake_at is not None and (seat.wake_at is None or block.wake_at < seat.wake_at):
                self.wake(seat, block.wake_at)  # unless it was interrupted since, and is woken before
        if self.faults.messages.at_work:
            sends.sort(key=lambda each: each[1].at)  # faults act in the order of time, whatever the windows are
        for seat, send in sends:
            self._send(seat, send)
        self.log.close_window()

    def _send(self, seat: NodeSeat, send: fabric.Send) -> None:
        route = self._route(seat, send)
        self.housekeeping_messages += send.housekeeping
        if route is None:
            if not send.housekeeping:
                size, over = len(send.payload), {"over": send.over} if send.over else {}
                self.log.write(send.at, "message_undeliverable", sender=seat.name, to=send.to, bytes=size, **over)
            return
        if self.faults.messages.at_work:
            self.faults.messages.send(seat, send, route)
            return
        arrival = send.at + route.latency_ps
        if not send.housekeeping:
            size = len(send.payload)
            self.log.write(send.at, "message", sender=seat.name, to=send.to, bytes=size, arrives_ps=arrival)
        event = fabric.Delivered(at=arrival, sender=seat.name, payload=send.payload)
        delivery = Delivery(self.seats[send.to], event, send.housekeeping, route=route)
        self.agenda.add(arrival, EventClass.MESSAGE, seat.number, delivery)

    def _route(self, seat: NodeSeat, send: fabric.Send) -> Route | None:
        """The channels that the message takes; None if there is no way for it."""
        if send.to not in self.seats or self.seats[send.to].gone:
            return None
        if not send.over:
            return self.topology.route(seat.name, send.to)
        generation = self.links.get(send.over)
        if generation is None or {seat.name, send.to} != set(generation.link.ends):
            return None
        return self.topology.route_over(send.over, source=seat.name)

    def _refuse(self, seat: NodeSeat, operation: int, at: int, refusal: OperationRefused) -> None:
        """A refusal takes the lookahead, so that it never reaches a node before the end of its window."""
        at = max(at + self.agenda.lookahead_ps, self.agenda.now_ps)
        event = fabric.Refused(at=at, operation=operation, code=refusal.code, reason=refusal.reason)
        self.agenda.add(at, EventClass.OPERATION, seat.number, Delivery(seat, event))

    def _submit(self, seat: NodeSeat, operation: fabric.Operation) -> None:
        """Start an operation of a node.

        Raises:
            OperationRefused: it cannot be done, and nothing was changed.
        """
        action, at = operation.action, operation.at
        if isinstance(action, fabric.Circuit):
            self.laboratory.check(seat.name, action.steps)
            self._schedule_step(CircuitStep(seat, operation.operation, action.steps, 0, ()), at)
        elif isinstance(action, fabric.Generate):
            generation, end = self._link(seat, action.link)
            if not 0 <= action.operating_point < len(generation.models):
                known = len(generation.models)
                reason = f"link {action.link} has the operating points 0 to {known - 1}, not {action.operating_point}"
                raise OperationRefused("bad_request", reason)
            self.laboratory.occupy(seat.name, "communication", at)
            self._operations[(seat.number, operation.operation)] = action.link
            ask = Ask(end, operation.operation, action.qubit, action.purpose, at, action.operating_point)
            self.started(generation, generation.ask(ask))
        elif isinstance(action, fabric.Cancel):
            self._cancel(seat, operation.operation, action.operation, at)
        elif isinstance(action, fabric.Look):
            if not self.scenario.limits.applications.oracle:
                reason = "this scenario lets no application see true states (limits.applications.oracle is false)"
                raise OperationRefused("denied", reason)
            sees = at + self.agenda.lookahead_ps
            self.agenda.add(sees, EventClass.OPERATION, seat.number, Looked(seat, operation.operation, action))
        else:
            self._link(seat, action.link)
            self.laboratory.owned(seat.name, action.qubit)
            leaves = at + self.agenda.lookahead_ps
            departure = Departure(seat, operation.operation, action.link, action.qubit)
            self.agenda.add(leaves, EventClass.OPERATION, seat.number, departure)

    def _schedule_step(self, step: CircuitStep, at: int) -> None:
        """A step takes its duration; a step of no duration of its own takes the lookahead, which is never longer."""
        duration = round(self.laboratory.duration_s(step.seat.name, step.steps[step.position]) * PICOSECONDS)
        ends = at + max(duration, self.agenda.lookahead_ps)
        self.agenda.add(ends, EventClass.OPERATION, step.seat.number, step)

    def _cancel(self, seat: NodeSeat, operation: int, cancelled: int, at: int) -> None:
        link = self._operations.get((seat.number, cancelled))
        qubit = None
        if link is not None:
            generation, end = self._link(seat, link)
            qubit, series = generation.cancel(end, cancelled, at)
            self.started(generation, series)
        if qubit is not None:
            self.laboratory.vacate(seat.name, "communication", at)
            del self._operations[(seat.number, cancelled)]
        ends = at + self.agenda.lookahead_ps
        event = fabric.Completed(at=ends, operation=operation, bits=(int(qubit is not None),))
        self.agenda.add(ends, EventClass.OPERATION, seat.number, Delivery(seat, event))

    def _carry_out(self, what: What, at: int) -> tuple[NodeSeat, ...]:
        """Do what happens at ``at``; returns the nodes that notice."""
        if isinstance(what, Delivery):
            if what.lost:
                return ()
            return self._tell(what.seat, what.event, housekeeping=what.housekeeping, late=what.late)
        if isinstance(what, CircuitStep):
            return self._step(what, at)
        if isinstance(what, Wake):
            what.seat.queued_wakes.discard(at)
            if what.seat.wake_at != at or what.seat.gone or what.seat.pauses:
                return ()
            if what.seat.late_ps and not what.late:
                what.seat.wake_at = at + what.seat.late_ps
                self.agenda.add(what.seat.wake_at, EventClass.WAKE, what.seat.number, Wake(what.seat, late=True))
                return ()
            if what.seat.work_at is None:
                what.seat.work_at = at
            return (what.seat,)
        if isinstance(what, HeraldArrival):
            return self._herald(what, at)
        if isinstance(what, Departure):
            return self._depart(what, at)
        if isinstance(what, Looked):
            return self._look(what, at)
        if isinstance(what, QubitArrival):
            return self._arrive(what, at)
        self.faults.carry_out(what, at)
        return ()

    def label(self, node: str) -> bytes:
        """The identity of the node's process, which is another one after each start."""
        return labelled(node, self.seats[node].incarnation).encode()

    def _tell(
        self, seat: NodeSeat, event: fabric.Event, *, housekeeping: bool = False, late: bool = False
    ) -> tuple[NodeSeat, ...]:
        if seat.gone:
            return ()
        if seat.pauses:
            seat.deferred.append((event, housekeeping))
            return ()
        if seat.late_ps and not late:
            at = event.at + seat.late_ps
            delivery = Delivery(seat, msgspec.structs.replace(event, at=at), housekeeping, late=True)
            self.agenda.add(at, EventClass.MESSAGE, seat.number, delivery)
            return ()
        if seat.work_at is None:
            seat.work_at = event.at
        seat.events.append(event)
        return (seat,)

    def _step(self, what: CircuitStep, at: int) -> tuple[NodeSeat, ...]:
        seat, step = what.seat, what.steps[what.position]
        if seat.gone:
            return ()
        try:
            self.truth.before(step, at)
            what.bits += self.laboratory.do(seat.name, step, at)
        except OperationRefused as refusal:
            before = f"; the {what.position} steps before it were done" if what.position else ""
            reason = f"step {what.position}: {refusal.reason}{before}"
            done = what.position + isinstance(refusal, MeasurementInconclusive)
            event = fabric.Refused(at=at, operation=what.operation, code=refusal.code, reason=reason, done=done)
            steps = [_described(step) for step in what.steps[:done]]
            self.log.write(
                at, "operation_refused", node=seat.name, operation=what.operation, reason=reason, steps=steps
            )
            return self._tell(seat, event)
        what.position += 1
        if what.position < len(what.steps):
            self._schedule_step(what, at)
            return ()
        self.log.write(
            at,
            "circuit",
            node=seat.name,
            operation=what.operation,
            steps=[_described(step) for step in what.steps],
            bits=what.bits,
        )
        return self._tell(seat, fabric.Completed(at=at, operation=what.operation, bits=what.bits))

    def _herald(self, what: HeraldArrival, at: int) -> tuple[NodeSeat, ...]:
        generation, series, end = what.generation, what.series, what.end
        if what.lost:
            return ()
        names = (series.asks[0].qubit, series.asks[1].qubit)
        if series is generation.series:
            self.laboratory.place_pair(
                names, generation.link.ends, series.outcome.state, since_ps=series.emitted_at, pair=series.pair_id
            )
            self.faults.quantum.pass_through(generation.name, names[1], series.emitted_at[1], pair=series.pair_id)
            self.truth.heralded(series.pair_id, generation.name, names)
            self.log.write(
                at,
                "heralded",
                link=generation.name,
                pair=series.pair_id,
                qubits=names,
                bell_state=BELL_STATES[series.outcome.bell_index],
                attempts=series.attempts,
                started_ps=series.started_at,
                emitted_ps=series.emitted_at,
                heralded_ps=series.heralded_at,
            )
            if series.unheard is not None:
                self.lose_unheard(generation, series, at)
            self.started(generation, generation.succeeded(series))
        seat = what.seat
        if seat.gone:
            return ()
        ask = series.asks[end]
        self._operations.pop((seat.number, ask.operation), None)
        return self._tell(
            seat,
            fabric.Heralded(
                at=at,
                operation=ask.operation,
                link=generation.name,
                pair_id=series.pair_id,
                bell_index=series.outcome.bell_index,
                emitted_at=series.emitted_at[end],
            ),
        )

    def _depart(self, what: Departure, at: int) -> tuple[NodeSeat, ...]:
        seat, generation = what.seat, self.links[what.link]
        link = generation.link
        if seat.gone:
            return ()
        try:
            if down := self.faults.links.why_down(what.link):
                raise OperationRefused("refused", f"link {what.link} is down ({down}); {what.qubit} was not sent")
            in_fibre = partial(self.faults.quantum.pass_through, what.link, what.qubit, at)
            self.laboratory.depart(seat.name, what.qubit, link.transmission, at, then=in_fibre)
        except OperationRefused as refusal:
            event = fabric.Refused(at=at, operation=what.operation, code=refusal.code, reason=refusal.reason)
            return self._tell(seat, event)
        draw = self.streams.of("transmission", what.link).uniform()
        survived = draw < noise.transmission_survival_probability(self.faults.quantum.link(what.link))
        if not survived:
            self.lose_in_fibre(what.qubit, link.transmission, at)
        far = self.seats[link.ends[1 - link.ends.index(seat.name)]]
        arrival = at + light_delay_ps(link.length_km, link.refractive_index)
        self.log.write(at, "transmitted", node=seat.name, link=what.link, qubit=what.qubit, survived=survived)
        self.agenda.add(arrival, EventClass.ARRIVAL, seat.number, QubitArrival(what.link, far, what.qubit, survived))
        return self._tell(seat, fabric.Completed(at=at, operation=what.operation))

    def _look(self, what: Looked, at: int) -> tuple[NodeSeat, ...]:
        seat = what.seat
        if seat.gone:
            return ()
        try:
            names, state = self.laboratory.look(seat.name, what.look.qubits, at, entangled=what.look.entangled)
        except OperationRefused as refusal:
            event = fabric.Refused(at=at, operation=what.operation, code=refusal.code, reason=refusal.reason)
            return self._tell(seat, event)
        self.log.write(at, "oracle_looked", node=seat.name, qubits=names)
        return self._tell(seat, fabric.Seen(at=at, operation=what.operation, qubits=names, state=state))

    def _arrive(self, what: QubitArrival, at: int) -> tuple[NodeSeat, ...]:
        seat, heralded = what.seat, self.links[what.link].link.transmission.heralded_arrival
        reason = ""
        if seat.gone:
            if what.qubit in self.laboratory.qubits:
                self.laboratory.lose(what.qubit, at)
            reason = f"{seat.name} is gone"
        elif not what.survived and heralded:
            reason = f"lost in the fibre, which was cut ({what.lost_to})" if what.lost_to else "absorbed in the fibre"
        else:
            try:
                self.laboratory.arrive(seat.name, what.qubit, at)
            except OperationRefused as refusal:
                self.laboratory.lose(what.qubit, at)
                reason = refusal.reason
        self.log.write(at, "arrived", node=seat.name, link=what.link, qubit=what.qubit, lost=reason)
        if not reason:
            return self._tell(seat, fabric.Arrived(at=at, link=what.link, qubit=what.qubit))
        return self._tell(seat, fabric.Lost(at=at, link=what.link, qubit=what.qubit, reason=reason))


def _described(step: Step) -> str:
    """A step in a few characters, for the event log."""
    if isinstance(step, Gate):
        return f"{step.name} {' '.join(step.qubits)}"
    qubits = getattr(step, "qubits", None) or (step.qubit,)  # type: ignore[union-attr]
    return f"{step.__struct_config__.tag} {' '.join(qubits)}"
