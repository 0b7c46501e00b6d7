"""SeQUeNCe in its own environment, if there is one: ``scripts/setup sequence`` or QLOOM_SEQUENCE_PYTHON."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

VARIABLE = "QLOOM_SEQUENCE_PYTHON"
PROGRAM = Path(__file__).with_name("sequence_chain.py")
ENVIRONMENT = Path(__file__).parents[2] / ".sequence-env"
DEADLINE_S = 600.0


def interpreter() -> str | None:
    """The Python that has SeQUeNCe: what the variable names, else that of ``.sequence-env``; None: there is none.

    Raises:
        FileNotFoundError: the variable names something that cannot be run.
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"{VARIABLE} names {named!r}, which is not a program that can be run")
        return found
    own = ENVIRONMENT / "bin" / "python"
    return str(own) if own.exists() else None


def chain(nodes: int, *, pairs: int = 100, repetitions: int = 3) -> dict[str, Any] | None:
    """Medians over the repetitions on a chain of ``nodes`` routers; None, and a line that says so, without SeQUeNCe.

    ``seconds`` is building and running without the import, ``import_seconds`` comes on top of it.
    """
    python = interpreter()
    if python is None:
        print(
            f"SeQUeNCe: skipped, no environment of its own: run `scripts/setup sequence` or set {VARIABLE}",
            file=sys.stderr,
        )
        return None
    command = [python, str(PROGRAM), str(nodes), "--pairs", str(pairs), "--repetitions", str(repetitions)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=DEADLINE_S)
    answer = json.loads(done.stdout.splitlines()[-1])
    runs = answer.pop("runs")
    return {**answer, **{name: statistics.median(run[name] for run in runs) for name in runs[0]}}


if __name__ == "__main__":
    json.dump([chain(nodes) for nodes in (3, 5, 10, 20)], sys.stdout, indent=2)
    print()
