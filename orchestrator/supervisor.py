"""Runs of a scenario from start to report, and testbeds that stay up: what the commands ``run`` and ``up`` do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import zmq
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from setproctitle import setproctitle

from orchestrator import chaos, checks
from orchestrator.exit_codes import BAD_INPUT
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.launch.local import LaunchError
from orchestrator.run_directory import RunDirectoryError, TestbedRecord, create_run_directory
from orchestrator.scenario import Scenario
from orchestrator.testbed import RunOutcome, Testbed, TestbedError
from qnode.wire.version import VERSION

STATUS_INTERVAL_S = 0.25
DETACH_DEADLINE_S = 120.0


LIMITS = {
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "; raise the limit of open files (`ulimit -n`)"),
    **dict.fromkeys((errno.EAGAIN, errno.ENOMEM), "; raise the limit of processes (`ulimit -u`), or end some"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "; make room on the disk"),
}
"""What to do about what the machine refuses."""


class Interrupted(Exception):
    """A signal asked for the end."""


def run(
    scenario: Scenario, *, directory: Path, out: Path | None, console: Console, shake_s: float = 0.0
) -> tuple[dict[str, Any], Path]:
    """Run a scenario to its end; returns the report and the run directory.

    Raises:
        TestbedError, LaunchError, RunDirectoryError: the testbed failed; nothing is left behind but the run directory.
        Interrupted: SIGINT or SIGTERM; likewise.
    """
    setproctitle(f"qloom: supervisor {scenario.name}")
    run_directory = create_run_directory(out, scenario.name)
    scenario = started(scenario, directory, run_directory)
    with _limits_told():
        outcome = asyncio.run(_run(scenario, directory, run_directory, console, shake_s))
    return written(scenario, outcome, directory, run_directory), run_directory


async def _run(
    scenario: Scenario, directory: Path, run_directory: Path, console: Console, shake_s: float
) -> RunOutcome:
    testbed = Testbed(scenario, directory, run_directory, shake_s=shake_s, tell=_say)
    async with interruptible(), _progress(testbed, console), testbed:
        return await testbed.run()


def _say(line: str) -> None:
    print(f"qloom: {line}", file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def interruptible() -> AsyncIterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into a cancellation that unwinds everything, then into ``Interrupted``."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []

    def interrupt(number: signal.Signals) -> None:
        if not received:
            task.cancel(f"ended by {number.name}")
        received.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in caught:
        loop.add_signal_handler(number, interrupt, number)
    try:
        yield
    except asyncio.CancelledError:
        if not received:
            raise
        raise Interrupted(f"ended by {received[0].name}") from None
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


@contextlib.asynccontextmanager
async def _progress(testbed: Testbed, console: Console) -> AsyncIterator[None]:
    """A line on a terminal that shows how far the run is."""
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        stop_s = testbed.scenario.stop.at_s
        task = progress.add_task("starting", total=stop_s)

        async def follow() -> None:
            while True:
                await asyncio.sleep(STATUS_INTERVAL_S)
                with contextlib.suppress(AttributeError):  # no control socket before the testbed is up
                    await testbed.ask_status()
                status = testbed.status
                if status is not None:
                    now_s = status.now_ps / PICOSECONDS
                    text = (
                        f"{testbed.scenario.name}: {now_s:.4g} s virtual, {status.pairs} pairs, "
                        f"{status.applications} applications"
                    )
                    progress.update(task, description=text, completed=min(now_s, stop_s) if stop_s else None)

        follower = asyncio.create_task(follow())
        try:
            yield
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)


def _write(path: Path, text: bytes) -> None:
    """Write one of the files of a run.

    Raises:
        TestbedError: it cannot be written.
    """
    try:
        path.write_bytes(text)
    except OSError as error:
        raise TestbedError(
            f"{path} cannot be written: {error.strerror}; make room there, or choose another run directory with --out"
        ) from error


@contextlib.contextmanager
def _limits_told() -> Iterator[None]:
    """What the machine refuses is the testbed's failure, with a word on what to do."""
    try:
        yield
    except (OSError, zmq.ZMQError) as error:
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        raise TestbedError(f"the machine refuses: {where}{error.strerror}{LIMITS.get(error.errno or 0, '')}") from error


def started(scenario: Scenario, directory: Path, run_directory: Path) -> Scenario:
    """The scenario as it will be, written down: runs that fail can be repeated, too."""
    scenario = msgspec.structs.replace(chaos.expanded(scenario), directory=str(directory))
    _write(run_directory / "scenario.json", msgspec.json.format(msgspec.json.encode(scenario)) + b"\n")
    return scenario


def written(scenario: Scenario, outcome: RunOutcome, directory: Path, run_directory: Path) -> dict[str, Any]:
    """Build the report and write everything a person may look for in the run directory."""
    from orchestrator.report import build as report
    from orchestrator.report import text as report_text

    built = report.build(scenario, outcome, run_directory / "events.jsonl")
    built["run_directory"] = str(run_directory)
    manifest = {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "pace": scenario.time.pace,
        "deterministic": built["deterministic"],
        "digest": built["digest"],
        "ended_because": built["ended_because"],
        "wire_version": VERSION,
        "versions": {name: version(name) for name in ("qloom", "qutip", "numpy", "pyzmq", "msgspec")},
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    _write(run_directory / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
    _write(run_directory / "report.json", (json.dumps(built, indent=2) + "\n").encode())
    if scenario.check is not None:
        built["checks"] = checks.evaluate(checks.Run.of(run_directory), directory=directory)
        built["ok"] = built["ok"] and all(each["holds"] for each in built["checks"])
        _write(run_directory / "report.json", (json.dumps(built, indent=2) + "\n").encode())
    _write(run_directory / "report.txt", (report_text.as_text(built)).encode())
    return built


def first_difference(first: Path, second: Path) -> str | None:
    """Where two event logs part, in words; None if they are equal."""
    with first.open("rb") as one, second.open("rb") as other:
        number = 0
        for number, (line, counterpart) in enumerate(zip(one, other, strict=False), start=1):
            if line != counterpart:
                return f"event {number} differs:\n  first run:  {line.decode()}  second run: {counterpart.decode()}"
        rest = [("first", one.readline()), ("second", other.readline())]
    for name, line in rest:
        if line:
            return f"the {name} run goes on after event {number}: {line.decode()}"
    return None


def up(
    scenario: Scenario, *, directory: Path, out: Path | None, keep_s: float | None, ready: Callable[[Testbed], None]
) -> str:
    """Bring a testbed up and keep it until a signal comes; ``ready`` is called once it is. Returns why it ended.

    ``keep_s``: it is detached. What it has to say goes into a log of its own, since nobody is there to read it, and it
    outlives its supervisor by so many seconds, in which another can adopt it.

    Raises:
        TestbedError, LaunchError, RunDirectoryError: it failed.
        Interrupted: the signal came before it was up.
    """
    setproctitle(f"qloom: supervisor {scenario.name}")
    run_directory = create_run_directory(out, scenario.name)
    scenario = started(scenario, directory, run_directory)
    if keep_s is not None:
        _log_to(run_directory)
    testbed = Testbed(scenario, directory, run_directory, serves_until_stopped=True, tell=_say)
    with _limits_told():
        return asyncio.run(_serve(testbed, keep_s or 0.0, ready))


def adopt(record: TestbedRecord, *, detached: bool, ready: Callable[[Testbed], None]) -> str:
    """Be the supervisor of a testbed whose own died, until a signal comes. Returns why it ended.

    Raises:
        TestbedError, LaunchError, RunDirectoryError: it has one, or failed.
    """
    setproctitle(f"qloom: supervisor {record.name}")
    testbed = Testbed.of_orphan(record, tell=_say)
    if detached:
        _log_to(testbed.run_directory)
    with _limits_told():
        return asyncio.run(_serve(testbed, None, ready))


def _log_to(run_directory: Path) -> None:
    with (run_directory / "logs" / "supervisor.log").open("ab") as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)


async def _serve(testbed: Testbed, keep_s: float | None, ready: Callable[[Testbed], None]) -> str:
    """``keep_s``: None for one that is up already."""
    scenario, directory, run_directory = testbed.scenario, testbed.directory, testbed.run_directory
    async with interruptible(), testbed:
        if keep_s is not None:
            await testbed.start_virtual_time()
            await testbed.keep(keep_s)
        ready(testbed)
        try:
            finished = await testbed.ended()
        except asyncio.CancelledError as interruption:
            finished = await testbed.stop(str(interruption))
    outcome = RunOutcome(finished, list(testbed.processes.values()), {}, testbed.recoveries)
    written(scenario, outcome, directory, run_directory)
    return finished.reason


def detached(*arguments: str) -> dict[str, Any]:
    """Start ``qloom`` with these arguments in a process of its own and wait until its testbed is ready.

    Returns its record.

    Raises:
        TestbedError, RunDirectoryError: it did not come up; the message is its own.
    """
    read, write = os.pipe()
    command = [sys.executable, "-P", "-m", "orchestrator", *arguments]
    with os.fdopen(read, "rb") as reader:
        try:
            process = subprocess.Popen(
                [*command, "--ready-fd", str(write)],
                pass_fds=(write,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(write)
        answer: dict[str, Any] = json.loads(reader.read() or b"{}")  # ends with the testbed's or its supervisor's end
    if "error" in answer or not answer:
        code = process.wait(DETACH_DEADLINE_S)
        kind = RunDirectoryError if code == BAD_INPUT else TestbedError
        raise kind(answer.get("error", f"the supervisor ended with exit code {code} before it was ready"))
    return answer


__all__ = ["Interrupted", "LaunchError", "RunDirectoryError", "TestbedError", "first_difference", "run", "up"]
