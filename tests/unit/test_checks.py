"""The built-in checks, on event logs written by hand: sound ones hold, and each rule is broken once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator import checks
from orchestrator.checks.hook import LOG
from orchestrator.scenario.file import ScenarioError, parse

S = 10**12
SCENARIO = """
version: 1
name: chain
nodes: {a: , r: , b: }
links:
  ar: {ends: [a, r], length_km: 1}
  rb: {ends: [r, b], length_km: 1}
network: {}
applications:
  - {name: left, node: a, command: [python]}
  - {name: right, node: b, command: [python]}
check: {}
"""
Line = dict[str, Any]


def line(t_s: float, kind: str, node: str = "", **details: Any) -> Line:
    return {"t_ps": round(t_s * S), "kind": kind} | ({"node": node} if node else {}) | details


def heralded(t_s: float, link: str, *qubits: str) -> Line:
    return line(t_s, "heralded", link=link, pair=f"{link}/0", qubits=list(qubits))


def acts(t_s: float, node: str, *steps: str) -> Line:
    return line(t_s, "circuit", node, operation=0, steps=list(steps), bits=[])


def delivered(t_s: float, end: str, qubit: str, other: str = "", number: int = 0) -> Line:
    node, pair = ("a" if end == "head" else "b"), f"a:0/{number}"
    names = {"circuit": "a:0", "number": number, "pair": pair, "qubit": qubit, "other_qubit": other}
    return line(t_s, "circuit_pair_delivered", node, end=end, **names)


def requested(t_s: float = 0.0, timeout_s: float = 10.0) -> Line:
    return line(
        t_s, "circuit_requested", "a", circuit="a:0", application="left", remote="b", timeout_ps=round(timeout_s * S)
    )


def head(t_s: float, what: str, **details: Any) -> Line:
    return line(t_s, f"circuit_{what}", "a", circuit="a:0", **details)


def key(t_s: float, node: str, fingerprint: str, *, bits: int = 8, name: str = "") -> Line:
    remote = "b" if node == "a" else "a"
    return line(
        t_s, "key_delivered", node, application="x", remote=remote, name=name, bits=bits, fingerprint=fingerprint
    )


MADE = [heralded(0.1, "ar", "a#0", "r#0"), heralded(0.2, "rb", "r#1", "b#0"), acts(0.3, "r", "measure_bell r#0 r#1")]
OPENED = head(0.5, "opened", links=["ar", "rb"])
KILLED = line(2, "fault", "r", name="axe", fault="node_kill", cause="scenario", qubits_lost=1, links=["ar", "rb"])
CUT = line(2, "fault", link="rb", name="digger", fault="link_down", cause="scenario")


def verdicts(directory: Path, log: list[Line], *, scenario: str = SCENARIO, **report: Any) -> dict[str, dict[str, Any]]:
    """What each check says of a run with this event log."""
    directory.mkdir(exist_ok=True)
    parsed = parse(scenario, source="chain.yaml")
    (directory / "scenario.json").write_bytes(msgspec.json.encode(parsed))
    (directory / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in log))
    whole = {"circuits": {}, "virtual_s": 100.0, "ended_because": "every application has ended", "processes": []}
    (directory / "report.json").write_text(json.dumps(whole | report))
    found = checks.evaluate(checks.Run.of(directory), directory=directory)
    return {verdict["name"]: verdict for verdict in found}


def broken(directory: Path, log: list[Line], **more: Any) -> list[tuple[str, int | None, str]]:
    """Check, line and message of everything that does not hold."""
    return [
        (name, problem.get("event"), problem["message"])
        for name, verdict in verdicts(directory, log, **more).items()
        for problem in verdict["problems"]
    ]


STORY = [
    requested(),
    *MADE[:2],
    OPENED,
    MADE[2],
    acts(0.6, "a", "X a#0"),
    delivered(0.7, "tail", "b#0", "a#0"),
    delivered(0.8, "head", "a#0"),
    acts(0.9, "b", "measure b#0"),
    acts(0.9, "a", "prepare a#1", "cx a#0 a#1", "measure a#0", "move a#1"),
    line(1.0, "transmitted", "a", link="ar", qubit="a#1", survived=True),
    line(1.1, "arrived", "r", link="ar", qubit="a#1", lost=""),
    acts(1.2, "r", "discard a#1"),
    key(1.3, "a", "ff"),
    key(1.4, "b", "ff"),
    key(1.4, "b", "00"),
    head(1.5, "closed", code="closed", reason="done"),
    line(1.6, "circuit_closed", "b", circuit="a:0", code="closed", reason="told so"),
]


def test_a_sound_run_holds_and_each_check_says_how_much_it_saw(tmp_path: Path) -> None:
    found = verdicts(tmp_path, STORY)
    assert all(verdict["holds"] for verdict in found.values()), found
    assert {name: verdict["looked_at"] for name, verdict in found.items()} == {
        "matched_pairs": "1 delivered pair followed",
        "one_owner": "5 qubits followed",
        "equal_keys": "1 key compared, 1 delivered at one end only",
        "circuits_end": "1 circuit followed",
        "processes": "0 processes ended",
    }


MIXED_UP = [heralded(0.1, "ar", "a#0", "r#0"), heralded(0.1, "ar", "a#1", "r#2"), MADE[1]]
UNMATCHED = {
    "the other of two": ([*MIXED_UP, acts(0.3, "r", "measure_bell r#2 r#1")], "a#0 is entangled with r#0"),
    "never swapped": (MADE[:2], "a#0 is entangled with r#0"),
    "measured apart": ([*MADE[:2], acts(0.3, "r", "measure r#0", "measure r#1")], "a#0 is entangled with nothing"),
    "with a third": ([*MADE, acts(0.4, "a", "prepare a#9", "cx a#0 a#9")], "a#0 is entangled with a#9, b#0"),
    "lost on the way, and nobody was told": (
        [*MADE, line(0.4, "transmitted", "a", link="ar", qubit="a#0", survived=False)],
        "a#0 is entangled with nothing",
    ),
}


@pytest.mark.parametrize("case", UNMATCHED)
def test_a_pair_whose_ends_do_not_belong_together(tmp_path: Path, case: str) -> None:
    made, said = UNMATCHED[case]
    told = SCENARIO.replace(
        "ar: {ends: [a, r], length_km: 1", "ar: {ends: [a, r], length_km: 1, transmission: {heralded_arrival: false}"
    )
    log = [*made, delivered(0.5, "tail", "b#0", "a#0")]
    found = broken(tmp_path, log, scenario=told.replace("check: {}", "check: {one_owner: false}"))
    assert found == [
        ("matched_pairs", len(log), f"expected a#0 and b#0 to be the ends of pair a:0/0, found that {said}")
    ]


def test_a_half_that_was_used_before_the_other_end_was_told_still_had_its_partner(tmp_path: Path) -> None:
    log = [*MADE, acts(0.4, "a", "measure a#0"), delivered(0.5, "tail", "b#0", "a#0")]
    assert verdicts(tmp_path, log)["matched_pairs"]["holds"]


def test_distilled_pairs_are_matched(tmp_path: Path) -> None:
    log = [heralded(0.1, "ar", "a#0", "r#0"), heralded(0.1, "ar", "a#1", "r#2"), MADE[1]]
    log += [acts(0.2, "a", "cx a#0 a#1", "measure a#1"), acts(0.2, "r", "cx r#0 r#2", "measure r#2")]
    log += [MADE[2], delivered(0.5, "tail", "b#0", "a#0")]
    assert verdicts(tmp_path, log)["matched_pairs"]["holds"]


def test_an_inconclusive_measurement_and_the_steps_before_a_refusal_count(tmp_path: Path) -> None:
    refused = line(0.3, "operation_refused", "r", operation=3, reason="inconclusive", steps=["measure_bell r#0 r#1"])
    found = broken(tmp_path, [*MADE[:2], refused, acts(0.4, "r", "measure r#0")])
    assert found == [("one_owner", 4, "expected r#0 to be of r, which acts on it; found that it ended at line 3")]


def test_two_ends_that_name_different_qubits_of_the_head(tmp_path: Path) -> None:
    log = [
        heralded(0.05, "ar", "a#7", "r#7"),
        *MADE,
        delivered(0.4, "head", "a#7"),
        delivered(0.5, "tail", "b#0", "a#0"),
    ]
    assert [(name, at) for name, at, _ in broken(tmp_path, log)] == [("matched_pairs", 6)]


def test_what_only_the_oracle_saw_is_told_without_a_line(tmp_path: Path) -> None:
    (found,) = broken(tmp_path, [], circuits={"a:0": {"mismatched_pairs": 2}})
    assert found[:2] == ("matched_pairs", None)
    assert "the oracle saw 2 pairs" in found[2]


OWNED_TWICE = {
    "a stranger's": (
        acts(0.5, "b", "X a#0"),
        "expected a#0 to be of b, which acts on it; found that a owns it since line 1",
    ),
    "ended": (acts(0.5, "r", "H r#0"), "expected r#0 to be of r, which acts on it; found that it ended at line 3"),
    "never made": (acts(0.5, "a", "H a#5"), "expected a#5 to be of a, which acts on it; found that it was never made"),
    "made again": (heralded(0.5, "ar", "a#0", "r#5"), "expected a new qubit, found a#0: a owns it since line 1"),
    "made after its end": (acts(0.5, "r", "prepare r#0"), "expected a new qubit, found r#0: it has ended since line 3"),
    "arrived unsent": (
        line(0.5, "arrived", "r", link="ar", qubit="a#0", lost=""),
        "expected a#0 to be of the fibre, which acts on it; found that a owns it since line 1",
    ),
    "given at the wrong end": (
        line(0.5, "group_qubit_delivered", "b", group="g", number=0, qubit="a#0"),
        "expected a#0 to be of b, which acts on it; found that a owns it since line 1",
    ),
}


@pytest.mark.parametrize("case", OWNED_TWICE)
def test_a_qubit_of_two_owners(tmp_path: Path, case: str) -> None:
    wrong, said = OWNED_TWICE[case]
    assert broken(tmp_path, [*MADE, wrong]) == [("one_owner", 4, said)]


def test_a_qubit_that_is_given_twice_is_told_once_it_is(tmp_path: Path) -> None:
    log = [*MADE, delivered(0.4, "head", "a#0"), delivered(0.5, "head", "a#0", number=1)]
    assert broken(tmp_path, log) == [("one_owner", 5, "expected a#0 to be given once at a, found it given at line 4")]
    pair = line(0.1, "pair_delivered", "a", application="left", pair="ar/0")
    assert [at for _, at, _ in broken(tmp_path, [pair, pair | {"node": "r"}, pair])] == [3]


def test_a_qubit_that_a_circuit_gives_to_a_group_is_given_on_once(tmp_path: Path) -> None:
    group = line(0.5, "group_qubit_delivered", "a", group="a/0", number=0, qubit="a#0")
    log = [*MADE, delivered(0.4, "head", "a#0"), group]
    assert verdicts(tmp_path, log)["one_owner"]["holds"]
    assert [at for name, at, _ in broken(tmp_path, [*log, group | {"number": 1}]) if name == "one_owner"] == [6]


def test_the_qubits_of_a_dead_node_have_ended(tmp_path: Path) -> None:
    log = [*MADE[:2], KILLED, acts(2.5, "r", "measure r#0"), acts(2.6, "a", "measure a#0")]
    assert [(name, at) for name, at, _ in broken(tmp_path, log)] == [("one_owner", 4)]


def test_the_qubits_that_failing_slots_took_have_ended(tmp_path: Path) -> None:
    failed = line(2, "fault", "r", name="x", fault="slot_failure", cause="scenario", qubits_lost=["r#1"])
    log = [*MADE[:2], failed, acts(2.5, "r", "measure r#0"), acts(2.6, "r", "measure r#1")]
    assert [(name, at) for name, at, _ in broken(tmp_path, log)] == [("one_owner", 5)]


def test_keys_are_compared_by_name_and_order(tmp_path: Path) -> None:
    log = [key(1, "a", "00ff"), key(2, "a", "11"), key(3, "b", "00ff"), key(4, "b", "22"), key(5, "b", "33", name="n")]
    log += [key(6, "a", "33", bits=7, name="n")]
    assert broken(tmp_path, log) == [
        ("equal_keys", 4, "expected key 1 of a and b to be the same at both ends, found 8 bits 11… at a (line 2) and 8 bits 22… at b"),
        ("equal_keys", 6, "expected key 0 named 'n' of b and a to be the same at both ends, found 8 bits 33… at b (line 5) and 7 bits 33… at a"),
    ]  # fmt: skip


HANGING = {
    "unanswered": ([requested(1.0, 5.0)], 1, "expected circuit a:0 to be opened or refused within 5 s"),
    "down": ([requested(), OPENED, head(2, "down", reason="x")], 3, "to be restored or closed within 10 s"),
    "dead in the middle": (
        [requested(), OPENED, KILLED],
        3,
        "to be rerouted or closed within 2 s of the loss of link ar",
    ),
    "cut": ([requested(), OPENED, CUT], 3, "to be rerouted or closed within 2 s of the loss of link rb"),
    "asked for after a power cut": (
        [KILLED | {"node": "a", "fault": "node_restart"}, requested(3.0)],
        2,
        "expected circuit a:0 to be opened or refused",
    ),
    "kept down by another": (
        [requested(), OPENED, KILLED, line(3, "healed", "r", name="x", fault="node_restart", starts=False)],
        3,
        "to be rerouted or closed within 2 s of the loss of link ar",
    ),
    "left open": (
        [requested(), OPENED, line(3, "application_detached", "a", application="left", reason="it detached")],
        3,
        "expected circuit a:0 to be closed with its application, which is gone; found it open",
    ),
    "a tail that was not told": (
        [requested(), OPENED, delivered(1, "tail", ""), head(2, "closed", reason="done")],
        4,
        "expected b to learn within 22 s that circuit a:0 is over at a",
    ),
}


@pytest.mark.parametrize("case", HANGING)
def test_a_circuit_that_hangs(tmp_path: Path, case: str) -> None:
    log, at, said = HANGING[case]
    name, event, message = broken(tmp_path, log)[0]
    assert (name, event) == ("circuits_end", at)
    assert said in message


ENDED = {
    "refused": [requested(), head(1, "refused", code="no_route", reason="none")],
    "open, and in use": [requested(), OPENED],
    "asked for a moment ago": [requested(95.0)],
    "just down": [requested(), OPENED, head(95, "down", reason="x")],
    "restored": [requested(), OPENED, head(2, "down", reason="x"), head(3, "restored", links=["ar", "rb"])],
    "healed in time": [requested(), OPENED, CUT, line(3, "healed", link="rb", name="digger", fault="link_down")],
    "of a dead head": [requested(), KILLED | {"node": "a"}],
    "of a head that knows nothing of it any more": [
        requested(),
        OPENED,
        KILLED | {"node": "a", "fault": "node_restart"},
        line(3, "healed", "a", name="axe", fault="node_restart", starts=True),
    ],
    "whose repeater is there again": [
        requested(),
        OPENED,
        KILLED | {"fault": "node_restart"},
        line(3, "healed", "r", name="axe", fault="node_restart", starts=True),
    ],
    "asked for by who is gone": [requested(), line(1, "application_detached", "a", application="left", reason="x")],
    "of a path that nobody can tell of": [
        requested(),
        OPENED,
        CUT,
        line(2, "fault", name="h", fault="hold", cause="scenario", link="ar", direction="both"),
    ],
    "of a path that nobody could tell of": [
        requested(),
        OPENED,
        CUT,
        line(2, "fault", name="h", fault="hold", cause="scenario", link="ar", direction="both"),
        line(98, "healed", name="h", fault="hold", cause="its time is over", link="ar", direction="both"),
    ],
    "of a head that stands still": [requested(), line(1, "fault", "a", name="p", fault="node_pause", cause="scenario")],
    "of a head that stood still": [
        requested(),
        line(1, "fault", "a", name="p", fault="node_pause", cause="scenario"),
        line(90, "healed", "a", name="p", fault="node_pause", cause="its time is over"),
    ],
}


@pytest.mark.parametrize("case", ENDED)
def test_a_circuit_that_does_not_hang(tmp_path: Path, case: str) -> None:
    assert broken(tmp_path, ENDED[case]) == []


def process(name: str, code: int | None, fault: str = "") -> dict[str, Any]:
    return {"name": name, "process_id": 1, "status": f"exit code {code}", "exit_code": code, "fault": fault}


def test_processes_end_as_expected(tmp_path: Path) -> None:
    ends = [process("fabric", 0), process("node a", 0), process("node b", -9, "axe"), process("node r", 3)]
    ends += [process("application left", 1), process("application right", -9, "axe")]
    gone = line(3, "application_detached", "a", application="left", reason="it ended")
    assert broken(tmp_path, [gone], processes=ends) == [
        ("processes", None, "expected node r to end with exit code 0, found exit code 3"),
        ("processes", 1, "expected application left to end with exit code 0, found exit code 1"),
    ]


@pytest.mark.parametrize(
    ("expected", "code", "holds"),
    [("any", 1, True), ("any", -9, True), (3, 3, True), (3, 0, False), ("killed", -9, True), ("killed", 0, False)],
)
def test_an_application_may_be_expected_to_fail(tmp_path: Path, expected: str | int, code: int, holds: bool) -> None:
    scenario = SCENARIO.replace("check: {}", f"check: {{applications: {{left: {expected}}}}}")
    found = verdicts(tmp_path, [], scenario=scenario, processes=[process("application left", code)])
    assert found["processes"]["holds"] is holds


def test_who_is_interrupted_by_the_end_of_the_run_may_say_so(tmp_path: Path) -> None:
    stopped = "virtual time 1 s was reached"
    ends = [process("application left", 1)]
    assert broken(tmp_path, [], processes=ends, ended_because=stopped) == []
    gone = line(0.5, "application_detached", "a", application="left", reason="it ended")
    assert [name for name, _, _ in broken(tmp_path, [gone], processes=ends, ended_because=stopped)] == ["processes"]


def test_each_check_can_be_turned_off(tmp_path: Path) -> None:
    names = list(verdicts(tmp_path, []))
    assert names == ["matched_pairs", "one_owner", "equal_keys", "circuits_end", "processes"]
    for name in names:
        left = verdicts(tmp_path, [], scenario=SCENARIO.replace("check: {}", f"check: {{{name}: false}}"))
        assert list(left) == [each for each in names if each != name]


def test_many_problems_are_told_by_ten_and_a_number(tmp_path: Path) -> None:
    verdict = verdicts(tmp_path, [acts(0.1, "a", f"X a#{n}") for n in range(25)])["one_owner"]
    told = list(checks.lines(verdict))
    assert len(told) == 11
    assert (
        told[0]
        == "one_owner: at 0.1 s (events.jsonl line 1): expected a#0 to be of a, which acts on it; found that it was never made"
    )
    assert told[-1] == "one_owner: 15 more of that kind"


HOOK = """
def sound(run):
    print("looked")
    assert run.scenario.name == "chain"
    assert sum(1 for _ in run.events("heralded")) == 2
    assert run.exit_codes == {"left": 0}
    assert run.report["virtual_s"] == 100.0


def yields(run):
    for event in run.events("heralded"):
        if event["link"] == "rb":
            yield event, f"a pair of {event['link']} at {event.t_s} s"
    yield "and more"


def asserts(run):
    assert run.report["circuits"], "no circuit was asked for"


def bare(run):
    assert 1 == 2


def raises(run):
    run.report["virtual_s"] = 0


def wrong(run):
    return 7


def hangs(run):
    import time
    time.sleep(1000)


def dies(run):
    import os
    os._exit(3)
"""
SAID: dict[str, list[tuple[int | None, str]]] = {
    "sound": [],
    "yields": [(2, "a pair of rb at 0.2 s"), (None, "and more")],
    "asserts": [(None, "no circuit was asked for")],
    "bare": [(None, "assertion failed: assert 1 == 2 (own.py, line")],
    "raises": [(None, "expected a verdict of raises, found TypeError: 'mappingproxy' object does not support item")],
    "wrong": [(None, "found TypeError: a hook returns None, a text, or problems to iterate over, found int")],
    "missing": [(None, "expected a function 'missing' in")],
    "hangs": [(None, "expected a verdict within 1 s (check.hook_deadline_s), found none")],
    "dies": [(None, "expected a verdict, found that its process ended with exit code 3")],
}


@pytest.mark.parametrize("function", SAID)
def test_a_hook_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    monkeypatch.chdir(tmp_path.parent)
    tmp_path = Path(tmp_path.name)
    (tmp_path / "own.py").write_text(HOOK)
    deadline = ", hook_deadline_s: 1" if function == "hangs" else ""
    scenario = SCENARIO.replace("check: {}", f"check: {{hook: 'own.py:{function}'{deadline}}}")
    verdict = verdicts(tmp_path, MADE, scenario=scenario, processes=[process("application left", 0)])["hook"]
    found = [(problem.get("event"), problem["message"]) for problem in verdict["problems"]]
    assert [event for event, _ in found] == [event for event, _ in SAID[function]]
    for (_, message), (_, said) in zip(found, SAID[function], strict=True):
        assert said in message
    if function == "sound":
        assert (tmp_path / "logs" / LOG).read_text() == "looked\n"


@pytest.mark.parametrize(
    ("section", "path", "said"),
    [
        ("check: {hook: own.py}", "check.hook", "expected a Python file and a function such as 'checks.py:holds'"),
        ("check: {one_owners: false}", "check.one_owners", "did you mean 'one_owner'?"),
        ("check: {applications: {lift: any}}", "check.applications.lift", "did you mean 'left'?"),
        (
            "check: {applications: {left: sometimes}}",
            "check.applications.left",
            "expected a whole number or 'any' or 'killed'",
        ),
    ],
)
def test_a_check_section_that_cannot_be_is_refused(section: str, path: str, said: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(SCENARIO.replace("check: {}", section), source="chain.yaml")
    assert any(problem.path == path and said in problem.message for problem in refused.value.problems), refused.value


def test_a_log_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"t_ps": 1, "kind": "message"}\n{"t_ps": 2}\n')
    run = checks.Run(tmp_path, parse(SCENARIO, source="chain.yaml"), {})
    with pytest.raises(ValueError, match="line 2: expected an event"):
        list(run.events())
