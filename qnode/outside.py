"""Everything through which the world reaches a shell: what passes here is all that a shell does not decide itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from qnode.security.refusals import Refusals
from qnode.wire import application, fabric

FABRIC = "fabric"
CLIENTS = "clients"


class Outside(Protocol):
    """The sockets, the watched processes and the wall clock of a node."""

    refusals: Refusals

    def wait(self, timeout_ms: int | None = None, *, flooded: bool = False) -> Iterator[tuple[str, bytes]]:
        """Wait until something is there; yield its source, and for a client whose process ended its identity."""

    def to_fabric(self, message: fabric.ToFabric) -> None:
        """Send a frame to the fabric."""

    def from_fabric(self) -> fabric.ToNode:
        """The next frame of the fabric, which must be there."""

    def to_client(self, identity: bytes, message: application.Answer, *, most_unread: int | None = None) -> bool:
        """Answer a client; returns whether it is there and takes it."""

    def from_client(self) -> tuple[bytes, str, list[bytes]] | None:
        """The next client message: its socket's identity, its authenticated name and its frames; None if none came."""

    def forget(self, identity: bytes) -> None:
        """A client has left."""

    def watch(self, process_id: int, identity: bytes) -> int:
        """Have ``wait`` tell when a client's process ends; returns the descriptor.

        Raises:
            OSError: there is no such process here.
        """

    def unwatch(self, descriptor: int) -> bytes:
        """Stop watching a process; returns the identity of its client."""

    def gone(self, identities: Iterable[bytes]) -> tuple[bytes, ...]:
        """Those of some clients that are no longer connected, looked at once in a while only."""

    def is_late(self, identity: bytes, since_s: float, limit_s: float) -> bool:
        """Whether a client has had more than ``limit_s`` since the monotonic clock showed ``since_s``."""
