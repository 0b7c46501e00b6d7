"""Applications for the NetQASM SDK: ``netqasm run``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import yaml

from orchestrator.cli.failures import fail, guarded
from orchestrator.cli.options import out_option, scenario_of, seed_option
from orchestrator.exit_codes import BAD_INPUT, EXPECTATION_FAILED, OK
from orchestrator.scenario import NetqasmProgram, Scenario


@click.group()
def netqasm() -> None:
    """Run programs that were written for the NetQASM SDK, as they are."""


@netqasm.command()
@click.argument("application")
@click.option("--topology", type=click.Path(path_type=Path), help="A scenario, for its network.")
@click.option("--map", "placed", multiple=True, metavar="ROLE=NODE", help="Where a role runs.")
@click.option("--input", "given", multiple=True, metavar="ROLE.NAME=VALUE", help="An argument of a program's main().")
@click.option("--runs", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Calls of main().")
@click.option("--flavour", type=click.Choice(["vanilla", "nv"]), default="vanilla", show_default=True)
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
    default="WARNING",
    show_default=True,
    help="Of NetQASM's logger.",
)
@seed_option
@out_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output and nothing else.")
def run(
    application: str,
    *,
    topology: Path | None,
    placed: tuple[str, ...],
    given: tuple[str, ...],
    seed: int | None,
    out: Path | None,
    as_json: bool,
    **program: Any,
) -> None:
    """Run the programs of a directory in NetQASM's layout, each in a process on a node of its own.

    APPLICATION is a directory with programs app_ROLE.py and, if need be, ROLE.yaml (inputs), roles.yaml (nodes) and
    network.yaml; or the name of an application that is bundled with the package netqasm. Without a topology each role
    has an ideal link to each other.
    """
    from rich.console import Console

    from orchestrator import supervisor
    from orchestrator.netqasm import results

    scenario = _scenario(application, topology, placed, given, seed, program)

    def tell(failure: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"ok": False, **failure}))

    report, directory = guarded(
        lambda: supervisor.run(scenario, directory=Path.cwd(), out=out, console=Console(stderr=True)), tell=tell
    )
    runs = results.gathered(scenario, directory)
    written = results.write(runs, directory)
    failed = {name: status for name, status in report["applications"].items() if status != "exit code 0"}
    if as_json:
        shown = {key: report[key] for key in ("seed", "digest", "deterministic", "virtual_s", "wall_s")}
        click.echo(json.dumps({"ok": not failed, "results": runs, **shown, "run_directory": str(directory)}))
    else:
        for role in (each.name for each in scenario.applications):
            for line in (directory / "logs" / f"application-{role}.log").read_text(errors="replace").splitlines():
                click.echo(f"{role} | {line}")
        for number, each in enumerate(runs):
            click.echo(f"run {number}:" if len(runs) > 1 else "results:")
            click.echo(yaml.safe_dump(_shown(each), default_flow_style=None, sort_keys=False, width=100).rstrip())
        click.echo(f"run directory: {directory} ({written.relative_to(directory)})")
    for role, status in _culprits(failed, report["ended_because"]).items():
        log = directory / "logs" / f"application-{role}.log"
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        click.echo(f"qloom: role {role} ended with {status}: {said[-1] if said else 'no word'} ({log})", err=True)
    sys.exit(EXPECTATION_FAILED if failed else OK)


def _culprits(failed: dict[str, str], reason: str) -> dict[str, str]:
    """Of the roles that failed, the one that ended the run, if one did: the others failed because it was over."""
    return {role: status for role, status in failed.items() if reason.startswith(f"role {role} failed")} or failed


def _scenario(
    application: str,
    topology: Path | None,
    placed: tuple[str, ...],
    given: tuple[str, ...],
    seed: int | None,
    program: dict[str, Any],
) -> Scenario:
    """What is to be run; bad input ends the program."""
    import msgspec

    from orchestrator.netqasm import layout, programs

    if not programs.are_possible():
        fail(BAD_INPUT, programs.MISSING)
    try:
        scenario = layout.scenario_of(
            layout.read(layout.find(application)),
            topology=None if topology is None else scenario_of(topology),
            nodes=dict(_split(each, "--map", "ROLE=NODE") for each in placed),
            inputs=_inputs(given),
            program=NetqasmProgram(file="", **program),
        )
    except layout.LayoutError as error:
        fail(BAD_INPUT, str(error))
    return scenario if seed is None else msgspec.structs.replace(scenario, seed=seed)


def _split(text: str, option: str, form: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        fail(BAD_INPUT, f"{option} {text}: expected {form}")
    return name, value


def _inputs(given: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """By role and name; values are YAML."""
    inputs: dict[str, dict[str, Any]] = {}
    for each in given:
        target, text = _split(each, "--input", "ROLE.NAME=VALUE")
        role, dot, name = target.rpartition(".")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            dot = ""
        if not (role and dot and name):
            fail(BAD_INPUT, f"--input {each}: expected ROLE.NAME=VALUE with a value in YAML")
        inputs.setdefault(role, {})[name] = value
    return inputs


def _shown(value: Any) -> Any:
    """Complex numbers as a person writes them."""
    if isinstance(value, dict):
        if value.keys() == {"real", "imag"}:
            return f"{value['real']:.6g}{value['imag']:+.6g}j"
        return {key: _shown(each) for key, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value
