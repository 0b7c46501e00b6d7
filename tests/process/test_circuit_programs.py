"""Virtual circuits between real processes, through the SDK: opened, used, refused, re-routed, and the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program import World

NODE = {"profile": "ideal", "communication": {"slots": 6}, "storage": {"slots": 2}}
HEAD = """\
from qnode.sdk import CircuitClosed, attach

with attach() as session:
    with session.open_circuit("carol", min_fidelity=0.7, rate_bpps=10.0, timeout_s=20.0) as circuit:
        bits = bytes(session.measure(pair, axis="XZ"[n % 2]) for n, pair in enumerate(circuit.pairs(20)))
        session.send("carol", bits)
        for _ in range(3):
            qubit = session.prepare()
            session.x(qubit)
            circuit.teleport(qubit)
        session.receive("carol", tag="done")
    try:
        circuit.next_pair()
    except CircuitClosed:
        closed = 1
    circuit.close()
    session.report(closed=closed, nodes=len(circuit.path), fidelity=circuit.opened.expected_fidelity)
"""
TAIL = """\
import asyncio
from qnode.sdk import CircuitClosed, aio

async def main():
    async with aio.AsyncSession() as session:
        async with await session.accept_circuit(timeout_s=30.0) as circuit:
            bits = bytes([await session.measure(pair, axis="XZ"[n % 2])
                          async for n, pair in numbered(circuit.pairs(20))])
            theirs = await session.receive("alice")
            ones = 0
            for _ in range(3):
                ones += await session.measure(await circuit.receive_qubit())
            await session.send("alice", b"", tag="done")
            events = []
            while not events or events[-1] != "closed":
                events.append((await circuit.next_event(timeout_s=20.0)).kind)
            try:
                while True:
                    await circuit.next_pair(timeout_s=20.0)
            except CircuitClosed:
                pass
        await session.report(same=sum(a == b for a, b in zip(bits, theirs)), ones=ones, events=len(events))

async def numbered(pairs):
    number = 0
    async for pair in pairs:
        yield number, pair
        number += 1

aio.run(main())
"""
PERFECT = {"scheme": "source", "success_probability": 0.2, "fidelity": 1.0}


def chain(names: str, *, fidelity: float = 1.0) -> dict[str, Any]:
    """Links between nodes in a row."""
    return {
        f"{left}-{right}": {"ends": [left, right], "length_km": 10, "heralding": {**PERFECT, "fidelity": fidelity}}
        for left, right in zip(names.split(), names.split()[1:], strict=False)
    }


def run(world: World, path: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run it; at the end nothing may be left of it."""
    report = world.run(path, *arguments, code=code)
    world.wait_until_clean()
    return report


def log(world: World, directory: str) -> list[dict[str, Any]]:
    """The event log's lines."""
    return [json.loads(line) for line in (world.directory / directory / "events.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_circuit_over_a_router_gives_pairs_and_qubits_in_both_flavours(world: World) -> None:
    programs = {"head": ("alice", HEAD), "tail": ("carol", TAIL)}
    path = world.scenario(
        programs, nodes=dict.fromkeys(("alice", "bob", "carol"), NODE), network={}, links=chain("alice bob carol")
    )
    report = run(world, path, "--out", "out")
    assert report["ok"], report["expectations"]
    assert report["results"]["head"] == {"closed": 1, "nodes": 3, "fidelity": pytest.approx(1.0)}
    assert report["results"]["tail"] == {"same": 20, "ones": 3, "events": 1}
    lines = log(world, "out")
    ends = [(line["end"], line["number"]) for line in lines if line["kind"] == "circuit_pair_delivered"]
    heads = [number for end, number in ends if end == "head"]
    assert heads == list(range(len(heads)))
    assert {number for end, number in ends if end == "tail"} >= set(heads)
    digests = {report["digest"]}
    for shake in ("0.001", "0.004"):
        digests.add(run(world, path, "--shake", shake)["digest"])
    assert len(digests) == 1, "whatever the scheduler does, the same seed gives the same events"


REFUSED = """\
import time
from qnode.sdk import BadRequest, CircuitClosed, Denied, NoCapacity, NoRoute, NotYours, TimedOut, Unsupported, attach

def refusal(*errors, **asked):
    remote = asked.pop("remote", "carol")
    try:
        session.open_circuit(remote, **{"timeout_s": 5.0, **asked})
    except errors as refused:
        return str(refused)
    raise AssertionError(asked)

with attach() as session:
    session.sleep(0.3)
    for text in (
        refusal(NoRoute, remote="dave"),
        refusal(BadRequest, remote="alice"),
        refusal(NoRoute, min_fidelity=1.0),
        refusal(NoCapacity, min_fidelity=0.99),
        refusal(BadRequest, min_fidelity=1.5),
        refusal(BadRequest, rate_bpps=0.0),
        refusal(BadRequest, rate_bpps=-1.0),
        refusal(NoCapacity, rate_bpps=1e9),
        refusal(BadRequest, slots=0),
        refusal(BadRequest, axes="X"),
        refusal(Unsupported, kind="R"),
        refusal(TimedOut, purpose="nobody accepts this", timeout_s=1.0),
    ):
        session.send("bob", text.encode(), tag="refused")
    circuit = session.open_circuit("carol", timeout_s=5.0)
    circuit.close()
    circuit.close()
    for wrong, error in (
        (lambda: circuit.next_pair(), CircuitClosed),
        (lambda: session.next_circuit_pair("alice:99"), BadRequest),
        (lambda: session.accept_circuit(timeout_s=0.1), TimedOut),
    ):
        try:
            wrong()
        except error as refused:
            session.send("bob", str(refused).encode(), tag="refused")
    session.sleep(0.5)
    session.send("bob", b"", tag="refused")
    session.send("carol", b"", tag="over")
"""
LISTENER = """\
from qnode.sdk import attach

with attach() as session:
    circuit = session.accept_circuit(timeout_s=60.0)
    session.receive("alice", tag="over", timeout_s=60.0)
"""
COLLECTOR = """\
from pathlib import Path
from qnode.sdk import attach

with attach() as session:
    lines = []
    while text := session.receive("alice", tag="refused", timeout_s=60.0):
        lines.append(text.decode())
    Path("refusals.txt").write_text("\\n".join(lines))
"""


@pytest.mark.slow
def test_bad_requests_are_refused_with_the_reason_and_nothing_stays_reserved(world: World) -> None:
    programs = {"asks": ("alice", REFUSED), "collects": ("bob", COLLECTOR), "listens": ("carol", LISTENER)}
    path = world.scenario(
        programs,
        nodes=dict.fromkeys(("alice", "bob", "carol"), NODE),
        network={},
        links=chain("alice bob carol", fidelity=0.95),
    )
    report = run(world, path, "--out", "out")
    assert report["ok"], report["expectations"]
    refusals = (world.directory / "refusals.txt").read_text().splitlines()
    for line, words in zip(
        refusals,
        (
            "no node 'dave'",
            "this node itself",
            "",
            "of one sort are needed",
            "minimum_fidelity is 1.5",
            "rate_bpps is 0",
            "rate_bpps is -1",
            "",
            "slots is 0",
            "give no axes",
            "kind K or M",
            "the other end has not accepted it",
            "closed by its application",
            "no circuit 'alice:99'",
            "no circuit came in time",
        ),
        strict=True,
    ):
        assert words in line, (words, line)
    installed = [line["node"] for line in log(world, "out") if line["kind"] == "rules_installed"]
    assert sorted(installed) == ["alice", "bob", "carol"], "of the only circuit that was opened"


WITHOUT = """\
from qnode.sdk import Unsupported, attach

with attach() as session:
    refused = 0
    for ask in (lambda: session.open_circuit("bob"), lambda: session.accept_circuit()):
        try:
            ask()
        except Unsupported as error:
            refused += "network" in str(error)
    session.report(refused=refused)
"""
NOT_MINE = """\
from qnode.sdk import NotYours, attach

with attach() as session:
    name = session.receive("alice", tag="name").decode()
    refused = 0
    for ask in (session.next_circuit_pair, session.next_circuit_event, session.close_circuit):
        try:
            ask(name)
        except NotYours:
            refused += 1
    session.report(refused=refused)
    session.send("alice/owner", b"", tag="tried")
"""
OWNER = """\
from qnode.sdk import attach

with attach() as session:
    circuit = session.open_circuit("bob", timeout_s=5.0)
    session.send("alice/thief", circuit.name.encode(), tag="name")
    session.receive("alice", tag="tried")
    session.measure(circuit.next_pair())
    session.report(used=1)
"""
PARTNER = """\
from qnode.sdk import CircuitClosed, attach

with attach() as session:
    circuit = session.accept_circuit(timeout_s=60.0)
    try:
        for pair in circuit.pairs(100000):
            session.discard(pair)
    except CircuitClosed:
        pass
"""


@pytest.mark.slow
def test_without_a_control_plane_there_are_no_circuits(world: World) -> None:
    report = run(world, world.scenario({"one": ("alice", WITHOUT)}))
    assert report["results"]["one"] == {"refused": 2}


@pytest.mark.slow
def test_a_circuit_is_its_applications_own(world: World) -> None:
    programs = {"owner": ("alice", OWNER), "thief": ("alice", NOT_MINE), "partner": ("bob", PARTNER)}
    path = world.scenario(programs, nodes=dict.fromkeys(("alice", "bob"), NODE), network={}, links=chain("alice bob"))
    report = run(world, path)
    assert report["ok"], report["expectations"]
    assert report["results"] == {"owner": {"used": 1}, "thief": {"refused": 3}}


LASTING = """\
import sys
from qnode.sdk import attach

with attach() as session:
    circuit = session.open_circuit("c", rate_bpps=5.0, timeout_s=20.0)
    first, same = circuit.path[1], 0
    bits = []
    while session.now_s < 4.0:
        bits.append(session.measure(circuit.next_pair(timeout_s=8.0)))
        session.sleep(0.05)
    kinds = [circuit.next_event(timeout_s=1.0) for _ in range(2)]
    session.send("c", bytes(bits))
    session.report(
        down=int(kinds[0].kind == "down"),
        rerouted=int(kinds[1].kind == "rerouted"),
        moved=int(kinds[1].path[1] != first),
    )
    session.receive("c", tag="done")
"""
FOLLOWING = """\
from qnode.sdk import TimedOut, attach

with attach() as session:
    circuit = session.accept_circuit(timeout_s=20.0)
    mine = []
    try:
        while True:
            mine.append(session.measure(circuit.next_pair(timeout_s=2.0)))
    except TimedOut:
        theirs = list(session.receive("a"))
    session.report(same=int(theirs == mine[: len(theirs)]), number=len(theirs))
    session.send("a", b"", tag="done")
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["link_down", "node_kill"])
def test_on_a_ring_a_circuit_goes_the_other_way_round(world: World, fault: str) -> None:
    links = {**chain("a b c d"), "d-a": {"ends": ["d", "a"], "length_km": 11, "heralding": PERFECT}}
    broken = {"link": "b-c"} if fault == "link_down" else {"node": "b"}
    path = world.scenario(
        {"head": ("a", LASTING), "tail": ("c", FOLLOWING)},
        nodes=dict.fromkeys("abcd", NODE),
        network={},
        links=links,
        faults=[{"kind": fault, "at_s": 1.5, **broken}],
    )
    report = run(world, path, "--out", "out")
    assert report["ok"], report["expectations"]
    assert report["results"]["head"] == {"down": 1, "rerouted": 1, "moved": 1}
    assert report["results"]["tail"]["same"] == 1
    assert report["results"]["tail"]["number"] > 10
    restored = [line for line in log(world, "out") if line["kind"] == "circuit_restored"]
    assert [each["path"] for each in restored] == [["a", "d", "c"]]
