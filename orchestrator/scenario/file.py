"""Reads scenario files, in YAML or JSON, into :class:`orchestrator.scenario.Scenario`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import msgspec.inspect

from orchestrator.scenario.check import check, struct_type
from orchestrator.scenario.document import LARGEST_TEXT_BYTES, Problem, ScenarioError, read_tree, tree_of
from orchestrator.scenario.faults import Fault
from orchestrator.scenario.hardware_choice import expand_hardware
from orchestrator.scenario.references import check_references
from orchestrator.scenario.types import Scenario

__all__ = ["ScenarioError", "fault_of", "load", "parse"]


def load(path: str | Path) -> Scenario:
    """The scenario in a file. Raises ScenarioError with every problem; that it cannot be read is one too."""
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_TEXT_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        message = f"expected a readable file: {error.strerror}"
        raise ScenarioError([Problem(path="", message=message)], source=source) from error
    except UnicodeDecodeError as error:
        if len(data) <= LARGEST_TEXT_BYTES:
            message = f"expected UTF-8 text, found the byte 0x{data[error.start]:02x} at {error.start}"
            raise ScenarioError([Problem(path="", message=message)], source=source) from error
        text = data.decode("latin-1")  # cut off inside a character; refused for its size below
    return parse(text, source=source)


def parse(text: str, *, source: str) -> Scenario:
    """The scenario in a text that errors call ``source``. Raises ScenarioError with every problem of it."""
    problems: list[Problem] = []
    tree = read_tree(text, source=source, problems=problems)
    if tree is None:
        raise ScenarioError(problems, source=source)
    tree = expand_hardware(tree, problems=problems)
    check(tree, struct_type(Scenario), path="", problems=problems)
    check_references(tree, problems=problems)
    if problems:
        raise ScenarioError(sorted(problems, key=_line), source=source)
    return msgspec.convert(tree.plain(), Scenario)


def fault_of(fields: Mapping[str, object], scenario: Scenario) -> Fault:
    """A fault for a scenario that runs, from the same keys and values as in its ``faults:``.

    Raises:
        ScenarioError: with every problem of it.
    """
    problems: list[Problem] = []
    plain = msgspec.to_builtins(scenario, str_keys=True)
    sections = {name: plain[name] for name in ("nodes", "links", "classical_links")}
    try:
        tree = tree_of({**sections, "faults": [dict(fields)]})
    except TypeError as error:
        raise ScenarioError([Problem(path="", message=str(error))], source="fault") from error
    assert isinstance(tree.value, dict)
    check(tree.value["faults"], msgspec.inspect.type_info(tuple[Fault, ...]), path="faults", problems=problems)
    check_references(tree, problems=problems)
    if problems:
        shown = [
            Problem(path=problem.path.removeprefix("faults[0]").removeprefix("."), message=problem.message)
            for problem in problems
        ]
        raise ScenarioError(shown, source="fault")
    return msgspec.convert(dict(fields), Fault)  # type: ignore[no-any-return]


def _line(problem: Problem) -> float:
    return float("inf") if problem.line is None else problem.line
