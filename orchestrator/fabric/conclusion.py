"""What the fabric tells of a run that is over."""

from __future__ import annotations

import numpy as np

from orchestrator import control
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.journal import Ended
from orchestrator.fabric.pacing import Pace


def finished(engine: Engine, pace: Pace, ended: Ended, *, error: str) -> control.Finished:
    """All that the report needs and only the fabric knows; the event log must be complete."""
    truth = engine.truth
    return control.Finished(
        reason=ended.reason,
        error=error or ended.error,
        now_ps=ended.now_ps,
        wall_s=ended.wall_s,
        digest=engine.log.digest,
        log_lines=engine.log.lines,
        outside=tuple(engine.outside),
        lateness=pace.lateness(),
        mean_states={link: (use.pairs, _rows(use.mean_state())) for link, use in truth.links.items() if use.pairs},
        circuits=tuple(
            control.CircuitTruth(
                circuit=circuit,
                generation=generation,
                delivered=use.delivered,
                seen=use.pairs,
                mismatched=use.mismatched,
                mean_state=_rows(use.mean_state()) if use.pairs else [],
            )
            for (circuit, generation), use in truth.circuits.items()
        ),
        memory=tuple(
            control.MemoryUse(node=node, role=role, mean=occupancy.mean(ended.now_ps), peak=occupancy.peak)
            for (node, role), occupancy in engine.laboratory.occupancy.items()
        ),
        housekeeping_messages=engine.housekeeping_messages,
        fault_effects={name: dict(effects) for name, effects in engine.faults.effects.items()},
    )


def _rows(state: np.ndarray) -> list[list[tuple[float, float]]]:
    """A matrix as real and imaginary parts."""
    return [[(value.real, value.imag) for value in row] for row in state.tolist()]
