"""The event log: JSON lines in virtual-time order, and the digest that says whether two runs were the same."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import msgspec

FLUSH_EVERY_S = 0.5
"""How long a reader of the file may have to wait for what has happened."""


class EventLog:
    """Lines of one window are collected, put in order of time, written and folded into the digest.

    Nothing that depends on the wall clock may be written here.
    """

    def __init__(self, path: Path | None, *, again: bool = False) -> None:
        """``again``: the same lines are written once more, over those that are there; no reader sees them go."""
        mode = "r+b" if again and path is not None and path.exists() else "wb"
        self._file = path.open(mode, buffering=1 << 16) if path is not None else None
        self._encode = msgspec.json.Encoder(order="deterministic").encode
        self._hash = hashlib.blake2b(digest_size=16)
        self._window: list[tuple[int, bytes]] = []
        self._watched: dict[str, Any] | None = None
        self.seen: dict[str, Any] | None = None
        """The first line that was watched for."""
        self.lines = 0
        self._flushed_at_s = 0.0

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
        if self._file is not None:
            self._file.write(text)
            if (now := time.monotonic()) - self._flushed_at_s > FLUSH_EVERY_S:
                self._file.flush()
                self._flushed_at_s = now

    def flush(self) -> None:
        """Have the lines on disk."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """No more lines."""
        self.close_window()
        if self._file is not None:
            self._file.truncate()  # a fabric that was killed may have got further than the run then did
            self._file.close()

    @property
    def digest(self) -> str:
        """Of all lines up to the last closed window: equal for equal runs."""
        return self._hash.hexdigest()
