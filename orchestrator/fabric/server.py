"""The fabric's process: its sockets, its pace and its watchdog around the engine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import zmq

from orchestrator import control
from orchestrator.fabric import oracle
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.conclusion import finished
from orchestrator.fabric.configuration import FabricConfiguration
from orchestrator.fabric.course import Course
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog, EventLogError
from orchestrator.fabric.images import Bedside, Images
from orchestrator.fabric.journal import Ended, JournalError, head_of
from orchestrator.fabric.pacing import Pace
from orchestrator.fabric.sockets import Sockets
from qnode.config import labelled
from qnode.security.refusals import Kind
from qnode.wire import fabric
from qnode.wire.codec import WireError
from qnode.wire.version import VERSION

PROBE_DEADLINE_S = 2.0
"""How long nodes have to say what they are waiting for."""
SERVE_EVERY_S = 0.02
"""How long supervisor and observers may go unheard while the nodes keep the fabric busy."""
CALL_EVERY_S = 0.02
"""After a recovery, how often to look whether a node is connected again."""
SUPERVISOR_DEADLINE_S = 30.0
"""After a recovery, how long to wait for the supervisor to be connected again."""
HALT_DEADLINE_S = 1.0
"""After the recovery of a run that was over, how long to wait for nodes that may not know so."""
RESTART_DEADLINE_S = 30.0
"""How long a node that is started again has to say hello."""


class RunFailed(Exception):
    """The run cannot go on."""


class Server:
    """One fabric between nodes, supervisor and observers."""

    def __init__(
        self,
        configuration: FabricConfiguration,
        *,
        listeners: Mapping[str, int],
        recover: bool = False,
        bedside: Bedside | None = None,
        course: Course | None = None,
    ) -> None:
        """Bind the sockets; nothing happens yet.

        Args:
            configuration: what the fabric is told.
            listeners: by place, descriptors of TCP sockets that listen already at the endpoints.
            recover: whether this is in the place of a fabric that was killed.
            bedside: where images of this process sleep, to be woken in its place; None: there are none.
            course: what an image has of the run; None: nothing.
        """
        self._configuration = configuration
        self._recover = recover
        self._bedside = bedside
        self._spare_listeners = {} if bedside is None else {place: os.dup(each) for place, each in listeners.items()}
        """The same sockets, for an image."""
        self._images = None if bedside is None else Images(bedside, self._spare_listeners.values())
        self._gathers = False
        """Whether nodes are being asked how far they are."""
        self._to_stop: dict[str, fabric.Halt] = {}
        """By node, what those that were ended in order may not have heard."""
        self._given: list[control.Ordered] = []
        """The orders for the supervisor, all of them."""
        scenario = self._scenario = configuration.scenario
        if course is None:
            pace = Pace(None if scenario.time.pace == "max" else float(scenario.time.pace))
            engine = Engine(scenario, EventLog(Path(configuration.event_log), again=recover))
            course = Course(engine, pace, held=configuration.held)
        self._course = course
        self._engine = course.engine
        self._log = course.engine.log
        self._pace = course.pace
        self._steering = course.steering
        self._carried_out = 0
        """Of the engine's orders."""
        stop = scenario.stop.at_s
        self._stop_ps = None if stop is None else round(stop * PICOSECONDS)
        self._sockets = Sockets(configuration, listeners)
        self._up: dict[str, int] = {}
        self._started = False
        self._stop_reason: str | None = None
        self._granted_at_s = 0.0
        self._served_at_s = 0.0
        self._ended: set[bytes] = set()
        """Identities of processes that faults have ended."""
        self._wait_per_window_s = 0.0
        self._probed: dict[str, tuple[str, ...]] | None = None
        self._end_ps = 0

    def run(self) -> None:
        """Serve until the run is over; then tell nodes and supervisor how it ended."""
        error = ""
        try:
            reason = self._until_over() if self._up_and_running() else ""
        except (RunFailed, JournalError, EventLogError) as failure:
            reason = error = str(failure)
        if self._images is not None:
            self._images.close()
        self._finish(reason, error)
        self._sockets.close()

    def _up_and_running(self) -> bool:
        """Begin, or take up what a killed fabric left; returns whether there is anything to go on with.

        Nothing happens before the supervisor says so; it watches the start with its own deadline.
        """
        course, head = self._course, head_of(self._scenario, held=self._configuration.held)
        if self._recover:
            course.recover(Path(self._configuration.journal), head)
            self._sockets.wait_for_supervisor(SUPERVISOR_DEADLINE_S)
            self._repeat_orders()
            if course.ended is None:
                self._gather()
                self._stop_the_gone()
            recovered = control.Recovered(now_ps=self._engine.agenda.now_ps, rounds=course.rounds)
            self._sockets.to_supervisor(recovered)
            if course.ended is not None:
                return False
        else:
            course.create_journal(Path(self._configuration.journal), head)
        while not (self._started or course.begun or self._stop_reason is not None):
            self._serve(None)
        if not course.begun:
            course.begin()
        return True

    def _gather(self) -> None:
        """After a recovery: hear from each node how far it is, and give it what it never got.

        A node that a fault has stopped cannot answer; it is waited for when it goes on.
        """
        limit_s = self._scenario.time.stall_after_s
        deadline_s = time.monotonic() + limit_s
        called: set[str] = set()
        self._gathers = True
        while (missing := self._missing()) and self._stop_reason is None:
            called.update(node for node in missing if node not in called and self._reaches(node, fabric.Resume()))
            if self._course.begun and time.monotonic() > deadline_s:
                self._are_lost(missing, f"did not come back within {limit_s:g} s after the fabric was recovered")
            self._serve(CALL_EVERY_S)
        self._gathers = False
        self._granted_at_s = time.monotonic()

    def _stop_the_gone(self) -> None:
        """After a recovery: tell nodes that were to stop, as far as they have not done so."""
        deadline_s = time.monotonic() + HALT_DEADLINE_S
        while self._to_stop and time.monotonic() < deadline_s:
            self._to_stop = {node: halt for node, halt in self._to_stop.items() if not self._reaches(node, halt)}
            self._serve(CALL_EVERY_S)

    def _missing(self) -> list[str]:
        """The nodes of which nothing has been heard, but should."""
        seats = self._engine.seats.values()
        return [seat.name for seat in seats if not seat.gone and not seat.pauses and seat.name not in self._up]

    def _reaches(self, node: str, message: fabric.ToNode) -> bool:
        """Send a message to a node if it is connected; returns whether it is."""
        return self._sockets.reaches(self._engine.label(node), message)

    def _are_lost(self, nodes: list[str], what: str) -> None:
        """Nodes that hold the run up: an error, or where time follows the wall clock, the network goes on without."""
        story = f"at virtual time {self._engine.agenda.now_ps / PICOSECONDS:.9g} s {', '.join(nodes)} {what}"
        if self._pace.pace is None:
            raise RunFailed(f"{story}; raise time.stall_after_s if that is meant")
        for node in nodes:
            self._give_up(node, story)

    def _until_over(self) -> str:
        """Round after round; returns why the run is over."""
        engine = self._engine
        while self._stop_reason is None:
            if not engine.idle:
                self._watch()
                continue
            if engine.settled and not self._course.settled:
                self._course.settle()
            due = engine.next_time()
            if self._course.holds():
                self._answer_steering()
                self._serve(None)
                continue
            over = self._over(due)
            if over is not None:
                return over
            if due is None or (self._rests(due) and not self._steering.steers):
                self._serve(None)
                continue
            wait_s = self._pace.until_due_s(due)
            if wait_s > 0:
                self._serve(wait_s)
                continue
            self._grant(due)
        return self._stop_reason

    def _rests(self, due: int) -> bool:
        """Whether virtual time stands still until somebody wants something: hellos alone do not make it leap on."""
        leaps_for_ever = self._configuration.serves_until_stopped and self._pace.pace is None and self._stop_ps is None
        return leaps_for_ever and self._engine.rests(due)

    def _grant(self, due: int) -> None:
        late_s = self._pace.late_s(due)
        time_rules = self._scenario.time
        if time_rules.strict and late_s > time_rules.strict_tolerance_s:
            raise RunFailed(
                f"strict: the work of virtual time {due / PICOSECONDS:.9g} s came {late_s:.4g} s late, at most "
                f"{time_rules.strict_tolerance_s:g} s is allowed; lower the pace or raise time.strict_tolerance_s"
            )
        if self._wait_per_window_s:
            time.sleep(self._wait_per_window_s)  # the fault itself
        grants = self._course.open_round(late_s)
        if len(self._engine.orders) > self._carried_out:
            self._carry_out_orders()
        for name, grant in grants.items():
            if name in self._up:
                self._tell(name, grant)
        if self._images is not None and self._images.due:
            self._images.take(self._wake)  # all that has been done is on file, and nothing else
        if self._recover and not self._up.keys() >= grants.keys():
            self._gather()  # nodes that were stopped while the others came back
        self._granted_at_s = time.monotonic()
        if self._granted_at_s - self._served_at_s > SERVE_EVERY_S:
            self._serve(0.0)

    def _wake(self) -> None:
        """In an image of this process: be the fabric, in the place of the one that was killed."""
        self._log.reopen()
        Server(
            self._configuration,
            listeners=self._spare_listeners,
            recover=True,
            bedside=self._bedside,
            course=self._course,
        ).run()

    def _carry_out_orders(self) -> None:
        """Have done to processes what faults want, before anything else happens."""
        orders, self._carried_out = self._engine.orders[self._carried_out :], len(self._engine.orders)
        for order in orders:
            if isinstance(order, control.HinderFabric):
                if order.wait_per_window_s is not None:
                    self._wait_per_window_s = order.wait_per_window_s
                time.sleep(order.wait_s)  # the fault itself
                continue
            if isinstance(order, control.EndNode):
                if order.orderly:
                    self._tell(order.node, _stopped_by(order))
                self._up.pop(order.node, None)
                self._ended.add(self._engine.label(order.node))
            self._give_order(order)
        deadline = time.monotonic() + RESTART_DEADLINE_S
        starting = [order.node for order in orders if isinstance(order, control.StartNode)]
        while missing := [node for node in starting if node not in self._up]:
            if self._stop_reason is not None:
                return
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise RunFailed(f"waited {RESTART_DEADLINE_S:g} s for {', '.join(missing)} to be started again")
            self._serve(remaining_s)

    def _repeat_orders(self) -> None:
        """After a recovery: all that faults have wanted so far; what took wall time only is over."""
        orders, self._carried_out = self._engine.orders, len(self._engine.orders)
        for order in orders:
            if not isinstance(order, control.HinderFabric):
                self._give_order(order)
            elif order.wait_per_window_s is not None:
                self._wait_per_window_s = order.wait_per_window_s
        for seat in self._engine.seats.values():
            ended = range(seat.incarnation + seat.gone)
            self._ended.update(labelled(seat.name, incarnation).encode() for incarnation in ended)
        last = {order.node: order for order in orders if isinstance(order, control.EndNode)}
        self._to_stop = {
            node: _stopped_by(order) for node, order in last.items() if order.orderly and self._engine.seats[node].gone
        }

    def _give_order(self, order: control.EndNode | control.StartNode | control.PauseNode | control.ResumeNode) -> None:
        self._given.append(control.Ordered(number=len(self._given), order=order))
        self._sockets.to_supervisor(self._given[-1])

    def _over(self, due: int | None) -> str | None:
        """Whether nothing more is to come, and why."""
        engine = self._engine
        if not engine.settled:
            return None
        runs_programs = bool(self._scenario.applications) and not self._configuration.serves_until_stopped
        if runs_programs and engine.programs == 0 and not engine.faults.brings_applications():
            return "every application has ended"
        if self._stop_ps is not None and (due is None or due > self._stop_ps):
            wait_s = self._pace.until_due_s(self._stop_ps)
            if wait_s > 0:
                self._serve(wait_s)
                return None
            self._end_ps = self._stop_ps
            return f"virtual time {self._stop_ps / PICOSECONDS:g} s was reached"
        if self._configuration.serves_until_stopped:
            return None
        rests = due is not None and self._stop_ps is None and engine.rests(due)
        if (due is None or rests) and not engine.may_act_from_outside:
            if engine.applications == 0:
                return "nothing is left to happen"
            waits = self._probe([seat.name for seat in engine.seats.values() if seat.applications])
            lines = [f"{node}: {line}" for node, answer in waits.items() for line in answer]
            raise RunFailed(
                f"deadlock at virtual time {engine.agenda.now_ps / PICOSECONDS:.9g} s: nothing is left to happen"
                + (" except the network's own upkeep, but " if rests else ", but ")
                + ("; ".join(lines) or "applications are still attached")
            )
        return None

    def _watch(self) -> None:
        """Wait for the holders of grants, but not for ever."""
        limit_s = self._scenario.time.stall_after_s
        remaining_s = self._granted_at_s + limit_s - time.monotonic()
        if remaining_s > 0:
            if not self._from_nodes():
                self._serve(remaining_s)
            return
        holders = self._engine.holders
        answers = self._probe(holders)
        if self._engine.idle:
            return
        descriptions = []
        for node in self._engine.holders:
            if node in answers:
                waited = "; ".join(answers[node]) or "nothing in particular"
                descriptions.append(f"node {node} waits for {waited}")
            else:
                descriptions.append(f"node {node} (process {self._up[node]}) does not answer")
        story = (
            f"at virtual time {self._engine.agenda.now_ps / PICOSECONDS:.9g} s a grant was held for {limit_s:g} s: "
            + ", ".join(descriptions)
        )
        if self._pace.pace is None:
            raise RunFailed(f"{story}; raise time.stall_after_s if that is meant")
        for node in self._engine.holders:
            self._give_up(node, story)

    def _give_up(self, node: str, story: str) -> None:
        self._course.give_up(node, story)
        self._tell(node, fabric.Halt(reason=f"declared failed: {story}"))

    def _probe(self, nodes: list[str]) -> dict[str, tuple[str, ...]]:
        """What each node waits for; one that does not answer within the deadline is missing."""
        self._probed = {}
        for node in nodes:
            self._tell(node, fabric.Probe())
        deadline = time.monotonic() + PROBE_DEADLINE_S
        while len(self._probed) < len(nodes) and (remaining := deadline - time.monotonic()) > 0:
            self._serve(remaining)
        answers, self._probed = self._probed, None
        return answers

    def _serve(self, timeout_s: float | None) -> None:
        """Take in every frame that is there, waiting for the first at most ``timeout_s`` (None: until one comes)."""
        if timeout_s is None or timeout_s > SERVE_EVERY_S:
            self._log.flush()
        self._served_at_s = time.monotonic()
        nodes, supervisor, observers = self._sockets.wait(timeout_s)
        if nodes:
            self._from_nodes()
        if supervisor:
            self._from_supervisor()
        if observers:
            self._from_observers()

    def _from_nodes(self) -> bool:
        """Take in the next frame of a node; False if none came within a moment."""
        try:
            received = self._sockets.from_nodes()
        except zmq.Again:
            return False
        if received is not None:
            self._from_node(received.identity, received.name, received.message, received.frame)
        return True

    def _from_node(self, identity: bytes, name: str, message: fabric.ToFabric, frame: bytes) -> None:
        if isinstance(message, fabric.Hello):
            self._hello(identity, name, message)
        elif name in self._engine.seats and self._is_past(identity, name):
            return  # its last words, after the instant of its end
        elif name in self._engine.seats and identity != self._engine.label(name):
            self._complain(identity, "impostor", f"frame from {identity!r} refused: no such start of node {name!r}")
        elif isinstance(message, fabric.Resumed) and self._gathers and name in self._engine.seats:
            self._returned(name, message.process_id, message)
        elif name not in self._up:
            if not (self._recover and name in self._engine.seats):
                self._complain(identity, "unexpected", f"frame from {name!r} refused: it has not said hello")
            # else it was meant for the fabric that was killed; what of it is needed comes again
        elif isinstance(message, fabric.Block):
            self._blocked(name, message, frame)
        elif isinstance(message, fabric.Interrupt):
            self._course.interrupt(name, message.reason, now_ps=self._pace.now_ps())
        elif self._probed is not None and isinstance(message, fabric.ProbeAnswer):
            self._probed[name] = message.waits

    def _is_past(self, identity: bytes, name: str) -> bool:
        """Whether this is a process of the node that is not one of the testbed any more."""
        return identity in self._ended or (self._engine.seats[name].gone and name in self._up)

    def _blocked(self, name: str, block: fabric.Block, frame: bytes) -> None:
        try:
            self._course.blocked(name, block, frame)
        except ValueError as error:
            raise RunFailed(f"protocol broken: {error}") from error

    def _returned(self, name: str, process_id: int, said: fabric.Resumed) -> None:
        """How far a node is: it may have a block that is not in the journal, or lack a grant that is."""
        seat, granted = self._engine.seats[name], self._course.granted[self._engine.label(name)]
        if seat.gone or name in self._up:
            return
        self._is_up(name, process_id)
        if said.grants == granted:
            if seat.holds and said.block is not None:
                self._blocked(name, said.block, fabric.to_fabric.encode(said.block))
        elif said.grants == granted - 1 and seat.holds:
            self._tell(name, self._course.last_grants[name])
        else:
            raise RunFailed(
                f"node {name} was given {said.grants} grants, but by the journal "
                f"{self._configuration.journal} {granted}: the end of the journal is lost"
            )
        if said.interrupt is not None:
            self._course.interrupt(name, said.interrupt, now_ps=self._pace.now_ps())

    def _hello(self, identity: bytes, name: str, hello: fabric.Hello) -> None:
        if hello.version != VERSION:
            reason = f"{name!r} speaks version {hello.version} of the wire, this fabric {VERSION}"
            self._complain(identity, "version", reason)
        elif hello.node != name or name not in self._engine.seats or identity != self._engine.label(name):
            self._complain(identity, "impostor", f"no node {hello.node!r} is expected under the identity {name!r}")
        elif name in self._up:
            self._complain(identity, "unexpected", f"node {name!r} has already said hello")
        elif self._gathers:  # the fabric that was killed never heard it, and gave it nothing
            self._returned(name, hello.process_id, fabric.Resumed(process_id=hello.process_id, grants=0))
        else:
            self._is_up(name, hello.process_id)

    def _is_up(self, name: str, process_id: int) -> None:
        self._up[name] = process_id
        if len(self._up) == len(self._engine.seats) and not self._course.begun:
            self._sockets.to_supervisor(control.Ready())

    def _complain(self, identity: bytes, kind: Kind, reason: str) -> None:
        """Tell a peer that broke the protocol, and the process log; nothing else changes."""
        name = identity.decode(errors="replace").partition("+")[0]
        is_node = name in self._up and identity == self._engine.label(name)
        self._sockets.complain(identity, kind, reason, is_node=is_node)

    def _tell(self, node: str, message: fabric.ToNode) -> None:
        self._sockets.to_node(self._engine.label(node), message)

    def _from_supervisor(self) -> None:
        message = self._sockets.from_supervisor()
        if message is None:
            return
        if isinstance(message, control.Start):
            self._started = True
        elif isinstance(message, control.Steer):
            self._course.ask(message)
            self._answer_steering()
        elif isinstance(message, control.Stop):
            self._stop_reason = message.reason
        elif isinstance(message, control.ApplicationDied):
            self._tell(message.node, fabric.ApplicationEnded(application=message.application, status=message.status))
        elif isinstance(message, control.Repeat):
            for ordered in self._given[message.orders :]:
                self._sockets.to_supervisor(ordered)
        elif isinstance(message, control.NodeDied):
            if self._engine.seats[message.node].gone:
                return  # a fault has ended it
            raise RunFailed(
                f"node {message.node} died ({message.status}) at virtual time "
                f"{self._engine.agenda.now_ps / PICOSECONDS:.9g} s"
            )
        else:
            status = control.Status(
                now_ps=max(self._engine.agenda.now_ps, self._pace.now_ps() if self._course.begun else 0),
                pairs=sum(link.heralded for link in self._engine.links.values()),
                applications=self._engine.applications,
                nodes_up=len(self._up),
            )
            self._sockets.tell_if_there(status)

    def _answer_steering(self) -> None:
        for answer in self._steering.answers():
            if answer.call in self._steering.disappointed:
                self._steering.disappointed.discard(answer.call)
                told = self._probe([seat.name for seat in self._engine.seats.values() if seat.applications])
                waits = tuple(f"{node}: {line}" for node, lines in told.items() for line in lines)
                answer = msgspec.structs.replace(answer, waits=waits)
            self._sockets.to_supervisor(answer)

    def _from_observers(self) -> None:
        identity, question = self._sockets.from_observers()
        if isinstance(question, WireError):
            seen = control.OracleView(now_ps=self._engine.agenda.now_ps, error=str(question))
        else:
            seen = oracle.view(self._engine, question)
        self._sockets.to_observer(identity, seen)

    def _finish(self, reason: str, error: str) -> None:
        """Close the log, end the nodes, report."""
        engine, course = self._engine, self._course
        self._steering.over()
        if course.ended is None:
            now_ps, wall_s = self._end_ps or engine.agenda.now_ps, self._pace.wall_s if course.begun else 0.0
            try:
                course.end(Ended(reason, error, now_ps, wall_s))
            except JournalError as failure:
                error = error or str(failure)
        ended = course.ended
        assert ended is not None
        self._answer_steering()
        if engine.housekeeping_messages:
            self._log.write(engine.agenda.now_ps, "housekeeping", messages=engine.housekeeping_messages)
        for name, effects in engine.faults.effects.items():
            self._log.write(engine.agenda.now_ps, "fault_effects", name=name, **effects)
        try:
            self._log.close()
        except EventLogError as failure:
            error = error or str(failure)
        self._halt_nodes(ended.reason)
        self._sockets.to_supervisor(finished(engine, self._pace, ended, error=error))

    def _halt_nodes(self, reason: str) -> None:
        """Tell every node; after a recovery also those that may be on their way back, of which some may have ended."""
        halt = fabric.Halt(reason=reason)
        for node in self._engine.seats:
            self._tell(node, halt)
        deadline_s = time.monotonic() + HALT_DEADLINE_S
        missing = self._missing() if self._recover else []
        while missing and time.monotonic() < deadline_s:
            missing = [node for node in missing if not self._reaches(node, halt)]
            self._serve(CALL_EVERY_S)


def _stopped_by(order: control.EndNode) -> fabric.Halt:
    return fabric.Halt(reason=f"the node was stopped by the fault {order.fault!r}")
