"""Faults of memories, by numbers: lifetimes, bursts and slots against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drive import LONG_KM, LONG_PS, Drive, S

from orchestrator.fabric.predictions import fidelity
from orchestrator.scenario import Fault, Link, SenderReceiver, Source
from orchestrator.scenario.faults import BurstDecoherence, MemoryLifetime, SlotFailure
from orchestrator.scenario.hardware import Memory
from qnode.wire import fabric
from qnode.wire.quantum import Discard, Move, Prepare

T1_S, T2_S, T_S = 3.0, 2.0, 5.0
DECAYING = Memory(slots=4, t1_s=T1_S, t2_s=T2_S)


def drive(*faults: Fault, memory: Memory = DECAYING, heralding: Any = None) -> Drive:
    link = Link(ends=("A", "B"), length_km=LONG_KM, attenuation_db_per_km=0.0, heralding=heralding or Source())
    return Drive(nodes="AB", links={"ab": link}, faults=faults, memory=memory)


def stored(driven: Drive, at: int) -> float:
    """Fidelity to Phi+ at an instant of the first pair, which was asked for at the start."""
    driven.generate("ab", "AB", at=0)
    driven.run(end=at)
    (line,) = driven.lines("heralded")
    return fidelity(driven.engine.laboratory.aged_state(line["qubits"], at), 0)


def phi_plus(first_s: float, second_s: float) -> float:
    """Both halves decay to |0>: F = (1 + g1 g2 + (1 - g1)(1 - g2))/4 + exp(-(t1 + t2)/T2)/2."""
    g1, g2 = (-math.expm1(-each / T1_S) for each in (first_s, second_s))
    return (1 + g1 * g2 + (1 - g1) * (1 - g2)) / 4 + math.exp(-(first_s + second_s) / T2_S) / 2


@pytest.mark.parametrize("factor", [0.1, 4.0])
def test_a_lifetime_that_is_scaled_scales_the_time_that_passes_meanwhile(factor: float) -> None:
    fault = MemoryLifetime(at_s=1.0, for_s=0.5, node="A", factor=factor)
    whole = 3.0 - LONG_PS / S
    driven = drive(fault)
    assert stored(driven, 3 * S) == pytest.approx(phi_plus(whole - 0.5 + 0.5 / factor, whole), abs=1e-12)
    driven = drive(fault)
    driven.generate("ab", "AB", at=2 * S, number=7)
    driven.run(end=3 * S)
    (line,) = driven.lines("heralded")
    later = fidelity(driven.engine.laboratory.aged_state(line["qubits"], 4 * S), 0)
    assert later == pytest.approx(phi_plus(2.0 - LONG_PS / S, 2.0 - LONG_PS / S), abs=1e-15), "healed"


def test_factors_multiply_and_each_goes_when_it_goes() -> None:
    """Under depolarisation alone: F = 1/4 + 3/4 exp(-t/T), t as the memories felt it."""
    faults = (
        MemoryLifetime(name="a", at_s=1.0, for_s=2.0, node="A", factor=0.5),
        MemoryLifetime(name="b", at_s=2.0, for_s=2.0, select="all", factor=0.1),
    )
    driven = drive(*faults, memory=Memory(slots=4, depolarising_time_s=T_S))
    first = 1.0 - LONG_PS / S + 1.0 / 0.5 + 1.0 / 0.05 + 1.0 / 0.1 + 1.0
    second = 2.0 - LONG_PS / S + 2.0 / 0.1 + 1.0
    assert stored(driven, 5 * S) == pytest.approx(0.25 + 0.75 * math.exp(-(first + second) / T_S))
    assert [line["factor"] for line in driven.log.written if "factor" in line] == [0.5, 0.05, 0.1, 0.1, 1.0, 1.0]


def test_a_memory_that_emitted_before_the_strike_and_is_heralded_after_it_has_felt_both() -> None:
    """The sender of a 200 km link waits for two travel times; its receiver begins when the photon is there."""
    middle = LONG_PS / 2 / S
    driven = drive(MemoryLifetime(at_s=middle, node="A", factor=0.001), heralding=SenderReceiver())
    at = 3 * LONG_PS
    sender = middle + (3 * LONG_PS / S - middle) / 0.001
    assert stored(driven, at) == pytest.approx(phi_plus(sender, 2 * LONG_PS / S), abs=1e-9)


@pytest.mark.parametrize(
    ("upset", "expected"),
    [
        ({"depolarising_probability": 0.3}, 0.25 + 0.75 * 0.7),
        ({"dephasing_probability": 0.3}, 0.7),
        ({"amplitude_damping": 0.3}, (1 + 0.7) / 4 + math.sqrt(0.7) / 2),
        ({"dephasing_probability": 0.3, "depolarising_probability": 0.5}, 0.25 + 0.5 * (0.7 - 0.25)),
    ],
)
def test_a_burst_costs_what_the_formula_says_and_only_what_was_there(upset: dict[str, float], expected: float) -> None:
    driven = drive(BurstDecoherence(node="A", at_s=1.0, **upset), memory=Memory(slots=4))
    assert stored(driven, round(1.5 * S)) == pytest.approx(expected)
    assert driven.lines("fault")[0]["qubits"] == 1
    driven.generate("ab", "AB", at=2 * S, number=1)
    driven.run(end=3 * S)
    later = driven.lines("heralded")[1]["qubits"]
    assert fidelity(driven.engine.laboratory.aged_state(later, 3 * S), 0) == pytest.approx(1.0, abs=1e-15)


def test_two_bursts_and_decay_between_them_add_up() -> None:
    """Depolarisation multiplies w = (4F - 1)/3, whatever causes it."""
    bursts = BurstDecoherence(select="all", at_s=1.0, every_s=1.0, times=2, depolarising_probability=0.2)
    slow = MemoryLifetime(at_s=1.5, node="B", factor=0.5)
    driven = drive(bursts, slow, memory=Memory(slots=4, depolarising_time_s=T_S))
    felt = 2 * (3.0 - LONG_PS / S) + 1.5
    assert stored(driven, 3 * S) == pytest.approx(0.25 + 0.75 * 0.8**4 * math.exp(-felt / T_S))


def test_a_burst_reaches_a_memory_whose_herald_is_still_on_its_way() -> None:
    burst = BurstDecoherence(node="A", at_s=LONG_PS / S, depolarising_probability=0.3)
    driven = drive(burst, memory=Memory(slots=4), heralding=SenderReceiver())
    assert stored(driven, 3 * LONG_PS) == pytest.approx(0.25 + 0.75 * 0.7)


def told(driven: Drive) -> list[tuple[int, str, int, tuple[str, ...]]]:
    return [(each.at, each.role, each.number, each.lost) for each in driven.of(fabric.SlotsOutOfService)]


def prepare(driven: Drive, at: int, *names: str, role: Any = "storage") -> int:
    return driven.plan("A", at, fabric.Circuit(steps=tuple(Prepare(qubit=name, role=role) for name in names)))


def test_free_slots_fail_first_then_attempts_then_qubits_and_they_come_back_empty() -> None:
    """Of four: one qubit, two attempts, one free."""
    fault = SlotFailure(name="first", at_s=2.0, for_s=3.0, node="A")
    more = SlotFailure(name="more", at_s=3.0, for_s=3.0, node="A", slots=2)
    driven = drive(fault, more)
    prepare(driven, 0, "A#q", role="communication")
    asks = driven.generate("ab", "A", at=S) + driven.generate("ab", "A", at=S, number=1)
    driven.run(end=4 * S)
    assert told(driven) == [(2 * S, "communication", 1, ()), (3 * S, "communication", 3, ())]
    refused = driven.of(fabric.Refused)
    assert [(each.operation, each.code) for each in refused] == [(asks[1], "no_slot"), (asks[0], "no_slot")]
    assert "A#q" in driven.engine.laboratory.qubits
    assert [line["attempts_ended"] for line in driven.lines("fault")] == [0, 2]
    prepare(driven, round(4.5 * S), "A#r", role="communication")
    driven.run(end=round(4.9 * S))
    reason = driven.of(fabric.Refused)[-1].reason
    assert reason == "step 0: all 1 communication slots of A are occupied, 3 more are out of service"
    driven.run(end=7 * S)
    assert told(driven)[2:] == [(5 * S, "communication", 2, ()), (6 * S, "communication", 0, ())]
    prepare(driven, 8 * S, "A#s", "A#t", "A#u", role="communication")
    driven.run()
    assert {"A#q", "A#s", "A#t", "A#u"} <= driven.engine.laboratory.qubits.keys()


def test_qubits_in_failed_slots_are_lost_by_the_seed_and_whoever_uses_them_is_told() -> None:
    fault = SlotFailure(at_s=2.0, node="A", slots=3, role="storage")
    driven = drive(fault, memory=Memory(slots=4))
    prepare(driven, 0, "A#0", "A#1", "A#2", "A#3")
    driven.run(end=3 * S)
    ((_, _, _, lost),) = told(driven)
    assert len(lost) == 3
    (left,) = {"A#0", "A#1", "A#2", "A#3"} - set(lost)
    assert set(driven.engine.laboratory.qubits) == {left}
    driven.plan("A", 4 * S, fabric.Circuit(steps=(Discard(qubit=lost[0]),)))
    driven.run(end=5 * S)
    assert driven.of(fabric.Refused)[-1].code == "gone"
    assert "was lost when its slot at A failed" in driven.of(fabric.Refused)[-1].reason
    again = drive(fault, memory=Memory(slots=4))
    prepare(again, 0, "A#0", "A#1", "A#2", "A#3")
    again.run(end=3 * S)
    assert told(again) == told(driven)


def test_a_qubit_that_is_lost_leaves_the_state_of_what_it_was_entangled_with_mixed() -> None:
    driven = drive(SlotFailure(at_s=1.0, node="A", slots=4), memory=Memory(slots=4))
    driven.generate("ab", "AB", at=0)
    driven.run(end=2 * S)
    (line,) = driven.lines("heralded")
    state = driven.engine.laboratory.aged_state((line["qubits"][1],), 2 * S)
    assert state == pytest.approx(np.eye(2) / 2)
    assert driven.engine.laboratory.occupancy[("A", "communication")].occupied == 0


def test_more_slots_than_there_are_cannot_fail_and_no_more_come_back() -> None:
    faults = [SlotFailure(name=f"f{each}", at_s=each, for_s=3.0, node="A", slots=3, role="storage") for each in (1, 2)]
    driven = drive(*faults)
    driven.run()
    assert [line["slots_failed"] for line in driven.lines("fault")] == [3, 1]
    assert [line["slots_back"] for line in driven.lines("healed")] == [3, 1]
    assert driven.engine.laboratory.memories["A"].slots("storage") == 4


def test_a_move_into_a_slot_that_failed_is_refused_and_the_qubit_stays() -> None:
    driven = drive(SlotFailure(at_s=1.0, node="A", slots=4, role="storage"))
    prepare(driven, 0, "A#q", role="communication")
    driven.plan("A", 2 * S, fabric.Circuit(steps=(Move(qubit="A#q", role="storage"),)))
    driven.run()
    assert driven.of(fabric.Refused)[-1].code == "no_slot"
    assert driven.engine.laboratory.qubits["A#q"].role == "communication"
