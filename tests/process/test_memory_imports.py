"""A node is small: it imports no numerics. Every process has a title that `ps` shows, and none opens a port."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from program import World, wait_until

HEAVY = ("numpy", "scipy", "qutip", "networkx", "yaml", "rich")
LIVING = """\
from qnode.sdk import attach
with attach() as session:
    session.measure_pairs({peer!r}, 3)
    print("measured")
    while True:
        session.sleep(0.001)
"""


@pytest.mark.parametrize("module", ["qnode.__main__", "qnode.sdk", "qnode.sdk.aio", "orchestrator.launch.agent"])
def test_nodes_applications_and_their_fork_server_import_no_numerics(module: str) -> None:
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    imported = {name.partition(".")[0] for name in json.loads(printed.stdout)}
    assert not imported & set(HEAVY)
    if module.startswith("qnode"):
        assert "orchestrator" not in imported


def mapped(process: int) -> str:
    """The files that a process has in its memory."""
    return Path(f"/proc/{process}/maps").read_text()


def inodes_of_sockets(process: int) -> set[str]:
    """What a process holds of sockets."""
    found = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
        if match:
            found.add(match[1])
    return found


def internet_sockets() -> set[str]:
    """The inodes of all TCP and UDP sockets of this machine."""
    tables = [Path(f"/proc/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
    return {line.split()[9] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]}


@pytest.mark.slow
def test_a_living_testbed_from_outside(world: World) -> None:
    programs = {"one": ("alice", LIVING.format(peer="bob")), "two": ("bob", LIVING.format(peer="alice"))}
    running = world.start("run", world.scenario(programs), "--out", "out")
    log = world.directory / "out" / "logs" / "application-two.log"
    wait_until(lambda: log.exists() and log.read_text(), "the applications to measure")
    titles = {title: number for number, title in world.processes().items()}
    assert set(titles) - {"qloom: image"} == {  # of the fabric; they come and go
        "qloom: supervisor net",
        "qloom: agent",
        "qloom: fabric",
        "qloom: node alice",
        "qloom: node bob",
        "qloom: application one on alice",
        "qloom: application two on bob",
    }
    listed = json.loads(world.qloom("ps", "--json").out)["testbeds"][0]["processes"]
    assert listed["application one"] == titles["qloom: application one on alice"]
    assert listed["node bob"] == titles["qloom: node bob"]

    assert "qutip" in mapped(titles["qloom: fabric"])
    assert "matplotlib" not in mapped(titles["qloom: fabric"]), "it is installed here, and QuTiP would take it"
    for light in ("qloom: agent", "qloom: node alice", "qloom: node bob", "qloom: application one on alice"):
        files = mapped(titles[light])
        assert not [name for name in HEAVY if f"/{name}" in files], light
    for title, number in titles.items():
        assert "/dev/shm" not in mapped(number), title
        assert not inodes_of_sockets(number) & internet_sockets(), title

    running.terminate()
    ended = world.ended(running)
    assert ended.code == 3
    assert ended.err == "qloom: ended by SIGTERM\n"


@pytest.mark.slow
def test_a_forked_node_imports_nothing_itself(world: World) -> None:
    world.environment["PYTHONPROFILEIMPORTTIME"] = "1"  # each process tells in its log what it imports
    programs = {"one": ("alice", "from qnode.sdk import attach\nwith attach() as session:\n    session.sleep(0.1)\n")}
    assert world.qloom("run", world.scenario(programs, network={}), "--out", "out").code == 0
    logs = {path.name: path.read_text() for path in (world.directory / "out" / "logs").iterdir()}
    assert "qnode.runtime" in logs["agent.log"]
    assert logs["node-alice.log"] == logs["node-bob.log"] == ""
