"""Runs from start to report: ``run``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.failures import fail, guarded
from orchestrator.cli.options import directory_of, out_option, pace_option, scenario_argument, scenario_of, seed_option
from orchestrator.exit_codes import BAD_INPUT, EXPECTATION_FAILED, OK

if TYPE_CHECKING:
    from orchestrator.trials.seeds import Seeds


@click.command()
@scenario_argument
@seed_option
@pace_option
@out_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output and nothing else.")
@click.option(
    "--check-determinism", "--repeat", is_flag=True, help="Run twice, the second time shaken, and compare the events."
)
@click.option(
    "--shake",
    "shake_s",
    type=click.FloatRange(0, 10),
    default=0.0,
    help="Longest random wall-clock pause of every node, in seconds.",
)
@click.option("--seeds", help="Many runs, one for each seed: 0..99, or 3,7,10..20, or 5.. with --until-failure.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Runs at a time; by default as many as there are cores.")
@click.option(
    "--keep",
    type=click.Choice(["failed", "all", "none"]),
    default="failed",
    show_default=True,
    help="Whose run directories are kept, of many runs.",
)
@click.option("--until-failure", is_flag=True, help="End with the first seed that fails.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1),
    default=600.0,
    show_default=True,
    help="Wall seconds after which one of many runs is ended, and has failed.",
)
@click.option("--shrink", is_flag=True, help="Reduce the faults of a failing run to few that still make it fail.")
@click.option(
    "--shrink-runs", type=click.IntRange(1), default=200, show_default=True, help="At most so many runs for that."
)
@click.option(
    "--shrink-time",
    "shrink_time_s",
    type=click.FloatRange(0),
    default=1800.0,
    show_default=True,
    help="No new one of them after so many wall seconds.",
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
    seeds: str | None,
    jobs: int | None,
    shrink: bool,
    **many: Any,
) -> None:
    """Bring a testbed up, run its applications, report, take it down.

    With --seeds one run for each seed; what fails is told with the command that repeats it. With --shrink the faults of
    a failing run (of --seed, or the first of --seeds) are reduced, and a scenario with those that are left is written.
    """
    from rich.console import Console

    scenario = scenario_of(file, seed, pace)
    if seeds is not None or shrink:
        from orchestrator.cli import sweeps

        sweeps.run(
            sweeps.Request(
                file=file,
                scenario=scenario,
                options=_options(pace, shake_s, check_determinism=check_determinism),
                seeds=_seeds(seeds, seed, ends=many["until_failure"] or shrink),
                jobs=jobs or len(os.sched_getaffinity(0)),
                out=out,
                as_json=as_json,
                shrink=shrink,
                **many,
            )
        )

    from orchestrator import supervisor

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
        from orchestrator.report import text as report_text

        Console().print(report_text.rendered(report))
        if check_determinism:
            verdict = "two runs, one shaken: the same events" if report["determinism"]["equal"] else difference
            click.echo(f"determinism: {verdict}")
        click.echo(f"run directory: {directory}")
    sys.exit(OK if report["ok"] else EXPECTATION_FAILED)


def _options(pace: str | None, shake_s: float, *, check_determinism: bool) -> tuple[str, ...]:
    """Those that were given, and that change a run beside its seed, as one types them."""
    given = ["--pace", pace] if pace is not None else []
    given += ["--shake", f"{shake_s:g}"] if shake_s else []
    return (*given, *(["--check-determinism"] if check_determinism else []))


def _seeds(text: str | None, seed: int | None, *, ends: bool) -> Seeds | None:
    """The seeds of a sweep; bad input ends the program."""
    from orchestrator.trials import seeds

    if text is None:
        return None
    if seed is not None:
        fail(BAD_INPUT, "--seeds and --seed: expected one of them, found both")
    try:
        found = seeds.parse(text)
    except ValueError as error:
        fail(BAD_INPUT, f"--seeds: {error}")
    if found.count is None and not ends:
        fail(BAD_INPUT, f"--seeds {text}: seeds without end go with --until-failure or --shrink")
    return found
