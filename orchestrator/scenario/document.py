"""Reads YAML or JSON text into a tree that remembers its lines, and refuses what could exhaust the machine.

Scalars follow YAML 1.2's core schema, which JSON shares: ``1e-3`` is a number, ``no`` is text, and a
key is always text. Duplicate keys, tags, several documents and endless or exploding aliases are errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

import yaml

LARGEST_TEXT_BYTES = 8 << 20
LARGEST_TREE = 1_000_000
"""Values in a document, each use of an alias counted in full."""
DEEPEST_NESTING = 64


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a document: where, and what was expected and found."""

    path: str
    """Keys joined by dots, positions in brackets; empty for the document as a whole."""
    message: str
    line: int | None = None
    """Counted from 1; ``None`` where the text is JSON or the value is not in it."""

    def __str__(self) -> str:
        where = self.path if self.line is None else f"line {self.line}: {self.path}".rstrip(": ")
        return f"{where}: {self.message}" if where else self.message


class ScenarioError(ValueError):
    """A document that cannot be used, with every problem that was found in it."""

    def __init__(self, problems: list[Problem], *, source: str) -> None:
        self.problems = tuple(problems)
        self.source = source
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"{source}: {count}", *map(str, problems)]))


@dataclass(frozen=True, slots=True)
class Tree:
    """A value of a document and the line on which it (or its key) stands."""

    value: bool | int | float | str | list[Tree] | dict[str, Tree] | None
    line: int | None = None
    size: int = 1
    """Values in the tree, its own included."""
    depth: int = 0

    def plain(self) -> object:
        """The same value as plain lists and dictionaries."""
        if isinstance(self.value, dict):
            return {key: tree.plain() for key, tree in self.value.items()}
        if isinstance(self.value, list):
            return [tree.plain() for tree in self.value]
        return self.value


def joined(path: str, key: str | int) -> str:
    """The path of a member (text) or an item (a number) of what stands at ``path``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key) else repr(key[:64])
    return f"{path}.{shown}" if path else shown


def tree_of(value: object) -> Tree:
    """The tree of a plain value, without lines. Raises TypeError for what a document cannot hold."""
    if isinstance(value, dict):
        members = {key: tree_of(member) for key, member in value.items()}
        return Tree(members, None, *_extent(iter(members.values())))
    if isinstance(value, (list, tuple)):
        items = [tree_of(item) for item in value]
        return Tree(items, None, *_extent(iter(items)))
    if value is None or isinstance(value, (bool, int, float, str)):
        return Tree(value)
    raise TypeError(f"a document cannot hold a {type(value).__name__}")


def read_document(text: str, *, source: str) -> Tree:
    """The tree of a YAML or JSON text. Raises ScenarioError, in which ``source`` names the text."""
    problems: list[Problem] = []
    tree = read_tree(text, source=source, problems=problems)
    if problems or tree is None:
        raise ScenarioError(problems, source=source)
    return tree


def read_tree(text: str, *, source: str, problems: list[Problem]) -> Tree | None:
    """The tree of a text; what is wrong is added to ``problems``. ``None``: it could not be read."""
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        problems.append(Problem(path="", message=f"expected Unicode text, found a lone surrogate at {error.start}"))
        return None
    if length > LARGEST_TEXT_BYTES:
        message = f"expected at most {LARGEST_TEXT_BYTES} bytes of text, found {length}"
        problems.append(Problem(path="", message=message))
        return None
    try:
        if text.lstrip()[:1] in ("{", "["):
            try:
                return _read_json(text, problems=problems)
            except json.JSONDecodeError as error:
                if source.endswith(".json"):
                    message = f"expected JSON: {error.msg} at column {error.colno}"
                    problems.append(Problem(path="", line=error.lineno, message=message))
                    return None
        return _Composer(problems).compose(text)
    except _Refused as refusal:
        problems.append(refusal.problem)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        line = None if mark is None else mark.line + 1
        problems.append(Problem(path="", line=line, message=f"expected YAML or JSON: {said}"))
    except yaml.YAMLError as error:
        problems.append(Problem(path="", message=f"expected YAML or JSON: {' '.join(str(error).split())}"))
    return None


class _Refused(Exception):
    """A document that is not worth reading to its end."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        self.problem = Problem(path="", line=line, message=message)
        super().__init__(message)


def _extent(children: Iterator[Tree]) -> tuple[int, int]:
    size, depth = 1, 0
    for child in children:
        size += child.size
        depth = max(depth, child.depth + 1)
    return size, depth


def _too_deep(line: int | None) -> NoReturn:
    raise _Refused(f"expected at most {DEEPEST_NESTING} levels of nesting, found more", line=line)


class _Members(list[tuple[str, object]]):
    """A JSON object's members as they were written, duplicates too."""


def _read_json(text: str, *, problems: list[Problem]) -> Tree:
    def integer(digits: str) -> int:
        return _integer(digits, line=None)

    def located(value: object, path: str, depth: int) -> Tree:
        if depth > DEEPEST_NESTING:
            _too_deep(None)
        if isinstance(value, _Members):
            members: dict[str, Tree] = {}
            for key, member in value:
                inside = joined(path, _text(key, line=None))
                if key in members:
                    problems.append(Problem(path=inside, message=f"expected each key once, found {key!r} again"))
                members[key] = located(member, inside, depth + 1)
            return Tree(members, None, *_extent(iter(members.values())))
        if isinstance(value, list):
            items = [located(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
            return Tree(items, None, *_extent(iter(items)))
        return tree_of(_text(value, line=None) if isinstance(value, str) else value)

    try:
        tree = located(json.loads(text, object_pairs_hook=_Members, parse_int=integer), "", 0)
    except RecursionError:
        _too_deep(None)
    if tree.size > LARGEST_TREE:
        raise _Refused(f"expected at most {LARGEST_TREE} values, found {tree.size}")
    return tree


def _text(text: str, *, line: int | None) -> str:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _Refused("expected Unicode text, found a lone surrogate", line=line)
    return text


def _integer(digits: str, *, line: int | None, base: int = 10) -> int:
    if len(digits) > 100:
        raise _Refused(f"expected a number of at most 100 digits, found one of {len(digits)}", line=line)
    return int(digits, base)


_SCALARS: tuple[tuple[re.Pattern[str], Callable[[str, int], bool | int | float | None]], ...] = (
    (re.compile(r"(null|Null|NULL|~|)"), lambda text, line: None),
    (re.compile(r"(true|True|TRUE)"), lambda text, line: True),
    (re.compile(r"(false|False|FALSE)"), lambda text, line: False),
    (re.compile(r"[-+]?[0-9]+"), lambda text, line: _integer(text, line=line)),
    (re.compile(r"0o[0-7]+"), lambda text, line: _integer(text[2:], line=line, base=8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text, line: _integer(text[2:], line=line, base=16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), lambda text, line: float(text)),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text, line: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda text, line: float("nan")),
)


@dataclass
class _Open:
    """A mapping or sequence whose end has not been read."""

    anchor: str | None
    line: int
    path: str
    members: dict[str, Tree] | None
    """``None`` in a sequence."""
    items: list[Tree] = field(default_factory=list)
    merged: list[Tree] = field(default_factory=list)
    """What the merge key ``<<`` names, earliest first."""
    key: str | None = None
    key_line: int = 0
    merging: bool = False

    def child_path(self) -> str:
        return joined(self.path, len(self.items) if self.members is None else str(self.key))


class _Composer:
    """Turns YAML's events into a tree, without recursion."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._anchors: dict[str, Tree | None] = {}
        self._open: list[_Open] = []
        self._root: Tree | None = None
        self._merged = 0

    def compose(self, text: str) -> Tree:
        """The tree of one document; problems that do not end the reading go to the list."""
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = 0
        for event in yaml.parse(text, Loader=loader):
            assert event.start_mark is not None
            line = event.start_mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Refused("expected one YAML document, found a second", line=line)
            elif isinstance(event, yaml.AliasEvent):
                self._add(self._aliased(str(event.anchor), line=line), line=line)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, line=line)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._start(event, line=line)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._end()
        return self._root or Tree(None)

    def _aliased(self, anchor: str, *, line: int) -> Tree:
        tree = self._anchors.get(anchor)
        if tree is None:
            raise _Refused(f"expected an alias of something above, found *{anchor}", line=line)
        return tree

    def _refuse_tag(self, tag: str | None, *, line: int) -> None:
        if tag is not None:
            path = self._open[-1].child_path() if self._open else ""
            message = f"expected a plain value, found the tag {tag}"
            self._problems.append(Problem(path=path, line=line, message=message))

    def _scalar(self, event: yaml.ScalarEvent, *, line: int) -> None:
        self._refuse_tag(event.tag, line=line)
        _text(event.value, line=line)
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.members is not None and parent.key is None:
            self._key(parent, event.value, line=line, plain=not event.style)
            tree = Tree(event.value, line)
        else:
            tree = Tree(_resolved(event.value, line) if not event.style else event.value, line)
            self._add(tree, line=line)
        if event.anchor is not None:
            self._anchors[event.anchor] = tree

    def _key(self, parent: _Open, key: str, *, line: int, plain: bool) -> None:
        parent.key, parent.key_line, parent.merging = key, line, plain and key == "<<"
        assert parent.members is not None
        if key in parent.members and not parent.merging:
            message = f"expected each key once, found {key!r} again (first on line {parent.members[key].line})"
            self._problems.append(Problem(path=parent.child_path(), line=line, message=message))

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, *, line: int) -> None:
        self._refuse_tag(event.tag, line=line)
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.members is not None and parent.key is None:
            raise _Refused("expected text as a key, found a list or a mapping", line=line)
        if len(self._open) > DEEPEST_NESTING:
            _too_deep(line)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        members: dict[str, Tree] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        path = "" if parent is None else parent.child_path()
        self._open.append(_Open(anchor=event.anchor, line=line, path=path, members=members))

    def _end(self) -> None:
        done = self._open.pop()
        if done.members is None:
            tree = Tree(done.items, done.line, *_extent(iter(done.items)))
        else:
            self._merge(done)
            tree = Tree(done.members, done.line, *_extent(iter(done.members.values())))
        if tree.size > LARGEST_TREE:
            raise _Refused(f"expected at most {LARGEST_TREE} values, found {tree.size}", line=done.line)
        if done.anchor is not None:
            self._anchors[done.anchor] = tree
        self._add(tree, line=done.line)

    def _merge(self, done: _Open) -> None:
        """Adds the members that ``<<`` names; the mapping's own key wins, then the earlier of several."""
        assert done.members is not None
        for base in done.merged:
            if not isinstance(base.value, dict):
                message = "expected a mapping or a list of mappings to merge"
                self._problems.append(Problem(path=joined(done.path, "<<"), line=base.line, message=message))
                continue
            self._merged += len(base.value)
            if self._merged > LARGEST_TREE:
                raise _Refused(f"expected at most {LARGEST_TREE} merged values, found more", line=base.line)
            for key, member in base.value.items():
                done.members.setdefault(key, member)

    def _add(self, tree: Tree, *, line: int) -> None:
        if len(self._open) + tree.depth > DEEPEST_NESTING:
            _too_deep(line)
        if not self._open:
            self._root = tree
            return
        parent = self._open[-1]
        if parent.members is None:
            parent.items.append(tree)
        elif parent.key is None:
            raise _Refused("expected text as a key, found an alias", line=line)
        elif parent.merging:
            parent.merged.extend(tree.value if isinstance(tree.value, list) else [Tree(tree.value, line)])
            parent.key = None
        else:
            parent.members[parent.key] = Tree(tree.value, parent.key_line, tree.size, tree.depth)
            parent.key = None


def reads_as_text(text: str) -> bool:
    """Whether a plain scalar of a YAML document is read as that very text, and not as a number, a truth or nothing."""
    return not any(pattern.fullmatch(text) for pattern, _ in _SCALARS)


def _resolved(text: str, line: int) -> bool | int | float | str | None:
    for pattern, construct in _SCALARS:
        if pattern.fullmatch(text):
            return construct(text, line)
    return text
