"""Whole runs, from the command to its end, alone and in sweeps, beside bare interpreters that import QuTiP."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "topologies" / "bell_pair.yaml"
DEADLINE_S = 600.0


def _seconds(*arguments: str, directory: str) -> float:
    """Wall time of a Python interpreter."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=directory, stdout=subprocess.DEVNULL, check=True, timeout=DEADLINE_S
    )
    return time.perf_counter() - began


def measured(*, quick: bool) -> dict[str, Any]:
    """Medians of runs in turn; of a sweep, the time of all runs over their number."""
    rounds, seeds = (1, 4) if quick else (5, 40)
    bare, alone = [], []
    with tempfile.TemporaryDirectory() as directory:
        run = ("-m", "orchestrator", "run", str(SCENARIO), "--json")
        for number in range(rounds):
            bare.append(_seconds("-c", "import qutip", directory=directory))
            alone.append(_seconds(*run, "--out", f"{number}", directory=directory))
        swept = {}
        for jobs in (1, 2):
            sweep = ("--seeds", f"1..{seeds}", "--jobs", f"{jobs}", "--keep", "none")
            swept[str(jobs)] = _seconds(*run, *sweep, directory=directory) / seeds
    return {
        "scenario": SCENARIO.relative_to(ROOT).name,
        "alone_seconds": statistics.median(alone),
        "bare_import_seconds": statistics.median(bare),
        "seeds": seeds,
        "swept_seconds": swept,
    }
