"""Scenario files: ``check``, ``init``, ``schema``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator.cli.failures import fail
from orchestrator.cli.options import scenario_argument, scenario_of
from orchestrator.exit_codes import BAD_INPUT


@click.command()
@scenario_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def check(file: Path, *, as_json: bool) -> None:
    """Validate a scenario and print what would run: processes, link budgets, expected rates."""
    from orchestrator.report import budget

    plan = budget.of(scenario_of(file))
    click.echo(json.dumps(plan, indent=2) if as_json else budget.as_text(plan))


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
