"""Faults of the scenario in real runs: at their instant, the same in every run, and no failure of the testbed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from program import World

SURVIVOR = """\
from qnode.sdk import attach

with attach() as session:
    times = []
    for _ in range(4):
        session.sleep(1.0)
        pair = session.request_pair("b", timeout_s=100.0)
        session.measure(pair.qubit)
        times.append(session.now_s)
    session.report(first_s=times[0], second_s=times[1])
"""
PARTNER = """\
from qnode.sdk import attach

with attach() as session:
    for _ in range(4):
        session.sleep(1.0)
        pair = session.request_pair("a", timeout_s=100.0)
        session.measure(pair.qubit)
"""
DOOMED = """\
from qnode.sdk import attach

with attach() as session:
    session.sleep(1000.0)
    session.report(survived=1)
"""


def scenario(world: World, **sections: Any) -> Any:
    programs = {"one": ("a", SURVIVOR), "two": ("b", PARTNER), "three": ("c", DOOMED)}
    faults = [
        {"kind": "link_down", "at_s": 1.5, "for_s": 10.0, "link": "a-b", "name": "digger"},
        {"kind": "node_kill", "at_s": 2.0, "node": "c"},
    ]
    return world.scenario(programs, nodes=("a", "b", "c"), faults=faults, **sections)


@pytest.mark.slow
def test_a_run_goes_on_without_what_its_faults_took(world: World) -> None:
    path = scenario(world)
    report = world.run(path, "--out", "out")
    assert report["ok"], report["expectations"]
    assert report["results"]["one"]["first_s"] < 1.5
    assert 11.5 < report["results"]["one"]["second_s"] < 11.6
    assert "three" not in report["results"]
    (doomed,) = [each["line"] for each in report["expectations"] if each["name"].startswith("three")]
    assert doomed == "application three: ended by the fault 'node_kill c'"
    killed = {each["name"]: each["status"] for each in report["processes"] if "fault" in each["status"]}
    assert killed == dict.fromkeys(["node c", "application three"], "killed by SIGKILL, by the fault 'node_kill c'")
    log = [json.loads(line) for line in (world.directory / "out" / "events.jsonl").read_text().splitlines()]
    assert [(line["t_ps"], line["name"]) for line in log if line["kind"] in ("fault", "healed")] == [
        (15 * 10**11, "digger"),
        (2 * 10**12, "node_kill c"),
        (115 * 10**11, "digger"),
    ]
    again = world.run(path, "--out", "again")
    assert again["digest"] == report["digest"]
    assert report["deterministic"]
    world.wait_until_clean()


@pytest.mark.slow
def test_a_node_with_a_control_plane_starts_with_what_the_agent_has_imported(world: World) -> None:
    report = world.run(world.scenario({}, nodes=("a", "b", "c"), network={}, stop={"at_s": 2.0}), "--out", "out")
    assert report["ok"]
    assert report["virtual_s"] == 2.0


@pytest.mark.slow
def test_hellos_do_not_hide_a_deadlock(world: World) -> None:
    waits = "from qnode.sdk import attach\nwith attach() as session:\n    session.receive('b', tag='never')\n"
    path = world.scenario({"one": ("a", waits)}, nodes=("a", "b"), network={"idle_after_s": 2.0})
    ended = world.qloom("run", path, "--out", "out")
    assert ended.code == 3
    assert "nothing is left to happen except the network's own upkeep" in ended.err
    assert "one waits for" in ended.err


REOPENING = """\
from qnode.sdk import RequestFailed, attach

got = []
with attach() as session:
    while session.now_s < 4.0:
        try:
            circuit = session.open_circuit("c", timeout_s=1.0) if session.node == "a" else session.accept_circuit(timeout_s=1.0)
            while session.now_s < 4.0:
                pair = circuit.next_pair(timeout_s=0.25)
                session.measure(pair.qubit)
                got.append(session.now_s)
                session.sleep(0.02)
        except RequestFailed:
            session.sleep(0.01)
    session.report(before=sum(at < 1.0 for at in got), away=sum(1.1 < at < 1.5 for at in got), after=sum(at > 1.5 for at in got))
"""
SERVING = """\
import os
from qnode.sdk import attach

with attach() as session:
    session.report(**{f"up_at_{os.environ['QLOOM_APPLICATION']}_s": session.now_s})
    session.sleep(3.0)
"""


@pytest.mark.slow
def test_real_nodes_are_paused_stopped_and_started_again_and_serve_again(world: World) -> None:
    programs = {"head": ("a", REOPENING), "tail": ("c", REOPENING), "service": ("b", SERVING)}
    faults = [
        {"kind": "node_restart", "at_s": 1.0, "for_s": 0.5, "node": "b", "restart_applications": True},
        {"kind": "node_pause", "at_s": 2.5, "for_s": 0.2, "node": "b"},
        {"kind": "node_stop", "at_s": 3.0, "for_s": 0.01, "node": "b"},
        {"kind": "clock_offset", "at_s": 0.5, "node": "c", "offset_s": 0.001},
        {"kind": "fabric_pause", "at_s": 2.0, "wall_s": 0.3},
    ]
    path = world.scenario(programs, nodes=("a", "b", "c"), network={"hello_interval_s": 0.05}, faults=faults)
    report = world.run(path, "--out", "out")
    assert report["ok"], report["expectations"]
    for end in ("head", "tail"):
        counts = report["results"][end]
        assert counts["before"] > 10
        assert counts["away"] == 0
        assert counts["after"] > 10
    assert report["results"]["service"]["up_at_service_s"] == 1.5
    status = {each["name"]: each["status"] for each in report["processes"]}
    assert status["node b"] == "exit code 0"
    log = [json.loads(line) for line in (world.directory / "out" / "events.jsonl").read_text().splitlines()]
    struck = [(line["t_ps"], line["kind"], line["fault"]) for line in log if line["kind"] in ("fault", "healed")]
    assert struck == [
        (5 * 10**11, "fault", "clock_offset"),
        (10**12, "fault", "node_restart"),
        (15 * 10**11, "healed", "node_restart"),
        (2 * 10**12, "fault", "fabric_pause"),
        (25 * 10**11, "fault", "node_pause"),
        (27 * 10**11, "healed", "node_pause"),
        (3 * 10**12, "fault", "node_stop"),
        (301 * 10**10, "healed", "node_stop"),
    ]
    again = world.run(path, "--out", "again")
    assert again["digest"] == report["digest"]
    world.wait_until_clean()


TALKER = """\
from qnode.sdk import attach

with attach() as session:
    for number in range(40):
        session.send("b", b"%d" % number, tag=str(number))
        session.sleep(0.01)
"""
LISTENER = """\
from qnode.sdk import attach
from qnode.sdk.errors import QloomError

heard = forged = 0
with attach() as session:
    for number in range(40):
        try:
            payload = session.receive("a", tag=str(number), timeout_s=0.1)
        except QloomError:
            continue
        heard += 1
        forged += payload == b"forged"
    session.report(heard=heard, forged=forged)
"""


@pytest.mark.slow
def test_faults_of_messages_in_a_real_run_are_counted_by_name_and_the_same_again(world: World) -> None:
    faults = [
        {"kind": "message_corrupt", "link": "a-b", "probability": 0.3, "name": "noise"},
        {
            "kind": "man_in_the_middle",
            "link": "a-b",
            "action": "change",
            "payload": "forged",
            "tag": "7",
            "name": "eve",
        },
        {"kind": "hold", "link": "a-b", "at_s": 0.2, "for_s": 0.05, "name": "jam"},
    ]
    expected = {
        "name": "a third is damaged",
        "value": "fault_effects.noise.message_corrupted",
        "at_least": 1,
        "at_most": 30,
    }
    path = world.scenario(
        {"talks": ("a", TALKER), "listens": ("b", LISTENER)}, nodes=("a", "b"), faults=faults, expectations=[expected]
    )
    report = world.run(path, "--out", "out")
    assert report["ok"], report["expectations"]
    did = report["fault_effects"]
    assert did["jam"]["message_held"] == did["jam"]["message_released"] == 5
    assert did["eve"] == {"message_changed": 1}
    damaged = did["noise"]["message_corrupted"]
    log = [json.loads(line) for line in (world.directory / "out" / "events.jsonl").read_text().splitlines()]
    dropped = [line for line in log if line["kind"] == "message_dropped"]
    assert report["results"]["listens"]["heard"] == 40 - damaged == 40 - len(dropped)
    counts = {line["name"]: line for line in log if line["kind"] == "fault_effects"}
    assert counts.keys() == did.keys() and counts["noise"]["message_corrupted"] == damaged
    assert "noise did: message corrupted" in (world.directory / "out" / "report.txt").read_text()
    assert world.run(path, "--out", "again")["digest"] == report["digest"]
