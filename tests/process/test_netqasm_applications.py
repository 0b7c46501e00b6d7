"""The thirteen applications bundled with the package netqasm, unmodified: every result against theory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from netqasm_oracles import APPLICATIONS
from netqasm_runs import NETWORK, arguments, checked, run

IDEAL = ("blind_grover", "magic_square", "multiple_files", "single_node")
"""On the ideal mesh; all others on the noisy network, where each check needs what it needs there, and more."""
RUNS = {"bb84": 4, "anonymous_transmission": 8}
"""Of the others 16: enough to see every path. scripts/netqasm runs all on both networks, at length."""


@pytest.mark.parametrize("name", APPLICATIONS)
def test_results_agree_with_theory(name: str, tmp_path: Path) -> None:
    noisy, runs = name not in IDEAL, RUNS.get(name, 16)
    line = arguments(name, 0, noisy=tmp_path / "network.json" if noisy else None)
    done = run(*line, "--runs", str(runs), "--seed", "1", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["deterministic"]
    assert len(found["results"]) == runs
    checks = checked(name, 0, found, noisy=noisy)
    assert checks
    for each in checks:
        assert each.holds, each


def test_a_run_is_the_same_again_from_its_seed(tmp_path: Path) -> None:
    def found(out: str, seed: int) -> dict[str, Any]:
        line = arguments("teleport", 0, noisy=tmp_path / "network.json")
        done = run(*line, "--runs", "5", "--seed", str(seed), "--out", str(tmp_path / out))
        assert done.returncode == 0, done.stderr
        return {key: json.loads(done.stdout)[key] for key in ("results", "digest")}

    first = found("first", 3)
    assert found("second", 3) == first
    assert found("third", 4)["results"] != first["results"]


@pytest.mark.parametrize(
    ("name", "killed", "at_s", "neighbours"),
    [
        ("teleport", "c", 0.03, False),
        ("link_layer_ck", "west", 0.03, False),
        ("magic_square", "c", 0.02, True),
    ],
)
def test_a_node_killed_in_the_middle_is_an_error_for_the_others(
    name: str, killed: str, at_s: float, neighbours: bool, tmp_path: Path
) -> None:
    network = {**NETWORK, "faults": [{"kind": "node_kill", "node": killed, "at_s": at_s}]}
    if neighbours:
        network |= {"network": None, "links": {"fibre": {"ends": ["a", "c"], "length_km": 5}}}
    path = tmp_path / "network.json"
    line = arguments(name, 0, noisy=path)
    path.write_text(json.dumps(network))
    out = tmp_path / "out"
    done = run(*line, "--runs", "1000", "--seed", "1", "--out", str(out))
    assert done.returncode != 0
    logs = [path.read_text() for path in (out / "logs").glob("application-*.log")]
    assert any("QuantumNodeError: the quantum node answered with the error" in log for log in logs), done.stderr
    ended = [len(path.read_text().splitlines()) for path in (out / "netqasm").glob("*.jsonl")]
    assert min(ended) > 0, "it was in the middle"
