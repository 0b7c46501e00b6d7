"""Pictures of runs: ``timeline``, ``map``, ``sequence`` (the extra ``plot``)."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from orchestrator.cli.failures import fail
from orchestrator.exit_codes import BAD_INPUT
from orchestrator.scenario import Scenario


@click.command()
@click.argument("run_directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--pair", "pair_id", help="Such as alice-bob/17; by default the last that was used at both ends.")
@click.option("--out", type=click.Path(path_type=Path), help="An .svg, .png or .pdf file.")
def timeline(run_directory: Path, *, pair_id: str | None, out: Path | None) -> None:
    """Draw one pair's life from a run's event log (needs the extra `plot`)."""
    from orchestrator.report import timeline as picture

    target = out or run_directory / "pair.svg"
    try:
        scenario = msgspec.json.decode((run_directory / "scenario.json").read_bytes(), type=Scenario)
        picture.draw(scenario, picture.life_of(run_directory / "events.jsonl", pair_id), target)
    except ImportError:
        fail(BAD_INPUT, "pictures need matplotlib: pip install 'qloom[plot]'")
    except (OSError, ValueError, msgspec.MsgspecError, picture.NoSuchPair) as error:
        fail(BAD_INPUT, f"no picture of {run_directory}: {error}")
    click.echo(target)


@click.command(name="map")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="An .svg, .png or .pdf file; by default map.svg.")
def draw_map(source: Path, *, out: Path | None) -> None:
    """Draw a network: a run's, with the load of its links and its circuits, or a scenario's (extra `plot`)."""
    from orchestrator.report import map as picture

    target = out or (source if source.is_dir() else Path()) / "map.svg"
    try:
        picture.draw(*picture.read(source), target)
    except ImportError:
        fail(BAD_INPUT, "pictures need matplotlib: pip install 'qloom[plot]'")
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        fail(BAD_INPUT, f"no map of {source}: {error}")
    click.echo(target)


@click.command()
@click.argument("run_directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--pair", help="CIRCUIT/NUMBER, such as alice:0/17; by default the one with the shortest story.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="An .svg, .png or .pdf file; default sequence.svg.")
def sequence(run_directory: Path, *, pair: str | None, out: Path | None) -> None:
    """Draw how a pair of a circuit came about: heralds, swaps, messages (needs the extra `plot`)."""
    from orchestrator.report import sequence as picture

    target = out or run_directory / "sequence.svg"
    try:
        scenario = msgspec.json.decode((run_directory / "scenario.json").read_bytes(), type=Scenario)
        picture.draw(scenario, picture.story_of(run_directory / "events.jsonl", pair), target)
    except ImportError:
        fail(BAD_INPUT, "pictures need matplotlib: pip install 'qloom[plot]'")
    except (OSError, ValueError, msgspec.MsgspecError, picture.NoSuchPair) as error:
        fail(BAD_INPUT, f"no sequence of {run_directory}: {error}")
    click.echo(target)
