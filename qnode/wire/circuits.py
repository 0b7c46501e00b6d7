"""Node and node: signalling of quantum virtual circuits, and what their pairs need to be told."""

from __future__ import annotations

import msgspec

from qnode.wire.application import RequestKind
from qnode.wire.codec import Message
from qnode.wire.quantum import Axis


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One link of a circuit's path and what is asked of it."""

    link: str
    upstream: str
    downstream: str
    operating_point: int = 0
    distillation_rounds: int = 0
    share: float = 0.0
    """Of the link's time."""


class Path(Message, frozen=True, kw_only=True, tag="path"):
    """From the head, hop by hop: reserve these links for this circuit (after PATH of RSVP-TE, RFC 3209)."""

    circuit: str
    generation: int
    """Counts the paths that the circuit has had; messages of an older one are late."""
    hops: tuple[Hop, ...]
    kind: RequestKind
    rate_bpps: float
    minimum_fidelity: float
    priority: int
    purpose: str
    application: str
    """The head's."""
    swapping: str
    """``asap`` or ``nested``."""
    cutoff_ps: int | None
    axes: tuple[Axis, ...] = ()
    refresh_interval_ps: int
    test_fraction: float = 0.0
    end_distillation: str = ""
    """Protocol and rounds at the ends, such as ``dejmps*1``."""


class Reserved(Message, frozen=True, kw_only=True, tag="reserved"):
    """From the tail, hop by hop back: the circuit's rules are installed downstream of here (RESV)."""

    circuit: str
    generation: int
    shared: bool
    """Whether the sender has to share its communication slots on this link with others."""


class PathRefused(Message, frozen=True, kw_only=True, tag="path_refused"):
    """To the head, hop by hop: this node or link cannot serve the circuit."""

    circuit: str
    generation: int
    where: str
    """The link or node that falls short."""
    reason: str


class Teardown(Message, frozen=True, kw_only=True, tag="teardown"):
    """In both directions, hop by hop: free what the circuit has reserved."""

    circuit: str
    generation: int
    reason: str
    code: str = "closed"
    """``closed``, ``failed`` (a link or node on the path), ``preempted``."""


class Refresh(Message, frozen=True, kw_only=True, tag="refresh"):
    """From the head to the tail and back, hop by hop: the circuit is alive."""

    circuit: str
    generation: int
    upstream: bool = False
    """On its way back."""


class LinkWaits(Message, frozen=True, kw_only=True, tag="link_waits"):
    """The sender wants a pair for this purpose on this link, and has no slot for it now."""

    link: str
    purpose: str


class LinkReady(Message, frozen=True, kw_only=True, tag="link_ready"):
    """The sender has bound a slot for this purpose on this link, and tries."""

    link: str
    purpose: str


class SwapOutcome(Message, frozen=True, kw_only=True, tag="swap_outcome"):
    """To the head: two pairs of the circuit were joined."""

    circuit: str
    generation: int
    upstream_pair: str
    downstream_pair: str
    bits: tuple[int, int]
    """(x, z) of the Bell measurement and of the downstream pair's announced state, combined."""


class PairDied(Message, frozen=True, kw_only=True, tag="pair_died"):
    """Over a link, onwards through swaps: the pair, or what it was joined to, is worth nothing."""

    circuit: str
    pair_id: str
    reason: str


class PairComplete(Message, frozen=True, kw_only=True, tag="pair_complete"):
    """From the head to the tail: your link pair and mine are the two ends of one pair; keep it, or say that it died."""

    circuit: str
    generation: int
    number: int
    upstream_pair: str
    downstream_pair: str
    qubit: str
    """The head's half."""
    frame: tuple[int, int]
    """(x, z) of the Bell state that the two ends share."""
    swaps: int


class PairKept(Message, frozen=True, kw_only=True, tag="pair_kept"):
    """From the tail to the head: it is delivered here."""

    circuit: str
    generation: int
    number: int
    qubit: str
    kept: bool
    """False: the half here is gone; discard yours."""
    axis: Axis | None = None
    bit: int | None = None
    """Of a pair that was measured."""


CircuitMessage = (
    Path
    | Reserved
    | PathRefused
    | Teardown
    | Refresh
    | LinkWaits
    | LinkReady
    | SwapOutcome
    | PairDied
    | PairComplete
    | PairKept
)
