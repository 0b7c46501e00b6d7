"""Node and node: states that several end nodes share, made at one node."""

from __future__ import annotations

from qnode.wire.application import GroupState
from qnode.wire.codec import Message
from qnode.wire.quantum import Bit


class GroupAsked(Message, frozen=True, kw_only=True, tag="group_asked"):
    """To the node that is to make the states: a member wants this group."""

    group: str
    members: tuple[str, ...]
    """The first is the one that asks."""
    state: GroupState
    purpose: str
    rate_hz: float
    minimum_fidelity: float
    slots: int
    timeout_ps: int | None


class GroupInvited(Message, frozen=True, kw_only=True, tag="group_invited"):
    """From the centre to each member: a circuit for this group is on its way."""

    group: str
    members: tuple[str, ...]
    state: GroupState
    purpose: str


class GroupReady(Message, frozen=True, kw_only=True, tag="group_ready"):
    """From the centre to each member: all circuits stand, or the group cannot be."""

    group: str
    ready: bool
    code: str = ""
    reason: str = ""


class GroupOutcome(Message, frozen=True, kw_only=True, tag="group_outcome"):
    """From the centre to a member: your half of this pair is part of a state now; apply X^x, then Z^z."""

    group: str
    number: int
    pair_id: str
    frame: tuple[Bit, Bit]


class GroupLost(Message, frozen=True, kw_only=True, tag="group_lost"):
    """From the centre to a member: a state could not be made, your half of this pair is worth nothing."""

    group: str
    pair_id: str


class GroupClosed(Message, frozen=True, kw_only=True, tag="group_closed"):
    """Between centre and members: there will be no more states."""

    group: str
    reason: str


GroupMessage = GroupAsked | GroupInvited | GroupReady | GroupOutcome | GroupLost | GroupClosed
