"""Write the tables of docs/testing.md from the code. A test holds the page against them."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.scenario.faults import KINDS, Lasting, OnLink, OnNodes
from orchestrator.scenario.random_faults import DRAWN, Between

PAGE = Path(__file__).resolve().parents[1] / "docs" / "testing.md"
PLACE = re.compile(r"(<!-- drawn: begin -->\n).*?(<!-- drawn: end -->)", re.DOTALL)


def _range(between: Between) -> str:
    several = f"{between.numbers} numbers, each " if between.numbers is not None else ""
    return f"{several}{between.low:g} to {between.high:g}"


def table() -> str:
    """What random faults are drawn from."""
    lines = ["| kind | strikes | lasts | drawn |", "|---|---|---|---|"]
    for kind, row in DRAWN.items():
        strikes = "a link" if issubclass(KINDS[kind], OnLink) else "a node"
        if issubclass(KINDS[kind], OnNodes):
            strikes = "up to half of the nodes"
        drawn = ", ".join(
            [f"`{name}` {_range(between)}" for name, between in row.fields.items()]
            + [f"`{name}: {value}`" for name, value in row.given.items()]
        )
        lasts = "up to `longest_s`" if row.lasts else "to the end" if issubclass(KINDS[kind], Lasting) else "an instant"
        lines.append(f"| `{kind}` | {strikes} | {lasts} | {drawn} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with its tables as the code has them."""
    assert PLACE.search(text) is not None, "docs/testing.md has no place for the table"
    return PLACE.sub(lambda match: f"{match[1]}{table()}{match[2]}", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
