"""What the processes of a scenario's NetQASM programs are told."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec

from orchestrator.run_directory import NETQASM
from orchestrator.scenario import Application, Scenario
from orchestrator.topology import Topology
from qnode import config
from qnode.security.keys import write_private

MODULE = "qnode.netqasm_sdk.__main__"
"""What runs a program. To import it takes most of a second, so the agent does so once for all."""
MISSING = "NetQASM programs need the package netqasm, which is not installed: pip install 'qloom[netqasm]'"


def are_possible() -> bool:
    """Whether the package netqasm is there."""
    spec = importlib.util.find_spec("netqasm")
    return spec is not None and spec.origin is not None  # not just any folder of that name


def write_told(scenario: Scenario, application: Application, directory: Path, run_directory: Path) -> Path:
    """The file with what the process of ``application`` is told; ``directory``: where applications are run."""
    program = application.netqasm
    assert program is not None
    folder = run_directory / NETQASM
    groups = Topology(scenario).classical_components()
    told = config.NetqasmProgram(
        file=str(directory / program.file),
        role=application.name,
        node=application.node,
        roles={each.name: each.node for each in scenario.applications if each.netqasm is not None},
        nodes=tuple(sorted(next(group for group in groups if application.node in group))),
        inputs=program.inputs,
        runs=program.runs,
        flavour=program.flavour,
        seed=scenario.seed,
        log_level=program.log_level,
        directory=str(folder),
    )
    folder.mkdir(exist_ok=True)
    path = folder / f"{application.name}.json"
    write_private(path, msgspec.json.encode(told))
    return path
