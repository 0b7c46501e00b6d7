"""Sweeps and shrinking by the real `qloom`: what they print can be pasted, and however they end nothing is left."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from program import COMMAND_DEADLINE_S, World, wait_until

PLANTED = """\
import os
from qnode.sdk import attach

with attach() as session:
    bits = [session.measure(session.prepare()) for _ in range(3)]
    session.report(ones=sum(bits))
    session.report_key("bob", bits if os.environ["QLOOM_SEED"] != "2" else [1, 1, 1])
"""
SOUND = """\
from qnode.sdk import attach

with attach() as session:
    session.sleep(0.001)
    session.report_key("alice", [0, 0, 0])
"""
IMPATIENT = """\
from qnode.sdk import attach

with attach() as session:
    for _ in range(4):
        session.sleep(1.0)
        session.measure(session.request_pair("{}", timeout_s=0.5).qubit)
"""
PATIENT = "from qnode.sdk import attach\nwith attach() as session:\n    session.sleep(1e6)\n"


def pasted(world: World, command: str) -> subprocess.CompletedProcess[str]:
    """What a shell does with a printed command."""
    program, *arguments = shlex.split(command)
    assert Path(program).name == "qloom"
    line = shlex.join([sys.executable, "-m", "orchestrator", *arguments])
    return subprocess.run(
        line, shell=True, cwd=world.directory, env=world.environment, capture_output=True, text=True,
        timeout=COMMAND_DEADLINE_S, check=False,
    )  # fmt: skip


def planted(world: World) -> Path:
    return world.scenario({"one": ("alice", PLANTED), "two": ("bob", SOUND)}, check={})


@pytest.mark.slow
def test_a_failing_seed_is_told_with_the_command_that_fails_in_the_same_way(world: World) -> None:
    scenario = planted(world)
    elsewhere = scenario.rename(world.directory / "my net.json")
    ended = world.qloom("run", elsewhere.name, "--seeds", "1..2", "--jobs", "2")
    assert ended.code == 1, ended
    told = "equal_keys: at 0.001 s (events.jsonl line 10): expected key 0 of alice and bob to be the same at both ends"
    assert "seed 2 FAILED  equal_keys: at 0.001" in ended.err, ended
    assert "1 of 2 runs passed, 1 failed" in ended.out
    [command] = [line.strip() for line in ended.out.splitlines() if line.startswith("  qloom ")]
    assert command == "qloom run 'my net.json' --seed 2"
    [sweep] = (world.directory / "qloom-runs").iterdir()
    assert [path.name for path in sweep.iterdir()] == ["seed-2"], "only what failed is kept"
    again = pasted(world, command)
    assert again.returncode == 1, again
    assert told.partition("(")[0] in " ".join(again.stdout.split())
    assert "BROKEN  equal_keys" in again.stdout


@pytest.mark.slow
def test_every_seed_twice_and_one_object_for_programs(world: World) -> None:
    scenario = planted(world)
    ended = world.qloom("run", scenario, "--seeds", "5", "--repeat", "--json", "--keep", "none")
    assert ended.code == 0, ended
    report = ended.report
    assert (report["summary"]["passed"], report["summary"]["failed"]) == (1, {})
    [trial] = report["trials"]
    assert trial["seed"] == 5
    assert trial["digest"] == world.run(scenario, "--seed", "5", "--out", "alone")["digest"]
    assert trial["run_directory"] == ""
    assert not (world.directory / "qloom-runs").exists()


@pytest.mark.slow
def test_six_faults_are_shrunk_to_the_one_that_matters(world: World) -> None:
    programs = {"one": ("alice", IMPATIENT.format("bob")), "two": ("bob", IMPATIENT.format("alice"))}
    harmless: list[dict[str, Any]] = [
        {"kind": "link_down", "at_s": 0.25 + n, "for_s": 0.001, "link": "bob-c"} for n in range(5)
    ]
    faults = [{"kind": "link_down", "at_s": 2, "link": "alice-bob", "name": "digger"}, *harmless]
    scenario = world.scenario(programs, nodes=("alice", "bob", "c"), faults=faults, check={})
    ended = world.qloom("run", scenario, "--seed", "4", "--shrink", "--json", "--keep", "none", "--jobs", "1")
    assert ended.code == 1, ended
    shrunk = ended.report["shrunk"]
    assert (shrunk["kind"], shrunk["faults_before"], shrunk["minimal"]) == ("processes", 6, True)
    assert shrunk["faults"] == ["digger: link_down of alice-bob at 2 s"]
    written = Path(shrunk["scenario"])
    assert written.parent == world.directory, "beside the scenario, so that its programs are found"
    again = pasted(world, shrunk["command"])
    assert again.returncode == 1
    assert "BROKEN  processes" in again.stdout


def endless(world: World, *options: str) -> subprocess.Popen[str]:
    """A sweep whose runs do not end."""
    scenario = world.scenario({"one": ("alice", PATIENT)}, time={"pace": 0.001})
    return world.start("run", scenario, "--seeds", "0..9", "--json", *options)


def running(world: World) -> int:
    """How many runs have a node."""
    return len([each for each in world.processes().values() if "node alice" in each])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_leaves_nothing(world: World, number: signal.Signals) -> None:
    process = endless(world, "--jobs", "2")
    wait_until(lambda: running(world) == 2, "two runs")
    process.send_signal(number)
    ended = world.ended(process)
    if number is signal.SIGINT:
        assert ended.code == 3
        assert json.loads(ended.out)["error"] == "ended by SIGINT"
    world.wait_until_clean(deadline_s=20.0)


@pytest.mark.slow
def test_a_run_that_does_not_end_is_ended_and_has_failed(world: World) -> None:
    ended = world.ended(endless(world, "--timeout", "10", "--until-failure", "--jobs", "1"))
    assert ended.code == 1, ended
    [trial] = ended.report["trials"]
    assert [failure["kind"] for failure in trial["failures"]] == ["timeout"], trial
    assert (Path(trial["run_directory"]) / "events.jsonl").exists(), "what it did is there to be read"
    world.wait_until_clean()


@pytest.mark.slow
def test_a_sweep_whose_agent_dies_says_so_and_leaves_nothing(world: World) -> None:
    process = endless(world, "--jobs", "1", "--out", "out")
    wait_until(lambda: running(world) == 1, "a run")
    agents = {number: each for number, each in world.processes().items() if "qloom: agent" in each}
    [of_sweep] = [
        number
        for number in agents
        if str(number) in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    os.kill(of_sweep, signal.SIGKILL)
    ended = world.ended(process)
    assert ended.code == 3, ended
    assert f"the agent that starts the runs is gone; its log: {world.directory / 'out' / 'agent.log'}" in ended.err
    world.wait_until_clean()


@pytest.mark.slow
def test_the_testbeds_of_a_sweep_are_born_in_its_nursery(world: World) -> None:
    process = endless(world, "--jobs", "1")
    wait_until(lambda: running(world) == 1, "a run")
    nursery = world.process("qloom: nursery")
    children = Path(f"/proc/{nursery}/task/{nursery}/children").read_text().split()
    assert [world.processes()[int(child)] for child in children] == ["qloom: agent"]
    assert nursery is not None
    os.kill(nursery, signal.SIGKILL)  # what was born lives on
    process.send_signal(signal.SIGINT)
    ended = world.ended(process)
    assert json.loads(ended.out)["error"] == "ended by SIGINT"
    world.wait_until_clean()
