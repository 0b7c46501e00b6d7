"""What a sweep comes to: how many passed, what failed and with which seeds, how the key figures are distributed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.checks.log import counted
from orchestrator.trials.trial import Trial

MOST_SEEDS_SHOWN = 12
MOST_FIGURES_SHOWN = 24


def of(trials: Sequence[Trial], *, wall_s: float, jobs: int) -> dict[str, Any]:
    """The summary as JSON types."""
    by_kind: dict[str, list[int]] = {}
    for trial in trials:
        for kind in dict.fromkeys(failure.kind for failure in trial.failures):
            by_kind.setdefault(kind, []).append(trial.seed)
    names = dict.fromkeys(name for trial in trials for name in trial.figures)
    return {
        "runs": len(trials),
        "passed": sum(trial.passed for trial in trials),
        "failed": dict(sorted(by_kind.items(), key=lambda item: -len(item[1]))),
        "wall_s": wall_s,
        "jobs": jobs,
        "figures": {
            name: _distribution([trial.figures[name] for trial in trials if name in trial.figures]) for name in names
        },
    }


def _distribution(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "runs": len(ordered),
        "min": ordered[0],
        "p50": statistics.median(ordered),
        "max": ordered[-1],
        "mean": statistics.fmean(ordered),
        "standard_deviation": statistics.stdev(ordered) if len(ordered) > 1 else 0.0,
    }


def rendered(summary: dict[str, Any]) -> RenderableType:
    """The summary as a person reads it."""
    failed = summary["runs"] - summary["passed"]
    style = "red" if failed else "green"
    rate = f"{summary['wall_s']:.1f} s, {counted(summary['jobs'], 'job')}"
    parts: list[RenderableType] = []
    if summary["figures"]:
        table = Table("", "min", "median", "mean", "sd", "max", title="Key figures of the runs", title_justify="left")
        for name, values in list(summary["figures"].items())[:MOST_FIGURES_SHOWN]:
            cells = (values[column] for column in ("min", "p50", "mean", "standard_deviation", "max"))
            table.add_row(name.replace("_", " "), *(f"{value:.4g}" for value in cells))
        if len(summary["figures"]) > MOST_FIGURES_SHOWN:
            table.caption = f"and {len(summary['figures']) - MOST_FIGURES_SHOWN} more, with --json"
        parts.append(table)
    if summary["failed"]:
        table = Table("what failed", "runs", "seeds", title="Failures", title_justify="left")
        for kind, seeds in summary["failed"].items():
            more = f" and {len(seeds) - MOST_SEEDS_SHOWN} more" if len(seeds) > MOST_SEEDS_SHOWN else ""
            table.add_row(kind, str(len(seeds)), ", ".join(map(str, seeds[:MOST_SEEDS_SHOWN])) + more)
        parts.append(table)
    parts.append(
        Text(f"{summary['passed']} of {counted(summary['runs'], 'run')} passed, {failed} failed; {rate}", style)
    )
    return Group(*parts)
