"""Node and node: neighbours, link states, and a controller's paths."""

from __future__ import annotations

from typing import Literal

import msgspec

from qnode.wire.application import RequestKind
from qnode.wire.circuits import Hop
from qnode.wire.codec import Message


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """The sender is alive at the other end of the link that this came over."""

    link: str
    sent_ps: int
    """The sender's time; a hello older than one already heard was overtaken and tells nothing."""
    hears: bool
    """Whether the sender has heard the recipient over this link lately."""
    last_pair: int = -1
    """The number of the link's last pair that was heralded to the sender; -1: none since it was started."""


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
    queue: int = 0
    """Requests and circuits that want pairs of it."""


class LinkState(Message, frozen=True, kw_only=True, tag="link_state"):
    """A node and its working links, flooded from neighbour to neighbour."""

    origin: str
    number: int
    """Counts this origin's link states; a higher one replaces a lower one."""
    age_ps: int = 0
    """How long ago the origin made it, latencies of the links left out (after LSAge of OSPF, RFC 2328)."""
    role: str
    swap_success_probability: float
    swap_depolarising_probability: float
    swap_readout_error: float
    gate_depolarising_probability: float = 0.0
    move_depolarising_probability: float = 0.0
    """Of a move to storage."""
    dedicated_slots: int | None = None
    """Communication slots that circuits may keep pairs in; those of others move to storage. None: enough for all."""
    t1_s: float | None
    t2_s: float | None
    free_slots: int
    """Memory slots that no circuit has reserved."""
    occupied_slots: int = 0
    """Memory slots that hold a qubit or are bound to attempts."""
    links: tuple[LinkAdvertisement, ...]


class PathRequirement(msgspec.Struct, frozen=True, kw_only=True):
    """What a circuit asks of its path."""

    minimum_fidelity: float = 0.0
    rate_bpps: float = 0.0
    """Bell pairs per second; 0: whatever there is."""
    kind: RequestKind = "K"
    cutoff_ps: int | None = None
    """The longest that a pair may wait in a memory."""
    slots: int = 0
    """Memory slots for each side of each node, as far as it has them; 0: all that are free."""
    distillation: bool = True
    """Whether links may distil."""
    end_distillation_rounds: int = 0
    """Between the ends."""
    over_others: bool = False
    """Whether to count as free what circuits have reserved: those of lower priority would give way."""


class RoutedPath(msgspec.Struct, frozen=True, kw_only=True):
    """A path that meets a requirement, as far as the link states tell."""

    nodes: tuple[str, ...]
    hops: tuple[Hop, ...]
    expected_fidelity: float
    expected_rate_bpps: float
    cost: float
    """By the network's metric."""


class PathQuestion(Message, frozen=True, kw_only=True, tag="path_question"):
    """To the controller: which path should a circuit from the sender take?"""

    question: int
    destination: str
    requirement: PathRequirement
    exclude_links: tuple[str, ...] = ()
    exclude_nodes: tuple[str, ...] = ()


class PathAnswer(Message, frozen=True, kw_only=True, tag="path_answer"):
    """From the controller: this path, or none."""

    question: int
    path: RoutedPath | None
    where: str = ""
    """Without a path: the link or node that falls short, if it is one."""
    reason: str = ""
    code: Literal["no_route", "no_capacity"] = "no_route"


RoutingMessage = LinkState | PathQuestion | PathAnswer
"""What of routing has to arrive exactly once and in order."""
