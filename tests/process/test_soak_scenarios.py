"""A few seeds of what `scripts/soak` runs for long: whatever breaks at random, the checks hold and runs repeat."""

from __future__ import annotations

import collections
from pathlib import Path

import chaos
import msgspec
import pytest
from program import World

from orchestrator.chaos import expanded
from orchestrator.scenario.file import load


@pytest.mark.slow
def test_a_chain_that_breaks_at_random_holds_its_checks_and_repeats(world: World) -> None:
    sweep = chaos.Sweep()
    chaos.swept(world, "chain", range(16, 17), sweep, jobs=1)  # seed 16 kills an inner node for good
    assert sweep.failures == []
    assert sweep.totals["faults"] >= 8
    assert sweep.totals["circuit pairs"] >= 12


@pytest.mark.parametrize("name", chaos.NAMES)
def test_the_seeds_of_a_soak_break_what_they_shall(name: str, tmp_path: Path) -> None:
    scenario = load(chaos.scenario(name, tmp_path))
    assert len(scenario.nodes) == {"chain": 10, "metropolitan": 35}[name]
    assert scenario.check is not None
    drawn: collections.Counter[str] = collections.Counter()
    for seed in range(200):
        faults = expanded(msgspec.structs.replace(scenario, seed=seed)).faults
        drawn.update(type(fault).__struct_config__.tag for fault in faults)
    assert min(drawn[kind] for group in scenario.random_faults for kind in group.kinds) >= 20
    for application in scenario.applications:
        assert (chaos.HOME / application.command[1]).exists()


def test_what_a_sweep_finds_broken_is_counted_as_such() -> None:
    failure = {"kind": "one_owner", "story": "twice"}
    trials = [
        {"seed": 3, "failures": [failure], "figures": {"faults": 8.0, "wall_s": 2.0}},
        {"seed": 4, "failures": [], "figures": {"faults": 9.0, "events": 1.0, "wall_s": 1.0}},
        {"seed": 5, "failures": [{"kind": "timeout", "story": "hangs"}], "figures": {}},
    ]
    sweep = chaos.Sweep()
    sweep.add({"trials": trials})
    assert [each["seed"] for each in sweep.failures] == [3, 5]
    assert (sweep.seeds, sweep.totals["faults"], sweep.run_wall_s) == (3, 17.0, [2.0, 1.0])
