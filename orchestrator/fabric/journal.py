"""The journal: every call that made the engine what it is, on disk before its effect shows.

The engine is a deterministic machine of scenario, seed and the calls that it gets. Whoever makes the same calls again
has the same engine, to the byte of its event log. So this file is all that a killed fabric leaves to its successor.

What is written survives the process: once ``os.write`` has returned, the kernel has it, and a kill does not take it
back. There is no ``fsync``: after a loss of power the file may end anywhere, even before what nodes have been told.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec

from orchestrator.scenario import Scenario
from qnode.record_file import RecordFile, RecordFileError, bodies
from qnode.wire.version import VERSION

MAGIC = b"qloom journal 2\n"


class JournalError(Exception):
    """The journal cannot be written, or is none of this run; says which file and what to do."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """Base of what a journal holds."""


class Head(Record, tag=0, frozen=True):
    """What the calls were made to: the first record."""

    qloom_version: str
    wire_version: int
    scenario: bytes
    """All of it, as JSON, in its own order: that of nodes is the order of what they do at one instant."""
    held: bool = False
    """Whether virtual time stood still at first, for somebody who steers."""


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


def head_of(scenario: Scenario, *, held: bool = False) -> Head:
    """The head of the journal of a run of ``scenario``."""
    return Head(version("qloom"), VERSION, msgspec.json.encode(scenario), held)


class Journal:
    """The file, open for appending. Records are gathered until ``write``, which is one system call."""

    def __init__(self, file: RecordFile) -> None:
        self._file = file

    @property
    def size(self) -> int:
        """Bytes that have been written."""
        return self._file.size

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
            journal = cls(RecordFile(path, MAGIC, size=size))
        except OSError as error:
            raise _cannot_write(path, error) from error
        if size == 0:
            journal.append(head)
            journal.write()
        return journal

    def append(self, record: AnyRecord) -> None:
        """Add a record, to be written with the next ``write``."""
        self._file.gather(_encode(record))

    def write(self) -> None:
        """Have on file all that was gathered.

        Raises:
            JournalError: it could not be written; what is on file up to ``size`` is whole.
        """
        try:
            self._file.write()
        except OSError as error:
            raise _cannot_write(self._file.path, error) from error

    def close(self) -> None:
        """No more records."""
        self._file.close()


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
        for body, end in bodies(path, MAGIC, start=start):
            yield _decode(body), end
    except RecordFileError as error:
        raise JournalError(str(error)) from error


def check_head(path: Path, found: AnyRecord, expected: Head) -> None:
    """See that a journal is of this run.

    Raises:
        JournalError: it is of another.
    """
    if not isinstance(found, Head):
        raise JournalError(f"{path} does not begin with a head, but with {type(found).__name__}")
    check_versions(path, found)
    if found.scenario != expected.scenario:
        raise JournalError(f"{path} is the journal of another scenario or seed")


def check_versions(path: Path, found: Head) -> None:
    """See that a journal was written by this version.

    Raises:
        JournalError: it was written by another.
    """
    mine = version("qloom")
    if (found.qloom_version, found.wire_version) != (mine, VERSION):
        raise JournalError(
            f"{path} was written by qloom {found.qloom_version} with version {found.wire_version} of the wire; this is "
            f"{mine} with {VERSION}: repeat it with the version that wrote it"
        )
