"""Every scenario that comes with qloom runs, and what it expects of itself holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted((ROOT / "topologies").glob("*.yaml"))
APPLICATIONS = ("anonymous_transmission", "bb84", "blind_computing", "clock_synchronisation")
"""Of those in topologies/applications, one for each thing that they ask of nodes; tests/applications has them all."""
SHOWN = (ROOT / "README.md").read_text() + (ROOT / "scripts" / "demo").read_text()
TOPOLOGIES = [path for path in SCENARIOS if f"qloom run topologies/{path.name}" not in SHOWN]
"""Those of the README's commands, the demo among them, are run with them."""
RUN_DEADLINE_S = 400


def run(scenario: Path, out: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator", "run", str(scenario), "--json", "--out", str(out), *options],
        capture_output=True,
        text=True,
        timeout=RUN_DEADLINE_S,
        check=False,
        env={**os.environ, "PATH": f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}"},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [*TOPOLOGIES, *(ROOT / "topologies" / "applications" / f"{name}.yaml" for name in APPLICATIONS)],
    ids=lambda path: path.stem,
)
def test_a_topology_meets_its_expectations(scenario: Path, tmp_path: Path) -> None:
    report = run(scenario, tmp_path / "run")
    assert report["ok"]
    assert all(expectation["holds"] for expectation in report["expectations"])
    assert report["deterministic"]
    assert len(report["digest"]) == 32


@pytest.mark.slow
def test_a_paced_run_takes_its_time_and_has_the_same_events(tmp_path: Path) -> None:
    scenario = ROOT / "topologies" / "eavesdropper.yaml"
    at_max = run(scenario, tmp_path / "max")
    pace = at_max["virtual_s"] / (2 * at_max["wall_s"])
    paced = run(scenario, tmp_path / "paced", "--pace", f"{pace:.4f}")
    assert paced["digest"] == at_max["digest"]
    assert paced["virtual_s"] / pace <= 1.01 * paced["wall_s"] < 3 * paced["virtual_s"] / pace
    assert paced["lateness"]["grants"] > 1000


@pytest.mark.slow
def test_the_metropolitan_link_agrees_with_theory_at_another_seed(tmp_path: Path) -> None:
    scenario = next(path for path in SCENARIOS if path.stem == "metro_link")
    report = run(scenario, tmp_path / "run", "--seed", "77")
    link, theory = report["links"]["alice-bob"], report["theory"]["alice-bob"]
    assert link["pairs"] == 3000
    waiting = link["waiting_s"]["mean"]
    deviation = link["expected_waiting_s"] / 3000**0.5
    assert abs(waiting - link["expected_waiting_s"]) <= 4.5 * deviation
    # F = 1 - (what two memories lose) from the herald on: a little below the herald's, far above what CHSH needs
    assert 0.78 < theory["fidelity"] < link["expected_fidelity_at_herald"]
    for application, name in (("alice_app", "chsh_value"), ("bob_app", "teleportation_fidelity")):
        found = report["results"][application][name]
        assert abs(found["value"] - theory[name]) <= 4.5 * found["standard_error"]
