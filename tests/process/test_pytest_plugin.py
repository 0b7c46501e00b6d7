"""The pytest plugin as its users have it: bugs are found, told with the command that repeats them, and made small."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "example"
DEADLINE_S = 400


def pytest_on(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", *arguments],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.slow
def test_a_planted_bug_is_found_and_reduced_to_the_fault_that_brings_it_out() -> None:
    found = pytest_on(EXAMPLE, "planted.py", "-k", "sent", "--qloom-shrink", "30")
    assert found.returncode == 1, found.stdout + found.stderr
    shrunk = re.search(r"shrunk to (\d+) of 8 faults in \d+ runs, none of which can be left out:\n(.*)", found.stdout)
    assert shrunk is not None, found.stdout
    assert int(shrunk[1]) <= 3
    assert '"quantum_down"' in shrunk[2] and '"alice-repeater"' in shrunk[2]
    repeat = re.search(r"repeat: pytest (\S+) --qloom-seed 1\n", found.stdout)
    assert repeat is not None
    again = pytest_on(EXAMPLE, repeat[1], "--qloom-seed", "1")
    assert again.returncode == 1
    assert "assert sum(received.result) == 0" in again.stdout


@pytest.mark.slow
def test_mended_the_programs_pass_for_every_seed_also_side_by_side() -> None:
    passed = pytest_on(EXAMPLE, "planted.py", "--qloom-seeds", "1..1", "-n", "2", PLANTED="no")
    assert passed.returncode == 0, passed.stdout
    assert "2 passed" in passed.stdout


def test_a_test_without_a_scenario_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("def test_x(testbed): ...\n")
    (tmp_path / "test_y.py").write_text(
        "import pytest\n@pytest.mark.qloom('no.yaml')\ndef test_y(testbed): ...\n"
        "@pytest.mark.qloom({'version': 1, 'name': 'z', 'nodes': {'a': None}, 'link': {}})\ndef test_z(testbed): ...\n"
    )
    ended = pytest_on(tmp_path)
    assert ended.returncode == 1
    assert "needs the marker qloom with a scenario" in ended.stdout
    assert "no.yaml: No such file or directory" in ended.stdout
    assert "link: unknown key; did you mean 'links'?" in ended.stdout
    assert (
        "--qloom-seeds: expected two numbers such as 0..9, found 'x'"
        in pytest_on(tmp_path, "--qloom-seeds", "x").stdout
    )
