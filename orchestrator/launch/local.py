"""The local engine: starts an agent on this machine and talks to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import BinaryIO, ClassVar, NoReturn

from orchestrator.launch import adoption, protocol

AGENT_DEADLINE_S = 30.0
KILL_DEADLINE_S = 10.0


class LaunchError(Exception):
    """A process could not be started, or ended before it was ready."""


class LocalAgent:
    """The agent process of this machine, seen from its supervisor."""

    is_warm: ClassVar[bool] = False
    """Whether this process has imported all that an agent's processes need: then agents are forked from it."""

    def __init__(
        self, process_id: int, channel: socket.socket, process: subprocess.Popen[bytes] | _Forked | None
    ) -> None:
        self.process_id = process_id
        """The agent's."""
        self._channel = channel
        self._process = process
        """None if somebody else has started it."""

    @classmethod
    async def adopt(cls, socket_directory: Path) -> tuple[LocalAgent, protocol.Adopted]:
        """Be the supervisor of a testbed that has none; returns its agent and what it has.

        Raises:
            LaunchError: it has one, or is gone.
        """
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.setblocking(False)
        agent = cls(0, channel, None)
        try:
            async with asyncio.timeout(AGENT_DEADLINE_S):
                await asyncio.get_running_loop().sock_connect(channel, str(socket_directory / adoption.NAME))
                first = await agent.receive()
        except OSError as error:
            channel.close()
            raise LaunchError(f"nobody waits to be adopted in {socket_directory}: {error}") from error
        if not isinstance(first, protocol.Adopted):
            channel.close()
            raise LaunchError(f"the agent in {socket_directory} did not answer within {AGENT_DEADLINE_S:g} s")
        agent.process_id = first.agent
        return agent, first

    @classmethod
    async def start(cls, socket_directory: Path, log: Path, *, lock: int, orphan_grace_s: float = 0.0) -> LocalAgent:
        """Start an agent and wait until it can fork. It holds the ``lock`` of the directory, too.

        ``orphan_grace_s``: how long its processes have to end when this process is gone.

        Raises:
            LaunchError: it did not come up.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        start = _fork if cls.is_warm and _threads() == 1 else _execute
        with log.open("wb") as output, theirs:
            process = start(theirs.fileno(), socket_directory, lock, orphan_grace_s, output)
        ours.setblocking(False)
        agent = cls(process.pid, ours, process)
        try:
            async with asyncio.timeout(AGENT_DEADLINE_S):
                first = await agent.receive()
        except TimeoutError:
            first = None
        except BaseException:
            await agent.wait_gone(0.0)
            raise
        if not isinstance(first, protocol.AgentUp):
            await agent.wait_gone(0.0)
            raise LaunchError(f"the agent did not come up within {AGENT_DEADLINE_S:g} s; its log: {log}")
        return agent

    async def send(self, message: protocol.ToAgent) -> None:
        """Tell the agent something.

        Raises:
            LaunchError: it is gone.
        """
        try:
            await asyncio.get_running_loop().sock_sendall(self._channel, protocol.to_agent.encode(message))
        except OSError as error:
            raise LaunchError(f"the agent (process {self.process_id}) is gone: {error}") from error

    async def receive(self) -> protocol.FromAgent | None:
        """The agent's next message; None when it is gone."""
        try:
            packet = await asyncio.get_running_loop().sock_recv(self._channel, protocol.LARGEST_PACKET_BYTES)
        except OSError:
            return None
        return protocol.from_agent.decode(packet) if packet else None

    async def send_shutdown(self, *, grace_s: float) -> None:
        """Tell the agent to end every process and itself; it closes the channel when it is done."""
        with contextlib.suppress(LaunchError):
            await self.send(protocol.Shutdown(grace_s=grace_s))

    async def wait_gone(self, grace_s: float) -> bool:
        """Wait for the agent's end; returns whether it ended as it should, all of its processes reaped."""
        self._channel.close()
        if self._process is None:
            return await asyncio.to_thread(_has_ended, self.process_id, grace_s + KILL_DEADLINE_S)
        try:
            await asyncio.to_thread(self._process.wait, grace_s + KILL_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self._process.wait, KILL_DEADLINE_S)
        return self._process.returncode == 0

    def end_orphans(self, process_ids: list[int]) -> None:
        """After the agent died: end the groups of its children, whose leaders died with it."""
        for process_id in process_ids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process_id, signal.SIGKILL)


def _execute(
    channel: int, socket_directory: Path, lock: int, grace_s: float, output: BinaryIO
) -> subprocess.Popen[bytes]:
    arguments = (channel, socket_directory, lock, grace_s)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "orchestrator.launch.agent", *map(str, arguments)],
        pass_fds=(channel, lock),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def _fork(channel: int, socket_directory: Path, lock: int, grace_s: float, output: BinaryIO) -> _Forked:
    sys.stdout.flush()
    sys.stderr.flush()
    process_id = os.fork()
    if process_id == 0:
        _be_agent(channel, socket_directory, lock, grace_s, output)
    return _Forked(process_id)


def _be_agent(channel: int, socket_directory: Path, lock: int, grace_s: float, output: BinaryIO) -> NoReturn:
    """In the new process: nothing of its parent's stays open, and none of its parent's work is ever gone on with."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDONLY)
        for descriptor, wanted in enumerate((null, output.fileno(), output.fileno())):
            os.dup2(wanted, descriptor)
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor not in (0, 1, 2, channel, lock):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        from orchestrator.launch import agent

        agent.serve(channel, socket_directory, lock, grace_s)
        code = 0
    except BaseException:  # noqa: BLE001 - the process boundary: the whole story goes into the agent's log
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class _Forked:
    """A process that was forked from this one; has what is used of ``subprocess.Popen``."""

    def __init__(self, process_id: int) -> None:
        self.pid = process_id
        self.returncode: int | None = None

    def wait(self, timeout: float) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it runs still.
        """
        if self.returncode is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                if not select.select([descriptor], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("the agent", timeout)
            finally:
                os.close(descriptor)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signal it."""
        os.kill(self.pid, number)


def _threads() -> int:
    """How many threads this process has, those that no Python code has started included."""
    return len(os.listdir("/proc/self/task"))


def _has_ended(process_id: int, deadline_s: float) -> bool:
    """Wait for the end of a process that is not our child; if it does not come, it is killed, and this is False."""
    try:
        descriptor = os.pidfd_open(process_id)
    except ProcessLookupError:
        return True
    try:
        if select.select([descriptor], [], [], deadline_s)[0]:
            return True
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [], KILL_DEADLINE_S)
        return False
    finally:
        os.close(descriptor)
