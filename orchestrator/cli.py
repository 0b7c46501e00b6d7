"""The command line. Exit codes: 0 ok, 1 an expectation failed, 2 bad input, 3 the testbed failed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from orchestrator.run_directory import RunDirectoryError, TestbedRecord, records
from orchestrator.scenario import Scenario
from orchestrator.scenario.file import ScenarioError, load

if TYPE_CHECKING:
    from orchestrator.testbed import Testbed

OK, EXPECTATION_FAILED, BAD_INPUT, TESTBED_FAILED = 0, 1, 2, 3
DOWN_DEADLINE_S = 30.0
FOLLOW_INTERVAL_S = 0.2

scenario_argument = click.argument("file", type=click.Path(path_type=Path))
seed_option = click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the scenario's seed.")
pace_option = click.option("--pace", help="`max`, or virtual seconds per wall second, such as 0.01.")
out_option = click.option("--out", type=click.Path(path_type=Path), help="Run directory; must be new or empty.")
testbed_option = click.option("--testbed", "wanted", help="Its name or its supervisor's id, where several are up.")


def _fail(code: int, message: str) -> NoReturn:
    click.echo(f"qloom: {message}", err=True)
    sys.exit(code)


def _scenario(file: Path, seed: int | None = None, pace: str | None = None) -> Scenario:
    """The scenario in a file, with what the command line changes; bad input ends the program."""
    try:
        scenario = load(file)
    except ScenarioError as error:
        _fail(BAD_INPUT, str(error))
    if seed is not None:
        scenario = msgspec.structs.replace(scenario, seed=seed)
    if pace is not None:
        scenario = msgspec.structs.replace(scenario, time=msgspec.structs.replace(scenario.time, pace=_pace(pace)))
    return scenario


def _pace(text: str) -> Any:
    if text == "max":
        return "max"
    try:
        pace = float(text)
    except ValueError:
        pace = -1.0
    if not 0.0 < pace < 1e9:
        _fail(BAD_INPUT, f"--pace {text}: expected `max` or a number of virtual seconds per wall second above 0")
    return pace


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qloom")
def main() -> None:
    """qloom: a quantum network testbed made of real processes.

    Exit codes: 0 ok, 1 an expectation failed, 2 bad input, 3 the testbed failed.
    """


@main.command()
@scenario_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def check(file: Path, *, as_json: bool) -> None:
    """Validate a scenario and print what would run: processes, link budgets, expected rates."""
    from orchestrator.report import budget

    plan = budget.of(_scenario(file))
    click.echo(json.dumps(plan, indent=2) if as_json else budget.as_text(plan))


@main.command()
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

    scenario = _scenario(file, seed, pace)
    console = Console(stderr=True)

    def once(out: Path | None, shake_s: float) -> tuple[dict[str, Any], Path]:
        return supervisor.run(scenario, directory=file.resolve().parent, out=out, console=console, shake_s=shake_s)

    def tell(failure: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"ok": False, **failure}))

    report, directory = _guarded(lambda: once(out, shake_s), tell=tell)
    if check_determinism:
        second_out = directory.with_name(f"{directory.name}-again")
        second, second_directory = _guarded(lambda: once(second_out, max(shake_s, 0.001)), tell=tell)
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


def _guarded(work: Callable[[], Any], *, tell: Callable[[dict[str, Any]], None] | None = None) -> Any:
    """Do something with a testbed; its failures are messages and exit codes, which ``tell`` hears of, too."""
    from orchestrator import supervisor

    try:
        return work()
    except supervisor.RunDirectoryError as error:
        code, story = BAD_INPUT, str(error)
    except (supervisor.TestbedError, supervisor.LaunchError) as error:
        code, story = TESTBED_FAILED, str(error)
    except (supervisor.Interrupted, KeyboardInterrupt) as error:
        code, story = TESTBED_FAILED, str(error) or "interrupted"
    if tell is not None:
        with contextlib.suppress(BrokenPipeError):
            tell({"error": story})
    _fail(code, story)


@main.command()
@scenario_argument
@seed_option
@pace_option
@out_option
@click.option("-d", "--detach", is_flag=True, help="Return once it is up; `qloom down` ends it.")
@click.option("--ready-fd", type=int, hidden=True)
def up(file: Path, *, seed: int | None, pace: str | None, out: Path | None, detach: bool, ready_fd: int | None) -> None:
    """Bring a testbed's network up, without its applications, and keep it."""
    from orchestrator import supervisor

    scenario = _scenario(file, seed, pace)
    if detach:
        arguments = [*(["--seed", str(seed)] if seed is not None else []), *(["--pace", pace] if pace else [])]
        record = _guarded(lambda: supervisor.up_detached(file, arguments, out))
        click.echo(f"{record['name']} is up: {record['nodes']} nodes; logs in {record['run_directory']}", err=True)
        return
    starter = os.fdopen(ready_fd, "w") if ready_fd is not None else None

    def tell(answer: dict[str, Any]) -> None:
        """Answer, once, whoever waits for a detached testbed."""
        if starter is not None and not starter.closed:
            with starter:
                json.dump(answer, starter)

    def ready(testbed: Testbed) -> None:
        nodes = len(scenario.nodes)
        try:
            tell({"name": scenario.name, "nodes": nodes, "run_directory": str(testbed.run_directory)})
        except BrokenPipeError:
            raise supervisor.Interrupted("whoever started it did not wait for it") from None
        click.echo(f"{scenario.name} is up: {nodes} nodes" + ("" if starter else "; Ctrl-C takes it down"), err=True)

    reason = _guarded(
        lambda: supervisor.up(
            scenario, directory=file.resolve().parent, out=out, detached=starter is not None, ready=ready
        ),
        tell=tell,
    )
    click.echo(f"{scenario.name} is down: {reason}", err=True)


def _one(wanted: str | None) -> TestbedRecord:
    """The testbed that a command is about; none or several without a name end the program."""
    up_now = [record for record in records() if wanted in (None, record.name, str(record.supervisor))]
    if not up_now:
        _fail(BAD_INPUT, f"no testbed{f' named {wanted}' if wanted else ''} is up; start one with `qloom up FILE -d`")
    if len(up_now) > 1:
        names = ", ".join(f"{record.name} (supervisor {record.supervisor})" for record in up_now)
        _fail(BAD_INPUT, f"several testbeds are up: {names}; choose one with --testbed NAME or SUPERVISOR")
    return up_now[0]


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def ps(*, as_json: bool) -> None:
    """List the testbeds that are up and their processes."""
    found = list(records())
    if as_json:
        click.echo(json.dumps({"testbeds": [msgspec.to_builtins(record) for record in found]}))
        return
    if not found:
        click.echo("no testbed is up")
    for record in found:
        click.echo(f"{record.name}  pace {record.pace}  since {record.started_at}  {record.run_directory}")
        for name, process_id in record.processes.items():
            click.echo(f"  {process_id:>8}  {_resident_mb(process_id):>8}  {name}")


def _resident_mb(process_id: int) -> str:
    try:
        pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    except (OSError, ValueError):
        return "gone"
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.1f} MB"


@main.command()
@click.argument("process")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added.")
@testbed_option
def logs(process: str, *, follow: bool, wanted: str | None) -> None:
    """Print the log of a process: a node's name, `fabric`, `agent`, or `events` for the event log."""
    record = _one(wanted)
    directory = Path(record.run_directory)
    candidates = [directory / "logs" / f"{kind}{process}.log" for kind in ("node-", "application-", "")]
    if process == "events":
        candidates.insert(0, directory / "events.jsonl")
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    if path is None:
        known = sorted(each.stem.removeprefix("node-") for each in (directory / "logs").glob("*.log"))
        _fail(BAD_INPUT, f"{record.name} has no process {process!r}; it has: {', '.join(known)}, events")
    _print_log(path, supervisor=record.supervisor if follow else None)


def _print_log(path: Path, *, supervisor: int | None) -> None:
    """Print a file; with a supervisor, go on until that process has ended."""
    import select

    descriptor = None
    if supervisor is not None:
        try:
            descriptor = os.pidfd_open(supervisor)
        except ProcessLookupError:
            descriptor = None
    with path.open("rb") as log:
        while True:
            while chunk := log.read(1 << 16):
                sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
            if descriptor is None:
                return
            if select.select([descriptor], [], [], FOLLOW_INTERVAL_S)[0]:
                os.close(descriptor)
                descriptor = None


@main.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@testbed_option
def execute(node: str, command: tuple[str, ...], *, wanted: str | None) -> None:
    """Run a program against a node: `qloom exec alice -- python my_app.py`."""
    import difflib

    record = _one(wanted)
    if node not in record.nodes:
        near = difflib.get_close_matches(node, record.nodes, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has: {', '.join(record.nodes[:20])}"
        _fail(BAD_INPUT, f"{record.name} has no node {node!r}{hint}")
    if command[0] in ("python", "python3"):
        command = (sys.executable, *command[1:])
    environment = {**os.environ, "QLOOM_SOCKET": f"ipc://{record.socket_directory}/node-{node}"}
    program = next((word for word in command if word.endswith(".py")), command[0])
    environment.setdefault("QLOOM_APPLICATION", f"{Path(program).stem[:40]}-{os.getpid()}")
    environment.setdefault("QLOOM_SEED", str(record.seed))
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        _fail(BAD_INPUT, f"cannot run {command[0]}: {error.strerror}")


@main.command()
@testbed_option
@click.option("--all", "everything", is_flag=True, help="All testbeds of this user.")
def down(*, wanted: str | None, everything: bool) -> None:
    """Take a detached testbed down."""
    import select
    import signal

    for record in list(records()) if everything else [_one(wanted)]:
        try:
            descriptor = os.pidfd_open(record.supervisor)
            os.kill(record.supervisor, signal.SIGTERM)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], DOWN_DEADLINE_S)[0]:
                os.kill(record.supervisor, signal.SIGKILL)
                select.select([descriptor], [], [], DOWN_DEADLINE_S)
                _fail(TESTBED_FAILED, f"{record.name} did not end within {DOWN_DEADLINE_S:g} s and was killed")
        finally:
            os.close(descriptor)
        click.echo(f"{record.name} is down; its report is in {record.run_directory}", err=True)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path("."))
def init(directory: Path) -> None:
    """Write a commented starter scenario and two application programs."""
    from orchestrator.scenario.starter import write_starter

    try:
        written = write_starter(directory)
    except OSError as error:
        _fail(BAD_INPUT, str(error))
    for path in written:
        click.echo(path)
    click.echo(f"now: qloom run {directory / 'network.yaml'}", err=True)


@main.command()
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
        _fail(BAD_INPUT, "pictures need matplotlib: pip install 'qloom[plot]'")
    except (OSError, ValueError, msgspec.MsgspecError, picture.NoSuchPair) as error:
        _fail(BAD_INPUT, f"no picture of {run_directory}: {error}")
    click.echo(target)


@main.command(name="map")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="An .svg, .png or .pdf file; by default map.svg.")
def draw_map(source: Path, *, out: Path | None) -> None:
    """Draw a network: a run's, with the load of its links and its circuits, or a scenario's (extra `plot`)."""
    from orchestrator.report import map as picture

    target = out or (source if source.is_dir() else Path()) / "map.svg"
    try:
        picture.draw(*picture.read(source), target)
    except ImportError:
        _fail(BAD_INPUT, "pictures need matplotlib: pip install 'qloom[plot]'")
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        _fail(BAD_INPUT, f"no map of {source}: {error}")
    click.echo(target)


@main.command()
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
        _fail(BAD_INPUT, "pictures need matplotlib: pip install 'qloom[plot]'")
    except (OSError, ValueError, msgspec.MsgspecError, picture.NoSuchPair) as error:
        _fail(BAD_INPUT, f"no sequence of {run_directory}: {error}")
    click.echo(target)


@main.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from orchestrator.scenario.schema import schema as scenario_schema

    click.echo(json.dumps(scenario_schema(), indent=2))


__all__ = ["RunDirectoryError", "main"]
