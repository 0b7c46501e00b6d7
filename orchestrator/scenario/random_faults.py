"""Random fault schedules: the section ``random_faults`` of a scenario, and what can be drawn.

To have one more kind drawn, give it a row in ``DRAWN``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from orchestrator.scenario.section import Interval, Moment, Name, Section


@dataclass(frozen=True)
class Between:
    """A number, or several, drawn evenly from a range."""

    low: float
    high: float
    numbers: int | None = None
    """How many make a list; None: the field is one number."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """How a kind of fault is drawn, beside its instant and its target."""

    lasts: bool
    """Whether it is healed, after a time that is drawn."""
    fields: Mapping[str, Between] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    """Fields that are always the same."""


DRAWN: dict[str, Drawn] = {
    "link_down": Drawn(lasts=True),
    "fibre_cut": Drawn(lasts=True),
    "classical_down": Drawn(lasts=True),
    "partition": Drawn(lasts=True),
    "message_loss": Drawn(lasts=True, fields={"probability": Between(0.05, 0.5)}),
    "message_duplicate": Drawn(lasts=True, fields={"probability": Between(0.05, 0.5)}),
    "message_corrupt": Drawn(lasts=True, fields={"probability": Between(0.05, 0.5)}),
    "message_latency": Drawn(lasts=True, fields={"added_s": Between(0.0, 0.1), "jitter_s": Between(0.0, 0.05)}),
    "message_reorder": Drawn(lasts=True, fields={"probability": Between(0.05, 0.5), "delay_s": Between(1e-4, 0.1)}),
    "bandwidth": Drawn(lasts=True, fields={"bits_per_s": Between(1e4, 1e6)}),
    "hold": Drawn(lasts=True),
    "man_in_the_middle": Drawn(lasts=True, fields={"fraction": Between(0.05, 1.0)}, given={"action": "drop"}),
    "node_kill": Drawn(lasts=False),
    "node_restart": Drawn(lasts=True),
    "node_stop": Drawn(lasts=True),
    "node_pause": Drawn(lasts=True),
    "node_slow": Drawn(lasts=True, fields={"late_s": Between(1e-4, 0.1)}),
    "clock_offset": Drawn(lasts=True, fields={"offset_s": Between(-1.0, 1.0)}),
    "clock_drift": Drawn(lasts=True, fields={"drift_ppm": Between(-1000.0, 1000.0)}),
    "clock_jump": Drawn(lasts=False, fields={"jump_s": Between(-1.0, 1.0)}),
    "clock_reset": Drawn(lasts=False),
    "quantum_down": Drawn(lasts=True),
    "extra_loss": Drawn(lasts=True, fields={"loss_db": Between(1.0, 20.0)}),
    "herald_latency": Drawn(lasts=True, fields={"added_s": Between(1e-5, 1e-2)}),
    "dark_counts": Drawn(lasts=True, fields={"dark_count_probability": Between(1e-6, 1e-3)}),
    "pauli_noise": Drawn(lasts=True, fields={"pauli_probabilities": Between(0.0, 0.1, numbers=3)}),
    "fidelity_drift": Drawn(lasts=True, fields={"rate_per_s": Between(0.01, 1.0)}),
    "intercept_resend": Drawn(lasts=True, fields={"fraction": Between(0.05, 1.0)}),
    "entangle_and_measure": Drawn(lasts=True, fields={"fraction": Between(0.05, 1.0), "strength": Between(0.1, 1.0)}),
    "memory_lifetime": Drawn(lasts=True, fields={"factor": Between(0.01, 1.0)}),
    "slot_failure": Drawn(lasts=True),
    "burst_decoherence": Drawn(lasts=False, fields={"depolarising_probability": Between(0.1, 1.0)}),
}
"""By kind. Left out are the fabric's own faults, of which virtual time does not notice anything."""


class RandomFaults(Section, frozen=True, kw_only=True):
    """Faults that the seed draws before the run: each with a kind, a target, an instant and a duration, evenly."""

    name: Name = "random"
    """The faults are called by it and their number: ``random-0``, ``random-1``."""
    count: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    kinds: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """What to draw from; a kind that is named twice is drawn twice as often. What can strike nothing here is not drawn.
    docs/testing.md lists what can be drawn, and from which ranges."""
    from_s: Moment = 0.0
    """Virtual time from which they strike."""
    until_s: Interval
    """Virtual time before which they strike."""
    longest_s: Interval = 1.0
    """The longest that one lasts."""
    spare: tuple[str, ...] = ()
    """Nodes and links that none strikes."""
