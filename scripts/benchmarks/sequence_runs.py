"""SeQUeNCe in its own environment, if there is one."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import others

PROGRAM = Path(__file__).with_name("sequence_chain.py")
DEADLINE_S = 600.0


def chain(nodes: int, *, pairs: int = 100, repetitions: int = 3) -> dict[str, Any] | None:
    """Medians over the repetitions on a chain of ``nodes`` routers; None, and a line that says so, without SeQUeNCe.

    ``seconds`` is building and running without the import, ``import_seconds`` comes on top of it.
    """
    python = others.interpreter("sequence")
    if python is None:
        return None
    command = [python, str(PROGRAM), str(nodes), "--pairs", str(pairs), "--repetitions", str(repetitions)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=DEADLINE_S)
    answer = json.loads(done.stdout.splitlines()[-1])
    runs = answer.pop("runs")
    return {**answer, **{name: statistics.median(run[name] for run in runs) for name in runs[0]}}


if __name__ == "__main__":
    json.dump([chain(nodes) for nodes in (3, 5, 10, 20)], sys.stdout, indent=2)
    print()
