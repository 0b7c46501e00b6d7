"""Sockets by TCP: who gets in, as whom, and what becomes of everybody else."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from fabric_kills import run_with_kills
from program import World, wait_until

from orchestrator.doors import refused_path
from orchestrator.scenario import Sockets
from orchestrator.security import node_place
from qnode.security.keys import read_credentials
from qnode.security.types import Credentials

DEADLINE_S = 60.0
PROGRAM = """\
import sys
from qnode.sdk import attach
with attach() as session:
    bits = []
    for _ in range(20):
        pair = session.request_pair(sys.argv[1])
        bits.append(session.measure(pair))
    session.report(ones=float(sum(bits)))
"""
SCENARIO = """\
version: 1
name: t
seed: 3
sockets: {sockets}
nodes: {{alice: {{}}, bob: {{}}}}
links: {{alice-bob: {{ends: [alice, bob], length_km: 1}}}}
applications:
  - {{name: left, node: alice, command: [python, program.py, bob]}}
  - {{name: right, node: bob, command: [python, program.py, alice]}}
"""


@pytest.fixture(scope="module")
def live(ideal: Any, testbed_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    scenario = msgspec.structs.replace(ideal("alice", "bob"), sockets=Sockets(transport="tcp"))
    with testbed_of(scenario, tmp_path_factory.mktemp("tcp")) as live:
        yield live


def keys_of(live: Any, place: str, name: str) -> tuple[str, str, str]:
    """A fresh key pair that is known at ``place``, and the key of whoever listens there."""
    credentials: Credentials = read_credentials(live.testbed.credentials(place, name))
    return credentials.keys.public, credentials.keys.secret, credentials.server_key


def stolen(live: Any, node: str) -> tuple[str, str, str]:
    """A node's own key pair, and the fabric's public key."""
    pair = live.testbed._doors.key_ring.pair(node_place(node))
    return pair.public, pair.secret, live.testbed._doors.by_place["fabric"].key


@contextlib.contextmanager
def turned_away(live: Any, process: str, kind: str, client: Any) -> Iterator[Any]:
    """A client that does something for which a process refuses it, and counts that as ``kind``."""

    def count() -> int:
        with contextlib.suppress(FileNotFoundError):
            found: int = json.loads(refused_path(live.testbed.run_directory, process).read_bytes()).get(kind, 0)
            return found
        return 0

    before = count()
    with client as opened:
        yield opened
        wait_until(lambda: count() > before, f"{process} to count a refusal of kind {kind}")


def raw(endpoint: str) -> socket.socket:
    host, port = endpoint.removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), timeout=DEADLINE_S)


def test_whoever_has_a_key_attaches_under_the_name_of_the_key_alone(live: Any, bare_client: Any) -> None:
    keys = keys_of(live, "node-alice", "eve")
    with bare_client(live.endpoint("alice"), keys=keys) as eve:
        answer = eve.ask("attach", version=3, application="mallory")
        assert (answer["type"], answer["code"]) == ("failed", "denied")
        assert answer["reason"] == "its key is that of application 'eve', not of 'mallory'"
        assert eve.attach("eve")["type"] == "attached"
        assert eve.ask("detach")["type"] == "done"


def test_a_key_is_good_at_one_place_only(live: Any, bare_client: Any) -> None:
    public, secret, _ = keys_of(live, "node-bob", "eve")
    server = live.testbed._doors.by_place["node-alice"].key
    with turned_away(
        live, "node alice", "unknown_key", bare_client(live.endpoint("alice"), keys=(public, secret, server))
    ) as eve:
        eve.send(type="attach", call=1, version=3, application="eve")
        assert not eve.socket.poll(300)


def test_a_key_that_nobody_knows(live: Any, bare_client: Any) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    for place, process in (("node-alice", "node alice"), ("fabric", "fabric"), ("control", "fabric")):
        server = live.testbed._doors.by_place[place].key
        with turned_away(
            live, process, "unknown_key", bare_client(live.testbed.endpoint_of(place), keys=(public, secret, server))
        ) as stranger:
            stranger.send(type="attach", call=1, version=3, application="eve")
            assert not stranger.socket.poll(100)


@pytest.mark.parametrize("place", ["node-alice", "fabric", "control", "observer"])
def test_a_peer_without_curve(live: Any, place: str) -> None:
    """Its greeting (ZMTP 3, RFC 37) names the mechanism NULL, and it gets no further."""
    process = "node alice" if place == "node-alice" else "fabric"
    with turned_away(live, process, "plaintext", raw(live.testbed.endpoint_of(place))) as plain:
        plain.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        while plain.recv(1024):
            pass  # the other side's greeting; then the end


def test_a_peer_that_takes_the_place_for_another(live: Any, bare_client: Any) -> None:
    public, secret, _ = keys_of(live, "node-alice", "eve")
    other = zmq.curve_keypair()[0].decode()
    with turned_away(
        live, "node alice", "cryptographic", bare_client(live.endpoint("alice"), keys=(public, secret, other))
    ) as lost:
        lost.send(type="attach", call=1, version=3, application="eve")
        assert not lost.socket.poll(100)


@pytest.mark.parametrize("place", ["node-alice", "fabric"])
def test_a_peer_of_an_older_zmtp_is_cut_off(live: Any, place: str) -> None:
    """ZMTP 1.0 has no greeting: an anonymous peer and a first frame. (RFC 13)"""
    with raw(live.testbed.endpoint_of(place)) as old:
        old.sendall(b"\x01\x00\x06\x00hello")
        while old.recv(1024):
            pass  # the greeting of the other side; then the end


def test_a_nodes_key_is_no_other_nodes_key(live: Any, bare_client: Any) -> None:
    bob = stolen(live, "bob")
    hello = {"type": "hello", "version": 3, "node": "alice", "process_id": 1}
    for identity in (b"alice2", b"mallory"):
        with turned_away(live, "fabric", "impostor", bare_client(live.fabric_endpoint, identity, keys=bob)) as impostor:
            impostor.send(**hello)
            answer = impostor.receive()
        assert answer["type"] == "halt"
        assert "its key is that of 'bob'" in answer["reason"]
    with bare_client(live.fabric_endpoint, b"alice", keys=bob) as impostor:  # alice herself is connected under that
        impostor.send(**hello)
        assert not impostor.socket.poll(100)
    assert set(live.running()) >= {"fabric", "node alice", "node bob"}


def test_a_second_connection_with_a_nodes_key_has_no_ear(live: Any, bare_client: Any) -> None:
    keys = keys_of(live, "node-alice", "eve")
    with bare_client(live.fabric_endpoint, b"bob", keys=stolen(live, "bob")) as second:
        second.send(type="block", wake_at=0)
        with bare_client(live.endpoint("alice"), keys=keys) as eve:
            eve.attach("eve")
            assert eve.ask("sleep", duration_ps=1000)["type"] == "done"
            eve.ask("detach")
        assert second.silent()


def test_another_user_cannot_speak_in_a_session(live: Any, bare_client: Any) -> None:
    """The identity of a socket is the peer's own claim; what counts is the key."""
    identity = b"chosen"
    with bare_client(live.endpoint("alice"), identity, keys=keys_of(live, "node-alice", "eve")) as eve:
        eve.attach("eve")
        eve.rest()
    mallory = keys_of(live, "node-alice", "mallory")
    with turned_away(
        live, "node alice", "impostor", bare_client(live.endpoint("alice"), identity, keys=mallory)
    ) as other:
        other.send(type="detach", call=9)
        assert not other.socket.poll(300)


def test_a_client_on_another_machine_is_missed_when_its_connection_is_gone(live: Any, bare_client: Any) -> None:
    """It gives no process id; its session ends with its connection, and virtual time goes on."""
    with bare_client(live.endpoint("alice"), keys=keys_of(live, "node-alice", "far")) as far:
        far.attach("far")
    events = live.testbed.run_directory / "events.jsonl"
    with bare_client(live.endpoint("bob"), keys=keys_of(live, "node-bob", "near")) as near:
        near.attach("near")
        assert near.ask("sleep", duration_ps=10**9)["type"] == "done"
        near.ask("detach")
    wait_until(lambda: b"its connection is gone" in events.read_bytes(), "the end of the session")


def test_nothing_secret_is_seen_from_outside(live: Any) -> None:
    testbed = live.testbed
    secrets = {pair.secret for pair in testbed._doors.key_ring._pairs.values()}
    secrets |= {read_credentials(path).keys.secret for path in (testbed._sockets.path / "credentials").iterdir()}
    assert len(secrets) >= 4
    for process_id in (os.getpid(), *live.running().values()):
        for seen in ("cmdline", "environ"):
            content = Path(f"/proc/{process_id}/{seen}").read_text(errors="replace")
            assert not any(secret in content for secret in secrets)
    for path in (testbed._sockets.path, *testbed._sockets.path.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    for log in (testbed.run_directory / "logs").iterdir():
        assert not any(secret in log.read_text() for secret in secrets)


def test_a_run_by_tcp_is_the_run_by_unix_sockets(world: World) -> None:
    (world.directory / "program.py").write_text(PROGRAM)
    digests = {}
    for name, sockets in {
        "ipc": "{}",
        "curve": "{transport: tcp}",
        "plain": "{transport: tcp, address: 127.0.0.2, curve: false}",
    }.items():
        (world.directory / f"{name}.yaml").write_text(SCENARIO.format(sockets=sockets))
        report = json.loads(world.qloom("run", f"{name}.yaml", "--out", name, "--json").out)
        assert report["ok"], report
        digests[name] = report["digest"]
        assert (world.directory / name).stat().st_mode & 0o777 == 0o700
    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize(
    ("sockets", "words"),
    [
        ("{transport: tcp, address: 192.0.2.1, curve: false}", "sockets.curve: expected true at 192.0.2.1"),
        ("{transport: tcp, address: 0.0.0.0}", "sockets.address: expected the address of one interface"),
        ("{transport: tcp, address: here}", "sockets.address: expected an IPv4 address"),
        ("{address: 127.0.0.2}", "sockets.address: expected transport: tcp beside it"),
    ],
)
def test_sockets_that_are_not_safe_or_not_possible(world: World, sockets: str, words: str) -> None:
    (world.directory / "bad.yaml").write_text(SCENARIO.format(sockets=sockets))
    done = world.qloom("run", "bad.yaml")
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_an_address_of_another_machine_is_one_clear_error(world: World) -> None:
    (world.directory / "program.py").write_text(PROGRAM)
    (world.directory / "far.yaml").write_text(SCENARIO.format(sockets="{transport: tcp, address: 192.0.2.1}"))
    done = world.qloom("run", "far.yaml")
    assert done.code == 3
    assert "cannot listen at 192.0.2.1" in done.err
    assert "Traceback" not in done.err


def test_a_program_from_outside_is_let_in_and_its_refused_brothers_are_in_the_report(world: World) -> None:
    (world.directory / "up.yaml").write_text(
        SCENARIO.format(sockets="{transport: tcp}").partition("applications")[0] + "time: {pace: 1}\n"
    )
    assert world.qloom("up", "up.yaml", "--detach", "--out", "up").code == 0
    try:
        world.qloom("keys", "add", "eve", "--node", "alice", "--out", "eve.json")
        assert (world.directory / "eve.json").stat().st_mode & 0o777 == 0o600
        assert "did you mean alice?" in world.qloom("keys", "add", "e", "--node", "alicf").err
        program = "from qnode.sdk import attach\nwith attach() as s: print(s.node, s.sleep(0.001))"
        outside = {**world.environment, "QLOOM_CREDENTIALS": "eve.json"}
        run = {"cwd": world.directory, "capture_output": True, "text": True, "timeout": 60, "check": False}
        done = subprocess.run([sys.executable, "-c", program], env=outside, **run)
        assert (done.returncode, done.stdout) == (0, "alice None\n"), done.stderr
        assert world.qloom("exec", "bob", "--", "python", "-c", program).out == "bob None\n"
        stranger = json.loads((world.directory / "eve.json").read_bytes())
        public, secret = (key.decode() for key in zmq.curve_keypair())
        stranger["keys"] = {"public": public, "secret": secret}
        (world.directory / "eve.json").write_text(json.dumps(stranger))
        done = subprocess.run([sys.executable, "-c", program], env=outside, **run)
        assert done.returncode == 1
        assert "does not know this key; `qloom keys add` makes one for it" in done.stderr
        os.chmod(world.directory / "eve.json", 0o644)
        done = subprocess.run([sys.executable, "-c", program], env=outside, **run)
        assert "can be read by others" in done.stderr
    finally:
        world.qloom("down", "--all")
    report = json.loads((world.directory / "up" / "report.json").read_bytes())
    assert report["refused"] == {"node-alice": {"unknown_key": 1}}


@pytest.mark.slow
def test_a_killed_fabric_is_found_again_by_tcp(world: World) -> None:
    """Its ports stay open while it is away; nodes and supervisor find another fabric with the same key behind them."""
    source = PROGRAM.replace("range(20)", "range(300)")
    programs = {name: (node, source.replace("sys.argv[1]", repr(remote))) for name, node, remote in PAIR}
    scenario = world.scenario(programs, sockets={"transport": "tcp"})
    undisturbed = run_with_kills(world, scenario, out="calm")
    disturbed = run_with_kills(world, scenario, [undisturbed.journal_bytes // 2], out="killed")
    assert disturbed.kills == len(disturbed.report["recoveries"]) == 1
    assert disturbed.report["digest"] == undisturbed.report["digest"]


PAIR = (("left", "alice", "bob"), ("right", "bob", "alice"))
