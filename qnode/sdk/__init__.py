"""What an application imports: ``attach`` for the blocking flavour, ``aio`` for asyncio, circuits and errors."""

from qnode.sdk.blocking import Session, attach
from qnode.sdk.circuit import Circuit
from qnode.sdk.errors import (
    BadMessage,
    BadRequest,
    Cancelled,
    LimitReached,
    NodeGone,
    NoSlot,
    NotYours,
    PairDiscarded,
    QloomError,
    QubitGone,
    QubitLost,
    Refused,
    RequestFailed,
    RunEnded,
    TimedOut,
    Unsupported,
)
from qnode.wire.application import BellPair, Outcomes

__all__ = [
    "BadMessage",
    "BadRequest",
    "BellPair",
    "Cancelled",
    "Circuit",
    "LimitReached",
    "NoSlot",
    "NodeGone",
    "NotYours",
    "Outcomes",
    "PairDiscarded",
    "QloomError",
    "QubitGone",
    "QubitLost",
    "Refused",
    "RequestFailed",
    "RunEnded",
    "Session",
    "TimedOut",
    "Unsupported",
    "attach",
]
