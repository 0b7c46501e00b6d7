"""Qubits sent over circuits: once, or not at all with an error; and what a lost peer or a lost half means."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from typing import Any

import pytest
from in_process import InProcess

from orchestrator.scenario import Link, Network, Node, NodeKill, Scenario, Source
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire.application import (
    AcceptCircuit,
    Detach,
    Failed,
    NextCircuitPair,
    OpenCircuit,
    Outcomes,
    Qubit,
    ReceiveTeleported,
    Run,
    Sleep,
    Teleport,
)
from qnode.wire.quantum import Discard, Gate, Measure, Prepare

Program = Generator[Any, Any, None]
SENT = 24


def line(*, bell_success: float = 1.0, faults: tuple[Any, ...] = (), seed: int = 5) -> Scenario:
    hardware = Hardware(
        communication=Memory(slots=4), storage=Memory(slots=4), bell_measurement_success_probability=bell_success
    )
    ends = (("a", "r"), ("r", "b"))
    return Scenario(
        version=1,
        name="line",
        seed=seed,
        network=Network(),
        nodes={name: Node(hardware=hardware) for name in "arb"},
        links={
            "".join(pair): Link(ends=pair, length_km=20, heralding=Source(success_probability=0.5)) for pair in ends
        },
        faults=faults,
    )


def sends(sent: int, seen: list[Any]) -> Program:
    """Qubits in |0>, |1>, |0>, ... whose order the other end checks."""
    opened = yield OpenCircuit(call=0, remote="b")
    for number in range(sent):
        steps = (Prepare(), *([Gate(name="X", qubits=("$0",))] if number % 2 else []))
        prepared = yield Run(call=0, steps=steps)
        pair = yield NextCircuitPair(call=0, circuit=opened.circuit)
        if isinstance(pair, Failed):
            seen.append(pair)
            break
        answer = yield Teleport(call=0, qubit=prepared.qubits[0], pair_id=pair.pair.pair_id, confirmed=True)
        seen.append(answer)
    yield Sleep(call=0, duration_ps=10**10)
    yield Detach(call=0)


def receives(seen: list[Any], *, throws_away: int = -1) -> Program:
    opened = yield AcceptCircuit(call=0)
    number = 0
    while True:
        pair = yield NextCircuitPair(call=0, circuit=opened.circuit)
        if isinstance(pair, Failed):
            break
        if number == throws_away:
            yield Run(call=0, steps=(Discard(qubit=pair.pair.qubit),))
        else:
            qubit = yield ReceiveTeleported(call=0, pair_id=pair.pair.pair_id)
            if isinstance(qubit, Qubit):
                outcome = yield Run(call=0, steps=(Measure(qubit=qubit.qubit),))
                seen.append((pair.number, outcome.bits[0]))
            else:
                seen.append((pair.number, qubit.code))
        number += 1
    yield Detach(call=0)


def run(scenario: Scenario, **receiving: Any) -> tuple[InProcess, list[Any], list[Any]]:
    testbed = InProcess(scenario)
    sent: list[Any] = []
    got: list[Any] = []
    testbed.start("a", sends(SENT, sent))
    testbed.start("b", receives(got, **receiving))
    testbed.run(at_most_s=200)
    return testbed, sent, [(number, what) for number, what in got if number < SENT]  # the head closes before the rest


def test_every_qubit_comes_out_once_in_order_and_the_sender_hears_of_it_after_a_round_trip() -> None:
    testbed, sent, got = run(line())
    assert [type(answer) for answer in sent] == [Outcomes] * SENT
    assert got == [(number, number % 2) for number in range(SENT)]
    latency_ps = 2 * testbed.configuration("a").links[0].latency_ps
    sent_at = [answer.now_ps for answer in sent]
    assert all(later - earlier >= 2 * latency_ps for earlier, later in itertools.pairwise(sent_at))


def test_a_half_that_the_other_end_threw_away_is_an_error_for_the_sender() -> None:
    _, sent, got = run(line(), throws_away=3)
    assert [answer.code for answer in sent if isinstance(answer, Failed)] in (["lost"], ["discarded"], ["gone"])
    assert len(got) == SENT - 1


@pytest.mark.parametrize("seed", range(4))
def test_an_inconclusive_measurement_loses_the_qubit_and_says_so_at_both_ends(seed: int) -> None:
    _, sent, got = run(line(bell_success=0.5, seed=seed))
    failed = [number for number, answer in enumerate(sent) if isinstance(answer, Failed)]
    assert {answer.code for answer in sent if isinstance(answer, Failed)} == {"inconclusive"}
    assert 0 < len(failed) < SENT
    lost = [number for number, what in got if what == "discarded"]
    arrived = [(number, bit) for number, bit in got if bit != "discarded"]
    assert lost == failed
    assert arrived == [(number, number % 2) for number in range(SENT) if number not in failed]


def test_a_receiver_that_dies_is_an_error_for_the_sender_and_no_hang() -> None:
    testbed = InProcess(line(faults=(NodeKill(at_s=0.02, node="b"),)))
    sent: list[Any] = []
    testbed.start("a", sends(10_000, sent))
    testbed.start("b", receives([]))
    testbed.run(lambda: any(isinstance(answer, Failed) for answer in sent), at_most_s=60)
    assert sent[-1].code in ("lost", "closed")
    assert all(isinstance(answer, Outcomes) for answer in sent[:-1])
