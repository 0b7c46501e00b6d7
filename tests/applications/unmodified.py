"""Runs programs as they are, with the blocking SDK and all, on a testbed that is one process: a thread for each.

One thread acts at a time: the testbed's, or that of a program which was given an answer and has not asked anew. So a run is
as repeatable as one of real processes, and a hundred times cheaper to start.
"""

from __future__ import annotations

import os
import queue
import runpy
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
from in_process import InProcess, Program

from orchestrator import checks
from orchestrator.fabric.event_log import EventLog
from orchestrator.scenario import Scenario
from qnode.sdk import blocking, errors
from qnode.sdk.calls import Call, T
from qnode.sdk.connection import error_of
from qnode.wire import application

LONGEST_RUN_S = 1e4
"""Of virtual time."""
ANSWER_DEADLINE_S = 120.0
"""Longest that a program may think before its next request, by the wall clock."""


class _Over(SystemExit):
    """The testbed is gone."""


@dataclass
class Played:
    """What became of a run."""

    results: dict[str, float] = field(default_factory=dict)
    """What programs reported, as ``application.name``."""
    failures: dict[str, errors.QloomError] = field(default_factory=dict)
    """The programs that ended with an error of the SDK."""
    virtual_s: float = 0.0
    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of the checks."""


class _Session(blocking.Session):
    """A session whose frames are calls."""

    def __init__(self, program: _Thread) -> None:
        self._program = program
        self._open = True
        self._connection = SimpleNamespace(node=program.node, now_ps=0, close=lambda: None)  # type: ignore[assignment]

    def _do(self, call: Call[T]) -> T:
        frame = application.requests.encode(call.request)  # what the wire would not carry fails here, too
        answer = self._program.asked(application.requests.decode(frame))
        self._connection.now_ps = answer.now_ps
        if isinstance(answer, application.Failed):
            raise error_of(answer)
        return call.meaning(answer)


class _Thread(threading.Thread):
    """One program; its requests come out of `requests`."""

    def __init__(self, file: Path, node: str, arguments: list[str]) -> None:
        super().__init__(daemon=True, name=f"{file.stem} on {node}")
        self.file, self.node, self.arguments = file, node, arguments
        self.error: BaseException | None = None
        self._questions: queue.SimpleQueue[application.Request | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[application.Answer | None] = queue.SimpleQueue()

    def run(self) -> None:
        try:
            sys.argv = [str(self.file), *self.arguments]
            runpy.run_path(str(self.file), run_name="__main__")
        except BaseException as error:  # noqa: BLE001 - the testbed's thread tells
            self.error = error
        self._questions.put(None)

    def asked(self, request: application.Request) -> application.Answer:
        """Of the program's thread: ask, and wait for the answer."""
        self._questions.put(request)
        answer = self._answers.get()
        if answer is None:
            raise _Over
        return answer

    def requests(self) -> Program:
        """Of the testbed's thread: the program as it knows one."""
        self.start()
        while (request := self._questions.get(timeout=ANSWER_DEADLINE_S)) is not None:
            self._answers.put((yield request))

    def end(self) -> None:
        """Let go of a program that still waits."""
        self._answers.put(None)


def play(scenario: Scenario, directory: Path, *, log: Path | None = None) -> Played:
    """Run the programs of ``scenario``, which lie in ``directory``; with a ``log`` directory, judge the run, too.

    Raises:
        Whatever a program raised that is no error of the SDK.
    """
    events = EventLog(log / "events.jsonl" if log else None)
    testbed = InProcess(scenario, check=False, log=events)
    threads = {}
    for each in scenario.applications:
        _, file, *arguments = each.command
        threads[each.name] = thread = _Thread(directory / file, each.node, arguments)
        testbed.start(each.node, thread.requests(), name=each.name)

    def attach() -> _Session:
        program = threading.current_thread()
        assert isinstance(program, _Thread)
        return _Session(program)

    with (
        mock.patch("qnode.sdk.attach", attach),
        mock.patch.dict(os.environ, QLOOM_SEED=str(scenario.seed)),
        mock.patch.object(sys, "argv", []),
    ):
        try:
            testbed.run(at_most_s=LONGEST_RUN_S)
        finally:
            for thread in threads.values():
                thread.end()
    played = Played(virtual_s=testbed.now / 1e12)
    for record in testbed.of_kind("application_reported"):
        for name, value in record["values"].items():
            played.results[f"{record['application'].rstrip('0123456789')}.{name}"] = value
    for name, thread in threads.items():
        if isinstance(thread.error, errors.QloomError):
            played.failures[name] = thread.error
        elif thread.error is not None and not isinstance(thread.error, _Over):
            raise thread.error
    if log:
        events.close()
        played.verdicts = dict(_verdicts(scenario, log, played.virtual_s))
    return played


def _verdicts(scenario: Scenario, log: Path, virtual_s: float) -> Iterator[tuple[str, dict[str, Any]]]:
    (log / "scenario.json").write_bytes(msgspec.json.encode(scenario))
    report = {"circuits": {}, "virtual_s": virtual_s, "ended_because": "", "processes": []}
    (log / "report.json").write_bytes(msgspec.json.encode(report))
    for verdict in checks.evaluate(checks.Run.of(log), directory=log):
        yield verdict["name"], verdict
