"""The event log: JSON lines in virtual-time order, and the digest that says whether two runs were the same."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import msgspec

FLUSH_EVERY_S = 0.5
"""How long a reader of the file may have to wait for what has happened."""


LARGEST_BUFFER = 1 << 16


class EventLogError(Exception):
    """The event log cannot be written; says which file and what to do."""


class EventLog:
    """Lines of one window are collected, put in order of time, written and folded into the digest.

    Nothing that depends on the wall clock may be written here.
    """

    def __init__(self, path: Path | None, *, again: bool = False) -> None:
        """``again``: the same lines are written once more, over those that are there; no reader sees them go."""
        self._path = path
        self._descriptor: int | None = None
        if path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if again else os.O_TRUNC)
            try:
                self._descriptor = os.open(path, flags, 0o600)
            except OSError as error:
                raise self._cannot_write(error) from error
        self._unwritten = bytearray()
        self._written = 0
        """Bytes on file."""
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._hash = hashlib.blake2b(digest_size=16)
        self._window: list[tuple[int, bytes]] = []
        self._watched: dict[str, Any] | None = None
        self.seen: dict[str, Any] | None = None
        """The first line that was watched for."""
        self.lines = 0
        self._flushed_at_s = 0.0

    def reopen(self) -> None:
        """In a copy of the process: go on where this log is, whatever the process has written since.

        Raises:
            EventLogError: the file cannot be opened.
        """
        if self._descriptor is not None:
            assert self._path is not None
            try:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as error:
                raise self._cannot_write(error) from error
            os.lseek(self._descriptor, self._written, os.SEEK_SET)

    def write(self, at: int, kind: str, **details: Any) -> None:
        """Add a line for the instant ``at`` (ps)."""
        self._window.append((at, self._encode({"t_ps": at, "kind": kind, **details})))

        if self._watched is not None and self.seen is None:
            line = {"kind": kind, **details}
            if all(line.get(name) == value for name, value in self._watched.items()):
                self.seen = {"t_ps": at, **line}

    def watch_for(self, line: dict[str, Any] | None) -> None:
        """Keep the first line from now on that has these members as ``seen``."""
        self._watched, self.seen = line, None

    def close_window(self) -> None:
        """The window's lines are complete."""
        if not self._window:
            return
        self._window.sort(key=lambda line: line[0])
        text = b"".join([line + b"\n" for _, line in self._window])
        self.lines += len(self._window)
        self._window.clear()
        self._hash.update(text)
        if self._descriptor is not None:
            self._unwritten += text
            now = time.monotonic()
            if len(self._unwritten) > LARGEST_BUFFER or now - self._flushed_at_s > FLUSH_EVERY_S:
                self.flush()
                self._flushed_at_s = now

    def flush(self) -> None:
        """Have the lines on file.

        Raises:
            EventLogError: they cannot be written; what is on file ends with a whole line.
        """
        if self._descriptor is None or not self._unwritten:
            return
        data, self._unwritten = bytes(self._unwritten), bytearray()
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            self._written += data.rfind(b"\n", 0, written) + 1
            os.ftruncate(self._descriptor, self._written)
            os.lseek(self._descriptor, self._written, os.SEEK_SET)
            raise self._cannot_write(error) from error
        self._written += written

    def close(self) -> None:
        """No more lines.

        Raises:
            EventLogError: the last cannot be written; it is closed all the same.
        """
        try:
            self.close_window()
            self.flush()
        finally:
            if self._descriptor is not None:
                # a fabric that was killed may have got further than the run then did
                os.ftruncate(self._descriptor, self._written)
                os.close(self._descriptor)
                self._descriptor = None

    def _cannot_write(self, error: OSError) -> EventLogError:
        return EventLogError(
            f"the event log {self._path} cannot be written: {error.strerror}; "
            "make room there, or choose another run directory with --out"
        )

    @property
    def digest(self) -> str:
        """Of all lines up to the last closed window: equal for equal runs."""
        return self._hash.hexdigest()
