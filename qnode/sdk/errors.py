"""What can go wrong for an application."""

from __future__ import annotations


class QloomError(Exception):
    """Base of every error of the SDK."""


class NodeGone(QloomError):
    """There is no node at the socket, or its process has ended."""


class RequestFailed(QloomError):
    """The node did not carry out a request; ``code`` says why in a word."""

    code = "failed"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadRequest(RequestFailed):
    """The request makes no sense."""

    code = "bad_request"


class BadMessage(RequestFailed):
    """The node could not read the frame."""

    code = "bad_message"


class Unsupported(RequestFailed):
    """Nothing here can do what was asked."""

    code = "unsupported"


class NoSlot(RequestFailed):
    """No memory slot is free."""

    code = "no_slot"


class NotYours(RequestFailed):
    """The qubit belongs to another application."""

    code = "not_yours"


class QubitGone(RequestFailed):
    """The qubit was measured, sent or never was."""

    code = "gone"


class PairDiscarded(RequestFailed):
    """The pair was discarded, here or at its other end."""

    code = "discarded"


class Refused(RequestFailed):
    """The fabric would not do it."""

    code = "refused"


class TimedOut(RequestFailed):
    """The virtual deadline came first."""

    code = "timeout"


class QubitLost(RequestFailed):
    """A transmitted qubit did not arrive."""

    code = "lost"


class Cancelled(RequestFailed):
    """The request was cancelled."""

    code = "cancelled"


class LimitReached(RequestFailed):
    """Too large, or too many."""

    code = "limit"


class NoRoute(RequestFailed):
    """No path of the network can meet the request."""

    code = "no_route"


class NoCapacity(RequestFailed):
    """A link or node on the way has too little left."""

    code = "no_capacity"


class NoTime(RequestFailed):
    """The deadline is too near for what was asked."""

    code = "no_time"


class Denied(RequestFailed):
    """The other end does not want the circuit."""

    code = "denied"


class Inconclusive(RequestFailed):
    """A Bell measurement that does not always succeed did not; both qubits are gone."""

    code = "inconclusive"


class CircuitClosed(RequestFailed):
    """The circuit has ended."""

    code = "closed"


class RunEnded(RequestFailed):
    """The run is over."""

    code = "stopped"


BY_CODE: dict[str, type[RequestFailed]] = {kind.code: kind for kind in RequestFailed.__subclasses__()}
"""The error for each failure code of the wire."""
