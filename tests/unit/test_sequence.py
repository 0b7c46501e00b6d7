"""The sequence picture of one pair of a circuit, from the log of a run of real processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.report.sequence import EventLog, NoSuchPair, Story, story_of

CHAIN = Path(__file__).resolve().parents[2] / "topologies" / "chain4.yaml"
RUN_DEADLINE_S = 60
SPAN_PS = 97_934_418
"""20 km of fibre."""


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two end nodes and two repeaters."""
    out = tmp_path_factory.mktemp("sequence") / "run"
    _run(CHAIN, out)
    return out


def _run(scenario: Path, out: Path) -> None:
    subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator", "run", str(scenario), "--json", "--out", str(out)],
        check=False,
        capture_output=True,
        timeout=RUN_DEADLINE_S,
    )


def _named(story: Story, name: str) -> list[tuple[str, str]]:
    return [(told.sender, told.to) for told in story.messages if told.name == name]


def test_every_pairs_story_is_whole(run_directory: Path) -> None:
    stories = list(EventLog(run_directory / "events.jsonl").stories())
    assert len(stories) == 50
    for story in stories:
        assert [herald["link"] for herald in story.heralds] == ["alice-r1", "r1-r2", "r2-bob"]
        assert [swap["node"] for swap in story.swaps] == ["r1", "r2"]
        assert _named(story, "SwapOutcome") == [("r1", "alice"), ("r2", "alice")]
        assert _named(story, "PairComplete") == [("alice", "bob")]
        assert _named(story, "PairKept") == [("bob", "alice")]
        assert not _named(story, "SegmentGrew")
        outcomes = [told for told in story.messages if told.name == "SwapOutcome"]
        (complete,) = (told for told in story.messages if told.name == "PairComplete")
        (kept,) = (told for told in story.messages if told.name == "PairKept")
        assert complete.sent_ps >= max(told.arrives_ps for told in outcomes)
        assert complete.arrives_ps == kept.sent_ps == story.delivered["tail"]["t_ps"]
        assert kept.arrives_ps == story.delivered["head"]["t_ps"] == story.delivered_ps
        assert kept.arrives_ps - kept.sent_ps == pytest.approx(3 * SPAN_PS, abs=9)


def test_the_shortest_story_is_drawn_if_none_is_asked_for(run_directory: Path) -> None:
    log = run_directory / "events.jsonl"
    shortest = min(story.delivered_ps - story.begins_ps for story in EventLog(log).stories())
    story = story_of(log, None)
    assert story.delivered_ps - story.begins_ps == shortest


@pytest.mark.parametrize("pair", [[], ["--pair", "alice:0/49"]])
def test_the_command_draws_it(run_directory: Path, tmp_path: Path, pair: list[str]) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "swap.svg"
    done = CliRunner().invoke(main, ["sequence", str(run_directory), *pair, "-o", str(target)])
    assert done.exit_code == 0, done.output
    picture = target.read_text()
    for words in ("SwapOutcome", "PairComplete", "PairKept", "alice", "r1", "r2", "bob"):
        assert f"<!-- {words} -->" in picture
    assert "swap: " in picture


@pytest.mark.parametrize(
    ("pair", "said"),
    [("alice:0/50", "nowhere"), ("alice:7/1", "its circuits are alice:0"), ("alice-r1/3", "a pair is CIRCUIT/NUMBER")],
)
def test_what_is_not_there_is_bad_input(run_directory: Path, pair: str, said: str) -> None:
    done = CliRunner().invoke(main, ["sequence", str(run_directory), "--pair", pair])
    assert done.exit_code == 2
    assert said in done.output


def test_nested_swapping_and_distillation_tell_more(tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    head = (CHAIN.parent / "programs" / "chain_head.py").read_text()
    wanted = head.replace("rate_bpps=10", 'rate_bpps=1, swapping="nested", slots=3, end_distillation_rounds=1')
    assert wanted != head
    (tmp_path / "programs" / "chain_head.py").write_text(wanted.replace("pairs(50)", "pairs(5)"))
    tail = (CHAIN.parent / "programs" / "chain_tail.py").read_text()
    (tmp_path / "programs" / "chain_tail.py").write_text(tail.replace("pairs(50)", "pairs(5)"))
    scenario = tmp_path / "chain4.yaml"
    scenario.write_text(CHAIN.read_text().replace("slots: 4", "slots: 8").replace("at_least: 50", "at_least: 5"))
    _run(scenario, tmp_path / "run")
    stories = list(EventLog(tmp_path / "run" / "events.jsonl").stories())
    assert stories
    for story in stories:
        assert _named(story, "SegmentGrew") == [("r1", "r2")]
        assert _named(story, "DistilPairs") == [("alice", "bob")]
        assert _named(story, "PairDistilled") == [("bob", "alice")]


def _edited(run_directory: Path, target: Path, keeps: Any) -> Path:
    shutil.copytree(run_directory, target)
    lines = [line for line in (run_directory / "events.jsonl").read_text().splitlines() if keeps(json.loads(line))]
    (target / "events.jsonl").write_text("\n".join(lines) + "\n")
    return target


def test_a_run_without_circuits_is_bad_input(run_directory: Path, tmp_path: Path) -> None:
    directory = _edited(run_directory, tmp_path / "run", lambda line: line["kind"] != "circuit_pair_delivered")
    done = CliRunner().invoke(main, ["sequence", str(directory)])
    assert done.exit_code == 2
    assert "no circuit has delivered a pair" in done.output


def test_a_pair_that_one_end_only_was_given_has_no_story(run_directory: Path, tmp_path: Path) -> None:
    directory = _edited(
        run_directory,
        tmp_path / "run",
        lambda line: (
            (line["kind"], line.get("pair"), line.get("end")) != ("circuit_pair_delivered", "alice:0/3", "head")
        ),
    )
    with pytest.raises(NoSuchPair, match="at one end only"):
        story_of(directory / "events.jsonl", "alice:0/3")
