"""Runs of the applications bundled with the package netqasm, on an ideal mesh or on a noisy network of repeaters."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from netqasm_oracles import APPLICATIONS, Checked, Seen

FIDELITY = 0.97
"""Of each link of the noisy network."""
NODES = "acbd"
SIDES = {"a": "west", "b": "west", "c": "east", "d": "east"}
NETWORK = {
    "version": 1,
    "name": "dumbbell",
    "network": {},
    "nodes": {**dict.fromkeys((*SIDES, "west", "east"))},
    "links": {
        f"{one}-{other}": {
            "ends": [one, other],
            "length_km": 5,
            "heralding": {"scheme": "source", "fidelity": FIDELITY, "success_probability": 0.8},
        }
        for one, other in (*SIDES.items(), ("west", "east"))
    },
}
"""Two end nodes at each of two repeaters: between the sides, a pair goes over three links."""


def arguments(name: str, number: int, *, noisy: Path | None) -> list[str]:
    """Of ``qloom netqasm run``, for the inputs of that number; ``noisy``: where to write the noisy network."""
    application = APPLICATIONS[name]
    line = [name, "--log-level", application.log_level]
    for role, inputs in application.inputs[number].items():
        for key, value in inputs.items():
            line += ["--input", f"{role}.{key}={json.dumps(value)}"]
    if noisy is not None:
        noisy.write_text(json.dumps(NETWORK))
        line += ["--topology", str(noisy)]
        for role, node in zip(application.roles, NODES, strict=False):
            line += ["--map", f"{role}={node}"]
    return line


def run(*line: str, deadline_s: float = 300) -> subprocess.CompletedProcess[str]:
    """``qloom netqasm run`` to its end."""
    command = [sys.executable, "-P", "-m", "orchestrator", "netqasm", "run", "--json", *line]
    return subprocess.run(command, capture_output=True, text=True, timeout=deadline_s, check=False)


def checked(name: str, number: int, found: dict[str, Any], *, noisy: bool) -> list[Checked]:
    """What the results of a finished run are, held against theory."""
    application = APPLICATIONS[name]
    directory = Path(found["run_directory"])
    logs = {
        role: (directory / "logs" / f"application-{role}.log").read_text(encoding="utf-8") for role in application.roles
    }
    place = dict(zip(application.roles, NODES, strict=False))
    of_link = (4 * FIDELITY - 1) / 3

    def werner(one: str, other: str) -> float:
        hops = 2 if SIDES[place[one]] == SIDES[place[other]] else 3
        return of_link**hops if noisy else 1.0

    seen = Seen(found["results"], logs, directory / "netqasm")
    return list(application.oracle(seen, werner, application.inputs[number]))
