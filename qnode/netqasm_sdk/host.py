"""The process of one NetQASM program: its session with its node, and who is where.

NetQASM's interface finds the network by itself (``Socket("alice", "bob")``), so there is one host for a process.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netqasm.sdk.connection import BaseNetQASMConnection

from qnode.config import NetqasmProgram
from qnode.sdk.blocking import Pending, Session
from qnode.sdk.errors import QloomError


@dataclass(slots=True)
class Host:
    """A program, its session and how far it is."""

    program: NetqasmProgram
    session: Session
    run: int = 0
    """Which call of ``main`` this is, from 0 on."""
    awaited: dict[str, Pending[bytes]] = field(default_factory=dict)
    """Messages that were asked for and not handed over yet, by tag."""
    connections: list[BaseNetQASMConnection] = field(default_factory=list)
    """Those that are open."""

    def node_of(self, role: str) -> str:
        """The node that a role's program runs on.

        Raises:
            ValueError: there is no such role.
        """
        try:
            return self.program.roles[role]
        except KeyError:
            known = ", ".join(sorted(self.program.roles))
            raise ValueError(f"{role!r} is no role of this application, found {known}") from None

    def node_id(self, node: str) -> int:
        """A node's number in NetQASM's messages.

        Raises:
            ValueError: there is no such node.
        """
        try:
            return self.program.nodes.index(node)
        except ValueError:
            raise ValueError(f"{node!r} is no node of this network of {len(self.program.nodes)}") from None


_hosts: list[Host] = []


def begin(host: Host) -> None:
    """This process is that of ``host`` from now on."""
    _hosts[:] = [host]


def current() -> Host:
    """The host of this process.

    Raises:
        QloomError: the program was not started by qloom.
    """
    if not _hosts:
        raise QloomError("this is no NetQASM program of a testbed: run it by `qloom netqasm run DIRECTORY`")
    return _hosts[0]
