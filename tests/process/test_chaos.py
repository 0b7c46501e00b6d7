"""A few seeds of what `scripts/soak` runs for long: whatever breaks at random, the checks hold and runs repeat."""

from __future__ import annotations

import json

import chaos
import pytest
from program import World

from orchestrator.chaos import expanded
from orchestrator.scenario import Scenario
from orchestrator.scenario.file import load


@pytest.mark.slow
def test_a_chain_that_breaks_at_random_holds_its_checks_and_repeats(world: World) -> None:
    sweep = chaos.swept(world, "chain", range(1, 3), jobs=2)
    assert sweep.failures == []
    assert sweep.totals["faults"] >= 2 * 8
    assert sweep.totals["circuit pairs"] >= 2 * 12


@pytest.mark.parametrize("name", chaos.SCENARIOS)
def test_the_seeds_draw_all_that_shall_break(tmp_path, name: str) -> None:  # type: ignore[no-untyped-def]
    world = World(tmp_path)
    try:
        scenario: Scenario = load(chaos.SCENARIOS[name](world))
    finally:
        world.destroy()
    assert len(scenario.nodes) == {"chain": 10, "metropolitan": 35}[name]
    assert all((chaos.HOME / each.command[1]).exists() for each in scenario.applications)
