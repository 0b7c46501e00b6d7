"""The report's story of circuits, from an event log written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator import control
from orchestrator.fabric.predictions import werner
from orchestrator.report import build, text
from orchestrator.scenario.file import parse
from orchestrator.testbed import RunningProcess, RunOutcome

S = 10**12
SCENARIO = """
version: 1
name: chain
nodes: {a: , r: , b: , s: , boss: {role: controller}}
links:
  ar: {ends: [a, r], length_km: 1}
  rb: {ends: [r, b], length_km: 1}
  as: {ends: [a, s], length_km: 1}
  sb: {ends: [s, b], length_km: 1}
  ab: {ends: [a, b], length_km: 100}
network: {}
faults: [{kind: link_down, at_s: 6, link: rb, name: digger}]
"""


def line(t_s: float, kind: str, node: str, **details: Any) -> dict[str, Any]:
    return {"t_ps": round(t_s * S), "kind": kind, "node": node, **details}


def route(circuit: str, generation: int, middle: str) -> dict[str, Any]:
    links = [f"a{middle}", f"{middle}b"]
    return {
        "circuit": circuit,
        "generation": generation,
        "path": ["a", middle, "b"],
        "links": links,
        "operating_points": [0, 1],
        "distillation_rounds": [0, 0],
        "expected_fidelity": 0.91,
        "expected_rate_bpps": 40.0,
    }


def delivered(t_s: float, number: int, end: str) -> dict[str, Any]:
    more = {"circuit": "a:0", "generation": 1, "number": number, "end": end, "pair": f"p{number}", "qubit": "q"}
    return line(t_s, "circuit_pair_delivered", end, **more, other_qubit="o", x=0, z=0, swaps=1)


def requested(t_s: float, circuit: str, fidelity: float, rate: float) -> dict[str, Any]:
    more = {"remote": "b", "application": "app", "priority": 2, "pair_kind": "K"}
    return line(t_s, "circuit_requested", "a", circuit=circuit, minimum_fidelity=fidelity, rate_bpps=rate, **more)


LOG = [
    line(0.1, "neighbour_up", "a", link="ar", remote="r"),
    line(0.4, "link_state_changed", "a", origin="r", number=1),
    requested(1, "a:0", 0.9, 5.0),
    requested(1, "a:1", 0.99, 5.0),
    line(1.2, "circuit_refused", "a", circuit="a:1", code="fidelity", where="r", reason="0.97 at best"),
    line(2, "circuit_opened", "a", **route("a:0", 1, "r")),
    *(
        each
        for n, t in enumerate((3.0, 3.5, 4.5, 5.0))
        for each in (delivered(t - 0.1, n, "tail"), delivered(t, n, "head"))
    ),
    line(5.5, "swap", "r", circuit="a:0", upstream="ar/1", downstream="rb/1"),
    line(5.6, "swap", "r", circuit="a:0", upstream="ar/2", downstream="rb/2"),
    line(5.7, "swap_failed", "r", circuit="a:0", upstream="ar/3", downstream="rb/3"),
    line(5.8, "pair_died", "r", circuit="a:0", pair="ar/4", reason="cutoff"),
    line(5.8, "pair_died", "a", circuit="a:0", pair="ar/4", reason="its other end told so"),
    line(5.9, "pair_died", "r", circuit="a:0", pair="rb/5", reason="cutoff"),
    line(5.9, "distilled", "r", circuit="a:0", pair="rb/6", kept=True),
    {"t_ps": 6 * S, "kind": "fault", "name": "digger", "fault": "link_down", "cause": "scenario", "link": "rb"},
    line(6.4, "neighbour_down", "b", link="rb", remote="r", reason="silent"),
    line(6.5, "circuit_down", "a", circuit="a:0", code="failed", reason="link rb is down"),
    line(6.75, "link_state_changed", "a", origin="b", number=9),
    line(7.5, "circuit_restored", "a", **route("a:0", 2, "s")),
    delivered(7.9, 4, "tail"),
    line(8, "circuit_estimate", "a", circuit="a:0", fidelity=0.93, standard_error=0.01, tests=200),
    line(9, "circuit_closed", "b", circuit="a:0", code="closed", reason="told so", delivered=5),
    line(9.5, "circuit_closed", "a", circuit="a:0", code="closed", reason="its application closed it", delivered=4),
]


def rows(fidelity: float) -> list[list[tuple[float, float]]]:
    return [[(value.real, value.imag) for value in row] for row in werner(fidelity).tolist()]


def outcome() -> RunOutcome:
    finished = control.Finished(
        reason="every application has ended",
        now_ps=10 * S,
        wall_s=1.0,
        digest="d",
        log_lines=len(LOG),
        outside=(),
        lateness=control.Lateness(),
        mean_states={},
        circuits=(
            control.CircuitTruth(circuit="a:0", generation=1, delivered=3, seen=3, mismatched=0, mean_state=rows(0.9)),
            control.CircuitTruth(circuit="a:0", generation=2, delivered=2, seen=1, mismatched=1, mean_state=rows(0.5)),
        ),
        memory=(control.MemoryUse(node="r", role="communication", mean=1.5, peak=4),),
        housekeeping_messages=77,
    )
    doomed = RunningProcess("application app", 1, Path("log"), code=-9, fault="digger")
    return RunOutcome(finished=finished, processes=[doomed], applications={"app": doomed})


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    log = tmp_path / "events.jsonl"
    log.write_text("".join(json.dumps(each) + "\n" for each in LOG))
    built = build.build(parse(SCENARIO, source="chain.yaml"), outcome(), log)
    json.dumps(built)
    return built


def test_an_admitted_circuit_has_its_story(report: dict[str, Any]) -> None:
    circuit = report["circuits"]["a:0"]
    assert (circuit["head"], circuit["tail"], circuit["status"]) == ("a", "b", "closed")
    assert circuit["closed"]["reason"] == "its application closed it", "the head's word counts"
    assert (circuit["opened_at_s"], circuit["setup_s"], circuit["closed_at_s"]) == (2.0, 1.0, 9.5)
    assert circuit["path"] == ["a", "s", "b"]
    assert [each["generation"] for each in circuit["routes"]] == [1, 2]
    assert circuit["reroutes"] == 1
    outage = {"at_s": 6.5, "for_s": 1.0, "without_pairs_s": 4.5, "reason": "link rb is down"}
    assert circuit["downs"] == [outage], "from the pair at 5 s to the end at 9.5 s nothing came"
    assert circuit["down_s"] == 1.0
    assert (circuit["delivered"], circuit["delivered_at_one_end_only"]) == (4, 1)
    assert circuit["first_pair_after_s"] == 1.0
    # gaps 0.5, 1, 0.5: mean 2/3, variance 1/12, so 1.5 pairs a second, give or take sqrt(1/36) (3/2)^2
    assert circuit["rate_bpps"] == {"value": pytest.approx(1.5), "standard_error": pytest.approx(0.375)}
    assert circuit["waiting_s"] == {"mean": pytest.approx(2 / 3), "p50": 0.5, "p90": 1.0, "p99": 1.0, "max": 1.0}
    assert (circuit["swaps"], circuit["swaps_failed"]) == (2, 1)
    assert circuit["discards"] == {"cutoff": 2}, "a pair dies once"
    assert circuit["distillations"] == {"kept": 1, "failed": 0}
    assert circuit["estimated_fidelity"]["value"] == 0.93
    assert circuit["oracle_fidelity"] == pytest.approx((3 * 0.9 + 0.5) / 4)
    assert circuit["oracle_qber_z"] == pytest.approx(2 * 0.2 / 3)
    assert [route["oracle_fidelity"] for route in circuit["routes"]] == pytest.approx([0.9, 0.5])
    assert circuit["mismatched_pairs"] == 1


def test_a_refused_circuit_says_where_and_why(report: dict[str, Any]) -> None:
    circuit = report["circuits"]["a:1"]
    assert circuit["status"] == "refused"
    assert circuit["refused"] == {"code": "fidelity", "where": "r", "reason": "0.97 at best"}
    assert circuit["asked_fidelity"] == 0.99
    assert "path" not in circuit


def test_a_circuit_that_is_down_at_the_end_has_been_down_until_then(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    until = [each for each in LOG if each["t_ps"] <= 7 * S]
    log.write_text("".join(json.dumps(each) + "\n" for each in until))
    circuit = build.build(parse(SCENARIO, source="chain.yaml"), outcome(), log)["circuits"]["a:0"]
    assert (circuit["status"], circuit["down_s"]) == ("down", 3.5)


def test_convergence_is_from_a_disturbance_to_the_last_change_before_the_next(report: dict[str, Any]) -> None:
    assert report["routing"]["convergence"] == [
        {"after": "start", "at_s": 0.0, "for_s": 0.4},
        {"after": "digger", "at_s": 6.0, "for_s": 0.75},
    ]
    assert [(fault["name"], fault["at_s"]) for fault in report["faults"]] == [("digger", 6.0)]


def test_memory_is_by_node_and_role(report: dict[str, Any]) -> None:
    assert report["nodes"]["r"]["communication"] == {"slots": 16, "mean": 1.5, "peak": 4}
    assert report["nodes"]["a"]["storage"] == {"slots": 16, "mean": 0.0, "peak": 0}
    assert report["nodes"]["boss"] == {}
    assert report["housekeeping_messages"] == 77


def test_what_a_fault_ended_is_no_failure(report: dict[str, Any]) -> None:
    (end,) = report["expectations"]
    assert (end["holds"], end["line"]) == (True, "application app: ended by the fault 'digger'")


def test_the_text_says_it_all(report: dict[str, Any]) -> None:
    shown = text.as_text(report)
    for words in (
        "0.9 > 0.910 > 0.800",
        "own estimate 0.93 ± 0.01 of 200 tests",
        "5 > 40 > 1.5",
        "a s b",
        "a:1 refused at r (fidelity): 0.97 at best",
        "a:0 down at 6.5 s for 1 s, without pairs for 4.5 s: link rb is down",
        "a:0 discards: 2 cutoff",
        "1 pairs whose ends were not entangled with each other alone",
        "1.50, 4 of 16",
        "at 6 s: digger (link down)",
        "routes last changed 750 ms after digger",
    ):
        assert words in shown, shown


def test_expectations_reach_circuits_and_nodes(report: dict[str, Any]) -> None:
    assert build._find(report, "circuits.a:0.oracle_fidelity") == pytest.approx(0.8)
    assert build._find(report, "circuits.a:0.rate_bpps")["value"] == pytest.approx(1.5)
    assert build._find(report, "nodes.r.communication.peak") == 4
