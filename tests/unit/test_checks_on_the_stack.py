"""The checks on event logs of the real stack: sound runs hold, and a swap rule that mixes up two pairs is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from circuit_runs import Ends, certain_werner, chain, hardware
from in_process import InProcess

from orchestrator import checks
from orchestrator.fabric.event_log import EventLog
from orchestrator.scenario import Check, LinkDown
from qnode.stack.circuits.data_plane import Installed

PAIRS = 6


def verdicts(directory: Path) -> dict[str, dict[str, Any]]:
    """Of a circuit over a router whose first link fails for a while."""
    cut = LinkDown(link="l00", at_s=1e-3, for_s=0.02)
    network = chain([certain_werner(0.9)] * 2, hardware(6))
    scenario = msgspec.structs.replace(network, faults=(cut,), check=Check())
    testbed, ends = InProcess(scenario, log=EventLog(directory / "events.jsonl"), check=False), Ends()
    first, *_, last = scenario.nodes
    testbed.start(first, ends.head(last, circuits=1, pairs=PAIRS))
    testbed.start(last, ends.tail(circuits=1, pairs=PAIRS))
    testbed.run(at_most_s=1e5)
    testbed.log.close()
    (directory / "scenario.json").write_bytes(msgspec.json.encode(scenario))
    report = {"circuits": {}, "virtual_s": testbed.now / 1e12, "ended_because": "", "processes": []}
    (directory / "report.json").write_text(json.dumps(report))
    return {each["name"]: each for each in checks.evaluate(checks.Run.of(directory), directory=directory)}


def test_a_sound_run_holds(tmp_path: Path) -> None:
    found = verdicts(tmp_path)
    assert all(verdict["holds"] for verdict in found.values()), found
    assert int(found["matched_pairs"]["looked_at"].split()[0]) >= PAIRS


def test_a_swap_rule_that_mixes_up_two_pairs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, held = Installed._tell_outcome, list[tuple[Any, Any, Any]]()

    def mixed_up(self: Installed, first: Any, second: Any, frame: Any) -> None:
        held.append((first, second, frame))
        if len(held) == 2:
            (one, _, its_frame), (_, another, _) = held[0], held[1]
            honest(self, one, another, its_frame)
            honest(self, held[1][0], held[0][1], held[1][2])
            held.clear()

    monkeypatch.setattr(Installed, "_tell_outcome", mixed_up)
    found = verdicts(tmp_path)
    problems = found["matched_pairs"]["problems"]
    assert len(problems) >= PAIRS - 1
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    for problem in problems:
        event = json.loads(lines[problem["event"] - 1])
        assert (event["kind"], event["end"]) == ("circuit_pair_delivered", "tail")
        assert event["other_qubit"] in problem["message"]
    assert found["one_owner"]["holds"], "each is one's own; they only do not belong together"
