"""Files of records, appended to while a process may be killed at any moment: whole up to where they are whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

_FRAME = struct.Struct("<II")
"""Before each record: its length and the CRC-32 of its bytes."""
LONGEST_RECORD = 1 << 30
READ_BYTES = 1 << 20


class RecordFileError(Exception):
    """A file cannot be read or written, or holds no such records; says which and what to do."""


class RecordFile:
    """A file, open for appending. Records are gathered until ``write``, which is one system call."""

    def __init__(self, path: Path, magic: bytes, *, size: int = 0) -> None:
        """Go on after the first ``size`` bytes, what stands beyond them being cut off; 0: a new file.

        Raises:
            OSError: it cannot be written.
        """
        self.path = path
        self.size = size
        """Bytes that have been written."""
        self._gathered: list[bytes] = [] if size else [magic]
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)

    def gather(self, body: bytes) -> None:
        """Add a record, to be written with the next ``write``."""
        self._gathered += (_FRAME.pack(len(body), crc32(body)), body)

    def write(self) -> None:
        """Have on file all that was gathered.

        Raises:
            OSError: it could not be written; what is on file up to ``size`` is whole.
        """
        if not self._gathered:
            return
        data = b"".join(self._gathered)
        self._gathered.clear()
        written = os.write(self._descriptor, data)
        while written < len(data):
            written += os.write(self._descriptor, data[written:])
        self.size += len(data)

    def close(self) -> None:
        """No more records."""
        os.close(self._descriptor)


def bodies(path: Path, magic: bytes, *, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The whole records of a file, each with the offset of its end; ``start``: an offset at which one ended.

    A torn or damaged record, as a death in the middle of a write leaves it, ends the file.

    Raises:
        RecordFileError: there is no such file, or it begins with something else than ``magic``.
    """
    try:
        file = path.open("rb", buffering=READ_BYTES)
    except OSError as error:
        raise RecordFileError(f"the journal {path} cannot be read: {error.strerror}") from error
    with file:
        found = file.read(len(magic))
        if found != magic:
            if magic.startswith(found):
                return  # it died with the first write
            raise RecordFileError(f"{path} is no journal of this version: expected {magic!r}, found {found!r}")
        end = max(start, len(magic))
        file.seek(end)
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            length, check = _FRAME.unpack(frame)
            if length > LONGEST_RECORD or len(body := file.read(length)) < length or crc32(body) != check:
                return
            end += _FRAME.size + length
            yield body, end
