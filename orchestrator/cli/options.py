"""What commands take in common: a scenario, its seed and pace, a run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from orchestrator.cli.failures import fail
from orchestrator.exit_codes import BAD_INPUT
from orchestrator.scenario import Scenario
from orchestrator.scenario.file import ScenarioError, load

scenario_argument = click.argument("file", type=click.Path(path_type=Path))
seed_option = click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the scenario's seed.")
pace_option = click.option("--pace", help="`max`, or virtual seconds per wall second, such as 0.01.")
out_option = click.option("--out", type=click.Path(path_type=Path), help="Run directory; must be new or empty.")


def scenario_of(file: Path, seed: int | None = None, pace: str | None = None) -> Scenario:
    """The scenario in a file, with what the command line changes; bad input ends the program."""
    try:
        scenario = load(file)
    except ScenarioError as error:
        fail(BAD_INPUT, str(error))
    if seed is not None:
        scenario = msgspec.structs.replace(scenario, seed=seed)
    if pace is not None:
        scenario = msgspec.structs.replace(scenario, time=msgspec.structs.replace(scenario.time, pace=pace_of(pace)))
    from orchestrator import chaos
    from orchestrator.checks import hook

    try:
        scenario = chaos.expanded(scenario)
        if scenario.check is not None and scenario.check.hook:
            hook.split(scenario.check.hook, directory_of(file, scenario))
    except ValueError as error:
        fail(BAD_INPUT, f"{file}: {error}")
    return scenario


def pace_of(text: str) -> Any:
    if text == "max":
        return "max"
    try:
        pace = float(text)
    except ValueError:
        pace = -1.0
    if not 0.0 < pace < 1e9:
        fail(BAD_INPUT, f"--pace {text}: expected `max` or a number of virtual seconds per wall second above 0")
    return pace


def directory_of(file: Path, scenario: Scenario) -> Path:
    """Where the applications of a scenario file are run."""
    return file.resolve().parent / scenario.directory
