"""A circuit as the application at one of its ends has it: its state, and pairs and events that wait to be asked for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from qnode.stack.circuits.estimate import Estimate
from qnode.stack.circuits.finished import Finished
from qnode.stack.circuits.head import Head
from qnode.stack.circuits.tail import Tail
from qnode.wire.application import AcceptCircuit, CircuitEventKind, OpenCircuit
from qnode.wire.circuits import Path, SwapOutcome


class EndpointState(Enum):
    """What an end believes of its circuit."""

    ROUTING = "routing"
    SIGNALLING = "signalling"
    OPEN = "open"
    DOWN = "down"
    """Its path failed; the head looks for another."""
    CLOSED = "closed"


class EndpointCause(Enum):
    """Why that changes."""

    ROUTE = "route"
    """A path was found and asked for."""
    REFUSED = "refused"
    RESERVED = "reserved"
    FAILED = "failed"
    """A link or node on the path did, or a more important circuit took its place."""
    CLOSE = "close"


ENDPOINT_TRANSITIONS: dict[tuple[EndpointState, EndpointCause], EndpointState] = {
    (EndpointState.ROUTING, EndpointCause.ROUTE): EndpointState.SIGNALLING,
    (EndpointState.ROUTING, EndpointCause.CLOSE): EndpointState.CLOSED,
    (EndpointState.SIGNALLING, EndpointCause.RESERVED): EndpointState.OPEN,
    (EndpointState.SIGNALLING, EndpointCause.REFUSED): EndpointState.ROUTING,
    (EndpointState.SIGNALLING, EndpointCause.FAILED): EndpointState.ROUTING,
    (EndpointState.SIGNALLING, EndpointCause.CLOSE): EndpointState.CLOSED,
    (EndpointState.OPEN, EndpointCause.FAILED): EndpointState.DOWN,
    (EndpointState.OPEN, EndpointCause.CLOSE): EndpointState.CLOSED,
    (EndpointState.DOWN, EndpointCause.ROUTE): EndpointState.SIGNALLING,
    (EndpointState.DOWN, EndpointCause.RESERVED): EndpointState.OPEN,
    (EndpointState.DOWN, EndpointCause.CLOSE): EndpointState.CLOSED,
}


@dataclass(slots=True)
class Event:
    """Something that an application may want to hear of."""

    kind: CircuitEventKind
    reason: str
    path: tuple[str, ...] = ()


MOST_EVENTS = 256


@dataclass(slots=True, eq=False)
class Endpoint:
    """One end of one circuit."""

    circuit: str
    session: int
    is_head: bool
    remote: str
    state: EndpointState
    asked: OpenCircuit | AcceptCircuit
    path: Path | None = None
    """The latest."""
    end: Head | Tail | None = None
    early_swaps: list[SwapOutcome] = field(default_factory=list)
    """At a head: of a path that stands already nearer to the tail, but not here."""
    opening_call: int | None = None
    was_open: bool = False
    refusals: int = 0
    """Of the path that is being looked for."""
    avoided: list[str] = field(default_factory=list)
    """Links and nodes that refused or failed, until a path stands."""
    down_since: int = 0
    delivered: int = 0
    numbered: int = 0
    ready: deque[Finished] = field(default_factory=deque)
    pair_calls: deque[int] = field(default_factory=deque)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    event_calls: deque[int] = field(default_factory=deque)
    committed: dict[int, Finished] = field(default_factory=dict)
    estimate: Estimate = field(default_factory=Estimate)
    degraded: bool = False
    closed_because: str = ""
    closed_here: bool = False
    """By this end; what the other end closed may still be drained."""

    def change(self, cause: EndpointCause) -> None:
        """Follow the table.

        Raises:
            RuntimeError: it has no such transition: a fault of the stack itself.
        """
        after = ENDPOINT_TRANSITIONS.get((self.state, cause))
        if after is None:
            raise RuntimeError(f"circuit {self.circuit} is {self.state.value} at its end: cannot {cause.value}")
        self.state = after

    def number(self) -> int:
        """The number of the next pair."""
        self.numbered += 1
        return self.numbered - 1

    @property
    def nodes(self) -> tuple[str, ...]:
        """Of its latest path, from the head to the tail."""
        if self.path is None:
            return ()
        return (*(hop.upstream for hop in self.path.hops), self.path.hops[-1].downstream)
