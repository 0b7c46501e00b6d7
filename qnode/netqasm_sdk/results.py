"""The results of programs as JSON lines: one a run, whatever numbers ``main`` returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from netqasm.sdk.futures import BaseFuture


def plain(value: Any) -> Any:
    """A value as JSON can say it: a complex number is a map of ``real`` and ``imag``, what nobody knows its text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, BaseFuture):
        return plain(value.value)
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, complex):
        return {"real": value.real, "imag": value.imag}
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return str(value)


def add(path: Path, run: int, results: Any) -> None:
    """Write down what a run gave."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"run": run, "results": plain(results)}) + "\n")
