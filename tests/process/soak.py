"""The whole soak, or parts of it: one JSON object on standard output, progress on standard error; exit 0 iff all held.

Ctrl-C ends a sweep of seeds early, and what was run counts.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import runpy
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chaos
import hostile
from fabric_kills import random_kills
from kill_rounds import LATEST_KILL_S, VICTIMS, Round, interrupt_round, kill_round
from program import World
from test_determinism import busy
from test_pytest_plugin import EXAMPLE, pytest_on

KINDS = (*VICTIMS, "Ctrl-C")
MOST_FAULTS_LEFT = 3
SIEGE_PAIRS = 5000
"""Of honest work in each siege."""


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def new_world() -> Iterator[World]:
    """A world that is destroyed afterwards."""
    with tempfile.TemporaryDirectory(prefix="qloom-soak-") as directory:
        world = World(Path(directory).resolve())
        try:
            yield world
        finally:
            world.destroy()


def one_round(kind: str, random_numbers: random.Random) -> Round:
    """A round in a world of its own."""
    with new_world() as world:
        if kind == "Ctrl-C":
            return interrupt_round(world, random_numbers.uniform(0, LATEST_KILL_S))
        return kill_round(world, kind, random_numbers, attached=random_numbers.random() < 0.5)


def kills(asked: argparse.Namespace) -> dict[str, Any]:
    """Sudden death of one process after the other: it is told, and nothing is left."""
    done: list[Round] = []
    failures = []
    for number, kind in enumerate(itertools.islice(itertools.cycle(KINDS), asked.rounds)):
        try:
            done.append(one_round(kind, random.Random(f"{asked.seed} {number}")))
        except AssertionError as failure:
            failures.append({"round": number, "victim": kind, "failure": str(failure)})
        say(f"round {number + 1}/{asked.rounds}: {kind}, {len(failures)} failures")
    return {
        "rounds": asked.rounds,
        "seed": asked.seed,
        "failures": failures,
        "victims": {
            kind: {
                "rounds": sum(each.victim == kind for each in done),
                "worst_told_s": max((each.told_s for each in done if each.victim == kind), default=None),
                "worst_clean_s": max((each.clean_s for each in done if each.victim == kind), default=None),
            }
            for kind in KINDS
        },
        "worst_clean_s": max((each.clean_s for each in done), default=None),
    }


def fabric(asked: argparse.Namespace) -> dict[str, Any]:
    """The fabric is killed at random moments: the digest stays what it is."""
    with new_world() as world:
        found = random_kills(world, busy(world), asked.kills, random.Random(f"{asked.seed} fabric"))
        world.wait_until_clean()
    return {**found, "seed": asked.seed, "failures": []}


def seeds(name: str) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """The part that sweeps a scenario."""

    def part(asked: argparse.Namespace) -> dict[str, Any]:
        wanted = range(asked.seed, asked.seed + asked.seeds)

        sweep = chaos.Sweep()

        def heard() -> None:
            say(f"{name}: {sweep.seeds}/{asked.seeds} seeds, {len(sweep.failures)} failures")
            for failure in sweep.failures:
                say(f"  {json.dumps(failure)}")

        with new_world() as world, contextlib.suppress(KeyboardInterrupt):  # what is done by then counts
            chaos.swept(world, name, wanted, sweep, jobs=os.cpu_count() or 1, heard=heard)
        return {
            "first_seed": wanted.start,
            "seeds": sweep.seeds,
            "failures": sweep.failures,
            "run_wall_p50_s": statistics.median(sweep.run_wall_s) if sweep.run_wall_s else None,
            "totals": sweep.totals,
        }

    return part


def example(asked: argparse.Namespace) -> dict[str, Any]:
    """The planted bugs of the example suite are found, and shrunk to few faults."""
    found: dict[str, Any] = {"failures": [], "bugs": {}}
    for name, words in {
        "a forgotten Pauli correction": "sent",
        "a swap rule that mixes up two pairs": "swapped",
    }.items():
        ended = pytest_on(EXAMPLE, "planted.py", "-k", words, "--qloom-shrink", "30")
        shrunk = re.search(r"shrunk to (\d+) of (\d+) faults in (\d+) runs", ended.stdout)
        say(f"{name}: {shrunk[0] if shrunk else 'NOT FOUND'}")
        if shrunk is None or ended.returncode != 1 or int(shrunk[1]) > MOST_FAULTS_LEFT:
            found["failures"].append({"bug": name, "said": ended.stdout[-2000:]})
        else:
            left, drawn, runs = map(int, shrunk.groups())
            found["bugs"][name] = {"faults": drawn, "left": left, "runs": runs}
    return found


def siege(asked: argparse.Namespace) -> dict[str, Any]:
    """Hostile clients beside honest work."""
    found = hostile.figures(frames=asked.frames, pairs=SIEGE_PAIRS, seed=asked.seed)
    return {**found, "failures": [] if found["held"] else ["a siege changed something; see its figures"]}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "kills": kills,
    "fabric": fabric,
    **{f"seeds-{name}": seeds(name) for name in chaos.NAMES},
    "example": example,
    "siege": siege,
}
SIZES = {
    "kills": ("rounds",),
    "fabric": ("kills",),
    **{f"seeds-{name}": ("seeds",) for name in chaos.NAMES},
    "siege": ("frames",),
}
"""The options that say how much of a part is run."""


def command(part: str, asked: argparse.Namespace) -> str:
    """The command that runs this part alone in the same way."""
    sizes = "".join(f" --{size} {getattr(asked, size)}" for size in SIZES.get(part, ()))
    return f"scripts/soak --parts {part}{sizes} --seed {asked.seed}"


def main() -> int:
    """Run the parts and print what was found."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=50, help="of kills")
    parser.add_argument("--kills", type=int, default=30, help="of the fabric")
    parser.add_argument("--seeds", type=int, default=200, help="of each scenario; each seed is run twice")
    parser.add_argument("--frames", type=int, default=1_000_000, help="of hostile clients")
    parser.add_argument("--seed", type=int, default=1, help="of random moments; the first of the scenarios' seeds")
    parser.add_argument("--write", action="store_true", help="keep the figures and write docs/results.md")
    asked = parser.parse_args()
    results = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "benchmarks" / "results.py"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would ours
    found: dict[str, Any] = {}
    for part in dict.fromkeys(asked.parts):
        say(f"{part}: {command(part, asked)}")
        began = time.monotonic()
        try:
            figures = PARTS[part](asked)
        except (AssertionError, subprocess.TimeoutExpired) as failure:
            figures = {"failures": [str(failure)]}
        found[part] = {
            "command": command(part, asked),
            "date": time.strftime("%Y-%m-%d"),
            "machine": results["machine"](),
            "load": os.getloadavg()[1],
            "wall_s": time.monotonic() - began,
            **figures,
        }
        if asked.write:
            if part == "siege":
                results["keep"](part, found[part])
            else:
                results["keep"]("soak", {part: found[part]})
    print(json.dumps(found, indent=2))
    return 1 if any(part["failures"] for part in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
