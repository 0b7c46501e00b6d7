"""What the fabric process is told at its start."""

from __future__ import annotations

import msgspec

from orchestrator.scenario import Scenario
from qnode.security.types import Security


class FabricConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What the fabric process is told at its start."""

    scenario: Scenario
    nodes_endpoint: str
    control_endpoint: str
    observer_endpoint: str
    event_log: str
    journal: str
    security: Security | None = None
    """None: the sockets are guarded by the directory that they are in."""
    refused_path: str = ""
    """A file for the counts of what was turned away."""
    held: bool = False
    """Whether virtual time stands still at first, for somebody who steers."""
    serves_until_stopped: bool = False
    """Whether the testbed stays up without applications (``qloom up``), or the run ends by itself."""
