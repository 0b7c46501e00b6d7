"""The JSON Schema of scenario files, for editors that complete and check while one types."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import msgspec

from orchestrator.scenario import types
from orchestrator.scenario.hardware import Hardware, Memory
from orchestrator.scenario.hardware_choice import DEFAULT_PROFILE
from orchestrator.scenario.section import Section
from qnode.config import ApplicationLimits

VERSION = 1


def schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of what a file may say, its short forms of hardware included.

    Rules between fields (T2 <= 2 T1, ends that exist) are beyond a schema; ``load`` checks them.
    """
    (root,), definitions = msgspec.json.schema_components((types.Scenario,), ref_template="#/$defs/{name}")
    assert root == {"$ref": "#/$defs/Scenario"}
    for name, definition in definitions.items():
        _describe(definition, documented=_class_of(name))
    top = definitions.pop("Scenario")
    definitions["MemoryChange"] = _change(definitions["Memory"], about=Memory)
    definitions["HardwareChange"] = _change(definitions["Hardware"], about=Hardware)
    change = definitions["HardwareChange"]["properties"]
    for role in ("communication", "storage"):
        change[role] = {**change[role], "$ref": "#/$defs/MemoryChange"}
    profile_name = {"type": "string", "description": "A profile, built-in or of this file."}
    change["profile"] = {**profile_name, "description": "The profile that the other fields change."}
    definitions["HardwareChange"]["required"] = ["profile"]
    own_profile = {
        "description": {"type": "string"},
        "sources": {"type": "array", "items": {"type": "string"}},
    }
    definitions["HardwareProfile"] = {
        "title": "HardwareProfile",
        "type": "object",
        "description": "A profile of this file: a change of another, or all of the hardware.",
        "properties": {**own_profile, **change},
        "anyOf": [{"required": ["profile"]}, {"required": list(definitions["Hardware"]["required"])}],
        "additionalProperties": False,
    }
    node = definitions["Node"]
    node["type"] = ["object", "null"]
    node["required"] = []
    node["properties"]["hardware"] = {
        "anyOf": [profile_name, {"$ref": "#/$defs/HardwareChange"}, {"$ref": "#/$defs/Hardware"}],
        "default": DEFAULT_PROFILE,
        "description": "A profile's name, a profile with changes, or all of it.",
    }
    top["properties"]["hardware_profiles"] = {
        "type": "object",
        "propertyNames": top["properties"]["nodes"]["propertyNames"],
        "additionalProperties": {"$ref": "#/$defs/HardwareProfile"},
        "description": "Named hardware of this scenario's own.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:qloom:scenario:{VERSION}",
        **top,
        "title": f"qloom scenario, version {VERSION}",
        "$defs": definitions,
    }


def _change(definition: dict[str, Any], *, about: type[msgspec.Struct]) -> dict[str, Any]:
    """The same object with every field optional and no defaults: what is absent keeps the profile's value."""
    properties = {
        name: {key: value for key, value in member.items() if key != "default"}
        for name, member in definition["properties"].items()
    }
    description = f"Changes to a profile's {about.__name__.lower()}; what is absent stays as it is."
    title = f"{about.__name__}Change"
    return {**definition, "title": title, "description": description, "properties": properties, "required": []}


def _class_of(name: str) -> type[msgspec.Struct]:
    found: list[type[msgspec.Struct]] = [types.Scenario, Hardware, Memory, ApplicationLimits]
    for each in found:
        if each.__name__ == name:
            return each
        found += Section.__subclasses__() if each is types.Scenario else each.__subclasses__()
    raise LookupError(f"no part of a scenario is called {name}")


def _describe(definition: dict[str, Any], *, documented: type[msgspec.Struct]) -> None:
    """Adds the descriptions of the fields, and closes the object to unknown keys."""
    for name, text in _field_docstrings(documented).items():
        if name in definition["properties"]:  # not where it is about the class
            definition["properties"][name].setdefault("description", text)
    definition["additionalProperties"] = False


def _field_docstrings(documented: type[msgspec.Struct]) -> dict[str, str]:
    """The string literals that follow the fields in the source of a class and of its bases, where there is source."""
    texts: dict[str, str] = {}
    for each in documented.__mro__[: documented.__mro__.index(msgspec.Struct)]:
        try:
            (definition,) = ast.parse(inspect.getsource(each)).body
        except OSError:
            continue
        assert isinstance(definition, ast.ClassDef)
        for statement, following in zip(definition.body, definition.body[1:], strict=False):
            match statement, following:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts.setdefault(name, " ".join(text.split()))
    return texts
