"""Faults of nodes, their clocks and the fabric, by numbers; and that nothing is left of them when they are healed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from drive import LONG_PS, MS, Drive, S, send
from hypothesis import given
from hypothesis import strategies as st
from in_process import InProcess, Program

from orchestrator import control
from orchestrator.fabric.local_clock import LocalClock
from orchestrator.fabric.schedule import Occurrence
from orchestrator.scenario import Fault, Link, Network, Node, NodeKill, Scenario, Source
from orchestrator.scenario.faults import (
    ClockDrift,
    ClockJump,
    ClockOffset,
    ClockReset,
    FabricPause,
    FabricSlow,
    NodePause,
    NodeRestart,
    NodeSlow,
    NodeStop,
)
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire import fabric
from qnode.wire.application import (
    AcceptCircuit,
    CircuitOpened,
    CircuitPair,
    Failed,
    NextCircuitPair,
    OpenCircuit,
    Run,
    SendMessage,
    Sleep,
)
from qnode.wire.quantum import Measure, Prepare

SHORT = {"ab": Link(ends=("A", "B"), length_km=1.0)}
SHORT_PS = 4_896_721
"""1 km at index 1.468."""


def arrivals(drive: Drive) -> list[int]:
    return [event.at for name, event in drive.events if name == "B" and isinstance(event, fabric.Delivered)]


def every_second(*faults: Fault, messages: int = 6) -> Drive:
    drive = Drive(nodes="AB", faults=faults, links=SHORT)
    for number in range(messages):
        drive.plan("A", number * S, send(number * S, "B"))
    drive.run()
    return drive


USUAL = [number * S + SHORT_PS for number in range(6)]


def test_a_paused_node_notices_when_it_goes_on_and_not_before() -> None:
    drive = every_second(NodePause(at_s=0.5, for_s=2.25, node="B"))
    assert arrivals(drive) == [USUAL[0], 2750 * MS, 2750 * MS, *USUAL[3:]]
    assert drive.engine.orders == [control.PauseNode(node="B"), control.ResumeNode(node="B")]


def test_two_pauses_at_a_time_are_over_with_the_later() -> None:
    drive = every_second(
        NodePause(at_s=0.5, for_s=2.25, node="B"), NodePause(at_s=0.75, for_s=3.0, node="B", name="longer")
    )
    assert arrivals(drive) == [USUAL[0], *[3750 * MS] * 3, *USUAL[4:]]
    assert len(drive.engine.orders) == 2


def test_a_paused_node_is_woken_late_and_then_on_time() -> None:
    drive = Drive(nodes="AB", faults=(NodePause(at_s=0.5, for_s=1.0, node="A"),), links=SHORT)
    for at in (0.25, 0.75, 1.75):
        drive.plan("A", int(at * S), fabric.Note(at=int(at * S), kind="note", details={}))
    grants: list[int] = []
    inner = drive.engine.round

    def spied() -> dict[str, fabric.Grant]:
        found = inner()
        grants.extend(grant.now for name, grant in found.items() if name == "A")
        return found

    drive.engine.round = spied  # type: ignore[method-assign]
    drive.run(end=1600 * MS)
    assert [at for at in grants if at] == [250 * MS, 1500 * MS]


def test_a_slow_node_notices_everything_so_much_later() -> None:
    late = every_second(NodeSlow(at_s=0.5, for_s=2.0, node="B", late_s=0.125))
    assert arrivals(late) == [USUAL[0], USUAL[1] + S // 8, USUAL[2] + S // 8, *USUAL[3:]]


def test_a_slow_node_gets_its_heralds_later_and_its_memory_ages_as_before() -> None:
    heralded = []
    for faults in ((), (NodeSlow(node="B", late_s=0.125),)):
        drive = Drive(nodes="AB", faults=faults, links=SHORT)
        drive.generate("ab", "AB", at=10)
        drive.run()
        heralded.append({name: event for name, event in drive.events if isinstance(event, fabric.Heralded)})
    usual, slow = heralded
    assert slow["A"].at == usual["A"].at + S // 8, "attempts begin when both ask"
    assert slow["B"].at == usual["B"].at + S // 4, "woken late to ask, and told late"
    assert slow["B"].emitted_at == usual["B"].emitted_at + S // 8


@pytest.mark.parametrize(
    ("fault", "ahead"),
    [
        (ClockOffset(at_s=0.5, for_s=2.0, node="B", offset_s=0.75), [0, 0.75, 0.75, 0, 0, 0]),
        (ClockOffset(at_s=0.5, for_s=2.0, node="B", offset_s=-0.25), [0, -0.25, -0.25, 0, 0, 0]),
        (ClockDrift(at_s=0.5, for_s=3.0, node="B", drift_ppm=200_000.0), [0, 0.1, 0.3, 0.5, 0, 0]),
        (ClockJump(at_s=1.5, node="B", jump_s=100.0), [0, 0, 100, 100, 100, 100]),
        (ClockReset(at_s=1.5, node="B"), [0, 0, -1.5, -1.5, -1.5, -1.5]),
    ],
)
def test_a_wrong_clock_shows_what_its_fault_says_and_healed_it_is_right(fault: Fault, ahead: list[float]) -> None:
    drive = every_second(fault)
    drift = 0.2 * SHORT_PS if isinstance(fault, ClockDrift) else 0
    for seen, true, more in zip(arrivals(drive), USUAL, ahead, strict=True):
        assert abs(seen - true - more * S - (drift if more else 0)) <= 1
    assert all(true == usual for true, usual in zip(drive.true_arrivals("B"), USUAL, strict=True))


def test_a_clock_that_gains_a_tenth_ends_sleeps_early_and_messages_leave_then() -> None:
    """A node sleeps 1.1 s by its own clock, which takes 1 s."""
    told: dict[str, int] = {}

    def sleeper() -> Program:
        slept = yield Sleep(call=0, duration_ps=1100 * MS)
        told["local"] = slept.now_ps
        yield SendMessage(call=0, peer="b", payload=b"", tag="t")

    testbed = network(ClockDrift(node="a", drift_ppm=100_000.0), nodes="ab")
    testbed.start("a", sleeper())
    testbed.run()
    assert abs(told["local"] - 1100 * MS) <= 2
    assert abs(testbed.engine.agenda.now_ps - 1000 * MS) < 10 * MS


clocks = st.builds(
    lambda step, offset, drifts: LocalClock(
        step_ps=step,
        offsets_ps={occurrence(0): offset},
        drifts={occurrence(number): each for number, each in enumerate(drifts)},
    ),
    st.integers(-(10**15), 10**15),
    st.integers(-(10**15), 10**15),
    st.lists(st.tuples(st.integers(0, 10**13), st.integers(-400_000_000, 9_000_000_000)), max_size=2),
)


def occurrence(number: int) -> Occurrence:
    return Occurrence(ClockJump(name=str(number), node="x", jump_s=1.0), "scenario", ("x",))


def test_clocks_that_drift_twice_never_run_backwards() -> None:
    """Each drift rounded down by itself would."""
    clock = LocalClock(drifts={occurrence(number): (0, -192_307_693) for number in range(2)})
    times = [clock.local(10**13 + each) for each in range(100)]
    assert times == sorted(times)
    faults = [ClockDrift(name=name, node="B", drift_ppm=-800_000.0) for name in "xy"]
    seen = arrivals(every_second(*faults))
    assert seen == sorted(seen)
    assert abs(seen[-1] - 0.1 * USUAL[-1]) < 10


@given(clocks, st.integers(10**13, 10**15), st.integers(1, 10**9), st.data())
def test_a_clocks_times_turn_back_into_the_window_they_came_from(
    clock: LocalClock, now: int, window: int, data: st.DataObject
) -> None:
    until = now + window
    granted = clock.grant(fabric.Grant(now=now, until=until))
    assert clock.true(granted.now) <= now
    assert clock.local(clock.true(granted.until)) >= granted.until > clock.local(clock.true(granted.until) - 1)
    acts = data.draw(st.integers(granted.now, granted.until - 1)) if granted.until > granted.now else granted.now
    block = clock.block(
        fabric.Block(wake_at=granted.until, sends=(fabric.Send(at=acts, to="x", payload=b""),)), not_before=now
    )
    assert now <= block.sends[0].at < until
    assert block.wake_at is not None
    assert block.wake_at >= until


def network(*faults: Fault, nodes: str = "abc") -> InProcess:
    memory = Memory(slots=4)
    hardware = Hardware(communication=memory, storage=memory)
    return InProcess(
        Scenario(
            version=1,
            name="line",
            seed=11,
            network=Network(hello_interval_s=0.05),
            nodes={name: Node(hardware=hardware) for name in nodes},
            links={
                f"{one}{other}": Link(ends=(one, other), length_km=10.0, heralding=Source(success_probability=0.05))
                for one, other in itertools.pairwise(nodes)
            },
            faults=faults,
        )
    )


def keeps_asking(got: list[tuple[float, str]], testbed: InProcess, *, head: bool, end_s: float) -> Program:
    """Open (or accept) a circuit again whenever it is closed, and use up its pairs."""
    while testbed.now / S < end_s:
        if head:
            opened = yield OpenCircuit(call=0, remote="c", minimum_fidelity=0.0, rate_bpps=1.0, timeout_ps=S)
        else:
            opened = yield AcceptCircuit(call=0, timeout_ps=S)
        while isinstance(opened, CircuitOpened) and testbed.now / S < end_s:
            answer = yield NextCircuitPair(call=0, circuit=opened.circuit, timeout_ps=S // 4)
            if isinstance(answer, Failed):
                got.append((testbed.now / S, answer.code))
                if answer.code == "closed":
                    break
                continue
            assert isinstance(answer, CircuitPair)
            assert answer.pair is not None
            got.append((testbed.now / S, "pair"))
            yield Run(call=0, steps=(Measure(qubit=answer.pair.qubit),))
            yield Sleep(call=0, duration_ps=5 * MS)


def pairs_over_a_router(*faults: Fault, end_s: float = 6.0) -> tuple[InProcess, list[float]]:
    testbed = network(*faults)
    heads: list[tuple[float, str]] = []
    tails: list[tuple[float, str]] = []
    testbed.start("a", keeps_asking(heads, testbed, head=True, end_s=end_s))
    testbed.start("c", keeps_asking(tails, testbed, head=False, end_s=end_s))
    testbed.run(at_most_s=30.0)
    return testbed, [at for at, what in heads if what == "pair"]


@pytest.mark.parametrize(
    "fault",
    [
        NodeKill(at_s=1.0, for_s=1.0, node="b"),
        NodeRestart(at_s=1.0, for_s=0.01, node="b"),
        NodeStop(at_s=1.0, for_s=1.0, node="b"),
        NodePause(at_s=1.0, for_s=1.0, node="b"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_router_that_comes_back_serves_again(fault: Any) -> None:
    testbed, pairs = pairs_over_a_router(fault)
    assert any(at < 1.0 for at in pairs)
    assert not any(1.1 < at < 1.0 + fault.for_s for at in pairs)
    back = min(at for at in pairs if at > 1.0 + fault.for_s)
    assert back < 1.0 + fault.for_s + 2.0, "hellos of 50 ms: found again within half a second, and opened again"
    ends = not isinstance(fault, NodePause)
    assert testbed.engine.seats["b"].incarnation == int(ends)
    names = set(testbed.engine.laboratory.qubits)
    assert not any(name.startswith("b#") for name in names) or not ends
    assert len([at for at in pairs if at > back]) > 50
    assert not testbed.engine.topology._down


def test_a_router_that_comes_back_is_another_with_other_names() -> None:
    drive = Drive(nodes="AB", faults=(NodeRestart(at_s=2.0, for_s=1.0, node="B"),))
    drive.engine.links.clear()
    drive.plan("B", 1 * S, fabric.Circuit(steps=(Prepare(qubit="B#0"),)))
    drive.plan("A", 2 * S - 10, send(2 * S - 10, "B"))
    drive.plan("A", 2500 * MS, send(2500 * MS, "B"))
    drive.plan("A", 4 * S, send(4 * S, "B"))
    drive.run()
    assert [event.at for event in drive.of(fabric.Delivered)] == [4 * S + LONG_PS]
    assert drive.engine.label("B") == b"B+1"
    assert not drive.engine.laboratory.qubits
    assert drive.engine.orders == [
        control.EndNode(node="B", fault="node_restart B"),
        control.StartNode(node="B", incarnation=1),
    ]
    (healed,) = drive.lines("healed")
    assert (healed["fault"], healed["node"], healed["starts"]) == ("node_restart", "B", True)


def test_a_node_that_two_faults_ended_starts_again_with_the_later() -> None:
    drive = Drive(
        nodes="AB",
        links=SHORT,
        faults=(NodeKill(at_s=1.0, for_s=2.0, node="B", name="x"), NodeKill(at_s=2.0, for_s=2.0, node="B", name="y")),
    )
    drive.run()
    assert [(line["t_ps"], line["starts"]) for line in drive.lines("healed")] == [(3 * S, False), (4 * S, True)]
    assert drive.engine.seats["B"].incarnation == 1
    assert drive.engine.topology.is_up("ab", forward=True)


def test_between_a_nodes_end_and_its_start_its_links_are_down_whoever_else_takes_them_down() -> None:
    drive = Drive(
        nodes="ABC", faults=(NodeKill(at_s=1.0, for_s=3.0, node="B"), NodeKill(at_s=2.0, for_s=1.0, node="C"))
    )
    drive.run(end=3500 * MS)
    assert not drive.engine.topology.is_up("ab", forward=True)
    assert not drive.engine.topology.is_up("bc", forward=True)
    drive.run()
    assert drive.engine.topology.is_up("ab", forward=True)
    assert drive.engine.topology.is_up("bc", forward=True)


def test_what_befalls_the_fabric_is_no_event_of_virtual_time() -> None:
    drive = every_second(FabricPause(at_s=0.5, wall_s=0.25), FabricSlow(at_s=1.5, for_s=1.0, wall_s_per_window=0.001))
    assert arrivals(drive) == USUAL
    assert drive.engine.orders == [
        control.HinderFabric(wait_s=0.25),
        control.HinderFabric(wait_per_window_s=0.001),
        control.HinderFabric(wait_per_window_s=0),
    ]
