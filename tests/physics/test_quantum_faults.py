"""Faults of quantum links, by numbers: rates, delays and fidelities against closed forms, and how they compose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from drive import LONG_KM, LONG_PS, Drive, S, send

from orchestrator.deployment import node_configurations
from orchestrator.fabric.heralding import LinkModel
from orchestrator.fabric.predictions import fidelity, werner
from orchestrator.scenario import (
    DoubleClick,
    Fault,
    Heralding,
    Link,
    LinkDown,
    MidpointSource,
    SenderReceiver,
    SingleClick,
    Source,
    Transmission,
)
from orchestrator.scenario.faults import (
    DarkCounts,
    ExtraLoss,
    FidelityDrift,
    HeraldLatency,
    PauliNoise,
    QuantumDown,
)
from qnode.wire import fabric
from qnode.wire.quantum import Discard, Prepare

SIGMAS = 4.5
DARK = 0.01


def drive(heralding: Heralding, *faults: Fault, length_km: float = LONG_KM, **more: Any) -> Drive:
    link = Link(ends=("A", "B"), length_km=length_km, heralding=heralding, **more)
    return Drive(nodes="AB", links={"ab": link}, faults=faults)


def model(driven: Drive) -> LinkModel:
    return driven.engine.links["ab"].models[0]


def pair(driven: Drive, number: int = 0) -> np.ndarray:
    """A new pair's true state (4, 4), just after its herald; its qubits are discarded."""
    asked = max(driven.engine.agenda.now_ps + S // 1000, 0)
    driven.generate("ab", "AB", at=asked, number=number)
    before = len(driven.lines("heralded"))
    driven.run(lambda: len(driven.lines("heralded")) > before)
    halves = driven.lines("heralded")[-1]["qubits"]
    state = driven.engine.laboratory.aged_state(halves, driven.engine.agenda.now_ps)
    for node, half in zip("AB", halves, strict=True):
        at = driven.engine.agenda.now_ps + S // 10
        driven.plan(node, at, fabric.Circuit(steps=(Discard(qubit=half),)))
    done = len(driven.of(fabric.Completed))
    driven.run(lambda: len(driven.of(fabric.Completed)) > done + 1)
    return state


def single_click(efficiency: float, alpha: float) -> float:
    """Humphreys et al. 2018, threshold detectors: 2 a (1 - a) eta + a^2 eta (2 - eta)."""
    return 2 * alpha * (1 - alpha) * efficiency + alpha**2 * efficiency * (2 - efficiency)


@pytest.mark.parametrize("loss_db", [0.5, 3.0, 20.0])
@pytest.mark.parametrize(
    "heralding",
    [DoubleClick(), MidpointSource(), SenderReceiver(), Source(success_probability=0.5)],
    ids=lambda heralding: type(heralding).__name__,
)
def test_extra_loss_costs_its_share_of_the_rate_where_one_photon_or_two_have_to_pass_all_of_it(
    heralding: Heralding, loss_db: float
) -> None:
    driven = drive(heralding, ExtraLoss(at_s=1.0, for_s=1.0, link="ab", loss_db=loss_db))
    before = model(driven)
    driven.run(end=S)
    assert model(driven).success_probability / before.success_probability == pytest.approx(10 ** (-loss_db / 10))
    assert model(driven).attempt_cycle_ps == before.attempt_cycle_ps
    driven.run(end=2 * S)
    assert model(driven) is before
    assert [line["kind"] for line in driven.log.written if line["kind"] in ("fault", "healed")] == ["fault", "healed"]


@pytest.mark.parametrize("loss_db", [0.5, 3.0, 20.0])
def test_extra_loss_costs_single_click_links_the_root_of_it_at_every_operating_point(loss_db: float) -> None:
    """Each photon passes half of the loss, and one is enough."""
    driven = drive(SingleClick(bright_state_population=0.3), ExtraLoss(at_s=1.0, link="ab", loss_db=loss_db))
    told = next(iter(node_configurations(driven.engine.scenario, applications=False)))
    before = driven.engine.links["ab"].models
    driven.run(end=S)
    after = driven.engine.links["ab"].models
    efficiency = 10 ** (-0.2 * LONG_KM / 20) * 10 ** (-loss_db / 20)
    assert len(after) == len(before) == 5
    for halving, changed in enumerate(after):
        assert changed.success_probability == pytest.approx(single_click(efficiency, 0.3 / 2**halving))
    rates = [point.rate_hz for point in told.links[0].operating_points]
    assert rates == [each.rate_hz for each in before], "what nodes were told is what they believe"


def test_operating_points_stay_as_many_though_dark_counts_make_some_of_them_worthless() -> None:
    heralding = SingleClick(bright_state_population=0.3)
    driven = drive(heralding, DarkCounts(at_s=1.0, link="ab", dark_count_probability=0.3))
    driven.run(end=S)
    after = driven.engine.links["ab"].models
    assert len(after) == 5
    assert after[4].fidelity < after[0].fidelity


def test_extra_loss_makes_heralds_as_rare_as_the_formula_says() -> None:
    """Attempts are geometric: mean 1/p, variance (1 - p)/p^2."""
    count, p = 300, 0.8 * 10**-0.6
    fault = ExtraLoss(link="ab", loss_db=6.0)
    driven = drive(Source(success_probability=0.8), fault, length_km=1.0)
    for number in range(count):
        pair(driven, number)
    attempts = [line["attempts"] for line in driven.lines("heralded")]
    assert abs(np.mean(attempts) - 1 / p) < SIGMAS * math.sqrt((1 - p) / p**2 / count)


def test_a_series_under_way_is_drawn_again_when_the_link_changes_and_one_that_is_decided_stays() -> None:
    """Of 200 km with the source at A's end: A hears of the pair last."""
    link = MidpointSource()
    loss = ExtraLoss(at_s=1e-6, for_s=0.5, link="ab", loss_db=30.0)
    driven = drive(link, loss, midpoint_km=0.0)
    driven.generate("ab", "AB", at=0)
    driven.run()
    (line,) = driven.lines("heralded")
    assert line["started_ps"] == S // 2 + S // 10**6, "healed before it was heralded, so drawn again"
    first, last = sorted(line["heralded_ps"])
    assert last - first == LONG_PS
    late = ExtraLoss(at_s=(first + 1) / S, link="ab", loss_db=30.0)
    again = drive(link, loss, late, midpoint_km=0.0)
    again.generate("ab", "AB", at=0)
    again.run(end=2 * last)
    assert again.lines("heralded") == [line], "its first herald was there"
    assert sorted(event.at for event in again.of(fabric.Heralded)) == [first, last]


@pytest.mark.parametrize(("given_s", "cycle_ps"), [(None, LONG_PS + S // 50), (0.001, S // 1000)])
def test_heralds_come_exactly_so_much_later_at_both_ends(given_s: float | None, cycle_ps: int) -> None:
    latency = [HeraldLatency(name=name, for_s=10.0, link="ab", added_s=0.01) for name in ("slow", "slower")]
    driven = drive(Source(attempt_cycle_s=given_s), *latency)
    driven.generate("ab", "AB", at=0)
    driven.run(end=9 * S)
    assert [event.at for event in driven.of(fabric.Heralded)] == [LONG_PS + S // 50] * 2
    assert [event.emitted_at for event in driven.of(fabric.Heralded)] == [LONG_PS] * 2
    assert model(driven).attempt_cycle_ps == cycle_ps
    driven.run()
    driven.generate("ab", "AB", at=20 * S, number=1)
    driven.run()
    assert [event.at for event in driven.of(fabric.Heralded)[2:]] == [20 * S + LONG_PS] * 2


def test_false_heralds_cost_the_fidelity_that_the_formula_says() -> None:
    """Sender-receiver (Jones et al. 2016): true with the probability T, else a dark count on an empty memory."""
    transmission = 10 ** (-0.2 * 50.0 / 10)
    heralding = SenderReceiver(emission_fidelity=0.9, dark_count_probability=1e-4)
    faults = [
        DarkCounts(name=f"d{each}", at_s=1.0, for_s=1.0, link="ab", dark_count_probability=each) for each in (1e-6, 0.2)
    ]
    driven = drive(heralding, *faults, length_km=50.0)
    before = model(driven)
    driven.run(end=S)
    true, false = transmission, (1 - transmission) * 0.2
    assert model(driven).success_probability == pytest.approx(true + false)
    expected = (0.9 * true + 0.25 * false) / (true + false)
    assert model(driven).fidelity == pytest.approx(expected)
    assert fidelity(pair(driven), 0) == pytest.approx(expected), "of the pairs that are made, too"
    driven.run(end=2 * S)
    assert model(driven) is before


@pytest.mark.parametrize("werner_fidelity", [1.0, 0.8])
def test_pauli_noise_turns_a_werner_pair_as_the_formula_says(werner_fidelity: float) -> None:
    """F' = (1 - p) F + p (1 - F)/3 for any Pauli channel of total probability p on one half."""
    noise = PauliNoise(for_s=10.0, link="ab", pauli_probabilities=(0.05, 0.02, 0.1))
    driven = drive(Source(fidelity=werner_fidelity), noise)
    noisy = pair(driven)
    p, rest = 0.17, (1 - werner_fidelity) / 3
    assert fidelity(noisy, 0) == pytest.approx((1 - p) * werner_fidelity + p * rest)
    for bell_index, probability in ((1, 0.1), (2, 0.05), (3, 0.02)):
        others = (1 - p) + (p - probability)
        assert fidelity(noisy, bell_index) == pytest.approx(probability * werner_fidelity + others * rest)
    driven.run(end=11 * S)
    assert pair(driven, 1) == pytest.approx(werner(werner_fidelity), abs=1e-15)


@pytest.mark.parametrize("at_s", [0.5, 1.0, 2.0, 4.0])
def test_fidelity_drifts_from_the_strike_on_as_the_formula_says(at_s: float) -> None:
    """F(t) = 1/4 + (F - 1/4) exp(-r t), t from the strike to the emission."""
    drift = FidelityDrift(at_s=0.4, for_s=10.0, link="ab", rate_per_s=0.7)
    driven = drive(Source(fidelity=0.95), drift)
    driven.generate("ab", "AB", at=round(at_s * S))
    driven.run(lambda: len(driven.lines("heralded")) == 1)
    (line,) = driven.lines("heralded")
    state = driven.engine.laboratory.aged_state(line["qubits"], driven.engine.agenda.now_ps)
    elapsed_s = (line["emitted_ps"][1] - 0.4 * S) / S
    assert fidelity(state, 0) == pytest.approx(0.25 + 0.7 * math.exp(-0.7 * elapsed_s))
    driven.run(end=12 * S)
    assert fidelity(pair(driven, 1), 0) == pytest.approx(0.95, abs=1e-15)


def test_several_faults_of_one_link_compose_and_each_goes_when_it_goes() -> None:
    lasting = {"link": "ab", "at_s": 1.0}
    faults = (
        ExtraLoss(name="a", loss_db=2.0, for_s=2.0, **lasting),
        ExtraLoss(name="b", loss_db=3.0, for_s=3.0, **lasting),
        FidelityDrift(name="c", rate_per_s=1e-9, for_s=4.0, **lasting),
        PauliNoise(name="d", pauli_probabilities=(0.1, 0.0, 0.0), for_s=4.0, **lasting),
        PauliNoise(name="e", pauli_probabilities=(0.1, 0.0, 0.0), for_s=5.0, **lasting),
    )
    driven = drive(SenderReceiver(), *faults)
    base = model(driven).success_probability
    for at_s, db, flips in ((2.0, 5.0, 0.18), (3.5, 3.0, 0.18), (4.5, 0.0, 0.18), (5.5, 0.0, 0.1), (7.0, 0.0, 0.0)):
        driven.run(end=round(at_s * S))
        assert model(driven).success_probability == pytest.approx(base * 10 ** (-db / 10)), at_s
        in_fibre = drive(Source(), *[each for each in faults if at_s < 1.0 + (each.for_s or 0.0)], length_km=1.0)
        in_fibre.run(end=round(1.01 * S))
        assert fidelity(pair(in_fibre), 2) == pytest.approx(flips, abs=1e-7), at_s


def test_a_link_whose_quantum_part_is_down_makes_no_pairs_and_its_messages_go_on() -> None:
    down = QuantumDown(at_s=0.0, for_s=5.0, link="ab")
    driven = drive(Source(), down)
    driven.generate("ab", "AB", at=S)
    driven.plan("A", S, send(S, "B", over="ab"))
    driven.plan("A", 2 * S, fabric.Circuit(steps=(Prepare(qubit="A#q"),)))
    transmit = driven.plan("A", 3 * S, fabric.Transmit(link="ab", qubit="A#q"))
    driven.run(end=4 * S)
    assert not driven.of(fabric.Heralded)
    assert [event.at for event in driven.of(fabric.Delivered)] == [S + LONG_PS]
    assert [(event.operation, event.code) for event in driven.of(fabric.Refused)] == [(transmit, "refused")]
    assert "A#q" in driven.engine.laboratory.qubits
    driven.run()
    assert [event.at for event in driven.of(fabric.Heralded)] == [5 * S + LONG_PS] * 2


def test_a_link_that_is_down_twice_is_up_when_neither_lasts() -> None:
    driven = drive(Source(), LinkDown(at_s=1.0, for_s=2.0, link="ab"), QuantumDown(at_s=2.0, for_s=2.0, link="ab"))
    driven.generate("ab", "AB", at=round(1.5 * S))
    driven.run()
    assert [event.at for event in driven.of(fabric.Heralded)] == [4 * S + LONG_PS] * 2


def test_extra_loss_and_pauli_noise_befall_qubits_that_are_sent() -> None:
    count, loss_db, flips = 400, 3.0, 0.3
    driven = Drive(
        nodes="AB",
        links={"ab": Link(ends=("A", "B"), length_km=10.0, transmission=Transmission(coupling_efficiency=0.9))},
        faults=(
            ExtraLoss(link="ab", loss_db=loss_db),
            PauliNoise(link="ab", pauli_probabilities=(flips, 0.0, 0.0)),
        ),
    )
    for number in range(count):
        name, at = f"A#{number}", (1 + number) * S
        driven.plan("A", at, fabric.Circuit(steps=(Prepare(qubit=name),)))
        driven.plan("A", at + S // 10, fabric.Transmit(link="ab", qubit=name))
        driven.run(end=at + S // 2)
        if name in driven.engine.laboratory.qubits:
            state = driven.engine.laboratory.aged_state((name,), at + S // 2)
            assert state[1, 1].real == pytest.approx(flips)
            driven.plan("B", at + S // 2 + 1, fabric.Circuit(steps=(Discard(qubit=name),)))
    survived = len(driven.of(fabric.Arrived)) / count
    p = 0.9 * 10 ** (-(0.2 * 10.0 + loss_db) / 10)
    assert abs(survived - p) < SIGMAS * math.sqrt(p * (1 - p) / count)


def test_a_fault_leaves_the_draws_of_others_alone() -> None:
    """Select, Eve and links have streams of their own."""
    latency = HeraldLatency(name="late", for_s=0.5, every_s=1.0, times=8, select="one", added_s=0.001)
    links = {
        f"{a}{b}".lower(): Link(ends=(a, b), length_km=LONG_KM, heralding=Source(success_probability=0.5))
        for a, b in ("AB", "BC", "CA")
    }

    def struck(*more: Fault) -> list[str]:
        driven = Drive(nodes="ABC", links=links, faults=(*more, latency))
        driven.run()
        return [line["link"] for line in driven.lines("fault") if line["name"] == "late"]

    alone = struck()
    assert len(set(alone)) > 1
    assert alone == struck(ExtraLoss(name="other", for_s=0.3, every_s=0.7, times=9, select="one", loss_db=1.0))
