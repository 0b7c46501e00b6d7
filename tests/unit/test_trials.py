"""Sweeps and shrinking without a single process: the runs are functions."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.cli import main
from orchestrator.scenario import Fault, LinkDown, NodeKill
from orchestrator.scenario.file import load, parse
from orchestrator.trials import child, seeds, shrunk_scenario, summary
from orchestrator.trials.shrink import Faults, Shrinker, Shrunk, in_words, simpler_faults
from orchestrator.trials.sweep import first, sweep
from orchestrator.trials.trial import Failure, Trial, of_failed_testbed, of_report

# --- seeds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0..3", [0, 1, 2, 3]), ("7", [7]), ("9, 2..4,0", [9, 2, 3, 4, 0]), (f"{2**63 - 1}", [2**63 - 1])],
)
def test_seeds_are_run_in_the_order_in_which_they_are_written(text: str, expected: list[int]) -> None:
    found = seeds.parse(text)
    assert list(found) == expected
    assert found.count == len(expected)


def test_seeds_may_go_on_for_ever() -> None:
    found = seeds.parse("1,5..")
    assert list(itertools.islice(found, 4)) == [1, 5, 6, 7]
    assert found.count is None


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "1-3", "3..1", "1,,2", "1..3,3", "2,0..9", "5..,7", "7,5..", f"{2**63}", "1.5"]
)
def test_seeds_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        seeds.parse(text)


# --- sweeps ---------------------------------------------------------------------------------------------------


class Runner:
    """Runs that take some turns of the loop; those of ``failing`` seeds fail, and those after them take long."""

    def __init__(self, *failing: int) -> None:
        self.failing = failing
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.broken_off: list[int] = []
        self.most_at_once = 0

    async def __call__(self, seed: int) -> Trial:
        self.begun.append(seed)
        self.most_at_once = max(self.most_at_once, len(self.begun) - len(self.ended) - len(self.broken_off))
        try:
            for _ in range(50 if seed > max(self.failing, default=1000) else seed % 3 + 1):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.broken_off.append(seed)
            raise
        self.ended.append(seed)
        return Trial(seed, (Failure("bad", "it is"),) if seed in self.failing else ())


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_a_sweep_runs_every_seed_once_and_so_many_at_a_time(jobs: int) -> None:
    runner, heard = Runner(3, 4), list[Trial]()
    asyncio.run(sweep(range(10), runner, jobs=jobs, heard=heard.append))
    assert runner.begun == list(range(10))
    assert runner.most_at_once == jobs
    assert sorted(trial.seed for trial in heard) == list(range(10))
    assert sorted(trial.seed for trial in heard if not trial.passed) == [3, 4]


def test_a_sweep_until_failure_breaks_off_what_still_runs() -> None:
    runner, heard = Runner(6), list[Trial]()
    asyncio.run(sweep(itertools.count(), runner, jobs=3, heard=heard.append, until_failure=True))
    assert [trial.seed for trial in heard if not trial.passed] == [6]
    assert len(heard) <= 7
    assert sorted(runner.ended + runner.broken_off) == runner.begun
    assert runner.broken_off


def test_an_error_of_a_run_ends_the_sweep_and_is_raised() -> None:
    runner = Runner()

    async def run(seed: int) -> Trial:
        if seed == 4:
            raise LookupError("no such scenario")
        return await runner(seed)

    with pytest.raises(LookupError, match="no such scenario"):
        asyncio.run(sweep(itertools.count(), run, jobs=2, heard=lambda trial: None))
    assert sorted(runner.ended + runner.broken_off) == sorted(runner.begun)


def test_a_cancelled_sweep_breaks_off_its_runs() -> None:
    runner = Runner()

    async def interrupted() -> None:
        task = asyncio.create_task(sweep(itertools.count(), runner, jobs=2, heard=lambda trial: None))
        while len(runner.begun) < 8:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    assert sorted(runner.ended + runner.broken_off) == runner.begun


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=12), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_the_first_is_the_first_however_fast_the_others_are(plan: list[tuple[bool, int]], jobs: int) -> None:
    async def candidate(outcome: bool, steps: int) -> bool:
        for _ in range(steps):
            await asyncio.sleep(0)
        return outcome

    found = asyncio.run(first([lambda each=each: candidate(*each) for each in plan], jobs=jobs))
    assert found == next((index for index, (outcome, _) in enumerate(plan) if outcome), None)


# --- shrinking ------------------------------------------------------------------------------------------------


def cut(number: int, **fields: Any) -> LinkDown:
    return LinkDown(name=f"f{number}", link="a-b", at_s=float(number), **fields)


def shrink(faults: Faults, fails: Callable[[Faults], bool], *, jobs: int = 1, most: int = 10_000) -> Shrunk:
    async def run(candidate: Faults) -> bool:
        await asyncio.sleep(0)
        return fails(candidate)

    return asyncio.run(Shrinker(fails=run, jobs=jobs, allowed=lambda runs: runs < most).shrink(faults))


def names(faults: Faults) -> set[str]:
    return {fault.name for fault in faults}


@given(st.integers(1, 24), st.sets(st.integers(0, 23), min_size=1, max_size=4), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_what_is_left_is_just_what_matters(count: int, wanted: set[int], jobs: int) -> None:
    guilty = {f"f{number % count}" for number in wanted}
    shrunk = shrink(tuple(cut(n) for n in range(count)), lambda faults: guilty <= names(faults), jobs=jobs)
    assert names(shrunk.faults) == guilty
    assert shrunk.is_minimal
    assert not shrunk.limit_reached


def test_six_faults_of_which_one_matters_take_few_runs() -> None:
    shrunk = shrink(tuple(cut(n) for n in range(6)), lambda faults: "f4" in names(faults))
    assert names(shrunk.faults) == {"f4"}
    assert shrunk.runs <= 8


def test_one_of_two_that_each_would_do_is_left() -> None:
    shrunk = shrink(tuple(cut(n) for n in range(8)), lambda faults: bool({"f1", "f6"} & names(faults)))
    assert len(shrunk.faults) == 1
    assert shrunk.is_minimal


def test_what_fails_without_any_fault_takes_one_run() -> None:
    shrunk = shrink(tuple(cut(n) for n in range(8)), lambda faults: True)
    assert (shrunk.faults, shrunk.runs, shrunk.is_minimal) == ((), 1, True)


def test_what_never_fails_again_is_left_as_it_was() -> None:
    faults = tuple(cut(n) for n in range(5))
    shrunk = shrink(faults, lambda candidate: False)
    assert shrunk.faults == faults


def test_a_flaky_failure_comes_to_an_end_and_claims_no_more_than_was_seen() -> None:
    for seed in range(50):
        outcomes = iter(itertools.cycle([seed % 2 == 0, seed % 3 == 0, seed % 5 == 0, False, True]))
        tried: dict[Faults, bool] = {}

        def fails(candidate: Faults, outcomes: Any = outcomes, tried: dict[Faults, bool] = tried) -> bool:
            assert candidate not in tried, "nothing is tried twice"
            tried[candidate] = next(outcomes)
            return tried[candidate]

        shrunk = shrink(tuple(cut(n) for n in range(6)), fails)
        if shrunk.is_minimal:
            for left_out in range(len(shrunk.faults)):
                assert tried[shrunk.faults[:left_out] + shrunk.faults[left_out + 1 :]] is False


def test_the_limit_ends_it_with_the_smallest_so_far() -> None:
    guilty = {"f1", "f9", "f12"}
    faults = tuple(cut(n) for n in range(16))
    whole = shrink(faults, lambda candidate: guilty <= names(candidate))
    for most in range(1, whole.runs):
        shrunk = shrink(faults, lambda candidate: guilty <= names(candidate), most=most)
        assert shrunk.limit_reached
        assert shrunk.runs == most
        assert guilty <= names(shrunk.faults)


def test_what_is_left_is_made_as_simple_as_it_can_be() -> None:
    fault = LinkDown(name="x", select="all", at_s=3.14159, for_s=0.8, every_s=2.0, times=9)

    def fails(faults: Faults) -> bool:
        return any(isinstance(each, LinkDown) and (each.for_s or 0) >= 0.02 and each.at_s >= 3.1 for each in faults)

    shrunk = shrink((cut(1), fault), fails)
    assert shrunk.faults == (LinkDown(name="x", select="one", at_s=3.1, for_s=0.02),)
    assert shrunk.is_minimal


def test_faults_are_left_out_again_once_another_is_simpler() -> None:
    def fails(faults: Faults) -> bool:
        by_name = {fault.name: fault for fault in faults}
        return "f1" in by_name and ("f2" in by_name or by_name["f1"].for_s != 0.5)

    assert names(shrink((cut(1, for_s=0.5), cut(2, for_s=0.5)), fails).faults) == {"f1"}


@given(st.floats(0.001, 1e3), st.floats(0.001, 1e3), st.integers(2, 50), st.sampled_from(["one", "minority", "all"]))
@settings(max_examples=100, deadline=None)
def test_simpler_is_a_way_that_ends(at_s: float, for_s: float, times: int, select: Any) -> None:
    fault: Fault = LinkDown(name="x", select=select, at_s=at_s, for_s=for_s, every_s=for_s + 1, times=times)
    for _ in range(500):
        choices = list(simpler_faults(fault))
        if not choices:
            break
        assert fault not in choices
        fault = choices[-1]
    else:
        pytest.fail(f"still simpler: {fault}")


def test_a_fault_in_words() -> None:
    assert in_words(cut(2, for_s=0.25)) == "f2: link_down of a-b at 2 s for 0.25 s"
    assert in_words(NodeKill(name="axe", node="r1", at_s=1.5)) == "axe: node_kill of r1 at 1.5 s"
    many = LinkDown(name="m", select="minority", among=("a-b", "b-c"), at_s=1, for_s=1, every_s=2, times=3)
    assert in_words(many) == "m: link_down of minority of a-b, b-c at 1 s for 1 s, every 2 s, 3 times"


# --- what is written ------------------------------------------------------------------------------------------

SCENARIO = """
version: 1
name: net      # a comment
description: "1e3"
nodes: {a: {hardware: {profile: nv-lab, communication: {t2_s: 0.5}}}, b: , "no": }
links: {a-b: {ends: [a, b], length_km: 1e1}}
applications: [{name: one, node: a, command: [python, one.py, "007", "1e-3", "null", "0x1F", "x: y", "", "ü\\n"]}]
random_faults: [{count: 3, until_s: 4, kinds: [link_down]}]
faults: [{kind: link_down, link: a-b, at_s: 1}]
"""


def test_a_shrunk_scenario_is_the_author_s_with_other_faults(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(SCENARIO)
    document = shrunk_scenario.document_of(tmp_path / "net.yaml")
    faults = (cut(1, for_s=1e-3), NodeKill(name="axe", node="b", at_s=2.0))
    changed = shrunk_scenario.with_faults(document, faults, seed=17, directory="")
    path = shrunk_scenario.write_new(changed, tmp_path, "net-shrunk", comment=["why"])
    again = shrunk_scenario.write_new(changed, tmp_path, "net-shrunk", comment=["why"])
    assert (path.name, again.name) == ("net-shrunk.yaml", "net-shrunk-2.yaml")
    written, original = load(path), parse(SCENARIO, source="net.yaml")
    assert (written.seed, written.faults, written.random_faults) == (17, faults, ())
    assert written.applications == original.applications
    assert written.nodes == original.nodes
    assert written.description == "1e3"
    assert "nv-lab" in path.read_text(), "the author's short forms stay"
    assert path.read_text().startswith("# why\n")


def test_a_scenario_elsewhere_names_the_directory_of_its_programs(tmp_path: Path) -> None:
    home = tmp_path / "shrunk"
    assert shrunk_scenario.relative_directory(tmp_path, tmp_path) == ""
    assert shrunk_scenario.relative_directory(tmp_path / "apps", home) == "../apps"
    document = json.loads('{"version": 1, "name": "n", "nodes": {"a": null}, "directory": "old"}')
    assert "directory" not in shrunk_scenario.with_faults(document, (), seed=1, directory="")
    assert shrunk_scenario.with_faults(document, (), seed=1, directory="../apps")["directory"] == "../apps"


# --- what is told ---------------------------------------------------------------------------------------------


def report(**changes: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"links": {}, "circuits": {}, "faults": [], "results": {}, "expectations": []}
    times = {"virtual_s": 2.0, "wall_s": 1.0, "events": 10, "messages": 3, "digest": "d", "run_directory": "out"}
    return empty | times | changes


def test_a_trial_names_everything_that_failed() -> None:
    problem = {"message": "a and b differ", "t_s": 1.25, "event": 7}
    broken = {"name": "equal_keys", "holds": False, "problems": [problem], "problems_in_all": 3}
    sound = {"name": "one_owner", "holds": True, "problems": [], "problems_in_all": 0}
    trial = of_report(
        report(
            checks=[sound, broken],
            expectations=[{"name": "enough", "holds": False, "line": "x = 1; at least 2"}],
            determinism={"equal": False, "first_difference": "event 4 differs"},
            results={"one": {"rate": {"value": 2.5, "standard_error": 0.1}, "n": 4}},
        ),
        seed=3,
        wall_s=2.0,
    )
    assert [failure.kind for failure in trial.failures] == ["equal_keys", "enough", "determinism"]
    assert trial.failures[0].story == "at 1.25 s (events.jsonl line 7): a and b differ (and 2 more)"
    assert trial.fails_with("enough")
    assert not trial.fails_with("one_owner")
    assert trial.figures["one.rate"] == 2.5
    assert trial.figures["one.n"] == 4.0
    assert of_report(report(), seed=1, wall_s=0.0).passed


def test_a_deadlock_is_told_from_another_failure_of_the_testbed() -> None:
    assert of_failed_testbed("deadlock at virtual time 3 s: ...", seed=1, wall_s=1.0).fails_with("deadlock")
    assert of_failed_testbed("node a died", seed=1, wall_s=1.0).fails_with("testbed")


def test_a_run_is_read_from_its_exit_code_and_what_it_printed(tmp_path: Path) -> None:
    def read(code: int, printed: Any, errors: str = "") -> Trial:
        return child.trial_of(code, json.dumps(printed).encode() if printed else b"", errors, 5, 1.5, tmp_path)

    assert read(0, report()).passed
    failed = read(3, {"ok": False, "error": "deadlock at 3 s"}, "qloom: something else\nqloom: deadlock at 3 s\n")
    assert failed.failures == (Failure("deadlock", "deadlock at 3 s"),)
    assert (failed.seed, failed.wall_s, failed.run_directory) == (5, 1.5, str(tmp_path))
    assert read(3, None, "qloom: interrupted\n").failures == (Failure("testbed", "interrupted"),)
    assert read(-9, None).failures[0].story.startswith("the run ended by signal SIGKILL")
    with pytest.raises(child.BadInput, match=r"^no such file$"):
        read(2, None, "qloom: no such file\n")


@pytest.mark.parametrize(
    ("code", "printed", "kind", "story"),
    [
        (0, b'{"ok": tr', "died", "the run ended by exit code 0 and without a whole report; is the disk of"),
        (1, b"", "died", "the run ended by exit code 1 and without a whole report; is the disk of"),
        (3, b'{"ok": false, "er', "testbed", "no room for the journal"),
    ],
)
def test_a_report_that_is_cut_off_is_a_failure_of_its_run_and_not_of_the_sweep(
    code: int, printed: bytes, kind: str, story: str, tmp_path: Path
) -> None:
    trial = child.trial_of(code, printed, "qloom: no room for the journal\n", 5, 1.5, tmp_path)
    assert trial.failures[0].kind == kind
    assert trial.failures[0].story.startswith(story)


def test_a_summary_counts_and_describes() -> None:
    trials = [Trial(seed, figures={"x": float(seed)}) for seed in range(4)]
    trials += [Trial(seed, (Failure("keys", "a"), Failure("keys", "b"), Failure("end", "c"))) for seed in (9, 7)]
    trials.append(Trial(8, (Failure("end", "c"),)))
    found = summary.of(trials, wall_s=3.0, jobs=2)
    assert (found["runs"], found["passed"]) == (7, 4)
    assert found["failed"] == {"end": [9, 7, 8], "keys": [9, 7]}
    assert found["figures"]["x"] == {
        "runs": 4, "min": 0.0, "p50": 1.5, "max": 3.0, "mean": 1.5, "standard_deviation": pytest.approx(1.2909944),
    }  # fmt: skip
    console = Console(width=100)
    with console.capture() as capture:
        console.print(summary.rendered(found))
    shown = capture.get()
    assert "4 of 7 runs passed, 3 failed; 3.0 s, 2 jobs" in shown
    assert "9, 7, 8" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--seeds", "3..1"), "--seeds: expected a range from a seed to a larger one"),
        (("--seeds", "0.."), "seeds without end go with --until-failure"),
        (("--seeds", "0..3", "--seed", "1"), "expected one of them, found both"),
        (("--seeds", "0..3", "--out", "."), "exists and is not an empty directory"),
    ],
)
def test_bad_input_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(SCENARIO)
    ended = CliRunner().invoke(main, ["run", "net.yaml", *options])
    assert ended.exit_code == 2
    assert said in ended.output
    assert [path.name for path in tmp_path.iterdir()] == ["net.yaml"]
