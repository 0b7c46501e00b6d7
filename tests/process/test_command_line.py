"""The `qloom` program from outside: its exit codes, what it prints and where, what it writes, what it leaves."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from program import Ended, World, wait_until

ALICE = """\
from qnode.sdk import attach

with attach() as session:
    bits = session.measure_pairs("bob", 20)
    session.send("bob", bytes(bits), tag="bits")
    session.report(ones=sum(bits))
    print("alice measured", len(bits))
"""
BOB = """\
from qnode.sdk import attach

with attach() as session:
    bits = session.measure_pairs("alice", 20)
    same = sum(a == b for a, b in zip(bits, session.receive("alice", tag="bits")))
    session.sleep(0.001)
    session.report(agreement=same / 20)
"""
PROGRAMS = {"one": ("alice", ALICE), "two": ("bob", BOB)}
IDLE = "from qnode.sdk import attach\nwith attach() as session:\n    session.sleep(0.001)\n"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


@dataclass(frozen=True)
class PlainRun:
    """One run that many tests look at."""

    ended: Ended
    directory: Path


@pytest.fixture(scope="module")
def plain_run(shared_world: World) -> PlainRun:
    scenario = shared_world.scenario(
        PROGRAMS, expectations=[{"name": "they agree", "value": "results.two.agreement", "at_least": 0.5}]
    )
    ended = shared_world.qloom("run", scenario, "--json", "--seed", "11", "--out", "out")
    return PlainRun(ended, shared_world.directory / "out")


def test_a_run_whose_expectations_hold_exits_0_and_prints_one_object(plain_run: PlainRun) -> None:
    report = plain_run.ended.report
    assert plain_run.ended.code == 0, plain_run.ended
    assert report["ok"]
    assert report["seed"] == 11
    assert report["pace"] == "max"
    assert report["applications"] == {"one": "exit code 0", "two": "exit code 0"}
    assert report["results"]["two"]["agreement"] > 0.5
    assert Path(report["run_directory"]) == plain_run.directory


def test_the_run_directory_holds_what_a_person_looks_for(plain_run: PlainRun) -> None:
    report, directory = plain_run.ended.report, plain_run.directory
    assert {path.name for path in directory.iterdir()} == {
        "events.jsonl",
        "inputs",
        "journal",
        "logs",
        "manifest.json",
        "report.json",
        "report.txt",
        "scenario.json",
    }
    logs = {"agent", "fabric", "node-alice", "node-bob", "application-one", "application-two"}
    assert {path.stem for path in (directory / "logs").iterdir()} == logs
    assert (directory / "logs" / "application-one.log").read_text() == "alice measured 20\n"
    assert read_json(directory / "report.json") == report
    assert report["digest"] in (directory / "report.txt").read_text()
    manifest = read_json(directory / "manifest.json")
    assert manifest["seed"] == 11
    assert manifest["pace"] == "max"
    assert manifest["deterministic"] is True
    assert manifest["digest"] == report["digest"]
    assert {"qloom", "qutip", "numpy", "pyzmq"} <= set(manifest["versions"])
    assert manifest["machine"]["cores"] == os.cpu_count()


def test_events_are_in_the_order_of_virtual_time(plain_run: PlainRun) -> None:
    events = [json.loads(line) for line in (plain_run.directory / "events.jsonl").read_text().splitlines()]
    times = [event["t_ps"] for event in events]
    assert times == sorted(times)
    assert len(events) == plain_run.ended.report["events"]
    assert {"heralded", "message", "application_attached", "application_reported"} <= {e["kind"] for e in events}


@pytest.mark.slow
def test_the_scenario_in_the_run_directory_gives_the_run_again(plain_run: PlainRun, shared_world: World) -> None:
    again = shared_world.directory / "again.json"
    again.write_bytes((plain_run.directory / "scenario.json").read_bytes())
    assert shared_world.run(again)["digest"] == plain_run.ended.report["digest"]


def test_a_failed_expectation_exits_1_and_the_text_report_says_which(world: World) -> None:
    scenario = world.scenario(
        PROGRAMS, expectations=[{"name": "too much", "value": "links.alice-bob.pairs", "at_least": 21}]
    )
    ended = world.qloom("run", scenario)
    assert ended.code == 1, ended
    assert "DIFFERS too much: links.alice-bob.pairs = 20; at least 21" in ended.out
    [directory] = (world.directory / "qloom-runs").iterdir()
    assert directory.name.startswith("net-")


def test_check_prints_what_would_run(shared_world: World) -> None:
    scenario = shared_world.scenario(PROGRAMS)
    plan = shared_world.qloom("check", scenario, "--json")
    assert plan.code == 0
    assert json.loads(plan.out)["links"]["alice-bob"]["success_probability"] == 0.5
    text = shared_world.qloom("check", scenario)
    assert text.code == 0
    assert text.out.startswith("net: valid; seed 1, pace max\n")
    assert "application two on bob: python net-two.py" in text.out


def test_bad_input_exits_2_and_says_what_is_wrong(shared_world: World) -> None:
    scenario = shared_world.scenario(PROGRAMS)
    (shared_world.directory / "bad.yaml").write_text("version: 1\nname: bad\nnodes: {alice: {hardwear: ideal}}\n")
    (shared_world.directory / "full").mkdir(exist_ok=True)
    (shared_world.directory / "full" / "of").touch()
    complaints: dict[tuple[str | Path, ...], str] = {
        ("run", "bad.yaml"): "did you mean 'hardware'?",
        ("up", "bad.yaml", "-d"): "did you mean 'hardware'?",
        ("run", scenario, "--pace", "nan"): "--pace nan: expected `max` or a number",
        ("run", scenario, "--out", "full"): "full exists and is not an empty directory",
        ("run", scenario, "--out", "full/of/it"): "cannot write into the run directory full/of/it",
        ("run", scenario, "--out", "x" * 300): "cannot write into the run directory xxx",
        ("run", scenario, "--shake", "-1"): "'--shake'",
        ("up", scenario, "-d", "--out", "full"): "full exists and is not an empty directory",
        ("down",): "no testbed is up",
        ("logs", "alice", "--testbed", "net"): "no testbed named net is up",
    }
    started = [(shared_world.start(*command), complaint) for command, complaint in complaints.items()]
    for process, complaint in started:
        ended = shared_world.ended(process)
        assert ended.code == 2, ended
        assert complaint in ended.err.replace("\n", " ")
        assert ended.out == ""
        assert "Traceback" not in ended.err


def test_programs_that_fail_are_named_and_exit_1(world: World) -> None:
    failing = "from qnode.sdk import attach\nwith attach():\n    raise ValueError('out of ideas')\n"
    scenario = world.scenario(
        {"good": ("alice", IDLE), "failing": ("bob", failing), "shy": ("bob", "print('never attached')")},
        applications=[{"name": "missing", "node": "alice", "command": ["no-such-program"]}],
    )
    report = world.run(scenario, "--out", "out", code=1)
    assert report["applications"] == {
        "good": "exit code 0",
        "failing": "exit code 1",
        "shy": "exit code 0",
        "missing": "exit code 1",
    }
    broken = [each["name"] for each in report["expectations"] if not each["holds"]]
    assert broken == ["failing ends well", "missing ends well"]
    logs = world.directory / "out" / "logs"
    assert (logs / "application-failing.log").read_text().endswith("ValueError: out of ideas\n")
    assert "no-such-program" in (logs / "application-missing.log").read_text()


def test_a_program_that_failed_before_the_stop_is_a_failure_and_one_that_the_stop_ended_is_none(world: World) -> None:
    failing = (
        "from qnode.sdk import attach\nwith attach() as s:\n    s.sleep(0.1)\n    raise ValueError('out of ideas')\n"
    )
    patient = "from qnode.sdk import attach\nwith attach() as session:\n    session.sleep(100)\n"
    scenario = world.scenario({"failing": ("alice", failing), "patient": ("bob", patient)}, stop={"at_s": 1.0})
    report = world.run(scenario, code=1)
    assert {each["name"]: each["holds"] for each in report["expectations"]} == {
        "failing ends well": False,
        "patient ends well": True,
    }


def test_two_programs_that_wait_for_each_other_are_a_deadlock_that_names_both(world: World) -> None:
    waiting = "from qnode.sdk import attach\nwith attach() as session:\n    session.receive({peer!r}, tag='go')\n"
    one, two = (waiting.format(peer=peer) for peer in ("bob", "alice"))
    ended = world.qloom("run", world.scenario({"one": ("alice", one), "two": ("bob", two)}), "--json")
    assert ended.code == 3, ended
    assert json.loads(ended.out)["error"] == ended.err.removeprefix("qloom: ").rstrip("\n")
    assert ended.err.startswith("qloom: deadlock at virtual time ")
    assert "alice: one waits for a message from bob under tag 'go'" in ended.err
    assert "bob: two waits for a message from alice under tag 'go'" in ended.err


@pytest.mark.slow
def test_a_deadlock_names_the_program_whose_death_led_to_it(world: World) -> None:
    waiting = "from qnode.sdk import attach\nwith attach() as session:\n    session.receive('bob')\n"
    failing = "from qnode.sdk import attach\nwith attach():\n    raise ValueError('no')\n"
    ended = world.qloom("run", world.scenario({"one": ("alice", waiting), "two": ("bob", failing)}))
    assert ended.code == 3, ended
    assert "alice: one waits for a message from bob" in ended.err
    assert "; application two had ended: exit code 1; its log ends: " in ended.err
    assert "ValueError: no" in ended.err
    assert "application one" not in ended.err


@pytest.mark.slow
def test_whoever_holds_virtual_time_too_long_is_named(world: World) -> None:
    complaints = {
        "session = attach()\ntime.sleep(60)": "node alice waits for application busy to make its next call",
        "time.sleep(60)": "node alice waits for application busy to attach",
    }
    started = []
    for number, (program, complaint) in enumerate(complaints.items()):
        busy = f"import time\nfrom qnode.sdk import attach\n{program}\n"
        scenario = world.scenario(
            {"busy": ("alice", busy), "idle": ("bob", IDLE)}, name=f"net{number}", time={"stall_after_s": 4.0}
        )
        started.append((world.start("run", scenario), complaint))
    for process, complaint in started:
        ended = world.ended(process)
        assert ended.code == 3, ended
        assert "a grant was held for 4 s" in ended.err
        assert complaint in ended.err


@pytest.mark.slow
def test_a_stopped_node_is_named_with_its_process(world: World) -> None:
    endless = """\
from qnode.sdk import attach
with attach() as session:
    print("attached")
    while True:
        session.sleep(0.001)
"""
    scenario = world.scenario({"one": ("alice", endless)}, time={"stall_after_s": 4.0})
    process = world.start("run", scenario, "--out", "out")
    log = world.directory / "out" / "logs" / "application-one.log"
    wait_until(lambda: log.exists() and log.read_text(), "the application to attach")
    node = world.process("qloom: node alice")
    assert node is not None
    os.kill(node, signal.SIGSTOP)
    ended = world.ended(process)
    assert ended.code == 3, ended
    assert f"a grant was held for 4 s: node alice (process {node}) does not answer" in ended.err


@pytest.mark.slow
def test_requests_are_counted_afresh_at_each_instant_and_who_lets_no_time_pass_is_ended(world: World) -> None:
    many = """\
from qnode.sdk import attach
with attach() as session:
    for _ in range(60):
        session.sleep(0.001)
"""
    limits = {"applications": {"requests_per_instant": 50}}
    world.run(world.scenario({"one": ("alice", many)}, limits=limits))
    zeno = many.replace("0.001", "0")
    scenario = world.scenario({"one": ("alice", zeno), "two": ("bob", many)}, limits=limits)
    report = world.run(scenario, "--out", "out", code=1)
    assert report["applications"] == {"one": "exit code 1", "two": "exit code 0"}
    log = (world.directory / "out" / "logs" / "application-one.log").read_text()
    assert "more than 50 requests at 0 ps: it loops without letting virtual time pass" in log


@pytest.mark.slow
def test_the_stop_time_ends_programs_with_an_error_that_says_so(world: World) -> None:
    endless = """\
from qnode.sdk import RunEnded, attach
session = attach()
try:
    while True:
        session.sleep(0.001)
except RunEnded as error:
    print("ended:", error.code, error)
"""
    waiting = "from qnode.sdk import attach\nwith attach() as session:\n    session.receive('alice')\n"
    scenario = world.scenario({"one": ("alice", endless), "two": ("bob", waiting)}, stop={"at_s": 0.01})
    report = world.run(scenario, "--out", "out")
    assert report["ended_because"] == "virtual time 0.01 s was reached"
    assert report["virtual_s"] == 0.01
    logs = world.directory / "out" / "logs"
    assert (logs / "application-one.log").read_text() == "ended: stopped virtual time 0.01 s was reached\n"
    last = (logs / "application-two.log").read_text().splitlines()[-1]
    assert last == "qnode.sdk.errors.RunEnded: virtual time 0.01 s was reached"


@pytest.mark.slow
def test_the_starter_scenario_runs(world: World) -> None:
    assert world.qloom("init", "starter").code == 0
    again = world.qloom("init", "starter")
    assert again.code == 2
    assert "starter/network.yaml" in again.err
    report = world.run("starter/network.yaml", "--check-determinism")
    assert report["ok"]
    assert report["determinism"]["equal"]
    assert report["determinism"]["first_difference"] is None
    schema = world.qloom("schema")
    assert schema.code == 0
    assert "nodes" in json.loads(schema.out)["properties"]


@pytest.mark.slow
def test_check_determinism_says_the_first_event_that_differs(world: World) -> None:
    chance = ALICE.replace('print("', 'import random; session.report(chance=random.random()); print("')
    ended = world.qloom("run", world.scenario({**PROGRAMS, "one": ("alice", chance)}), "--check-determinism")
    assert ended.code == 1, ended
    assert '"chance"' in ended.out.partition("determinism: event ")[2]


class Detached:
    """A scenario kept up by ``up -d``."""

    def __init__(self, world: World, name: str, out: str) -> None:
        ended = world.qloom("up", world.scenario({}, name=name), "-d", "--out", out, "--seed", "5")
        assert ended.code == 0, ended
        assert ended.err == f"{name} is up: 2 nodes; logs in {world.directory / out}\n"
        self.out = world.directory / out


@pytest.mark.slow
def test_detached_testbeds_side_by_side(world: World) -> None:
    Detached(world, "left", "one")
    Detached(world, "right", "two")
    both = json.loads(world.qloom("ps", "--json").out)["testbeds"]
    assert sorted(each["name"] for each in both) == ["left", "right"]
    assert set(both[0]["processes"]) == {"supervisor", "agent", "fabric", "node alice", "node bob"}
    listing = world.qloom("ps").out
    assert f"{both[0]['processes']['node alice']:>8}" in listing
    assert "gone" not in listing

    ambiguous = world.qloom("logs", "alice")
    assert ambiguous.code == 2
    assert "several testbeds are up: " in ambiguous.err
    assert "--testbed" in ambiguous.err

    (world.directory / "ask.py").write_text(
        "import sys\nfrom qnode.sdk import attach\n"
        "with attach() as session:\n    print(session.node, session.measure(session.prepare()), *sys.argv[1:])\n"
    )
    asked = world.qloom("exec", "bob", "--testbed", "left", "--", "python", "ask.py", "--flag")
    assert (asked.code, asked.out) == (0, "bob 0 --flag\n"), asked
    misspelt = world.qloom("exec", "bobb", "--testbed", "left", "--", "true")
    assert misspelt.code == 2
    assert "did you mean bob?" in misspelt.err

    events = world.qloom("logs", "events", "--testbed", "right")
    assert (events.code, events.out) == (0, ""), events
    unknown = world.qloom("logs", "carol", "--testbed", "left")
    assert unknown.code == 2
    assert "left has no process 'carol'; it has: agent, alice, bob, fabric, supervisor, events" in unknown.err

    following = world.start("logs", "-f", "supervisor", "--testbed", "left")
    assert following.stdout is not None
    assert following.stdout.readline() == "left is up: 2 nodes\n"
    down = world.qloom("down", "--testbed", "left")
    assert down.code == 0, down
    followed = world.ended(following)
    assert (followed.code, followed.out) == (0, "left is down: ended by SIGTERM\n")
    manifest = read_json(world.directory / "one" / "manifest.json")
    assert manifest["seed"] == 5
    assert manifest["deterministic"] is False

    Detached(world, "right", "three")  # the same name again
    twins = world.qloom("down")
    assert twins.code == 2
    supervisor = json.loads(world.qloom("ps", "--json").out)["testbeds"][0]["supervisor"]
    assert f"right (supervisor {supervisor})" in twins.err
    assert world.qloom("down", "--testbed", str(supervisor)).code == 0
    assert world.qloom("down", "--all").code == 0
    assert world.qloom("ps").out == "no testbed is up\n"


@pytest.mark.slow
def test_a_detached_testbed_that_fails_says_why_in_its_log(world: World) -> None:
    Detached(world, "net", "out")
    node = wait_until(lambda: world.process("qloom: node bob"), "the process of bob")
    following = world.start("logs", "-f", "supervisor")
    assert following.stdout is not None
    assert following.stdout.readline() == "net is up: 2 nodes\n"
    os.kill(node, signal.SIGKILL)
    followed = world.ended(following)
    assert f"qloom: node bob died (node bob (process {node}) died: killed by SIGKILL" in followed.out
    assert world.qloom("ps").out == "no testbed is up\n"
