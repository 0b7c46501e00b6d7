"""The thirteen applications bundled with the package netqasm, unmodified: every result against theory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from netqasm_oracles import APPLICATIONS
from netqasm_runs import NETWORK, arguments, checked, run

RUNS = {"ideal": 3, "noisy": 16}
"""Enough to see every path; scripts/netqasm does many."""


@pytest.mark.parametrize("network", RUNS)
@pytest.mark.parametrize("name", APPLICATIONS)
def test_results_agree_with_theory(name: str, network: str, tmp_path: Path) -> None:
    noisy, runs = network == "noisy", RUNS[network]
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
        line = arguments("bb84", 0, noisy=tmp_path / "network.json")
        done = run(*line, "--runs", "2", "--seed", str(seed), "--out", str(tmp_path / out))
        assert done.returncode == 0, done.stderr
        return {key: json.loads(done.stdout)[key] for key in ("results", "digest")}

    first = found("first", 3)
    assert found("second", 3) == first
    assert found("third", 4)["results"] != first["results"]


@pytest.mark.parametrize(("name", "killed"), [("bb84", "c"), ("teleport", "c"), ("link_layer_ck", "west")])
@pytest.mark.parametrize("at_s", [0.05, 0.5])
def test_a_node_killed_in_the_middle_is_an_error_for_the_others(
    name: str, killed: str, at_s: float, tmp_path: Path
) -> None:
    network = {**NETWORK, "faults": [{"kind": "node_kill", "node": killed, "at_s": at_s}]}
    path = tmp_path / "network.json"
    line = arguments(name, 0, noisy=path)
    path.write_text(json.dumps(network))
    done = run(*line, "--runs", "1000", "--seed", "1", "--out", str(tmp_path / "out"))
    assert done.returncode != 0
    assert "QuantumNodeError" in done.stderr, done.stderr
