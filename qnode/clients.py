"""What a node's shell remembers of those at its socket: attached applications, and sockets that talk nonsense."""

from __future__ import annotations

from dataclasses import dataclass, field

from qnode.config import ApplicationLimits
from qnode.wire import application
from qnode.wire.application import Request

SMALL_FRAME_BYTES = 64 * 1024
LARGE_REQUESTS = (
    application.SendMessage,
    application.Run,
    application.OpenCircuit,
    application.AcceptCircuit,
    application.Report,
    application.NetqasmMessage,
)
"""Those whose frames may be larger than small."""
PROCESS_ENDED = "its process ended"
KEY_SHARE = 4
"""One key may have a quarter of a node's sessions."""


@dataclass(slots=True)
class Client:
    """An application at this node's socket."""

    session: int
    identity: bytes
    user: str
    """Whose key it has; empty where sockets are not guarded by keys."""
    application: str
    holds_time: bool
    expected: bool
    """Whether the scenario starts it."""
    remote: bool
    """Whether its process cannot be watched, but its connection can."""
    waits: bool = False
    answered: int = 0
    descriptor: int | None = None
    inbox: list[Request] = field(default_factory=list)
    window_bytes: int = 0
    """Of its requests since this node last blocked."""
    refused_ahead: int = 0
    """Requests refused since its last turn."""
    ended: str = ""
    turn_since_s: float | None = None
    """Since when, at the latest, virtual time waits for it; None: not known to."""
    instant_ps: int = -1
    requests_at_instant: int = 0

    def runs(self) -> bool:
        """Whether virtual time must wait for it."""
        return self.holds_time and not self.waits and not self.ended

    def is_let_go(self) -> bool:
        """Whether this node has ended its session."""
        return self.ended not in ("", PROCESS_ENDED)

    def take_inbox(self) -> list[Request]:
        """What it has sent since its last turn."""
        inbox, self.inbox, self.refused_ahead = self.inbox, [], 0
        return inbox

    def no_room(self, size: int, limits: ApplicationLimits) -> str:
        """Why it must await answers before it sends a request of so many bytes; empty if it need not."""
        if len(self.inbox) >= limits.requests_ahead:
            return f"more than {limits.requests_ahead} requests ahead of their turn; await answers"
        if self.window_bytes + size > limits.bytes_ahead:
            return f"more than {limits.bytes_ahead} bytes of requests at a time; let virtual time pass"
        return ""

    def served(self, now_ps: int) -> int:
        """One more request is served at this instant; returns how many now were."""
        if now_ps != self.instant_ps:
            self.instant_ps, self.requests_at_instant = now_ps, 0
        self.requests_at_instant += 1
        return self.requests_at_instant
