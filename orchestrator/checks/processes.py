"""The check ``processes``: every process ended as it should."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from orchestrator.checks.log import Event, Problem
from orchestrator.checks.run import Run
from orchestrator.run_directory import last_lines
from orchestrator.scenario import Scenario

EVERYBODY_ENDED = "every application has ended"
ENDED_WITH_THE_RUN = (-signal.SIGTERM, -signal.SIGKILL)
"""How a testbed ends what does not end by itself when a run is over."""


class Processes:
    """Holds exit codes against what the scenario says of its applications.

    Unless it says something else: exit code 0; a fault may kill; and an application that the end of the run interrupted
    may say so by another exit code.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._expected = scenario.check.applications if scenario.check is not None else {}
        self._detached: dict[str, Event] = {}
        self._looked_at = 0

    def looked_at(self) -> str:
        """How many were judged."""
        return f"{self._looked_at} processes ended"

    def add(self, event: Event) -> Iterator[Problem]:
        """Who was gone before the end."""
        if event.kind in ("application_detached", "application_never_attached"):
            self._detached[event["application"]] = event
        return iter(())

    def end(self, run: Run) -> Iterator[Problem]:
        """Every process's end."""
        ended_early = run.report["ended_because"] != EVERYBODY_ENDED
        for process in run.report["processes"]:
            self._looked_at += 1
            kind, _, name = process["name"].partition(" ")
            code, fault, status = process["exit_code"], process["fault"], process["status"]
            if kind != "application":
                if code not in (0, *ENDED_WITH_THE_RUN) and not fault:
                    yield Problem(f"expected {process['name']} to end with exit code 0, found {status}")
                continue
            expected = self._expected.get(name)
            event = self._detached.get(name)
            if expected is None:
                interrupted = ended_early and event is None and code is not None and code > 0
                if code != 0 and not fault and not interrupted:
                    ends = last_lines(run.directory / "logs" / f"application-{name}.log")
                    yield Problem(f"expected application {name} to end with exit code 0, found {status}{ends}", event)
            elif expected == "killed":
                if code is None or code >= 0:
                    yield Problem(f"expected application {name} to be killed, found {status}", event)
            elif expected != "any" and code != expected:
                yield Problem(f"expected application {name} to end with exit code {expected}, found {status}", event)
