"""A testbed: its processes up, its applications run, everything down again, as an asynchronous context manager."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import msgspec
import zmq
import zmq.asyncio

from orchestrator import control, steering_port
from orchestrator.doors import Doors, refused_path
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.configuration import FabricConfiguration
from orchestrator.fabric_peer import Deaths, Recovery, SteeringCalls
from orchestrator.inheritance import Inheritance
from orchestrator.launch import protocol
from orchestrator.launch.local import LaunchError, LocalAgent
from orchestrator.netqasm import programs
from orchestrator.run_directory import (
    RunDirectoryError,
    SocketDirectory,
    TestbedRecord,
    last_lines,
)
from orchestrator.scenario import Application, Scenario
from orchestrator.security import FABRIC_PLACES, node_place
from orchestrator.steering_port import SteeringRefused
from orchestrator.topology import Topology
from qnode.config import NodeConfiguration
from qnode.security.keys import write_private

T = TypeVar("T")

READY_DEADLINE_S = 60.0
READY_DEADLINE_PER_NODE_S = 0.2
STOP_DEADLINE_S = 10.0
FEW_NODES = 4
"""Up to here, one process at a time has work, mostly."""
STATUS_INTERVAL_S = 2.0
FABRIC_SILENCE_S = 15.0
"""How long the fabric may be silent, beyond the time for which a node may hold its grant."""
GRACE_S = 2.0
"""How long processes have between SIGTERM and SIGKILL."""
STOPPED_APPLICATIONS_DEADLINE_S = 5.0
CASUALTIES_DEADLINE_S = 1.0
"""How long after a deadlock to wait for the ends of applications, to tell which of them failed."""
NAMES_PER_PACKET = 1000
NETWORK_MODULES = ("networkx",)
"""What every node of a network with a control plane imports: 0.2 s once, not once a node."""


class TestbedError(Exception):
    """The testbed failed: a process died, or did not come up."""

    __test__ = False


@dataclass(slots=True)
class RunningProcess:
    """One process of a testbed."""

    name: str
    process_id: int
    log: Path
    code: int | None = None
    """Exit code; negative for a signal; None while it runs."""
    fault: str = ""
    """The fault of the scenario that ended it, if one did."""

    @property
    def status(self) -> str:
        """In words."""
        if self.code is None:
            return "running"
        if self.code < 0:
            by = f", by the fault {self.fault!r}" if self.fault else ""
            return f"killed by {signal.Signals(-self.code).name}{by}"
        return f"exit code {self.code}"


@dataclass(slots=True)
class RunOutcome:
    """How a run ended."""

    finished: control.Finished
    processes: list[RunningProcess]
    applications: dict[str, RunningProcess]
    recoveries: list[Recovery] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Testbed:
    """One scenario, up on this machine.

    ``async with Testbed(...) as testbed`` brings it up and takes it down whatever happens.
    """

    __test__ = False

    scenario: Scenario
    directory: Path
    """Where the applications' commands are run: the scenario file's directory."""
    run_directory: Path
    serves_until_stopped: bool = False
    held: bool = False
    """Whether virtual time stands still until somebody steers it."""
    shake_s: float = 0.0
    tell: Callable[[str], None] = print
    """Says a line to whoever watches."""
    processes: dict[str, RunningProcess] = field(default_factory=dict)
    _doors: Doors = field(init=False)
    _sockets: SocketDirectory = field(init=False)
    _agent: LocalAgent = field(init=False)
    _context: zmq.asyncio.Context = field(init=False)
    _control: zmq.asyncio.Socket = field(init=False)
    _nodes: dict[str, NodeConfiguration] = field(default_factory=dict)
    _peer_group: dict[str, int] = field(default_factory=dict)
    _calls: SteeringCalls = field(default_factory=SteeringCalls)
    _deaths: Deaths = field(default_factory=Deaths)
    _steering_port: asyncio.Server | None = None
    _node_of: dict[str, str] = field(default_factory=dict)
    """Of the applications that were started."""
    _paused: set[str] = field(default_factory=set)
    """Nodes whose processes faults have stopped."""
    _listening: asyncio.Future[protocol.Listening] = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _ready: asyncio.Future[None] = field(init=False)
    _finished: asyncio.Future[control.Finished] = field(init=False)
    _failed: asyncio.Future[str] = field(init=False)
    _changed: asyncio.Event = field(init=False)
    _started_at: str = ""
    _heard_at_s: float = 0.0
    _said: list[control.ToFabric] = field(default_factory=list)
    """What the fabric must know, and another in its place, too."""
    _leaving: bool = False
    _adopts: tuple[Path, Inheritance] | None = None
    """The sockets of a testbed that is taken over, and what its supervisor left."""
    _keep_s: float = 0.0
    """How long the testbed waits for another supervisor."""
    _orders: int = 0
    """How many the fabric has given."""
    status: control.Status | None = None

    @classmethod
    def of_orphan(cls, record: TestbedRecord, *, tell: Callable[[str], None] = print) -> Testbed:
        """A testbed whose supervisor died: whoever enters it is its supervisor from then on.

        Raises:
            RunDirectoryError: what its supervisor left cannot be read.
        """
        socket_directory = Path(record.socket_directory)
        try:
            left = Inheritance.read(socket_directory)
        except (OSError, msgspec.MsgspecError) as error:
            raise RunDirectoryError(f"{record.name} cannot be adopted: {error}") from error
        testbed = cls(left.scenario, Path(left.directory), Path(left.run_directory), True, tell=tell)
        testbed._nodes, testbed._peer_group, testbed._keep_s = left.nodes, left.peer_group, left.keep_s
        testbed._started_at, testbed._orders, testbed._paused = left.started_at, left.orders, set(left.paused)
        testbed._calls.last = time.time_ns() // 1000  # later than all of any supervisor before
        testbed._adopts = (socket_directory, left)
        return testbed

    async def __aenter__(self) -> Testbed:
        loop = asyncio.get_running_loop()
        self._ready, self._finished, self._failed = loop.create_future(), loop.create_future(), loop.create_future()
        self._listening = loop.create_future()
        self._changed = asyncio.Event()
        adopted = None
        if self._adopts is not None:
            directory, left = self._adopts
            self._agent, adopted = await LocalAgent.adopt(directory)
            self._sockets = SocketDirectory.inherit(directory)
            self._doors = Doors(self._sockets, by_place=left.doors, credentials=left.credentials)
        else:
            self._started_at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            self._sockets = SocketDirectory.create()
            self._doors = Doors(self._sockets)
            log = self.run_directory / "logs" / "agent.log"
            try:
                self._agent = await LocalAgent.start(self._sockets.path, log, lock=self._sockets.lock)
            except BaseException:
                self._sockets.remove()
                raise
        self._context = zmq.asyncio.Context()
        self._control = self._context.socket(zmq.DEALER)
        self._control.set(zmq.LINGER, 0)
        self._control.set(zmq.SNDHWM, 0)
        readers = (self._read_agent(), self._read_control(), self._watch_fabric())
        self._tasks = [asyncio.create_task(self._or_fail(reader)) for reader in readers]
        try:
            await (self._bring_up() if adopted is None else self._take_over(adopted))
        except BaseException:
            await self._undisturbed(self._take_down())
            raise
        return self

    async def _take_over(self, adopted: protocol.Adopted) -> None:
        """Go on where the supervisor before left off."""
        for name, process_id in adopted.running.items():
            self.processes[name] = RunningProcess(name, process_id, self._log(name))
        for name, code in adopted.ended.items():
            self.processes[name] = RunningProcess(name, 0, self._log(name), code)
        self._ready.set_result(None)
        self._heard_at_s = time.monotonic()
        self._doors.unlock(self._control)
        self._control.connect(self.endpoint_of("control"))
        await self._say(control.Start())
        await self._control.send(control.to_fabric.encode(control.Repeat(orders=self._orders)))
        for name in adopted.ended:
            kind, _, node = name.partition(" ")
            if kind == "fabric":
                await self._fabric_ended(self.processes[name])
            elif kind == "node":
                await self._say(control.NodeDied(node=node, status=f"{name} died: {self.processes[name].status}"))
        await self._listen_for_steering()
        await self.keep(self._keep_s)
        self.write_record()

    async def keep(self, seconds: float) -> None:
        """Should this supervisor die, the testbed is kept for so long, for another to adopt it."""
        self._keep_s = seconds
        self._leave_word()
        await self._agent.send(protocol.Keep(seconds=seconds))

    def _leave_word(self) -> None:
        """Write down what another supervisor must know."""
        if self._keep_s:
            Inheritance(
                scenario=self.scenario,
                directory=str(self.directory),
                run_directory=str(self.run_directory),
                started_at=self._started_at,
                nodes=self._nodes,
                peer_group=self._peer_group,
                doors=self._doors.by_place,
                credentials=self._doors.credentials,
                orders=self._orders,
                paused=tuple(self._paused),
                keep_s=self._keep_s,
            ).write(self._sockets.path)

    async def _listen_for_steering(self) -> None:
        path = self._sockets.path / steering_port.NAME
        path.unlink(missing_ok=True)  # of a supervisor before
        self._steering_port = await steering_port.serve(path, self.steer)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._undisturbed(self._take_down())

    async def _or_fail(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something whose failure is the testbed's."""
        try:
            await work
        except (OSError, zmq.ZMQError, LaunchError, RunDirectoryError) as error:
            self._fail(f"the supervisor cannot go on: {error}")

    async def _undisturbed(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something to its end, even if this task is cancelled meanwhile."""
        task = asyncio.create_task(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise

    async def _bring_up(self) -> None:
        if self.scenario.sockets.transport == "tcp":
            await self._open_doors()
        self._control.connect(self.endpoint_of("control"))
        configuration = FabricConfiguration(
            scenario=self.scenario,
            nodes_endpoint=self.endpoint_of("fabric"),
            control_endpoint=self.endpoint_of("control"),
            observer_endpoint=self.endpoint_of("observer"),
            security=self._doors.security("fabric"),
            refused_path=str(refused_path(self.run_directory, "fabric")),
            event_log=str(self.run_directory / "events.jsonl"),
            journal=str(self.run_directory / "journal"),
            serves_until_stopped=self.serves_until_stopped,
            held=self.held,
        )
        path = self._sockets.path / "fabric.msgpack"
        write_private(path, msgspec.msgpack.encode(configuration))
        cores = self.scenario.placement.cores
        if cores == "one" or (cores == "auto" and len(self.scenario.nodes) <= FEW_NODES):
            await self._agent.send(protocol.ShareOneCore())
        if self.scenario.network is not None:
            await self._agent.send(protocol.WarmUp(modules=NETWORK_MODULES))
        await self._start_fabric(recover=False)
        if any(each.netqasm is not None for each in self.scenario.applications):
            if not programs.are_possible():
                raise TestbedError(programs.MISSING)
            await self._agent.send(protocol.WarmUp(modules=(programs.MODULE,)))
        from orchestrator.deployment import node_configurations  # the fabric imports meanwhile, too

        nodes = node_configurations(
            self.scenario, applications=self.held or not self.serves_until_stopped, shake_s=self.shake_s
        )
        for number, names in enumerate(Topology(self.scenario).classical_components()):
            self._peer_group.update(dict.fromkeys(names, number))
            for start in range(0, len(names), NAMES_PER_PACKET):
                await self._agent.send(protocol.Peers(group=number, names=names[start : start + NAMES_PER_PACKET]))
        self._nodes = {node.name: self._doors.shown_to(node, self.run_directory) for node in nodes}
        for node in self._nodes.values():
            log = str(self._log(f"node {node.name}"))
            await self._agent.send(
                protocol.StartNode(configuration=node, peer_group=self._peer_group[node.name], log=log)
            )
        deadline_s = READY_DEADLINE_S + READY_DEADLINE_PER_NODE_S * len(nodes)
        await self._before_failure(self._ready, deadline_s, "every node to say hello to the fabric")
        await self._listen_for_steering()
        self.write_record()

    async def _open_doors(self) -> None:
        """Have the agent listen for everybody, and make the keys."""
        sockets = self.scenario.sockets
        places = (*FABRIC_PLACES, *map(node_place, self.scenario.nodes))
        for start in range(0, len(places), NAMES_PER_PACKET):
            some = places[start : start + NAMES_PER_PACKET]
            self._listening = asyncio.get_running_loop().create_future()
            await self._agent.send(protocol.Listen(address=sockets.address, places=some))
            listening = await self._before_failure(self._listening, READY_DEADLINE_S, "the agent to listen by TCP")
            if listening.error:
                raise TestbedError(listening.error)
            self._doors.opened(sockets.address, listening.ports)
        if sockets.curve:
            self._doors.lock(tuple(self.scenario.nodes))
            self._doors.unlock(self._control)

    def endpoint_of(self, place: str) -> str:
        """Where ``fabric``, ``control``, ``observer`` or ``node-NAME`` listens."""
        return self._doors.endpoint_of(place)

    async def _start_fabric(self, *, recover: bool) -> None:
        configuration = str(self._sockets.path / "fabric.msgpack")
        message = protocol.StartFabric(configuration=configuration, log=str(self._log("fabric")), recover=recover)
        await self._agent.send(message)

    async def _say(self, message: control.ToFabric) -> None:
        """Tell the fabric what any fabric in its place must know, too; it does no harm to hear it twice."""
        self._said.append(message)
        await self._control.send(control.to_fabric.encode(message))

    def write_record(self) -> None:
        """Let other commands find this testbed."""
        self._sockets.write_record(
            TestbedRecord(
                name=self.scenario.name,
                supervisor=os.getpid(),
                run_directory=str(self.run_directory),
                socket_directory=str(self._sockets.path),
                pace=str(self.scenario.time.pace),
                seed=self.scenario.seed,
                started_at=self._started_at,
                processes={
                    "supervisor": os.getpid(),
                    "agent": self._agent.process_id,
                    **{each.name: each.process_id for each in self.processes.values() if each.code is None},
                },
                nodes=tuple(self.scenario.nodes),
                doors=self._doors.by_place,
            )
        )

    def endpoint(self, node: str) -> str:
        """Where applications attach to ``node``."""
        return self.endpoint_of(node_place(node))

    @property
    def recoveries(self) -> list[Recovery]:
        """Of the fabric, after it was killed."""
        return self._deaths.recoveries

    @property
    def observer_endpoint(self) -> str:
        """Where the oracle answers."""
        return self.endpoint_of("observer")

    def credentials(self, place: str, name: str) -> Path | None:
        """A fresh private file with which a program of this machine may speak at ``place``; None without keys."""
        return self._doors.enrolled(place, name)

    async def start_virtual_time(self) -> None:
        """Let virtual time begin; applications of the scenario are waited for."""
        await self._say(control.Start())

    async def start_application(self, application: Application) -> None:
        """Start a program, with the socket of its node in its environment."""
        self._node_of[application.name] = application.node
        command = application.command
        if application.netqasm is not None:
            told = programs.write_told(self.scenario, application, self.directory, self.run_directory)
            command = (programs.MODULE, str(told))
        elif command[0] in ("python", "python3"):
            command = (sys.executable, *command[1:])
        credentials = self.credentials(node_place(application.node), application.name)
        environment = {
            **os.environ,
            **application.environment,
            "QLOOM_SOCKET": self.endpoint(application.node),
            "QLOOM_CREDENTIALS": "" if credentials is None else str(credentials),
            "QLOOM_APPLICATION": application.name,
            "QLOOM_SEED": str(self.scenario.seed),
            "PYTHONUNBUFFERED": "1",
        }
        name = f"application {application.name}"
        await self._agent.send(
            protocol.StartCommand(
                name=name,
                command=command,
                environment=environment,
                directory=str(self.directory),
                log=str(self._log(name)),
                module="" if application.netqasm is None else programs.MODULE,
            )
        )

    async def run(self) -> RunOutcome:
        """Run the scenario's applications on the testbed until the run is over.

        Raises:
            TestbedError: a process of the testbed died, or the run could not go on.
        """
        for application in self.scenario.applications:
            await self.start_application(application)
        await self.start_virtual_time()
        try:
            finished = await self._before_failure(self._finished, None, "the run to end")
        except TestbedError as error:
            raise TestbedError(await self._with_casualties(str(error))) from None
        deadline_s = (
            self.scenario.time.stall_after_s
            if finished.reason == "every application has ended"
            else STOPPED_APPLICATIONS_DEADLINE_S
        )
        await self.processes_ended(deadline_s)
        if self._failed.done():
            raise TestbedError(self._failed.result())
        applications = {
            application.name: self.processes[f"application {application.name}"]
            for application in self.scenario.applications
            if f"application {application.name}" in self.processes
        }
        return RunOutcome(finished, list(self.processes.values()), applications, self.recoveries)

    async def stop(self, reason: str) -> control.Finished:
        """End the run now; returns how it was."""
        await self._say(control.Stop(reason=reason))
        return await self._before_failure(self._finished, STOP_DEADLINE_S, "the fabric to end the run")

    async def ended(self) -> control.Finished:
        """Wait for the end of the run.

        Raises:
            TestbedError: a process of the testbed died.
        """
        return await self._before_failure(self._finished, None, "the run to end")

    async def steer(self, request: control.Steering, *, deadline_s: float = STOP_DEADLINE_S) -> control.Steered:
        """Break, mend, hold or let go; returns the fabric's answer.

        Raises:
            SteeringRefused: it was not done, with the reason.
            TestbedError: a process of the testbed died, or no answer came within ``deadline_s`` wall seconds.
        """
        request, answered = self._calls.begin(request)
        try:
            await self._control.send(control.to_fabric.encode(request))
            answer = await self._before_failure(
                answered, deadline_s, f"the fabric to answer {request.__struct_config__.tag}"
            )
        finally:
            self._calls.end(request)
        if answer.error:
            raise SteeringRefused(answer.error)
        return answer

    async def ask_status(self) -> None:
        """Have the fabric refresh ``status``."""
        await self._control.send(control.to_fabric.encode(control.AskStatus()))

    def signal(self, name: str, number: signal.Signals) -> Awaitable[None]:
        """Signal a process by its name, such as ``node alice``."""
        return self._agent.send(protocol.Signal(name=name, number=int(number)))

    async def processes_ended(self, deadline_s: float, *, kind: str = "application") -> None:
        """Wait for the processes of a kind (empty: of all) to exit; one that does not is killed with the testbed."""

        def running() -> bool:
            return any(each.code is None and name.startswith(kind) for name, each in self.processes.items())

        try:
            async with asyncio.timeout(deadline_s):
                while running() and not self._tasks[0].done():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return  # whoever is still running is ended by the agent, and its status says so

    async def _before_failure(self, future: asyncio.Future[T], deadline_s: float | None, what: str) -> T:
        """Wait for ``future``, but not beyond the death of a process or the deadline."""
        awaited: set[asyncio.Future[Any]] = {future, self._failed}
        done, _ = await asyncio.wait(awaited, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if self._failed in done:
            raise TestbedError(self._failed.result())
        if future in done:
            return future.result()
        missing = [f"node {name}" for name in self.scenario.nodes if f"node {name}" not in self.processes]
        raise TestbedError(f"waited {deadline_s:g} s for {what}" + (f"; not started: {missing[:5]}" if missing else ""))

    def _log(self, name: str) -> Path:
        return self.run_directory / "logs" / f"{name.replace(' ', '-')}.log"

    async def _read_agent(self) -> None:
        """Note what starts and ends."""
        while (message := await self._agent.receive()) is not None:
            if isinstance(message, protocol.Started):
                self.processes[message.name] = RunningProcess(message.name, message.process_id, self._log(message.name))
            elif isinstance(message, protocol.Listening):
                self._listening.set_result(message)
            elif isinstance(message, protocol.NotStarted):
                self._fail(f"{message.name} could not be started: {message.reason}")
            elif isinstance(message, protocol.Ended):
                await self._ended(message)
            self._changed.set()
            if self._ready.done():
                self.write_record()
        self._fail(f"the agent (process {self._agent.process_id}) died, and every process with it")
        self._changed.set()

    async def _ended(self, message: protocol.Ended) -> None:
        process = self.processes[message.name]
        process.code = message.code
        kind, _, name = message.name.partition(" ")
        if self._finished.done() or process.fault:
            return
        if kind == "application":
            node = self._node_of[name]
            await self._say(control.ApplicationDied(node=node, application=name, status=process.status))
            if process.code and any(each.name == name and each.netqasm for each in self.scenario.applications):
                await self._say(control.Stop(reason=f"role {name} failed: {process.status}"))  # others wait in vain
        elif kind == "node" and process.code != 0:
            story = f"{message.name} (process {message.process_id}) died: {process.status}{last_lines(process.log)}"
            if not self._ready.done():
                self._fail(story)
            else:
                await self._say(control.NodeDied(node=name, status=story))
        elif kind == "fabric":
            await self._fabric_ended(process)

    async def _fabric_ended(self, process: RunningProcess) -> None:
        """If it was killed, another one takes its place; what it did itself, another would do again."""
        assert process.code is not None
        if process.code == 0:  # it has told how the run ended; that may still be on its way
            await asyncio.wait({self._finished}, timeout=STOP_DEADLINE_S)
        if self._finished.done() or self._leaving:
            return
        story = f"the fabric (process {process.process_id}) died: {process.status}"
        verdict = self._deaths.verdict(process.code)
        if verdict is not None:
            self._fail(f"{story}{verdict}{last_lines(process.log)}")
            return
        self._heard_at_s = time.monotonic()
        self._deaths.killed(process.status)
        await self._start_fabric(recover=True)
        for said in (*self._said, *self._calls.open):
            await self._control.send(control.to_fabric.encode(said))

    async def _read_control(self) -> None:
        """Note what the fabric says."""
        while True:
            message = control.from_fabric.decode(await self._control.recv())
            self._heard_at_s = time.monotonic()
            if isinstance(message, control.Ready):
                if not self._ready.done():
                    self._ready.set_result(None)
            elif isinstance(message, control.Finished):
                for node in self._paused:
                    await self.signal(f"node {node}", signal.SIGCONT)
                if not self._finished.done():
                    self._finished.set_result(message)
                if message.error:
                    self._fail(message.error)
            elif isinstance(message, control.Steered):
                self._calls.answered(message)
            elif isinstance(message, control.Status):
                self.status = message
            elif isinstance(message, control.Recovered):
                recovery = self._deaths.recovered(message)
                if recovery is not None:
                    self.tell(
                        f"the fabric was {recovery.cause}; another has taken its place at virtual time "
                        f"{recovery.now_ps / PICOSECONDS:.9g} s, after {recovery.took_s:.2g} s"
                    )
            elif message.number == self._orders:
                await self._carry_out(message.order)
                self._orders += 1
                self._leave_word()

    async def _carry_out(
        self, order: control.EndNode | control.StartNode | control.PauseNode | control.ResumeNode
    ) -> None:
        """Do to a process what a fault wants."""
        if isinstance(order, control.EndNode):
            await self._end_node(order)
        elif isinstance(order, control.StartNode):
            await self._start_again(order)
        else:
            stops = isinstance(order, control.PauseNode)
            (self._paused.add if stops else self._paused.discard)(order.node)
            await self.signal(f"node {order.node}", signal.SIGSTOP if stops else signal.SIGCONT)

    async def _end_node(self, order: control.EndNode) -> None:
        """End a node that a fault has ended in virtual time, and its applications; their ends are no failures."""
        names = [f"node {order.node}"]
        names += [f"application {each.name}" for each in self.scenario.applications if each.node == order.node]
        for name in names:
            process = self.processes.get(name)
            if process is not None and process.code is None:
                process.fault = order.fault
                if not order.orderly:
                    await self.signal(name, signal.SIGKILL)

    async def _start_again(self, order: control.StartNode) -> None:
        """Start a node that a fault had ended, once its last process is gone, and applications with it."""
        applications = [each for each in self.scenario.applications if each.name in order.applications]
        names = [f"node {order.node}", *(f"application {each.name}" for each in applications)]
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                while any(name in self.processes and self.processes[name].code is None for name in names):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._fail(f"{order.node} is to start again, but its last process has not ended in {STOP_DEADLINE_S:g} s")
            return
        configuration = msgspec.structs.replace(
            self._nodes[order.node], incarnation=order.incarnation, expected_applications=order.applications
        )
        log = str(self._log(f"node {order.node}"))
        start = protocol.StartNode(configuration=configuration, peer_group=self._peer_group[order.node], log=log)
        await self._agent.send(start)
        self._said = [
            said
            for said in self._said
            if not (isinstance(said, control.ApplicationDied) and said.application in order.applications)
        ]
        for application in applications:
            await self.start_application(application)

    async def _watch_fabric(self) -> None:
        """Once it is up, the fabric must answer now and then."""
        await asyncio.wait({self._ready})
        while not self._finished.done():
            await self.ask_status()
            await asyncio.sleep(STATUS_INTERVAL_S)
            silent_s = time.monotonic() - self._heard_at_s
            limit_s = self.scenario.time.stall_after_s + FABRIC_SILENCE_S + self._deaths.patience_s
            if silent_s > limit_s:
                process = self.processes["fabric"]
                self._fail(f"the fabric (process {process.process_id}) has not answered for {silent_s:.0f} s")
                return

    def _fail(self, story: str) -> None:
        """Note the first thing that went wrong."""
        if not self._failed.done():
            self._failed.set_result(story)

    async def _with_casualties(self, story: str) -> str:
        """A story of failure, and which applications had failed already: theirs may be the fault.

        Virtual time may see a deadlock before the program whose end led to it has ended; so that is waited for, and
        who is said to wait ends because of the deadlock.
        """
        if story.startswith("deadlock"):
            await self.processes_ended(CASUALTIES_DEADLINE_S)
        for each in self.processes.values():
            kind, _, name = each.name.partition(" ")
            if kind == "application" and each.code and not each.fault and f"{name} waits for" not in story:
                story += f"; {each.name} had ended: {each.status}{last_lines(each.log)}"
        return story

    async def _take_down(self) -> None:
        """End and reap every process, remove every socket."""
        self._leaving = True
        process_ids = [each.process_id for each in self.processes.values() if each.code is None]
        for task in self._tasks[1:]:
            task.cancel()
        if self._steering_port is not None:
            self._steering_port.close()
        await self._agent.send_shutdown(grace_s=GRACE_S)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(self._tasks[:1], timeout=GRACE_S + STOP_DEADLINE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not await self._agent.wait_gone(GRACE_S):
            self._agent.end_orphans(process_ids)
        self._control.close()
        self._context.term()
        self._sockets.remove()
