"""The nursery of agents: started when it is needed, started again when it died, passed on to other processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.launch import protocol
from orchestrator.launch.local import LaunchError, LocalAgent
from orchestrator.launch.nursery import Nursery

DEADLINE_S = 60.0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    with Nursery() as opened:
        yield opened


def born(nursery: Nursery, directory: Path) -> tuple[int, socket.socket]:
    """An agent's process id, and the channel to it."""
    directory.mkdir()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
    with theirs:
        nursery.bear(directory, directory.with_suffix(".log"), channel=theirs, lock=lock)
    os.close(lock)
    ours.settimeout(DEADLINE_S)
    first = protocol.from_agent.decode(ours.recv(protocol.LARGEST_PACKET_BYTES))
    assert isinstance(first, protocol.AgentUp)
    return first.agent, ours


def test_agents_are_born_where_and_as_who_asks_is(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    born(nursery, tmp_path / "first")[1].close()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    monkeypatch.setenv("TOLD", "yes")
    agent, channel = born(nursery, tmp_path / "second")
    assert Path(f"/proc/{agent}/cwd").readlink() == tmp_path / "there"
    assert "qutip" in Path(f"/proc/{agent}/maps").read_text(), "it is warm"
    log, output = tmp_path / "command.log", tmp_path / "output"
    command = protocol.StartCommand(
        name="shell", command=("sh", "-c", "echo $TOLD; echo wrong >&2"), environment={**os.environ},
        directory=str(tmp_path), log=str(log), output=str(output),
    )  # fmt: skip
    channel.send(protocol.to_agent.encode(command))
    answers = [protocol.from_agent.decode(channel.recv(protocol.LARGEST_PACKET_BYTES)) for _ in range(2)]
    assert isinstance(answers[1], protocol.Ended)
    assert (output.read_text(), log.read_text()) == ("yes\n", "wrong\n")
    channel.send(protocol.to_agent.encode(protocol.Shutdown(grace_s=0)))
    assert channel.recv(1) == b"", "it has ended"
    assert not (tmp_path / "second").exists(), "and its directory with it"
    channel.close()


def test_one_that_died_is_followed_by_another_and_its_agents_live_on(nursery: Nursery, tmp_path: Path) -> None:
    first, channel = born(nursery, tmp_path / "first")
    process = Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1]
    os.kill(int(process), signal.SIGKILL)
    gone = os.pidfd_open(int(process))
    os.waitid(os.P_PIDFD, gone, os.WEXITED | os.WNOWAIT)
    os.close(gone)
    second, other = born(nursery, tmp_path / "second")
    assert second != first
    assert Path(f"/proc/{first}").exists()
    channel.close()
    other.close()


def test_who_has_inherited_the_way_may_ask_and_closes_only_its_own(nursery: Nursery, tmp_path: Path) -> None:
    way = os.dup(nursery.fileno())
    with Nursery(way) as heir:
        born(heir, tmp_path / "of the heir")[1].close()
    born(nursery, tmp_path / "of the first")[1].close()


class Barren(Nursery):
    """One that dies with what it was asked."""

    def bear(self, socket_directory: Path, log: Path, *, channel: socket.socket, lock: int) -> None:
        pass


def test_an_agent_that_is_never_born_is_a_failed_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalAgent, "nursery", Barren())
    with pytest.raises(LaunchError, match="the agent did not come up"):
        asyncio.run(LocalAgent.start(tmp_path, tmp_path / "log", lock=0))
