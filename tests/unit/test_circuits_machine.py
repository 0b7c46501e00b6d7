"""Circuits under disorder: random topologies, programs, faults and messages lost, repeated, delayed and reordered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from disorder import ON_LINKS, ON_MEMORIES, CircuitPlan, Disordered, Outcome, Plan, carry_out, program
from drive import Lines, S
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.scenario.faults import FibreCut, ManInTheMiddle
from qnode.wire.circuits import Reserved
from qnode.wire.peer import carried, unsealed


@st.composite
def circuit_plans(draw: st.DrawFn, nodes: int, *, perfect: bool) -> CircuitPlan:
    """A circuit between two of so many nodes."""
    head = draw(st.integers(0, nodes - 1))
    tail = (head + draw(st.integers(1, nodes - 1))) % nodes
    takes = draw(st.integers(1, 6))
    ends = st.sampled_from(("leave", "close", "detach"))
    return CircuitPlan(
        head=head,
        tail=tail,
        kind=draw(st.sampled_from(("K", "K", "M"))),
        swapping=draw(st.sampled_from(("asap", "nested"))),
        slots=draw(st.integers(1, 4)),
        cutoff_ms=draw(st.sampled_from((None, None, 20.0, 100.0))),
        end_rounds=draw(st.sampled_from((0, 0, 1, 2))),
        priority=draw(st.sampled_from((0, 0, 0, 1, 2))),
        fidelity=0.0 if perfect else draw(st.sampled_from((0.0, 0.9))),
        test_fraction=draw(st.sampled_from((0.0, 0.0, 0.5))),
        as_heralded=draw(st.booleans()),
        axes=draw(st.sampled_from(((), ("X", "Z"), ("X", "Y", "Z")))),
        starts_ms=draw(st.sampled_from((0.0, 3.0, 50.0))),
        accepts_ms=draw(st.sampled_from((0.0, 10.0, 60.0))),
        head_takes=takes,
        tail_takes=max(0, takes + draw(st.sampled_from((0, 0, -1, 1, 3)))),
        holds=draw(st.booleans()),
        head_ends=draw(ends),
        tail_ends=draw(ends),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Anything at all."""
    nodes = draw(st.integers(2, 6))
    told = draw(st.sampled_from((1.0, 1.0, 0.9)))
    circuits = draw(st.lists(circuit_plans(nodes, perfect=told == 1.0), min_size=1, max_size=4))
    moment = st.sampled_from((0.05, 0.2, 0.41, 1.0))
    fault = st.tuples(
        st.sampled_from(
            ("node", "restart", "pause", "slow", "drift", "offset", "partition", *ON_LINKS, *ON_MEMORIES)
        ).flatmap(lambda kind: st.integers(0, 5).map(lambda number: f"{kind}:{number}")),
        moment,
        st.sampled_from((0.0, 0.3, 1.0, 3.0)),
    )
    return Plan(
        shape=draw(st.sampled_from(("chain", "ring", "star"))),
        nodes=nodes,
        communication=draw(st.sampled_from((4, 8, 2, 1))),
        storage=draw(st.sampled_from((0, 4, 8))),
        click=draw(st.booleans()),
        length_km=draw(st.sampled_from((10.0, 1.0))),
        swap_success=draw(st.sampled_from((1.0, 0.5))),
        duration_s=draw(st.sampled_from((0.0, 1e-5))),
        told_fidelity=told,
        circuits=tuple(circuits),
        faults=tuple(draw(st.lists(fault, max_size=2))) if draw(st.booleans()) else (),
        vanish=draw(st.sampled_from((0.0, 0.0, 0.02))),
        loss=draw(st.sampled_from((0.0, 0.0, 0.1, 0.3))),
        repeats=draw(st.sampled_from((0.0, 0.2))),
        delays=draw(st.sampled_from((0.0, 0.3))),
        delay_ms=draw(st.sampled_from((0.1, 10.0))),
        seed=draw(st.integers(0, 1000)),
    )


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(plans())
def test_whatever_befalls_messages_links_and_nodes_pairs_match_and_nothing_is_left(plan: Plan) -> None:
    carry_out(plan)


AROUND = Plan(shape="ring", nodes=4, storage=4, click=True)


@pytest.mark.parametrize("seed", range(8))
def test_a_circuit_gets_over_a_herald_that_only_one_end_hears(seed: int) -> None:
    """With one slot a side, an end that keeps half of such a pair keeps the circuit from ever making another."""
    circuit = CircuitPlan(head=1, tail=3, kind="KM"[seed % 2], slots=1, head_takes=4, tail_takes=4)  # type: ignore[arg-type]
    plan = replace(AROUND, circuits=(circuit,), seed=seed)
    quiet = Lines()
    carry_out(plan, testbed=Disordered(plan, log=quiet))
    heralds = [line for line in quiet.written if line["kind"] == "heralded"]
    herald = heralds[seed % len(heralds)]
    near_first_end = seed % 4 < 2
    cut_ps = herald["heralded_ps"][0 if near_first_end else 1] - 12_000_000  # 2 km before the end
    cut = FibreCut(
        name="cut",
        link=herald["link"],
        at_km=2.0 if near_first_end else 8.0,
        at_s=cut_ps / S,
        for_s=(1e-4, 0.05)[seed % 2],
    )
    struck = Lines()
    testbed = carry_out(plan, testbed=Disordered(replace(plan, besides=(cut,)), log=struck))
    assert [line["pair"] for line in struck.written if line["kind"] == "herald_lost"] == [herald["pair"]]
    assert {line["pair"] for line in testbed.of_kind("herald_missed")} == {herald["pair"]}


class Deafened(Disordered):
    """For the first second the head does not hear from its neighbour that its path stands."""

    def _disturb(self, sender: str, recipient: str, payload: bytes) -> tuple[int, ...]:
        told = carried(unsealed(payload))
        return () if isinstance(told, Reserved) and recipient == "n0" and self.now < S else (0,)


def test_a_swap_that_is_told_before_the_head_knows_that_its_path_stands_counts() -> None:
    """With one slot a side, a pair whose swap the head never heard of would be waited for until the end."""
    plan = Plan(nodes=4, click=True, circuits=(CircuitPlan(head=0, tail=3, slots=1, head_takes=4, tail_takes=4),))
    testbed = carry_out(plan, testbed=Deafened(plan))
    early = [line for line in testbed.of_kind("swap") if line["node"] == "n2"]
    assert early[0]["at"] < S < testbed.of_kind("circuit_opened")[0]["at"]
    assert len([line for line in testbed.of_kind("circuit_pair_delivered") if line["end"] == "head"]) == 4


class Unwatched(Disordered):
    """Whose pairs may be anything."""

    def _look(self, record: dict[str, Any]) -> None:
        pass


@pytest.mark.parametrize("seed", range(6))
def test_forged_words_between_nodes_bring_no_node_down(seed: int) -> None:
    """Bits of every third message of the control plane flip, and the checksums are valid."""
    eve = ManInTheMiddle(
        name=f"eve{seed}", select="all", action="change", messages=("all",), flip_bits=1 + seed % 2, fraction=0.33
    )
    circuits = (CircuitPlan(head=0, tail=2, swapping="nested"), CircuitPlan(head=2, tail=1, kind="M"))
    testbed = Unwatched(Plan(circuits=circuits, besides=(eve,), seed=seed, duration_s=1e-5))
    for number, circuit in enumerate(circuits):
        testbed.start(f"n{circuit.head}", program(circuit, number, Outcome(), head=True), name=f"h{number}")
        testbed.start(f"n{circuit.tail}", program(circuit, number, Outcome(), head=False), name=f"t{number}")
    testbed.run_for(30.0)
    assert testbed.engine.faults.effects[eve.name]["message_changed"] > 100
