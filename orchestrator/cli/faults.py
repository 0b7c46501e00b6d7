"""Breaking a testbed that is up, by hand: ``fault add|list|rm|reset``."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from orchestrator import control
from orchestrator.cli.failures import fail
from orchestrator.cli.testbeds import one_testbed, testbed_option
from orchestrator.exit_codes import BAD_INPUT
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.scenario.document import ScenarioError, read_document
from orchestrator.scenario.faults import KINDS, OnLink, OnNode
from orchestrator.steering_port import SteeringRefused, ask


@click.group()
def fault() -> None:
    """Break a testbed that is up, and mend it."""


def _ask(wanted: str | None, request: control.Steering) -> control.Steered:
    try:
        return ask(Path(one_testbed(wanted).socket_directory), request)
    except SteeringRefused as error:
        fail(BAD_INPUT, str(error))


@fault.command()
@click.argument("kind")
@click.argument("target", required=False)
@click.argument("fields", nargs=-1)
@testbed_option
def add(kind: str, target: str | None, fields: tuple[str, ...], *, wanted: str | None) -> None:
    """Break something: `qloom fault add link_down alice-bob for_s=2`.

    TARGET is a link or a node, as the kind demands; FIELDS are those of the fault in a scenario, as NAME=VALUE. Without
    for_s it lasts until it is removed. Prints the fault's name.
    """
    described: dict[str, object] = {"kind": kind}
    words = list(fields)
    if target is not None and "=" in target:
        words.insert(0, target)
    elif target is not None:
        struck = KINDS.get(kind)
        if struck is not None and not issubclass(struck, OnLink | OnNode):
            fail(BAD_INPUT, f"{kind} strikes no single link or node: expected only NAME=VALUE after it, found {target}")
        described["link" if struck is not None and issubclass(struck, OnLink) else "node"] = target
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            fail(BAD_INPUT, f"expected NAME=VALUE, found {word!r}")
        try:
            described[name] = read_document(text, source=name).plain()
        except ScenarioError as error:
            fail(BAD_INPUT, str(error))
    click.echo(_ask(wanted, control.AddFault(fault=described)).name)


@fault.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@testbed_option
def list_faults(*, as_json: bool, wanted: str | None) -> None:
    """List the faults of a testbed: which are at work, and who wanted them."""
    answer = _ask(wanted, control.ListFaults())
    if as_json:
        click.echo(json.dumps({"now_s": answer.now_ps / PICOSECONDS, "faults": msgspec.to_builtins(answer.faults)}))
        return
    if not answer.faults:
        click.echo("no fault is known")
    for each in answer.faults:
        click.echo(f"{'at work' if each.active else 'waiting':8} {each.name}  ({each.kind}, by {each.cause})")


@fault.command(name="rm")
@click.argument("name")
@testbed_option
def remove(name: str, *, wanted: str | None) -> None:
    """Remove a fault by its name; what it broke is healed."""
    _ask(wanted, control.RemoveFault(name=name))


@fault.command()
@testbed_option
def reset(*, wanted: str | None) -> None:
    """Remove all faults, those of the scenario too."""
    _ask(wanted, control.ResetFaults())
