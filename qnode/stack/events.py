"""What happens to a node and what it does about it. Frames of the wire are events as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from qnode.wire import application, fabric
from qnode.wire.peer import PeerMessage

TimerKey = tuple[str, str, int]
"""What the timer is for, whose it is, and a number."""


class Asked(msgspec.Struct, frozen=True):
    """A request of an application."""

    session: int
    request: application.Request


class SessionEnded(msgspec.Struct, frozen=True):
    """The application's process is gone, or its client broke the protocol."""

    session: int
    reason: str


class Started(msgspec.Struct, frozen=True):
    """Virtual time begins."""


class TimerFired(msgspec.Struct, frozen=True):
    """A timer set earlier."""

    key: TimerKey


Event = Started | Asked | SessionEnded | TimerFired | fabric.Event


class Answer(msgspec.Struct, frozen=True):
    """Answer an application."""

    session: int
    message: application.Answer


class Operate(msgspec.Struct, frozen=True):
    """Have the fabric do something to qubits, from now on."""

    operation: int
    action: fabric.Action


class SendTo(msgspec.Struct, frozen=True):
    """Send a classical message to another node."""

    to: str
    message: PeerMessage
    over: str = ""
    """Only over the channel beside this link."""
    housekeeping: bool = False


class SetTimer(msgspec.Struct, frozen=True):
    """Wake this node at a virtual time."""

    at: int
    key: TimerKey
    housekeeping: bool = False
    """Whether it goes on for ever, though nobody wants anything."""


class CancelTimer(msgspec.Struct, frozen=True):
    """Forget a timer."""

    key: TimerKey


class Record(msgspec.Struct, frozen=True):
    """A line for the event log."""

    kind: str
    details: dict[str, Any]


Action = Answer | Operate | SendTo | SetTimer | CancelTimer | Record
