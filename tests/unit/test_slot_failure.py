"""Memory slots that fail under a node: what lay in them is lost at both ends, and all else goes on."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import Any

import pytest
from disorder import lose, take_stock
from in_process import InProcess

from orchestrator.scenario import DoubleClick, Fault, Link, MidpointSource, Network, Node, Scenario, Source
from orchestrator.scenario.faults import NodeRestart, SlotFailure
from orchestrator.scenario.hardware import Hardware
from orchestrator.scenario.hardware import Memory as MemoryNumbers
from qnode.stack.circuits.reservations import Reservations
from qnode.stack.core import Leaving
from qnode.stack.memory import Cause, HeldQubit, IllegalTransition, Memory, SlotState
from qnode.stack.node import Node as StackNode
from qnode.wire.application import (
    AcceptCircuit,
    CircuitOpened,
    CircuitPair,
    CloseCircuit,
    Detach,
    Failed,
    Measured,
    NextCircuitEvent,
    NextCircuitPair,
    OpenCircuit,
    Outcomes,
    Pair,
    ReceiveQubit,
    ReceiveTeleported,
    RequestPairs,
    Run,
    Sleep,
    TransmitQubit,
)
from qnode.wire.quantum import Measure, Prepare

MS = 10**9
Program = Generator[Any, Any, None]


def chain(
    *faults: Fault,
    nodes: str = "abc",
    communication: int = 4,
    storage: int = 4,
    heralding: Any = None,
    measure_ms: dict[str, float] | None = None,
) -> InProcess:
    """Nodes in a row, each link's attempts as long as light travels 10 km; a measurement takes a millisecond."""

    def hardware(name: str) -> Hardware:
        return Hardware(
            communication=MemoryNumbers(slots=communication),
            storage=MemoryNumbers(slots=storage),
            measure_duration_s=(measure_ms or {}).get(name, 1.0) / 1e3,
            single_qubit_gate_duration_s=1e-4,
        )

    scheme = heralding or Source(success_probability=0.05)
    links = {
        f"{one}{other}": Link(ends=(one, other), length_km=10, midpoint_km=2.0, heralding=scheme)
        for one, other in pairwise(nodes)
    }
    scenario = Scenario(
        version=1, name="x", seed=3, network=Network(), links=links, faults=faults,
        nodes={name: Node(hardware=hardware(name)) for name in nodes},
    )  # fmt: skip
    return InProcess(scenario)


def all_at(ms: float, node: str, *, for_ms: float | None = 1.0, **fields: Any) -> SlotFailure:
    """Every slot of a role fails, so whatever lies in one is lost."""
    return SlotFailure(at_s=ms / 1e3, for_s=None if for_ms is None else for_ms / 1e3, node=node, slots=64, **fields)


def nothing_left(testbed: InProcess) -> None:
    testbed.run_for(15.0)
    for name, seat in testbed.seats.items():
        memory, signalling = seat.node.core.memory, seat.node.circuits.signalling
        assert not memory.qubits, name
        assert not signalling.reservations.held, name
        assert seat.node.link_layer.set_aside == 0, name
        assert memory.free("communication") == memory.communication_slots, name
    assert not testbed.engine.laboratory.qubits


def test_a_free_slot_fails_at_once_and_a_bound_one_when_it_is_released() -> None:
    memory = Memory("a", 2, 0)
    held = memory.take("communication", Cause.PLACE, session=None)
    memory.out_of_service("communication", 2)
    memory.check()
    assert (memory.free("communication"), memory.working("communication")) == (0, 0)
    assert held.slot.state is SlotState.HOLDING
    memory.release(held, why="was used")
    memory.check()
    assert memory.free("communication") == 0
    with pytest.raises(IllegalTransition, match="failed"):
        held.slot.change(Cause.PLACE)
    memory.out_of_service("communication", 1)
    memory.check()
    assert (memory.free("communication"), memory.working("communication")) == (1, 1)
    memory.out_of_service("communication", 0)
    assert memory.free("communication") == 2


def test_circuits_that_fit_no_longer_go_the_lowest_and_latest_first() -> None:
    book = Reservations("r", 5, 4)
    for name, priority in (("first", 1), ("second", 0), ("third", 0)):
        book.reserve(name, 0, shares={"l": 0.1, "m": 0.1}, slots=1, priority=priority)
    assert [each.dedicated for each in book.held.values()] == [True, True, False]
    assert book.without_room() == ()
    book.communication_slots = 4
    assert book.without_room() == ("second",), "the third waits in storage"
    book.communication_slots = 5
    book.storage_slots = 1
    assert book.without_room() == ("third",)
    book.communication_slots = 1
    assert book.without_room() == ("second", "first", "third")


def keeps(remote: str, seen: list[Any], *, number: int = 1, wait_ms: float = 20.0, **request: Any) -> Program:
    pair = yield RequestPairs(call=0, remote=remote, number=number, **request)
    seen.append(pair)
    yield Sleep(call=0, duration_ps=round(wait_ms * MS))
    if isinstance(pair, Pair):
        seen.append((yield Run(call=0, steps=(Measure(qubit=pair.pair.qubit),))))
    yield Detach(call=0)


def test_both_ends_hear_that_a_half_is_lost() -> None:
    testbed = chain(all_at(10.0, "a"), nodes="ab")
    mine: list[Any] = []
    theirs: list[Any] = []
    testbed.start("a", keeps("b", mine))
    testbed.start("b", keeps("a", theirs))
    testbed.run()
    for seen, why in ((mine, "its slot failed"), (theirs, "at a, its slot failed")):
        assert isinstance(seen[0], Pair)
        assert isinstance(seen[1], Failed)
        assert seen[1].code == "discarded"
        assert why in seen[1].reason
    nothing_left(testbed)


@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("others_ms", [1.0, 5.0], ids=["the other has read its own", "the other is still at it"])
def test_a_half_that_is_lost_as_it_is_measured_is_made_good_at_both_ends(which: str, others_ms: float) -> None:
    other = "ab".replace(which, "")
    testbed = chain(nodes="ab", measure_ms={other: others_ms})
    seen: dict[str, list[Any]] = {"a": [], "b": []}
    for node in "ab":
        testbed.start(node, keeps("ab".replace(node, ""), seen[node], kind="M", number=3))
    half = f"{which}#0"
    testbed.run(lambda: half in testbed.engine.laboratory.qubits)
    lose(testbed, half)
    testbed.run()
    (mine,), (theirs,) = seen.values()
    assert isinstance(mine, Measured)
    assert isinstance(theirs, Measured)
    assert mine.pair_ids == theirs.pair_ids == ("ab/1", "ab/2", "ab/3")
    assert mine.bits == theirs.bits
    assert len(mine.bits) == 3
    nothing_left(testbed)


def head(to: str, seen: list[Any], *, pairs: int, **request: Any) -> Program:
    opened = yield OpenCircuit(call=0, remote=to, minimum_fidelity=0.0, rate_bpps=1.0, timeout_ps=10**13, **request)
    yield from uses(opened, pairs, seen)


def tail(seen: list[Any], *, pairs: int) -> Program:
    opened = yield AcceptCircuit(call=0, timeout_ps=10**13)
    yield from uses(opened, pairs, seen)


def uses(opened: Any, pairs: int, seen: list[Any]) -> Program:
    if isinstance(opened, CircuitOpened):
        got = 0
        while got < pairs:
            pair = yield NextCircuitPair(call=0, circuit=opened.circuit, timeout_ps=30 * 10**12)
            if not isinstance(pair, CircuitPair):
                seen.append(pair)
                break
            if pair.pair is None:
                seen.append((pair.number, pair.bit))
                got += 1
                continue
            read = yield Run(call=0, steps=(Measure(qubit=pair.pair.qubit),))
            if isinstance(read, Outcomes):
                seen.append((pair.number, read.bits[0]))
                got += 1
        yield Sleep(call=0, duration_ps=200 * MS)
        yield CloseCircuit(call=0, circuit=opened.circuit)
    else:
        seen.append(opened)
    yield Detach(call=0)


@pytest.mark.parametrize("node", ["a", "b", "c"])
@pytest.mark.parametrize(
    ("role", "fields"),
    [
        ("communication", {}),
        ("storage", {}),
        ("communication", {"end_distillation_rounds": 1}),
        ("communication", {"test_fraction": 0.5}),
        ("communication", {"kind": "M"}),
    ],
    ids=str,
)
def test_a_circuit_goes_on_around_slots_that_fail_again_and_again(node: str, role: Any, fields: dict[str, Any]) -> None:
    """What is used at both ends matches. An end that lost halves may want more when the other has had its fill."""
    flicker = SlotFailure(at_s=0.02, for_s=0.001, every_s=0.0213, times=12, node=node, slots=4, role=role)
    testbed = chain(
        flicker, communication=4 if role == "communication" else 2, storage=0 if role == "communication" else 4
    )
    heads: list[Any] = []
    tails: list[Any] = []
    testbed.start("a", head("c", heads, pairs=40, slots=2, **fields))
    testbed.start("c", tail(tails, pairs=40))
    testbed.run()
    had, got = (dict(each for each in seen if not isinstance(each, Failed)) for seen in (heads, tails))
    both = had.keys() & got.keys()
    assert max(len(had), len(got)) == 40
    assert all(had[number] == got[number] for number in both)
    assert len(both) >= 25
    assert {each.code for each in (*heads, *tails) if isinstance(each, Failed)} <= {"closed"}
    lost = any(line["lost"] for line in testbed.of_kind("slots_out_of_service"))
    assert lost or node == "b", "a router's pairs do not lie long"
    nothing_left(testbed)


def _measuring(node: StackNode, held: HeldQubit) -> bool:
    """Whether it is a half that is being measured: it is on its way out, and nobody has thrown it away."""
    pending = [each for each in node.core.pending.values() if isinstance(each, Leaving)]
    return held.slot.state is SlotState.LEAVING and all(held not in each.qubits for each in pending)


def _correcting(node: StackNode, held: HeldQubit) -> bool:
    """Whether the head turns a named pair into Phi+."""
    return held.busy and held.slot.state is SlotState.ENTANGLED and held.pair is not None and ":" in held.pair.pair_id


def _named(node: StackNode, held: HeldQubit) -> bool:
    """Whether the head has named the pair, and waits to hear whether the tail has it."""
    return not held.busy and held.pair is not None and ":" in held.pair.pair_id


def _unheralded(node: StackNode, held: HeldQubit) -> bool:
    """Whether the other end of the link has heard that the pair is there, and this one has not."""
    return held.slot.state is SlotState.GENERATING


@pytest.mark.parametrize(
    ("node", "fields", "is_hit"),
    [
        ("a", {"kind": "M"}, _measuring),
        ("c", {"kind": "M"}, _measuring),
        ("b", {}, _measuring),
        ("a", {}, _correcting),
        ("a", {"test_fraction": 0.9}, _measuring),
        ("c", {"test_fraction": 0.9}, _measuring),
        ("a", {}, _named),
        ("a", {}, _unheralded),
        ("b", {}, _unheralded),
    ],
    ids=[
        "head reads",
        "tail reads",
        "swap",
        "head corrects",
        "head tests",
        "tail tests",
        "head waits for the tail",
        "head waits for its herald",
        "router waits for its herald",
    ],
)
def test_a_half_that_is_lost_while_something_is_done_to_it_holds_nothing_up(
    node: str, fields: dict[str, Any], is_hit: Any
) -> None:
    """With one slot for each link, whatever were kept of a lost pair would be all that there is."""
    heralding = MidpointSource() if is_hit is _unheralded else DoubleClick(coupling_efficiency=0.4)
    testbed = chain(communication=2, storage=0, heralding=heralding)
    heads: list[Any] = []
    tails: list[Any] = []
    testbed.start("a", head("c", heads, pairs=15, slots=1, **fields))
    testbed.start("c", tail(tails, pairs=15))
    seat = testbed.seats[node].node
    hits: list[str] = []
    while testbed.running:
        applications = {name for name, held in seat.core.memory.qubits.items() if held.session is not None}
        candidates = [each for name, each in seat.core.memory.qubits.items() if name not in applications]
        for held in candidates:
            known = held.name in testbed.engine.laboratory.qubits
            if known and held.name not in hits and is_hit(seat, held) and len(hits) < 12 and int(held.name[2:]) % 3:
                hits.append(held.name)
                lose(testbed, held.name)
        testbed.step()
        for each in testbed.seats.values():
            take_stock(each.node)
            for endpoint in each.node.circuits.endpoints.values():
                assert all(number > endpoint.numbered - 20 for number in endpoint.committed), endpoint.committed
        assert testbed.now < 60 * 10**12, testbed.waits()
    assert len(hits) >= 3
    delivered = {line["qubit"] for line in testbed.of_kind("circuit_pair_delivered")}
    assert not delivered & set(hits)
    had, got = (dict(each for each in seen if not isinstance(each, Failed)) for seen in (heads, tails))
    assert max(len(had), len(got)) == 15
    assert {each.code for each in (*heads, *tails) if isinstance(each, Failed)} <= {"closed"}
    both = had.keys() & got.keys()
    assert len(both) >= 5
    assert all(had[number] == got[number] for number in both)
    nothing_left(testbed)


def test_a_circuit_whose_router_has_too_few_slots_left_is_down_until_they_are_back() -> None:
    testbed = chain(all_at(500.0, "b", for_ms=2000.0), storage=0)
    heads: list[Any] = []
    tails: list[Any] = []
    told: list[Any] = []

    def watching() -> Program:
        opened = yield OpenCircuit(call=0, remote="c", minimum_fidelity=0.0, rate_bpps=1.0, timeout_ps=10**13)
        for _ in range(2):
            event = yield NextCircuitEvent(call=0, circuit=opened.circuit, timeout_ps=9 * 10**12)
            told.append((event.kind, event.reason))
        yield from uses(opened, 3, heads)

    testbed.start("a", watching())
    testbed.start("c", tail(tails, pairs=3))
    testbed.run()
    assert [kind for kind, _ in told] == ["down", "rerouted"]
    assert told[0][1] == "memory slots of b failed"
    (restored,) = testbed.of_kind("circuit_restored")
    assert restored["at"] >= 2.5 * 1000 * MS
    assert len(heads) == 3
    nothing_left(testbed)


def test_without_slots_for_good_a_circuit_is_closed_with_the_reason() -> None:
    testbed = chain(all_at(500.0, "b", for_ms=None), storage=0)
    heads: list[Any] = []
    tails: list[Any] = []
    testbed.start("a", head("c", heads, pairs=10**6))
    testbed.start("c", tail(tails, pairs=10**6))
    testbed.run(at_most_s=60.0)
    assert heads[-1].code == tails[-1].code == "closed"
    assert testbed.seats["b"].node.circuits.signalling.reservations.free_slots == 0


def test_a_node_that_is_started_again_hears_at_once_what_is_out_of_service() -> None:
    faults = (SlotFailure(at_s=0.1, node="b", slots=3), NodeRestart(at_s=0.2, node="b"))
    testbed = chain(*faults)
    testbed.run_for(0.5)
    assert testbed.seats["b"].node.core.memory.working("communication") == 1
    assert testbed.seats["b"].node.core.memory.free("communication") == 1


def test_a_qubit_that_arrived_and_is_lost_before_anybody_asked_for_it_is_told_lost() -> None:
    testbed = chain(all_at(10.0, "b"), nodes="ab")
    seen: list[Any] = []

    def sends() -> Program:
        made = yield Run(call=0, steps=(Prepare(),))
        yield TransmitQubit(call=0, remote="b", qubit=made.qubits[0])
        yield Detach(call=0)

    def receives() -> Program:
        yield Sleep(call=0, duration_ps=50 * MS)
        seen.append((yield ReceiveQubit(call=0, remote="a")))
        yield Detach(call=0)

    testbed.start("a", sends())
    testbed.start("b", receives())
    testbed.run()
    assert [(each.code, "slot failed" in each.reason) for each in seen] == [("lost", True)]
    nothing_left(testbed)


def test_whoever_waits_for_a_teleported_qubit_hears_that_its_half_is_lost() -> None:
    testbed = chain(all_at(10.0, "b"), nodes="ab")
    seen: list[Any] = []

    def waits() -> Program:
        pair = yield RequestPairs(call=0, remote="a")
        seen.append((yield ReceiveTeleported(call=0, pair_id=pair.pair.pair_id)))
        yield Detach(call=0)

    testbed.start("a", keeps("b", []))
    testbed.start("b", waits())
    testbed.run()
    assert [(each.code, "its slot failed" in each.reason) for each in seen] == [("discarded", True)]
    nothing_left(testbed)
