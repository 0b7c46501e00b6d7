"""Whatever bytes come, a codec gives a message or a `WireError`, and takes no memory that was only claimed."""

from __future__ import annotations

import random
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import control
from qnode.wire import application, fabric, peer
from qnode.wire.codec import Codec, WireError

sys.path.insert(0, str(Path(__file__).parents[1] / "process"))
from hostile import Forge, real_frames

real_frames()  # not inside a test of hypothesis: it runs a module with such tests
CODECS: dict[str, Codec[Any]] = {
    "requests": application.requests,
    "answers": application.answers,
    "to_fabric": fabric.to_fabric,
    "to_node": fabric.to_node,
    "peer": peer.peer,
    "control": control.to_fabric,
    "observations": control.observations,
}
CLAIMS = (b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc9")
INSIDE = {
    "at the top": b"",
    "steps": b"\x83\xa4type\xa3run\xa4call\x01\xa5steps",
    "axes": b"\x84\xa4type\xacopen_circuit\xa4call\x01\xa6remote\xa1b\xa4axes",
    "values": b"\x83\xa4type\xa6report\xa4call\x01\xa6values",
    "payload": b"\x84\xa4type\xa4send\xa4call\x01\xa4peer\xa1b\xa7payload",
    "notes": b"\x82\xa4type\xa5block\xa5notes",
    "details": b"\x82\xa4type\xa5block\xa5notes\x91\x83\xa2at\x00\xa4kind\xa1k\xa7details",
    "matrix": b"\x83\xa4type\xa3run\xa4call\x01\xa5steps\x91\x83\xa4type\xa7unitary\xa6qubits\x91\xa1a\xa6matrix",
}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_bent_frames_are_refused_in_one_way(seed: int) -> None:
    forge = Forge(random.Random(seed))
    for _ in range(20):
        frame = forge.frame()
        for codec in CODECS.values():
            try:
                message = codec.decode(frame)
            except WireError:
                continue
            assert codec.decode(codec.encode(message)) == message or "nan" in repr(message)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("where", INSIDE)
def test_a_claim_of_many_elements_takes_no_memory(codec: str, where: str) -> None:
    tracemalloc.start()
    try:
        for claim in CLAIMS:
            for size in (0xFFFFFFFF, 1 << 30, 1 << 24):
                with pytest.raises(WireError):
                    CODECS[codec].decode(INSIDE[where] + claim + struct.pack(">I", size))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("field", ["steps", "axes", "values"])
def test_too_many_elements_are_refused_before_they_are_read(field: str) -> None:
    count = (1 << 17) + 1
    kind, body = (b"\xdf", b"\xa1a\x01" * count) if field == "values" else (b"\xdd", b"\x80" * count)
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="of length <= 131072"):
            application.requests.decode(INSIDE[field] + kind + struct.pack(">I", count) + body)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("deep", [b"\x91", b"\x81\xa1a"])
@pytest.mark.parametrize("levels", [5, 900, 5000, 1_000_000])
def test_a_note_is_not_deep(deep: bytes, levels: int) -> None:
    with pytest.raises(WireError):
        fabric.to_fabric.decode(INSIDE["details"] + b"\x81\xa1a" + deep * levels + b"\xc0")


def test_a_note_may_be_as_deep_as_notes_are() -> None:
    note = fabric.Note(at=0, kind="k", details={"a": [[["x", 1.5], {"b": None}]], "c": {"d": [1, True]}})
    frame = fabric.to_fabric.encode(fabric.Block(notes=(note,)))
    assert fabric.to_fabric.decode(frame) == fabric.Block(notes=(note,))
