"""Every application bundled with the package netqasm, with many runs and all inputs: see scripts/netqasm."""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netqasm_oracles import APPLICATIONS
from netqasm_runs import FIDELITY, arguments, checked, run

DEADLINE_S = 3600


def study(name: str, number: int, *, noisy: bool, runs: int, seed: int) -> dict[str, Any]:
    """One testbed: the checks, and what it took."""
    with tempfile.TemporaryDirectory() as place:
        line = arguments(name, number, noisy=Path(place) / "network.json" if noisy else None)
        out = ("--runs", str(runs), "--seed", str(seed), "--out", f"{place}/out")
        done = run(*line, *out, deadline_s=DEADLINE_S)
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stderr}")
        found = json.loads(done.stdout)
        checks = checked(name, number, found, noisy=noisy)
    return {
        "application": name,
        "inputs": APPLICATIONS[name].inputs[number],
        "noisy": noisy,
        "runs": runs,
        "virtual_s": found["virtual_s"],
        "wall_s": found["wall_s"],
        "checks": [{**asdict(each), "sigmas": each.sigmas, "holds": each.holds} for each in checks],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="The bundled NetQASM applications against theory.")
    parser.add_argument("--runs", type=int, default=400, help="of each application with each of its inputs")
    parser.add_argument("--only", nargs="*", default=list(APPLICATIONS), choices=list(APPLICATIONS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into docs/results/netqasm.json and docs/results.md")
    chosen = parser.parse_args()
    studies = []
    for name in chosen.only:
        for noisy in (False, True):
            for number in range(len(APPLICATIONS[name].inputs)):
                studies.append(study(name, number, noisy=noisy, runs=chosen.runs, seed=chosen.seed))
                print(
                    f"{name} {number} {'noisy' if noisy else 'ideal'}: {studies[-1]['wall_s']:.1f} s", file=sys.stderr
                )
                for each in studies[-1]["checks"]:
                    print(f"  {'ok  ' if each['holds'] else 'BAD '}{each}", file=sys.stderr)
    if chosen.write:
        results = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "benchmarks" / "results.py"))
        results["keep"]("netqasm", {"fidelity": FIDELITY, "studies": studies})
    print(json.dumps(studies))
    sys.exit(0 if all(check["holds"] for each in studies for check in each["checks"]) else 1)


if __name__ == "__main__":
    main()
