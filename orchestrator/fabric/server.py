"""The fabric's process: its sockets, its pace and its watchdog around the engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import zmq

from orchestrator import control
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.configuration import FabricConfiguration
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.laboratory import OperationRefused
from orchestrator.fabric.pacing import Pace
from orchestrator.fabric.predictions import fidelity
from orchestrator.fabric.registers import RegisterError
from orchestrator.fabric.steering import Steering
from qnode.security.doorkeeper import Doorkeeper, user_of
from qnode.security.refusals import Kind, Refusals
from qnode.wire import fabric
from qnode.wire.codec import WireError
from qnode.wire.quantum import BELL_STATES
from qnode.wire.version import VERSION

PROBE_DEADLINE_S = 2.0
"""How long nodes have to say what they are waiting for."""
SERVE_EVERY_S = 0.02
"""How long supervisor and observers may go unheard while the nodes keep the fabric busy."""
LINGER_MS = 500
MOMENT_MS = 10
"""While nodes hold grants, only they are listened to for this long at a time: a wait on one socket is the fastest."""


RESTART_DEADLINE_S = 30.0
"""How long a node that is started again has to say hello."""


class Impostor(Exception):
    """A frame under a name that is not its sender's."""


class RunFailed(Exception):
    """The run cannot go on."""


class Server:
    """One fabric between nodes, supervisor and observers."""

    def __init__(self, configuration: FabricConfiguration, *, listeners: Mapping[str, int]) -> None:
        """``listeners``: by place, descriptors of TCP sockets that listen already at the endpoints."""
        self._configuration = configuration
        scenario = self._scenario = configuration.scenario
        self._log = EventLog(Path(configuration.event_log))
        self._engine = Engine(scenario, self._log)
        self._pace = Pace(None if scenario.time.pace == "max" else float(scenario.time.pace))
        self._steering = Steering(self._engine, self._log, self._pace, held=configuration.held)
        stop = scenario.stop.at_s
        self._stop_ps = None if stop is None else round(stop * PICOSECONDS)
        self._context = zmq.Context()
        self._refusals = Refusals(Path(configuration.refused_path) if configuration.refused_path else None)
        security = configuration.security
        self._doorkeeper = Doorkeeper(self._context, security, self._refusals) if security is not None else None
        self._nodes = self._socket(zmq.ROUTER, "fabric")
        self._nodes.set(zmq.RCVTIMEO, MOMENT_MS)
        self._control = self._socket(zmq.DEALER, "control")
        self._observer = self._socket(zmq.ROUTER, "observer")
        if self._doorkeeper is not None:
            self._doorkeeper.start()
        for socket, place, endpoint in (
            (self._nodes, "fabric", configuration.nodes_endpoint),
            (self._control, "control", configuration.control_endpoint),
            (self._observer, "observer", configuration.observer_endpoint),
        ):
            if place in listeners:
                socket.set(zmq.USE_FD, listeners[place])
            socket.bind(endpoint)
        self._poller = zmq.Poller()
        for socket in (self._nodes, self._control, self._observer):
            self._poller.register(socket, zmq.POLLIN)
        self._up: dict[str, int] = {}
        self._started = False
        self._settled = False
        self._stop_reason: str | None = None
        self._granted_at_s = 0.0
        self._served_at_s = 0.0
        self._ended: set[bytes] = set()
        """Identities of processes that faults have ended."""
        self._wait_per_window_s = 0.0
        self._probed: dict[str, tuple[str, ...]] | None = None
        self._end_ps = 0

    def _socket(self, kind: int, place: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.set(zmq.LINGER, LINGER_MS)
        socket.set(zmq.SNDHWM, 0)
        socket.set(zmq.RCVHWM, 0)
        if self._doorkeeper is not None:
            self._doorkeeper.guard(socket, place=place)
        return socket

    def run(self) -> None:
        """Serve until the run is over; then tell nodes and supervisor how it ended."""
        error = ""
        try:
            self._until_started()
            reason = self._until_over()
        except RunFailed as failure:
            reason = error = str(failure)
        self._finish(reason, error)
        if self._doorkeeper is not None:
            self._doorkeeper.close()
        self._refusals.close()
        for socket in (self._nodes, self._control, self._observer):
            socket.close()
        self._context.term()

    def _until_started(self) -> None:
        """Nothing happens before the supervisor says so; it watches the start with its own deadline."""
        while not self._started and self._stop_reason is None:
            self._serve(None)
        self._pace.start()
        self._engine.begin()

    def _until_over(self) -> str:
        """Round after round; returns why the run is over."""
        engine = self._engine
        while self._stop_reason is None:
            if not engine.idle:
                self._watch()
                continue
            if engine.settled and not self._settled:
                self._settled = True
                self._pace.start()  # the wall clock waits for the applications that virtual time waits for
            due = engine.next_time()
            if self._steering.holds(due):
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
        late_s = self._pace.granted(due)
        time_rules = self._scenario.time
        if time_rules.strict and late_s > time_rules.strict_tolerance_s:
            raise RunFailed(
                f"strict: the work of virtual time {due / PICOSECONDS:.9g} s came {late_s:.4g} s late, at most "
                f"{time_rules.strict_tolerance_s:g} s is allowed; lower the pace or raise time.strict_tolerance_s"
            )
        if self._wait_per_window_s:
            self._poller.poll(0)
            time.sleep(self._wait_per_window_s)  # the fault itself
        grants = self._engine.round()
        if self._engine.orders:
            self._carry_out_orders()
        send, encode, label = self._nodes.send_multipart, fabric.to_node.encode, self._engine.label
        for name, grant in grants.items():
            send((label(name), encode(grant)))
        self._granted_at_s = time.monotonic()
        if self._granted_at_s - self._served_at_s > SERVE_EVERY_S:
            self._serve(0.0)

    def _carry_out_orders(self) -> None:
        """Have done to processes what faults want, before anything else happens."""
        orders, self._engine.orders = self._engine.orders, []
        for order in orders:
            if isinstance(order, control.HinderFabric):
                if order.wait_per_window_s is not None:
                    self._wait_per_window_s = order.wait_per_window_s
                time.sleep(order.wait_s)  # the fault itself
                continue
            if isinstance(order, control.EndNode):
                if order.orderly:
                    halt = fabric.Halt(reason=f"the node was stopped by the fault {order.fault!r}")
                    self._tell(order.node, halt)
                self._up.pop(order.node, None)
                self._ended.add(self._engine.label(order.node))
            self._control.send(control.from_fabric.encode(order))
        deadline = time.monotonic() + RESTART_DEADLINE_S
        starting = [order.node for order in orders if isinstance(order, control.StartNode)]
        while missing := [node for node in starting if node not in self._up]:
            if self._stop_reason is not None:
                return
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise RunFailed(f"waited {RESTART_DEADLINE_S:g} s for {', '.join(missing)} to be started again")
            self._serve(remaining_s)

    def _over(self, due: int | None) -> str | None:
        """Whether nothing more is to come, and why."""
        engine = self._engine
        if not engine.settled:
            return None
        runs_programs = bool(self._scenario.applications) and not self._configuration.serves_until_stopped
        if runs_programs and engine.applications == 0 and not engine.faults.brings_applications():
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
            self._engine.outside.append(f"{node}: declared failed, {story}")
            self._engine.give_up(node)
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
        if timeout_s is None:
            timeout_ms = None
        elif timeout_s < 0.001:
            timeout_ms = 0
        else:
            timeout_ms = int(timeout_s * 1000)
        if timeout_s is None or timeout_s > SERVE_EVERY_S:
            self._log.flush()
        self._served_at_s = time.monotonic()
        ready = self._poller.poll(timeout_ms)
        if not ready and timeout_s is not None and 0 < timeout_s < 0.001:
            time.sleep(timeout_s)  # the rest of a wait for the wall clock, finer than a poll can be
            return
        for socket, _ in ready:
            if socket is self._nodes:
                self._from_nodes()
            elif socket is self._control:
                self._from_supervisor()
            else:
                self._from_observers()

    def _from_nodes(self) -> bool:
        """Take in the next frame of a node; False if none came within a moment."""
        try:
            frames, user = self._received_from_nodes()
        except zmq.Again:
            return False
        identity = frames[0]
        name = identity.decode(errors="replace").partition("+")[0]
        try:
            if user not in (None, name):
                raise Impostor(f"its key is that of {user!r}")
            if len(frames) != 2:
                raise WireError(f"a message of {len(frames) - 1} frames, expected one")
            message = fabric.to_fabric.decode(frames[1])
        except (WireError, Impostor) as error:
            kind: Kind = "impostor" if isinstance(error, Impostor) else "malformed"
            self._complain(identity, kind, f"frame from {name!r} refused: {error}")
        else:
            self._from_node(identity, name, message)
        return True

    def _received_from_nodes(self) -> tuple[list[bytes], str | None]:
        """The frames of the next message, and where keys guard the socket, whose key it was sent with."""
        if self._doorkeeper is None:
            return self._nodes.recv_multipart(), None
        frames = self._nodes.recv_multipart(copy=False)
        return [frame.bytes for frame in frames], user_of(frames[0])

    def _from_node(self, identity: bytes, name: str, message: fabric.ToFabric) -> None:
        if isinstance(message, fabric.Hello):
            self._hello(identity, name, message)
        elif name in self._engine.seats and self._is_past(identity, name):
            return  # its last words, after the instant of its end
        elif name not in self._up:
            self._complain(identity, "unexpected", f"frame from {name!r} refused: it has not said hello")
        elif isinstance(message, fabric.Block):
            try:
                self._engine.block(name, message)
            except ValueError as error:
                raise RunFailed(f"protocol broken: {error}") from error
        elif isinstance(message, fabric.Interrupt):
            held = self._steering.held or self._steering.steers
            self._engine.interrupt(name, message.reason, now=0 if held else self._pace.now_ps(), repeatable=held)
            self._steering.knocked(name)
        elif self._probed is not None:
            self._probed[name] = message.waits

    def _is_past(self, identity: bytes, name: str) -> bool:
        """Whether this is a process of the node that is not one of the testbed any more."""
        return identity in self._ended or (self._engine.seats[name].gone and name in self._up)

    def _hello(self, identity: bytes, name: str, hello: fabric.Hello) -> None:
        if hello.version != VERSION:
            reason = f"{name!r} speaks version {hello.version} of the wire, this fabric {VERSION}"
            self._complain(identity, "version", reason)
        elif hello.node != name or name not in self._engine.seats or identity != self._engine.label(name):
            self._complain(identity, "impostor", f"no node {hello.node!r} is expected under the identity {name!r}")
        elif name in self._up:
            self._complain(identity, "unexpected", f"node {name!r} has already said hello")
        else:
            self._up[name] = hello.process_id
            if len(self._up) == len(self._engine.seats) and not self._started:
                self._control.send(control.from_fabric.encode(control.Ready()))

    def _complain(self, identity: bytes, kind: Kind, reason: str) -> None:
        """Tell a peer that broke the protocol, and the process log; nothing else changes."""
        self._refusals.note(kind, reason)
        if identity.decode(errors="replace").partition("+")[0] not in self._up:
            self._nodes.send_multipart((identity, fabric.to_node.encode(fabric.Halt(reason=reason))))

    def _tell(self, node: str, message: fabric.ToNode) -> None:
        self._nodes.send_multipart((self._engine.label(node), fabric.to_node.encode(message)))

    def _from_supervisor(self) -> None:
        try:
            message = control.to_fabric.decode(self._control.recv())
        except WireError as error:
            self._refusals.note("malformed", f"frame on the supervisor's socket: {error}")
            return
        if isinstance(message, control.Start):
            self._started = True
        elif isinstance(message, control.Steer):
            self._steering.asked(message)
            self._answer_steering()
        elif isinstance(message, control.Stop):
            self._stop_reason = message.reason
        elif isinstance(message, control.ApplicationDied):
            self._tell(message.node, fabric.ApplicationEnded(application=message.application, status=message.status))
        elif isinstance(message, control.NodeDied):
            raise RunFailed(
                f"node {message.node} died ({message.status}) at virtual time "
                f"{self._engine.agenda.now_ps / PICOSECONDS:.9g} s"
            )
        else:
            status = control.Status(
                now_ps=max(self._engine.agenda.now_ps, self._pace.now_ps() if self._started else 0),
                pairs=sum(link.heralded for link in self._engine.links.values()),
                applications=self._engine.applications,
                nodes_up=len(self._up),
            )
            self._control.send(control.from_fabric.encode(status))

    def _answer_steering(self) -> None:
        for answer in self._steering.answers():
            self._control.send(control.from_fabric.encode(answer))

    def _from_observers(self) -> None:
        identity, *frames = self._observer.recv_multipart()
        now = self._engine.agenda.now_ps
        try:
            if len(frames) != 1:
                raise WireError(f"a message of {len(frames)} frames, expected one")
            view = self._observe(control.observations.decode(frames[0]), now)
        except (WireError, OperationRefused, RegisterError) as error:
            view = control.OracleView(now_ps=now, error=str(error))
        self._observer.send_multipart((identity, control.oracle_views.encode(view)))

    def _observe(self, question: control.Observation, now: int) -> control.OracleView:
        laboratory = self._engine.laboratory
        if isinstance(question, control.AskCensus):
            qubits = tuple(laboratory.qubits)
            owners = tuple(qubit.owner for qubit in laboratory.qubits.values())
            return control.OracleView(now_ps=now, qubits=qubits, owners=owners)
        names = question.qubits if isinstance(question, control.AskState) else self._halves(question.pair_id)
        state = laboratory.aged_state(names, now)
        fidelities = {}
        if len(names) == 2:
            fidelities = {name: fidelity(state, bell_index=index) for index, name in enumerate(BELL_STATES)}
        return control.OracleView(
            now_ps=now,
            qubits=tuple(names),
            owners=tuple(laboratory.qubits[name].owner for name in names),
            dimension=state.shape[0],
            state=np.ascontiguousarray(state).tobytes(),
            bell_fidelities=fidelities,
        )

    def _halves(self, pair_id: str) -> tuple[str, ...]:
        known = self._engine.truth.pairs.get(pair_id)
        if known is None:
            raise OperationRefused("gone", f"no unused pair {pair_id}")
        return known[1]

    def _finish(self, reason: str, error: str) -> None:
        """Close the log, end the nodes, report."""
        self._steering.over()
        self._answer_steering()
        engine = self._engine
        wall_s = self._pace.wall_s if self._started else 0.0
        if engine.housekeeping_messages:
            self._log.write(engine.agenda.now_ps, "housekeeping", messages=engine.housekeeping_messages)
        for name, effects in engine.faults.effects.items():
            self._log.write(engine.agenda.now_ps, "fault_effects", name=name, **effects)
        self._log.close()
        for node in self._up:
            self._tell(node, fabric.Halt(reason=reason))
        states = {}
        for link, use in engine.truth.links.items():
            if use.pairs:
                states[link] = (use.pairs, _rows(use.mean_state()))
        now_ps = self._end_ps or engine.agenda.now_ps
        finished = control.Finished(
            reason=reason,
            error=error,
            now_ps=now_ps,
            wall_s=wall_s,
            digest=self._log.digest,
            log_lines=self._log.lines,
            outside=tuple(engine.outside),
            lateness=self._pace.lateness(),
            mean_states=states,
            circuits=tuple(
                control.CircuitTruth(
                    circuit=circuit,
                    generation=generation,
                    delivered=use.delivered,
                    seen=use.pairs,
                    mismatched=use.mismatched,
                    mean_state=_rows(use.mean_state()) if use.pairs else [],
                )
                for (circuit, generation), use in engine.truth.circuits.items()
            ),
            memory=tuple(
                control.MemoryUse(node=node, role=role, mean=occupancy.mean(now_ps), peak=occupancy.peak)
                for (node, role), occupancy in engine.laboratory.occupancy.items()
            ),
            housekeeping_messages=engine.housekeeping_messages,
            fault_effects={name: dict(effects) for name, effects in engine.faults.effects.items()},
        )
        self._control.send(control.from_fabric.encode(finished))


def _rows(state: np.ndarray) -> list[list[tuple[float, float]]]:
    """A matrix as real and imaginary parts."""
    return [[(value.real, value.imag) for value in row] for row in state.tolist()]
