"""The page about the wire says what the code does: every message, field, default, code and limit, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator.fabric.gates import GATE_NAMES, MAX_QUBITS
from qnode import clients, runtime, transport
from qnode.config import ApplicationLimits
from qnode.security import refusals
from qnode.stack import core, groups, local_operations, messages, node, pair_requests
from qnode.stack.circuits import service
from qnode.wire import application, codec, fabric, quantum
from qnode.wire.version import VERSION

LIMITS = ApplicationLimits()
PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")


def sections(text: str, level: int) -> dict[str, str]:
    """Headings of a level and what stands below each."""
    parts = re.split(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


CHAPTERS = sections(PAGE, 2)


def tables(text: str) -> Iterator[list[list[str]]]:
    """Each table as rows of cells, its heading first."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def described(text: str) -> list[tuple[str, str, str]]:
    """Field, type and default of every row of a table."""
    (table, *_) = tables(text)
    assert table[0][1:] == ["type", "default", "meaning"]
    for row in table[1:]:
        assert row[3], f"{row[0]} has no meaning"
    return [(row[0].strip("`"), row[1], row[2]) for row in table[1:]]


def type_name(annotation: Any) -> str:
    """A type in the page's words."""
    plain = {int: "int", str: "str", bool: "bool", bytes: "bin", float: "float", application.BellPair: "pair"}
    if annotation in plain:
        return plain[annotation]
    if annotation == quantum.Axis:
        return "axis"
    if annotation == quantum.Step:
        return "step"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin is typing.Literal:
        return "str"
    if origin is dict:
        return f"map of {type_name(arguments[1])}"
    if origin is tuple:
        inner = type_name(arguments[0])
        return f"array of {inner}" if arguments[1] is Ellipsis else f"array of {len(arguments)} {inner}"
    assert origin in (typing.Union, types.UnionType), annotation
    if type(None) in arguments:
        rest = tuple(each for each in arguments if each is not type(None))
        if set(typing.get_args(quantum.Axis)) == set(rest):
            return "axis or nil"
        assert len(rest) == 1
        return f"{type_name(rest[0])} or nil"
    return " or ".join(map(type_name, arguments))


def default_name(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "-"
    assert field.default_factory is msgspec.NODEFAULT
    value = field.default
    names = {None: "nil", True: "true", False: "false", (): "[]"}
    if value is None or isinstance(value, bool | tuple):
        return names[value]
    return f'"{value}"' if isinstance(value, str) else repr(value)


def in_code(kind: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    hints = typing.get_type_hints(kind)
    return [
        (field.encode_name, type_name(hints[field.name]), default_name(field)) for field in msgspec.structs.fields(kind)
    ]


def kinds(union: Any) -> dict[str, type[msgspec.Struct]]:
    return {f"`{kind.__struct_config__.tag}`": kind for kind in typing.get_args(union)}


CHAPTER_OF = {
    "Requests": kinds(application.Request),
    "Steps": kinds(quantum.Step),
    "Answers": kinds(application.Answer),
}


@pytest.mark.parametrize("chapter", CHAPTER_OF)
def test_every_message_has_its_section_in_the_code_s_order(chapter: str) -> None:
    assert list(sections(CHAPTERS[chapter], 3)) == list(CHAPTER_OF[chapter])


@pytest.mark.parametrize(
    ("chapter", "heading"), [(chapter, heading) for chapter, found in CHAPTER_OF.items() for heading in found]
)
def test_every_field_is_described_as_it_is(chapter: str, heading: str) -> None:
    assert described(sections(CHAPTERS[chapter], 3)[heading]) == in_code(CHAPTER_OF[chapter][heading])


def test_the_map_of_a_pair_is_described_as_it_is() -> None:
    _, inner = tables(sections(CHAPTERS["Answers"], 3)["`pair`"])
    rows = [(row[0].strip("`"), row[1], row[2]) for row in inner[1:]]
    assert rows == in_code(application.BellPair)


def test_every_answer_that_a_request_gets_is_named() -> None:
    answers = {heading.strip("`") for heading in CHAPTER_OF["Answers"]}
    for heading, text in sections(CHAPTERS["Requests"], 3).items():
        if heading != "`wait`":
            said = text.partition("| field")[0]
            named = {word for word in re.findall(r"`(\w+)`", said) if word in answers}
            assert named, f"{heading} does not say by what it is answered"


def test_the_failure_codes() -> None:
    (table,) = tables(CHAPTERS["Failure codes"])
    assert [row[0].strip("`") for row in table[1:]] == list(typing.get_args(application.FailureCode))


def test_the_bell_states() -> None:
    (table,) = tables(CHAPTERS["Names, states and numbers"])
    assert [(int(x), int(z), int(index), name.strip("`")) for x, z, index, name, _ in table[1:]] == [
        (index // 2, index % 2, index, name) for index, name in enumerate(quantum.BELL_STATES)
    ]


def test_the_limits() -> None:
    (table,) = tables(CHAPTERS["Limits"])
    limits = {row[0]: row[1] for row in table[1:]}
    longest = f"10^{len(str(node.LONGEST_TIME_PS)) - 1}"
    assert 10 ** int(longest[3:]) == node.LONGEST_TIME_PS
    expected = {
        "payload of a message": codec.MAXIMUM_PAYLOAD_BYTES,
        "a frame": codec.MAXIMUM_FRAME_BYTES,
        "a frame, to be answered at all": transport.LARGEST_ZMQ_MESSAGE_BYTES,
        "name of an application": runtime.LONGEST_NAME,
        "`tag` of a message": messages.LONGEST_TAG,
        "`purpose` of pairs, a circuit or a group": core.LONGEST_PURPOSE,
        "`axes` of a circuit": service.MOST_AXES,
        "members of a group": groups.MOST_MEMBERS,
        "open calls of a session": LIMITS.open_calls,
        "requests sent ahead of their turn": LIMITS.requests_ahead,
        "bytes of requests before virtual time moves on": LIMITS.bytes_ahead,
        "requests at one instant": LIMITS.requests_per_instant,
        "frames refused": refusals.MOST_REFUSED,
        "a frame but of `send`, `run`, `report`, `open_circuit`, `accept_circuit`, `netqasm`": clients.SMALL_FRAME_BYTES,
        "elements of an array or a map": application.AT_MOST.max_length,
        "sessions of a node": LIMITS.sessions,
        "open pair requests": LIMITS.pair_requests,
        "pairs to be measured, of all open requests": LIMITS.measured_pairs,
        "open circuits": LIMITS.circuits,
        "open groups": LIMITS.groups,
        "outcomes of a circuit that are not asked for": LIMITS.outcomes,
        "bytes sent at once": LIMITS.sent_bytes,
        "large answers that are not read": LIMITS.unread_bytes,
        "unread messages of one application at a node": LIMITS.message_bytes,
        "name of a value of a `report`": node.LONGEST_VALUE_NAME,
        "steps of a circuit": local_operations.MOST_STEPS,
        "qubits of a `unitary`": MAX_QUBITS,
        "pairs of one request": pair_requests.MOST_PAIRS,
        "one `sleep`": longest,
        "a `timeout_ps`": longest,
        "instructions of a NetQASM subroutine at one instant": LIMITS.instructions,
        "values of one `report`": node.MOST_REPORTED,
        "bits of a key": node.MOST_KEY_BITS,
        "`name` of a key": node.LONGEST_KEY_NAME,
        "unread messages at a node": messages.MAILBOX_BYTES,
    }
    assert limits.keys() == expected.keys()
    for what, limit in expected.items():
        assert re.search(rf"(?<!\d){re.escape(str(limit))}(?!\d)", limits[what]), f"{what}: the code says {limit}"


def test_the_gates() -> None:
    text = sections(CHAPTERS["Steps"], 3)["`gate`"].rpartition("|\n")[2]
    assert sorted(re.findall(r"`([A-Z]+)`", text)) == sorted(GATE_NAMES)


def test_the_version() -> None:
    assert f"This page is version `{VERSION}`." in PAGE
    assert f"the version of the wire that you speak: {VERSION} |" in PAGE
    assert f"version={VERSION}" in CHAPTERS["A whole client"]


def test_the_frames_of_the_fabric() -> None:
    action = typing.get_type_hints(fabric.Operation)["action"]
    unions = (fabric.ToFabric, fabric.ToNode, fabric.Event, action)
    tags = {kind.__struct_config__.tag for union in unions for kind in typing.get_args(union)}
    fields = {field.name for kind in (fabric.Block, fabric.Grant) for field in msgspec.structs.fields(kind)}
    words = set(re.findall(r"`(\w+)`", CHAPTERS["Between node and fabric"]))
    assert words - {"DEALER", "type", "waiting"} == tags | fields


def test_every_link_of_the_page_leads_somewhere() -> None:
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in CHAPTERS}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_the_bytes_of_the_example() -> None:
    frames = []
    for block in re.findall(r"```text\n(.*?)```", CHAPTERS["One exchange, byte by byte"], flags=re.DOTALL):
        digits = [re.match(r"((?:[0-9a-f]{2} )*[0-9a-f]{2})  ", line) for line in block.splitlines()]
        frames.append(bytes.fromhex("".join(match[1] for match in digits if match)))
        assert all(digits)
    asked, answered = application.Sleep(call=7, duration_ps=10**6), application.Done(call=7, now_ps=3 * 10**6)
    assert frames == [application.requests.encode(asked), application.answers.encode(answered)]


def test_the_client_of_the_page_runs(ideal: Any, testbed_of: Any, tmp_path: Path) -> None:
    """Two of them, at the ends of a real link, with nothing of the product in their reach."""
    (program,) = re.findall(r"```python\n(.*?)```", CHAPTERS["A whole client"], flags=re.DOTALL)
    assert set(re.findall(r"^(?:import|from) (\w+)", program, flags=re.MULTILINE)) == {"os", "sys", "msgpack", "zmq"}
    path = tmp_path / "client.py"
    path.write_text(program)
    with testbed_of(ideal("alice", "bob"), tmp_path) as live:
        clients = [
            subprocess.Popen(
                [sys.executable, "-P", str(path), live.endpoint(node), remote], stdout=subprocess.PIPE, text=True
            )
            for node, remote in (("alice", "bob"), ("bob", "alice"))
        ]
        try:
            printed = [client.communicate(timeout=20)[0] for client in clients]
        finally:
            for client in clients:
                client.kill()
                client.wait()
    bits = [line.split()[0] for line in printed]
    assert [client.returncode for client in clients] == [0, 0]
    assert bits in (["0", "0"], ["1", "1"])
