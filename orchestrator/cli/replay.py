"""One node of a finished run, alone: ``replay``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from orchestrator.cli.failures import fail
from orchestrator.cli.options import pace_of
from orchestrator.exit_codes import BAD_INPUT, EXPECTATION_FAILED, OK
from orchestrator.run_directory import INPUTS

SECONDS = click.FloatRange(0)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--node", required=True, help="Which node of the run.")
@click.option("--until", "until_s", type=SECONDS, help="Stop before this virtual time, in seconds.")
@click.option(
    "--break-at", "break_at_s", type=SECONDS, help="Call breakpoint() before what happens at this time or next."
)
@click.option("--pace", default="max", show_default=True, help="`max`, or virtual seconds per wall second.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output and nothing else.")
def replay(
    directory: Path, *, node: str, until_s: float | None, break_at_s: float | None, pace: str, as_json: bool
) -> None:
    """Re-run one node of the run in DIRECTORY alone, and compare all that it does with what it did.

    It runs in this process, without sockets: under a debugger it may stand still for as long as one likes. Exit code 1:
    it does something else than it did, or the records end too soon.
    """
    from orchestrator.fabric.clock import PICOSECONDS
    from orchestrator.fabric.journal import JournalError
    from orchestrator.fabric.repetition import exchanges, head_in
    from qnode.record_file import RecordFileError
    from qnode.replay import Different, Progress, ReplayStopped, Wishes
    from qnode.replay import replay as again

    def ps(seconds: float | None) -> int | None:
        return None if seconds is None else round(seconds * PICOSECONDS)

    found = pace_of(pace)
    wishes = Wishes(until_ps=ps(until_s), break_at_ps=ps(break_at_s), pace=None if found == "max" else found)
    progress, stopped = Progress(), None
    began_s = time.monotonic()
    try:
        _, scenario = head_in(directory / "journal")
        if node not in scenario.nodes:
            fail(BAD_INPUT, f"--node {node}: expected a node of the run in {directory}: {', '.join(scenario.nodes)}")
        again(exchanges(directory / "journal", node), directory / INPUTS, wishes, progress)
    except ReplayStopped as error:
        stopped = error
    except (JournalError, RecordFileError) as error:
        fail(BAD_INPUT, f"{directory} cannot be replayed: {error}")
    wall_s = time.monotonic() - began_s
    if as_json:
        told = {
            "ok": stopped is None,
            "node": node,
            "processes": progress.processes,
            "grants": progress.grants,
            "blocks": progress.blocks,
            "requests": progress.requests,
            "now_ps": progress.now_ps,
            "wall_s": wall_s,
            "stopped": None if stopped is None else str(stopped),
            "difference": _members(stopped.difference) if isinstance(stopped, Different) else None,
        }
        click.echo(json.dumps(told))
    else:
        if stopped is not None:
            click.echo(f"qloom: {stopped}", err=True)
        click.echo(
            f"{node}: {progress.grants} grants, {progress.blocks} blocks as recorded, {progress.requests} requests, up "
            f"to {progress.now_ps / PICOSECONDS:.12g} s, in {wall_s:.2f} s"
        )
    sys.exit(OK if stopped is None else EXPECTATION_FAILED)


def _members(difference: object) -> dict[str, object]:
    import msgspec

    members: dict[str, object] = msgspec.to_builtins(difference)
    return members
