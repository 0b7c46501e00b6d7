"""Kill rounds, many of them: `python tests/process/soak.py --rounds 50` prints one JSON object; exit 0 iff all held."""

from __future__ import annotations

import argparse
import itertools
import json
import random
import runpy
import signal
import sys
import tempfile
import time
from pathlib import Path

from kill_rounds import LATEST_KILL_S, VICTIMS, Round, interrupt_round, kill_round
from program import World

KINDS = (*VICTIMS, "Ctrl-C")


def one_round(kind: str, random_numbers: random.Random) -> Round:
    """A round in a world of its own."""
    with tempfile.TemporaryDirectory(prefix="qloom-soak-") as directory:
        world = World(Path(directory).resolve())
        try:
            if kind == "Ctrl-C":
                return interrupt_round(world, random_numbers.uniform(0, LATEST_KILL_S))
            return kill_round(world, kind, random_numbers, attached=random_numbers.random() < 0.5)
        finally:
            world.destroy()


def main() -> int:
    """Run the rounds and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep the figures and write docs/results.md")
    arguments = parser.parse_args()
    results = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "benchmarks" / "results.py"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would ours
    began = time.monotonic()
    done: list[Round] = []
    failures = []
    for number, kind in enumerate(itertools.islice(itertools.cycle(KINDS), arguments.rounds)):
        try:
            done.append(one_round(kind, random.Random(f"{arguments.seed} {number}")))
        except AssertionError as failure:
            failures.append({"round": number, "victim": kind, "failure": str(failure)})
        print(f"round {number + 1}/{arguments.rounds}: {kind}, {len(failures)} failures", file=sys.stderr, flush=True)
    found = {
        "rounds": arguments.rounds,
        "seed": arguments.seed,
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
        "wall_s": time.monotonic() - began,
        "machine": results["machine"](),
        "command": f"scripts/soak --rounds {arguments.rounds}",
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(found, indent=2))
    if arguments.write:
        results["keep"]("soak", found)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
