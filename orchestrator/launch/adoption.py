"""Where a testbed without a supervisor waits for another: a socket in its private directory."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from types import TracebackType

import msgspec

from orchestrator.run_directory import RECORD, TestbedRecord

NAME = "adopt"
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group of whoever is at the other end (unix(7), SO_PEERCRED)."""


class Place:
    """Listens for a new supervisor."""

    def __init__(self, socket_directory: Path) -> None:
        self._path = socket_directory / NAME
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen()

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def fileno(self) -> int:
        """Of the listener."""
        return self._listener.fileno()

    def accept(self) -> socket.socket | None:
        """The connection of a new supervisor; None if it is another user's."""
        connection, _ = self._listener.accept()
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(credentials)
        if user != os.getuid():
            connection.close()
            return None
        return connection


def note_orphan(socket_directory: Path, keep_s: float) -> None:
    """Let other commands see that the testbed has no supervisor, and for how long it will be there."""
    path = socket_directory / RECORD
    record = msgspec.json.decode(path.read_bytes(), type=TestbedRecord)
    record = msgspec.structs.replace(record, orphan_until_s=time.time() + keep_s)
    temporary = path.with_suffix(".orphan")
    temporary.write_bytes(msgspec.json.encode(record))
    temporary.replace(path)
