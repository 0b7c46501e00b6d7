"""Testbeds that stay: ``up``, ``adopt``, ``ps``, ``logs``, ``exec``, ``down``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from orchestrator.cli.failures import fail, guarded
from orchestrator.cli.options import directory_of, out_option, pace_option, scenario_argument, scenario_of, seed_option
from orchestrator.exit_codes import BAD_INPUT, TESTBED_FAILED
from orchestrator.run_directory import TestbedRecord, records
from qnode.security.keys import write_private

if TYPE_CHECKING:
    from orchestrator.testbed import Testbed

DOWN_DEADLINE_S = 30.0
FOLLOW_INTERVAL_S = 0.2

testbed_option = click.option("--testbed", "wanted", help="Its name or its supervisor's id, where several are up.")


detach_option = click.option("-d", "--detach", is_flag=True, help="Return once it is up; `qloom down` ends it.")
ready_option = click.option("--ready-fd", type=int, hidden=True)
keep_option = click.option(
    "--keep",
    "keep_s",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    help="Detached: for how many seconds it outlives its supervisor, for `qloom adopt`.",
)


@click.command()
@scenario_argument
@seed_option
@pace_option
@out_option
@detach_option
@keep_option
@ready_option
def up(
    file: Path,
    *,
    seed: int | None,
    pace: str | None,
    out: Path | None,
    detach: bool,
    keep_s: float,
    ready_fd: int | None,
) -> None:
    """Bring a testbed's network up, without its applications, and keep it."""
    from orchestrator import supervisor

    scenario = scenario_of(file, seed, pace)
    if detach:
        given = {"--seed": seed, "--pace": pace, "--out": out, "--keep": keep_s}
        options = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        record = guarded(lambda: supervisor.detached("up", str(file), *options))
        click.echo(f"{record['name']} is up: {record['nodes']} nodes; logs in {record['run_directory']}", err=True)
        return
    _serve(
        scenario.name,
        ready_fd,
        lambda ready: supervisor.up(
            scenario,
            directory=directory_of(file, scenario),
            out=out,
            keep_s=None if ready_fd is None else keep_s,
            ready=ready,
        ),
    )


def _serve(name: str, ready_fd: int | None, work: Callable[[Callable[[Testbed], None]], str]) -> None:
    """Supervise a testbed, telling whoever waits for it, if it is detached, once it is up."""
    from orchestrator import supervisor

    starter = os.fdopen(ready_fd, "w") if ready_fd is not None else None

    def tell(answer: dict[str, Any]) -> None:
        """Answer, once, whoever waits for a detached testbed."""
        if starter is not None and not starter.closed:
            with starter:
                json.dump(answer, starter)

    def ready(testbed: Testbed) -> None:
        nodes = len(testbed.scenario.nodes)
        try:
            tell({"name": name, "nodes": nodes, "run_directory": str(testbed.run_directory)})
        except BrokenPipeError:
            raise supervisor.Interrupted("whoever started it did not wait for it") from None
        click.echo(f"{name} is up: {nodes} nodes" + ("" if starter else "; Ctrl-C takes it down"), err=True)

    reason = guarded(lambda: work(ready), tell=tell)
    click.echo(f"{name} is down: {reason}", err=True)


@click.command()
@click.argument("name", required=False)
@detach_option
@ready_option
def adopt(*, name: str | None, detach: bool, ready_fd: int | None) -> None:
    """Be the supervisor of a detached testbed whose own died."""
    from orchestrator import supervisor

    record = one_testbed(name, orphan=True)
    if detach:
        answer = guarded(lambda: supervisor.detached("adopt", str(record.supervisor)))
        click.echo(f"{answer['name']} has a supervisor again; logs in {answer['run_directory']}", err=True)
        return
    _serve(record.name, ready_fd, lambda ready: supervisor.adopt(record, detached=ready_fd is not None, ready=ready))


def one_testbed(wanted: str | None, *, orphan: bool = False) -> TestbedRecord:
    """The testbed that a command is about; none or several without a name end the program.

    ``orphan``: among those without a supervisor.
    """
    up_now = [record for record in records() if wanted in (None, record.name, str(record.supervisor))]
    if orphan:
        whole, up_now = up_now, [record for record in up_now if record.orphan_until_s is not None]
        if not up_now and whole:
            fail(BAD_INPUT, f"{whole[0].name} has a supervisor (process {whole[0].supervisor}); nobody else can be it")
    if not up_now:
        fail(BAD_INPUT, f"no testbed{f' named {wanted}' if wanted else ''} is up; start one with `qloom up FILE -d`")
    if len(up_now) > 1:
        names = ", ".join(f"{record.name} (supervisor {record.supervisor})" for record in up_now)
        fail(BAD_INPUT, f"several testbeds are up: {names}; choose one with --testbed NAME or SUPERVISOR")
    return up_now[0]


@click.command()
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
        if record.orphan_until_s is not None:
            left_s = max(0.0, record.orphan_until_s - time.time())
            click.echo(f"  its supervisor died; it ends in {left_s:.0f} s, unless: qloom adopt {record.name}")
        for name, process_id in record.processes.items():
            click.echo(f"  {process_id:>8}  {_resident_mb(process_id):>8}  {name}")


def _resident_mb(process_id: int) -> str:
    try:
        pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    except (OSError, ValueError):
        return "gone"
    return f"{pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.1f} MB"


@click.command()
@click.argument("process")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added.")
@testbed_option
def logs(process: str, *, follow: bool, wanted: str | None) -> None:
    """Print the log of a process: a node's name, `fabric`, `agent`, or `events` for the event log."""
    record = one_testbed(wanted)
    directory = Path(record.run_directory)
    candidates = [directory / "logs" / f"{kind}{process}.log" for kind in ("node-", "application-", "")]
    if process == "events":
        candidates.insert(0, directory / "events.jsonl")
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    if path is None:
        known = sorted(each.stem.removeprefix("node-") for each in (directory / "logs").glob("*.log"))
        fail(BAD_INPUT, f"{record.name} has no process {process!r}; it has: {', '.join(known)}, events")
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


def _way_in(record: TestbedRecord, node: str, application: str) -> dict[str, str]:
    """What tells a program of this machine where a node listens and, by TCP, with which keys to speak to it."""
    door = record.doors.get(f"node-{node}")
    if door is None:
        return {"QLOOM_SOCKET": f"ipc://{record.socket_directory}/node-{node}", "QLOOM_CREDENTIALS": ""}
    if not door.key:
        return {"QLOOM_SOCKET": door.endpoint, "QLOOM_CREDENTIALS": ""}
    file = _enrolled(record, f"node-{node}", application, same_machine=True)
    return {"QLOOM_SOCKET": door.endpoint, "QLOOM_CREDENTIALS": str(file)}


def _enrolled(record: TestbedRecord, place: str, name: str, *, same_machine: bool) -> Path:
    from orchestrator import security

    try:
        return security.enrol(
            Path(record.socket_directory), record.doors[place], place=place, name=name, same_machine=same_machine
        )
    except OSError as error:
        fail(BAD_INPUT, f"{record.name} cannot be told of a new key: {error.strerror}")


@click.group()
def keys() -> None:
    """Let programs outside in: keys for a testbed whose sockets are TCP with CURVE."""


@keys.command(name="add")
@click.argument("name")
@click.option("--node", help="The node that it may attach to, as application NAME.")
@click.option("--observer", is_flag=True, help="Instead, ask the oracle's port.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Where to; by default NAME.credentials.json.")
@testbed_option
def add_key(name: str, *, node: str | None, observer: bool, out: Path | None, wanted: str | None) -> None:
    """Write a private file with which a program may attach to a node, from wherever it can reach its port."""
    record = one_testbed(wanted)
    if (node is None) == (not observer):
        fail(BAD_INPUT, "expected either --node NODE or --observer")
    if node is not None:
        _check_node(record, node)
    place = "observer" if node is None else f"node-{node}"
    door = record.doors.get(place)
    if door is None or not door.key:
        how = "by Unix sockets" if door is None else "without CURVE"
        fail(BAD_INPUT, f"{record.name} speaks {how}: no keys; its scenario needs `sockets: {{transport: tcp}}`")
    target = out or Path(f"{name}.credentials.json")
    if target.exists():
        fail(BAD_INPUT, f"{target} exists; choose another with --out")
    made = _enrolled(record, place, name, same_machine=False)
    try:
        write_private(target, made.read_bytes())
    except OSError as error:
        fail(BAD_INPUT, f"cannot write {target}: {error.strerror}")
    made.unlink()
    click.echo(target)


def _check_node(record: TestbedRecord, node: str) -> None:
    import difflib

    if node not in record.nodes:
        near = difflib.get_close_matches(node, record.nodes, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; it has: {', '.join(record.nodes[:20])}"
        fail(BAD_INPUT, f"{record.name} has no node {node!r}{hint}")


@click.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@testbed_option
def execute(node: str, command: tuple[str, ...], *, wanted: str | None) -> None:
    """Run a program against a node: `qloom exec alice -- python my_app.py`."""
    record = one_testbed(wanted)
    _check_node(record, node)
    if command[0] in ("python", "python3"):
        command = (sys.executable, *command[1:])
    program = next((word for word in command if word.endswith(".py")), command[0])
    environment = {**os.environ}
    environment.setdefault("QLOOM_APPLICATION", f"{Path(program).stem[:40]}-{os.getpid()}")
    environment.setdefault("QLOOM_SEED", str(record.seed))
    environment.update(_way_in(record, node, environment["QLOOM_APPLICATION"]))
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        fail(BAD_INPUT, f"cannot run {command[0]}: {error.strerror}")


def _adopt_to_end(record: TestbedRecord) -> None:
    """Take a testbed down whose supervisor died."""
    from orchestrator import supervisor

    def end(testbed: Testbed) -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # as if somebody had sent it to the supervisor, which we are now

    guarded(lambda: supervisor.adopt(record, detached=False, ready=end))
    click.echo(f"{record.name} is down; its report is in {record.run_directory}", err=True)


@click.command()
@testbed_option
@click.option("--all", "everything", is_flag=True, help="All testbeds of this user.")
def down(*, wanted: str | None, everything: bool) -> None:
    """Take a detached testbed down."""
    import select

    for record in list(records()) if everything else [one_testbed(wanted)]:
        if record.orphan_until_s is not None:
            _adopt_to_end(record)
            continue
        try:
            descriptor = os.pidfd_open(record.supervisor)
            os.kill(record.supervisor, signal.SIGTERM)
        except ProcessLookupError:
            continue
        try:
            if not select.select([descriptor], [], [], DOWN_DEADLINE_S)[0]:
                os.kill(record.supervisor, signal.SIGKILL)
                select.select([descriptor], [], [], DOWN_DEADLINE_S)
                fail(TESTBED_FAILED, f"{record.name} did not end within {DOWN_DEADLINE_S:g} s and was killed")
        finally:
            os.close(descriptor)
        click.echo(f"{record.name} is down; its report is in {record.run_directory}", err=True)
