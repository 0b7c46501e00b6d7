"""Write docs/scenario.md: every field of a scenario, from the types themselves. A test holds the page against them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.scenario.hardware import load_profiles
from orchestrator.scenario.schema import schema

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scenario.md"

HEAD = """\
# Scenarios

A scenario is a YAML or JSON file: a network, the programs to run on it, and what to expect. `qloom init` writes one to
start from, `qloom check FILE` says everything that is wrong with one at once, and `qloom schema` prints the JSON Schema
that makes an editor complete it. This page is written from the same types (`scripts/scenario_page.py`).

Units stand in the names: `_s` seconds, `_km`, `_db_per_km`, `_rad`, `_hz`, `_bytes`. A time of `null` is infinite. An
efficiency may be one number for both ends of a link, or a pair in the order of its `ends`.

A node's `hardware` is the name of a profile, or a profile with changes, at any depth:

```yaml
nodes:
  alice: {hardware: trapped-ion}
  bob: {hardware: {profile: nv-lab, communication: {t2_s: 0.5}}}
```

Expectations name a number of the report by its path (`links.NAME.pairs`, `results.APPLICATION.VALUE`,
`theory.LINK.chsh_value`; see `report.json` of any run) and bound it with `at_least`, `at_most`, or `agrees_with`
another path `within_sigmas` of its own standard error.
"""


def _type(member: dict[str, Any]) -> str:
    if "$ref" in member:
        return f"[{member['$ref'].rpartition('/')[2]}](#{member['$ref'].rpartition('/')[2].lower()})"
    if "anyOf" in member:
        return " or ".join(dict.fromkeys(_type(each) for each in member["anyOf"]))
    if "enum" in member:
        return " or ".join(f"`{value}`" for value in member["enum"])
    if "const" in member:
        return f"`{member['const']}`"
    kind = member.get("type", "any")
    if kind == "object" and isinstance(member.get("additionalProperties"), dict):
        return f"by name, {_type(member['additionalProperties'])}"
    if kind == "array":
        items = member.get("items") or (member.get("prefixItems") or [{}])[0]
        return f"list of {_type(items)}" if isinstance(items, dict) else "list"
    return str(kind)


def _rows(definition: dict[str, Any]) -> list[str]:
    required = set(definition.get("required", ()))
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    for name, member in definition["properties"].items():
        default = (
            "required" if name in required else f"`{json.dumps(member['default'])}`" if "default" in member else ""
        )
        description = " ".join(member.get("description", "").split()).replace("|", "\\|").replace("``", "`")
        rows.append(f"| `{name}` | {_type(member)} | {default} | {description} |")
    return rows


def page() -> str:
    """The whole page."""
    whole = schema()
    lines = [HEAD, "## Scenario", "", *_rows(whole), ""]
    for name, definition in whole["$defs"].items():
        if "properties" in definition:
            description = " ".join(definition.get("description", "").split()).replace("``", "`")
            lines += [f"## {name}", "", description, "", *_rows(definition), ""]
    lines += ["## Hardware profiles", ""]
    for name, profile in load_profiles().items():
        lines += [f"### {name}", "", profile.description, "", *(f"* {source}" for source in profile.sources), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
