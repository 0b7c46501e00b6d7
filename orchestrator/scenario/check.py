"""Holds a document against the scenario's types and finds all that is wrong, not only the first thing."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable

import msgspec
from msgspec import inspect as types

from orchestrator.scenario.document import Problem, Tree, joined
from orchestrator.scenario.rules import broken_rules

_LARGEST_INTEGER = (1 << 63) - 1


def check(tree: Tree, kind: types.Type, *, path: str, problems: list[Problem], line: int | None = None) -> bool:
    """Whether ``tree`` fits the type; what does not is added to ``problems``, on ``line`` if its own is unknown."""
    before = len(problems)
    _Checker(problems).value(tree, kind, path, line)
    return len(problems) == before


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names what the author may have meant, or the choices where there are few; else nothing."""
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if choices and len(choices) <= 6:
        return f"; there is {', '.join(map(repr, choices))}" if choices else ""
    return ""


def found(value: object) -> str:
    """A value as an error shows it: shortened, its kind for a list or a mapping."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


class _Checker:
    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems

    def _report(self, path: str, line: int | None, message: str) -> None:
        self._problems.append(Problem(path=path, line=line, message=message))

    def value(self, tree: Tree, kind: types.Type, path: str, line: int | None) -> None:
        """Checks one value and all below it."""
        line = tree.line or line
        members = [_bare(member) for member in kind.types] if isinstance(kind, types.UnionType) else [_bare(kind)]
        structs = [member for member in members if isinstance(member, types.StructType)]
        if len(structs) > 1:
            self._tagged(tree, structs, path, line)
            return
        fitting = [member for member in members if _could_be(tree.value, member)]
        if not fitting:
            expected = " or ".join(describe(member) for member in members)
            self._report(path, line, f"expected {expected}, found {found(tree.value)}{_hint(tree.value, members)}")
        elif isinstance(fitting[0], types.StructType):
            self._struct(tree, fitting[0], path, line)
        elif isinstance(fitting[0], types.DictType):
            self._mapping(tree, fitting[0], path, line)
        elif isinstance(fitting[0], (types.VarTupleType, types.ListType, types.TupleType)):
            self._sequence(tree, fitting[0], path, line)
        elif not any(_satisfies(tree.value, member) for member in fitting):
            expected = " or ".join(describe(member) for member in members)
            self._report(path, line, f"expected {expected}, found {found(tree.value)}{_hint(tree.value, members)}")

    def _tagged(self, tree: Tree, members: list[types.StructType], path: str, line: int | None) -> None:
        tag_field = str(members[0].tag_field)
        tags = {str(member.tag): member for member in members}
        choices = ", ".join(tags)
        if not isinstance(tree.value, dict):
            self._report(path, line, f"expected a mapping with {tag_field!r}, found {found(tree.value)}")
        elif tag_field not in tree.value:
            message = f"expected one of {choices}, but the key is missing"
            self._report(joined(path, tag_field), line, message)
        else:
            tag = tree.value[tag_field]
            if isinstance(tag.value, str) and tag.value in tags:
                self._struct(tree, tags[tag.value], path, line)
            else:
                hint = nearest(str(tag.value), tags) if len(tags) > 6 or _close(str(tag.value), tags) else ""
                message = f"expected one of {choices}, found {found(tag.value)}{hint}"
                self._report(joined(path, tag_field), tag.line or line, message)

    def _struct(self, tree: Tree, kind: types.StructType, path: str, line: int | None) -> None:
        assert isinstance(tree.value, dict)
        fields = {member.encode_name: member for member in kind.fields}
        sound: dict[str, object] = {}
        for name, member in fields.items():
            if name in tree.value:
                before = len(self._problems)
                self.value(tree.value[name], member.type, joined(path, name), line)
                if len(self._problems) == before:
                    sound[name] = tree.value[name].plain()
            elif not member.required:
                sound[name] = None if member.default is msgspec.NODEFAULT else member.default
            elif member.required:
                self._report(joined(path, name), line, f"expected {describe(member.type)}, but the key is missing")
        for name, extra in tree.value.items():
            if name not in fields and name != kind.tag_field:
                self._report(joined(path, name), extra.line or line, f"unknown key{nearest(name, fields)}")
        for name, message in broken_rules(kind.cls, sound):
            at = tree.value.get(name)
            self._report(joined(path, name) if name else path, (at and at.line) or line, message)

    def _mapping(self, tree: Tree, kind: types.DictType, path: str, line: int | None) -> None:
        assert isinstance(tree.value, dict)
        if len(tree.value) < (kind.min_length or 0):
            self._report(path, line, f"expected {describe(kind)}, found none")
        for key, member in tree.value.items():
            if not _satisfies(key, _bare(kind.key_type)):
                message = f"expected {describe(kind.key_type)} as a key, found {found(key)}"
                self._report(joined(path, key), member.line or line, message)
            self.value(member, kind.value_type, joined(path, key), line)

    def _sequence(self, tree: Tree, kind: types.Type, path: str, line: int | None) -> None:
        assert isinstance(tree.value, list)
        if isinstance(kind, types.TupleType):
            wrong_length = len(tree.value) != len(kind.item_types)
            items: Iterable[tuple[Tree, types.Type]] = zip(tree.value, kind.item_types, strict=False)
        else:
            assert isinstance(kind, (types.VarTupleType, types.ListType))
            shortest, longest = kind.min_length or 0, kind.max_length
            wrong_length = len(tree.value) < shortest or (longest is not None and len(tree.value) > longest)
            items = ((item, kind.item_type) for item in tree.value)
        if wrong_length:
            self._report(path, line, f"expected {describe(kind)}, found {found(tree.value)}")
            return
        for index, (item, item_kind) in enumerate(items):
            self.value(item, item_kind, joined(path, index), line)


def _bare(kind: types.Type) -> types.Type:
    return _bare(kind.type) if isinstance(kind, types.Metadata) else kind


def _could_be(value: object, kind: types.Type) -> bool:
    """Whether the value is of the type's sort, its range apart."""
    match kind:
        case types.AnyType():
            return True
        case types.NoneType():
            return value is None
        case types.BoolType():
            return isinstance(value, bool)
        case types.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case types.FloatType():
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case types.StrType():
            return isinstance(value, str)
        case types.LiteralType():
            return any(type(value) is type(choice) for choice in kind.values)
        case types.VarTupleType() | types.ListType() | types.TupleType():
            return isinstance(value, list)
        case types.DictType() | types.StructType():
            return isinstance(value, dict)
    raise TypeError(f"a scenario has no {type(kind).__name__}")


def _satisfies(value: object, kind: types.Type) -> bool:
    """Whether a scalar of the right sort lies in the type's range."""
    match kind:
        case types.LiteralType():
            return value in kind.values
        case types.StrType():
            return isinstance(value, str) and (kind.pattern is None or bool(re.fullmatch(kind.pattern, value)))
        case types.IntType() | types.FloatType():
            if not isinstance(value, (int, float)) or (isinstance(value, int) and abs(value) > _LARGEST_INTEGER):
                return False
            return (
                math.isfinite(value)
                and (kind.gt is None or value > kind.gt)
                and (kind.ge is None or value >= kind.ge)
                and (kind.lt is None or value < kind.lt)
                and (kind.le is None or value <= kind.le)
            )
    return True


def describe(kind: types.Type) -> str:
    """What a value of the type looks like, in words: ``a number from 0 to 1``."""
    kind = _bare(kind)
    match kind:
        case types.AnyType():
            return "anything"
        case types.NoneType():
            return "null"
        case types.BoolType():
            return "true or false"
        case types.IntType():
            return f"a whole number{_range(kind)}"
        case types.FloatType():
            return f"a finite number{_range(kind)}"
        case types.StrType():
            return "text" if kind.pattern is None else "a name (at most 63 of A-Z a-z 0-9 _ . -, not _ . - first)"
        case types.LiteralType():
            return " or ".join(repr(choice) for choice in kind.values)
        case types.TupleType():
            return f"a list of {len(kind.item_types)}"
        case types.VarTupleType() | types.ListType():
            at_least = "" if kind.min_length == kind.max_length else "at least "
            return f"a list of {at_least}{kind.min_length}" if kind.min_length else "a list"
        case types.DictType():
            return f"a mapping of at least {kind.min_length}" if kind.min_length else "a mapping"
        case types.StructType():
            return "a mapping"
        case types.UnionType():
            return " or ".join(describe(member) for member in kind.types)
    raise TypeError(f"a scenario has no {type(kind).__name__}")


def _range(kind: types.IntType | types.FloatType) -> str:
    low = f"from {kind.ge}" if kind.ge is not None else f"above {kind.gt}" if kind.gt is not None else ""
    high = f"to {kind.le}" if kind.le is not None else f"below {kind.lt}" if kind.lt is not None else ""
    if low.startswith("above") and high.startswith("to"):
        high = f"and up {high}"
    if low.startswith("above") and high.startswith("below"):
        high = f"and {high}"
    if low.startswith("from") and not high:
        low = low.replace("from", "of at least")
    return "".join(f" {part}" for part in (low, high) if part)


def _close(name: str, known: Iterable[str]) -> bool:
    return bool(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6))


def _hint(value: object, members: list[types.Type]) -> str:
    if not isinstance(value, str):
        wants_text = any(isinstance(member, types.StrType) for member in members)
        quotable = isinstance(value, (int, float)) or value is None
        return "; put it in quotes to make it text" if wants_text and quotable else ""
    choices = [str(v) for member in members if isinstance(member, types.LiteralType) for v in member.values]
    return nearest(value, choices) if choices and _close(value, choices) else ""


def struct_type(cls: type[msgspec.Struct]) -> types.StructType:
    """The inspected type of one struct class."""
    kind = types.type_info(cls)
    assert isinstance(kind, types.StructType)
    return kind
