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
from pathlib import Path
from typing import ClassVar

from orchestrator.launch import adoption, protocol
from orchestrator.launch.nursery import Nursery

AGENT_DEADLINE_S = 30.0
KILL_DEADLINE_S = 10.0


class LaunchError(Exception):
    """A process could not be started, or ended before it was ready."""


class LocalAgent:
    """The agent process of this machine, seen from its supervisor."""

    nursery: ClassVar[Nursery | None] = None
    """Where agents are born warm, if this process brings up many testbeds."""

    def __init__(self, process_id: int, channel: socket.socket, process: subprocess.Popen[bytes] | None) -> None:
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
    async def start(
        cls, socket_directory: Path, log: Path, *, lock: int, descriptors: tuple[int, ...] = ()
    ) -> LocalAgent:
        """Start an agent and wait until it can fork. It holds the ``lock`` of the directory, too.

        ``descriptors``: of whatever else its processes are to inherit; none of those that are born in a nursery do.

        Raises:
            LaunchError: it did not come up.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            if cls.nursery is None:
                process = _started(socket_directory, log, theirs.fileno(), lock, *descriptors)
                agent = cls(process.pid, ours, process)
            else:
                try:
                    cls.nursery.bear(socket_directory, log, channel=theirs, lock=lock)
                except OSError as error:
                    ours.close()
                    raise LaunchError(f"the nursery of agents is gone: {error}") from error
                agent = cls(0, ours, None)
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
        agent.process_id = first.agent
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
        if not self.process_id:
            return False  # asked for in a nursery, and never heard of; if it is born yet, it finds nobody and ends
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


def _started(socket_directory: Path, log: Path, *descriptors: int) -> subprocess.Popen[bytes]:
    channel, lock, *_ = map(str, descriptors)
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.launch.agent", channel, str(socket_directory), lock],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


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
