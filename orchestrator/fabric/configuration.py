"""What the fabric process is told at its start."""

from __future__ import annotations

import msgspec

from orchestrator.scenario import Scenario


class FabricConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What the fabric process is told at its start."""

    scenario: Scenario
    nodes_endpoint: str
    control_endpoint: str
    observer_endpoint: str
    event_log: str
    serves_until_stopped: bool = False
    """Whether the testbed stays up without applications (``qloom up``), or the run ends by itself."""
