"""Results of a NetQASM application: gathered from its programs, and written as the package writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from orchestrator.run_directory import NETQASM
from orchestrator.scenario import Scenario

Results = dict[str, Any]
"""What each program's ``main`` returned in one run, under ``app_ROLE``; a complex number is a map of real and imag."""
FILE = "results.yaml"


def gathered(scenario: Scenario, run_directory: Path) -> list[Results]:
    """The results of all runs that every role has ended."""
    by_role: dict[str, list[Any]] = {}
    for application in scenario.applications:
        if application.netqasm is not None:
            path = run_directory / NETQASM / f"{application.name}.jsonl"
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            by_role[f"app_{application.name}"] = [json.loads(line)["results"] for line in lines]
    return [dict(zip(by_role, each, strict=True)) for each in zip(*by_role.values(), strict=False)]


def write(results: list[Results], run_directory: Path) -> Path:
    """Write ``results.yaml``: a map of ``app_ROLE``, or a list of such maps where there were several runs."""
    path = run_directory / NETQASM / FILE
    said = results[0] if len(results) == 1 else results
    path.write_text(yaml.dump(_with_complex(said)), encoding="utf-8")
    return path


def _with_complex(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"real", "imag"}:
            return complex(value["real"], value["imag"])
        return {key: _with_complex(each) for key, each in value.items()}
    return [_with_complex(each) for each in value] if isinstance(value, list) else value
