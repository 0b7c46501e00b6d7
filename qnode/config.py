"""What a node process is told at its start: its name, memory, links and peers. Nothing in it is the true state."""

from __future__ import annotations

import msgspec


class LinkConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One quantum link, as the node at one end knows it."""

    name: str
    remote: str
    goodness: float
    """The link's own estimate of a pair's fidelity at the herald."""
    corrects: bool
    """Whether this end turns a heralded Bell state into Phi+; the other end never does."""


class NodeConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One node. Times in picoseconds."""

    name: str
    process_id: int = 0
    """Filled in by the process itself."""
    communication_slots: int
    storage_slots: int
    communication_cutoff_ps: int | None = None
    storage_cutoff_ps: int | None = None
    links: tuple[LinkConfiguration, ...] = ()
    peers: tuple[str, ...] = ()
    """Nodes that a classical message can reach."""
    expected_applications: tuple[str, ...] = ()
    """Applications that virtual time waits for at the start; their order is the order of their actions."""
    paced: bool = False
    """Whether virtual time follows the wall clock, so that a client may let it flow."""
    steps_per_instant: int = 100_000
    fabric_endpoint: str = ""
    application_endpoint: str = ""
    shake_s: float = 0.0
    """Longest random wall-clock pause before each frame, to show that scheduling changes nothing."""
