"""GHZ and W states over end nodes: who makes them, what is measured on them, and what is said when they cannot be."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from in_process import InProcess

from orchestrator.scenario import Link, LinkDown, Node, Scenario, Source
from orchestrator.scenario.hardware import Hardware, Memory
from orchestrator.scenario.types import Network
from qnode.stack.group_states import ghz_steps, w_steps
from qnode.stack.groups import MOST_MEMBERS
from qnode.wire.application import (
    CloseGroup,
    Detach,
    Failed,
    GroupOpened,
    JoinGroup,
    NextGroupQubit,
    OpenGroup,
    Run,
    Sleep,
)
from qnode.wire.quantum import Measure

SIGMAS = 4.5


def star(ends: int, *, role: str | None = "switch", fidelity: float = 1.0, slots: int = 16, seed: int = 1) -> Scenario:
    """End nodes e0, e1, ... around one hub, and with role None around a plain router."""
    hardware = Hardware(communication=Memory(slots=slots), storage=Memory(slots=slots))
    nodes: dict[str, Any] = {f"e{i}": Node(hardware=hardware) for i in range(ends)}
    nodes["hub"] = Node(hardware=hardware, role=role)  # type: ignore[arg-type]
    heralding = Source(success_probability=0.3, fidelity=fidelity)
    links = {f"l{i}": Link(ends=("hub", f"e{i}"), length_km=10, heralding=heralding) for i in range(ends)}
    return Scenario(version=1, name="star", seed=seed, network=Network(), nodes=nodes, links=links)


Program = Generator[Any, Any, None]


def use(opened: Any, rounds: int, axes: Sequence[Any], seen: list[Any]) -> Program:
    seen.append(opened)
    if isinstance(opened, GroupOpened):
        for number in range(rounds):
            qubit = yield NextGroupQubit(call=0, group=opened.group)
            assert qubit.number == number
            outcome = yield Run(call=0, steps=(Measure(qubit=qubit.qubit, axis=axes[number % len(axes)]),))
            seen.append(outcome.bits[0])
        yield Sleep(call=0, duration_ps=10**10)  # a member that leaves ends the group for all: let the others finish
        yield CloseGroup(call=0, group=opened.group)
    yield Detach(call=0)


def opens(members: tuple[str, ...], rounds: int, axes: Sequence[Any], seen: list[Any], **request: Any) -> Program:
    opened = yield OpenGroup(call=0, members=members, **request)
    yield from use(opened, rounds, axes, seen)


def joins(rounds: int, axes: Sequence[Any], seen: list[Any], **request: Any) -> Program:
    opened = yield JoinGroup(call=0, **request)
    yield from use(opened, rounds, axes, seen)


def run_group(
    scenario: Scenario, *, rounds: int, axes: Sequence[Any], **request: Any
) -> tuple[InProcess, np.ndarray, list[list[Any]]]:
    """All end nodes form one group; gives the bits (rounds, members)."""
    testbed = InProcess(scenario)
    ends = [name for name in scenario.nodes if name.startswith("e")]
    seen: list[list[Any]] = [[] for _ in ends]
    testbed.start(ends[0], opens(tuple(ends[1:]), rounds, axes, seen[0], **request))
    for end, mine in zip(ends[1:], seen[1:], strict=True):
        testbed.start(end, joins(rounds, axes, mine))
    testbed.run()
    return testbed, np.array([mine[1:] for mine in seen]).T, seen


@pytest.mark.parametrize(("role", "centre"), [("switch", "hub"), ("router", "e0")])
@pytest.mark.parametrize("ends", [2, 3, 5])
def test_ghz_states_have_equal_bits_along_z_and_even_parity_along_x(role: str, centre: str, ends: int) -> None:
    testbed, bits, seen = run_group(star(ends, role=role), rounds=40, axes="ZX", state="GHZ")
    assert all(mine[0].centre == centre for mine in seen)
    along_z, along_x = bits[::2], bits[1::2]
    assert (along_z == along_z[:, :1]).all()
    assert 0 < along_z[:, 0].sum() < len(along_z), "both values come"
    assert (along_x.sum(axis=1) % 2 == 0).all()
    assert len(set(map(tuple, along_x))) > 1
    nothing_is_left(testbed)


@pytest.mark.parametrize("role", ["switch", "router"])
def test_w_states_have_one_excitation_anywhere(role: str) -> None:
    rounds, ends = 300, 3
    testbed, bits, _ = run_group(star(ends, role=role), rounds=rounds, axes="Z", state="W")
    assert (bits.sum(axis=1) == 1).all()
    sigma = np.sqrt(rounds * (1 / ends) * (1 - 1 / ends))
    assert (abs(bits.sum(axis=0) - rounds / ends) < SIGMAS * sigma).all()
    nothing_is_left(testbed)


def test_two_of_a_w_state_are_entangled_along_x() -> None:
    """For |W_3>, the X X correlation of two qubits is 2/3, their Z Z correlation -1/3 (Dür, Vidal, Cirac 2000)."""
    rounds = 500
    _, bits, _ = run_group(star(3), rounds=rounds, axes="X", state="W")
    for first, second in ((0, 1), (0, 2), (1, 2)):
        correlation = 1 - 2 * (bits[:, first] ^ bits[:, second]).mean()
        assert abs(correlation - 2 / 3) < SIGMAS * np.sqrt((1 - 4 / 9) / rounds)


def test_the_noise_of_the_pairs_is_the_noise_of_the_state() -> None:
    """Bits along Z differ with (1 - w)/2 for a Werner pair; a pair of e0 with e1 is made of two links: w = w1 w2."""
    rounds, fidelity = 500, 0.9
    _, bits, _ = run_group(star(3, role="router", fidelity=fidelity), rounds=rounds, axes="Z", state="GHZ")
    flipped = (1 - ((4 * fidelity - 1) / 3) ** 2) / 2
    for member in (1, 2):
        share = (bits[:, 0] ^ bits[:, member]).mean()
        assert abs(share - flipped) < SIGMAS * np.sqrt(flipped * (1 - flipped) / rounds)


def nothing_is_left(testbed: InProcess) -> None:
    testbed.run_for(1.0)
    for name, seat in testbed.seats.items():
        node = seat.node
        left = (node.core.memory.qubits, node.circuits.signalling.transits, node.groups.centres, node.programs.running)
        assert left == ({}, {}, {}, {}), name
        assert (node.link_layer.set_aside, node.core.pending) == (0, {}), name


@pytest.mark.parametrize(
    ("request_", "code", "word"),
    [
        ({"members": ("e1", "nobody")}, "no_route", "nobody"),
        ({"members": ("e1", "e1")}, "bad_request", "each once"),
        ({"members": ("e0", "e1")}, "bad_request", "each once"),
        ({"members": ()}, "bad_request", "other nodes"),
        ({"members": tuple(f"x{i}" for i in range(MOST_MEMBERS))}, "limit", "at most 16"),
        ({"members": ("e1", "e2"), "rate_hz": 0.0}, "bad_request", "rate_hz"),
        ({"members": ("e1", "e2"), "minimum_fidelity": 1.5}, "bad_request", "minimum_fidelity"),
        ({"members": ("e1", "e2"), "rate_hz": 1e9}, "no_capacity", "pairs/s"),
        ({"members": ("e1",), "centre": "e2"}, "denied", "makes no states for others"),
        ({"members": ("e1", "e2"), "timeout_ps": 10**12}, "timeout", "in time"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason_and_nothing_reserved(
    request_: dict[str, Any], code: str, word: str
) -> None:
    testbed = InProcess(star(3))
    seen: list[Any] = []
    testbed.start("e0", opens(rounds=1, axes="Z", seen=seen, **request_))
    testbed.run()
    (failed,) = seen
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert word in failed.reason
    nothing_is_left(testbed)


def test_a_member_that_leaves_ends_the_group_for_all() -> None:
    testbed = InProcess(star(3))
    seen: list[list[Any]] = [[], [], []]

    def stays(first: Any, mine: list[Any]) -> Program:
        opened = yield first
        while True:
            answer = yield NextGroupQubit(call=0, group=opened.group)
            mine.append(answer)
            if isinstance(answer, Failed):
                break
            yield Run(call=0, steps=(Measure(qubit=answer.qubit),))
        yield Detach(call=0)

    testbed.start("e0", stays(OpenGroup(call=0, members=("e1", "e2")), seen[0]))
    testbed.start("e1", stays(JoinGroup(call=0), seen[1]))
    testbed.start("e2", joins(3, "Z", seen[2]))
    testbed.run()
    assert [mine[-1].code for mine in seen[:2]] == ["closed", "closed"]
    assert "e2 has left" in seen[0][-1].reason
    assert min(len(mine) for mine in seen[:2]) >= 3
    nothing_is_left(testbed)


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("make", [ghz_steps, w_steps])
def test_a_centre_reads_one_frame_for_each_other_member(make: Any, keeps: bool) -> None:
    steps, frames = make(("a", "b", "c"), keeps=keeps)
    bits = sum({"measure": 1, "measure_bell": 2}.get(step.__struct_config__.tag, 0) for step in steps)
    assert len(frames((0,) * bits)) == 3


@pytest.mark.parametrize("cut", ["l0", "l1"])
def test_a_group_whose_link_is_cut_for_good_is_closed_at_every_member(cut: str) -> None:
    scenario = msgspec.structs.replace(star(3), faults=(LinkDown(link=cut, at_s=0.3),))
    testbed, told = InProcess(scenario), list[Any]()

    def takes(opening: Any) -> Program:
        opened = yield opening
        answer = opened
        while not isinstance(answer, Failed):
            answer = yield NextGroupQubit(call=0, group=opened.group)
            if not isinstance(answer, Failed):
                yield Run(call=0, steps=(Measure(qubit=answer.qubit),))
        told.append(answer.code)
        yield Detach(call=0)

    testbed.start("e0", takes(OpenGroup(call=0, members=("e1", "e2"))))
    for member in ("e1", "e2"):
        testbed.start(member, takes(JoinGroup(call=0)))
    testbed.run()
    assert told == ["closed"] * 3
