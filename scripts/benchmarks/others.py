"""What qloom is compared with, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def interpreter(name: str) -> str | None:
    """The Python that has the package ``name``: what QLOOM_NAME_PYTHON names, else that of ``.NAME-env``.

    Without either it says so, and returns None.

    Raises:
        FileNotFoundError: the variable names something that cannot be run.
    """
    variable = f"QLOOM_{name.upper()}_PYTHON"
    named = os.environ.get(variable)
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"{variable} names {named!r}, which is not a program that can be run")
        return found
    own = ROOT / f".{name}-env" / "bin" / "python"
    if own.exists():
        return str(own)
    print(f"{name}: skipped, no environment of its own: run `scripts/setup {name}` or set {variable}", file=sys.stderr)
    return None
