"""Where a testbed keeps what it writes and where it can be found: the run directory and the socket directory.

The run directory (``qloom-runs/NAME-TIME`` or ``--out``) holds what a person reads. The socket directory, short
because a Unix socket's path is, holds the sockets, ``testbed.json`` and a lock that lives as long as the supervisor.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from qnode.security.keys import write_private

REFUSED_SUFFIX = ".refused.json"
"""Of the files, beside the logs, in which processes count what they turned away."""
INPUTS = "inputs"
"""The folder of what reached nodes from outside virtual time, a file for each start of each."""
NETQASM = "netqasm"
"""The folder of what NetQASM programs were told, gave and logged."""
RECORD = "testbed.json"
"""Of the file in which a testbed can be found."""
LONGEST_SOCKET_PATH = 107
"""Bytes in a Unix socket's path on Linux."""


class RunDirectoryError(Exception):
    """A directory cannot be used; says which and why."""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody listens by TCP, and whose key a caller should find there."""

    endpoint: str
    key: str = ""
    """Public; empty without CURVE."""


class TestbedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What other commands need to know of a testbed that is up."""

    __test__ = False

    name: str
    supervisor: int
    """Process id."""
    run_directory: str
    socket_directory: str
    pace: str
    seed: int = 0
    started_at: str
    processes: dict[str, int] = {}
    nodes: tuple[str, ...] = ()
    doors: dict[str, Door] = {}
    """By place, where they listen by TCP; by Unix sockets, all is in the socket directory."""
    orphan_until_s: float | None = None
    """Its supervisor is gone; then, in seconds since 1970, the testbed ends unless somebody adopts it."""


def base_directory() -> Path:
    """The place of all socket directories of this user; private.

    Raises:
        RunDirectoryError: it cannot be made, or belongs to somebody else.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) / "qloom" if runtime else Path(tempfile.gettempdir()) / f"qloom-{os.getuid()}"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = base.stat()
    except OSError as error:
        raise RunDirectoryError(f"cannot make the directory for sockets {base}: {error}") from error
    if status.st_uid != os.getuid():
        raise RunDirectoryError(f"{base} belongs to user {status.st_uid}; remove it or set XDG_RUNTIME_DIR")
    if status.st_mode & 0o077:
        base.chmod(0o700)
    return base


@dataclass(slots=True)
class SocketDirectory:
    """A testbed's sockets, its record, and the lock that says that it lives."""

    path: Path
    _lock: int

    @classmethod
    def create(cls) -> SocketDirectory:
        """A fresh private directory, locked by this process.

        Raises:
            RunDirectoryError: it cannot be made.
        """
        sweep()
        try:
            path = Path(tempfile.mkdtemp(prefix="", dir=base_directory()))
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)  # another command may hold it for an instant, to see whether we do
        except OSError as error:
            raise RunDirectoryError(f"cannot make a directory for sockets: {error}") from error
        return cls(path, lock)

    @classmethod
    def inherit(cls, path: Path) -> SocketDirectory:
        """The directory of a testbed that goes on, whose agent holds the lock.

        Raises:
            RunDirectoryError: it is gone.
        """
        try:
            return cls(path, os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC))
        except OSError as error:
            raise RunDirectoryError(f"{path} is gone: {error}") from error

    @property
    def lock(self) -> int:
        """The descriptor of the lock, which holds as long as anybody has it open."""
        return self._lock

    def endpoint(self, name: str) -> str:
        """The ZeroMQ endpoint of one socket.

        Raises:
            RunDirectoryError: its path would be too long.
        """
        path = str(self.path / name)
        if len(path.encode()) > LONGEST_SOCKET_PATH:
            raise RunDirectoryError(
                f"the socket path {path} has {len(path.encode())} bytes, at most {LONGEST_SOCKET_PATH} are possible; "
                "set XDG_RUNTIME_DIR to a shorter directory or give the node a shorter name"
            )
        return f"ipc://{path}"

    def write_record(self, record: TestbedRecord) -> None:
        """Let other commands find the testbed."""
        write_private(self.path / RECORD, msgspec.json.encode(record))

    def remove(self) -> None:
        """The testbed is gone."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


NEWBORN_S = 10.0
"""A directory younger than this may not have its lock yet."""


def sweep() -> None:
    """Remove what testbeds left behind that were killed together with their agents."""
    for path in base_directory().iterdir():
        with contextlib.suppress(OSError):
            if path.is_dir() and not _is_locked(path) and time.time() - path.stat().st_mtime > NEWBORN_S:
                shutil.rmtree(path, ignore_errors=True)


def records() -> Iterator[TestbedRecord]:
    """Every testbed of this user that is up, oldest first."""
    found = []
    for path in base_directory().iterdir():
        if path.is_dir() and _is_locked(path):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                record = msgspec.json.decode((path / RECORD).read_bytes(), type=TestbedRecord)
                found.append(record)
    yield from sorted(found, key=lambda record: record.started_at)


def create_run_directory(wanted: Path | None, name: str) -> Path:
    """A fresh directory for what a run writes.

    Raises:
        RunDirectoryError: it exists and is not empty, or cannot be made or written.
    """
    if wanted is not None:
        path = wanted
        try:
            taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        except OSError as error:
            raise RunDirectoryError(f"cannot write into the run directory {path}: {error}") from error
        if taken:
            raise RunDirectoryError(f"{path} exists and is not an empty directory; choose another with --out")
    else:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        path = Path("qloom-runs") / f"{name}-{stamp}"
        count = 1
        while path.exists():
            count += 1
            path = Path("qloom-runs") / f"{name}-{stamp}-{count}"
    try:
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        path.chmod(0o700)
        (path / "logs").mkdir(mode=0o700)
    except OSError as error:
        raise RunDirectoryError(f"cannot write into the run directory {path}: {error}") from error
    return path.resolve()


def last_lines(log: Path, count: int = 3) -> str:
    """The end of a process's log, for an error message."""
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").strip().splitlines()
        if lines:
            return "; its log ends: " + " | ".join(lines[-count:])
    return ""
