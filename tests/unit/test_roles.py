"""Node roles of RFC 9340 section 5.3.2 and how they work together: who forwards, who computes, whom a circuit ends at."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from in_process import InProcess

from orchestrator.scenario import (
    ClassicalLink,
    DoubleClick,
    Link,
    MidpointSource,
    Node,
    Scenario,
    SenderReceiver,
    SingleClick,
    Source,
)
from orchestrator.scenario.hardware import Hardware, Memory
from orchestrator.scenario.types import Network
from qnode.wire.application import (
    AcceptCircuit,
    CircuitOpened,
    CircuitPair,
    CloseCircuit,
    Detach,
    Failed,
    JoinGroup,
    NextCircuitPair,
    OpenCircuit,
    OpenGroup,
    RequestPairs,
    Run,
)
from qnode.wire.quantum import Measure

Program = Generator[Any, Any, None]
IDEAL = Hardware(communication=Memory(slots=4), storage=Memory(slots=4))


def line(
    *roles: str | None,
    schemes: tuple[Any, ...] = (),
    network: Network | None = None,
    extra: dict[str, Any] | None = None,
) -> Scenario:
    """Nodes n0, n1, ... of these roles in a line; ``extra`` replaces fields of the scenario."""
    names = [f"n{i}" for i in range(len(roles))]
    kinds = schemes or (Source(success_probability=0.5),) * (len(names) - 1)
    fields: dict[str, Any] = {
        "nodes": {name: Node(hardware=IDEAL, role=role) for name, role in zip(names, roles, strict=True)},  # type: ignore[arg-type]
        "links": {
            f"{a}-{b}": Link(ends=(a, b), length_km=5, heralding=kind)
            for a, b, kind in zip(names, names[1:], kinds, strict=False)
        },
    }
    fields["nodes"].update((extra or {}).pop("nodes", {}))
    return Scenario(version=1, name="line", seed=3, network=network or Network(), **{**fields, **(extra or {})})


def opens(remote: str, pairs: int, seen: list[Any], **request: Any) -> Program:
    opened = yield OpenCircuit(call=0, remote=remote, **request)
    yield from use(opened, pairs, seen)
    if isinstance(opened, CircuitOpened):
        yield CloseCircuit(call=0, circuit=opened.circuit)
    yield Detach(call=0)


def accepts(pairs: int, seen: list[Any]) -> Program:
    opened = yield AcceptCircuit(call=0)
    yield from use(opened, pairs, seen)
    yield Detach(call=0)


def use(opened: Any, pairs: int, seen: list[Any]) -> Program:
    seen.append(opened)
    for number in range(pairs if isinstance(opened, CircuitOpened) else 0):
        pair = yield NextCircuitPair(call=0, circuit=opened.circuit)
        assert isinstance(pair, CircuitPair), pair
        assert pair.pair is not None
        outcome = yield Run(call=0, steps=(Measure(qubit=pair.pair.qubit, axis="ZX"[number % 2]),))
        seen.append(outcome.bits[0])


def circuit_over(scenario: Scenario, last: str, **request: Any) -> tuple[InProcess, list[Any], list[Any]]:
    testbed = InProcess(scenario)
    head: list[Any] = []
    tail: list[Any] = []
    testbed.start("n0", opens(last, 20, head, **request))
    testbed.start(last, accepts(20, tail))
    testbed.run()
    return testbed, head, tail


def test_an_automated_node_swaps_as_it_is_told() -> None:
    _, head, tail = circuit_over(line("end", "router", "automated", "router", "end"), "n4")
    assert head[0].path == ("n0", "n1", "n2", "n3", "n4")
    assert head[1:] == tail[1:]
    assert len(head) == 21


def test_an_automated_node_opens_no_circuit_itself() -> None:
    testbed = InProcess(line("end", "automated", "end"))
    seen: list[Any] = []
    testbed.start("n1", opens("n0", 1, seen))
    testbed.run()
    assert (seen[0].code, "automated" in seen[0].reason) == ("unsupported", True)


def test_end_nodes_forward_nothing() -> None:
    testbed = InProcess(line("end", "end", "end"))
    seen: list[Any] = []
    testbed.start("n0", opens("n2", 1, seen))
    testbed.run()
    assert isinstance(seen[0], Failed)
    assert seen[0].code == "no_route"


def with_controller() -> Scenario:
    classical = {f"c-{node}": ClassicalLink(ends=("brain", node), length_km=20) for node in ("n0", "n1", "n2")}
    return line(
        "end",
        "router",
        "end",
        network=Network(routing="controller", controller="brain"),
        extra={
            "classical_links": classical,
            "nodes": {
                "brain": Node(
                    hardware=Hardware(communication=Memory(slots=0), storage=Memory(slots=0)), role="controller"
                )
            },
        },
    )


def test_a_controller_computes_the_paths_of_all() -> None:
    testbed, head, tail = circuit_over(with_controller(), "n2")
    assert head[0].path == ("n0", "n1", "n2")
    assert head[1:] == tail[1:]
    databases = {name: set(seat.node.routing.database()) for name, seat in testbed.seats.items()}
    assert databases["brain"] >= {"n0", "n1", "n2"}
    assert "n2" not in databases["n0"], "only the controller knows the whole network"


def test_a_controllers_refusal_names_what_falls_short() -> None:
    testbed = InProcess(with_controller())
    seen: list[Any] = []
    testbed.start("n0", opens("n2", 1, seen, rate_bpps=1e9))
    testbed.run()
    assert seen[0].code == "no_capacity"
    assert "n0-n1" in seen[0].reason or "n1-n2" in seen[0].reason


def test_a_controller_that_is_gone_is_an_error_and_no_hang() -> None:
    scenario = with_controller()
    testbed = InProcess(scenario, tamper=lambda sender, to, payload: () if "brain" in (sender, to) else (0,))
    seen: list[Any] = []
    testbed.start("n0", opens("n2", 1, seen, timeout_ps=5 * 10**12))
    testbed.run()
    assert isinstance(seen[0], Failed)
    assert seen[0].code in ("no_route", "timeout")


def test_every_scheme_of_heralding_may_stand_in_one_path() -> None:
    schemes = (
        SingleClick(bright_state_population=0.05),
        DoubleClick(coupling_efficiency=0.9),
        MidpointSource(coupling_efficiency=0.9),
        SenderReceiver(coupling_efficiency=0.9),
        Source(success_probability=0.2),
    )
    scenario = line("end", "router", "router", "router", "router", "end", schemes=schemes)
    _, head, tail = circuit_over(scenario, "n5")
    differing = sum(a != b for a, b in zip(head[1:], tail[1:], strict=True))
    assert differing <= 6, "only the single-click link makes errors, 5 % or so"


@pytest.mark.parametrize("swapping", ["asap", "nested"])
def test_memories_of_different_make_may_stand_in_one_path(swapping: str) -> None:
    short = Hardware(
        communication=Memory(slots=1, t2_s=0.5, cutoff_s=0.01),
        storage=Memory(slots=2, t2_s=5.0, cutoff_s=0.05),
        move_duration_s=1e-5,
        measure_duration_s=1e-5,
        two_qubit_gate_duration_s=1e-5,
    )
    scenario = line(
        "end", "router", "router", "router", "end", extra={"nodes": {"n2": Node(hardware=short, role="router")}}
    )
    testbed, head, tail = circuit_over(scenario, "n4", swapping=swapping)
    assert len(head) == len(tail) == 21
    assert sum(a != b for a, b in zip(head[1:], tail[1:], strict=True)) <= 4
    moved = [seat for seat in ("n2",) if testbed.seats[seat].node.circuits.signalling.reservations.free_slots == 3]
    assert moved == ["n2"], "nothing stays reserved"


def test_no_circuit_ends_at_an_automated_node() -> None:
    testbed = InProcess(line("end", "automated", "end"))
    seen: list[Any] = []
    testbed.start("n0", opens("n1", 1, seen))
    testbed.run()
    assert seen[0].code == "no_route"
    assert "automated" in seen[0].reason


def test_pairs_that_have_to_move_are_promised_with_the_noise_of_it() -> None:
    """A depolarised half of a Werner pair: w -> (1 - p) w; both halves at every router move, and the ends' own."""
    moved = 0.02
    few = Hardware(communication=Memory(slots=1), storage=Memory(slots=4), move_depolarising_probability=moved)
    nodes = {name: Node(hardware=few) for name in ("n0", "n1", "n2")}
    _, head, _ = circuit_over(line("end", "router", "end", extra={"nodes": nodes}), "n2")
    w = (1 - moved) ** 4
    assert head[0].expected_fidelity == pytest.approx((1 + 3 * w) / 4, abs=1e-6)


def test_who_accepts_from_a_node_that_is_not_there_hears_so_at_once() -> None:
    testbed = InProcess(line("end", "router", "end"))
    seen: list[Any] = []

    def program() -> Program:
        seen.append((yield AcceptCircuit(call=0, remote="n9")))
        yield Detach(call=0)

    testbed.start("n0", program())
    testbed.run()
    assert (seen[0].code, "n9" in seen[0].reason) == ("no_route", True)


@pytest.mark.parametrize(
    "request_",
    [
        OpenCircuit(call=0, remote="n2", purpose="x" * 257),
        OpenCircuit(call=0, remote="n2", kind="M", axes=("X",) * 65_537),
        AcceptCircuit(call=0, purpose="x" * 257),
        AcceptCircuit(call=0, axes=("X",) * 65_537),
        OpenGroup(call=0, members=("n2",), purpose="x" * 257),
        JoinGroup(call=0, purpose="x" * 257),
        RequestPairs(call=0, remote="n1", purpose="x" * 257),
    ],
    ids=lambda request: type(request).__name__,
)
def test_what_is_too_long_to_be_told_from_node_to_node_is_refused(request_: Any) -> None:
    testbed = InProcess(line("end", "router", "end"))
    seen: list[Any] = []

    def program() -> Program:
        seen.append((yield request_))
        yield Detach(call=0)

    testbed.start("n0", program())
    testbed.run()
    assert seen[0].code == "limit"
