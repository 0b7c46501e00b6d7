"""Whatever comes through a socket, the answer is clear, the processes live on and the truth is what it was.

One testbed for all; every case is a frame or a request, the code of its failure and words that its reason must have.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import pytest

from orchestrator.control import AskCensus, AskPair, OracleView

MEBIBYTE = 1 << 20
NAN = math.nan
INFINITY = math.inf


def matrix(*entries: complex) -> bytes:
    return b"".join(struct.pack("<dd", complex(entry).real, complex(entry).imag) for entry in entries)


def identity_matrix(qubits: int) -> bytes:
    size = 1 << qubits
    return matrix(*(float(row == column) for row in range(size) for column in range(size)))


@dataclass
class World:
    """The testbed and what is in it: two applications on alice, and qubits in every state of life."""

    live: Any
    mallory: Any
    """The hostile application: attached, and rests between the cases."""
    victim: Any
    observe: Callable[..., OracleView]
    names: dict[str, str] = field(default_factory=dict)
    process_ids: dict[str, int] = field(default_factory=dict)

    def census(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        view = self.observe(self.live.observer_endpoint, AskCensus())
        assert not view.error
        return view.qubits, view.owners

    def filled(self, value: Any) -> Any:
        """``value`` with every ``{own}`` and its like replaced by the qubit's real name."""
        if isinstance(value, str):
            for name, qubit in self.names.items():
                value = value.replace("{" + name + "}", qubit)
            return value
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        return value

    def check_alive(self) -> None:
        """The same processes run as at the beginning."""
        assert self.live.running() == self.process_ids
        for name, process_id in self.process_ids.items():
            state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
            assert state not in "ZX", f"{name} is dead"


@pytest.fixture(scope="module")
def world(
    ideal: Any, testbed_of: Any, bare_client: Any, observe: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with testbed_of(ideal("alice", "bob", length_km=1.0, slots=4), tmp_path_factory.mktemp("hostile")) as live:
        endpoint = live.endpoint("alice")
        with (
            bare_client(endpoint) as mallory,
            bare_client(endpoint) as victim,
            bare_client(live.endpoint("bob")) as bob,
        ):
            world = World(live, mallory, victim, observe, process_ids=live.running())
            victim.attach("victim")
            victims = victim.ask("run", steps=[{"type": "prepare"}])["qubits"][0]
            victim.rest()
            bob.attach("bystander")
            bobs = bob.ask("run", steps=[{"type": "prepare"}])["qubits"][0]
            bob.rest()
            mallory.attach("mallory")
            own, measured, discarded = mallory.ask("run", steps=[{"type": "prepare"}] * 3)["qubits"]
            mallory.ask("run", steps=[{"type": "measure", "qubit": measured}, {"type": "discard", "qubit": discarded}])
            mallory.rest()
            bob.send(type="request_pairs", call=50, remote="alice")
            pair = mallory.ask("request_pairs", remote="bob")["pair"]
            assert bob.receive()["type"] == "pair"
            bob.rest()
            mallory.rest()
            world.names = {
                "own": own,
                "measured": measured,
                "discarded": discarded,
                "victims": victims,
                "bobs": bobs,
                "half": pair["qubit"],
                "pair": pair["pair_id"],
            }
            yield world
            world.check_alive()


def step(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def packed(message: Any) -> bytes:
    frame: bytes = msgpack.packb(message)
    return frame


SLEEP = packed({"type": "sleep", "call": 9, "duration_ps": 0})

FRAMES: dict[str, tuple[tuple[bytes, ...], str]] = {
    "empty": ((b"",), "truncated"),
    "truncated": ((SLEEP[:-1],), "truncated"),
    "two frames": ((SLEEP, SLEEP), "2 frames, expected one"),
    "an empty delimiter, as a REQ socket sends": ((b"", SLEEP), "2 frames, expected one"),
    "many frames": ((SLEEP,) * 50, "50 frames"),
    "something behind the message": ((SLEEP + b"\xc0",), "trailing characters"),
    "a byte that MessagePack never uses": ((b"\xc1",), "invalid opcode"),
    "JSON": ((b'{"type": "sleep", "call": 1, "duration_ps": 0}',), "not a message"),
    "an array": ((packed(["sleep", 1, 0]),), "Expected `object`, got `array`"),
    "a string": ((packed("sleep"),), "Expected `object`"),
    "nil": ((packed(None),), "Expected `object`"),
    "no type": ((packed({"call": 1, "duration_ps": 0}),), "missing required field `type`"),
    "unknown type": ((packed({"type": "explode", "call": 1}),), "'explode'"),
    "an answer's type": ((packed({"type": "done", "call": 1, "now_ps": 0}),), "'done'"),
    "a frame for the fabric": ((packed({"type": "block", "wake_at": 5}),), "'block'"),
    "type is a number": ((packed({"type": 7, "call": 1}),), "Expected `str`"),
    "unknown field": ((packed({"type": "sleep", "call": 1, "duration_ps": 0, "speed": 9}),), "unknown field `speed`"),
    "missing field": ((packed({"type": "request_pairs", "call": 1}),), "missing required field `remote`"),
    "keys are numbers": ((packed({1: "sleep"}),), "Expected `str`"),
    "call is a string": ((packed({"type": "sleep", "call": "1", "duration_ps": 0}),), "$.call"),
    "call is a float": ((packed({"type": "sleep", "call": 1.0, "duration_ps": 0}),), "$.call"),
    "call is a truth value": ((packed({"type": "sleep", "call": True, "duration_ps": 0}),), "$.call"),
    "call is nil": ((packed({"type": "sleep", "call": None, "duration_ps": 0}),), "$.call"),
    "duration is NaN": ((packed({"type": "sleep", "call": 1, "duration_ps": NAN}),), "$.duration_ps"),
    "steps is a map": ((packed({"type": "run", "call": 1, "steps": {}}),), "$.steps"),
    "unknown step": ((packed({"type": "run", "call": 1, "steps": [step("clone", qubit="a")]}),), "'clone'"),
    "unknown role": ((packed({"type": "run", "call": 1, "steps": [step("prepare", role="tape")]}),), "'tape'"),
    "axis of two numbers": (
        (packed({"type": "run", "call": 1, "steps": [step("measure", qubit="a", axis=[0.0, 1.0])]}),),
        "length 3",
    ),
    "unknown axis": (
        (packed({"type": "run", "call": 1, "steps": [step("measure", qubit="a", axis="W")]}),),
        "'W'",
    ),
    "Bell measurement of three": (
        (packed({"type": "run", "call": 1, "steps": [step("measure_bell", qubits=["a", "b", "c"])]}),),
        "length 2",
    ),
    "unknown kind of request": (
        (packed({"type": "request_pairs", "call": 1, "remote": "bob", "kind": "Q"}),),
        "'Q'",
    ),
    "payload is text": ((packed({"type": "send", "call": 1, "peer": "bob", "payload": "text"}),), "$.payload"),
    "not UTF-8": ((b"\x81\xa4type\xa2\xff\xfe",), "not a message"),
    "an extension type": ((packed(msgpack.ExtType(4, b"boo")),), "Expected `object`, got `ext`"),
    "a time stamp": ((packed(msgpack.Timestamp(0)),), "Expected `object`"),
    "nested ten thousand deep": ((b"\x91" * 10_000 + b"\xc0",), "not a message"),
    "nested in a field": ((b"\x82\xa4type\xa6report\xa6values" + b"\x81\xa1a" * 5000 + b"\xc0",), "not a message"),
    "claims 4 294 967 295 elements": ((b"\xdd\xff\xff\xff\xff",), "not a message"),
    "claims 2 GiB of payload": ((b"\x82\xa4type\xa4send\xa7payload\xc6\x80\x00\x00\x00",), "truncated"),
    "larger than a frame may be": ((bytes(16 * MEBIBYTE + 4097),), "16781313 bytes, expected at most 16781312"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_no_request(world: World, name: str) -> None:
    frames, words = FRAMES[name]
    before = world.census()
    world.mallory.send_frames(*frames)
    answer = world.mallory.receive()
    world.mallory.rest()
    assert (answer["type"], answer["call"], answer["code"]) == ("failed", None, "bad_message"), answer
    assert words in answer["reason"], answer
    assert world.mallory.silent()
    assert world.census() == before
    world.check_alive()


def run(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "run", "steps": list(steps)}


def gate(name: str, *qubits: str, parameters: list[float] | None = None) -> dict[str, Any]:
    return run(step("gate", name=name, qubits=list(qubits), parameters=parameters or []))


def unitary(data: bytes, *qubits: str) -> dict[str, Any]:
    return run(step("unitary", qubits=list(qubits), matrix=data))


def pairs(**fields: Any) -> dict[str, Any]:
    return {"type": "request_pairs", "remote": "bob", **fields}


def measure(qubit: str, **fields: Any) -> dict[str, Any]:
    return run(step("measure", qubit=qubit, **fields))


PREPARE = step("prepare")
COMMUNICATION = step("prepare", role="communication")

REQUESTS: dict[str, tuple[dict[str, Any], str, str]] = {
    # who owns what
    "another session's qubit": (measure("{victims}"), "not_yours", "{victims} belongs to application victim"),
    "gate on another session's qubit": (gate("CX", "{own}", "{victims}"), "not_yours", "{victims}"),
    "another node's qubit": (measure("{bobs}"), "gone", "{bobs} is not known at this node"),
    "a measured qubit": (measure("{measured}"), "gone", "{measured} was measured at"),
    "a discarded qubit": (run(step("discard", qubit="{discarded}")), "discarded", "{discarded} was discarded at"),
    "an unknown qubit": (measure("alice#999999"), "gone", "alice#999999 is not known"),
    "an empty qubit name": (measure(""), "gone", "is not known"),
    "a qubit that this circuit does not prepare": (measure("$0"), "bad_request", "$0 is not prepared before this step"),
    "a negative prepared qubit": (run(PREPARE, step("measure", qubit="$-1")), "bad_request", "$-1 is not prepared"),
    "a prepared qubit under another spelling": (
        run(PREPARE, step("measure", qubit="$00")),
        "bad_request",
        "$00 is not prepared",
    ),
    "no number behind the dollar": (run(PREPARE, step("measure", qubit="$")), "bad_request", "$ is not prepared"),
    "a name for a prepared qubit": (run(step("prepare", qubit="alice#0")), "bad_request", "leave `qubit` empty"),
    "used after its measurement": (
        run(step("measure", qubit="{own}"), step("gate", name="X", qubits=["{own}"])),
        "gone",
        "step 1 (gate): qubit {own} was measured by an earlier step",
    ),
    "measured twice": (
        run(PREPARE, step("measure", qubit="$0"), step("measure", qubit="$0")),
        "gone",
        "step 2 (measure): qubit $0",
    ),
    # circuits
    "no steps": (run(), "bad_request", "0 steps, expected 1 to 100000"),
    "more steps than allowed": (run(*[PREPARE] * 100_001), "bad_request", "100001 steps"),
    "more qubits than slots": (run(*[PREPARE] * 5), "no_slot", "none of the 4 storage slots of alice is free"),
    "move into a full memory": (
        run(*[COMMUNICATION] * 3, step("move", qubit="{own}", role="communication")),
        "no_slot",
        "step 3 (move): none of the 4 communication slots",
    ),
    "unknown gate": (gate("FROBNICATE", "{own}"), "bad_request", "unknown gate 'FROBNICATE'"),
    "gate on too many qubits": (gate("H", "{own}", "{half}"), "bad_request", "gate H acts on 1 qubits, found 2"),
    "gate on too few qubits": (gate("CX", "{own}"), "bad_request", "gate CX acts on 2 qubits, found 1"),
    "gate on no qubits": (gate("X"), "bad_request", "gate X acts on 1 qubits, found 0"),
    "gate without its angle": (gate("RX", "{own}"), "bad_request", "gate RX takes one angle"),
    "gate with an angle too many": (gate("X", "{own}", parameters=[1.0]), "bad_request", "gate X takes no angle"),
    "an angle of NaN": (gate("RX", "{own}", parameters=[NAN]), "bad_request", "RX needs a finite angle"),
    "an infinite angle": (gate("RZ", "{own}", parameters=[-INFINITY]), "bad_request", "RZ needs a finite angle"),
    "the same qubit twice": (gate("CX", "{own}", "{own}"), "bad_request", "names a qubit twice: {own}, {own}"),
    "the same qubit twice in a Bell measurement": (
        run(step("measure_bell", qubits=["{own}", "{own}"])),
        "bad_request",
        "names a qubit twice",
    ),
    "a matrix that is not unitary": (unitary(matrix(1, 1, 0, 1), "{own}"), "bad_request", "not unitary"),
    "a matrix of NaN": (unitary(matrix(NAN, 0, 0, 1), "{own}"), "bad_request", "found NaN or infinity"),
    "a matrix of infinities": (unitary(matrix(INFINITY, 0, 0, 1), "{own}"), "bad_request", "found NaN or infinity"),
    "a matrix of enormous numbers": (unitary(matrix(1e308, 0, 0, 1e308), "{own}"), "bad_request", "not unitary"),
    "a matrix that is too short": (unitary(identity_matrix(1)[:-1], "{own}"), "bad_request", "64 bytes, found 63"),
    "a matrix for two qubits on one": (unitary(identity_matrix(2), "{own}"), "bad_request", "64 bytes, found 256"),
    "no matrix": (unitary(b"", "{own}"), "bad_request", "64 bytes, found 0"),
    "a unitary on no qubits": (unitary(b""), "bad_request", "acts on 1 to 3 qubits, found 0"),
    "a unitary on four qubits": (
        run(
            PREPARE,
            PREPARE,
            COMMUNICATION,
            COMMUNICATION,
            step("unitary", qubits=["$0", "$1", "$2", "$3"], matrix=identity_matrix(4)),
        ),
        "bad_request",
        "acts on 1 to 3 qubits, found 4",
    ),
    "an axis of no length": (measure("{own}", axis=[0.0, 0.0, 0.0]), "bad_request", "the zero vector"),
    "an axis of NaN": (measure("{own}", axis=[NAN, 0.0, 1.0]), "bad_request", "finite components"),
    "an infinite axis": (measure("{own}", axis=[INFINITY, 0.0, 1.0]), "bad_request", "finite components"),
    # pairs
    "pairs with an unknown node": (pairs(remote="carol"), "unsupported", "no quantum link to 'carol'"),
    "pairs with itself": (pairs(remote="alice"), "unsupported", "no quantum link to 'alice'"),
    "no pairs": (pairs(number=0), "bad_request", "number is 0, expected 1 to 1000000"),
    "fewer than no pairs": (pairs(number=-3), "bad_request", "number is -3"),
    "too many pairs": (pairs(number=1_000_001), "bad_request", "number is 1000001"),
    "fidelity above one": (pairs(minimum_fidelity=1.5), "bad_request", "minimum_fidelity is 1.5"),
    "fidelity of NaN": (pairs(minimum_fidelity=NAN), "bad_request", "minimum_fidelity is nan"),
    "a deadline of nothing": (pairs(timeout_ps=0), "bad_request", "timeout_ps is 0"),
    "a deadline in the past": (pairs(timeout_ps=-1), "bad_request", "timeout_ps is -1"),
    "an axis for kept pairs": (pairs(axis="X"), "bad_request", "kind K keeps its pairs"),
    "M along no axis": (pairs(kind="M", axis=[0.0, 0.0, 0.0]), "bad_request", "is no direction"),
    "M along NaN": (pairs(kind="M", axis=[NAN, 0.0, 0.0]), "bad_request", "is no direction"),
    "R along infinity": (pairs(kind="R", axis=[INFINITY, 0.0, 0.0]), "bad_request", "is no direction"),
    "the next pair of no request": ({"type": "next_pair", "request": 12345}, "bad_request", "12345"),
    "cancelling no request": ({"type": "cancel_request", "request": 12345}, "bad_request", "12345"),
    # teleportation and transmission
    "teleporting another's qubit": (
        {"type": "teleport", "qubit": "{victims}", "pair_id": "{pair}"},
        "not_yours",
        "{victims}",
    ),
    "teleporting over no pair": ({"type": "teleport", "qubit": "{own}", "pair_id": "x/0"}, "gone", "pair x/0"),
    "teleporting a measured qubit": (
        {"type": "teleport", "qubit": "{measured}", "pair_id": "{pair}"},
        "gone",
        "measured",
    ),
    "teleporting a pair into itself": (
        {"type": "teleport", "qubit": "{half}", "pair_id": "{pair}"},
        "bad_request",
        "{half} is the pair's own half",
    ),
    "receiving over no pair": ({"type": "receive_teleported", "pair_id": "nope"}, "gone", "pair nope"),
    "transmitting another's qubit": (
        {"type": "transmit_qubit", "qubit": "{victims}", "remote": "bob"},
        "not_yours",
        "{victims}",
    ),
    "transmitting to nowhere": (
        {"type": "transmit_qubit", "qubit": "{own}", "remote": "mars"},
        "unsupported",
        "'mars'",
    ),
    "receiving a qubit from nowhere": ({"type": "receive_qubit", "remote": "mars"}, "unsupported", "'mars'"),
    # messages, time, reports
    "payload of 16 MiB and a byte": (
        {"type": "send", "peer": "bob", "payload": bytes(16 * MEBIBYTE + 1)},
        "limit",
        "16777217 bytes, expected at most 16777216",
    ),
    "too long a tag": ({"type": "send", "peer": "bob", "payload": b"", "tag": "t" * 257}, "limit", "a tag of 257"),
    "a message to nowhere": ({"type": "send", "peer": "mars", "payload": b""}, "unsupported", "a node 'mars'"),
    "a message to nobody": ({"type": "send", "peer": "", "payload": b""}, "unsupported", "a node ''"),
    "a message from nowhere": ({"type": "receive", "peer": "mars"}, "unsupported", "a node 'mars'"),
    "a message that should have come": (
        {"type": "receive", "peer": "bob", "timeout_ps": -(10**15)},
        "bad_request",
        "timeout_ps is -1000000000000000",
    ),
    "a qubit within less than no time": (
        {"type": "receive_qubit", "remote": "bob", "timeout_ps": -1},
        "bad_request",
        "timeout_ps is -1",
    ),
    "a deadline beyond all time": (pairs(timeout_ps=2**64 - 1), "bad_request", "timeout_ps is 18446744073709551615"),
    "sleeping for ever": (
        {"type": "sleep", "duration_ps": 2**64 - 1},
        "bad_request",
        "duration_ps is 18446744073709551615",
    ),
    "sleeping backwards": ({"type": "sleep", "duration_ps": -1}, "bad_request", "duration_ps is -1"),
    "too many values": ({"type": "report", "values": {f"v{i}": 1.0 for i in range(257)}}, "limit", "257 values"),
    "attached already": ({"type": "attach", "version": 3, "application": "again"}, "bad_request", "attached already"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_cannot_be_done(world: World, name: str) -> None:
    request, code, words = REQUESTS[name]
    before = world.census()
    fields = world.filled(request)
    answer = world.mallory.ask(fields.pop("type"), **fields)
    world.mallory.rest()
    assert (answer["type"], answer["code"]) == ("failed", code), answer
    assert world.filled(words) in answer["reason"], answer
    assert world.mallory.silent()
    assert world.census() == before
    world.check_alive()


@pytest.mark.parametrize("call", [-1, -(1 << 63), 1 << 53, (1 << 64) - 1])
def test_a_call_number_out_of_range(world: World, call: int) -> None:
    world.mallory.send(type="sleep", call=call, duration_ps=0)
    answer = world.mallory.receive()
    world.mallory.rest()
    assert (answer["type"], answer["call"], answer["code"]) == ("failed", None, "bad_request")
    assert str(call) in answer["reason"]


def test_a_call_number_that_is_open_already(world: World) -> None:
    world.mallory.send(type="receive", call=777, peer="bob", tag="never", timeout_ps=1000, waiting=False)
    world.mallory.send(type="sleep", call=777, duration_ps=0)
    answer = world.mallory.receive()
    assert (answer["type"], answer["call"], answer["code"]) == ("failed", None, "bad_request")
    assert "call 777 is open already" in answer["reason"]
    world.mallory.rest()
    answer = world.mallory.receive()
    world.mallory.rest()
    assert (answer["call"], answer["code"]) == (777, "timeout")


def test_more_open_calls_than_allowed(world: World, bare_client: Any) -> None:
    with bare_client(world.live.endpoint("alice")) as client:
        client.attach("greedy")
        for call in range(1000, 2025):
            client.send(type="receive", call=call, peer="bob", tag="never", waiting=False)
        client.rest()
        answer = client.receive()
        assert (answer["call"], answer["code"]) == (2024, "limit")
        assert "1024 open calls" in answer["reason"]
        client.send(type="cancel_request", call=3000, request=1)
        assert client.receive()["code"] == "limit"
        client.rest()
    # the session stays open: it named no process. Nobody minds
    world.check_alive()


ATTACHING: dict[str, tuple[dict[str, Any], str, str]] = {
    "an older version": ({"version": 0}, "unsupported", "speaks version 3 of the wire, the application version 0"),
    "a newer version": ({"version": 4}, "unsupported", "the application version 4"),
    "a negative version": ({"version": -1}, "unsupported", "version -1"),
    "no name": ({"application": ""}, "bad_request", "1 to 64 printable characters"),
    "too long a name": ({"application": "n" * 65}, "bad_request", "1 to 64 printable characters"),
    "a name with a slash": ({"application": "bob/eve"}, "bad_request", "'bob/eve'"),
    "a name that rings": ({"application": "eve\a"}, "bad_request", "printable"),
    "a process that is not there": ({"process_id": 2**22 + 1}, "bad_request", "process_id 4194305"),
    "process 0": ({"process_id": 0}, "bad_request", "process_id 0"),
    "a negative process": ({"process_id": -1}, "bad_request", "process_id -1"),
    "a process beyond all numbers": ({"process_id": 2**63}, "bad_request", "process_id 9223372036854775808"),
    "letting time flow at pace max": ({"holds_time": False}, "unsupported", "attach with holds_time"),
}


@pytest.mark.parametrize("name", ATTACHING)
def test_an_attachment_that_is_refused(world: World, bare_client: Any, name: str) -> None:
    fields, code, words = ATTACHING[name]
    with bare_client(world.live.endpoint("alice")) as client:
        answer = client.ask("attach", **{"version": 3, "application": "eve", **fields})
        assert (answer["type"], answer["code"]) == ("failed", code), answer
        assert words in answer["reason"], answer
        assert client.ask("sleep", duration_ps=0)["reason"].startswith("not attached")
    world.check_alive()


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "sleep", "call": 4, "duration_ps": 0},
        {"type": "run", "call": 4, "steps": [{"type": "prepare"}]},
        {"type": "detach", "call": 4},
        {"type": "wait", "seen": 0},
    ],
    ids=lambda request: request["type"],
)
def test_a_request_before_attach(world: World, bare_client: Any, request_: dict[str, Any]) -> None:
    before = world.census()
    with bare_client(world.live.endpoint("alice")) as client:
        client.send(**request_)
        answer = client.receive()
    assert (answer["type"], answer["call"], answer["code"]) == ("failed", request_.get("call"), "bad_request")
    assert "the first message is `attach`" in answer["reason"]
    assert world.census() == before


def test_a_session_is_over_after_detach(world: World, bare_client: Any) -> None:
    before = world.census()
    with bare_client(world.live.endpoint("alice")) as client:
        client.attach("brief")
        client.ask("run", steps=[{"type": "prepare"}])
        assert client.ask("detach")["type"] == "done"
        assert client.ask("sleep", duration_ps=0)["reason"].startswith("not attached")
        assert client.attach("brief again")["type"] == "attached"
        assert client.ask("detach")["type"] == "done"
    assert world.census() == before


def test_words_behind_a_detach(world: World, bare_client: Any) -> None:
    """All in the node's hands before it has served the first of them."""
    before = world.census()
    with bare_client(world.live.endpoint("alice")) as client:
        client.attach("hasty")
        client.send(type="run", call=2, steps=[{"type": "prepare"}], waiting=False)
        client.send(type="detach", call=3)
        client.send(type="sleep", call=4, duration_ps=1)
        answers = {answer["call"]: answer["type"] for answer in (client.receive(), client.receive())}
    assert answers == {3: "done", 4: "failed"}
    assert world.mallory.ask("sleep", duration_ps=1000)["type"] == "done"
    world.mallory.rest()
    assert world.census() == before, "the qubit that was being prepared when its session ended is gone"
    world.check_alive()


FABRIC: dict[str, tuple[bytes, tuple[bytes, ...], str]] = {
    "a node that is not in the scenario": (
        b"mallory",
        (packed({"type": "hello", "version": 3, "node": "mallory", "process_id": 1}),),
        "no node 'mallory' is expected",
    ),
    "a name that is taken": (
        b"mallory",
        (packed({"type": "hello", "version": 3, "node": "alice", "process_id": 1}),),
        "no node 'alice' is expected under the identity 'mallory'",
    ),
    "another version": (
        b"mallory",
        (packed({"type": "hello", "version": 99, "node": "alice", "process_id": 1}),),
        "speaks version 99",
    ),
    "garbage": (b"mallory", (os.urandom(64),), "frame from 'mallory' refused"),
    "empty": (b"mallory", (b"",), "refused"),
    "an identity that is no text": (b"\xff\xfe\x01", (b"\xc1",), "refused"),
    "two frames": (b"mallory", (packed({"type": "block"}),) * 2, "2 frames, expected one"),
    "a block without hello": (b"mallory", (packed({"type": "block"}),), "it has not said hello"),
    "a block of another start of a node": (
        b"alice+1",
        (packed({"type": "block", "wake_at": 5}),),
        "no such start of node 'alice'",
    ),
    "an interrupt without hello": (
        b"mallory",
        (packed({"type": "interrupt", "reason": "me"}),),
        "it has not said hello",
    ),
    "an answer to no probe": (b"mallory", (packed({"type": "probe_answer", "waits": []}),), "it has not said hello"),
    "a grant": (b"mallory", (packed({"type": "grant", "now": 0, "until": 9}),), "'grant'"),
    "a block that takes another's qubit": (
        b"mallory",
        (
            packed(
                {
                    "type": "block",
                    "operations": [
                        {
                            "operation": 0,
                            "at": 0,
                            "action": {"type": "circuit", "steps": [{"type": "discard", "qubit": "alice#0"}]},
                        }
                    ],
                }
            ),
        ),
        "it has not said hello",
    ),
}


@pytest.mark.parametrize("name", FABRIC)
def test_a_stranger_at_the_fabric(world: World, bare_client: Any, name: str) -> None:
    identity, frames, words = FABRIC[name]
    before = world.census()
    with bare_client(world.live.fabric_endpoint, identity) as stranger:
        stranger.send_frames(*frames)
        answer = stranger.receive()
    assert answer["type"] == "halt"
    assert words in answer["reason"]
    assert world.census() == before
    world.check_alive()


def test_the_identity_of_a_node_cannot_be_stolen(world: World, bare_client: Any) -> None:
    before = world.census()
    with bare_client(world.live.fabric_endpoint, b"alice") as impostor:
        impostor.send(type="block", wake_at=0)
        impostor.send(type="interrupt", reason="me")
        assert world.mallory.ask("sleep", duration_ps=1)["type"] == "done"  # the real alice still has the fabric's ear
        world.mallory.rest()
        assert impostor.silent()
    assert world.census() == before
    world.check_alive()


OBSERVER: dict[str, tuple[tuple[bytes, ...], str]] = {
    "empty": ((b"",), "truncated"),
    "garbage": ((os.urandom(32),), "not a message"),
    "two frames": ((packed({"type": "census"}),) * 2, "2 frames, expected one"),
    "unknown question": ((packed({"type": "future"}),), "'future'"),
    "unknown field": ((packed({"type": "census", "all": True}),), "`all`"),
    "a qubit that is not there": ((packed({"type": "state", "qubits": ["alice#999"]}),), "alice#999 does not exist"),
    "a measured qubit": ((packed({"type": "state", "qubits": ["{measured}"]}),), "was measured"),
    "a pair that is not there": ((packed({"type": "pair", "pair_id": "x/1"}),), "no unused pair x/1"),
}


@pytest.mark.parametrize("name", OBSERVER)
def test_a_question_that_the_oracle_cannot_answer(world: World, bare_client: Any, name: str) -> None:
    frames, words = OBSERVER[name]
    if name == "a measured qubit":
        frames = (packed({"type": "state", "qubits": [world.names["measured"]]}),)
    before = world.census()
    with bare_client(world.live.observer_endpoint) as observer:
        observer.send_frames(*frames)
        answer = observer.receive()
    assert (answer["type"], answer["oracle"], answer["qubits"]) == ("oracle", True, [])
    assert words in answer["error"]
    assert world.census() == before
    world.check_alive()


def test_the_oracle_is_asked_for_a_qubit_twice_and_for_none(
    ideal: Any, testbed_of: Any, bare_client: Any, tmp_path: Path
) -> None:
    """A testbed of its own, for as long as this ends it."""
    with testbed_of(ideal("alice", "bob"), tmp_path) as live:
        with bare_client(live.endpoint("alice")) as client:
            client.attach("app")
            qubit = client.ask("run", steps=[{"type": "prepare"}])["qubits"][0]
            client.rest()
        with bare_client(live.observer_endpoint) as observer:
            for qubits in ([qubit, qubit], []):
                observer.send(type="state", qubits=qubits)
                assert observer.receive()["type"] == "oracle"


def test_afterwards_an_honest_pair_is_made_and_measured(world: World, bare_client: Any, observe: Any) -> None:
    """Defined last: the testbed that has seen all of the above still does its work, and does it right."""
    with bare_client(world.live.endpoint("alice")) as left, bare_client(world.live.endpoint("bob")) as right:
        left.attach("honest left")
        left.rest()
        right.attach("honest right")
        for axis in ("Z", "X", "Z", "X"):
            left.send(type="request_pairs", call=100 + left.answered, remote="bob", purpose="honest")
            mine = right.ask("request_pairs", remote="alice", purpose="honest")["pair"]
            theirs = left.receive()["pair"]
            assert mine["pair_id"] == theirs["pair_id"]
            truth = observe(world.live.observer_endpoint, AskPair(pair_id=mine["pair_id"]))
            assert truth.bell_fidelities["PHI_PLUS"] == pytest.approx(1.0)
            right.rest()
            bit = left.ask("run", steps=[step("measure", qubit=theirs["qubit"], axis=axis)])["bits"]
            left.rest()
            assert right.ask("run", steps=[step("measure", qubit=mine["qubit"], axis=axis)])["bits"] == bit
        right.rest()
        left.ask("detach")
        right.ask("detach")
    world.check_alive()
