"""The same seed gives the same events: at every pace, on one core or two, whatever the scheduler does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import World

HESITATING = "import random, time\ntime.sleep(random.uniform(0, 0.1))\n"  # wall time, and another one in every run
ALICE = """\
from qnode.sdk import attach

with attach() as session:
    bits = bytes(session.measure(pair, axis="ZX"[n % 2]) for n, pair in enumerate(session.request_pairs("rita", 12)))
    session.send("rita/rita_keeps", bits, tag="bits")
    for _ in range(4):
        qubit = session.prepare()
        session.h(qubit)
        session.teleport(qubit, session.request_pair("rita"))
    session.report(ones=sum(bits))
"""
ALICE_AT_ONCE = """\
import asyncio
from qnode.sdk import aio

async def talk(session):
    for number in range(6):
        await session.send("carol", bytes([number]), tag="count")
        await session.sleep(0.0003)

async def main():
    async with aio.AsyncSession() as session:
        _, bits, answer = await asyncio.gather(
            talk(session), session.measure_pairs("rita", 10, purpose="m"), session.receive("carol", tag="sum")
        )
        await session.report(ones=sum(bits), answer=answer[0])

aio.run(main())
"""
RITA_KEEPS = """\
from qnode.sdk import attach

with attach() as session:
    bits = [session.measure(pair, axis="ZX"[n % 2]) for n, pair in enumerate(session.request_pairs("alice", 12))]
    theirs = session.receive("alice", tag="bits")
    read = [
        session.measure(session.receive_teleported(session.request_pair("alice")), axis="X") for _ in range(4)
    ]
    session.report(agreement=sum(a == b for a, b in zip(bits, theirs)) / 12, minus=sum(read))
"""
RITA_AT_ONCE = """\
import asyncio
from qnode.sdk import aio

async def main():
    async with aio.AsyncSession() as session:
        ones = 0
        async with asyncio.TaskGroup() as tasks:
            measured = tasks.create_task(session.measure_pairs("alice", 10, purpose="m"))
            prepared = [tasks.create_task(session.prepare_remotely("bob", "Y")) for _ in range(3)]
        await session.report(ones=sum(measured.result()), prepared=sum(each.result() for each in prepared))

aio.run(main())
"""
BOB = """\
from qnode.sdk import PairDiscarded, TimedOut, attach

with attach() as session:
    read = [session.measure(session.receive_prepared("rita"), axis="Y") for _ in range(3)]
    discarded = 0
    for pair in session.request_pairs("carol", 4, purpose="kept"):
        session.move(pair, "storage")
        session.sleep(0.0012)
        try:
            session.measure(pair)
        except PairDiscarded:
            discarded += 1
    session.report(read=sum(read), discarded=discarded)
"""
CAROL = """\
from qnode.sdk import PairDiscarded, attach

with attach() as session:
    counted = sum(session.receive("alice", tag="count")[0] for _ in range(6))
    session.send("alice", bytes([counted]), tag="sum")
    discarded = 0
    for pair in session.request_pairs("bob", 4, purpose="kept"):
        session.sleep(0.0002)
        try:
            session.measure(pair)
        except PairDiscarded:
            discarded += 1
    session.report(discarded=discarded)
"""
PROGRAMS = {
    "alice_keeps": ("alice", ALICE),
    "alice_at_once": ("alice", ALICE_AT_ONCE),
    "rita_keeps": ("rita", RITA_KEEPS),
    "rita_at_once": ("rita", RITA_AT_ONCE),
    "bob": ("bob", BOB),
    "carol": ("carol", CAROL),
}
DURATIONS = {  # none is zero, so that the nodes work through windows of many instants
    "profile": "ideal",
    "initialise_duration_s": 2e-5,
    "single_qubit_gate_duration_s": 2e-5,
    "two_qubit_gate_duration_s": 3e-5,
    "measure_duration_s": 4e-5,
    "move_duration_s": 5e-5,
}
NOISY = {**DURATIONS, "communication": {"slots": 4, "t2_s": 0.01}, "readout_error_0": 0.02}
NODES = {
    "alice": NOISY,
    "rita": NOISY,
    "bob": {**DURATIONS, "storage": {"slots": 2, "t1_s": 0.01, "cutoff_s": 0.001}},
    "carol": DURATIONS,
}


def busy(world: World) -> Path:
    programs = {name: (node, HESITATING + program) for name, (node, program) in PROGRAMS.items()}
    return world.scenario(programs, nodes=NODES, name="busy")


@pytest.fixture(scope="module")
def digest(shared_world: World) -> str:
    """Of the run that all others are held against; its own report says that everything in it happened."""
    report = shared_world.run(busy(shared_world), "--out", "first")
    assert report["ok"]
    assert report["deterministic"]
    results = report["results"]
    assert results["alice_at_once"]["answer"] == 15
    assert results["rita_keeps"]["agreement"] > 0.5
    assert results["bob"]["discarded"] > 0  # of the cutoff, so that its timers are part of what is compared
    assert {link["pairs"] > 0 for link in report["links"].values()} == {True}
    lines = (shared_world.directory / "first" / "events.jsonl").read_text().splitlines()
    times = [json.loads(line)["t_ps"] for line in lines]
    assert times == sorted(times)
    return str(report["digest"])


@contextmanager
def burning() -> Iterator[None]:
    """Every core busy with something else."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_events_and_another_seed_others(shared_world: World, digest: str) -> None:
    scenario = busy(shared_world)
    same = shared_world.start("run", scenario, "--json", "--out", "same")
    other = shared_world.start("run", scenario, "--json", "--out", "other", "--seed", "2")
    assert shared_world.ended(same).report["digest"] == digest
    assert shared_world.ended(other).report["digest"] != digest


@pytest.mark.slow
def test_at_a_pace(shared_world: World, digest: str) -> None:
    report = shared_world.run(busy(shared_world), "--pace", "0.02")
    assert report["pace"] == 0.02
    assert report["lateness"]["grants"] > 0
    assert report["deterministic"]
    assert report["digest"] == digest


@pytest.mark.slow
def test_on_one_core(shared_world: World, digest: str) -> None:
    core = min(os.sched_getaffinity(0))
    report = shared_world.run(busy(shared_world), preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    assert report["digest"] == digest


@pytest.mark.slow
def test_with_shaken_nodes_on_busy_cores(shared_world: World, digest: str) -> None:
    with burning():
        report = shared_world.run(busy(shared_world), "--shake", "0.002")
    assert report["digest"] == digest
