"""A fabric that is killed comes back from its journal, and the run ends as if it had never died."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from fabric_kills import FABRIC, Disturbed, run_with_kills
from program import World, wait_until
from test_determinism import busy

MEASURES = """\
from qnode.sdk import attach

with attach() as session:
    bits = [session.measure(pair) for pair in session.request_pairs("{remote}", 3)]
    print(bits)
"""


@pytest.fixture(scope="module")
def undisturbed(shared_world: World) -> Disturbed:
    """The run that all others are held against."""
    return run_with_kills(shared_world, busy(shared_world), out="undisturbed")


def check(disturbed: Disturbed, undisturbed: Disturbed, *, kills: int) -> None:
    report = disturbed.report
    assert disturbed.kills == kills
    assert len(report["recoveries"]) == kills
    assert {each["cause"] for each in report["recoveries"]} == {"killed by SIGKILL"}
    assert report["digest"] == undisturbed.report["digest"]
    assert disturbed.events == undisturbed.events
    assert report["deterministic"]
    for same in ("links", "nodes", "results", "messages", "virtual_s", "theory"):
        assert report[same] == undisturbed.report[same]


@pytest.mark.slow
def test_killed_before_virtual_time_begins(shared_world: World, undisturbed: Disturbed) -> None:
    check(run_with_kills(shared_world, busy(shared_world), [-1], out="early"), undisturbed, kills=1)


@pytest.mark.slow
def test_killed_twice_in_the_middle(shared_world: World, undisturbed: Disturbed) -> None:
    moments = [undisturbed.journal_bytes // 3, undisturbed.journal_bytes * 2 // 3]
    disturbed = run_with_kills(shared_world, busy(shared_world), moments, out="twice", arguments=("--shake", "0.002"))
    check(disturbed, undisturbed, kills=2)
    at_s = [each["at_s"] for each in disturbed.report["recoveries"]]
    assert 0 < at_s[0] < at_s[1] < disturbed.report["virtual_s"]


WAKES = "an image wakes in the place of the fabric"


@pytest.mark.slow
def test_an_image_takes_the_place_of_a_killed_fabric_and_if_it_is_killed_too_the_journal_alone_does(
    shared_world: World, undisturbed: Disturbed
) -> None:
    for out, victims, wakes in (("woken", (FABRIC,), 1), ("all", ("qloom: image", FABRIC), 0)):
        moment = undisturbed.journal_bytes // 2
        disturbed = run_with_kills(shared_world, busy(shared_world), [moment], out=out, victims=victims)
        check(disturbed, undisturbed, kills=1)
        log = shared_world.directory / out / "logs" / "fabric.log"
        assert log.read_text().count(WAKES) == wakes


@pytest.mark.slow
def test_killed_at_a_pace(shared_world: World, undisturbed: Disturbed) -> None:
    moment = undisturbed.journal_bytes // 2
    disturbed = run_with_kills(shared_world, busy(shared_world), [moment], out="paced", arguments=("--pace", "0.02"))
    check(disturbed, undisturbed, kills=1)
    late = disturbed.report["lateness"]
    assert late["max_s"] > disturbed.recovery_s[0] / 2
    assert late["grants"] > 20


PAIRS = """\
from qnode.sdk import RequestFailed, attach

with attach() as session:
    measured = 0
    while session.now_s < 0.3:
        try:
            session.measure(session.request_pair("b" if session.node == "a" else "a", timeout_s=0.02))
            measured += 1
            session.sleep(0.002)
        except RequestFailed:
            session.sleep(0.003)
    session.report(measured=measured)
"""


@pytest.mark.slow
def test_killed_while_faults_stop_and_start_nodes(world: World) -> None:
    faults = [
        {"kind": "node_restart", "at_s": 0.1, "for_s": 0.05, "node": "b", "restart_applications": True},
        {"kind": "node_pause", "at_s": 0.2, "for_s": 0.03, "node": "b"},
        {"kind": "node_stop", "at_s": 0.25, "node": "c"},
    ]
    programs = {"one": ("a", PAIRS), "two": ("b", PAIRS)}
    network = {"hello_interval_s": 0.02}
    path = world.scenario(programs, nodes=("a", "b", "c"), network=network, faults=faults)
    undisturbed = run_with_kills(world, path, out="undisturbed")
    assert all(results["measured"] > 5 for results in undisturbed.report["results"].values())
    lines = undisturbed.events.splitlines(keepends=True)
    struck = [number for number, line in enumerate(lines) if b'"kind":"fault"' in line]
    shares = [len(b"".join(lines[: number + 1])) / len(undisturbed.events) for number in struck]
    moments = [round(share * undisturbed.journal_bytes) for share in shares]
    check(run_with_kills(world, path, moments, out="disturbed"), undisturbed, kills=len(faults))


@pytest.mark.slow
def test_killed_again_and_again_without_getting_further_it_is_not_started_for_ever(world: World) -> None:
    running = world.start("run", busy(world))
    killed: set[int] = set()
    while running.poll() is None:
        fabric = world.process(FABRIC)
        if fabric is not None and fabric not in killed:
            killed.add(fabric)
            os.kill(fabric, signal.SIGKILL)
    ended = world.ended(running)
    assert ended.code == 3
    assert "died: killed by SIGKILL, for the 6th time at this point" in ended.err
    assert len(killed) == 6


@pytest.mark.slow
def test_a_testbed_that_stays_up_goes_on_serving(world: World) -> None:
    assert world.qloom("up", world.scenario({}), "-d").code == 0
    for name, remote in (("alice", "bob"), ("bob", "alice")):
        (world.directory / f"{name}.py").write_text(MEASURES.format(remote=remote))

    def measure() -> list[str]:
        clients = [world.start("exec", name, "--", "python", f"{name}.py") for name in ("alice", "bob")]
        return [world.ended(client).out for client in clients]

    one, other = measure()
    assert one == other
    fabric = world.process(FABRIC)
    assert fabric is not None
    os.kill(fabric, signal.SIGKILL)
    one, other = measure()
    assert one == other
    assert len(json.loads(one)) == 3
    assert world.process(FABRIC) not in (None, fabric)
    [record] = json.loads(world.qloom("ps", "--json").out)["testbeds"]
    assert record["processes"]["fabric"] == world.process(FABRIC)
    assert world.qloom("down").code == 0
    log = (Path(record["run_directory"]) / "logs" / "supervisor.log").read_text()
    assert "another has taken its place" in log


@pytest.mark.slow
def test_when_the_supervisor_dies_while_the_fabric_comes_back_nothing_is_left(world: World) -> None:
    running = world.start("run", world.scenario({"one": ("alice", "import time; time.sleep(600)\n")}), "--out", "out")
    wait_until(lambda: (world.directory / "out" / "journal").exists(), "the run to begin")
    fabric = world.process(FABRIC)
    assert fabric is not None
    os.kill(fabric, signal.SIGKILL)
    wait_until(lambda: world.process(FABRIC) not in (None, fabric), "another fabric")
    running.kill()
    world.ended(running)
