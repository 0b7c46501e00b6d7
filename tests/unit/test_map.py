"""The picture of a network."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.report import map as picture
from orchestrator.scenario.file import load, parse

QMAN = Path(__file__).resolve().parents[2] / "topologies" / "beijing_qman.yaml"


def test_nodes_stand_where_their_coordinates_say() -> None:
    where = picture.places(load(QMAN))
    # great-circle distance by the haversine formula, of two sites 20 km apart
    (lat1, lon1), (lat2, lon2) = ((39.9319, 116.1681), (39.9372, 116.3489))
    a, b, c, d = map(math.radians, (lat1, lon1, lat2, lon2))
    half = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    assert math.dist(where["Beijing_Backbone"], where["TR15"]) == pytest.approx(
        2 * 6371 * math.asin(half**0.5), rel=0.01
    )


def test_without_coordinates_there_is_a_layout_and_it_is_always_the_same() -> None:
    scenario = parse(
        "version: 1\nname: t\nnodes: {a: , b: , c: }\nlinks: {ab: {ends: [a, b], length_km: 1}}\n", source="t"
    )
    first, second = picture.places(scenario), picture.places(scenario)
    assert first == second
    assert len(set(first.values())) == 3


def test_lines_side_by_side_stay_on_their_side_whichever_way_they_run() -> None:
    there, back = picture.shifted((0, 0), (3, 4), 5.0), picture.shifted((3, 4), (0, 0), 5.0)
    assert there == (back[1], back[0]) == ((-4.0, 3.0), (-1.0, 7.0))


def test_a_runs_map_shows_its_circuits_and_lists_what_was_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    scenario = load(QMAN)
    circuit: dict[str, Any] = {"head": "EN1", "tail": "TR12", "status": "open", "oracle_fidelity": 0.9}
    report = {
        "links": {name: {"load": 0.5 if "TR12" in name else 0.0} for name in scenario.links},
        "circuits": {
            "EN1:0": circuit | {"path": ["EN1", "TR11", "TR12"], "links": ["TR11-EN1", "TR11-TR12"]},
            "EN1:1": {
                "head": "EN1",
                "tail": "EN9",
                "status": "refused",
                "refused": {"reason": "TR15 is short of slots"},
            },
        },
        "faults": [{"kind": "fault", "name": "the end of TR4", "node": "TR4", "at_s": 2.0}],
    }
    (tmp_path / "scenario.json").write_bytes(msgspec.json.encode(scenario))
    (tmp_path / "report.json").write_text(json.dumps(report))
    done = CliRunner().invoke(main, ["map", str(tmp_path), "-o", str(tmp_path / "m.svg")])
    assert done.exit_code == 0, done.output
    drawn = (tmp_path / "m.svg").read_text()
    for words in ("Beijing_Backbone", "EN1:0 EN1 to TR12, F 0.900", "TR15 is short of slots", "the end of TR4 at 2 s"):
        assert words in drawn  # matplotlib writes each text as a comment beside its glyphs


def test_a_scenarios_map_needs_no_run_and_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "m.png"
    assert CliRunner().invoke(main, ["map", str(QMAN), "-o", str(target)]).exit_code == 0
    assert target.stat().st_size > 10_000
    failed = CliRunner().invoke(main, ["map", str(tmp_path)])
    assert failed.exit_code == 2
    assert "no map of" in failed.output
