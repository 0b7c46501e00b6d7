"""Every application bundled with the package netqasm, with many runs and all inputs: see scripts/netqasm."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from netqasm_oracles import APPLICATIONS
from netqasm_runs import FIDELITY, arguments, checked, run

DEADLINE_S = 3600
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "netqasm.json"
PAGE = RESULTS.parents[1] / "results.md"
BEGIN, END = "<!-- netqasm -->\n", "<!-- end of netqasm -->\n"


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


def table(studies: list[dict[str, Any]]) -> Iterator[str]:
    """The section of the page."""
    yield "## NetQASM\n\n"
    yield (
        "`scripts/netqasm`: the thirteen applications bundled with the package netqasm, unmodified. Ideal: a link between "
        f"any two roles. Noisy: two repeaters, two end nodes at each, Werner pairs of fidelity {FIDELITY} on every link. "
        "Where theory gives no distribution but a value, the deviation is what was found, and must be below 0.002. All runs "
        "have the same seed, so that rows are not independent.\n\n"
    )
    yield "| application | network | check | n | found | theory | deviation |\n|---|---|---|---|---|---|---|\n"
    for each in studies:
        for check in each["checks"]:
            off = f"{check['sigmas']:.1f} sigma" if check["sigma"] else f"{abs(check['found'] - check['expected']):.1g}"
            yield (
                f"| {each['application']} | {'noisy' if each['noisy'] else 'ideal'} | {check['what']} | {check['n']} "
                f"| {check['found']:.4g} | {check['expected']:.4g} | {off} |\n"
            )


def write(studies: list[dict[str, Any]]) -> None:
    """Into the repository's results."""
    RESULTS.write_text(json.dumps(studies, indent=1) + "\n")
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}{END}"
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{''.join(table(studies))}{END}{rest.split(END)[1]}", encoding="utf-8")


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
        write(studies)
    print(json.dumps(studies))
    sys.exit(0 if all(check["holds"] for each in studies for check in each["checks"]) else 1)


if __name__ == "__main__":
    main()
