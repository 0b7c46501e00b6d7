"""Scenarios that break at random, and sweeps over their seeds: every check must hold, and every run must repeat.

`python tests/process/chaos.py DIRECTORY` writes the metropolitan one there, for `qloom run FILE --seed N --shrink`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from program import World

from orchestrator.trials.shrunk_scenario import document_of

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "tests" / "soak"
CHAIN = HOME / "chaos_chain10.yaml"
CIRCUITS = (("EN3", "EN8"), ("EN7", "EN6"), ("EN10", "EN11"), ("EN17", "EN12"), ("EN1", "EN16"))
"""Of the metropolitan network: over two fibres each, or three."""
NAMES = ("chain", "metropolitan")
SEEDS_AT_A_TIME = 10
TIMEOUT_S = 300.0
"""Wall seconds of one run, twice."""


def scenario(name: str, directory: Path) -> Path:
    """The file of a scenario; one that is made from another is written into the directory."""
    if name == "chain":
        return CHAIN
    path = directory / "chaos_metropolitan.json"
    path.write_text(json.dumps(metropolitan_document(), indent=1) + "\n")
    return path


def metropolitan_document() -> dict[str, Any]:
    """What is broken at random there, under a load that lets a run end in seconds."""
    network = document_of(ROOT / "topologies" / "beijing_qman.yaml")
    chaos = document_of(CHAIN)
    applications = []
    for head, tail in CIRCUITS:
        applications += [
            {"name": f"{head}-to-{tail}", "node": head, "command": ["python", "opens.py", tail, "0.1", "1.0"]},
            {"name": f"{tail}-from-{head}", "node": tail, "command": ["python", "takes.py", head]},
        ]
    kept = ("version", "hardware_profiles", "nodes", "links")
    return {name: network[name] for name in kept} | {
        "network": network["network"] | {"restore_timeout_s": chaos["network"]["restore_timeout_s"]},
        "name": "chaos_metropolitan",
        "description": "The Beijing metropolitan network, whose nodes, links, memories and messages fail at random.",
        "directory": str(HOME),
        "applications": applications,
        "faults": [{"kind": "node_restart", "node": "EN16", "at_s": 0.4, "for_s": 0.1, "restart_applications": True}],
        "random_faults": [{**group, "count": 2 * group["count"]} for group in chaos["random_faults"]],
        "check": {},
        "stop": {"at_s": 2.2},  # long enough for what was asked for within the first second to end
    }


@dataclass
class Sweep:
    """What came of seeds, each run twice."""

    seeds: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("faults", "circuits", "circuit pairs", "events"), 0.0)
    )
    run_wall_s: list[float] = field(default_factory=list)
    """Of the first run of each seed, by its own report."""

    def add(self, report: dict[str, Any]) -> None:
        """A sweep's own report."""
        for trial in report["trials"]:
            self.seeds += 1
            if trial["failures"]:
                self.failures.append({"seed": trial["seed"], "failures": trial["failures"]})
            for name in self.totals:
                self.totals[name] += trial["figures"].get(name, 0.0)
            if "wall_s" in trial["figures"]:
                self.run_wall_s.append(trial["figures"]["wall_s"])


def swept(
    world: World, name: str, seeds: range, sweep: Sweep, *, jobs: int, heard: Callable[[], None] = lambda: None
) -> None:
    """Run every seed of a scenario twice, the second time shaken; nothing may be left behind. ``sweep`` is added to.

    Raises:
        AssertionError: the sweep itself failed, or something is left.
    """
    path = scenario(name, world.directory)
    for first in range(seeds.start, seeds.stop, SEEDS_AT_A_TIME):
        last = min(first + SEEDS_AT_A_TIME, seeds.stop) - 1
        running = world.start(
            "run", path, "--seeds", f"{first}..{last}", "--repeat", "--jobs", str(jobs), "--keep", "none",
            "--timeout", f"{TIMEOUT_S:g}", "--json",
        )  # fmt: skip
        ended = world.ended(running, deadline_s=TIMEOUT_S * (last - first + 2))
        assert ended.code in (0, 1), ended
        sweep.add(ended.report)
        world.wait_until_clean()
        heard()


if __name__ == "__main__":
    print(scenario("metropolitan", Path(sys.argv[1])))
