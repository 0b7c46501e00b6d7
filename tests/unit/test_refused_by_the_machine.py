"""A full disk under the event log, no more processes for the agent: told in one line, nothing half done."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from orchestrator.fabric.event_log import EventLog, EventLogError
from orchestrator.launch import protocol
from orchestrator.launch.agent import Agent


@pytest.mark.parametrize("room", [0, 1, 40, 100])
def test_an_event_log_without_room_ends_with_a_whole_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    log, write, left = EventLog(tmp_path / "events.jsonl"), os.write, [room]
    for at in range(5):
        log.write(at, "something", number=at)
    log.close_window()
    log.flush()

    def little_room(descriptor: int, data: bytes) -> int:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        some, left[0] = left[0], 0
        return write(descriptor, data[:some])

    monkeypatch.setattr(os, "write", little_room)
    for at in range(5, 10):
        log.write(at, "something", number=at)
    with pytest.raises(EventLogError, match=r"events\.jsonl cannot be written: No space left on device; make room"):
        log.close()
    lines = (tmp_path / "events.jsonl").read_bytes()
    assert lines.endswith(b"\n")
    assert lines.count(b"\n") == 5 + room // 41
    log.close()


def test_an_agent_without_processes_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    agent = Agent(theirs, tmp_path)

    def no_more() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_more)
    command = protocol.StartCommand(
        name="application x", command=("true",), environment={}, directory="/", log=str(tmp_path / "x.log")
    )
    before = len(os.listdir("/proc/self/fd"))
    with ours, theirs, agent._wakeup, agent._wakeup_writer:
        for _ in range(2):
            agent._do(command)
            told = protocol.from_agent.decode(ours.recv(protocol.LARGEST_PACKET_BYTES))
            assert isinstance(told, protocol.NotStarted)
            assert told.name == "application x"
            assert "Resource temporarily unavailable" in told.reason
            assert "raise the limit of processes" in told.reason
        assert len(os.listdir("/proc/self/fd")) == before
