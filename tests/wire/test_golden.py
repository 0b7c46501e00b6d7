"""The bytes of every message, held still: a change of the wire is deliberate, and comes with a new version.

To change it on purpose: raise ``qnode.wire.version.VERSION``, run this file as a program, and copy what it prints.
"""

from __future__ import annotations

import random
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
from qnode.wire import application, circuits, fabric, groups, netqasm, peer, quantum, routing
from qnode.wire.codec import MAXIMUM_FRAME_BYTES, MAXIMUM_PAYLOAD_BYTES, Codec, WireError
from qnode.wire.version import VERSION

STEPS = (
    quantum.Prepare(),
    quantum.Gate(name="RX", qubits=("$0",), parameters=(0.5,)),
    quantum.Unitary(qubits=("$0",), matrix=b"\x00\x01"),
    quantum.Measure(qubit="$0", axis=(0.0, 0.6, 0.8)),
    quantum.MeasureInPlace(qubit="$0", axis="X"),
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
    fabric.Operation(
        operation=1, at=5, action=fabric.Generate(link="a-b", qubit="a#0", purpose="p", operating_point=1)
    ),
    fabric.Operation(operation=2, at=5, action=fabric.Cancel(operation=1)),
    fabric.Operation(operation=3, at=5, action=fabric.Transmit(link="a-b", qubit="a#1")),
    fabric.Operation(operation=4, at=5, action=fabric.Look(qubits=("a#1",), entangled=True)),
)
EVENTS = (
    fabric.Delivered(at=1, sender="b", payload=b"hi"),
    fabric.Completed(at=2, operation=0, bits=(0, 1)),
    fabric.Refused(at=3, operation=1, code="gone", reason="r", done=2),
    fabric.Heralded(at=4, operation=2, link="a-b", pair_id="a-b/0", bell_index=3, emitted_at=1),
    fabric.Arrived(at=5, link="a-b", qubit="b#0"),
    fabric.Lost(at=6, link="a-b", qubit="b#1", reason="absorbed"),
    fabric.SlotsOutOfService(at=7, role="storage", number=2, lost=("a#4",)),
    fabric.Seen(at=8, operation=4, qubits=("a#1",), state=b"\x00"),
)

HOP = circuits.Hop(link="a-b", upstream="a", downstream="b", operating_point=1, distillation_rounds=2, share=0.25)
REQUIREMENT = routing.PathRequirement(minimum_fidelity=0.5, rate_bpps=2.5, kind="M", cutoff_ps=8)
NETWORK = (
    routing.LinkState(
        origin="a",
        number=3,
        age_ps=4,
        role="router",
        swap_success_probability=0.5,
        swap_depolarising_probability=0.25,
        swap_readout_error=0.125,
        gate_depolarising_probability=0.0625,
        move_depolarising_probability=0.03125,
        dedicated_slots=1,
        t1_s=None,
        t2_s=1.5,
        free_slots=2,
        occupied_slots=1,
        links=(
            routing.LinkAdvertisement(
                link="a-b",
                remote="b",
                latency_ps=7,
                operating_points=((100.0, (0.75, 0.125, 0.125, 0.0)),),
                free_share=0.5,
                estimated_fidelity=(0.75, 0.0625),
                queue=2,
            ),
        ),
    ),
    routing.PathQuestion(question=1, destination="c", requirement=REQUIREMENT, exclude_links=("x",)),
    routing.PathAnswer(
        question=1,
        path=routing.RoutedPath(
            nodes=("a", "b"), hops=(HOP,), expected_fidelity=0.75, expected_rate_bpps=5.0, cost=1.5
        ),
    ),
    circuits.Path(
        circuit="a:0",
        generation=1,
        hops=(HOP,),
        kind="K",
        minimum_fidelity=0.5,
        rate_bpps=2.5,
        expected_fidelity=0.75,
        expected_rate_bpps=5.0,
        priority=1,
        purpose="p",
        slots=2,
        swapping="asap",
        cutoff_ps=8,
        end_distillation_rounds=1,
    ),
    circuits.Reserved(circuit="a:0", generation=1),
    circuits.PathRefused(circuit="a:0", generation=1, where="a-b", code="no_capacity", reason="r"),
    circuits.Teardown(circuit="a:0", generation=1, code="failed", where="a-b", reason="r"),
    circuits.Refresh(circuit="a:0", generation=1, upstream=True),
    circuits.LinkWaits(link="a-b", purpose="p"),
    circuits.LinkReady(link="a-b", purpose="p"),
    circuits.LinkTested(link="a-b", number=4, bit=1),
    circuits.SwapOutcome(circuit="a:0", generation=1, upstream_pair="a-b/0", downstream_pair="b-c/1", frame=(1, 0)),
    circuits.SegmentGrew(circuit="a:0", generation=1, pair_id="a-b/0", far_node="c", far_pair="b-c/1"),
    circuits.PairDied(circuit="a:0", pair_id="a-b/0", reason="r"),
    circuits.PairComplete(
        circuit="a:0",
        generation=1,
        number=2,
        downstream_pair="b-c/1",
        qubit="a#0",
        frame=(0, 1),
        swaps=1,
        test_axis="Y",
    ),
    circuits.PairKept(circuit="a:0", number=2, kept=True, bit=1),
    circuits.DistilPairs(
        circuit="a:0",
        kept="a-b/0",
        sacrificed="a-b/1",
        protocol="dejmps",
        bit=1,
        frames=((0, 1), (1, 0)),
        between_ends=True,
    ),
    circuits.PairDistilled(circuit="a:0", kept="a-b/0", sacrificed="a-b/1", bit=None),
    groups.GroupAsked(
        group="a:group0",
        members=("a", "b"),
        state="W",
        purpose="p",
        rate_hz=2.5,
        minimum_fidelity=0.5,
        slots=2,
        timeout_ps=9,
    ),
    groups.GroupInvited(group="a:group0", members=("a", "b"), state="GHZ", purpose="p"),
    groups.GroupReady(group="a:group0", ready=False, code="no_route", reason="r"),
    groups.GroupOutcome(group="a:group0", number=1, pair_id="h:0/1", frame=(1, 1)),
    groups.GroupLost(group="a:group0", pair_id="h:0/1"),
    groups.GroupClosed(group="a:group0", reason="r"),
    netqasm.NetqasmPairsAsked(
        request="a:0",
        socket=1,
        remote_socket=2,
        kind="M",
        number=3,
        minimum_fidelity=0.5,
        priority=1,
        axis=(0.0, 0.6, 0.8),
        axes=("X", (1.0, 0.0, 0.0)),
        shares=(0.25, 0.75),
    ),
    netqasm.NetqasmPairTaken(request="a:0", circuit="a:1", number=2),
    netqasm.NetqasmPairsEnded(request="a:0", reason="r"),
    netqasm.NetqasmSocketClosed(socket=1, remote_socket=2),
    netqasm.NetqasmAlive(),
    peer.PairDiscarded(pair_id="a:0/1", reason="old"),
    peer.TeleportOutcome(pair_id="a:0/1", bits=(1, 0), confirm=True),
    peer.QubitArrived(pair_id="a:0/1", arrived=True),
    peer.PreparedRemotely(pair_id="a-b/0", axis="X", bit=1),
)

CODECS: dict[str, Codec[Any]] = {
    "requests": application.requests,
    "answers": application.answers,
    "peer": peer.peer,
    "network": Codec(peer.NetworkMessage),
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
    "network": peer.NetworkMessage,
    "to_fabric": fabric.ToFabric,
    "to_node": fabric.ToNode,
    "control_to_fabric": control.ToFabric,
    "control_from_fabric": control.FromFabric,
    "observations": control.Observation,
    "oracle_views": control.OracleView,
}

EXAMPLES: list[tuple[str, Any]] = [
    ("requests", application.Attach(call=1, version=3, application="a", process_id=7, holds_time=False)),
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
            priority=4,
            waiting=False,
        ),
    ),
    ("requests", application.NextPair(call=3, request=2)),
    ("requests", application.CancelRequest(call=4, request=2)),
    (
        "requests",
        application.OpenCircuit(
            call=20,
            remote="c",
            minimum_fidelity=0.5,
            rate_bpps=2.5,
            kind="M",
            purpose="p",
            priority=1,
            timeout_ps=9,
            slots=3,
            swapping="nested",
            cutoff_ps=8,
            axes=("X", "Z"),
            as_heralded=True,
            distillation=False,
            end_distillation_rounds=1,
            distillation_protocol="epl",
            distillation_schedule="pumping",
            test_fraction=0.25,
        ),
    ),
    ("requests", application.AcceptCircuit(call=21, remote="a", purpose="p", axes=("X",), timeout_ps=9)),
    ("requests", application.NextCircuitPair(call=22, circuit="a:0", timeout_ps=9)),
    ("requests", application.NextCircuitEvent(call=23, circuit="a:0")),
    ("requests", application.CloseCircuit(call=24, circuit="a:0")),
    (
        "requests",
        application.OpenGroup(
            call=25,
            members=("b", "c"),
            state="W",
            purpose="p",
            rate_hz=2.5,
            minimum_fidelity=0.5,
            centre="h",
            slots=3,
            timeout_ps=9,
        ),
    ),
    ("requests", application.JoinGroup(call=26, purpose="p", timeout_ps=9)),
    ("requests", application.NextGroupQubit(call=27, group="a:group0")),
    ("requests", application.CloseGroup(call=28, group="a:group0")),
    ("requests", application.Run(call=5, steps=STEPS)),
    ("requests", application.Teleport(call=6, qubit="a#1", pair_id="a-b/0", confirmed=True)),
    ("requests", application.ReceiveTeleported(call=7, pair_id="a-b/0", timeout_ps=10**13)),
    ("requests", application.TransmitQubit(call=8, qubit="a#1", remote="b")),
    ("requests", application.ReceiveQubit(call=9, remote="b")),
    ("requests", application.SendMessage(call=10, peer="b/x", payload=b"\x00\xff", tag="t")),
    ("requests", application.ReceiveMessage(call=11, peer="b", tag="t")),
    ("requests", application.Sleep(call=12, duration_ps=10**12)),
    ("requests", application.OracleState(call=30, qubits=("a#1",), entangled=True)),
    ("requests", application.Report(call=13, values={"a": 1.5, "b": (0.5, 0.25)})),
    ("requests", application.NetqasmMessage(call=16, message=b"\x03", flavour="nv")),
    ("requests", application.ReportKey(call=15, remote="b", bits=9, fingerprint=bytes(range(16)), name="k")),
    ("requests", application.Wait(seen=4)),
    ("requests", application.Detach(call=14)),
    (
        "answers",
        application.Attached(
            call=1,
            now_ps=0,
            version=3,
            node="a",
            process_id=8,
            neighbours=("b",),
            communication_slots=2,
            storage_slots=3,
        ),
    ),
    ("answers", application.Pair(call=2, now_ps=3, request=2, pair=PAIR)),
    ("answers", application.Measured(call=2, now_ps=3, pair_ids=("a-b/0", "a-b/1"), bits=(0, 1))),
    (
        "answers",
        application.CircuitOpened(
            call=20,
            now_ps=3,
            circuit="a:0",
            remote="c",
            path=("a", "b", "c"),
            kind="K",
            minimum_fidelity=0.5,
            rate_bpps=2.5,
            expected_fidelity=0.75,
            expected_rate_bpps=5.0,
        ),
    ),
    ("answers", application.CircuitPair(call=22, now_ps=3, circuit="a:0", number=1, pair=PAIR, axis="Z", bit=1)),
    (
        "answers",
        application.CircuitEvent(call=23, now_ps=3, circuit="a:0", kind="rerouted", reason="r", path=("a", "c")),
    ),
    (
        "answers",
        application.GroupOpened(call=25, now_ps=3, group="a:group0", members=("a", "b"), centre="h", state="GHZ"),
    ),
    ("answers", application.GroupQubit(call=27, now_ps=3, group="a:group0", number=1, qubit="a#3")),
    (
        "answers",
        application.NetqasmReturned(call=16, now_ps=3, messages=(b"\x00", b"\x01"), reason="r", qubits=("", "a#1")),
    ),
    ("answers", application.Outcomes(call=5, now_ps=3, bits=(1,), qubits=("a#3",))),
    ("answers", application.Qubit(call=7, now_ps=3, qubit="b#0")),
    ("answers", application.Received(call=11, now_ps=3, sender="b", sender_application="x", tag="t", payload=b"\x01")),
    ("answers", application.TrueState(call=30, now_ps=3, qubits=("a#1", "b#0"), state=b"\x00")),
    ("answers", application.Done(call=12, now_ps=3)),
    ("answers", application.Failed(call=None, now_ps=3, code="bad_message", reason="r")),
    (
        "peer",
        peer.ApplicationMessage(sender_application="x", recipient_application="y", tag="t", payload=b"\x00"),
    ),
    ("peer", peer.PairDiscarded(pair_id="a-b/0", reason="old")),
    ("peer", peer.TeleportOutcome(pair_id="a-b/0", bits=(1, 0))),
    ("peer", peer.QubitArrived(pair_id="a-b/0", arrived=False)),
    ("peer", peer.PreparedRemotely(pair_id="a-b/0", axis=(0.0, 0.0, 1.0), bit=1)),
    ("peer", routing.Hello(link="a-b", sent_ps=5, hears=True, last_pair=3)),
    ("peer", peer.Sequenced(stream=1, number=2, their_stream=3, heard=4, message=NETWORK[0])),
    ("peer", peer.Acknowledged(stream=4, their_stream=1, heard=2, gap=True)),
    *(("network", message) for message in NETWORK),
    ("to_fabric", fabric.Hello(version=3, node="a", process_id=7)),
    (
        "to_fabric",
        fabric.Block(
            wake_at=9,
            sends=(fabric.Send(at=5, to="b", payload=b"hi", over="a-b", housekeeping=True),),
            operations=OPERATIONS,
            notes=(fabric.Note(at=5, kind="k", details={"n": 1}),),
            applications=2,
            strangers=1,
            flowing=1,
            expects=True,
        ),
    ),
    ("to_fabric", fabric.Interrupt(reason="r")),
    ("to_fabric", fabric.ProbeAnswer(waits=("x",))),
    ("to_fabric", fabric.Resumed(process_id=7, grants=3, block=fabric.Block(wake_at=9), interrupt="r")),
    ("to_node", fabric.Grant(now=1, until=7, events=EVENTS)),
    ("to_node", fabric.Probe()),
    ("to_node", fabric.Halt(reason="r")),
    ("to_node", fabric.ApplicationEnded(application="x", status="exit code 1")),
    ("to_node", fabric.Resume()),
    ("control_to_fabric", control.Start()),
    ("control_to_fabric", control.Repeat(orders=3)),
    ("control_to_fabric", control.Stop(reason="r")),
    ("control_to_fabric", control.NodeDied(node="a", status="s")),
    ("control_to_fabric", control.ApplicationDied(node="a", application="x", status="s")),
    ("control_to_fabric", control.AskStatus()),
    ("control_to_fabric", control.AddFault(call=1, fault={"kind": "link_down", "link": "ab"})),
    ("control_to_fabric", control.RemoveFault(call=1, name="f")),
    ("control_to_fabric", control.ResetFaults(call=1)),
    ("control_to_fabric", control.ListFaults(call=1)),
    ("control_to_fabric", control.Hold(call=1)),
    ("control_to_fabric", control.Go(call=1, until_ps=2, line={"kind": "k"}, ended=True)),
    ("control_to_fabric", control.LetIn(call=1, node="a")),
    ("control_from_fabric", control.Ready()),
    (
        "control_from_fabric",
        control.Steered(
            call=1,
            now_ps=2,
            error="e",
            name="f",
            faults=(control.FaultState(name="f", kind="link_down", target="ab", cause="scenario", active=True),),
            why="line",
            line={"kind": "k"},
            waits=("w",),
        ),
    ),
    ("control_from_fabric", control.Recovered(now_ps=1, rounds=2)),
    (
        "control_from_fabric",
        control.Ordered(number=4, order=control.StartNode(node="a", incarnation=1, applications=("x",))),
    ),
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
        "86a474797065a6617474616368a463616c6c01a776657273696f6e03ab6170706c69636174696f6ea161aa70726f63657373"
        "5f696407aa686f6c64735f74696d65c2"
    ),
    "requests.request_pairs": (
        "8ca474797065ad726571756573745f7061697273a463616c6c02a672656d6f7465a162a66e756d62657203a46b696e64a14d"
        "b06d696e696d756d5f666964656c697479cb3fe0000000000000aa74696d656f75745f707309a461786973a158a770757270"
        "6f7365a170ab61735f686572616c646564c3a87072696f7269747904a777616974696e67c2"
    ),
    "requests.next_pair": ("84a474797065a96e6578745f70616972a463616c6c03a77265717565737402a777616974696e67c3"),
    "requests.cancel_request": (
        "84a474797065ae63616e63656c5f72657175657374a463616c6c04a77265717565737402a777616974696e67c3"
    ),
    "requests.open_circuit": (
        "de0014a474797065ac6f70656e5f63697263756974a463616c6c14a672656d6f7465a163b06d696e696d756d5f666964656c"
        "697479cb3fe0000000000000a9726174655f62707073cb4004000000000000a46b696e64a14da7707572706f7365a170a870"
        "72696f7269747901aa74696d656f75745f707309a5736c6f747303a87377617070696e67a66e6573746564a96375746f6666"
        "5f707308a46178657392a158a15aab61735f686572616c646564c3ac64697374696c6c6174696f6ec2b7656e645f64697374"
        "696c6c6174696f6e5f726f756e647301b564697374696c6c6174696f6e5f70726f746f636f6ca365706cb564697374696c6c"
        "6174696f6e5f7363686564756c65a770756d70696e67ad746573745f6672616374696f6ecb3fd0000000000000a777616974"
        "696e67c3"
    ),
    "requests.accept_circuit": (
        "87a474797065ae6163636570745f63697263756974a463616c6c15a672656d6f7465a161a7707572706f7365a170a4617865"
        "7391a158aa74696d656f75745f707309a777616974696e67c3"
    ),
    "requests.next_circuit_pair": (
        "85a474797065b16e6578745f636972637569745f70616972a463616c6c16a763697263756974a3613a30aa74696d656f7574"
        "5f707309a777616974696e67c3"
    ),
    "requests.next_circuit_event": (
        "85a474797065b26e6578745f636972637569745f6576656e74a463616c6c17a763697263756974a3613a30aa74696d656f75"
        "745f7073c0a777616974696e67c3"
    ),
    "requests.close_circuit": (
        "84a474797065ad636c6f73655f63697263756974a463616c6c18a763697263756974a3613a30a777616974696e67c3"
    ),
    "requests.open_group": (
        "8ba474797065aa6f70656e5f67726f7570a463616c6c19a76d656d6265727392a162a163a57374617465a157a7707572706f"
        "7365a170a7726174655f687acb4004000000000000b06d696e696d756d5f666964656c697479cb3fe0000000000000a66365"
        "6e747265a168a5736c6f747303aa74696d656f75745f707309a777616974696e67c3"
    ),
    "requests.join_group": (
        "85a474797065aa6a6f696e5f67726f7570a463616c6c1aa7707572706f7365a170aa74696d656f75745f707309a777616974696e67c3"
    ),
    "requests.next_group_qubit": (
        "85a474797065b06e6578745f67726f75705f7175626974a463616c6c1ba567726f7570a8613a67726f757030aa74696d656f"
        "75745f7073c0a777616974696e67c3"
    ),
    "requests.close_group": (
        "84a474797065ab636c6f73655f67726f7570a463616c6c1ca567726f7570a8613a67726f757030a777616974696e67c3"
    ),
    "requests.run": (
        "84a474797065a372756ea463616c6c05a573746570739883a474797065a770726570617265a57175626974a0a4726f6c65a7"
        "73746f7261676584a474797065a467617465a46e616d65a25258a671756269747391a22430aa706172616d657465727391cb"
        "3fe000000000000083a474797065a7756e6974617279a671756269747391a22430a66d6174726978c402000183a474797065"
        "a76d656173757265a57175626974a22430a46178697393cb0000000000000000cb3fe3333333333333cb3fe999999999999a"
        "83a474797065b06d6561737572655f696e5f706c616365a57175626974a22430a461786973a15882a474797065ac6d656173"
        "7572655f62656c6ca671756269747392a3612330a361233183a474797065a46d6f7665a57175626974a3612332a4726f6c65"
        "a773746f7261676582a474797065a764697363617264a57175626974a3612332a777616974696e67c3"
    ),
    "requests.teleport": (
        "86a474797065a874656c65706f7274a463616c6c06a57175626974a3612331a7706169725f6964a5612d622f30a9636f6e66"
        "69726d6564c3a777616974696e67c3"
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
    "requests.oracle_state": (
        "85a474797065ac6f7261636c655f7374617465a463616c6c1ea671756269747391a3612331a9656e74616e676c6564c3a777"
        "616974696e67c3"
    ),
    "requests.report": (
        "84a474797065a67265706f7274a463616c6c0da676616c75657382a161cb3ff8000000000000a16292cb3fe0000000000000"
        "cb3fd0000000000000a777616974696e67c3"
    ),
    "requests.netqasm": (
        "85a474797065a76e65747161736da463616c6c10a76d657373616765c40103a7666c61766f7572a26e76a777616974696e67c3"
    ),
    "requests.report_key": (
        "87a474797065aa7265706f72745f6b6579a463616c6c0fa672656d6f7465a162a46269747309ab66696e6765727072696e74"
        "c410000102030405060708090a0b0c0d0e0fa46e616d65a16ba777616974696e67c3"
    ),
    "requests.wait": ("82a474797065a477616974a47365656e04"),
    "requests.detach": ("83a474797065a6646574616368a463616c6c0ea777616974696e67c3"),
    "answers.attached": (
        "89a474797065a86174746163686564a463616c6c01a66e6f775f707300a776657273696f6e03a46e6f6465a161aa70726f63"
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
    "answers.circuit_opened": (
        "8ba474797065ae636972637569745f6f70656e6564a463616c6c14a66e6f775f707303a763697263756974a3613a30a67265"
        "6d6f7465a163a47061746893a161a162a163a46b696e64a14bb06d696e696d756d5f666964656c697479cb3fe00000000000"
        "00a9726174655f62707073cb4004000000000000b165787065637465645f666964656c697479cb3fe8000000000000b26578"
        "7065637465645f726174655f62707073cb4014000000000000"
    ),
    "answers.circuit_pair": (
        "88a474797065ac636972637569745f70616972a463616c6c16a66e6f775f707303a763697263756974a3613a30a66e756d62"
        "657201a47061697289a7706169725f6964a5612d622f30a57175626974a3612330a672656d6f7465a162aa62656c6c5f7374"
        "617465a85048495f504c5553a8676f6f646e657373cb3feccccccccccccdad656d69747465645f61745f707301ae68657261"
        "6c6465645f61745f707302ab72656d6f74655f61786973a158aa72656d6f74655f62697401a461786973a15aa362697401"
    ),
    "answers.circuit_event": (
        "87a474797065ad636972637569745f6576656e74a463616c6c17a66e6f775f707303a763697263756974a3613a30a46b696e"
        "64a87265726f75746564a6726561736f6ea172a47061746892a161a163"
    ),
    "answers.group_opened": (
        "87a474797065ac67726f75705f6f70656e6564a463616c6c19a66e6f775f707303a567726f7570a8613a67726f757030a76d"
        "656d6265727392a161a162a663656e747265a168a57374617465a347485a"
    ),
    "answers.group_qubit": (
        "86a474797065ab67726f75705f7175626974a463616c6c1ba66e6f775f707303a567726f7570a8613a67726f757030a66e75"
        "6d62657201a57175626974a3612333"
    ),
    "answers.netqasm_returned": (
        "86a474797065b06e65747161736d5f72657475726e6564a463616c6c10a66e6f775f707303a86d6573736167657392c40100"
        "c40101a6726561736f6ea172a671756269747392a0a3612331"
    ),
    "answers.outcomes": (
        "85a474797065a86f7574636f6d6573a463616c6c05a66e6f775f707303a4626974739101a671756269747391a3612333"
    ),
    "answers.qubit": ("84a474797065a57175626974a463616c6c07a66e6f775f707303a57175626974a3622330"),
    "answers.message": (
        "87a474797065a76d657373616765a463616c6c0ba66e6f775f707303a673656e646572a162b273656e6465725f6170706c69"
        "636174696f6ea178a3746167a174a77061796c6f6164c40101"
    ),
    "answers.true_state": (
        "85a474797065aa747275655f7374617465a463616c6c1ea66e6f775f707303a671756269747392a3612331a3622330a57374"
        "617465c40100"
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
        "84a474797065b074656c65706f72745f6f7574636f6d65a7706169725f6964a5612d622f30a462697473920100a7636f6e6669726dc2"
    ),
    "peer.qubit_arrived": ("83a474797065ad71756269745f61727269766564a7706169725f6964a5612d622f30a761727269766564c2"),
    "peer.prepared_remotely": (
        "84a474797065b170726570617265645f72656d6f74656c79a7706169725f6964a5612d622f30a46178697393cb0000000000"
        "000000cb0000000000000000cb3ff0000000000000a362697401"
    ),
    "peer.hello": ("85a474797065a568656c6c6fa46c696e6ba3612d62a773656e745f707305a56865617273c3a96c6173745f7061697203"),
    "peer.sequenced": (
        "86a474797065a973657175656e636564a673747265616d01a66e756d62657202ac74686569725f73747265616d03a5686561"
        "726404a76d657373616765de0010a474797065aa6c696e6b5f7374617465a66f726967696ea161a66e756d62657203a66167"
        "655f707304a4726f6c65a6726f75746572b8737761705f737563636573735f70726f626162696c697479cb3fe00000000000"
        "00bd737761705f6465706f6c61726973696e675f70726f626162696c697479cb3fd0000000000000b2737761705f72656164"
        "6f75745f6572726f72cb3fc0000000000000bd676174655f6465706f6c61726973696e675f70726f626162696c697479cb3f"
        "b0000000000000bd6d6f76655f6465706f6c61726973696e675f70726f626162696c697479cb3fa0000000000000af646564"
        "6963617465645f736c6f747301a474315f73c0a474325f73cb3ff8000000000000aa667265655f736c6f747302ae6f636375"
        "706965645f736c6f747301a56c696e6b739187a46c696e6ba3612d62a672656d6f7465a162aa6c6174656e63795f707307b0"
        "6f7065726174696e675f706f696e74739192cb405900000000000094cb3fe8000000000000cb3fc0000000000000cb3fc000"
        "0000000000cb0000000000000000aa667265655f7368617265cb3fe0000000000000b2657374696d617465645f666964656c"
        "69747992cb3fe8000000000000cb3fb0000000000000a5717565756502"
    ),
    "peer.acknowledged": (
        "85a474797065ac61636b6e6f776c6564676564a673747265616d04ac74686569725f73747265616d01a5686561726402a3676170c3"
    ),
    "network.link_state": (
        "de0010a474797065aa6c696e6b5f7374617465a66f726967696ea161a66e756d62657203a66167655f707304a4726f6c65a6"
        "726f75746572b8737761705f737563636573735f70726f626162696c697479cb3fe0000000000000bd737761705f6465706f"
        "6c61726973696e675f70726f626162696c697479cb3fd0000000000000b2737761705f726561646f75745f6572726f72cb3f"
        "c0000000000000bd676174655f6465706f6c61726973696e675f70726f626162696c697479cb3fb0000000000000bd6d6f76"
        "655f6465706f6c61726973696e675f70726f626162696c697479cb3fa0000000000000af6465646963617465645f736c6f74"
        "7301a474315f73c0a474325f73cb3ff8000000000000aa667265655f736c6f747302ae6f636375706965645f736c6f747301"
        "a56c696e6b739187a46c696e6ba3612d62a672656d6f7465a162aa6c6174656e63795f707307b06f7065726174696e675f70"
        "6f696e74739192cb405900000000000094cb3fe8000000000000cb3fc0000000000000cb3fc0000000000000cb0000000000"
        "000000aa667265655f7368617265cb3fe0000000000000b2657374696d617465645f666964656c69747992cb3fe800000000"
        "0000cb3fb0000000000000a5717565756502"
    ),
    "network.path_question": (
        "86a474797065ad706174685f7175657374696f6ea87175657374696f6e01ab64657374696e6174696f6ea163ab7265717569"
        "72656d656e7488b06d696e696d756d5f666964656c697479cb3fe0000000000000a9726174655f62707073cb400400000000"
        "0000a46b696e64a14da96375746f66665f707308a5736c6f747300ac64697374696c6c6174696f6ec3b7656e645f64697374"
        "696c6c6174696f6e5f726f756e647300ab6f7665725f6f7468657273c2ad6578636c7564655f6c696e6b7391a178ad657863"
        "6c7564655f6e6f64657390"
    ),
    "network.path_answer": (
        "86a474797065ab706174685f616e73776572a87175657374696f6e01a47061746885a56e6f64657392a161a162a4686f7073"
        "9186a46c696e6ba3612d62a8757073747265616da161aa646f776e73747265616da162af6f7065726174696e675f706f696e"
        "7401b364697374696c6c6174696f6e5f726f756e647302a57368617265cb3fd0000000000000b165787065637465645f6669"
        "64656c697479cb3fe8000000000000b265787065637465645f726174655f62707073cb4014000000000000a4636f7374cb3f"
        "f8000000000000a57768657265a0a6726561736f6ea0a4636f6465a86e6f5f726f757465"
    ),
    "network.path": (
        "de0012a474797065a470617468a763697263756974a3613a30aa67656e65726174696f6e01a4686f70739186a46c696e6ba3"
        "612d62a8757073747265616da161aa646f776e73747265616da162af6f7065726174696e675f706f696e7401b36469737469"
        "6c6c6174696f6e5f726f756e647302a57368617265cb3fd0000000000000a46b696e64a14bb06d696e696d756d5f66696465"
        "6c697479cb3fe0000000000000a9726174655f62707073cb4004000000000000b165787065637465645f666964656c697479"
        "cb3fe8000000000000b265787065637465645f726174655f62707073cb4014000000000000a87072696f7269747901a77075"
        "72706f7365a170a5736c6f747302a87377617070696e67a461736170a96375746f66665f707308b564697374696c6c617469"
        "6f6e5f70726f746f636f6ca664656a6d7073b564697374696c6c6174696f6e5f7363686564756c65aa726563757272656e63"
        "65b7656e645f64697374696c6c6174696f6e5f726f756e647301ac7368617265735f736c6f7473c2"
    ),
    "network.reserved": (
        "84a474797065a87265736572766564a763697263756974a3613a30aa67656e65726174696f6e01ac7368617265735f736c6f7473c2"
    ),
    "network.path_refused": (
        "86a474797065ac706174685f72656675736564a763697263756974a3613a30aa67656e65726174696f6e01a57768657265a3"
        "612d62a4636f6465ab6e6f5f6361706163697479a6726561736f6ea172"
    ),
    "network.teardown": (
        "86a474797065a874656172646f776ea763697263756974a3613a30aa67656e65726174696f6e01a4636f6465a66661696c65"
        "64a57768657265a3612d62a6726561736f6ea172"
    ),
    "network.refresh": (
        "84a474797065a772656672657368a763697263756974a3613a30aa67656e65726174696f6e01a8757073747265616dc3"
    ),
    "network.link_waits": ("83a474797065aa6c696e6b5f7761697473a46c696e6ba3612d62a7707572706f7365a170"),
    "network.link_ready": ("83a474797065aa6c696e6b5f7265616479a46c696e6ba3612d62a7707572706f7365a170"),
    "network.link_tested": ("84a474797065ab6c696e6b5f746573746564a46c696e6ba3612d62a66e756d62657204a362697401"),
    "network.swap_outcome": (
        "86a474797065ac737761705f6f7574636f6d65a763697263756974a3613a30aa67656e65726174696f6e01ad757073747265"
        "616d5f70616972a5612d622f30af646f776e73747265616d5f70616972a5622d632f31a56672616d65920100"
    ),
    "network.segment_grew": (
        "86a474797065ac7365676d656e745f67726577a763697263756974a3613a30aa67656e65726174696f6e01a7706169725f69"
        "64a5612d622f30a86661725f6e6f6465a163a86661725f70616972a5622d632f31"
    ),
    "network.pair_died": (
        "84a474797065a9706169725f64696564a763697263756974a3613a30a7706169725f6964a5612d622f30a6726561736f6ea172"
    ),
    "network.pair_complete": (
        "89a474797065ad706169725f636f6d706c657465a763697263756974a3613a30aa67656e65726174696f6e01a66e756d6265"
        "7202af646f776e73747265616d5f70616972a5622d632f31a57175626974a3612330a56672616d65920001a5737761707301"
        "a9746573745f61786973a159"
    ),
    "network.pair_kept": (
        "85a474797065a9706169725f6b657074a763697263756974a3613a30a66e756d62657202a46b657074c3a362697401"
    ),
    "network.distil_pairs": (
        "88a474797065ac64697374696c5f7061697273a763697263756974a3613a30a46b657074a5612d622f30aa73616372696669"
        "636564a5612d622f31a870726f746f636f6ca664656a6d7073a362697401a66672616d657392920001920100ac6265747765"
        "656e5f656e6473c3"
    ),
    "network.pair_distilled": (
        "86a474797065ae706169725f64697374696c6c6564a763697263756974a3613a30a46b657074a5612d622f30aa7361637269"
        "6669636564a5612d622f31a3626974c0ac6265747765656e5f656e6473c2"
    ),
    "network.group_asked": (
        "89a474797065ab67726f75705f61736b6564a567726f7570a8613a67726f757030a76d656d6265727392a161a162a5737461"
        "7465a157a7707572706f7365a170a7726174655f687acb4004000000000000b06d696e696d756d5f666964656c697479cb3f"
        "e0000000000000a5736c6f747302aa74696d656f75745f707309"
    ),
    "network.group_invited": (
        "85a474797065ad67726f75705f696e7669746564a567726f7570a8613a67726f757030a76d656d6265727392a161a162a573"
        "74617465a347485aa7707572706f7365a170"
    ),
    "network.group_ready": (
        "85a474797065ab67726f75705f7265616479a567726f7570a8613a67726f757030a57265616479c2a4636f6465a86e6f5f72"
        "6f757465a6726561736f6ea172"
    ),
    "network.group_outcome": (
        "85a474797065ad67726f75705f6f7574636f6d65a567726f7570a8613a67726f757030a66e756d62657201a7706169725f69"
        "64a5683a302f31a56672616d65920101"
    ),
    "network.group_lost": (
        "83a474797065aa67726f75705f6c6f7374a567726f7570a8613a67726f757030a7706169725f6964a5683a302f31"
    ),
    "network.group_closed": ("83a474797065ac67726f75705f636c6f736564a567726f7570a8613a67726f757030a6726561736f6ea172"),
    "network.netqasm_pairs_asked": (
        "8ba474797065b36e65747161736d5f70616972735f61736b6564a772657175657374a3613a30a6736f636b657401ad72656d"
        "6f74655f736f636b657402a46b696e64a14da66e756d62657203b06d696e696d756d5f666964656c697479cb3fe000000000"
        "0000a87072696f7269747901a46178697393cb0000000000000000cb3fe3333333333333cb3fe999999999999aa461786573"
        "92a15893cb3ff0000000000000cb0000000000000000cb0000000000000000a673686172657392cb3fd0000000000000cb3f"
        "e8000000000000"
    ),
    "network.netqasm_pair_taken": (
        "84a474797065b26e65747161736d5f706169725f74616b656ea772657175657374a3613a30a763697263756974a3613a31a6"
        "6e756d62657202"
    ),
    "network.netqasm_pairs_ended": (
        "83a474797065b36e65747161736d5f70616972735f656e646564a772657175657374a3613a30a6726561736f6ea172"
    ),
    "network.netqasm_socket_closed": (
        "83a474797065b56e65747161736d5f736f636b65745f636c6f736564a6736f636b657401ad72656d6f74655f736f636b657402"
    ),
    "network.netqasm_alive": ("81a474797065ad6e65747161736d5f616c697665"),
    "network.pair_discarded": (
        "83a474797065ae706169725f646973636172646564a7706169725f6964a5613a302f31a6726561736f6ea36f6c64"
    ),
    "network.teleport_outcome": (
        "84a474797065b074656c65706f72745f6f7574636f6d65a7706169725f6964a5613a302f31a462697473920100a7636f6e6669726dc3"
    ),
    "network.qubit_arrived": ("83a474797065ad71756269745f61727269766564a7706169725f6964a5613a302f31a761727269766564c3"),
    "network.prepared_remotely": (
        "84a474797065b170726570617265645f72656d6f74656c79a7706169725f6964a5612d622f30a461786973a158a362697401"
    ),
    "to_fabric.hello": ("84a474797065a568656c6c6fa776657273696f6e03a46e6f6465a161aa70726f636573735f696407"),
    "to_fabric.block": (
        "89a474797065a5626c6f636ba777616b655f617409a573656e64739186a474797065a453656e64a2617405a2746fa162a770"
        "61796c6f6164c4026869a46f766572a3612d62ac686f7573656b656570696e67c3aa6f7065726174696f6e739584a4747970"
        "65a94f7065726174696f6ea96f7065726174696f6e00a2617405a6616374696f6e82a474797065a763697263756974a57374"
        "6570739183a474797065a770726570617265a57175626974a0a4726f6c65a773746f7261676584a474797065a94f70657261"
        "74696f6ea96f7065726174696f6e01a2617405a6616374696f6e85a474797065a867656e6572617465a46c696e6ba3612d62"
        "a57175626974a3612330a7707572706f7365a170af6f7065726174696e675f706f696e740184a474797065a94f7065726174"
        "696f6ea96f7065726174696f6e02a2617405a6616374696f6e82a474797065a663616e63656ca96f7065726174696f6e0184"
        "a474797065a94f7065726174696f6ea96f7065726174696f6e03a2617405a6616374696f6e83a474797065a87472616e736d"
        "6974a46c696e6ba3612d62a57175626974a361233184a474797065a94f7065726174696f6ea96f7065726174696f6e04a261"
        "7405a6616374696f6e83a474797065a46c6f6f6ba671756269747391a3612331a9656e74616e676c6564c3a56e6f74657391"
        "84a474797065a44e6f7465a2617405a46b696e64a16ba764657461696c7381a16e01ac6170706c69636174696f6e7302a973"
        "7472616e6765727301a7666c6f77696e6701a765787065637473c3"
    ),
    "to_fabric.interrupt": ("82a474797065a9696e74657272757074a6726561736f6ea172"),
    "to_fabric.probe_answer": ("82a474797065ac70726f62655f616e73776572a5776169747391a178"),
    "to_fabric.resumed": (
        "85a474797065a7726573756d6564aa70726f636573735f696407a66772616e747303a5626c6f636b89a474797065a5626c6f"
        "636ba777616b655f617409a573656e647390aa6f7065726174696f6e7390a56e6f74657390ac6170706c69636174696f6e73"
        "00a9737472616e6765727300a7666c6f77696e6700a765787065637473c2a9696e74657272757074a172"
    ),
    "to_node.grant": (
        "84a474797065a56772616e74a36e6f7701a5756e74696c07a66576656e74739884a474797065a964656c697665726564a261"
        "7401a673656e646572a162a77061796c6f6164c402686984a474797065a9636f6d706c65746564a2617402a96f7065726174"
        "696f6e00a46269747392000186a474797065a772656675736564a2617403a96f7065726174696f6e01a4636f6465a4676f6e"
        "65a6726561736f6ea172a4646f6e650287a474797065a8686572616c646564a2617404a96f7065726174696f6e02a46c696e"
        "6ba3612d62a7706169725f6964a5612d622f30aa62656c6c5f696e64657803aa656d69747465645f61740184a474797065a7"
        "61727269766564a2617405a46c696e6ba3612d62a57175626974a362233085a474797065a46c6f7374a2617406a46c696e6b"
        "a3612d62a57175626974a3622331a6726561736f6ea86162736f7262656485a474797065b4736c6f74735f6f75745f6f665f"
        "73657276696365a2617407a4726f6c65a773746f72616765a66e756d62657202a46c6f737491a361233485a474797065a473"
        "65656ea2617408a96f7065726174696f6e04a671756269747391a3612331a57374617465c40100"
    ),
    "to_node.probe": ("81a474797065a570726f6265"),
    "to_node.halt": ("82a474797065a468616c74a6726561736f6ea172"),
    "to_node.application_ended": (
        "83a474797065b16170706c69636174696f6e5f656e646564ab6170706c69636174696f6ea178a6737461747573ab65786974"
        "20636f64652031"
    ),
    "to_node.resume": ("81a474797065a6726573756d65"),
    "control_to_fabric.start": ("81a474797065a57374617274"),
    "control_to_fabric.repeat": ("82a474797065a6726570656174a66f726465727303"),
    "control_to_fabric.stop": ("82a474797065a473746f70a6726561736f6ea172"),
    "control_to_fabric.node_died": ("83a474797065a96e6f64655f64696564a46e6f6465a161a6737461747573a173"),
    "control_to_fabric.application_died": (
        "84a474797065b06170706c69636174696f6e5f64696564a46e6f6465a161ab6170706c69636174696f6ea178a6737461747573a173"
    ),
    "control_to_fabric.ask_status": ("81a474797065aa61736b5f737461747573"),
    "control_to_fabric.add_fault": (
        "83a474797065a96164645f6661756c74a463616c6c01a56661756c7482a46b696e64a96c696e6b5f646f776ea46c696e6ba26162"
    ),
    "control_to_fabric.remove_fault": ("83a474797065ac72656d6f76655f6661756c74a463616c6c01a46e616d65a166"),
    "control_to_fabric.reset_faults": ("82a474797065ac72657365745f6661756c7473a463616c6c01"),
    "control_to_fabric.list_faults": ("82a474797065ab6c6973745f6661756c7473a463616c6c01"),
    "control_to_fabric.hold": ("82a474797065a4686f6c64a463616c6c01"),
    "control_to_fabric.go": (
        "85a474797065a2676fa463616c6c01a8756e74696c5f707302a46c696e6581a46b696e64a16ba5656e646564c3"
    ),
    "control_to_fabric.let_in": ("83a474797065a66c65745f696ea463616c6c01a46e6f6465a161"),
    "control_from_fabric.ready": ("81a474797065a57265616479"),
    "control_from_fabric.steered": (
        "89a474797065a773746565726564a463616c6c01a66e6f775f707302a56572726f72a165a46e616d65a166a66661756c7473"
        "9186a474797065aa4661756c745374617465a46e616d65a166a46b696e64a96c696e6b5f646f776ea6746172676574a26162"
        "a56361757365a87363656e6172696fa6616374697665c3a3776879a46c696e65a46c696e6581a46b696e64a16ba577616974"
        "7391a177"
    ),
    "control_from_fabric.recovered": ("83a474797065a97265636f7665726564a66e6f775f707301a6726f756e647302"),
    "control_from_fabric.ordered": (
        "83a474797065a76f726465726564a66e756d62657204a56f7264657284a474797065aa73746172745f6e6f6465a46e6f6465"
        "a161ab696e6361726e6174696f6e01ac6170706c69636174696f6e7391a178"
    ),
    "control_from_fabric.status": (
        "85a474797065a6737461747573a66e6f775f707301a5706169727302ac6170706c69636174696f6e7303a86e6f6465735f757004"
    ),
    "control_from_fabric.finished": (
        "8ea474797065a866696e6973686564a6726561736f6ea172a56572726f72a0a66e6f775f707301a677616c6c5f73cb3fe000"
        "0000000000a6646967657374a164a96c6f675f6c696e657302a76f75747369646591a16fa86c6174656e65737386a4747970"
        "65a84c6174656e657373a66772616e747301a57035305f73cb0000000000000000a57039395f73cb0000000000000000a56d"
        "61785f73cb0000000000000000a9686973746f6772616d81a3302e3101ab6d65616e5f73746174657381a3612d6292019191"
        "92cb3ff0000000000000cb0000000000000000a8636972637569747390a66d656d6f727990b5686f7573656b656570696e67"
        "5f6d6573736167657300ad6661756c745f6566666563747380"
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
    assert VERSION == 3
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
    _, message = BY_NAME[name]
    tag = message.__struct_config__.tag
    for other, codec in CODECS.items():
        if f"{other}.{tag}" not in BY_NAME and type(message) not in typing.get_args(PROTOCOLS[other]):
            with pytest.raises(WireError):
                codec.decode(bytes.fromhex(GOLDEN[name]))


def test_a_payload_is_its_frame_and_the_frame_s_checksum() -> None:
    message = peer.PairDiscarded(pair_id="a-b/0", reason="old")
    payload = peer.sealed(message)
    assert payload.hex() == GOLDEN["peer.pair_discarded"] + "d9e4d5ab"
    assert peer.unsealed(payload) == peer.unsealed(memoryview(payload)) == message


@pytest.mark.parametrize("name", ["peer.teleport_outcome", "network.swap_outcome", "network.pair_complete"])
def test_what_is_a_bit_is_0_or_1(name: str) -> None:
    protocol, message = BY_NAME[name]
    field = "bits" if "teleport" in name else "frame"
    with pytest.raises(WireError, match=field):
        CODECS[protocol].decode(msgpack.packb({**as_plain(message), field: [0, 2]}))


def test_one_to_three_flipped_bits_of_a_payload_are_always_found() -> None:
    """CRC-32 has a Hamming distance of at least 4 up to 11 kB (Koopman 2002)."""
    payload = peer.sealed(peer.PairDiscarded(pair_id="a-b/0", reason="old"))
    chance = random.Random(1)
    flips = [(bit,) for bit in range(8 * len(payload))]
    flips += [tuple(chance.sample(range(8 * len(payload)), k)) for k in (2, 3) for _ in range(1000)]
    for bits in flips:
        damaged = bytearray(payload)
        for bit in bits:
            damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(peer.ChecksumError, match="changed on the way"):
            peer.unsealed(bytes(damaged))
    for length in range(len(payload)):
        with pytest.raises(WireError):
            peer.unsealed(payload[:length])


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
