"""Where the processes of a testbed listen, and the keys with which others may speak to them.

Sockets in the private socket directory need no keys. By TCP every process has a key pair, made here and handed over in
its configuration or in a private file; what each place accepts is a table of files beside them.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from zmq.utils import z85

from orchestrator.run_directory import Door
from qnode.security.doorkeeper import new_key_pair
from qnode.security.keys import KeyTable, write_private
from qnode.security.types import Credentials, KeyPair, Security

FABRIC_PLACES = ("fabric", "control", "observer")
SUPERVISOR = "supervisor"


def node_place(node: str) -> str:
    """The place where applications attach to a node."""
    return f"node-{node}"


class KeyRing:
    """The key pairs of a testbed's processes, for the supervisor that makes them."""

    def __init__(self, socket_directory: Path) -> None:
        self._socket_directory = socket_directory
        self._pairs: dict[str, KeyPair] = {}
        for directory in (table_directory(socket_directory), _credentials_directory(socket_directory)):
            directory.mkdir(mode=0o700, exist_ok=True)

    def pair(self, process: str) -> KeyPair:
        """The key pair of ``fabric`` or ``node-NAME``."""
        if process not in self._pairs:
            self._pairs[process] = new_key_pair()
        return self._pairs[process]

    def security(self, process: str) -> Security:
        """With what a process guards its sockets."""
        return Security(keys=self.pair(process), table=str(table_directory(self._socket_directory)))

    def let_nodes_in(self, nodes: tuple[str, ...]) -> None:
        """Let every node speak to the fabric under its name, and nobody else."""
        table = KeyTable(table_directory(self._socket_directory))
        for node in nodes:
            table.add(z85.decode(self.pair(node_place(node)).public), name=node, place="fabric")


def enrol(socket_directory: Path, door: Door, *, place: str, name: str, same_machine: bool) -> Path:
    """Make a key pair with which somebody may speak at a place of a testbed; returns the private file that holds it.

    Args:
        name: as whom; at a node, the name of the application.
        same_machine: whether it will see the processes of this machine.

    Raises:
        OSError: the file cannot be written; the testbed may be gone.
    """
    keys = new_key_pair()
    KeyTable(table_directory(socket_directory)).add(z85.decode(keys.public), name=name, place=place)
    credentials = Credentials(
        name=name, endpoint=door.endpoint, server_key=door.key, keys=keys, same_machine=same_machine
    )
    path = _credentials_directory(socket_directory) / f"{place}-{keys_name(keys)}.json"
    write_private(path, msgspec.json.encode(credentials))
    return path


def keys_name(keys: KeyPair) -> str:
    """A name for a key pair that no other has and that a file may have."""
    public: bytes = z85.decode(keys.public)
    return public.hex()[:16]


def table_directory(socket_directory: Path) -> Path:
    """Where a testbed keeps the keys that it lets in."""
    return socket_directory / "keys"


def _credentials_directory(socket_directory: Path) -> Path:
    return socket_directory / "credentials"
