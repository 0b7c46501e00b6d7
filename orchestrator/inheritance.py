"""What a supervisor leaves to whoever adopts its testbed: written into the private directory of its sockets."""

from __future__ import annotations

from pathlib import Path

import msgspec

from orchestrator.run_directory import Door
from orchestrator.scenario import Scenario
from qnode.config import NodeConfiguration
from qnode.security.keys import write_private

FILE = "inheritance.msgpack"


class Inheritance(msgspec.Struct, frozen=True, kw_only=True):
    """All that a supervisor knows and cannot ask for."""

    scenario: Scenario
    directory: str
    run_directory: str
    started_at: str
    nodes: dict[str, NodeConfiguration]
    peer_group: dict[str, int]
    doors: dict[str, Door]
    credentials: str
    """The file with the supervisor's keys; empty without CURVE."""
    orders: int
    """How many orders of the fabric were carried out."""
    paused: tuple[str, ...]
    keep_s: float

    def write(self, socket_directory: Path) -> None:
        """Leave it there.

        Raises:
            OSError: it cannot be written.
        """
        write_private(socket_directory / FILE, msgspec.msgpack.encode(self))

    @classmethod
    def read(cls, socket_directory: Path) -> Inheritance:
        """What was left there.

        Raises:
            OSError, msgspec.MsgspecError: there is none, or it cannot be read.
        """
        return msgspec.msgpack.decode((socket_directory / FILE).read_bytes(), type=cls)
