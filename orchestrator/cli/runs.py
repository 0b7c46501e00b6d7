"""Runs from start to report: ``run``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.failures import guarded
from orchestrator.cli.options import directory_of, out_option, pace_option, scenario_argument, scenario_of, seed_option
from orchestrator.exit_codes import EXPECTATION_FAILED, OK


@click.command()
@scenario_argument
@seed_option
@pace_option
@out_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output and nothing else.")
@click.option("--check-determinism", is_flag=True, help="Run twice, the second time shaken, and compare the events.")
@click.option(
    "--shake",
    "shake_s",
    type=click.FloatRange(0, 10),
    default=0.0,
    help="Longest random wall-clock pause of every node, in seconds.",
)
def run(
    file: Path,
    *,
    seed: int | None,
    pace: str | None,
    out: Path | None,
    as_json: bool,
    check_determinism: bool,
    shake_s: float,
) -> None:
    """Bring a testbed up, run its applications, report, take it down."""
    from rich.console import Console

    from orchestrator import supervisor
    from orchestrator.report import text as report_text

    scenario = scenario_of(file, seed, pace)
    console = Console(stderr=True)

    def once(out: Path | None, shake_s: float) -> tuple[dict[str, Any], Path]:
        return supervisor.run(
            scenario, directory=directory_of(file, scenario), out=out, console=console, shake_s=shake_s
        )

    def tell(failure: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"ok": False, **failure}))

    report, directory = guarded(lambda: once(out, shake_s), tell=tell)
    if check_determinism:
        second_out = directory.with_name(f"{directory.name}-again")
        second, second_directory = guarded(lambda: once(second_out, max(shake_s, 0.001)), tell=tell)
        equal = report["digest"] == second["digest"]
        difference = supervisor.first_difference(directory / "events.jsonl", second_directory / "events.jsonl")
        report["determinism"] = {
            "equal": equal,
            "second_digest": second["digest"],
            "first_difference": difference,
            "second_run_directory": str(second_directory),
        }
        report["ok"] = report["ok"] and equal
    if as_json:
        click.echo(json.dumps(report))
    else:
        Console().print(report_text.rendered(report))
        if check_determinism:
            verdict = "two runs, one shaken: the same events" if report["determinism"]["equal"] else difference
            click.echo(f"determinism: {verdict}")
        click.echo(f"run directory: {directory}")
    sys.exit(OK if report["ok"] else EXPECTATION_FAILED)
