"""A finished run, to be looked at: what a hook is given, and what the built-in checks are evaluated on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from orchestrator.checks.log import Event, read
from orchestrator.scenario import Scenario


@dataclass(slots=True, frozen=True)
class Run:
    """A run that is over. Nothing here changes it."""

    directory: Path
    scenario: Scenario
    report: Mapping[str, Any]
    """As in ``report.json``; what it says of checks is not yet there while they are evaluated."""

    @classmethod
    def of(cls, directory: Path) -> Run:
        """The run in a run directory.

        Raises:
            OSError, ValueError: it holds no finished run.
        """
        scenario = msgspec.json.decode((directory / "scenario.json").read_bytes(), type=Scenario)
        return cls(directory, scenario, MappingProxyType(json.loads((directory / "report.json").read_text())))

    def events(self, *kinds: str) -> Iterator[Event]:
        """The lines of the event log in their order: all, or those of some kinds."""
        return (event for event in read(self.directory / "events.jsonl") if not kinds or event.kind in kinds)

    @property
    def exit_codes(self) -> Mapping[str, int | None]:
        """Of the applications, by name: negative for a signal, None for one that had to be ended with the testbed."""
        return {
            process["name"].removeprefix("application "): process["exit_code"]
            for process in self.report["processes"]
            if process["name"].startswith("application ")
        }
