"""A short siege in every way that `hostile.py` knows; `scripts/soak --frames 1000000` is the long one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest
from hostile import MEBIBYTE, MOST_GROWTH_MEBIBYTES, SHARES, Mode, besiege, peace, resident_bytes, same, scenario
from program import World, wait_until

from orchestrator.scenario import Limits
from qnode.config import ApplicationLimits
from qnode.wire.version import VERSION

FRAMES = 12_000
PAIRS = 500
LEAST_RATE = 0.1
"""Here, where a machine may have more to do; the long siege holds it to one half."""


@pytest.mark.slow
@pytest.mark.parametrize("mode", SHARES)
def test_a_short_siege(world: World, mode: Mode) -> None:
    undisturbed = peace(world, mode, pairs=PAIRS)
    siege = besiege(world, mode, frames=round(SHARES[mode] * FRAMES), pairs=PAIRS)
    assert siege.frames > 500, siege
    assert siege.report["refused"], "the report counts what was refused"
    assert same(undisturbed, siege.report, mode), siege
    assert max(siege.growth_mebibytes.values()) < MOST_GROWTH_MEBIBYTES
    assert undisturbed["wall_s"] / siege.report["wall_s"] > LEAST_RATE


def test_a_run_does_not_wait_for_the_end_of_a_visitor(world: World, bare_client: Any) -> None:
    running = world.start("run", scenario(world, "ipc", pairs=300), "--json", "--out", "run")
    (directory,) = wait_until(world.socket_directories, "the directory of sockets")
    wait_until((directory / "testbed.json").exists, "every node to be up")
    with bare_client(f"ipc://{directory}/node-alice") as visitor:
        visitor.attach("visitor")
        visitor.send(type="receive", call=9, peer="bob")
        report = world.ended(running).report
        assert visitor.receive()["code"] == "stopped"
    assert report["ok"], report
    assert report["ended_because"] == "every application has ended"


@pytest.fixture(scope="module")
def live(ideal: Any, testbed_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    limits = Limits(applications=ApplicationLimits(unread_bytes=MEBIBYTE, sent_bytes=1 << 30))
    small = msgspec.structs.replace(ideal("alice", "bob"), limits=limits)
    with testbed_of(small, tmp_path_factory.mktemp("small")) as live:
        yield live


def memory_of(live: Any, process: str) -> int:
    return resident_bytes(live.running()[process])


@pytest.mark.parametrize(("place", "process"), [("node-alice", "node alice"), ("fabric", "fabric")])
def test_ten_thousand_connections(live: Any, bare_client: Any, place: str, process: str) -> None:
    """A thousand at a time, silent, and gone again; meanwhile the node serves."""
    path = live.testbed.endpoint_of(place).removeprefix("ipc://")
    before = memory_of(live, process)
    with bare_client(live.endpoint("alice")) as client:
        client.attach("honest")
        for _ in range(10):
            held = []
            for _ in range(1000):
                silent = socket.socket(socket.AF_UNIX)
                silent.connect(path)
                held.append(silent)
            assert client.ask("sleep", duration_ps=1)["type"] == "done"
            for silent in held:
                silent.close()
        client.ask("detach")
    assert memory_of(live, process) - before < 64 * MEBIBYTE
    assert set(live.running()) >= {"fabric", "node alice", "node bob"}


def test_one_that_never_reads_is_let_go(live: Any, bare_client: Any) -> None:
    """Its answers fill what the kernel holds and a mebibyte more; then its session ends, and its node serves others."""
    before = memory_of(live, "node alice")
    payload = bytes(512 * 1024)
    with (
        bare_client(live.endpoint("bob")) as sender,
        bare_client(live.endpoint("alice")) as honest,
        socket.socket(socket.AF_UNIX) as deaf,
    ):
        sender.attach("sender")
        sender.rest()
        honest.attach("honest")
        honest.rest()
        deaf.connect(live.endpoint("alice").removeprefix("ipc://"))
        deaf.sendall(ZMTP_GREETING)
        greeting = b""
        while len(greeting) < len(ZMTP_GREETING):
            greeting += deaf.recv(len(ZMTP_GREETING) - len(greeting))
        deaf.sendall(ZMTP_READY)
        attach = {"type": "attach", "call": 0, "version": VERSION, "application": "deaf"}
        calls = [{"type": "receive", "call": call, "peer": "bob"} for call in range(1, 40)]
        rest = {"type": "wait", "seen": 2**40}
        deaf.sendall(framed(attach))
        answer = b""
        while b"attached" not in answer:
            answer += deaf.recv(1024)  # and nothing after it
        for message in (*calls, rest):
            deaf.sendall(framed(message))
        for _ in calls:
            assert sender.ask("send", peer="alice/deaf", payload=payload)["type"] == "done"
        sender.rest()
        events = Path(live.testbed.run_directory / "events.jsonl")

        def is_let_go() -> bool:
            deaf.sendall(framed(rest))
            return b"it does not read its answers" in events.read_bytes()

        wait_until(is_let_go, "the node to let the deaf one go")
        assert honest.ask("sleep", duration_ps=1)["type"] == "done"
        honest.ask("detach")
        sender.ask("detach")
    assert memory_of(live, "node alice") - before < 48 * MEBIBYTE


def framed(message: dict[str, Any]) -> bytes:
    body = msgpack.packb(message)
    return bytes([0, len(body)]) + body


ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
ZMTP_READY = b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
"""ZMTP 3.0 (RFC 23), mechanism NULL."""
