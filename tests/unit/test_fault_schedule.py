"""When faults strike, whom, how often, and how they end."""

from __future__ import annotations

from typing import Any

import pytest
from drive import Drive, S
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.fabric.schedule import how_many
from orchestrator.scenario import Fault, Link, LinkDown, SenderReceiver, Source
from orchestrator.scenario.document import ScenarioError
from orchestrator.scenario.faults import DarkCounts
from orchestrator.scenario.file import parse
from qnode.wire import fabric

RING = {
    f"{a}{b}".lower(): Link(ends=(a, b), length_km=200.0, heralding=Source(success_probability=0.5))
    for a, b in ("AB", "BC", "CD", "DE", "EA")
}


def ring(*faults: Fault, **sections: Any) -> Drive:
    return Drive(nodes="ABCDE", links=RING, faults=faults, **sections)


def strikes(drive: Drive) -> list[tuple[float, str, str]]:
    lines = [line for line in drive.log.written if line["kind"] in ("fault", "healed")]
    return [(line["t_ps"] / S, line["kind"], line["link"]) for line in lines]


def test_what_cannot_be_struck_is_not_added() -> None:
    drive = ring()
    fault = DarkCounts(link="ab", dark_count_probability=0.1)
    with pytest.raises(ValueError, match="expected a link with heralding single_click or"):
        drive.engine.faults.add(fault, now=0)
    assert not drive.engine.faults.listed()


def test_a_selection_is_of_those_that_can_be_struck() -> None:
    links = {**RING, "ab": Link(ends=("A", "B"), length_km=200.0, heralding=SenderReceiver())}
    dark = DarkCounts(select="all", dark_count_probability=0.1)
    drive = Drive(nodes="ABCDE", links=links, faults=(dark,))
    drive.run(end=S)
    assert [link for _, _, link in strikes(drive)] == ["ab"]


def test_a_fault_strikes_again_and_is_healed_each_time() -> None:
    drive = ring(LinkDown(at_s=1.0, for_s=0.5, every_s=2.0, times=3, link="ab"))
    drive.run()
    assert strikes(drive) == [
        (1.0, "fault", "ab"),
        (1.5, "healed", "ab"),
        (3.0, "fault", "ab"),
        (3.5, "healed", "ab"),
        (5.0, "fault", "ab"),
        (5.5, "healed", "ab"),
    ]


@pytest.mark.parametrize(("select", "count"), [("one", 1), ("minority", 2), ("majority", 3), ("all", 5)])
def test_a_selection_is_drawn_anew_at_each_strike_and_by_the_seed(select: Any, count: int) -> None:
    fault = LinkDown(name="cut", for_s=0.5, every_s=1.0, times=8, select=select)

    def drawn() -> list[list[str]]:
        drive = ring(fault)
        drive.run()
        struck = [[link for at, kind, link in strikes(drive) if kind == "fault" and at == n] for n in range(8)]
        assert struck == [
            [link for at, kind, link in strikes(drive) if kind == "healed" and at == n + 0.5] for n in range(8)
        ]
        return struck

    first = drawn()
    assert {len(links) for links in first} == {count}
    assert first == drawn()
    assert (len({tuple(links) for links in first}) > 1) == (select != "all")


def test_a_selection_is_among_those_that_are_named() -> None:
    drive = ring(LinkDown(for_s=0.5, every_s=1.0, times=20, select="one", among=("bc", "ea")))
    drive.run()
    assert {link for _, _, link in strikes(drive)} == {"bc", "ea"}


@given(st.sampled_from(["one", "minority", "majority", "all"]), st.integers(0, 50))
def test_a_minority_is_less_than_half_and_a_majority_more(select: Any, count: int) -> None:
    chosen = how_many(select, count)
    assert 0 <= chosen <= count
    if select == "minority" and count > 2:
        assert count / 2 - 1 <= chosen < count / 2
    if select == "majority":
        assert count == 0 or count / 2 < chosen <= count / 2 + 1


def test_what_is_added_strikes_and_what_is_removed_is_healed_then_and_only_then() -> None:
    drive = ring(LinkDown(name="first", at_s=1.0, for_s=5.0, link="ab"))
    drive.run(end=2 * S)
    faults = drive.engine.faults
    assert faults.add(LinkDown(at_s=0.0, for_s=10.0, link="cd"), now=2 * S) == "link_down cd"
    with pytest.raises(ValueError, match="'first', which is the name of another fault"):
        faults.add(LinkDown(name="first", link="cd"), now=2 * S)
    drive.run(end=3 * S)
    assert [(fault.name, cause, active) for fault, cause, active in faults.listed()] == [
        ("first", "scenario", True),
        ("link_down cd", "control", True),
    ]
    faults.remove("first", now=3 * S)
    faults.remove("link_down cd", now=4 * S)
    with pytest.raises(KeyError):
        faults.remove("first", now=4 * S)
    drive.run()
    assert strikes(drive) == [(1.0, "fault", "ab"), (2.0, "fault", "cd"), (3.0, "healed", "ab"), (4.0, "healed", "cd")]
    assert {line["cause"] for line in drive.lines("healed")} == {"removed"}
    assert all(drive.engine.topology.is_up(link, forward=way) for link in ("ab", "cd") for way in (True, False))


def test_a_fault_that_is_removed_before_its_time_never_strikes() -> None:
    drive = ring(LinkDown(name="never", at_s=1.0, every_s=2.0, for_s=1.0, link="ab"))
    drive.engine.faults.remove("never", now=0)
    drive.run()
    assert not strikes(drive)


def test_faults_for_ever_do_not_keep_a_network_awake_in_which_nothing_else_happens() -> None:
    drive = ring(LinkDown(for_s=0.25, every_s=1.0, link="ab"))
    drive.run(lambda: drive.engine.rests(drive.engine.next_time() or 0), end=100 * S)
    assert drive.engine.agenda.now_ps < 30 * S


def test_a_link_that_goes_down_for_ever_again_is_waited_for_by_those_who_ask_for_pairs() -> None:
    drive = Drive(nodes="AB", links={"ab": RING["ab"]}, faults=(LinkDown(for_s=50.0, every_s=60.0, link="ab"),))
    drive.generate("ab", "AB", at=0)
    drive.run(lambda: drive.engine.rests(drive.engine.next_time() or 0), end=100 * S)
    assert len(drive.of(fabric.Heralded)) == 2
    assert drive.of(fabric.Heralded)[0].at > 50 * S


def test_two_faults_of_one_link_are_two_reasons() -> None:
    drive = ring(LinkDown(name="x", at_s=1.0, for_s=2.0, link="ab"), LinkDown(name="y", at_s=2.0, for_s=3.0, link="ab"))
    drive.run(end=4 * S)
    assert drive.engine.faults.links.why_down("ab") == "y"
    drive.run()
    assert drive.engine.faults.links.why_down("ab") == ""


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("{kind: link_down}", "faults[0].link: expected the name of a link, or select"),
        ("{kind: link_down, link: ab, select: one}", "expected either link or select, found both"),
        ("{kind: link_down, link: ab, among: [ab]}", "faults[0].among: expected select beside it"),
        (
            "{kind: link_down, select: one, among: [ab, ax]}",
            "faults[0].among[1]: expected the name of a link, found 'ax'",
        ),
        ("{kind: link_down, link: ab, times: 3}", "faults[0].times: expected every_s beside it"),
        ("{kind: link_down, link: ab, every_s: 3}", "faults[0].every_s: expected for_s beside it"),
        ("{kind: link_down, link: ab, for_s: 3, every_s: 3}", "expected more than for_s (3)"),
        ("{kind: clock_reset, node: a, for_s: 2}", "faults[0].for_s: expected none"),
        ("{kind: node_kill, select: several}", "faults[0].select: expected 'all' or 'majority'"),
        ("{kind: node_kill, node: z}", "faults[0].node: expected the name of a node, found 'z'"),
        ("{kind: link_dwon, link: ab}", "did you mean 'link_down'?"),
        (
            "{kind: dark_counts, link: ab, dark_count_probability: 0.1}",
            "faults[0].link: expected a link with heralding single_click or double_click or midpoint_source or "
            "sender_receiver, where that makes sense, found source",
        ),
        ("{kind: dark_counts, select: all, dark_count_probability: 0.1}", "faults[0].select: expected a link with"),
        ("{kind: dark_counts, select: all, among: [ab], dark_count_probability: 0.1}", "found source"),
        ("{kind: extra_loss, link: here, loss_db: 1}", "expected a link with a fibre, found one of length 0"),
        ("{kind: extra_loss, link: ab}", "faults[0].loss_db: expected a finite number above 0"),
        ("{kind: quantum_down, link: glass}", "expected the name of a quantum link, found 'glass'"),
        ("{kind: pauli_noise, link: ab, pauli_probabilities: [0.5, 0.5, 0.5]}", "expected a sum of at most 1"),
        ("{kind: pauli_noise, link: ab, pauli_probabilities: [0, 0, 0]}", "expected one above 0, found none"),
        ("{kind: burst_decoherence, node: a}", "faults[0]: expected one of amplitude_damping"),
        ("{kind: burst_decoherence, node: a, dephasing_probability: 1, for_s: 1}", "faults[0].for_s: expected none"),
        ("{kind: intercept_resend, link: ab, basis: w}", "faults[0].basis: expected 'random_xyz' or"),
        ("{kind: slot_failure, node: a, slots: 0}", "faults[0].slots: expected a whole number from 1"),
    ],
)
def test_what_is_wrong_with_a_fault_is_said(fault: str, complaint: str) -> None:
    text = f"""
version: 1
name: x
nodes: {{a: , b: , c: }}
links:
  ab: {{ends: [a, b], length_km: 1}}
  here: {{ends: [b, c], length_km: 0, heralding: {{scheme: source, attempt_cycle_s: 1}}}}
classical_links: {{glass: {{ends: [a, b], length_km: 1}}}}
faults: [{fault}]
"""
    with pytest.raises(ScenarioError) as error:
        parse(text, source="x.yaml")
    assert complaint in str(error.value)
    assert len(error.value.problems) == 1
