"""Evaluates the checks of a scenario on a finished run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from orchestrator.checks import hook
from orchestrator.checks.circuits import CircuitsEnd
from orchestrator.checks.entanglement import MatchedPairs
from orchestrator.checks.keys import EqualKeys
from orchestrator.checks.log import Event, Problem
from orchestrator.checks.ownership import OneOwner
from orchestrator.checks.processes import Processes
from orchestrator.checks.run import Run
from orchestrator.scenario import Check

MOST_TOLD = 10
"""Problems of one check that are told in full; the others are counted."""


class Invariant(Protocol):
    """A built-in check: sees every line of the log once, then the report."""

    def add(self, event: Event) -> Iterator[Problem]:
        """What a line shows to be wrong."""
        ...

    def end(self, run: Run) -> Iterator[Problem]:
        """What the end of the log, or the report, shows to be wrong."""
        ...

    def looked_at(self) -> str:
        """How much there was to judge, so that a check of nothing shows."""
        ...


INVARIANTS: dict[str, Any] = {
    "matched_pairs": MatchedPairs,
    "one_owner": OneOwner,
    "equal_keys": EqualKeys,
    "circuits_end": CircuitsEnd,
    "processes": Processes,
}
"""By the name under which a scenario turns each off."""


def evaluate(run: Run, *, directory: Path) -> list[dict[str, Any]]:
    """The verdict of every check that is on, as JSON types; ``directory`` is the scenario file's, for the hook's path.

    Raises:
        OSError, ValueError: the event log cannot be read.
    """
    check = run.scenario.check or Check()
    chosen = {name: kind(run.scenario) for name, kind in INVARIANTS.items() if getattr(check, name)}
    found: dict[str, list[Problem]] = {name: [] for name in chosen}
    for event in run.events():
        for name, invariant in chosen.items():
            found[name].extend(invariant.add(event))
    verdicts = []
    for name, invariant in chosen.items():
        found[name].extend(invariant.end(run))
        verdicts.append(_verdict(name, found[name], invariant.looked_at()))
    if check.hook:
        problems = hook.run(
            check.hook, run_directory=run.directory, directory=directory, deadline_s=check.hook_deadline_s
        )
        verdicts.append(_verdict("hook", problems, check.hook))
    return verdicts


def _verdict(name: str, problems: list[Problem], looked_at: str) -> dict[str, Any]:
    return {
        "name": name,
        "holds": not problems,
        "looked_at": looked_at,
        "problems": [
            {"message": each.message}
            | ({"t_s": each.event.t_s, "event": each.event.line} if each.event is not None else {})
            for each in problems[:MOST_TOLD]
        ],
        "problems_in_all": len(problems),
    }


def lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    """A verdict in words: one line, or one for each problem."""
    if verdict["holds"]:
        yield f"{verdict['name']}: {verdict['looked_at']}"
    for problem in verdict["problems"]:
        where = f"at {problem['t_s']:.9g} s (events.jsonl line {problem['event']}): " if "event" in problem else ""
        yield f"{verdict['name']}: {where}{problem['message']}"
    untold = verdict["problems_in_all"] - len(verdict["problems"])
    if untold:
        yield f"{verdict['name']}: {untold} more of that kind"
