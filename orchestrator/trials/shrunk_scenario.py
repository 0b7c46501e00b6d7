"""The scenario file that a shrinking writes: the author's own document with other faults, complete, and in YAML."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import yaml

from orchestrator.scenario import Fault
from orchestrator.scenario.document import read_document, reads_as_text


def with_faults(document: dict[str, Any], faults: Iterable[Fault], *, seed: int, directory: str) -> dict[str, Any]:
    """A scenario's document with these faults and no random ones, this seed, and its applications' directory."""
    changed = {**document, "seed": seed, "faults": [_told(fault) for fault in faults]}
    changed.pop("random_faults", None)
    changed.pop("directory", None)
    return changed | ({"directory": directory} if directory else {})


def _told(fault: Fault) -> dict[str, Any]:
    """A fault as one would write it: what is as usual is left out."""
    usual = {
        each.encode_name: msgspec.to_builtins(each.default)
        for each in msgspec.structs.fields(fault)
        if each.default is not msgspec.NODEFAULT
    }
    written: dict[str, Any] = msgspec.to_builtins(fault)
    return {name: value for name, value in written.items() if name not in usual or usual[name] != value}


def document_of(file: Path) -> dict[str, Any]:
    """What stands in a scenario file, as its author wrote it.

    Raises:
        ScenarioError, OSError: it cannot be read.
    """
    plain = read_document(file.read_text("utf-8-sig"), source=str(file)).plain()
    assert isinstance(plain, dict)
    return plain


def write_new(document: dict[str, Any], home: Path, name: str, *, comment: Iterable[str]) -> Path:
    """Write a scenario into a new file of ``home``: ``NAME.yaml``, or with a number where that exists."""
    text = "".join(f"# {line}\n" for line in comment) + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True
    )
    number = 1
    while True:
        path = home / (f"{name}.yaml" if number == 1 else f"{name}-{number}.yaml")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            number += 1
        else:
            return path


def relative_directory(directory: Path, home: Path) -> str:
    """How a scenario file in ``home`` names the directory of its applications; empty if that is ``home``."""
    relative = os.path.relpath(directory.resolve(), home.resolve())
    return "" if relative == "." else relative


class _Dumper(yaml.SafeDumper):
    """Quotes what a scenario's reader (YAML 1.2) would not read as the text that it is."""

    def ignore_aliases(self, data: Any) -> bool:
        """Everything is written out."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if reads_as_text(value) else '"')


_Dumper.add_representer(str, _text)
