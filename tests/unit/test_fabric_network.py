"""What the fabric does for a network: channels beside links, housekeeping, operating points, faults, the truth."""

from __future__ import annotations

from typing import Any

import pytest
from drive import LONG_KM, LONG_PS, MS, Drive, S, send

from orchestrator import control
from orchestrator.fabric.heralding import link_model
from orchestrator.fabric.operating_points import operating_models, operating_point
from orchestrator.fabric.predictions import fidelity
from orchestrator.scenario import (
    ClassicalLink,
    Link,
    LinkDown,
    Network,
    NodeKill,
    SingleClick,
    Source,
)
from qnode.wire import fabric
from qnode.wire.quantum import Discard, Gate, Measure, MeasureBell, Prepare


def test_a_message_over_a_link_takes_the_links_own_time_though_another_way_is_faster() -> None:
    drive = Drive(classical_links={"radio": ClassicalLink(ends=("A", "B"), latency_s=1e-6)})
    drive.plan("A", 0, send(0, "B"))
    drive.plan("A", 0, send(0, "B", over="ab"))
    drive.run()
    assert [event.at for event in drive.of(fabric.Delivered)] == [10**6, LONG_PS]


@pytest.mark.parametrize("over", ["bc", "nonsense"])
def test_a_message_over_a_link_that_does_not_join_the_two_is_not_delivered(over: str) -> None:
    drive = Drive()
    drive.plan("A", 0, send(0, "B", over=over))
    drive.run()
    assert not drive.of(fabric.Delivered)
    assert [line["over"] for line in drive.lines("message_undeliverable")] == [over]


def test_housekeeping_is_counted_and_not_logged() -> None:
    drive = Drive()
    drive.plan("A", 0, send(0, "B", housekeeping=True))
    drive.plan("A", 0, send(0, "B"))
    drive.run()
    assert len(drive.of(fabric.Delivered)) == 2
    assert len(drive.lines("message")) == 1
    assert drive.engine.housekeeping_messages == 1


def test_a_network_in_which_only_hellos_go_on_rests_after_a_while() -> None:
    drive = Drive()
    drive.hellos = True
    drive.plan("A", 3 * S, send(3 * S, "C"))
    resting: list[int] = []

    def rests() -> bool:
        due = drive.engine.next_time()
        if due is not None and drive.engine.rests(due):
            resting.append(due)
        return bool(resting)

    drive.run(rests, end=40 * S)
    assert 13 * S <= resting[0] <= 24 * S, "ten seconds after the last message, looked at every ten seconds"


def test_a_network_does_not_rest_while_a_node_expects_something_or_a_herald_is_to_come() -> None:
    drive = Drive()
    drive.hellos = True
    drive.expects["B"] = True
    due_rests = lambda: drive.engine.rests(drive.engine.next_time() or 0)  # noqa: E731
    drive.run(due_rests, end=50 * S)
    assert drive.engine.agenda.now_ps > 49 * S
    rare = {"ab": Link(ends=("A", "B"), length_km=LONG_KM, heralding=Source(success_probability=1e-4))}
    drive = Drive(links=rare, nodes="AB", network=Network(idle_after_s=0.01))
    drive.generate("ab", "AB", at=0)
    drive.hellos = False
    drive.run(lambda: drive.engine.links["ab"].series is not None)
    series = drive.engine.links["ab"].series
    assert series is not None and series.attempts > 1000
    assert not drive.engine.rests(series.heralded_at[0] - 1)


def test_a_network_does_not_rest_before_a_fault_that_is_to_come() -> None:
    drive = Drive(faults=(LinkDown(at_s=30.0, link="ab"),))
    drive.hellos = True
    drive.run(lambda: drive.engine.rests(drive.engine.next_time() or 0), end=60 * S)
    assert 39 * S <= drive.engine.agenda.now_ps < 51 * S


def test_ends_that_ask_at_different_operating_points_wait_and_draws_are_from_the_points_own_model() -> None:
    click = SingleClick(bright_state_population=0.2, dark_count_probability=1e-6, coupling_efficiency=0.5)
    links = {"ab": Link(ends=("A", "B"), length_km=1.0, heralding=click)}
    models = operating_models(links["ab"])
    assert len(models) == 5
    assert [model.rate_hz for model in models] == sorted((model.rate_hz for model in models), reverse=True)
    assert [model.fidelity for model in models] == sorted(model.fidelity for model in models)
    assert models[2].rate_hz == link_model(links["ab"], bright_state_population=0.05).rate_hz
    drive = Drive(links=links, nodes="AB")
    drive.generate("ab", "A", at=0, operating_point=0)
    drive.generate("ab", "B", at=0, operating_point=2)
    drive.run()
    assert not drive.of(fabric.Heralded)
    drive.generate("ab", "A", at=1 * S, number=1, operating_point=2)
    drive.run(lambda: len(drive.of(fabric.Heralded)) == 2)
    state = drive.engine.laboratory.state_now(("A#ab1", "B#ab0"), drive.engine.agenda.now_ps)
    bell_index = drive.of(fabric.Heralded)[0].bell_index
    assert fidelity(state, bell_index) == pytest.approx(models[2].fidelity)
    drive.generate("ab", "A", at=drive.engine.agenda.now_ps + S, number=2, operating_point=5)
    drive.run()
    (refused,) = drive.of(fabric.Refused)
    assert refused.code == "bad_request" and "operating points 0 to 4" in refused.reason


def test_the_spectrum_of_an_operating_point_is_the_announced_states_populations() -> None:
    werner = Link(ends=("A", "B"), length_km=1.0, heralding=Source(fidelity=0.85))
    assert operating_point(operating_models(werner)[0]).spectrum == pytest.approx((0.85, 0.05, 0.05, 0.05))
    # single click without dark counts: |11> with probability alpha, which is half Phi+ and half Phi- where Psi+- was
    # announced, hence half X and half XZ errors, and no phase error
    click = SingleClick(bright_state_population=0.1, detector="number_resolving", coupling_efficiency=1e-6)
    spectrum = operating_point(operating_models(Link(ends=("A", "B"), length_km=0.001, heralding=click))[0]).spectrum
    assert spectrum == pytest.approx((0.9, 0.0, 0.05, 0.05), abs=1e-5)


def test_a_link_without_a_knob_has_one_operating_point_and_dark_counts_end_the_knob() -> None:
    assert len(operating_models(Link(ends=("A", "B"), length_km=1.0))) == 1
    dark = SingleClick(bright_state_population=0.05, dark_count_probability=1e-3, coupling_efficiency=0.05)
    assert len(operating_models(Link(ends=("A", "B"), length_km=1.0, heralding=dark))) == 1


def test_an_inconclusive_bell_measurement_ends_both_qubits_and_says_so() -> None:
    drive = Drive(hardware={"bell_measurement_success_probability": 0.5})
    rounds = 400
    for number in range(rounds):
        steps = (
            Prepare(qubit=f"A#l{number}"),
            Prepare(qubit=f"A#r{number}"),
            MeasureBell(qubits=(f"A#l{number}", f"A#r{number}")),
            Prepare(qubit=f"A#never{number}"),
            Discard(qubit=f"A#never{number}"),
        )
        drive.plan("A", number * S, fabric.Circuit(steps=steps))
    drive.run()
    refused = drive.of(fabric.Refused)
    assert {event.code for event in refused} == {"inconclusive"}
    assert {event.done for event in refused} == {3}, "the measurement itself was done"
    assert abs(len(refused) - rounds / 2) < 4.5 * (rounds / 4) ** 0.5
    assert not drive.engine.laboratory.qubits
    assert drive.engine.laboratory.occupancy[("A", "storage")].occupied == 0


def test_a_link_that_is_down_makes_no_pair_and_draws_again_when_it_is_up() -> None:
    rare = {"ab": Link(ends=("A", "B"), length_km=1.0, heralding=Source(success_probability=1e-5))}
    down = LinkDown(at_s=1e-6, for_s=100.0, link="ab")
    drive = Drive(links=rare, nodes="AB", faults=(down,))
    drive.generate("ab", "AB", at=0)
    drive.run()
    first, second = drive.of(fabric.Heralded)
    assert min(first.at, second.at) > down.at_s * S + 100 * S
    (fault,), (healed,) = drive.lines("fault"), drive.lines("healed")
    assert (fault["name"], fault["link"], fault["attempts_end"]) == ("link_down ab", "ab", True)
    assert healed["t_ps"] == 10**6 + 100 * S and healed["attempts_start"]
    assert (first.at - healed["t_ps"]) % drive.engine.links["ab"].models[0].attempt_cycle_ps < 10**7


def test_messages_go_round_a_link_that_is_down_and_are_dropped_where_there_is_no_way() -> None:
    triangle = {
        "ab": Link(ends=("A", "B"), length_km=1.0),
        "bc": Link(ends=("B", "C"), length_km=1.0),
        "ac": Link(ends=("A", "C"), length_km=1.0),
    }
    faults = (LinkDown(at_s=1.0, for_s=5.0, link="ab"), LinkDown(at_s=2.0, for_s=1.0, link="ac"))
    drive = Drive(links=triangle, faults=faults)
    for at in (0.5, 1.5, 2.5, 3.5, 6.5):
        drive.plan("A", int(at * S), send(int(at * S), "B"))
    drive.plan("A", 1500 * MS, send(1500 * MS, "B", over="ab"))
    drive.run()
    one = 4_896_721
    assert [(event.at - one) % (500 * MS) for event in drive.of(fabric.Delivered)] == [0, one, one, 0]
    assert [line["t_ps"] for line in drive.lines("message_undeliverable")] == [1500 * MS, 2500 * MS]


def test_a_killed_node_is_gone_with_its_qubits_its_asks_and_its_links() -> None:
    links = {
        "ab": Link(ends=("A", "B"), length_km=1.0, heralding=Source(success_probability=1.0)),
        "bc": Link(ends=("B", "C"), length_km=1.0, heralding=Source(success_probability=1e-9)),
    }
    drive = Drive(links=links, faults=(NodeKill(at_s=2.0, node="B", name="the end of B"),))
    drive.generate("ab", "AB", at=0)
    drive.generate("bc", "BC", at=0)
    drive.plan("B", 1 * S, fabric.Circuit(steps=(Prepare(qubit="B#mine"),)))
    drive.plan("B", 3 * S, send(3 * S, "A"))
    drive.plan("A", 3 * S, send(3 * S, "C"))
    drive.plan("A", 3 * S, fabric.Circuit(steps=(Measure(qubit="A#ab0"),)))
    cancel = drive.plan("C", 4 * S, fabric.Cancel(operation=4))
    drive.run(end=5 * S)
    engine = drive.engine
    assert engine.orders == [control.EndNode(node="B", fault="the end of B")]
    assert not any(qubit.owner == "B" for qubit in engine.laboratory.qubits.values())
    assert engine.laboratory.occupancy[("B", "communication")].occupied == 0
    (fault,) = drive.lines("fault")
    assert (fault["fault"], fault["node"], fault["t_ps"], fault["qubits_lost"]) == ("node_kill", "B", 2 * S, 2)
    assert all(event.at < 2 * S for name, event in drive.events if name == "B")
    assert len(drive.of(fabric.Heralded)) == 2, "the pair on bc never came"
    assert [line["sender"] for line in drive.lines("message_undeliverable")] == ["A"]
    (measured,) = [event for event in drive.of(fabric.Completed) if event.operation != cancel and event.at > 2 * S]
    assert len(measured.bits) == 1, "the survivor's half is still there to be measured"


def test_no_window_reaches_beyond_a_fault() -> None:
    """A node that acts on its own in a window must not act after its end."""
    drive = Drive(faults=(NodeKill(at_s=0.5, node="A"),))
    early = S // 2 - 10
    drive.plan("A", early, send(early, "B"))
    drive.plan("A", S // 2 + 10, send(S // 2 + 10, "B"))
    drive.run()
    assert [event.at - LONG_PS for event in drive.of(fabric.Delivered)] == [early]


def chain_pair(drive: Drive, *, correct: bool) -> tuple[int, int]:
    """A swap at B; returns the frame of the pair A-C."""
    drive.generate("ab", "AB", at=0)
    drive.generate("bc", "BC", at=0)
    drive.run(lambda: len(drive.of(fabric.Heralded)) == 4)
    drive.run()
    at = drive.engine.agenda.now_ps + S
    swap = drive.plan("B", at, fabric.Circuit(steps=(MeasureBell(qubits=("B#ab0", "B#bc0")),)))
    drive.run()
    (bits,) = [event.bits for event in drive.of(fabric.Completed) if event.operation == swap]
    return (bits[0], bits[1]) if correct else (1 - bits[0], bits[1])


def delivered(end: str, **more: Any) -> dict[str, Any]:
    return {"circuit": "A-C/1", "generation": 1, "number": 0, "end": end, "pair": "e2e/0", "swaps": 1, **more}


def note(at: int, details: dict[str, Any]) -> fabric.Note:
    return fabric.Note(at=at, kind="circuit_pair_delivered", details=details)


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("head_first", [True, False])
def test_the_truth_of_a_circuits_pair_is_its_state_in_the_announced_frame(correct: bool, head_first: bool) -> None:
    drive = Drive()
    x, z = chain_pair(drive, correct=correct)
    now = drive.engine.agenda.now_ps + S
    head_uses, tail_hears = (now, now + S) if head_first else (now + S, now)
    head, tail = delivered("head", qubit="A#ab0", other_qubit=""), delivered("tail", qubit="C#bc0", other_qubit="A#ab0")
    drive.plan("A", now - 1, note(now - 1, head))
    drive.plan("A", head_uses, fabric.Circuit(steps=(Gate(name="X", qubits=("A#ab0",)), Measure(qubit="A#ab0"))))
    drive.plan("C", tail_hears, note(tail_hears, {**tail, "x": x, "z": z}))
    drive.run()
    use = drive.engine.truth.circuits[("A-C/1", 1)]
    assert (use.delivered, use.pairs, use.mismatched) == (1, 1, 0)
    assert fidelity(use.mean_state()) == pytest.approx(1.0 if correct else 0.0, abs=1e-9)


def test_a_head_that_is_told_after_the_tail_leaves_nothing_to_remember() -> None:
    drive = Drive()
    x, z = chain_pair(drive, correct=True)
    now = drive.engine.agenda.now_ps + S
    drive.plan("C", now, note(now, delivered("tail", qubit="C#bc0", other_qubit="A#ab0", x=x, z=z)))
    drive.plan("C", now + S, fabric.Circuit(steps=(Gate(name="H", qubits=("C#bc0",)),)))
    drive.plan("A", now + 2 * S, note(now + 2 * S, delivered("head", qubit="A#ab0", other_qubit="C#bc0", x=x, z=z)))
    drive.plan("A", now + 3 * S, fabric.Circuit(steps=(Measure(qubit="A#ab0"),)))
    drive.run()
    truth = drive.engine.truth
    assert (truth.circuits[("A-C/1", 1)].pairs, truth.pairs) == (1, {})
    assert not any((truth._early, truth._of_head, truth._of_half, truth._settled))


def test_ends_that_are_not_entangled_with_each_other_are_found_out() -> None:
    drive = Drive()
    drive.generate("ab", "AB", at=0)
    drive.generate("bc", "BC", at=0)
    drive.run()
    now = drive.engine.agenda.now_ps + S
    tail = delivered("tail", qubit="C#bc0", other_qubit="A#ab0", x=0, z=0)
    drive.plan("C", now, note(now, tail))
    drive.plan("C", now + S, fabric.Circuit(steps=(Measure(qubit="C#bc0"),)))
    drive.run()
    use = drive.engine.truth.circuits[("A-C/1", 1)]
    assert use.mismatched == 1
    assert fidelity(use.mean_state()) == pytest.approx(0.25)


def test_a_pair_that_is_thrown_away_says_nothing_of_the_circuit() -> None:
    drive = Drive()
    x, z = chain_pair(drive, correct=True)
    now = drive.engine.agenda.now_ps + S
    drive.plan("C", now, note(now, delivered("tail", qubit="C#bc0", other_qubit="A#ab0", x=x, z=z)))
    drive.plan("C", now + S, fabric.Circuit(steps=(Discard(qubit="C#bc0"),)))
    drive.plan("A", now + 2 * S, fabric.Circuit(steps=(Measure(qubit="A#ab0"),)))
    drive.run()
    use = drive.engine.truth.circuits[("A-C/1", 1)]
    assert (use.delivered, use.pairs) == (1, 0)


def test_occupancy_is_the_time_integral_of_bound_slots() -> None:
    drive = Drive()
    drive.plan("A", 2 * S, fabric.Circuit(steps=(Prepare(qubit="A#1"),)))
    drive.plan("A", 3 * S, fabric.Circuit(steps=(Prepare(qubit="A#2"),)))
    drive.plan("A", 6 * S, fabric.Circuit(steps=(Discard(qubit="A#1"),)))
    drive.run()
    occupancy = drive.engine.laboratory.occupancy[("A", "storage")]
    assert occupancy.peak == 2
    assert occupancy.mean(10 * S) == pytest.approx((4 + 7) / 10, abs=1e-4)
