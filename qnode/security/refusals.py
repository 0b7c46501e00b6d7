"""What a process turned away: counted by kind for the report, and told in its log, but not a line each."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter, OrderedDict
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
MOST_REFUSED = 64
"""Frames of one socket that are refused with an answer, beyond those that were taken; whoever goes on is muted."""
MUCH_RUBBISH = 64
RUBBISH_A_BREATH = 8
"""After so many refused frames in a row, others may compute first."""
MOST_REMEMBERED = 4096
"""Sockets of which refusals are remembered."""


class Refusals:
    """Counts refusals of one process. Safe to use from several threads."""

    def __init__(self, path: Path | None) -> None:
        """``path``: a file for the counts; None: they are told in the log only."""
        self._path = path
        self.counts: Counter[Kind] = Counter()
        self._lock = threading.RLock()
        self._writer: threading.Timer | None = None

    def note(self, kind: Kind, story: str) -> None:
        """One more; the 1st, 10th, 100th ... of a kind are told in the log."""
        with self._lock:
            self.counts[kind] += 1
            count = self.counts[kind]
            if count == 10 ** (len(str(count)) - 1):
                print(f"refused ({kind}, {count} so far): {story[:500]}", file=sys.stderr, flush=True)
            self._write_soon()

    def set(self, kind: Kind, count: int) -> None:
        """Correct a count that is known only as a difference."""
        with self._lock:
            if count != self.counts[kind]:
                self.counts[kind] = count
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
                write_private(self._path, msgspec.json.encode(dict(self.counts)))


class RefusedSockets:
    """How often each socket was refused, less what was taken of it; of many, the latest. Steps back for others."""

    def __init__(self) -> None:
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._rubbish = 0

    def refuse(self, identity: bytes) -> bool:
        """One more; returns whether it was one too many, after which the socket is not listened to."""
        count = self._counts.pop(identity, 0) + 1
        self._counts[identity] = count
        if len(self._counts) > MOST_REMEMBERED:
            self._counts.popitem(last=False)
        return count > MOST_REFUSED

    @property
    def flooded(self) -> bool:
        """Whether of late only rubbish came."""
        return self._rubbish > MUCH_RUBBISH

    def heard(self, *, rubbish: bool) -> None:
        """One more frame. A process that gets nothing but rubbish leaves the processor to others now and then."""
        if not rubbish:
            self._rubbish = 0
            return
        self._rubbish += 1
        if self._rubbish % RUBBISH_A_BREATH == 0:
            os.sched_yield()

    def mute(self, identity: bytes) -> None:
        """Listen to it no more."""
        self._counts[identity] = MOST_REFUSED
        self.refuse(identity)

    def are_muted(self, identity: bytes) -> bool:
        """Whether it is not listened to."""
        return self._counts.get(identity, 0) > MOST_REFUSED

    def forgive(self, identity: bytes) -> None:
        """It has said something sensible, which makes up for one refusal."""
        if identity in self._counts:
            self._counts[identity] -= 1
            if not self._counts[identity]:
                del self._counts[identity]
