"""A paced run takes the wall time that its pace says, does what it does at pace max, and lets outsiders in."""

from __future__ import annotations

import json

import pytest
from program import World

STEPS = """\
from qnode.sdk import attach
with attach() as session:
    bits = []
    for _ in range(20):
        bits.append(session.measure(session.request_pair({peer!r})))
        session.sleep(0.002)
    session.sleep(0.060 - session.now_s)
    session.report(ones=sum(bits))
"""
PROGRAMS = {"one": ("alice", STEPS.format(peer="bob")), "two": ("bob", STEPS.format(peer="alice"))}
VIRTUAL_S, PACE = 0.06, 0.04

FLOWING = """\
import select, time
from qnode.sdk import attach
with attach(holds_time=False) as session:
    session.sleep(0.0001)  # the wall clock starts with virtual time, once every program is there
    before = session.now_s
    time.sleep(0.4)
    session.send("bob", b"hello", tag="late")
    session.report(waited_s=session.prepare() and session.now_s - before)
"""
WAITING = """\
from qnode.sdk import attach
with attach() as session:
    session.receive("alice", tag="late", timeout_s=1.0)
"""


@pytest.mark.slow
def test_a_paced_run_takes_the_time_that_its_pace_says(world: World) -> None:
    scenario = world.scenario(PROGRAMS)
    at_max = world.run(scenario)
    paced = world.run(scenario, "--pace", str(PACE), "--out", "out")
    assert paced["virtual_s"] == at_max["virtual_s"] == VIRTUAL_S
    expected_s = VIRTUAL_S / PACE
    assert expected_s <= paced["wall_s"] < 3 * expected_s
    assert paced["digest"] == at_max["digest"]
    late = paced["lateness"]
    assert sum(late["histogram"].values()) == late["grants"] > 60
    assert 0 <= late["p50_s"] <= late["p99_s"] <= late["max_s"] < 5
    assert at_max["lateness"]["grants"] == 0
    manifest = json.loads((world.directory / "out" / "manifest.json").read_text())
    assert manifest["deterministic"] is True
    assert manifest["pace"] == PACE


@pytest.mark.slow
def test_a_strict_run_fails_at_an_impossible_pace(world: World) -> None:
    ended = world.qloom("run", world.scenario(PROGRAMS, time={"pace": 1000.0, "strict": True}))
    assert ended.code == 3, ended
    assert "qloom: strict: the work of virtual time " in ended.err
    assert "late, at most 0.01 s is allowed; lower the pace or raise time.strict_tolerance_s" in ended.err


@pytest.mark.slow
def test_a_program_may_let_time_flow_in_a_paced_run_which_is_then_not_deterministic(world: World) -> None:
    scenario = world.scenario({"one": ("alice", FLOWING), "two": ("bob", WAITING)}, time={"pace": 0.1})
    report = world.run(scenario, "--out", "out")
    assert report["applications"] == {"one": "exit code 0", "two": "exit code 0"}
    # a window is granted at its start, so an answer may show a time that is up to one lookahead (10 km) ahead
    assert 0.04 - 4.9e-5 <= report["results"]["one"]["waited_s"] < 0.5
    assert report["deterministic"] is False
    assert any("application one sent" in each for each in report["from_outside"])
    assert json.loads((world.directory / "out" / "manifest.json").read_text())["deterministic"] is False


@pytest.mark.slow
def test_nothing_is_left_to_happen_is_no_deadlock_while_time_flows(world: World) -> None:
    patient = WAITING.replace(", timeout_s=1.0", "")
    scenario = world.scenario({"one": ("alice", FLOWING), "two": ("bob", patient)}, time={"pace": 0.1})
    assert world.run(scenario)["ok"]


@pytest.mark.slow
def test_at_pace_max_a_program_that_lets_time_flow_is_refused_with_the_reason(world: World) -> None:
    ended = world.qloom("run", world.scenario({"one": ("alice", FLOWING)}), "--out", "out")
    assert ended.code == 1, ended
    log = (world.directory / "out" / "logs" / "application-one.log").read_text()
    assert "at pace max nothing but the applications holds virtual time back: attach with holds_time" in log


@pytest.mark.slow
def test_a_paced_network_goes_on_without_a_node_that_stalls(world: World) -> None:
    stuck = "import time\nfrom qnode.sdk import attach\nsession = attach()\nsession.prepare()\ntime.sleep(60)\n"
    late = "from qnode.sdk import attach\nwith attach() as session:\n    session.sleep(0.2)\n    print('on time')\n"
    scenario = world.scenario(
        {"one": ("alice", stuck), "two": ("bob", late)}, time={"pace": 0.1, "stall_after_s": 4.0}, stop={"at_s": 0.3}
    )
    report = world.run(scenario, "--out", "out", code=1)
    assert report["applications"] == {"one": "killed by SIGTERM", "two": "exit code 0"}
    assert report["virtual_s"] == 0.2
    assert report["deterministic"] is False
    assert any(each.startswith("alice: declared failed") for each in report["from_outside"])
    assert "application one to make its next call" in report["from_outside"][0]
