"""The agent of one host: a warm fork-server. It forks nodes, the fabric and applications, reaps them, and outlives
its supervisor by just long enough to leave nothing behind.

Run as ``python -m orchestrator.launch.agent FD SOCKET_DIRECTORY LOCK``, with FD one end of a packet socket and LOCK a
descriptor of the lock that says that the testbed lives; or born in a nursery. It is single threaded and opens no ZeroMQ
context, so that forking is safe; its children have what it imported. A testbed that is to be kept waits for another
supervisor instead.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
from setproctitle import setproctitle

import orchestrator.fabric.__main__ as fabric_main
from orchestrator.fabric.images import Bedside
from orchestrator.launch import adoption, protocol
from orchestrator.lifeline import end_with
from qnode.config import NodeConfiguration

PR_SET_CHILD_SUBREAPER = 36
FABRIC_PLACES = ("fabric", "control", "observer")
BACKLOG = 1024
"""Callers that may wait for a process that is being started."""
NODE_PROGRAM = "qnode.__main__"
"""The program of a node, named as one would name it to a shell; forked instead of started, because it is warm."""
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Agent:
    """All processes of one testbed on this host."""

    def __init__(self, supervisor: socket.socket, socket_directory: Path, lock: int | None = None) -> None:
        """``lock``: a descriptor of the lock that says that the testbed lives."""
        self._supervisor = supervisor
        self._socket_directory = socket_directory
        self._lock = lock
        self._keep_s = 0.0
        self._orphan_grace_s = 0.0
        self._ended: dict[str, int] = {}
        self._children: dict[int, str] = {}
        self._names: dict[str, int] = {}
        self._serve_node: Callable[..., None] = importlib.import_module(NODE_PROGRAM).serve
        self._peers: dict[int, tuple[str, ...]] = {}
        self._listeners: dict[str, socket.socket] = {}
        """By place; kept open, so that who is started again finds its callers waiting."""
        self._bedside: Bedside | None = None
        self._cores = os.sched_getaffinity(0)
        self._wakeup, self._wakeup_writer = socket.socketpair()
        for end in (self._wakeup, self._wakeup_writer):
            end.setblocking(False)

    def run(self) -> None:
        """Serve until told to shut down, or until the supervisor is gone."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        gc.collect()
        gc.freeze()
        grace_s = 0.0
        try:
            self._tell(protocol.AgentUp(agent=os.getpid()))
            grace_s = self._serve()
        finally:
            self._end_all(grace_s)
            shutil.rmtree(self._socket_directory, ignore_errors=True)

    def _serve(self) -> float:
        """Do as the supervisor says until it wants the end, or is gone; returns the grace for the processes (s)."""
        poll = select.poll()
        poll.register(self._supervisor, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._wakeup.fileno() in ready:
                self._wakeup.recv(4096)
                self._reap()
            if self._supervisor.fileno() in ready:
                message = self._receive()
                if message is None:
                    poll.unregister(self._supervisor)
                    if not self._is_adopted():
                        return self._orphan_grace_s
                    poll.register(self._supervisor, select.POLLIN)
                    continue
                if isinstance(message, protocol.Shutdown):
                    return message.grace_s
                self._do(message)

    def _is_adopted(self) -> bool:
        """The supervisor is gone: wait for another, as long as the first wanted; returns whether one came."""
        self._supervisor.close()
        if not self._keep_s:
            return False
        deadline = time.monotonic() + self._keep_s
        with adoption.Place(self._socket_directory) as place:
            adoption.note_orphan(self._socket_directory, self._keep_s)
            poll = select.poll()
            poll.register(place, select.POLLIN)
            poll.register(self._wakeup, select.POLLIN)
            while (remaining_s := deadline - time.monotonic()) > 0:
                ready = {descriptor for descriptor, _ in poll.poll(remaining_s * 1000)}
                if self._wakeup.fileno() in ready:
                    self._wakeup.recv(4096)
                    self._reap()
                if place.fileno() in ready and (supervisor := place.accept()) is not None:
                    self._supervisor = supervisor
                    running = {name: process_id for process_id, name in self._children.items()}
                    self._tell(protocol.Adopted(agent=os.getpid(), running=running, ended=self._ended))
                    return True
        return False

    def _receive(self) -> protocol.ToAgent | None:
        """The supervisor's next message; None when it is gone, be it with messages from here unread."""
        try:
            packet = self._supervisor.recv(protocol.LARGEST_PACKET_BYTES)
        except ConnectionResetError:
            return None
        return protocol.to_agent.decode(packet) if packet else None

    def _do(self, message: protocol.ToAgent) -> None:
        if isinstance(message, protocol.StartNode):
            configuration = msgspec.structs.replace(
                message.configuration, peers=self._peers.get(message.peer_group, ())
            )
            name = f"node {configuration.name}"
            place = f"node-{configuration.name}"
            self._fork(name, message.log, lambda: self._be_node(configuration, place), listeners=(place,))
        elif isinstance(message, protocol.Peers):
            self._peers[message.group] = self._peers.get(message.group, ()) + message.names
        elif isinstance(message, protocol.ShareOneCore):
            cores = sorted(self._cores)
            self._cores = {cores[os.getpid() % len(cores)]}  # testbeds side by side take different ones
        elif isinstance(message, protocol.Listen):
            self._listen(message)
        elif isinstance(message, protocol.WarmUp):
            os.environ.update(dict.fromkeys(fabric_main.ONE_THREAD, "1"))
            for module in message.modules:
                importlib.import_module(module)
            gc.collect()
            gc.freeze()
        elif isinstance(message, protocol.StartFabric):
            if not (message.recover and self._wake_image()):
                self._start_fabric(message)
        elif isinstance(message, protocol.Keep):
            self._keep_s = message.seconds
        elif isinstance(message, protocol.Orphans):
            self._orphan_grace_s = message.grace_s
        elif isinstance(message, protocol.StartCommand):
            self._fork(message.name, message.log, lambda: _call(message) if message.module else _execute(message))
        elif isinstance(message, protocol.Signal):
            process_id = self._names.get(message.name)
            if process_id is not None:
                _signal_group(process_id, message.number)

    def _start_fabric(self, message: protocol.StartFabric) -> None:
        if self._bedside is not None:
            self._bedside.close()
        self._bedside = Bedside()
        work = functools.partial(self._be_fabric, Path(message.configuration), recover=message.recover)
        self._fork("fabric", message.log, work, listeners=FABRIC_PLACES)

    def _wake_image(self) -> bool:
        """Have the latest image of a fabric that was killed take its place; returns whether there is one."""
        if self._bedside is None or (image := self._bedside.latest) not in _children_of(os.getpid()):
            return False
        self._bedside.wake()
        self._is_started("fabric", image)
        return True

    def _listen(self, message: protocol.Listen) -> None:
        try:
            for place in message.places:
                self._listeners[place] = socket.create_server((message.address, 0), backlog=BACKLOG)
        except OSError as error:
            reason = f"cannot listen at {message.address}: {error.strerror}; expected an address of this machine"
            self._tell(protocol.Listening(ports={}, error=reason))
            return
        ports = {place: self._listeners[place].getsockname()[1] for place in message.places}
        self._tell(protocol.Listening(ports=ports))

    def _be_node(self, configuration: NodeConfiguration, place: str) -> None:
        listener = self._listeners.get(place)
        self._serve_node(configuration, listener=None if listener is None else listener.detach())

    def _be_fabric(self, configuration: Path, *, recover: bool) -> None:
        listeners = {place: self._listeners[place].detach() for place in FABRIC_PLACES if place in self._listeners}
        fabric_main.serve(configuration, listeners=listeners, recover=recover, bedside=self._bedside)

    def _fork(self, name: str, log: str, work: Callable[[], None], *, listeners: tuple[str, ...] = ()) -> None:
        """Start a process, which inherits these listening sockets and no others."""
        try:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            self._tell(protocol.NotStarted(name=name, reason=f"its log cannot be opened: {error}"))
            return
        agent = os.getpid()
        try:
            process_id = os.fork()
        except OSError as error:
            os.close(descriptor)
            self._tell(protocol.NotStarted(name=name, reason=f"fork failed: {error}; raise the limit of processes"))
            return
        if process_id == 0:
            self._be_child(agent, descriptor, work, listeners)
        os.close(descriptor)
        self._is_started(name, process_id)

    def _is_started(self, name: str, process_id: int) -> None:
        self._children[process_id] = name
        self._names[name] = process_id
        self._ended.pop(name, None)
        self._tell(protocol.Started(name=name, process_id=process_id))

    def _be_child(self, agent: int, log: int, work: Callable[[], None], listeners: tuple[str, ...]) -> NoReturn:
        """In the new process: own session, dies with the agent, output into its log."""
        code = 1
        try:
            os.setsid()
            end_with(agent, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            for descriptor in (null, log):
                os.close(descriptor)
            for end in (self._wakeup, self._wakeup_writer, self._supervisor):
                end.close()
            if self._bedside is not None:
                self._bedside.leave()
            if self._lock is not None:
                os.close(self._lock)
            for place, listener in self._listeners.items():
                if place not in listeners:
                    listener.close()
            os.sched_setaffinity(0, self._cores)
            work()
            code = 0
        except _Ended as ended:
            code = ended.args[0]
        except BaseException:  # noqa: BLE001 - the process boundary: the whole story goes into the process's log
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        while self._children:
            try:
                process_id, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process_id == 0:
                return
            name = self._children.pop(process_id, None)
            if name is not None:
                if self._names.get(name) == process_id:
                    del self._names[name]
                code = self._ended[name] = os.waitstatus_to_exitcode(status)
                self._tell(protocol.Ended(name=name, process_id=process_id, code=code))

    def _tell(self, message: protocol.FromAgent) -> None:
        try:
            self._supervisor.send(protocol.from_agent.encode(message))
        except OSError:
            return  # the supervisor is gone; the loop sees its end of file next

    def _end_all(self, grace_s: float) -> None:
        """SIGTERM, the grace, SIGKILL, and whatever they had forked; all reaped."""
        if grace_s > 0:
            for process_id in list(self._children):
                _signal_group(process_id, signal.SIGTERM)
            deadline = time.monotonic() + grace_s
            poll = select.poll()
            poll.register(self._wakeup, select.POLLIN)
            self._reap()
            while self._children and (remaining_s := deadline - time.monotonic()) > 0:
                if poll.poll(remaining_s * 1000):
                    self._wakeup.recv(4096)
                self._reap()
        for process_id in self._children:
            _signal_group(process_id, signal.SIGKILL)
        for process_id in self._children:
            os.waitpid(process_id, 0)
        while adopted := _children_of(os.getpid()):
            for process_id in adopted:
                _signal_group(process_id, signal.SIGKILL)
            for process_id in adopted:
                os.waitpid(process_id, 0)


def _execute(message: protocol.StartCommand) -> NoReturn:
    """Become the program."""
    _prepare(message)
    os.execvpe(message.command[0], message.command, message.environment)


def _prepare(message: protocol.StartCommand) -> None:
    setproctitle(f"qloom: {message.name}")
    os.chdir(message.directory)
    if message.output:
        descriptor = os.open(message.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.close(descriptor)


def _call(message: protocol.StartCommand) -> None:
    """Be the program, whose module is imported already."""
    _prepare(message)
    os.environ.clear()
    os.environ.update(message.environment)
    sys.argv = list(message.command)
    try:
        importlib.import_module(message.module).main()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            raise _Ended(ended.code) from None
        if ended.code is not None:
            print(ended.code, file=sys.stderr)
            raise _Ended(1) from None


class _Ended(Exception):
    """A program wants to end with this exit code."""


def _signal_group(process_id: int, number: int) -> None:
    """Signal a process and all of its group; one that is gone is no error."""
    for send in (os.killpg, os.kill):
        try:
            send(process_id, number)
        except (ProcessLookupError, PermissionError):
            continue  # it has no group of its own (yet), or is gone
        return


def _children_of(parent: int) -> list[int]:
    """The living or zombie children of a process, adopted ones included."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[1]) == parent:
            children.append(int(status.parent.name))
    return children


def serve(supervisor: int, socket_directory: Path, lock: int) -> None:
    """Be an agent until the end; the arguments are those of the program."""
    setproctitle("qloom: agent")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    channel = socket.socket(fileno=supervisor)
    channel.setblocking(True)
    os.set_inheritable(lock, False)
    Agent(channel, socket_directory, lock).run()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
