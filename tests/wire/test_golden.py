"""The bytes of every message, held still: a change of the wire is deliberate, and comes with a new version.

To change it on purpose: raise ``qnode.wire.version.VERSION``, run this file as a program, and copy what it prints.
"""

from __future__ import annotations

import struct
import time
import typing
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import control
from qnode.wire import application, fabric, peer, quantum
from qnode.wire.codec import MAXIMUM_FRAME_BYTES, MAXIMUM_PAYLOAD_BYTES, Codec, WireError
from qnode.wire.version import VERSION

STEPS = (
    quantum.Prepare(),
    quantum.Gate(name="RX", qubits=("$0",), parameters=(0.5,)),
    quantum.Unitary(qubits=("$0",), matrix=b"\x00\x01"),
    quantum.Measure(qubit="$0", axis=(0.0, 0.6, 0.8)),
    quantum.MeasureBell(qubits=("a#0", "a#1")),
    quantum.Move(qubit="a#2", role="storage"),
    quantum.Discard(qubit="a#2"),
)
PAIR = application.BellPair(
    pair_id="a-b/0",
    qubit="a#0",
    remote="b",
    bell_state="PHI_PLUS",
    goodness=0.9,
    emitted_at_ps=1,
    heralded_at_ps=2,
    remote_axis="X",
    remote_bit=1,
)
OPERATIONS = (
    fabric.Operation(operation=0, at=5, action=fabric.Circuit(steps=STEPS[:1])),
    fabric.Operation(operation=1, at=5, action=fabric.Generate(link="a-b", qubit="a#0", purpose="p")),
    fabric.Operation(operation=2, at=5, action=fabric.Cancel(operation=1)),
    fabric.Operation(operation=3, at=5, action=fabric.Transmit(link="a-b", qubit="a#1")),
)
EVENTS = (
    fabric.Delivered(at=1, sender="b", payload=b"hi"),
    fabric.Completed(at=2, operation=0, bits=(0, 1)),
    fabric.Refused(at=3, operation=1, code="gone", reason="r", done=2),
    fabric.Heralded(at=4, operation=2, link="a-b", pair_id="a-b/0", bell_index=3, emitted_at=1),
    fabric.Arrived(at=5, link="a-b", qubit="b#0"),
    fabric.Lost(at=6, link="a-b", qubit="b#1", reason="absorbed"),
)

CODECS: dict[str, Codec[Any]] = {
    "requests": application.requests,
    "answers": application.answers,
    "peer": peer.peer,
    "to_fabric": fabric.to_fabric,
    "to_node": fabric.to_node,
    "control_to_fabric": control.to_fabric,
    "control_from_fabric": control.from_fabric,
    "observations": control.observations,
    "oracle_views": control.oracle_views,
}
PROTOCOLS: dict[str, Any] = {
    "requests": application.Request,
    "answers": application.Answer,
    "peer": peer.PeerMessage,
    "to_fabric": fabric.ToFabric,
    "to_node": fabric.ToNode,
    "control_to_fabric": control.ToFabric,
    "control_from_fabric": control.FromFabric,
    "observations": control.Observation,
    "oracle_views": control.OracleView,
}

EXAMPLES: list[tuple[str, Any]] = [
    ("requests", application.Attach(call=1, version=1, application="a", process_id=7, holds_time=False)),
    (
        "requests",
        application.RequestPairs(
            call=2,
            remote="b",
            number=3,
            kind="M",
            minimum_fidelity=0.5,
            timeout_ps=9,
            axis="X",
            purpose="p",
            as_heralded=True,
            waiting=False,
        ),
    ),
    ("requests", application.NextPair(call=3, request=2)),
    ("requests", application.CancelRequest(call=4, request=2)),
    ("requests", application.Run(call=5, steps=STEPS)),
    ("requests", application.Teleport(call=6, qubit="a#1", pair_id="a-b/0")),
    ("requests", application.ReceiveTeleported(call=7, pair_id="a-b/0", timeout_ps=10**13)),
    ("requests", application.TransmitQubit(call=8, qubit="a#1", remote="b")),
    ("requests", application.ReceiveQubit(call=9, remote="b")),
    ("requests", application.SendMessage(call=10, peer="b/x", payload=b"\x00\xff", tag="t")),
    ("requests", application.ReceiveMessage(call=11, peer="b", tag="t")),
    ("requests", application.Sleep(call=12, duration_ps=10**12)),
    ("requests", application.Report(call=13, values={"a": 1.5, "b": (0.5, 0.25)})),
    ("requests", application.Wait(seen=4)),
    ("requests", application.Detach(call=14)),
    (
        "answers",
        application.Attached(
            call=1,
            now_ps=0,
            version=1,
            node="a",
            process_id=8,
            neighbours=("b",),
            communication_slots=2,
            storage_slots=3,
        ),
    ),
    ("answers", application.Pair(call=2, now_ps=3, request=2, pair=PAIR)),
    ("answers", application.Measured(call=2, now_ps=3, pair_ids=("a-b/0", "a-b/1"), bits=(0, 1))),
    ("answers", application.Outcomes(call=5, now_ps=3, bits=(1,), qubits=("a#3",))),
    ("answers", application.Qubit(call=7, now_ps=3, qubit="b#0")),
    ("answers", application.Received(call=11, now_ps=3, sender="b", sender_application="x", tag="t", payload=b"\x01")),
    ("answers", application.Done(call=12, now_ps=3)),
    ("answers", application.Failed(call=None, now_ps=3, code="bad_message", reason="r")),
    (
        "peer",
        peer.ApplicationMessage(sender_application="x", recipient_application="y", tag="t", payload=b"\x00"),
    ),
    ("peer", peer.PairDiscarded(pair_id="a-b/0", reason="old")),
    ("peer", peer.TeleportOutcome(pair_id="a-b/0", bits=(1, 0))),
    ("peer", peer.PreparedRemotely(pair_id="a-b/0", axis=(0.0, 0.0, 1.0), bit=1)),
    ("to_fabric", fabric.Hello(version=1, node="a", process_id=7)),
    (
        "to_fabric",
        fabric.Block(
            wake_at=9,
            sends=(fabric.Send(at=5, to="b", payload=b"hi"),),
            operations=OPERATIONS,
            notes=(fabric.Note(at=5, kind="k", details={"n": 1}),),
            applications=2,
            flowing=1,
        ),
    ),
    ("to_fabric", fabric.Interrupt(reason="r")),
    ("to_fabric", fabric.ProbeAnswer(waits=("x",))),
    ("to_node", fabric.Grant(now=1, until=7, events=EVENTS)),
    ("to_node", fabric.Probe()),
    ("to_node", fabric.Halt(reason="r")),
    ("to_node", fabric.ApplicationEnded(application="x", status="exit code 1")),
    ("control_to_fabric", control.Start()),
    ("control_to_fabric", control.Stop(reason="r")),
    ("control_to_fabric", control.NodeDied(node="a", status="s")),
    ("control_to_fabric", control.ApplicationDied(node="a", application="x", status="s")),
    ("control_to_fabric", control.AskStatus()),
    ("control_from_fabric", control.Ready()),
    ("control_from_fabric", control.Status(now_ps=1, pairs=2, applications=3, nodes_up=4)),
    (
        "control_from_fabric",
        control.Finished(
            reason="r",
            now_ps=1,
            wall_s=0.5,
            digest="d",
            log_lines=2,
            outside=("o",),
            lateness=control.Lateness(grants=1, histogram={"0.1": 1}),
            mean_states={"a-b": (1, [[(1.0, 0.0)]])},
        ),
    ),
    ("observations", control.AskState(qubits=("a#0",))),
    ("observations", control.AskPair(pair_id="a-b/0")),
    ("observations", control.AskCensus()),
    (
        "oracle_views",
        control.OracleView(
            now_ps=1, qubits=("a#0",), owners=("a",), dimension=2, state=b"\x00", bell_fidelities={"PHI_PLUS": 1.0}
        ),
    ),
]

GOLDEN: dict[str, str] = {
    "requests.attach": (
        "86a474797065a6617474616368a463616c6c01a776657273696f6e01ab6170706c69636174696f6ea161aa70726f63657373"
        "5f696407aa686f6c64735f74696d65c2"
    ),
    "requests.request_pairs": (
        "8ba474797065ad726571756573745f7061697273a463616c6c02a672656d6f7465a162a66e756d62657203a46b696e64a14d"
        "b06d696e696d756d5f666964656c697479cb3fe0000000000000aa74696d656f75745f707309a461786973a158a770757270"
        "6f7365a170ab61735f686572616c646564c3a777616974696e67c2"
    ),
    "requests.next_pair": ("84a474797065a96e6578745f70616972a463616c6c03a77265717565737402a777616974696e67c3"),
    "requests.cancel_request": (
        "84a474797065ae63616e63656c5f72657175657374a463616c6c04a77265717565737402a777616974696e67c3"
    ),
    "requests.run": (
        "84a474797065a372756ea463616c6c05a573746570739783a474797065a770726570617265a57175626974a0a4726f6c65a7"
        "73746f7261676584a474797065a467617465a46e616d65a25258a671756269747391a22430aa706172616d657465727391cb"
        "3fe000000000000083a474797065a7756e6974617279a671756269747391a22430a66d6174726978c402000183a474797065"
        "a76d656173757265a57175626974a22430a46178697393cb0000000000000000cb3fe3333333333333cb3fe999999999999a"
        "82a474797065ac6d6561737572655f62656c6ca671756269747392a3612330a361233183a474797065a46d6f7665a5717562"
        "6974a3612332a4726f6c65a773746f7261676582a474797065a764697363617264a57175626974a3612332a777616974696e"
        "67c3"
    ),
    "requests.teleport": (
        "85a474797065a874656c65706f7274a463616c6c06a57175626974a3612331a7706169725f6964a5612d622f30a777616974696e67c3"
    ),
    "requests.receive_teleported": (
        "85a474797065b2726563656976655f74656c65706f72746564a463616c6c07a7706169725f6964a5612d622f30aa74696d65"
        "6f75745f7073cf000009184e72a000a777616974696e67c3"
    ),
    "requests.transmit_qubit": (
        "85a474797065ae7472616e736d69745f7175626974a463616c6c08a57175626974a3612331a672656d6f7465a162a777616974696e67c3"
    ),
    "requests.receive_qubit": (
        "85a474797065ad726563656976655f7175626974a463616c6c09a672656d6f7465a162aa74696d656f75745f7073c0a77761"
        "6974696e67c3"
    ),
    "requests.send": (
        "86a474797065a473656e64a463616c6c0aa470656572a3622f78a77061796c6f6164c40200ffa3746167a174a777616974696e67c3"
    ),
    "requests.receive": (
        "86a474797065a772656365697665a463616c6c0ba470656572a162a3746167a174aa74696d656f75745f7073c0a777616974696e67c3"
    ),
    "requests.sleep": (
        "84a474797065a5736c656570a463616c6c0cab6475726174696f6e5f7073cf000000e8d4a51000a777616974696e67c3"
    ),
    "requests.report": (
        "84a474797065a67265706f7274a463616c6c0da676616c75657382a161cb3ff8000000000000a16292cb3fe0000000000000"
        "cb3fd0000000000000a777616974696e67c3"
    ),
    "requests.wait": ("82a474797065a477616974a47365656e04"),
    "requests.detach": ("83a474797065a6646574616368a463616c6c0ea777616974696e67c3"),
    "answers.attached": (
        "89a474797065a86174746163686564a463616c6c01a66e6f775f707300a776657273696f6e01a46e6f6465a161aa70726f63"
        "6573735f696408aa6e65696768626f75727391a162b3636f6d6d756e69636174696f6e5f736c6f747302ad73746f72616765"
        "5f736c6f747303"
    ),
    "answers.pair": (
        "85a474797065a470616972a463616c6c02a66e6f775f707303a77265717565737402a47061697289a7706169725f6964a561"
        "2d622f30a57175626974a3612330a672656d6f7465a162aa62656c6c5f7374617465a85048495f504c5553a8676f6f646e65"
        "7373cb3feccccccccccccdad656d69747465645f61745f707301ae686572616c6465645f61745f707302ab72656d6f74655f"
        "61786973a158aa72656d6f74655f62697401"
    ),
    "answers.measured": (
        "85a474797065a86d65617375726564a463616c6c02a66e6f775f707303a8706169725f69647392a5612d622f30a5612d622f"
        "31a462697473920001"
    ),
    "answers.outcomes": (
        "85a474797065a86f7574636f6d6573a463616c6c05a66e6f775f707303a4626974739101a671756269747391a3612333"
    ),
    "answers.qubit": ("84a474797065a57175626974a463616c6c07a66e6f775f707303a57175626974a3622330"),
    "answers.message": (
        "87a474797065a76d657373616765a463616c6c0ba66e6f775f707303a673656e646572a162b273656e6465725f6170706c69"
        "636174696f6ea178a3746167a174a77061796c6f6164c40101"
    ),
    "answers.done": ("83a474797065a4646f6e65a463616c6c0ca66e6f775f707303"),
    "answers.failed": (
        "85a474797065a66661696c6564a463616c6cc0a66e6f775f707303a4636f6465ab6261645f6d657373616765a6726561736f6ea172"
    ),
    "peer.application_message": (
        "85a474797065b36170706c69636174696f6e5f6d657373616765b273656e6465725f6170706c69636174696f6ea178b57265"
        "63697069656e745f6170706c69636174696f6ea179a3746167a174a77061796c6f6164c40100"
    ),
    "peer.pair_discarded": (
        "83a474797065ae706169725f646973636172646564a7706169725f6964a5612d622f30a6726561736f6ea36f6c64"
    ),
    "peer.teleport_outcome": (
        "83a474797065b074656c65706f72745f6f7574636f6d65a7706169725f6964a5612d622f30a462697473920100"
    ),
    "peer.prepared_remotely": (
        "84a474797065b170726570617265645f72656d6f74656c79a7706169725f6964a5612d622f30a46178697393cb0000000000"
        "000000cb0000000000000000cb3ff0000000000000a362697401"
    ),
    "to_fabric.hello": ("84a474797065a568656c6c6fa776657273696f6e01a46e6f6465a161aa70726f636573735f696407"),
    "to_fabric.block": (
        "87a474797065a5626c6f636ba777616b655f617409a573656e64739184a474797065a453656e64a2617405a2746fa162a770"
        "61796c6f6164c4026869aa6f7065726174696f6e739484a474797065a94f7065726174696f6ea96f7065726174696f6e00a2"
        "617405a6616374696f6e82a474797065a763697263756974a573746570739183a474797065a770726570617265a571756269"
        "74a0a4726f6c65a773746f7261676584a474797065a94f7065726174696f6ea96f7065726174696f6e01a2617405a6616374"
        "696f6e84a474797065a867656e6572617465a46c696e6ba3612d62a57175626974a3612330a7707572706f7365a17084a474"
        "797065a94f7065726174696f6ea96f7065726174696f6e02a2617405a6616374696f6e82a474797065a663616e63656ca96f"
        "7065726174696f6e0184a474797065a94f7065726174696f6ea96f7065726174696f6e03a2617405a6616374696f6e83a474"
        "797065a87472616e736d6974a46c696e6ba3612d62a57175626974a3612331a56e6f7465739184a474797065a44e6f7465a2"
        "617405a46b696e64a16ba764657461696c7381a16e01ac6170706c69636174696f6e7302a7666c6f77696e6701"
    ),
    "to_fabric.interrupt": ("82a474797065a9696e74657272757074a6726561736f6ea172"),
    "to_fabric.probe_answer": ("82a474797065ac70726f62655f616e73776572a5776169747391a178"),
    "to_node.grant": (
        "84a474797065a56772616e74a36e6f7701a5756e74696c07a66576656e74739684a474797065a964656c697665726564a261"
        "7401a673656e646572a162a77061796c6f6164c402686984a474797065a9636f6d706c65746564a2617402a96f7065726174"
        "696f6e00a46269747392000186a474797065a772656675736564a2617403a96f7065726174696f6e01a4636f6465a4676f6e"
        "65a6726561736f6ea172a4646f6e650287a474797065a8686572616c646564a2617404a96f7065726174696f6e02a46c696e"
        "6ba3612d62a7706169725f6964a5612d622f30aa62656c6c5f696e64657803aa656d69747465645f61740184a474797065a7"
        "61727269766564a2617405a46c696e6ba3612d62a57175626974a362233085a474797065a46c6f7374a2617406a46c696e6b"
        "a3612d62a57175626974a3622331a6726561736f6ea86162736f72626564"
    ),
    "to_node.probe": ("81a474797065a570726f6265"),
    "to_node.halt": ("82a474797065a468616c74a6726561736f6ea172"),
    "to_node.application_ended": (
        "83a474797065b16170706c69636174696f6e5f656e646564ab6170706c69636174696f6ea178a6737461747573ab65786974"
        "20636f64652031"
    ),
    "control_to_fabric.start": ("81a474797065a57374617274"),
    "control_to_fabric.stop": ("82a474797065a473746f70a6726561736f6ea172"),
    "control_to_fabric.node_died": ("83a474797065a96e6f64655f64696564a46e6f6465a161a6737461747573a173"),
    "control_to_fabric.application_died": (
        "84a474797065b06170706c69636174696f6e5f64696564a46e6f6465a161ab6170706c69636174696f6ea178a6737461747573a173"
    ),
    "control_to_fabric.ask_status": ("81a474797065aa61736b5f737461747573"),
    "control_from_fabric.ready": ("81a474797065a57265616479"),
    "control_from_fabric.status": (
        "85a474797065a6737461747573a66e6f775f707301a5706169727302ac6170706c69636174696f6e7303a86e6f6465735f757004"
    ),
    "control_from_fabric.finished": (
        "8aa474797065a866696e6973686564a6726561736f6ea172a56572726f72a0a66e6f775f707301a677616c6c5f73cb3fe000"
        "0000000000a6646967657374a164a96c6f675f6c696e657302a76f75747369646591a16fa86c6174656e65737386a4747970"
        "65a84c6174656e657373a66772616e747301a57035305f73cb0000000000000000a57039395f73cb0000000000000000a56d"
        "61785f73cb0000000000000000a9686973746f6772616d81a3302e3101ab6d65616e5f73746174657381a3612d6292019191"
        "92cb3ff0000000000000cb0000000000000000"
    ),
    "observations.state": ("82a474797065a57374617465a671756269747391a3612330"),
    "observations.pair": ("82a474797065a470616972a7706169725f6964a5612d622f30"),
    "observations.census": ("81a474797065a663656e737573"),
    "oracle_views.oracle": (
        "89a474797065a66f7261636c65a66f7261636c65c3a66e6f775f707301a56572726f72a0a671756269747391a3612330a66f"
        "776e65727391a161a964696d656e73696f6e02a57374617465c40100af62656c6c5f666964656c697469657381a85048495f"
        "504c5553cb3ff0000000000000"
    ),
}


def name_of(protocol: str, message: Any) -> str:
    return f"{protocol}.{message.__struct_config__.tag}"


BY_NAME = {name_of(protocol, message): (protocol, message) for protocol, message in EXAMPLES}


def as_plain(value: Any) -> Any:
    """A message as the maps, lists and numbers that any MessagePack library shows, made without the codec."""
    if isinstance(value, msgspec.Struct):
        fields = {name: as_plain(getattr(value, name)) for name in value.__struct_fields__}
        tag = value.__struct_config__.tag
        return fields if tag is None else {"type": tag, **fields}
    if isinstance(value, tuple | list):
        return [as_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: as_plain(each) for key, each in value.items()}
    return value


def members(protocol: Any) -> tuple[Any, ...]:
    return typing.get_args(protocol) or (protocol,)


def test_every_message_has_its_golden_bytes() -> None:
    tags = {f"{name}.{kind.__struct_config__.tag}" for name, union in PROTOCOLS.items() for kind in members(union)}
    assert set(BY_NAME) == tags
    assert set(GOLDEN) == tags
    assert len(GOLDEN) == len(EXAMPLES)


def test_the_examples_cover_every_step_operation_and_event() -> None:
    assert {type(step) for step in STEPS} == set(members(quantum.Step))
    assert {type(event) for event in EVENTS} == set(members(fabric.Event))
    actions = typing.get_type_hints(fabric.Operation)["action"]
    assert {type(operation.action) for operation in OPERATIONS} == set(members(actions))


def test_the_numbers_that_both_sides_agree_on() -> None:
    assert VERSION == 1
    assert MAXIMUM_PAYLOAD_BYTES == 16_777_216
    assert MAXIMUM_FRAME_BYTES == 16_781_312
    assert quantum.BELL_STATES == ("PHI_PLUS", "PHI_MINUS", "PSI_PLUS", "PSI_MINUS")


@pytest.mark.parametrize("name", BY_NAME)
def test_bytes_and_message_are_the_same_thing(name: str) -> None:
    protocol, message = BY_NAME[name]
    golden = bytes.fromhex(GOLDEN[name])
    assert CODECS[protocol].encode(message).hex() == golden.hex()
    assert CODECS[protocol].decode(golden) == message
    assert CODECS[protocol].decode(memoryview(golden)) == message


@pytest.mark.parametrize("name", BY_NAME)
def test_another_library_reads_and_writes_the_same(name: str) -> None:
    protocol, message = BY_NAME[name]
    plain = as_plain(message)
    assert msgpack.unpackb(bytes.fromhex(GOLDEN[name])) == plain
    assert CODECS[protocol].decode(msgpack.packb(plain)) == message
    backwards = dict(reversed(plain.items()))
    assert CODECS[protocol].decode(msgpack.packb(backwards)) == message, "the order of fields must not matter"


@pytest.mark.parametrize("name", BY_NAME)
def test_fields_with_defaults_may_be_left_out_and_no_others(name: str) -> None:
    protocol, message = BY_NAME[name]
    fields = msgspec.structs.fields(type(message))
    required = [field.encode_name for field in fields if field.required]
    plain = as_plain(message)
    least = {key: value for key, value in plain.items() if key == "type" or key in required}
    decoded = CODECS[protocol].decode(msgpack.packb(least))
    assert decoded == type(message)(**{key: getattr(message, key) for key in required})
    for key in ("type", *required):
        if key != "type" or typing.get_args(PROTOCOLS[protocol]):  # a protocol of one message needs no tag
            with pytest.raises(WireError, match=key):
                CODECS[protocol].decode(msgpack.packb({k: v for k, v in plain.items() if k != key}))
    with pytest.raises(WireError, match="surplus"):
        CODECS[protocol].decode(msgpack.packb({**plain, "surplus": 1}))


@pytest.mark.parametrize("name", BY_NAME)
def test_a_truncated_frame_is_refused_wherever_it_was_cut(name: str) -> None:
    protocol, _ = BY_NAME[name]
    golden = bytes.fromhex(GOLDEN[name])
    for length in range(len(golden)):
        with pytest.raises(WireError):
            CODECS[protocol].decode(golden[:length])
    for surplus in (b"\x00", b"\xc0", golden):
        with pytest.raises(WireError):
            CODECS[protocol].decode(golden + surplus)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_message_of_one_protocol_is_none_of_another(name: str) -> None:
    protocol, message = BY_NAME[name]
    tag = message.__struct_config__.tag
    for other, codec in CODECS.items():
        if other != protocol and f"{other}.{tag}" not in BY_NAME:
            with pytest.raises(WireError):
                codec.decode(bytes.fromhex(GOLDEN[name]))


HEADERS = {
    "bin32": b"\xc6",
    "str32": b"\xdb",
    "array32": b"\xdd",
    "map32": b"\xdf",
    "ext32": b"\xc9",
}


@pytest.mark.parametrize("protocol", CODECS)
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("length", [1 << 16, 1 << 31, (1 << 32) - 1])
def test_a_claimed_length_costs_nothing(protocol: str, header: str, length: int) -> None:
    claim = HEADERS[header] + struct.pack(">I", length)
    fields = (b"", b"\x81\xa4type", b"\x82\xa4type\xa4send\xa7payload", b"\x82\xa4type\xa3run\xa5steps")
    begun = time.process_time()
    for before in (*fields, b"\x82\xa4type\xa5block\xa5notes\x91\x83\xa2at\x00\xa4kind\xa1k\xa7details"):
        with pytest.raises(WireError):
            CODECS[protocol].decode(before + claim)
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize("protocol", CODECS)
@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a", b"\x81\xa4type", b"\x81\x91"])
def test_deep_nesting_is_refused(protocol: str, opening: bytes) -> None:
    for depth in (100, 10_000, 1_000_000):
        with pytest.raises(WireError):
            CODECS[protocol].decode(opening * depth + b"\xc0")


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xa1a"])
def test_deep_nesting_where_anything_is_allowed(opening: bytes) -> None:
    """A note's details are free-form: the only place where a decoder builds what it does not know."""
    before = b"\x82\xa4type\xa5block\xa5notes\x91\x83\xa2at\x00\xa4kind\xa1k\xa7details\x81\xa1d"
    frame = before + opening * 100_000 + b"\xc0"
    with pytest.raises(WireError):
        fabric.to_fabric.decode(frame)


def test_a_frame_is_measured_before_it_is_read() -> None:
    with pytest.raises(WireError, match=f"{MAXIMUM_FRAME_BYTES + 1} bytes, expected at most {MAXIMUM_FRAME_BYTES}"):
        application.requests.decode(bytes(MAXIMUM_FRAME_BYTES + 1))
    full = application.SendMessage(call=1, peer="b", payload=bytes(MAXIMUM_PAYLOAD_BYTES), tag="t" * 256)
    assert application.requests.decode(application.requests.encode(full)) == full


protocols = st.sampled_from(sorted(CODECS))
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
keys = st.sampled_from(sorted({key for _, message in EXAMPLES for key in as_plain(message)})) | st.text(max_size=8)


def decoded_or_refused(protocol: str, frame: bytes) -> Any:
    """The message, or None where the frame is refused; any other exception is the test's failure."""
    try:
        return CODECS[protocol].decode(frame)
    except WireError:
        return None


@given(protocol=protocols, frame=st.binary(max_size=200))
@settings(max_examples=400, deadline=None)
def test_random_bytes_are_refused_politely(protocol: str, frame: bytes) -> None:
    decoded_or_refused(protocol, frame)


@given(protocol=protocols, message=st.dictionaries(keys, plain_values, max_size=6))
@settings(max_examples=300, deadline=None)
def test_random_maps_are_refused_politely(protocol: str, message: dict[str, Any]) -> None:
    decoded_or_refused(protocol, msgpack.packb(message))


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_damaged_message_is_refused_or_means_what_it_says(data: st.DataObject) -> None:
    """One field of a good message has another value: what is then accepted encodes to the same again."""
    protocol, message = data.draw(st.sampled_from(EXAMPLES))
    plain = as_plain(message)
    plain[data.draw(st.sampled_from(sorted(plain)))] = data.draw(plain_values)
    accepted = decoded_or_refused(protocol, msgpack.packb(plain))
    if accepted is not None:
        frame = CODECS[protocol].encode(accepted)
        assert CODECS[protocol].encode(CODECS[protocol].decode(frame)) == frame


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_flipped_byte_is_refused_or_another_message(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(GOLDEN)))
    frame = bytearray.fromhex(GOLDEN[name])
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    decoded_or_refused(name.split(".")[0], bytes(frame))


if __name__ == "__main__":
    for name, (protocol, message) in BY_NAME.items():
        print(f'    "{name}": (')
        digits = CODECS[protocol].encode(message).hex()
        for start in range(0, len(digits), 100):
            print(f'        "{digits[start : start + 100]}"')
        print("    ),")
