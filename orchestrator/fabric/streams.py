"""Randomness: one counter-based stream for each purpose and entity, so that a draw never depends on who asked first."""

from __future__ import annotations

import hashlib

import numpy as np


class Streams:
    """Independent Philox streams (Salmon et al., SC 2011) under one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._streams: dict[tuple[str, str], Stream] = {}

    def of(self, purpose: str, entity: str) -> Stream:
        """The stream of ``entity`` for ``purpose``; the same one at every call."""
        key = (purpose, entity)
        stream = self._streams.get(key)
        if stream is None:
            text = f"{self._seed}\0{purpose}\0{entity}".encode()
            digest = hashlib.blake2b(text, digest_size=16).digest()
            stream = self._streams[key] = Stream(int.from_bytes(digest, "little"))
        return stream


class Stream:
    """Uniform draws in [0, 1), fetched a block at a time."""

    BLOCK = 256

    def __init__(self, key: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=key))
        self._drawn: list[float] = []

    def uniform(self) -> float:
        """The next draw."""
        if not self._drawn:
            self._drawn = self._generator.random(self.BLOCK).tolist()
            self._drawn.reverse()
        return self._drawn.pop()
