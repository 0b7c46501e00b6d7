"""What a process turned away: counted by kind for the report, and told in its log, but not a line each."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec

from qnode.security.keys import write_private

Kind = Literal[
    "unknown_key",
    "plaintext",
    "cryptographic",
    "no_handshake",
    "impostor",
    "version",
    "malformed",
    "unexpected",
    "limit",
]
"""Connections: a key that is not in the table, a peer without CURVE, one with another key for this process or a faked
one of its own, one that never finished its handshake. Frames: under another's name, of another version of the wire, no
message at all, not fitting the state of their sender, beyond a limit."""
WRITE_INTERVAL_S = 0.5


class Refusals:
    """Counts refusals of one process. Safe to use from several threads."""

    def __init__(self, path: Path | None) -> None:
        """``path``: a file for the counts; None: they are told in the log only."""
        self._path = path
        self._counts: Counter[Kind] = Counter()
        self._lock = threading.RLock()
        self._writer: threading.Timer | None = None

    def note(self, kind: Kind, story: str) -> None:
        """One more; the 1st, 10th, 100th ... of a kind are told in the log."""
        with self._lock:
            self._counts[kind] += 1
            count = self._counts[kind]
            if count == 10 ** (len(str(count)) - 1):
                print(f"refused ({kind}, {count} so far): {story[:500]}", file=sys.stderr, flush=True)
            self._write_soon()

    def set(self, kind: Kind, count: int) -> None:
        """Correct a count that is known only as a difference."""
        with self._lock:
            if count != self._counts[kind]:
                self._counts[kind] = count
                self._write_soon()

    def close(self) -> None:
        """Write what was not written yet."""
        with self._lock:
            if self._writer is not None:
                self._writer.cancel()
                self._write()

    def _write_soon(self) -> None:
        if self._writer is None and self._path is not None:
            self._writer = threading.Timer(WRITE_INTERVAL_S, self._write)
            self._writer.daemon = True
            self._writer.start()

    def _write(self) -> None:
        with self._lock:
            self._writer = None
            if self._path is not None:
                write_private(self._path, msgspec.json.encode(dict(self._counts)))
