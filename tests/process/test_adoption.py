"""A detached testbed outlives its supervisor for a while, and another can be its supervisor."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from fabric_kills import FABRIC
from program import CLEAN_DEADLINE_S, World, wait_until
from test_fabric_kills import MEASURES


def records(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(world.qloom("ps", "--json").out)["testbeds"]
    return found


def measure(world: World) -> list[int]:
    """Pairs between alice and bob, measured by programs at both ends."""
    for name, remote in (("alice", "bob"), ("bob", "alice")):
        (world.directory / f"{name}.py").write_text(MEASURES.format(remote=remote))
    clients = [world.start("exec", name, "--", "python", f"{name}.py") for name in ("alice", "bob")]
    one, other = [world.ended(client) for client in clients]
    assert one.out == other.out, (one, other)
    bits: list[int] = json.loads(one.out)
    return bits


def orphan(world: World) -> dict[str, Any]:
    """Kill the supervisor; returns the record that says so."""
    [record] = records(world)
    os.kill(record["supervisor"], signal.SIGKILL)
    wait_until(lambda: any(each["orphan_until_s"] for each in records(world)), "the testbed to be an orphan")
    [record] = records(world)
    return record


@pytest.mark.slow
@pytest.mark.parametrize("sockets", [{}, {"transport": "tcp", "curve": True}], ids=["unix", "tcp"])
def test_another_supervisor_takes_over(world: World, sockets: dict[str, Any]) -> None:
    assert world.qloom("up", world.scenario({}, sockets=sockets), "-d", "--out", "out").code == 0
    refused = world.qloom("adopt")
    assert refused.code == 2
    assert "has a supervisor" in refused.err
    before = orphan(world)
    assert "its supervisor died; it ends in" in world.qloom("ps").out
    assert len(measure(world)) == 3
    assert world.qloom("adopt", "net", "-d").code == 0
    [record] = records(world)
    assert record["orphan_until_s"] is None
    assert record["supervisor"] != before["supervisor"]
    assert {name: each for name, each in record["processes"].items() if name != "supervisor"} == {
        name: each for name, each in before["processes"].items() if name != "supervisor"
    }
    assert len(measure(world)) == 3
    os.kill(record["processes"]["fabric"], signal.SIGKILL)
    wait_until(lambda: world.process(FABRIC) not in (None, record["processes"]["fabric"]), "another fabric")
    assert len(measure(world)) == 3
    assert world.qloom("down").code == 0
    report = json.loads((world.directory / "out" / "report.json").read_text())
    assert report["links"]["alice-bob"]["pairs"] >= 9
    assert [each["cause"] for each in report["recoveries"]] == ["killed by SIGKILL"]


@pytest.mark.slow
def test_a_fabric_that_dies_while_there_is_no_supervisor_is_recovered_by_the_next(world: World) -> None:
    assert world.qloom("up", world.scenario({}), "-d").code == 0
    record = orphan(world)
    fabric = record["processes"]["fabric"]
    os.kill(fabric, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{fabric}").exists(), "the fabric to be reaped")
    assert world.qloom("adopt", "-d").code == 0
    assert len(measure(world)) == 3
    assert world.qloom("down").code == 0


@pytest.mark.slow
def test_an_orphan_can_be_taken_down_and_reports(world: World) -> None:
    assert world.qloom("up", world.scenario({}), "-d", "--out", "out").code == 0
    orphan(world)
    assert len(measure(world)) == 3
    ended = world.qloom("down")
    assert ended.code == 0, ended
    assert "Traceback" not in ended.err
    assert json.loads((world.directory / "out" / "report.json").read_text())["links"]["alice-bob"]["pairs"] >= 3
    world.wait_until_clean()


@pytest.mark.slow
def test_nobody_adopts(world: World) -> None:
    assert world.qloom("up", world.scenario({}), "-d", "--keep", "8").code == 0
    orphan(world)
    world.wait_until_clean(deadline_s=CLEAN_DEADLINE_S + 8)


@pytest.mark.slow
def test_a_testbed_that_is_not_to_be_kept_dies_with_its_supervisor(world: World) -> None:
    assert world.qloom("up", world.scenario({}), "-d", "--keep", "0").code == 0
    [record] = records(world)
    os.kill(record["supervisor"], signal.SIGKILL)
    world.wait_until_clean()
