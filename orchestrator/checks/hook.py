"""A person's own check: a Python function over a finished run, called in a process of its own.

The function gets a ``Run`` and says what is wrong: it raises AssertionError, or returns (or yields) problems, each a
text or a pair of an event and a text. What it prints goes into ``logs/check-hook.log`` of the run directory.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.checks.log import Event, Problem
from orchestrator.checks.run import Run

LOG = "check-hook.log"
MOST_PROBLEMS = 100
"""After so many a hook is not asked for more."""


class Answer(msgspec.Struct, frozen=True):
    """What the hook's process tells."""

    problems: list[tuple[str, int | None, int | None]] = []
    """Message, and the event's line and instant (ps) where it named one."""
    error: str = ""
    """Why there is no verdict."""


def split(hook: str, directory: Path) -> tuple[Path, str]:
    """File and function of ``path/to/file.py:function``; the path is relative to ``directory``.

    Raises:
        ValueError: there is no such file.
    """
    path, _, function = hook.rpartition(":")
    file = directory / path
    if not file.is_file():
        raise ValueError(
            f"check.hook: expected a Python file and a function such as checks.py:holds, found no file {file}"
        )
    return file, function


def run(hook: str, *, run_directory: Path, directory: Path, deadline_s: float) -> list[Problem]:
    """The hook's problems with a run; that it fails or takes too long is one."""
    try:
        file, function = split(hook, directory)
    except ValueError as error:
        return [Problem(str(error))]
    log = run_directory / "logs" / LOG
    log.parent.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-P",
        "-m",
        "orchestrator.checks",
        str(run_directory.resolve()),
        str(file.resolve()),
        function,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
        try:
            text, _ = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            return [
                Problem(f"expected a verdict within {deadline_s:g} s (check.hook_deadline_s), found none; see {log}")
            ]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    try:
        answer = msgspec.json.decode(text, type=Answer)
    except msgspec.MsgspecError:
        return [
            Problem(f"expected a verdict, found that its process ended with exit code {process.returncode}; see {log}")
        ]
    if answer.error:
        return [Problem(f"{answer.error}; see {log}")]
    return [
        Problem(message, Event(line, "", t_ps, {}) if line is not None and t_ps is not None else None)
        for message, line, t_ps in answer.problems
    ]


def main(arguments: list[str]) -> None:
    """Call the function; the answer goes to what was standard output, which prints do not reach."""
    answers = os.dup(1)
    os.dup2(2, 1)
    run_directory, file, function = Path(arguments[0]), Path(arguments[1]), arguments[2]
    answer = _judged(run_directory, file, function)
    sys.stdout.flush()
    with os.fdopen(answers, "wb") as stream:
        stream.write(msgspec.json.encode(answer))


def _judged(run_directory: Path, file: Path, function: str) -> Answer:
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec = importlib.util.spec_from_file_location("qloom_check_hook", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        check = getattr(module, function, None)
        if check is None:
            return Answer(error=f"expected a function {function!r} in {file}, found none")
    except Exception:  # noqa: BLE001  whatever a person's module raises is told
        traceback.print_exc()
        return Answer(error=f"expected to import {file}, found {_last()}")
    problems: list[tuple[str, int | None, int | None]] = []
    try:
        for problem in _said(check(Run.of(run_directory))):
            problems.append(_located(problem))
            if len(problems) == MOST_PROBLEMS:
                break
    except AssertionError as error:
        problems.append((str(error) or f"assertion failed: {_where(error)}", None, None))
    except Exception:  # noqa: BLE001  likewise
        traceback.print_exc()
        return Answer(error=f"expected a verdict of {function}, found {_last()}")
    return Answer(problems=problems)


def _said(answer: Any) -> Iterable[Any]:
    if answer is None:
        return ()
    if isinstance(answer, str):
        return (answer,)
    if not isinstance(answer, Iterable):
        raise TypeError(f"a hook returns None, a text, or problems to iterate over, found {type(answer).__name__}")
    return answer


def _located(problem: Any) -> tuple[str, int | None, int | None]:
    if isinstance(problem, tuple) and len(problem) == 2 and isinstance(problem[0], Event):
        return str(problem[1]), problem[0].line, problem[0].t_ps
    if isinstance(problem, str):
        return problem, None, None
    raise TypeError(f"a problem is a text, or a pair of an event and a text, found {problem!r}")


def _last() -> str:
    kind, error, _ = sys.exc_info()
    return f"{kind.__name__ if kind else 'an error'}: {error}"


def _where(error: AssertionError) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.line} ({Path(frame.filename).name}, line {frame.lineno})"
