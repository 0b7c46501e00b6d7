"""Scenario files: ``check``, ``init``, ``schema``."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import click
import msgspec

from orchestrator.cli.failures import fail
from orchestrator.cli.options import directory_of, scenario_of
from orchestrator.exit_codes import BAD_INPUT, EXPECTATION_FAILED, OK


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE|RUN_DIRECTORY")
@click.option("--with", "checks_of", type=click.Path(path_type=Path), help="A scenario whose checks to take instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def check(file: Path, *, checks_of: Path | None, as_json: bool) -> None:
    """Validate a scenario and print what would run; or evaluate the checks of a finished run again.

    A run is given by its directory. Its scenario's checks are evaluated (all built-in ones if it has none), or those of
    another scenario, with --with.
    """
    from orchestrator.report import budget

    if file.is_dir():
        _check_run(file, checks_of, as_json=as_json)
        return
    if checks_of is not None:
        fail(BAD_INPUT, f"--with goes with the directory of a finished run, found the file {file}")
    plan = budget.of(scenario_of(file))
    click.echo(json.dumps(plan, indent=2) if as_json else budget.as_text(plan))


def _check_run(directory: Path, checks_of: Path | None, *, as_json: bool) -> None:
    """Evaluate the checks of a finished run and print the verdicts; exit code 1 if one does not hold."""
    from orchestrator import checks

    try:
        run = checks.Run.of(directory)
        home = Path(run.scenario.directory)
        if checks_of is not None:
            other = scenario_of(checks_of)
            home = directory_of(checks_of, other)
            run = dataclasses.replace(run, scenario=msgspec.structs.replace(run.scenario, check=other.check))
        verdicts = checks.evaluate(run, directory=home)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        fail(BAD_INPUT, f"no finished run in {directory}: {error}")
    holds = all(verdict["holds"] for verdict in verdicts)
    if as_json:
        click.echo(json.dumps({"ok": holds, "checks": verdicts}))
    else:
        for verdict in verdicts:
            word = click.style(*(("holds   ", "green") if verdict["holds"] else ("BROKEN  ", "red")))
            for line in checks.lines(verdict):
                click.echo(f"{word}{line}")
    sys.exit(OK if holds else EXPECTATION_FAILED)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path("."))
def init(directory: Path) -> None:
    """Write a commented starter scenario and two application programs."""
    from orchestrator.scenario.starter import write_starter

    try:
        written = write_starter(directory)
    except OSError as error:
        fail(BAD_INPUT, str(error))
    for path in written:
        click.echo(path)
    click.echo(f"now: qloom run {directory / 'network.yaml'}", err=True)


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from orchestrator.scenario.schema import schema as scenario_schema

    click.echo(json.dumps(scenario_schema(), indent=2))
