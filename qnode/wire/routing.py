"""Node and node: neighbours, link states, and a controller's paths."""

from __future__ import annotations

import msgspec

from qnode.wire.codec import Message


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The sender is alive at the other end of the link that this came over."""

    link: str
    hears: bool
    """Whether the sender has heard the recipient over this link lately."""


class LinkAdvertisement(msgspec.Struct, frozen=True, kw_only=True):
    """One link as one of its ends sees it."""

    link: str
    remote: str
    latency_ps: int
    operating_points: tuple[tuple[float, tuple[float, float, float, float]], ...]
    """Rate of heralds (Hz) and estimated spectrum of each; as in `qnode.config.OperatingPoint`."""
    free_share: float
    """Share of the link's time that no circuit has reserved."""
    estimated_fidelity: tuple[float, float] | None = None
    """By test rounds, with its standard error."""


class LinkState(Message, frozen=True, kw_only=True, tag="link_state"):
    """A node and its working links, flooded from neighbour to neighbour."""

    origin: str
    number: int
    """Counts this origin's link states; a higher one replaces a lower one."""
    role: str
    swap_success_probability: float
    swap_depolarising_probability: float
    swap_readout_error: float
    t1_s: float | None
    t2_s: float | None
    free_slots: int
    """Memory slots that no circuit has reserved."""
    links: tuple[LinkAdvertisement, ...]


RoutingMessage = Hello | LinkState
