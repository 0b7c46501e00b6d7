"""Node and node: signalling of quantum virtual circuits, and what their pairs need to be told.

Upstream is towards the head, the end that opened the circuit; downstream is towards the tail.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from qnode.wire.application import DistillationProtocol, DistillationSchedule, RequestKind, Swapping
from qnode.wire.codec import Message
from qnode.wire.quantum import Axis, Bit

Count = Annotated[int, msgspec.Meta(ge=0)]


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One link of a circuit's path and what is asked of it."""

    link: str
    upstream: str
    downstream: str
    operating_point: Count = 0
    distillation_rounds: Count = 0
    share: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Of the link's time."""


class Path(Message, frozen=True, kw_only=True, tag="path"):
    """Downstream, hop by hop: reserve these links for this circuit (after PATH of RSVP-TE, RFC 3209)."""

    circuit: str
    generation: int
    """Counts the paths that the circuit has had; messages of an older one are late."""
    hops: tuple[Hop, ...]
    kind: RequestKind
    minimum_fidelity: float
    rate_bpps: float
    expected_fidelity: float
    expected_rate_bpps: float
    priority: int
    purpose: str
    slots: Count
    swapping: Swapping
    cutoff_ps: Count | None
    distillation_protocol: DistillationProtocol = "dejmps"
    distillation_schedule: DistillationSchedule = "recurrence"
    end_distillation_rounds: Count = 0
    shares_slots: bool = False
    """Whether the sender has no communication slots for this circuit alone: it wants to hear of pairs not wanted."""


class Reserved(Message, frozen=True, kw_only=True, tag="reserved"):
    """Upstream, hop by hop: the circuit's rules are installed downstream of here (RESV)."""

    circuit: str
    generation: int
    shares_slots: bool = False
    """As in the path."""


class PathRefused(Message, frozen=True, kw_only=True, tag="path_refused"):
    """Upstream, hop by hop: this node or link cannot serve the circuit; nothing stays reserved."""

    circuit: str
    generation: int
    where: str
    """The link or node that falls short."""
    code: str
    reason: str


class Teardown(Message, frozen=True, kw_only=True, tag="teardown"):
    """Hop by hop, away from where it began: free what the circuit has reserved."""

    circuit: str
    generation: int
    code: str
    """``closed`` by an end, ``failed`` at a link or node, ``preempted``."""
    where: str
    reason: str


class Refresh(Message, frozen=True, kw_only=True, tag="refresh"):
    """Downstream and back, hop by hop: the circuit is alive."""

    circuit: str
    generation: int
    upstream: bool = False
    """On its way back."""


class LinkWaits(Message, frozen=True, kw_only=True, tag="link_waits"):
    """The sender has no slot for a pair of this purpose on this link now, or wants none."""

    link: str
    purpose: str


class LinkReady(Message, frozen=True, kw_only=True, tag="link_ready"):
    """The sender has bound a slot for this purpose on this link, or, if its name is the later, wants a pair again."""

    link: str
    purpose: str


class LinkTested(Message, frozen=True, kw_only=True, tag="link_tested"):
    """A pair of this link was sacrificed; the sender read this bit of it, along the axis that its number says."""

    link: str
    number: int
    bit: Bit


class SwapOutcome(Message, frozen=True, kw_only=True, tag="swap_outcome"):
    """To the head: two pairs of the circuit were joined."""

    circuit: str
    generation: int
    upstream_pair: str
    downstream_pair: str
    frame: tuple[Bit, Bit]
    """(x, z) of the Bell measurement and of the downstream pair's announced state, combined."""


class SegmentGrew(Message, frozen=True, kw_only=True, tag="segment_grew"):
    """To the router at one end of a segment, in nested swapping: its pair reaches further now."""

    circuit: str
    generation: int
    pair_id: str
    """The recipient's pair."""
    far_node: str
    far_pair: str
    """The pair at the segment's other end."""


class PairDied(Message, frozen=True, kw_only=True, tag="pair_died"):
    """Over a link, and onwards through swaps: the pair, or what it was joined to, is worth nothing."""

    circuit: str
    pair_id: str
    reason: str


class PairComplete(Message, frozen=True, kw_only=True, tag="pair_complete"):
    """From the head to the tail: your link pair and mine are the ends of one pair; keep it, or say that it is gone."""

    circuit: str
    generation: int
    number: int
    downstream_pair: str
    qubit: str
    """The head's half."""
    frame: tuple[Bit, Bit]
    """(x, z) of the Bell state that the ends share."""
    swaps: int
    test_axis: Axis | None = None
    """The pair is sacrificed: measure along this axis."""


class PairKept(Message, frozen=True, kw_only=True, tag="pair_kept"):
    """From the tail to the head: the pair is handed over here, or the half was gone."""

    circuit: str
    number: int
    kept: bool
    bit: Bit | None = None
    """Of a sacrificed pair."""


class DistilPairs(Message, frozen=True, kw_only=True, tag="distil_pairs"):
    """Between the two ends of two pairs: this end has measured the second to distil the first; do so, too."""

    circuit: str
    kept: str
    sacrificed: str
    protocol: DistillationProtocol
    bit: Bit
    frames: tuple[tuple[Bit, Bit], tuple[Bit, Bit]]
    between_ends: bool = False
    """Whether these are pairs of the circuit's two ends, under the tail's names."""


class PairDistilled(Message, frozen=True, kw_only=True, tag="pair_distilled"):
    """The answer: what the other end read, or nil where one of the pairs was gone."""

    circuit: str
    kept: str
    sacrificed: str
    bit: Bit | None
    between_ends: bool = False


CircuitMessage = (
    Path
    | Reserved
    | PathRefused
    | Teardown
    | Refresh
    | LinkWaits
    | LinkReady
    | LinkTested
    | SwapOutcome
    | SegmentGrew
    | PairDied
    | PairComplete
    | PairKept
    | DistilPairs
    | PairDistilled
)
