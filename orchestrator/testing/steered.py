"""A testbed of real processes that a test steers: virtual time stands still while the test thinks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from orchestrator import checks, control, supervisor
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.scenario import Application, Scenario
from orchestrator.testbed import RunOutcome, Testbed
from orchestrator.testing.handles import CircuitHandle, Faults, Line, LinkHandle, NodeHandle
from orchestrator.testing.programs import Program, Work

T = TypeVar("T")

UP_DEADLINE_S = 120.0
DEADLINE_S = 120.0
"""Longest that one call of a test waits, in wall-clock time."""
END_DEADLINE_S = 20.0


class NothingLeft(AssertionError):
    """What a test waits for cannot come: nothing is left to happen."""


class SteeredTestbed:
    """Real processes, up and at virtual time 0.

    Virtual time stands still but for ``go``, ``go_until``, ``wait_for`` and ``finish``. Whatever a test does between
    them is done at that instant: the same test with the same seed gives the same events.
    """

    def __init__(self, scenario: Scenario, directory: Path, run_directory: Path) -> None:
        """``directory``: where the scenario's relative paths start; ``run_directory``: for logs and the event log."""
        (run_directory / "logs").mkdir(parents=True)
        self.scenario = supervisor.started(scenario, directory, run_directory)
        """As it runs: random faults are drawn, all are named."""
        self.directory = directory
        self.run_directory = run_directory
        self.programs: dict[str, Program] = {}
        self._now_ps = 0
        self._lines: list[Line] = []
        self._read_to = 0
        self._report: dict[str, Any] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qloom testbed", daemon=True)
        self._testbed = Testbed(self.scenario, directory, run_directory, serves_until_stopped=True, held=True)
        self.faults = Faults(self._steer)
        self.nodes: Mapping[str, NodeHandle] = MappingProxyType(
            {name: NodeHandle(name, self.faults) for name in scenario.nodes}
        )
        self.links: Mapping[str, LinkHandle] = MappingProxyType(
            {name: LinkHandle(name, self.faults) for name in (*scenario.links, *scenario.classical_links)}
        )

    def __enter__(self) -> SteeredTestbed:
        self._thread.start()
        try:
            self._do(self._testbed.__aenter__(), deadline_s=UP_DEADLINE_S)
        except BaseException:
            self._end_loop()
            raise
        try:
            for application in self.scenario.applications:
                self._do(self._testbed.start_application(application))
            self._do(self._testbed.start_virtual_time())
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._report is None:
                with contextlib.suppress(Exception):  # the test's own failure matters, and it is on its way
                    self.report()
        finally:
            self._take_down()

    @property
    def seed(self) -> int:
        """Of this run."""
        return self.scenario.seed

    @property
    def now_s(self) -> float:
        """Virtual time."""
        return self._now_ps / PICOSECONDS

    def go(self, for_s: float) -> None:
        """Let virtual time go on for so long."""
        self.go_until(self.now_s + for_s)

    def go_until(self, at_s: float) -> None:
        """Let virtual time go on until an instant; what happens at the instant itself is still to come."""
        self._steer(control.Go(until_ps=round(at_s * PICOSECONDS)))

    def wait_for(self, kind: str, *, within_s: float | None = None, **details: Any) -> Line:
        """Let virtual time go on until something happens: a line of the event log of this kind with these details.

        Raises:
            AssertionError: it did not happen ``within_s`` of virtual time.
            NothingLeft: it cannot happen any more.
        """
        until_ps = None if within_s is None else self._now_ps + round(within_s * PICOSECONDS)
        answer = self._steer(control.Go(line={"kind": kind, **details}, until_ps=until_ps))
        if answer.why == "line":
            return answer.line
        wanted = " ".join([kind, *(f"{name}={value!r}" for name, value in details.items())])
        if answer.why == "time":
            raise AssertionError(f"waited {within_s:g} s of virtual time for {wanted}{_waits(answer)}")
        raise NothingLeft(f"waited for {wanted}, but nothing is left to happen{_waits(answer)}")

    def finish(self, *, within_s: float | None = None) -> None:
        """Let virtual time go on until every program and application has ended, and see that all ended well.

        Raises:
            AssertionError: one failed, or had not ended ``within_s`` of virtual time.
            NothingLeft: nothing is left to happen, and some wait.
        """
        until_ps = None if within_s is None else self._now_ps + round(within_s * PICOSECONDS)
        answer = self._steer(control.Go(ended=True, until_ps=until_ps))
        for program in self.programs.values():
            if answer.why == "ended" and not program.wait(END_DEADLINE_S):
                raise AssertionError(f"the program {program.name} detached, but has not ended in {END_DEADLINE_S:g} s")
            if program.error is not None:
                raise AssertionError(
                    f"the program {program.name} on {program.node} failed: {type(program.error).__name__}: "
                    f"{program.error}"
                ) from program.error
        if answer.why == "time":
            raise AssertionError(f"waited {within_s:g} s of virtual time for every program to end{_waits(answer)}")
        if answer.why == "idle":
            raise NothingLeft(f"programs wait, but nothing is left to happen{_waits(answer)}")
        for name, code in self._do(self._exit_codes()).items():
            if code != 0:
                log = self.run_directory / "logs" / f"application-{name}.log"
                raise AssertionError(f"the application {name} ended with {code} (log: {log})")

    def start(self, node: str, work: Work | Sequence[str], *arguments: Any, name: str = "") -> Program | None:
        """Start a program on a node, at this instant.

        Args:
            work: a function, which is called in a thread of its own with a session (``qnode.sdk.Session``) and the
                arguments; or a command, whose first word may be ``python``.
            name: of the application; by default the function's, numbered where that is not enough.

        Returns: the program, whose ``result`` is there after ``finish``; None for a command.
        """
        if callable(work):
            name = name or self._new_name(getattr(work, "__name__", "program"))
            program = Program(
                name,
                node,
                work,
                arguments,
                socket=self._testbed.endpoint(node),
                credentials=self._testbed.credentials(f"node-{node}", name),
            )
            self.programs[name] = program
            program.start()
        else:
            program = None
            application = Application(
                name=name or self._new_name("command"), node=node, command=tuple(map(str, (*work, *arguments)))
            )
            self._do(self._testbed.start_application(application))
        self._steer(control.LetIn(node=node))
        return program

    def events(self, *kinds: str, **details: Any) -> list[Line]:
        """The lines of the event log up to now: of some kinds, or all; with these details."""
        path = self.run_directory / "events.jsonl"
        with path.open("rb") as log:
            log.seek(self._read_to)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_to += len(whole)
        self._lines += map(json.loads, whole.splitlines())
        return [
            line
            for line in self._lines
            if (not kinds or line["kind"] in kinds) and all(line.get(name) == value for name, value in details.items())
        ]

    @property
    def circuits(self) -> dict[str, CircuitHandle]:
        """All circuits that were asked for, by name."""
        lines: dict[str, list[Line]] = {}
        for line in self.events():
            if "circuit" in line and "node" in line:
                lines.setdefault(line["circuit"], []).append(line)
        return {name: CircuitHandle(name, tuple(each)) for name, each in lines.items()}

    def report(self) -> dict[str, Any]:
        """End the run; returns its report, as ``qloom run --json`` gives it."""
        if self._report is None:
            finished = self._do(self._testbed.stop("the test is over"))
            self._do(self._testbed.processes_ended(END_DEADLINE_S, kind=""))
            processes = list(self._testbed.processes.values())
            applications = {
                each.name.removeprefix("application "): each for each in processes if each.name.startswith("app")
            }
            outcome = RunOutcome(finished, processes, applications, self._testbed.recoveries)
            self._report = supervisor.written(self.scenario, outcome, self.directory, self.run_directory)
        return self._report

    def check(self) -> None:
        """End the run and see that every built-in invariant holds of it, and the scenario's own checks.

        Raises:
            AssertionError: with what does not hold, where, and what was expected.
        """
        self.report()
        verdicts = checks.evaluate(checks.Run.of(self.run_directory), directory=self.directory)
        broken = [verdict for verdict in verdicts if not verdict["holds"]]
        if broken:
            raise AssertionError("\n".join(line for verdict in broken for line in checks.lines(verdict)))

    def _new_name(self, base: str) -> str:
        name, number = base, 2
        while name in self.programs:
            name, number = f"{base}-{number}", number + 1
        return name

    async def _exit_codes(self) -> dict[str, int | None]:
        await self._testbed.processes_ended(END_DEADLINE_S)
        return {
            name.removeprefix("application "): each.code
            for name, each in self._testbed.processes.items()
            if name.startswith("application ") and not each.fault
        }

    def _steer(self, request: control.Steering) -> control.Steered:
        answer = self._do(self._testbed.steer(request, deadline_s=DEADLINE_S), deadline_s=2 * DEADLINE_S)
        self._now_ps = answer.now_ps
        return answer

    def _do(self, work: Coroutine[Any, Any, T], *, deadline_s: float = DEADLINE_S) -> T:
        """Await ``work`` in the testbed's loop, but not for ever."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(deadline_s)

    def _take_down(self) -> None:
        try:
            self._do(self._testbed.__aexit__(None, None, None), deadline_s=UP_DEADLINE_S)
            for program in self.programs.values():
                program.wait(END_DEADLINE_S)
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_DEADLINE_S)
        self._loop.close()


def _waits(answer: control.Steered) -> str:
    return f": {'; '.join(answer.waits)}" if answer.waits else ""
