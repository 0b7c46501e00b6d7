"""Write the tables of docs/network.md from the code: states, rules, messages. A test holds the page against them.

What stands between ``<!-- NAME: from the code -->`` and ``<!-- NAME: end -->`` is written, the rest is left alone.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from qnode.stack.circuits.data_plane import Installed, Side
from qnode.stack.circuits.endpoint import ENDPOINT_TRANSITIONS
from qnode.stack.circuits.rules import BuildingBlock
from qnode.stack.circuits.signalling import TRANSIT_TRANSITIONS
from qnode.stack.memory import TRANSITIONS
from qnode.wire.circuits import CircuitMessage, Hop
from qnode.wire.circuits import Path as CircuitPath
from qnode.wire.groups import GroupMessage
from qnode.wire.peer import Acknowledged, PairNews, Sequenced
from qnode.wire.routing import Hello, RoutingMessage

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "network.md"
MARKED = re.compile(r"<!-- (\w+): from the code -->\n.*?<!-- \1: end -->", re.DOTALL)
Transitions = Mapping[tuple[Any, Any], Any]


def _words(text: str | None) -> str:
    """A docstring's first paragraph on one line, for a table."""
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|").replace("``", "`")


def _meanings(states: type[Enum]) -> dict[str, str]:
    """The text below each member of an Enum."""
    (definition,) = ast.parse(inspect.getsource(states)).body
    assert isinstance(definition, ast.ClassDef)
    found, member = {}, ""
    for line in definition.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            member = line.targets[0].id
        elif isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and member:
            found[states[member].value] = _words(str(line.value.value))
    return found


def _machine(transitions: Transitions) -> list[str]:
    """A diagram, and a row for each state."""
    (first, _), *_ = transitions
    states: type[Enum] = type(first)
    meanings = _meanings(states)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}"]
    lines += [f"    {before.value} --> {after.value}: {cause.value}" for (before, cause), after in transitions.items()]
    lines += ["```", "", "| state | | on |", "|---|---|---|"]
    for state in states:
        on = [f"{cause.value} → `{after.value}`" for (before, cause), after in transitions.items() if before is state]
        lines.append(f"| `{state.value}` | {meanings.get(state.value, '')} | {', '.join(on)} |")
    return lines


def _messages(types: Iterable[type[msgspec.Struct]]) -> list[str]:
    lines = ["| message | | fields |", "|---|---|---|"]
    for each in types:
        fields = ", ".join(f"`{name}`" for name in each.__struct_fields__)
        lines.append(f"| `{each.__name__}` | {_words(each.__doc__)} | {fields} |")
    return lines


def _rules() -> list[str]:
    """What `Installed.rules` says for the nodes of a path."""
    nodes = ("alice", "r1", "r2", "bob")
    lines = ["| node | rule |", "|---|---|"]
    for position, node in enumerate(nodes):
        lines += [f"| {node} | {rule} |" for rule in _rules_at(nodes, position, swapping="asap", rounds=0)]
    lines += ["", "With nested swapping and one round of distillation at each link, at the second router:", ""]
    lines += ["| node | rule |", "|---|---|"]
    lines += [f"| r2 | {rule} |" for rule in _rules_at(nodes, 2, swapping="nested", rounds=1)]
    lines += ["", f"Building blocks: {', '.join(f'`{block.value}`' for block in BuildingBlock)}."]
    return lines


def _rules_at(nodes: tuple[str, ...], position: int, *, swapping: str, rounds: int) -> list[str]:
    hops = [{"link": f"{a}-{b}", "upstream": a, "downstream": b} for a, b in itertools.pairwise(nodes)]
    path = msgspec.convert(
        {
            "type": "path",
            "circuit": "alice:0",
            "generation": 0,
            "hops": [{**hop, "distillation_rounds": rounds} for hop in hops],
            "kind": "K",
            "minimum_fidelity": 0.0,
            "rate_bpps": 1.0,
            "expected_fidelity": 1.0,
            "expected_rate_bpps": 1.0,
            "priority": 0,
            "purpose": "",
            "slots": 2,
            "swapping": swapping,
            "cutoff_ps": None,
        },
        CircuitPath,
    )
    nowhere = cast(Any, None)
    installed = Installed(nowhere, nowhere, path, position, nowhere)
    around: list[tuple[Hop, bool]] = [(path.hops[position - 1], True)] if position else []
    around += [(path.hops[position], False)] if position < len(path.hops) else []
    for hop, is_upstream in around:
        side = Side(installed, hop, nowhere, is_upstream, "", 0, at_once=2, reserved=True)
        installed.sides[hop.link] = side
    return [str(rule) for rule in installed.rules()]


def _file(name: str, language: str) -> list[str]:
    return [f"`{name}`:", "", f"```{language}", *(ROOT / name).read_text().rstrip().splitlines(), "```"]


PARTS: dict[str, Callable[[], list[str]]] = {
    "programs": lambda: [
        *_file("topologies/programs/chain_head.py", "python"),
        "",
        *_file("topologies/programs/chain_tail.py", "python"),
    ],
    "slots": lambda: _machine(TRANSITIONS),
    "transits": lambda: _machine(TRANSIT_TRANSITIONS),
    "endpoints": lambda: _machine(ENDPOINT_TRANSITIONS),
    "rules": _rules,
    "circuit_messages": lambda: _messages(get_args(CircuitMessage)),
    "routing_messages": lambda: _messages((Hello, *get_args(RoutingMessage))),
    "group_messages": lambda: _messages(get_args(GroupMessage)),
    "channel_messages": lambda: _messages((Sequenced, Acknowledged, *get_args(PairNews))),
}


def page(text: str) -> str:
    """The page with its tables written anew.

    Raises:
        ValueError: it has no place for one of them.
    """
    found = [match[1] for match in MARKED.finditer(text)]
    if sorted(found) != sorted(PARTS):
        raise ValueError(f"{PAGE.name} has the parts {', '.join(found)}; expected {', '.join(PARTS)}, each once")

    def written(match: re.Match[str]) -> str:
        name = match[1]
        return "\n".join([f"<!-- {name}: from the code -->", "", *PARTS[name](), "", f"<!-- {name}: end -->"])

    return MARKED.sub(written, text)


if __name__ == "__main__":
    try:
        PAGE.write_text(page(PAGE.read_text()))
    except ValueError as error:
        sys.exit(str(error))
