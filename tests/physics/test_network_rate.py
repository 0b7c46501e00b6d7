"""No chain of lossy fibre delivers more than its capacity: -log2(1 - eta_min) pairs per use and mode (Pirandola 2019).

A segment of the bound is a fibre between two places that store or detect: the whole link, or, where a station in the
middle heralds, each half of it. Devices are perfect, so nothing but the fibre's loss limits the rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from circuit_runs import SIGMAS, chain, hardware, run
from oracles import repeater_chain_capacity

from orchestrator.fabric.heralding import link_model
from orchestrator.scenario import DoubleClick, MidpointSource, SenderReceiver, SingleClick
from orchestrator.scenario.types import Heralding

CASES: list[tuple[Heralding, Sequence[float]]] = [
    (SenderReceiver(), (5.0, 5.0)),
    (SenderReceiver(), (20.0, 50.0, 10.0)),
    (SenderReceiver(modes=4), (60.0, 60.0)),
    (DoubleClick(), (10.0, 10.0)),
    (DoubleClick(modes=3), (50.0, 20.0, 20.0, 50.0)),
    (SingleClick(bright_state_population=0.3), (20.0, 20.0)),
    (SingleClick(bright_state_population=0.05, modes=2), (80.0, 40.0, 80.0)),
    (MidpointSource(), (20.0, 40.0)),
]


@pytest.mark.parametrize(("heralding", "lengths_km"), CASES, ids=lambda value: str(value)[:40])
def test_delivered_rate_is_below_capacity(heralding: Heralding, lengths_km: Sequence[float]) -> None:
    """250 pairs, with memories enough that the slowest link sets the pace: what is delivered is what that link makes,
    and below the capacity in every use of it."""
    scenario = chain([heralding] * len(lengths_km), hardware(slots=40), length_km=lengths_km, seed=13)
    pairs, warm_up = 250, 50
    _, ends = run(scenario, pairs=warm_up + pairs, slots=20)
    elapsed_ps = ends.at_tail[-1].now_ps - ends.at_tail[warm_up - 1].now_ps

    models = [link_model(link) for link in scenario.links.values()]
    slowest = min(models, key=lambda model: model.rate_hz)
    rate_per_use = pairs / (elapsed_ps / slowest.attempt_cycle_ps)
    modes = getattr(heralding, "modes", 1)
    arms = 1 if isinstance(heralding, SenderReceiver) else 2
    transmissions = [10 ** (-0.02 * length / arms) for length in lengths_km]
    capacity = repeater_chain_capacity(transmissions)
    error = 1 / math.sqrt(pairs)
    assert rate_per_use / modes < capacity
    assert rate_per_use < slowest.success_probability * (1 + SIGMAS * error)
    assert rate_per_use > slowest.success_probability * (1 - SIGMAS * error), (
        rate_per_use,
        slowest.success_probability,
        capacity,
    )
