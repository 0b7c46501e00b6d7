"""What a cut of a fibre does to what is in flight: past the point it arrives, before the point it never does."""

from __future__ import annotations

from typing import Any

import pytest
from drive import LONG_KM, LONG_PS, MS, Drive, S, send

from orchestrator.fabric.faults.cuts import crossings
from orchestrator.fabric.heralding import light_delay_ps
from orchestrator.scenario import (
    ClassicalLink,
    DoubleClick,
    Link,
    MidpointSource,
    SenderReceiver,
    SingleClick,
    Source,
    Transmission,
)
from orchestrator.scenario.faults import ExtraLoss, FibreCut, Hold, LinkDown
from qnode.wire import fabric
from qnode.wire.quantum import Prepare

LINK = Link(ends=("A", "B"), length_km=LONG_KM, heralding=Source(success_probability=0.5))


def cut(at_ps: int, at_km: float | None = None, **more: Any) -> FibreCut:
    return FibreCut(name="cut", link="ab", at_s=at_ps / S, at_km=at_km, **more)


@pytest.mark.parametrize(
    ("sender", "at_km", "passes"),
    [
        ("A", None, LONG_PS // 2),
        ("A", 50.0, LONG_PS // 4),
        ("B", 50.0, LONG_PS - LONG_PS // 4),
        ("B", 200.0, 0),
        ("A", 200.0, LONG_PS),
    ],
)
def test_a_message_arrives_if_it_has_passed_the_point(sender: str, at_km: float | None, passes: int) -> None:
    to = "B" if sender == "A" else "A"
    begins = 10 * MS
    drive = Drive(faults=(cut(begins, at_km),))
    for way in (-2, -1, 0, 1, 2):  # picoseconds by which it has passed, or not
        at = begins - passes - way
        drive.plan(sender, at, send(at, to))
    drive.run()
    arrived = {event.at - LONG_PS + passes - begins for event in drive.of(fabric.Delivered)}
    assert arrived == {-2, -1}
    (struck,) = drive.lines("fault")
    lost = drive.lines("message_lost")
    on_the_way = sum(begins - passes - way < begins for way in (-2, -1, 0, 1, 2)) - 2
    assert struck["messages_lost"] == len(lost) == on_the_way
    assert all(line["t_ps"] == begins and line["fault"] == "cut" and line["link"] == "ab" for line in lost)


def test_three_quarters_of_the_way_it_arrives_and_a_quarter_of_the_way_it_is_lost() -> None:
    at = S
    drive = Drive(faults=(cut(at),))
    for part in (0.25, 0.75):
        sent = at - round(part * LONG_PS)
        drive.plan("A", sent, send(sent, "B"))
    drive.run()
    (arrived,) = drive.of(fabric.Delivered)
    assert arrived.at == at - round(0.75 * LONG_PS) + LONG_PS


def test_a_message_on_a_longer_way_is_lost_where_the_cut_is_still_before_it() -> None:
    for to, source, survives in (("C", "A", False), ("A", "C", False)):
        drive = Drive(faults=(cut(MS // 1000),))
        drive.plan(source, 0, send(0, to))
        drive.run()
        assert bool(drive.of(fabric.Delivered)) is survives
    drive = Drive(faults=(cut(LONG_PS + 1),))
    drive.plan("A", 0, send(0, "C"))
    drive.run()
    assert len(drive.of(fabric.Delivered)) == 1


def test_what_is_held_before_the_cut_is_lost_and_behind_it_is_not() -> None:
    for held, arrives in (("ab", False), ("bc", True)):
        drive = Drive(faults=(Hold(link=held, for_s=2.0), cut(S)))
        drive.plan("A", 0, send(0, "C"))
        drive.run()
        assert bool(drive.of(fabric.Delivered)) is arrives


def test_a_classical_link_can_be_cut_and_mended() -> None:
    lines = {"line": ClassicalLink(ends=("A", "B"), length_km=100.0)}
    fault = FibreCut(name="cut", link="line", at_s=1.0, for_s=1.0)
    drive = Drive(nodes="AB", links={"ab": LINK}, classical_links=lines, faults=(fault,))
    for at in (S - LONG_PS // 8, S + 1, 3 * S):
        drive.plan("A", at, send(at, "B"))
    drive.run()
    assert [event.at for event in drive.of(fabric.Delivered)] == [S + 1 + LONG_PS, 3 * S + LONG_PS // 2]


@pytest.mark.parametrize("heralded", [True, False])
@pytest.mark.parametrize("passed", [True, False])
def test_a_qubit_that_was_sent_arrives_if_it_has_passed_the_point(heralded: bool, passed: bool) -> None:
    link = Link(
        ends=("A", "B"),
        length_km=LONG_KM,
        attenuation_db_per_km=0.0,
        heralding=Source(success_probability=0.5),
        transmission=Transmission(heralded_arrival=heralded),
    )
    drive = Drive(nodes="AB", links={"ab": link})
    drive.plan("A", 0, fabric.Circuit(steps=(Prepare(qubit="q"),)))
    drive.plan("A", S, fabric.Transmit(link="ab", qubit="q"))
    drive.run()
    (line,) = drive.lines("transmitted")
    left = line["t_ps"]
    drive = Drive(nodes="AB", links={"ab": link}, faults=(cut(left + LONG_PS // 2 + (1 if passed else -1)),))
    drive.plan("A", 0, fabric.Circuit(steps=(Prepare(qubit="q"),)))
    drive.plan("A", S, fabric.Transmit(link="ab", qubit="q"))
    drive.run()
    (line,) = drive.lines("arrived")
    (struck,) = drive.lines("fault")
    assert struck["qubits_lost"] == (not passed)
    assert line["t_ps"] == left + LONG_PS
    assert bool(line["lost"]) is (heralded and not passed)
    told = drive.of(fabric.Lost if heralded and not passed else fabric.Arrived)
    assert len(told) == 1
    assert ("q" in drive.engine.laboratory.qubits) is (passed or not heralded)


SCHEMES = {
    "single_click": SingleClick(bright_state_population=0.5),
    "double_click": DoubleClick(),
    "midpoint_source": MidpointSource(),
    "sender_receiver": SenderReceiver(),
    "source": Source(success_probability=1.0, attempt_cycle_s=2e-3),
}
THIRD_KM = LONG_KM / 4


def clicking(scheme: str, *faults: Any, midpoint_km: float | None = None) -> Drive:
    link = Link(
        ends=("A", "B"),
        length_km=LONG_KM,
        midpoint_km=midpoint_km,
        attenuation_db_per_km=0.0,
        heralding=SCHEMES[scheme],
    )
    drive = Drive(nodes="AB", links={"ab": link}, faults=faults)
    drive.generate("ab", "AB", at=0)
    return drive


@pytest.mark.parametrize("at_km", [20.0, 90.0, 110.0, 180.0])
@pytest.mark.parametrize("midpoint_km", [None, 60.0])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_light_of_an_attempt_passes_or_ends_it_and_a_herald_passes_or_is_not_heard(
    scheme: str, midpoint_km: float | None, at_km: float
) -> None:
    quiet = clicking(scheme, midpoint_km=midpoint_km)
    quiet.run()
    (line,) = quiet.lines("heralded")
    series = type("Series", (), {"emitted_at": line["emitted_ps"], "heralded_at": line["heralded_ps"]})
    link = quiet.engine.links["ab"].link
    photons, heralds = crossings(link, series, at_km)  # type: ignore[arg-type]
    middle = LONG_KM / 2 if midpoint_km is None else midpoint_km
    photons_by_hand, heralds_by_hand = by_hand(scheme, line, at_km, middle)
    assert photons == pytest.approx(photons_by_hand, abs=3)
    for found, expected in zip(heralds, heralds_by_hand, strict=True):
        assert (found is None) is (expected is None)
        assert found is None or found == pytest.approx(expected, abs=3)
    instants = sorted({photons, *(each for each in heralds if each is not None)})
    for instant in instants:
        for early in (True, False):
            struck = instant - 5 if early else instant + 5
            if struck >= max(line["heralded_ps"]):
                continue
            drive = clicking(scheme, cut(struck, at_km), midpoint_km=midpoint_km)
            drive.run(end=10 * S)
            told = {name for name, event in drive.events if isinstance(event, fabric.Heralded)}
            unheard = {"AB"[end] for end in (0, 1) if heralds[end] is not None and heralds[end] >= struck}
            if struck <= photons or unheard == {"A", "B"}:
                assert told == set()
                assert not drive.lines("heralded")
            else:
                assert told == {"A", "B"} - unheard
                assert {each["node"] for each in drive.lines("herald_lost")} == unheard
                assert drive.lines("fault")[0]["heralds_lost"] == len(unheard)


def by_hand(
    scheme: str, line: dict[str, Any], at_km: float, middle: float
) -> tuple[float, tuple[float | None, float | None]]:
    """From the first principles of each scheme: who sends light when, and where it goes."""

    def light(km: float) -> float:
        return light_delay_ps(km, 1.468)

    started, (e0, e1) = line["started_ps"], line["emitted_ps"]
    if scheme in ("single_click", "double_click"):
        click = e0 + light(middle)
        assert click == pytest.approx(e1 + light(LONG_KM - middle), abs=3)
        if at_km <= middle:
            return e0 + light(at_km), (click + light(middle - at_km), None)
        return e1 + light(LONG_KM - at_km), (None, click + light(at_km - middle))
    if scheme == "midpoint_source":
        pair_made = e0 - light(middle)
        told_by_first, told_by_second = e0, e1
        return pair_made + light(abs(middle - at_km)), (
            told_by_second + light(LONG_KM - at_km),
            told_by_first + light(at_km),
        )
    if scheme == "sender_receiver":
        return started + light(at_km), (started + light(LONG_KM) + light(LONG_KM - at_km), None)
    return started + light(at_km), (None, None)


def test_the_end_that_did_not_hear_tries_on_and_the_other_has_half_of_a_pair() -> None:
    quiet = clicking("single_click")
    quiet.run()
    click = quiet.lines("heralded")[0]["emitted_ps"][0] + LONG_PS // 2
    drive = clicking("single_click", cut(click + 100, THIRD_KM, for_s=1.0))
    drive.run()
    assert [name for name, event in drive.events if isinstance(event, fabric.Heralded)] == ["B"]
    laboratory = drive.engine.laboratory
    assert list(laboratory.qubits) == ["B#ab0"]
    assert laboratory.registers.qubits_with("B#ab0") == ("B#ab0",)
    assert laboratory.occupancy[("A", "communication")].occupied == 1, "its attempt goes on"
    drive.generate("ab", "B", at=5 * S, number=1)
    drive.run()
    first, second = (event for name, event in drive.events if isinstance(event, fabric.Heralded) and event.at > 5 * S)
    assert first.pair_id == second.pair_id == "ab/1"
    assert laboratory.registers.qubits_with("A#ab0") in (("A#ab0", "B#ab1"), ("B#ab1", "A#ab0"))


def test_the_end_that_did_not_hear_can_stop_trying() -> None:
    click = 0
    quiet = clicking("single_click")
    quiet.run()
    click = quiet.lines("heralded")[0]["emitted_ps"][0] + LONG_PS // 2
    drive = clicking("single_click", cut(click + 100, THIRD_KM, for_s=1.0))
    drive.plan("A", click + MS // 10, fabric.Cancel(operation=1))
    drive.run()
    (ended,) = drive.of(fabric.Completed)
    assert ended.bits == (1,)
    assert drive.engine.laboratory.occupancy[("A", "communication")].occupied == 0


def test_a_cut_link_is_down_until_it_is_mended_and_then_as_before() -> None:
    baseline = Drive()
    drive = Drive(faults=(cut(S, for_s=1.0), LinkDown(name="also", link="ab", at_s=1.5, for_s=1.5)))
    for each in (baseline, drive):
        for at in (S, 5 * S // 2, 4 * S):
            each.plan("A", at, send(at, "B"))
        each.run()
    assert [event.at for event in drive.of(fabric.Delivered)] == [4 * S + LONG_PS]
    assert [event.at for event in baseline.of(fabric.Delivered)][-1] == 4 * S + LONG_PS
    drive.generate("ab", "AB", at=10 * S)
    drive.run()
    assert len(drive.of(fabric.Heralded)) == 2


def test_attempts_that_are_drawn_again_after_a_lost_herald_are_of_both_ends_again() -> None:
    """The cut is mended, and the link changes, while the other end's herald is still on its way."""
    quiet = clicking("single_click")
    quiet.run()
    click = quiet.lines("heralded")[0]["emitted_ps"][0] + LONG_PS // 2
    dimmed = ExtraLoss(name="dimmed", link="ab", loss_db=1.0, at_s=(click + 3_000_000) / S)
    drive = clicking("single_click", cut(click + 100, THIRD_KM, for_s=1e-6), dimmed)
    drive.run(end=10 * S)
    assert sorted((name, event.pair_id) for name, event in drive.events if isinstance(event, fabric.Heralded)) == [
        ("A", "ab/0"),
        ("B", "ab/0"),
    ]
    assert all(drive.engine.laboratory.occupancy[(node, "communication")].occupied == 1 for node in "AB")


def test_when_the_end_that_would_hear_stops_asking_the_other_goes_on_asking_once() -> None:
    quiet = clicking("single_click")
    quiet.run()
    click = quiet.lines("heralded")[0]["emitted_ps"][0] + LONG_PS // 2
    drive = clicking("single_click", cut(click + 100, THIRD_KM, for_s=1.0))
    drive.plan("B", click + MS // 10, fabric.Cancel(operation=2))
    for number in (1, 2):
        drive.generate("ab", "B", at=5 * S, number=number)
    drive.run()
    assert [name for name, event in drive.events if isinstance(event, fabric.Heralded)] == ["A", "B"]
