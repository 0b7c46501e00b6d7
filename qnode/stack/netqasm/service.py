"""All NetQASM applications of a node, under the sessions that they came in.

What they want of the node is asked for as an application asks for it, with call numbers below zero, so that ownership,
limits and the clean-up of a session hold for it. Tasks are generators that yield requests and are resumed with their
answers, or once something has changed for their application.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from qnode.netqasm import decoding
from qnode.stack.core import Core, RequestRefused
from qnode.stack.link_layer import LinkLayer
from qnode.stack.netqasm.execution import Execution
from qnode.stack.netqasm.language import (
    Fault,
    HostMessage,
    NewApplication,
    NotInstalled,
    OpenSocket,
    Signal,
    StopApplication,
    Subroutine,
)
from qnode.stack.netqasm.memory import ApplicationMemory
from qnode.stack.netqasm.requests import EprSocket
from qnode.stack.netqasm.sockets import Sockets
from qnode.stack.netqasm.station import Station
from qnode.stack.netqasm.tasks import Task, Waiting
from qnode.wire.application import (
    AcceptCircuit,
    Answer,
    CancelRequest,
    CircuitOpened,
    CircuitPair,
    CloseCircuit,
    Failed,
    NetqasmMessage,
    NetqasmReturned,
    NextCircuitPair,
    OpenCircuit,
    Pair,
    Request,
    RequestPairs,
)
from qnode.wire.netqasm import NetqasmAlive, NetqasmPairsAsked, NetqasmPeerMessage, NetqasmSocketClosed

MOST_APPLICATIONS = 16
"""Of one session."""
MOST_SOCKETS = 256
"""Of one application."""
MOST_UNCLAIMED = 4096
"""Messages for sockets that are not open yet."""
MOST_PROBES = 12
FIRST_PROBE_PS = 10**12
"""Whoever waits for pairs looks whether the other end is alive after 1 s, 2 s, 4 s and so on."""


@dataclass(slots=True, eq=False)
class Running:
    """A task."""

    app: App
    task: Task
    ended: Callable[[Fault | None], None]
    waits: bool = True
    """For something to change, or to begin."""
    call: int = 0
    """That it waits for; 0: for none."""
    asked: Request | None = None


@dataclass(slots=True, eq=False)
class App:
    """One NetQASM application."""

    session: int
    number: int
    memory: ApplicationMemory
    sockets: Sockets = field(init=False)
    tasks: list[Running] = field(default_factory=list)
    inbox: deque[tuple[int, HostMessage]] = field(default_factory=deque)
    """Messages of its host that have to wait for a subroutine to end."""
    busy: bool = False
    stopped: bool = False


@dataclass(slots=True)
class Netqasm:
    """The executor of a node."""

    core: Core
    link_layer: LinkLayer
    ask: Callable[[int, Request], None]
    """Serves a request of a session, whatever its call number."""
    send: Callable[[str, NetqasmPeerMessage], None]
    """To another node, reliably."""
    withdraw: Callable[[int, int], None]
    """Ends the waiting of a session's call for a circuit to accept."""
    station: Station = field(init=False)
    apps: dict[tuple[int, int], App] = field(default_factory=dict)
    _waiting: dict[tuple[int, int], Running] = field(default_factory=dict)
    """By session and call."""
    _due: deque[tuple[Running, Any]] = field(default_factory=deque)
    _unclaimed: dict[str, deque[NetqasmPairsAsked]] = field(default_factory=dict)
    """News from each node for sockets that are not open yet."""
    _calls: int = 0
    _probes: dict[str, int] = field(default_factory=dict)
    """By peer that is waited for: how often it was looked after since something came of it."""

    def __post_init__(self) -> None:
        self.station = Station(self.core, self.link_layer, self.send, self._watch)

    # What hosts say

    def obey(self, session: int, request: NetqasmMessage) -> None:
        """A message of a host.

        Raises:
            RequestRefused: the node does not understand NetQASM.
        """
        try:
            message = decoding.host_message(request.message, request.flavour)
        except NotInstalled as missing:
            raise RequestRefused("unsupported", str(missing)) from missing
        except Fault as fault:
            self._answer(session, request.call, None, [], fault)
            return
        if isinstance(message, Signal):
            self._answer(session, request.call, None, [], None)
            return
        app = self.apps.get((session, message.app))
        if app is not None and app.busy:
            app.inbox.append((request.call, message))
        else:
            self._do(session, request.call, app, message)

    def _do(self, session: int, call: int, app: App | None, message: HostMessage) -> None:
        """Obey a message whose turn it is."""
        try:
            if isinstance(message, NewApplication):
                self._begin(session, message)
            elif app is None:
                raise Fault(f"there is no application {message.app if not isinstance(message, Signal) else 0}")
            elif isinstance(message, OpenSocket):
                self._open(app, message)
            elif isinstance(message, Subroutine):
                self._execute(app, call, message)
                return
            elif isinstance(message, StopApplication):
                self._stop(app, "its application has stopped")
        except Fault as fault:
            self._answer(session, call, app, [], fault)
            return
        self._answer(session, call, app, [], None)

    def _begin(self, session: int, message: NewApplication) -> None:
        if (session, message.app) in self.apps:
            raise Fault(f"application {message.app} exists already")
        if sum(each.session == session for each in self.apps.values()) >= MOST_APPLICATIONS:
            raise Fault(f"{MOST_APPLICATIONS} NetQASM applications are in this session, and no more may be")
        app = self.apps[(session, message.app)] = App(session, message.app, ApplicationMemory(message.max_qubits))
        app.sockets = Sockets(
            self.station,
            session,
            app.memory,
            begin=lambda task: self._start(app, task, lambda _: None),
            interrupt=self._interrupt,
            changed=lambda: self._nudge(app),
        )

    def _open(self, app: App, message: OpenSocket) -> None:
        if len(app.sockets.sockets) >= MOST_SOCKETS:
            raise Fault(f"{MOST_SOCKETS} EPR sockets are open, and no more may be")
        socket = app.sockets.open(message.socket, message.remote_node, message.remote_socket, message.minimum_fidelity)
        for news in self._unclaimed.pop(socket.remote, ()):
            self.told(socket.remote, news)

    def _execute(self, app: App, call: int, message: Subroutine) -> None:
        returns: list[bytes] = []
        execution = Execution(
            self.station,
            app.session,
            app.memory,
            app.sockets,
            message.instructions,
            lambda register, value: returns.append(decoding.returned_register(register, value)),
            lambda address, values: returns.append(decoding.returned_array(address, values)),
            lambda: self._nudge(app),
        )
        app.busy = True
        self._start(app, execution.run(), lambda fault: self._executed(app, call, returns, fault))

    def _executed(self, app: App, call: int, returns: list[bytes], fault: Fault | None) -> None:
        app.busy = False
        self._answer(app.session, call, app, returns, fault)
        while app.inbox:
            call, message = app.inbox.popleft()
            current = self.apps.get((app.session, app.number))
            if current is not None and current.busy:
                current.inbox.append((call, message))
            else:
                self._do(app.session, call, current, message)

    def _answer(self, session: int, call: int, app: App | None, returns: list[bytes], fault: Fault | None) -> None:
        last = decoding.done(call & 0xFFFFFFFF) if fault is None else decoding.error(fault.code)
        if fault is not None:
            number = app.number if app is not None else -1
            self.core.record("netqasm_error", app=number, code=fault.code.name.lower(), reason=fault.reason)
        qubits = () if app is None else tuple([each.name if each is not None else "" for each in app.memory.qubits])
        self.core.answer(
            session,
            NetqasmReturned(
                call=call,
                now_ps=self.core.now,
                messages=(*returns, last),
                reason="" if fault is None else fault.reason,
                qubits=qubits,
            ),
        )

    def _stop(self, app: App, reason: str) -> None:
        """The application ends; what it has is given back."""
        app.stopped = True
        del self.apps[(app.session, app.number)]
        circuits = [socket.circuit for socket in app.sockets.sockets.values() if socket.circuit]
        app.sockets.close()
        for running in app.tasks:
            running.task.close()
            self._abandon(running)
        app.tasks.clear()
        for circuit in circuits:
            self._ask(app.session, CloseCircuit(call=0, circuit=circuit))
        for qubit in app.memory.qubits:
            if qubit is not None and qubit.name:
                self.station.discard(app.session, qubit.name, reason, tell=False)

    def forget(self, session: int) -> None:
        """The session is over."""
        for app in [each for each in self.apps.values() if each.session == session]:
            self._stop(app, "its application is gone")

    # What other nodes say

    def told(self, sender: str, message: NetqasmPeerMessage) -> None:
        """News of a socket's other end."""
        if isinstance(message, NetqasmAlive):
            return
        if sender in self._probes:
            self._probes[sender] = 0
        if not isinstance(message, NetqasmPairsAsked | NetqasmSocketClosed):
            for app, socket in self._with(sender):
                app.sockets.hears(socket, message)
            self._unclaim(sender, lambda news: news.request == message.request)
            return
        ends = (message.socket, message.remote_socket)
        for app, socket in self._with(sender):
            if ends == (socket.number, socket.remote_socket) and not socket.closed_there:
                app.sockets.hears(socket, message)
                return
        if isinstance(message, NetqasmSocketClosed):
            self._unclaim(sender, lambda news: (news.socket, news.remote_socket) == ends)
            return
        unclaimed = self._unclaimed.setdefault(sender, deque())
        if len(unclaimed) < MOST_UNCLAIMED:
            unclaimed.append(message)

    def _unclaim(self, sender: str, which: Callable[[NetqasmPairsAsked], bool]) -> None:
        """Forget what was asked for at sockets that are not open."""
        if sender in self._unclaimed:
            self._unclaimed[sender] = deque(news for news in self._unclaimed[sender] if not which(news))

    def silent(self, peer: str) -> None:
        """What a node was told, or told, may be lost: nobody waits for it any more."""
        self._unclaimed.pop(peer, None)
        for app, socket in self._with(peer):
            app.sockets.other_end_is_gone(socket, f"{peer} does not answer, or was started anew")

    def _with(self, peer: str) -> list[tuple[App, EprSocket]]:
        return [
            (app, socket)
            for app in self.apps.values()
            for socket in app.sockets.sockets.values()
            if socket.remote == peer
        ]

    # Tasks

    def _start(self, app: App, task: Task, ended: Callable[[Fault | None], None]) -> Running:
        running = Running(app, task, ended)
        app.tasks.append(running)
        self._due.append((running, None))
        return running

    def _nudge(self, app: App) -> None:
        """Something has changed: let all its tasks that wait for that look."""
        for running in app.tasks:
            if running.waits:
                self._due.append((running, None))

    def answered(self, session: int, answer: Answer) -> None:
        """A request of a task was served; where the task does not wait any more, what came goes back."""
        running = self._waiting.pop((session, answer.call or 0), None)
        if running is not None:
            running.call, running.asked = 0, None
            self._due.append((running, answer))
        elif isinstance(answer, Pair | CircuitPair) and answer.pair is not None:
            self.station.discard(session, answer.pair.qubit, "nobody wants it any more", tell=True)
        elif isinstance(answer, CircuitOpened):
            self._ask(session, CloseCircuit(call=0, circuit=answer.circuit))

    def go(self) -> None:
        """Let every task act that can."""
        while self._due:
            running, value = self._due.popleft()
            if not running.app.stopped and (value is not None or running.waits):
                self._resume(running, value)

    def _resume(self, running: Running, value: Any) -> None:
        fault, running.waits = None, False
        try:
            wish = running.task.send(value)
        except StopIteration:
            pass
        except Fault as found:
            fault = found
        else:
            if isinstance(wish, Waiting):
                running.waits = True
            else:
                self._ask_for(running, wish)
            return
        running.app.tasks.remove(running)
        running.ended(fault)

    def _ask_for(self, running: Running, wish: Request) -> None:
        self._calls += 1
        running.call, running.asked = -self._calls, wish
        session = running.app.session
        self._waiting[(session, running.call)] = running
        self.ask(session, msgspec.structs.replace(wish, call=running.call))

    def _ask(self, session: int, request: Request) -> None:
        """Ask for what nobody waits for."""
        self._calls += 1
        self.ask(session, msgspec.structs.replace(request, call=-self._calls))

    def _abandon(self, running: Running) -> None:
        """Nobody waits any more for what a task has asked for."""
        call, asked, session = running.call, running.asked, running.app.session
        if not call:
            return
        del self._waiting[(session, call)]
        running.call, running.asked = 0, None
        if isinstance(asked, RequestPairs):
            self._ask(session, CancelRequest(call=0, request=call))
        elif isinstance(asked, AcceptCircuit):
            self.withdraw(session, call)

    def _interrupt(self, task: object, reason: str) -> None:
        """A task that waits for a pair is to give up."""
        assert isinstance(task, Running)
        if isinstance(task.asked, RequestPairs | OpenCircuit | NextCircuitPair):
            failed = Failed(call=task.call, now_ps=self.core.now, code="cancelled", reason=reason)
            self._abandon(task)
            self._due.append((task, failed))

    # Whether those who are waited for are alive

    def _watch(self, peer: str) -> None:
        """Something is waited for from a node."""
        if peer not in self._probes:
            self._probes[peer] = 0
            self.core.set_timer(FIRST_PROBE_PS, ("netqasm_probe", peer, 0))

    def probe(self, peer: str) -> None:
        """Have the channel find out whether a node is there, if something is still waited for from it."""
        tries = self._probes.pop(peer)
        if any(socket.creations or socket.receipts for _, socket in self._with(peer)) and tries < MOST_PROBES:
            self.send(peer, NetqasmAlive())
            self._probes[peer] = tries + 1
            self.core.set_timer(FIRST_PROBE_PS << tries, ("netqasm_probe", peer, 0))

    def waits(self, session: int) -> list[str]:
        """What a session's applications wait for, a line each."""
        lines = []
        for app in self.apps.values():
            if app.session == session:
                for socket in app.sockets.sockets.values():
                    for what, queue in (("create", socket.creations), ("receive", socket.receipts)):
                        lines += [
                            f"{wanted.done} of {wanted.number} pairs to {what} with {socket.remote} are there"
                            for wanted in queue
                        ]
        return lines
