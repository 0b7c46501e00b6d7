"""One run as a sweep sees it: whether it passed, what failed, and its key figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator import checks


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that a run did not hold."""

    kind: str
    """What runs that fail alike have in common: the name of a check or an expectation, ``deadlock``, ``testbed``."""
    story: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A run that is over."""

    seed: int
    failures: tuple[Failure, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    """Key figures of its report, by name."""
    digest: str = ""
    wall_s: float = 0.0
    """From the start of its processes to their end."""
    run_directory: str = ""
    """Empty if it was not kept."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def fails_with(self, kind: str) -> bool:
        """Whether it fails in this way, whatever else fails with it."""
        return any(failure.kind == kind for failure in self.failures)


def of_report(report: dict[str, Any], *, seed: int, wall_s: float) -> Trial:
    """What ``qloom run --json`` printed of a run that came to its end."""
    return Trial(
        seed=seed,
        failures=tuple(_failures(report)),
        figures=dict(_figures(report)),
        digest=report["digest"],
        wall_s=wall_s,
        run_directory=report["run_directory"],
    )


def of_failed_testbed(story: str, *, seed: int, wall_s: float, run_directory: str = "") -> Trial:
    """A run that the testbed could not bring to its end."""
    kind = "deadlock" if story.startswith("deadlock") else "testbed"
    return Trial(seed=seed, failures=(Failure(kind, story),), wall_s=wall_s, run_directory=run_directory)


def _failures(report: dict[str, Any]) -> Iterator[Failure]:
    for verdict in report.get("checks", ()):
        if not verdict["holds"]:
            first = next(iter(checks.lines(verdict))).removeprefix(f"{verdict['name']}: ")
            more = verdict["problems_in_all"] - 1
            yield Failure(verdict["name"], first + (f" (and {more} more)" if more else ""))
    for expectation in report["expectations"]:
        if not expectation["holds"]:
            yield Failure(expectation["name"], expectation["line"])
    determinism = report.get("determinism")
    if determinism is not None and not determinism["equal"]:
        yield Failure("determinism", f"two runs differ: {determinism['first_difference']}")


def _figures(report: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name in ("virtual_s", "wall_s", "events", "messages"):
        yield name, float(report[name])
    yield "link pairs", float(sum(link["pairs"] for link in report["links"].values()))
    if report["circuits"]:
        yield "circuits", float(len(report["circuits"]))
        yield "circuit pairs", float(sum(each.get("delivered", 0) for each in report["circuits"].values()))
    if report["faults"]:
        yield "faults", float(sum(fault["kind"] == "fault" for fault in report["faults"]))
    for application, values in report["results"].items():
        for name, value in values.items():
            number = value["value"] if isinstance(value, dict) else value
            if isinstance(number, int | float):
                yield f"{application}.{name}", float(number)
