"""Nodes of real runs, each replayed alone from the run directory: as they were, with a bug, with torn records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from program import World

from orchestrator.cli import main
from qnode.record_file import RecordFile
from qnode.recording import MAGIC, Head, Heard, Late, records
from qnode.stack.node import Node
from qnode.wire import application

HEAD = """\
from qnode.sdk import RequestFailed, attach

with attach() as session:
    session.send("c", b"hello", tag="greeting")
    while session.now_s < 2.5:
        try:
            circuit = session.open_circuit("c", timeout_s=1.0) if session.node == "a" else session.accept_circuit(timeout_s=1.0)
            while session.now_s < 2.5:
                session.measure(circuit.next_pair(timeout_s=0.25).qubit)
                session.sleep(0.05)
        except RequestFailed:
            session.sleep(0.01)
"""
SERVICE = """\
from qnode.sdk import attach

session = attach()
session.sleep(2.0)
session.report(done=1)  # and its process ends without a word
"""
IDLER = """\
import subprocess
import sys
from qnode.sdk import attach

idle = "import time; from qnode.sdk import attach; session = attach(application='idle'); time.sleep(30)"
with attach() as session:
    with subprocess.Popen([sys.executable, "-c", idle]) as other:
        session.sleep(2.0)
        other.kill()
"""


@pytest.fixture(scope="module")
def run_directory(shared_world: World) -> Path:
    """Three nodes, whose names are not in the order of the alphabet; the middle one is restarted.

    One application comes from outside the scenario, at any moment, and is detached since it never makes a call.
    """
    programs = {
        "head": ("z", HEAD.replace('"a"', '"z"')),
        "tail": ("c", HEAD),
        "idler": ("c", IDLER),
        "service": ("b", SERVICE),
    }
    path = shared_world.scenario(
        programs,
        nodes=("z", "b", "c"),
        network={"hello_interval_s": 0.05},
        limits={"applications": {"turn_s": 0.5}},
        faults=[
            {"kind": "node_restart", "at_s": 1.0, "for_s": 0.5, "node": "b", "restart_applications": True},
            {"kind": "clock_offset", "at_s": 0.5, "node": "c", "offset_s": 0.001},
        ],
    )
    shared_world.run(path, "--out", "out")
    return shared_world.directory / "out"


def replay(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["replay", str(directory), *arguments])


def told(result: Result) -> dict[str, Any]:
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    answer: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["ok"] else 1)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize(("node", "processes"), [("z", 1), ("b", 2), ("c", 1)])
def test_a_node_does_alone_what_it_did_in_the_run(run_directory: Path, node: str, processes: int) -> None:
    answer = told(replay(run_directory, "--node", node, "--json"))
    assert answer["ok"], answer["stopped"]
    assert answer["processes"] == processes
    assert answer["grants"] == answer["blocks"] > 50
    served = 0
    for path in (run_directory / "inputs").glob(f"{node}*.journal"):
        heard = [record for record, _ in records(path) if isinstance(record, Heard)]
        requests = [application.requests.decode(each.frames[0]) for each in heard]
        served += sum(not isinstance(each, application.Wait) for each in requests)
    assert answer["requests"] == served >= 2 * processes
    assert answer["now_ps"] > 2 * 10**12


@pytest.mark.slow
def test_a_replay_goes_as_far_and_as_fast_as_is_wished_and_stops_for_a_debugger(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[int] = []
    handled: list[int] = []
    monkeypatch.setattr("builtins.breakpoint", lambda: stopped.append(len(handled)))
    real = Node.handle

    def handle(self: Node, now: int, event: Any) -> Any:
        handled.append(now)
        return real(self, now, event)

    monkeypatch.setattr(Node, "handle", handle)
    wishes = ("--until", "0.8", "--break-at", "0.4", "--pace", "2", "--json")
    answer = told(replay(run_directory, "--node", "z", *wishes))
    assert answer["ok"]
    assert 7 * 10**11 < answer["now_ps"] < 8 * 10**11
    assert answer["wall_s"] > answer["now_ps"] / 1e12 / 2
    (before,) = stopped
    assert handled[before - 1] < 4 * 10**11 <= handled[before]


@pytest.mark.slow
def test_a_changed_stack_is_found_at_the_first_block_that_it_makes_otherwise(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = told(replay(run_directory, "--node", "z", "--json"))
    real = Node.handle
    lost: list[int] = []

    def forgetful(self: Node, now: int, event: Any) -> Any:
        """Loses the first message that it sends after 0.7 s."""
        actions = list(real(self, now, event))
        for action in actions:
            if now > 7 * 10**11 and not lost and type(action).__name__ == "SendTo":
                lost.append(now)
                actions.remove(action)
                break
        return actions

    monkeypatch.setattr(Node, "handle", forgetful)
    answer = told(replay(run_directory, "--node", "z", "--json"))
    difference = answer["difference"]
    assert difference["process"] == "z"
    assert difference["at_ps"] == lost[0]
    assert difference["field"].startswith("sends[0]")
    assert answer["blocks"] == answer["grants"] - 1 < whole["blocks"] - 1
    assert f"z does something else at {lost[0] / 1e12:.12g} s: sends[0]" in answer["stopped"]
    lost.clear()
    in_words = replay(run_directory, "--node", "z")
    assert "was recorded as" in in_words.stderr
    assert in_words.exit_code == 1


@pytest.fixture
def copy(run_directory: Path, tmp_path: Path) -> Path:
    """The run directory, to be damaged."""
    return Path(shutil.copytree(run_directory, tmp_path / "copy"))


@pytest.mark.slow
def test_records_that_end_too_soon_say_where(copy: Path) -> None:
    path = copy / "inputs" / "z.journal"
    ends = [end for _, end in records(path)]
    whole = ends[len(ends) // 2]
    path.write_bytes(path.read_bytes()[: whole + 5])
    answer = told(replay(copy, "--node", "z", "--json"))
    assert not answer["ok"]
    assert answer["difference"] is None
    assert f"inputs/z.journal goes no further than byte {whole} of {whole + 5}: " in answer["stopped"]
    assert f"after {answer['grants']} grants" in answer["stopped"]


@pytest.mark.slow
def test_what_is_no_run_of_this_version_is_refused_in_one_line(copy: Path) -> None:
    def line(*arguments: str) -> str:
        result = replay(copy, *arguments)
        assert result.exit_code == 2
        (found,) = result.stderr.splitlines()
        return found

    assert "expected a node of the run" in line("--node", "nobody")
    path = copy / "inputs" / "b.journal"
    (head, _), *_ = records(path)
    assert isinstance(head, Head)
    old = RecordFile(path, MAGIC)
    old.gather(msgspec.msgpack.encode((0, "0.0.1", head.wire_version, {"what it looked": "like then"})))
    old.write()
    old.close()
    assert "b.journal was written by qloom 0.0.1" in line("--node", "b")
    path.unlink()
    assert "b.journal cannot be read: No such file" in line("--node", "b")
    (copy / "journal").write_bytes(b"qloom journal 1\n")
    assert "is no journal of this version" in line("--node", "z")
    (copy / "journal").unlink()
    assert "journal cannot be read: No such file" in line("--node", "z")


@pytest.mark.slow
def test_an_application_whose_time_the_wall_clock_ended_is_ended_again(run_directory: Path) -> None:
    found = [record for record, _ in records(run_directory / "inputs" / "c.journal")]
    assert [each for each in found if isinstance(each, Late)]


@pytest.mark.slow
def test_no_key_of_a_node_is_in_its_records_and_guarded_sockets_replay_as_others(world: World) -> None:
    path = world.scenario({"service": ("alice", SERVICE)}, sockets={"transport": "tcp"})
    world.run(path, "--out", "out")
    for path in (world.directory / "out" / "inputs").iterdir():
        assert path.stat().st_mode & 0o077 == 0
        (head, _), *_ = records(path)
        assert isinstance(head, Head)
        assert head.configuration.security is None
    answer = told(replay(world.directory / "out", "--node", "alice", "--json"))
    assert answer["ok"], answer["stopped"]
    assert answer["requests"] >= 2
