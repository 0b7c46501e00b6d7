"""Writes out what a scenario file says of hardware: a profile's name, a profile with changes, or all of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import inspect as types

from orchestrator.scenario.check import check, nearest, struct_type
from orchestrator.scenario.document import Problem, Tree, joined, tree_of
from orchestrator.scenario.hardware import Hardware, load_profiles
from orchestrator.scenario.section import Name

DEFAULT_PROFILE = "ideal"
_ABOUT: dict[str, types.Type] = {
    "description": types.type_info(str),
    "sources": types.type_info(tuple[str, ...]),
}


def expand_hardware(tree: Tree, *, problems: list[Problem]) -> Tree:
    """The document without ``hardware_profiles`` and with every node's hardware written out.

    What is wrong with profiles and their names is added to ``problems``; the default profile stands in for one
    that cannot be had, so that whatever builds on it is still checked.
    """
    if not isinstance(tree.value, dict):
        return tree
    root = dict(tree.value)
    profiles = _Profiles(problems)
    own = root.pop("hardware_profiles", None)
    if own is not None:
        profiles.add(own)
    nodes = root.get("nodes")
    if nodes is not None and isinstance(nodes.value, dict):
        expanded = {name: _node(node, name, profiles) for name, node in nodes.value.items()}
        root["nodes"] = Tree(expanded, nodes.line)
    return Tree(root, tree.line)


def _node(node: Tree, name: str, profiles: _Profiles) -> Tree:
    if node.value is None:
        node = Tree({}, node.line)  # `alice:` with nothing below it is a node with everything as by default
    if not isinstance(node.value, dict):
        return node
    choice = node.value.get("hardware")
    role = node.value.get("role")
    if choice is None and role is not None and role.value == "controller":
        choice = tree_of({"profile": DEFAULT_PROFILE, "communication": {"slots": 0}, "storage": {"slots": 0}})
    hardware = profiles.expanded(choice, path=joined(joined("nodes", name), "hardware"), line=node.line)
    return Tree({**node.value, "hardware": hardware}, node.line)


class _Profiles:
    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._built_in = frozenset(built_in := load_profiles())
        self._known = {name: tree_of(msgspec.to_builtins(profile.hardware)) for name, profile in built_in.items()}

    def add(self, section: Tree) -> None:
        """Takes in the profiles that the scenario itself defines; they may build on one another."""
        kind = types.type_info(dict[Name, dict[str, object]])
        if not isinstance(section.value, dict):
            message = "expected a mapping of names to hardware"
            self._problems.append(Problem(path="hardware_profiles", line=section.line, message=message))
            return
        names = {name: Tree({}, entry.line) for name, entry in section.value.items()}
        check(Tree(names, section.line), kind, path="hardware_profiles", problems=self._problems)
        waiting: dict[str, Tree] = {}
        for name, entry in section.value.items():
            path = joined("hardware_profiles", name)
            if name in self._built_in:
                self._report(path, entry.line, f"expected a new name, found the built-in profile {name!r}")
            elif not isinstance(entry.value, dict):
                self._report(path, entry.line, "expected a mapping of hardware numbers")
                self._known[name] = self._known[DEFAULT_PROFILE]
            else:
                waiting[name] = entry
        while waiting:
            self._add_one(next(iter(waiting)), waiting)

    def _add_one(self, name: str, waiting: dict[str, Tree]) -> None:
        """Takes a profile in, those that it builds on first."""
        chain = [name]
        while (base := _base(waiting[chain[-1]])) in waiting:
            if base in chain:
                message = f"expected a profile not built on itself, found {' -> '.join([*chain, base])}"
                self._report(joined(joined("hardware_profiles", base), "profile"), waiting[base].line, message)
                waiting[base] = _overridden(waiting[base], Tree({"profile": Tree(DEFAULT_PROFILE)}))
                chain = [*(member for member in chain if member != base), base]
                break
            chain.append(base)
        for member in reversed(chain):
            entry = waiting.pop(member)
            self._known[member] = self._defined(entry, path=joined("hardware_profiles", member))

    def _defined(self, entry: Tree, *, path: str) -> Tree:
        assert isinstance(entry.value, dict)
        before = len(self._problems)
        for name, kind in _ABOUT.items():
            if name in entry.value:
                check(entry.value[name], kind, path=joined(path, name), problems=self._problems, line=entry.line)
        numbers = {name: member for name, member in entry.value.items() if name not in _ABOUT}
        tree = self.expanded(Tree(numbers, entry.line), path=path, line=entry.line)
        check(tree, struct_type(Hardware), path=path, problems=self._problems, line=entry.line)
        return tree if len(self._problems) == before else self._known[DEFAULT_PROFILE]

    def expanded(self, choice: Tree | None, *, path: str, line: int | None) -> Tree:
        """The hardware that a name, a mapping with ``profile`` or a complete mapping stands for."""
        if choice is None:
            return self._known[DEFAULT_PROFILE]
        if isinstance(choice.value, str):
            return self._named(choice, path=path)
        if not isinstance(choice.value, dict) or "profile" not in choice.value:
            return choice
        numbers = dict(choice.value)
        base = self._named(numbers.pop("profile"), path=joined(path, "profile"))
        return _overridden(base, Tree(numbers, choice.line))

    def _named(self, name: Tree, *, path: str) -> Tree:
        if isinstance(name.value, str) and name.value in self._known:
            return Tree(self._known[name.value].value, name.line)
        what = repr(name.value) if isinstance(name.value, (str, int, float)) else "something else"
        hint = nearest(str(name.value), self._known)
        self._report(path, name.line, f"expected the name of a hardware profile, found {what}{hint}")
        return self._known[DEFAULT_PROFILE]

    def _report(self, path: str, line: int | None, message: str) -> None:
        self._problems.append(Problem(path=path, line=line, message=message))


def _base(entry: Tree) -> str:
    """The name of the profile that a definition builds on; empty if none."""
    members: Mapping[str, Tree] = entry.value if isinstance(entry.value, dict) else {}
    base = members["profile"].value if "profile" in members else None
    return base if isinstance(base, str) else ""


def _overridden(base: Tree, changes: Tree) -> Tree:
    """``base`` with what ``changes`` names replaced, inside mappings too; an explicit null replaces."""
    if not isinstance(base.value, dict) or not isinstance(changes.value, dict):
        return changes
    merged = dict(base.value)
    for name, change in changes.value.items():
        merged[name] = _overridden(merged[name], change) if name in merged else change
    return Tree(merged, changes.line)
