"""Faults of nodes' clocks: offset, drift, jump, reset."""

from __future__ import annotations

from typing import Any

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.local_clock import SLOWEST, LocalClock
from orchestrator.fabric.schedule import Occurrence
from orchestrator.fabric.world import World
from orchestrator.scenario.faults import ClockDrift, ClockJump, ClockOffset


class ClockFaults:
    """Carries out what befalls nodes' clocks."""

    def __init__(self, world: World) -> None:
        self._world = world

    def strike(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """Clocks are wrong from now on."""
        return [{"node": node, **self._change(node, occurrence, at, begins=True)} for node in occurrence.targets]

    def heal(self, occurrence: Occurrence, at: int) -> list[dict[str, Any]]:
        """They are right again, but for what else makes them wrong."""
        return [{"node": node, **self._change(node, occurrence, at, begins=False)} for node in occurrence.targets]

    def _change(self, node: str, occurrence: Occurrence, at: int, *, begins: bool) -> dict[str, Any]:
        seat, fault = self._world.seats[node], occurrence.fault
        clock = seat.clock or LocalClock()
        wake_at = None if seat.wake_at is None else clock.local(seat.wake_at)
        if isinstance(fault, ClockDrift):
            if begins:
                others = sum(rate for _, rate in clock.drifts.values())
                clock.drifts[occurrence] = (at, max(round(fault.drift_ppm * 1000), SLOWEST - others))
            else:
                clock.drifts.pop(occurrence, None)
        elif isinstance(fault, ClockOffset):
            if begins:
                clock.offsets_ps[occurrence] = round(fault.offset_s * PICOSECONDS)
            else:
                clock.offsets_ps.pop(occurrence, None)
        elif isinstance(fault, ClockJump):
            clock.step_ps += round(fault.jump_s * PICOSECONDS)
        else:
            clock.step_ps -= clock.local(at)
        seat.clock = None if clock.right else clock
        if wake_at is not None and not seat.gone:
            self._world.wake(seat, max(at, clock.true(wake_at)))  # the timer is set by the clock that is wrong now
        return {"clock_ahead_ps": clock.local(at) - at}
