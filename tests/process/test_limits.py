"""What the machine refuses: a full disk, too many open files. One clear error, nothing corrupt, nothing left."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from program import World

from orchestrator.fabric.journal import RoundOpened, records

TALKS = """\
from qnode.sdk import attach

with attach() as session:
    for number in range(300):
        session.measure(session.request_pair("{remote}"))
"""


def limit(kind: int, most: int) -> Callable[[], None]:
    """For a child, before it becomes the program."""
    return lambda: resource.setrlimit(kind, (most, most))


def talk(world: World) -> Path:
    programs = {"one": ("alice", TALKS.format(remote="bob")), "two": ("bob", TALKS.format(remote="alice"))}
    return world.scenario(programs)


@pytest.mark.slow
def test_no_room_for_the_journal(world: World) -> None:
    ended = world.qloom("run", talk(world), "--out", "out", preexec_fn=limit(resource.RLIMIT_FSIZE, 60_000))
    assert ended.code == 3
    out = world.directory / "out"
    [error] = [line for line in ended.err.splitlines() if "cannot be written" in line]
    assert error.startswith(f"qloom: the journal {out / 'journal'} cannot be written: File too large; ")
    assert "make room there, or choose another run directory with --out" in error
    assert "Traceback" not in ended.err
    assert "Traceback" not in (out / "logs" / "fabric.log").read_text()
    found = [record for record, _ in records(out / "journal")]
    assert sum(isinstance(record, RoundOpened) for record in found) > 20
    lines = (out / "events.jsonl").read_bytes()
    assert lines.endswith(b"\n")
    assert [json.loads(line) for line in lines.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("files", [12, 16])
def test_too_few_open_files(world: World, files: int) -> None:
    ended = world.qloom("run", talk(world), "--out", "out", preexec_fn=limit(resource.RLIMIT_NOFILE, files))
    assert ended.code == 3
    assert "Too many open files" in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.slow
def test_no_room_for_the_report(world: World) -> None:
    scenario = world.scenario({}, stop={"at_s": 0.001})
    ended = world.qloom("run", scenario, "--out", "out", preexec_fn=limit(resource.RLIMIT_FSIZE, 1200))
    assert ended.code == 3
    assert "scenario.json cannot be written: File too large; make room there" in ended.err
    assert "Traceback" not in ended.err
