"""Many runs: what ``run`` does with ``--seeds``, and with ``--shrink``."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click
import msgspec

from orchestrator.checks.log import counted
from orchestrator.cli.failures import fail
from orchestrator.cli.options import directory_of
from orchestrator.exit_codes import BAD_INPUT, EXPECTATION_FAILED, OK, TESTBED_FAILED
from orchestrator.scenario import Scenario
from orchestrator.scenario.faults import named
from orchestrator.trials import child, shrunk_scenario, summary
from orchestrator.trials.seeds import Seeds
from orchestrator.trials.shrink import Faults, Shrinker, Shrunk, in_words
from orchestrator.trials.sweep import sweep
from orchestrator.trials.trial import Trial

if TYPE_CHECKING:
    from rich.console import Console

Keep = Literal["failed", "all", "none"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for."""

    file: Path
    scenario: Scenario
    """With the seed that it would have without a sweep."""
    options: tuple[str, ...]
    """That change a run, beside its seed: every run gets them, and so does the command that repeats it."""
    seeds: Seeds | None
    jobs: int
    keep: Keep
    until_failure: bool
    timeout_s: float
    out: Path | None
    shrink: bool
    shrink_runs: int
    shrink_time_s: float
    as_json: bool

    def repeat(self, seed: int) -> str:
        """The command that gives the same run again."""
        return shlex.join([_program(), "run", str(self.file), "--seed", str(seed), *self.options])


def _program() -> str:
    """What the user calls this program."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "qloom" and shutil.which("qloom") != str(called) else "qloom"


@dataclass
class _Told:
    """What came of it, so far."""

    trials: list[Trial] = field(default_factory=list)
    wall_s: float = 0.0
    """Of the sweep alone."""

    @property
    def first_failure(self) -> Trial | None:
        """Of the smallest seed."""
        return min((trial for trial in self.trials if not trial.passed), key=lambda trial: trial.seed, default=None)


def run(request: Request) -> NoReturn:
    """Sweep, shrink, or both; tells what came of it, and ends the program."""
    from rich.console import Console

    from orchestrator import supervisor

    console = Console(stderr=True)
    told = _Told()
    answer: dict[str, Any] = {}
    interrupted = ""
    try:
        asyncio.run(_interruptibly(_all(request, told, answer, console)))
    except child.BadInput as error:
        fail(BAD_INPUT, str(error))
    except (supervisor.Interrupted, KeyboardInterrupt) as error:
        interrupted = str(error) or "interrupted"
    except supervisor.LaunchError as error:
        fail(TESTBED_FAILED, str(error))
    except supervisor.RunDirectoryError as error:
        fail(BAD_INPUT, str(error))
    except OSError as error:
        fail(BAD_INPUT, f"{error}{supervisor.LIMITS.get(error.errno or 0, '')}")
    _tell(request, told, answer, interrupted)


async def _interruptibly(work: Any) -> None:
    from orchestrator import supervisor

    async with supervisor.interruptible():
        await work


async def _all(request: Request, told: _Told, answer: dict[str, Any], console: Console) -> None:
    with _directory(request) as base:
        async with child.Runs(base, request.options, request.timeout_s) as runs:
            if request.seeds is not None:
                await _sweep(request, request.seeds, runs, told, base, console)
            seed = request.scenario.seed
            if request.shrink and request.seeds is not None:
                if told.first_failure is None:
                    return
                seed = told.first_failure.seed
            if request.shrink:
                await _shrink(request, seed, runs, answer, base, console)


@contextlib.contextmanager
def _directory(request: Request) -> Iterator[Path]:
    """Where run directories go; a place of their own that is removed if none is kept."""
    from orchestrator.run_directory import create_run_directory

    if request.keep == "none":
        with tempfile.TemporaryDirectory(prefix="qloom-sweep-") as name:
            yield Path(name)
        return
    base = create_run_directory(request.out, f"{request.scenario.name}-sweep")
    (base / "logs").rmdir()
    try:
        yield base
    finally:
        with contextlib.suppress(OSError):
            base.rmdir()  # where there is nothing in it


async def _sweep(request: Request, seeds: Seeds, runs: child.Runs, told: _Told, base: Path, console: Console) -> None:
    began_s = time.monotonic()

    async def once(seed: int) -> Trial:
        trial = await runs(request.file, seed=seed, out=base / f"seed-{seed}")
        kept = request.keep == "all" or (request.keep == "failed" and not trial.passed)
        return trial if kept else child.forget(trial)

    with _progress(console, f"{request.scenario.name}: {_many(seeds)}", seeds.count) as (advance, say):

        def heard(trial: Trial) -> None:
            told.trials.append(trial)
            told.wall_s = time.monotonic() - began_s
            if not trial.passed:
                say(_failure_line(trial))
            failed = sum(not each.passed for each in told.trials)
            advance(f"{request.scenario.name}: {counted(failed, 'seed')} failed", len(told.trials))

        await sweep(seeds, once, jobs=request.jobs, heard=heard, until_failure=request.until_failure or request.shrink)


def _many(seeds: Seeds) -> str:
    return counted(seeds.count, "seed") if seeds.count is not None else "seed after seed"


def _failure_line(trial: Trial) -> str:
    first, *others = trial.failures
    more = f" (and {', '.join(each.kind for each in others)})" if others else ""
    return f"seed {trial.seed} FAILED  {first.kind}: {_one_line(first.story)}{more}"


def _one_line(story: str) -> str:
    line = " ".join(story.split())
    return line if len(line) <= 240 else f"{line[:237]}..."


@contextlib.contextmanager
def _progress(console: Console, description: str, total: int | None) -> Iterator[Any]:
    """A bar on a terminal; gives two functions: advance with a new description, and say a line above it."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield (lambda text, completed: None), say
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(description, total=total)

        def advance(text: str, completed: int) -> None:
            progress.update(task, description=text, completed=completed)

        yield advance, say


async def _shrink(
    request: Request, seed: int, runs: child.Runs, answer: dict[str, Any], base: Path, console: Console
) -> None:
    """Shrink the schedule of one seed; what comes of it is added to ``answer``."""
    from orchestrator import chaos
    from orchestrator.scenario.file import load

    scenario = chaos.expanded(msgspec.structs.replace(load(request.file), seed=seed))
    faults: Faults = tuple(named(scenario.faults))
    directory = directory_of(request.file, scenario)
    document = shrunk_scenario.document_of(request.file)
    work = base / "shrinking"
    work.mkdir(parents=True)
    count = 0

    async def tried(candidate: Faults) -> Trial:
        nonlocal count
        count += 1
        path, out = work / f"{count}.json", work / str(count)
        written = shrunk_scenario.with_faults(document, candidate, seed=seed, directory=str(directory))
        path.write_text(json.dumps(written))
        try:
            return child.forget(await runs(path, seed=seed, out=out))
        finally:
            path.unlink()

    began_s = time.monotonic()
    try:
        whole = await tried(faults)
        answer |= {"seed": seed, "faults_before": len(faults)}
        if whole.passed:
            answer["passes"] = True
            return
        kind = whole.failures[0].kind
        say_many = f"seed {seed} fails {kind}; shrinking {counted(len(faults), 'fault')}"
        console.print(say_many, highlight=False, markup=False)
        with _progress(console, say_many, None) as (advance, _):

            async def fails(candidate: Faults) -> bool:
                return (await tried(candidate)).fails_with(kind)

            def heard(smallest: Faults, number: int) -> None:
                advance(f"shrinking {kind}: {counted(len(smallest), 'fault')} left", number)

            def allowed(number: int) -> bool:
                return number < request.shrink_runs and time.monotonic() - began_s < request.shrink_time_s

            shrunk = await Shrinker(fails=fails, jobs=request.jobs, allowed=allowed, heard=heard).shrink(faults)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    answer |= _written(request, scenario, document, shrunk, kind, seed)
    answer |= {"kind": kind, "wall_s": time.monotonic() - began_s}


def _written(
    request: Request, scenario: Scenario, document: dict[str, Any], shrunk: Shrunk, kind: str, seed: int
) -> dict[str, Any]:
    """Write the smallest scenario that fails, beside the file that it came from."""
    from orchestrator.scenario.file import load

    directory = directory_of(request.file, scenario)
    home = request.file.parent if os.access(request.file.parent, os.W_OK) else Path()
    written = shrunk_scenario.with_faults(
        document, shrunk.faults, seed=seed, directory=shrunk_scenario.relative_directory(directory, home)
    )
    comment = [f"{request.file.name} with seed {seed}, its faults shrunk: fails {kind}."]
    path = shrunk_scenario.write_new(written, home, f"{request.file.stem}-seed{seed}-shrunk", comment=comment)
    assert tuple(named(load(path).faults)) == shrunk.faults, f"{path} does not say what was meant"
    return {
        "faults": [in_words(fault) for fault in shrunk.faults],
        "minimal": shrunk.is_minimal,
        "limit_reached": shrunk.limit_reached,
        "runs": shrunk.runs,
        "scenario": str(path),
        "command": shlex.join([_program(), "run", str(path), *request.options]),
    }


def _tell(request: Request, told: _Told, answer: dict[str, Any], interrupted: str) -> NoReturn:
    failure = told.first_failure
    counts = summary.of(told.trials, wall_s=told.wall_s, jobs=request.jobs)
    passed = failure is None and not (answer and not answer.get("passes")) and not interrupted
    if request.as_json:
        whole: dict[str, Any] = {"ok": passed, "scenario": request.scenario.name}
        if request.seeds is not None:
            trials = sorted(told.trials, key=lambda trial: trial.seed)
            whole |= {"summary": counts, "trials": [dataclasses.asdict(trial) for trial in trials]}
        if failure is not None:
            whole["command"] = request.repeat(failure.seed)
        if answer:
            whole["shrunk"] = answer
        if interrupted:
            whole["error"] = interrupted
        click.echo(json.dumps(whole))
    else:
        _tell_in_words(request, told, answer, counts)
    if interrupted:
        fail(TESTBED_FAILED, interrupted)
    sys.exit(OK if passed else EXPECTATION_FAILED)


def _tell_in_words(request: Request, told: _Told, answer: dict[str, Any], counts: dict[str, Any]) -> None:
    from rich.console import Console

    failure = told.first_failure
    if request.seeds is not None:
        Console().print(summary.rendered(counts))
    if failure is not None:
        if failure.run_directory:
            click.echo(f"run directory of seed {failure.seed}: {failure.run_directory}")
        click.echo(f"repeat seed {failure.seed} with:\n  {request.repeat(failure.seed)}")
    if answer.get("passes"):
        again = ", though it failed before: it is not deterministic" if failure is not None else "; nothing to shrink"
        click.echo(f"seed {answer['seed']} passes{again}")
    elif "scenario" in answer:
        for line in _shrunk_in_words(answer):
            click.echo(line)


def _shrunk_in_words(answer: dict[str, Any]) -> Iterator[str]:
    count = counted(len(answer["faults"]), "fault")
    effort = f"{counted(answer['runs'], 'run')}, {answer['wall_s']:.1f} s"
    if not answer["faults"]:
        yield f"{answer['kind']} fails without any fault ({effort})"
    else:
        if answer["minimal"]:
            sure = "1-minimal: without any one of them it does not fail so"
        else:
            sure = "the limit was reached; fewer may do (--shrink-runs, --shrink-time)"
        yield f"shrunk from {answer['faults_before']} to {count} ({effort}); {sure}:"
        yield from (f"  {line}" for line in answer["faults"])
    yield f"repeat it with:\n  {answer['command']}"
