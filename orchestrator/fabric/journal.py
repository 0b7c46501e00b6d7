"""The journal: every call that made the engine what it is, on disk before its effect shows.

The engine is a deterministic machine of scenario, seed and the calls that it gets. Whoever makes the same calls again
has the same engine, to the byte of its event log. So this file is all that a killed fabric leaves to its successor.

What is written survives the process: once ``os.write`` has returned, the kernel has it, and a kill does not take it
back. There is no ``fsync``: after a loss of power the file may end anywhere, even before what nodes have been told.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from zlib import crc32

import msgspec

from orchestrator.scenario import Scenario
from qnode.wire.version import VERSION

MAGIC = b"qloom journal 1\n"
_FRAME = struct.Struct("<II")
"""Before each record: its length and the CRC-32 of its bytes."""
LONGEST_RECORD = 1 << 30
READ_BYTES = 1 << 20


class JournalError(Exception):
    """The journal cannot be written, or is none of this run; says which file and what to do."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """Base of what a journal holds."""


class Head(Record, tag=0, frozen=True):
    """What the calls were made to: the first record."""

    qloom_version: str
    wire_version: int
    scenario: bytes
    """All of it, as JSON."""


class Begun(Record, tag=1, frozen=True):
    """Virtual time 0, when the monotonic clock of this machine showed ``zero_s``."""

    zero_s: float


class Settled(Record, tag=2, frozen=True):
    """All nodes have been up, and the wall clock starts anew at ``zero_s``."""

    zero_s: float


class RoundOpened(Record, tag=3, frozen=True):
    """A round was carried out, and its grants went out after this was written."""

    late_s: float


class Blocked(Record, tag=4, frozen=True):
    """A node's BLOCK."""

    seat: int
    frame: bytes


class Interrupted(Record, tag=5, frozen=True):
    """Something from outside reached a node."""

    seat: int
    reason: str
    now_ps: int


class GivenUp(Record, tag=6, frozen=True):
    """A node is declared failed."""

    seat: int
    story: str


class Ended(Record, tag=7, frozen=True):
    """The run is over; nodes and supervisor were told after this was written."""

    reason: str
    error: str
    now_ps: int
    wall_s: float


class Asked(Record, tag=8, frozen=True):
    """Somebody steers, at a moment of the monotonic clock."""

    frame: bytes
    at_s: float


class Looked(Record, tag=9, frozen=True):
    """Whether virtual time has come to where it was steered to, at a moment of the monotonic clock."""

    at_s: float


AnyRecord = Head | Begun | Settled | RoundOpened | Blocked | Interrupted | GivenUp | Ended | Asked | Looked

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyRecord).decode


def head_of(scenario: Scenario) -> Head:
    """The head of the journal of a run of ``scenario``."""
    return Head(version("qloom"), VERSION, msgspec.json.encode(scenario, order="deterministic"))


class Journal:
    """The file, open for appending. Records are gathered until ``write``, which is one system call."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        """Bytes that have been written."""
        self._descriptor = descriptor
        self._gathered: list[bytes] = []

    @classmethod
    def create(cls, path: Path, head: Head) -> Journal:
        """A new one.

        Raises:
            JournalError: it cannot be written.
        """
        return cls._open(path, head, 0)

    @classmethod
    def reopen(cls, path: Path, head: Head, size: int) -> Journal:
        """Go on after the first ``size`` bytes; what stands beyond them is cut off.

        Raises:
            JournalError: it cannot be written.
        """
        return cls._open(path, head, size)

    @classmethod
    def _open(cls, path: Path, head: Head, size: int) -> Journal:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(descriptor, size)
            os.lseek(descriptor, size, os.SEEK_SET)
        except OSError as error:
            raise _cannot_write(path, error) from error
        journal = cls(path, descriptor, size)
        if size == 0:
            journal._gathered.append(MAGIC)
            journal.append(head)
            journal.write()
        return journal

    def append(self, record: AnyRecord) -> None:
        """Add a record, to be written with the next ``write``."""
        body = _encode(record)
        self._gathered += (_FRAME.pack(len(body), crc32(body)), body)

    def write(self) -> None:
        """Have on file all that was gathered.

        Raises:
            JournalError: it could not be written; what is on file up to ``size`` is whole.
        """
        data = b"".join(self._gathered)
        self._gathered.clear()
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self.size += len(data)

    def close(self) -> None:
        """No more records."""
        os.close(self._descriptor)


def _cannot_write(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"the journal {path} cannot be written: {error.strerror}; without it a run cannot be recovered or replayed; "
        "make room there, or choose another run directory with --out"
    )


def records(path: Path, *, start: int = 0) -> Iterator[tuple[AnyRecord, int]]:
    """The whole records of a journal, each with the offset of its end; ``start``: an offset at which one ended.

    A torn or damaged record, as a death in the middle of a write leaves it, ends the journal.

    Raises:
        JournalError: there is no such file, or it is no journal.
    """
    try:
        file = path.open("rb", buffering=READ_BYTES)
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be read: {error.strerror}") from error
    with file:
        magic = file.read(len(MAGIC))
        if magic != MAGIC:
            if MAGIC.startswith(magic):
                return  # it died with the first write
            raise JournalError(f"{path} is no journal of this version: expected {MAGIC!r}, found {magic!r}")
        end = max(start, len(MAGIC))
        file.seek(end)
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            length, check = _FRAME.unpack(frame)
            if length > LONGEST_RECORD or len(body := file.read(length)) < length or crc32(body) != check:
                return
            end += _FRAME.size + length
            yield _decode(body), end


def check_head(path: Path, found: AnyRecord, expected: Head) -> None:
    """See that a journal is of this run.

    Raises:
        JournalError: it is of another.
    """
    if not isinstance(found, Head):
        raise JournalError(f"{path} does not begin with a head, but with {type(found).__name__}")
    if (found.qloom_version, found.wire_version) != (expected.qloom_version, expected.wire_version):
        raise JournalError(
            f"{path} was written by qloom {found.qloom_version} with version {found.wire_version} of the wire; this is "
            f"{expected.qloom_version} with {expected.wire_version}: repeat it with the version that wrote it"
        )
    if found.scenario != expected.scenario:
        raise JournalError(f"{path} is the journal of another scenario or seed")
