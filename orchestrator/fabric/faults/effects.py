"""What a fault does to one message that is about to enter a channel: lost, twice, damaged, delayed, held.

Each message that comes by costs a fault the same draws from its own stream, also one that another fault has lost
already: so a fault draws the same with and without others. Copies of messages draw from a stream of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any, Protocol

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.streams import Stream
from orchestrator.scenario.faults import (
    Bandwidth,
    MessageCorrupt,
    MessageDuplicate,
    MessageLatency,
    MessageLoss,
    MessageReorder,
)
from orchestrator.topology import Hop

NORMAL = NormalDist()
LEAST_UNIFORM = 2.0**-54
"""In place of a draw of 0, whose normal quantile is infinite."""


@dataclass(slots=True)
class Passing:
    """A message, or a copy of it, on its way through the channels of its route."""

    sender: str
    to: str
    payload: bytes
    sent_at: int
    at: int
    """When it is about to enter the next channel (ps)."""
    housekeeping: bool
    copy: bool = False
    """Whether a fault has made it."""
    lost: bool = False
    enters: list[int] = field(default_factory=list)
    """When it enters each channel behind it."""
    held_by: list[tuple[Hold, int]] = field(default_factory=list)
    """What holds it, and before which channel of its route."""


Tell = Callable[[str, Passing, Hop, dict[str, Any]], None]
"""Counts what befalls a message, and writes it into the event log: kind of line, message, where, details."""


@dataclass(slots=True)
class Draws:
    """The randomness of one fault."""

    messages: Stream
    copies: Stream

    def of(self, passing: Passing) -> Stream:
        """What this message, or copy, draws from."""
        return self.copies if passing.copy else self.messages


class Effect(Protocol):
    """Acts on what is about to enter a channel."""

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        """What comes of it: itself, changed, and copies."""
        ...


Where = tuple[str, bool, bool]
"""Of which correlated draws follow each other: channel, direction, and whether they are for copies."""


def _where(passing: Passing, hop: Hop) -> Where:
    return (hop.channel, hop.forward, passing.copy)


@dataclass(slots=True)
class Chance:
    """Yes with a probability p. With a correlation r, each answer repeats the one before it with probability r, and is
    drawn anew else: Gilbert's chain of two states (Gilbert 1960), in which p stays the share of yes, answers k apart
    correlate by r^k, and a run of yes has the mean length 1/((1 - p)(1 - r))."""

    probability: float
    correlation: float
    draws: Draws
    _last: dict[Where, bool] = field(default_factory=dict)

    def falls(self, passing: Passing, hop: Hop) -> bool:
        """Whether it is this message's turn."""
        stream, where = self.draws.of(passing), _where(passing, hop)
        repeats = self.correlation > 0.0 and stream.uniform() < self.correlation
        answer = stream.uniform() < self.probability
        if repeats:
            answer = self._last.get(where, answer)
        self._last[where] = answer
        return answer


@dataclass(slots=True)
class Loss:
    """Messages are lost."""

    chance: Chance
    tell: Tell

    @classmethod
    def of(cls, fault: MessageLoss, draws: Draws, tell: Tell) -> Loss:
        return cls(Chance(fault.probability, fault.correlation, draws), tell)

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        if self.chance.falls(passing, hop) and not passing.lost:
            passing.lost = True
            self.tell("message_lost", passing, hop, {})
        return [passing]


@dataclass(slots=True)
class Duplicate:
    """Messages come twice; the copy goes its own way from here."""

    chance: Chance
    tell: Tell

    @classmethod
    def of(cls, fault: MessageDuplicate, draws: Draws, tell: Tell) -> Duplicate:
        return cls(Chance(fault.probability, fault.correlation, draws), tell)

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        if not self.chance.falls(passing, hop):
            return [passing]
        if not passing.lost:
            self.tell("message_duplicated", passing, hop, {})
        twin = replace(passing, copy=True, enters=list(passing.enters), held_by=list(passing.held_by))
        return [passing, twin]


@dataclass(slots=True)
class Corrupt:
    """Bits flip, and the checksum does not fit any more."""

    chance: Chance
    bits: int
    tell: Tell

    @classmethod
    def of(cls, fault: MessageCorrupt, draws: Draws, tell: Tell) -> Corrupt:
        return cls(Chance(fault.probability, fault.correlation, draws), fault.bits, tell)

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        if self.chance.falls(passing, hop):
            stream = self.chance.draws.of(passing)
            passing.payload, flipped = with_flipped_bits(passing.payload, self.bits, stream)
            if not passing.lost:
                self.tell("message_corrupted", passing, hop, {"bits": flipped})
        return [passing]


def with_flipped_bits(data: bytes, count: int, stream: Stream) -> tuple[bytes, list[int]]:
    """``data`` with ``count`` different bits flipped (all, if it has fewer), each as likely as any other; and which."""
    flipped: set[int] = set()
    damaged = bytearray(data)
    while len(flipped) < min(count, 8 * len(data)):
        bit = int(stream.uniform() * 8 * len(data))
        if bit not in flipped:
            flipped.add(bit)
            damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged), sorted(flipped)


@dataclass(slots=True)
class Latency:
    """Messages wait for a time with jitter.

    Its quantiles come from a stationary Gaussian chain z' = r z + sqrt(1 - r^2) n, so every one is distributed as
    stated whatever the correlation r; uniform deviates k apart correlate by (6/pi) asin(r^k / 2).
    """

    fault: MessageLatency
    draws: Draws
    tell: Tell
    _last: dict[Where, float] = field(default_factory=dict)

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        fault = self.fault
        added_s = fault.added_s
        if fault.jitter_s > 0.0:
            added_s += fault.jitter_s * self._deviate(passing, hop)
        added = max(0, round(added_s * PICOSECONDS))
        return _delayed(passing, hop, added, self.tell)

    def _deviate(self, passing: Passing, hop: Hop) -> float:
        """From -1 to 1, or standard normal."""
        uniform, correlation = self.draws.of(passing).uniform(), self.fault.correlation
        if correlation == 0.0 and self.fault.distribution == "uniform":
            return 2.0 * uniform - 1.0
        normal, where = NORMAL.inv_cdf(max(uniform, LEAST_UNIFORM)), _where(passing, hop)
        if where in self._last:
            normal = correlation * self._last[where] + math.sqrt(1.0 - correlation**2) * normal
        self._last[where] = normal
        return normal if self.fault.distribution == "normal" else 2.0 * NORMAL.cdf(normal) - 1.0


@dataclass(slots=True)
class Reorder:
    """Messages are kept back and overtaken."""

    chance: Chance
    delay_ps: int
    tell: Tell

    @classmethod
    def of(cls, fault: MessageReorder, draws: Draws, tell: Tell) -> Reorder:
        delay_ps = max(1, round(fault.delay_s * PICOSECONDS))
        return cls(Chance(fault.probability, fault.correlation, draws), delay_ps, tell)

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        if not self.chance.falls(passing, hop):
            return [passing]
        return _delayed(passing, hop, self.delay_ps, self.tell)


@dataclass(slots=True)
class Narrow:
    """Store and forward: a message occupies its direction of the channel for its bits' time, after those before it.

    One that comes later from afar, though it was sent earlier, keeps the time that it was given then.
    """

    bits_per_s: float
    tell: Tell
    _busy: dict[tuple[str, bool], list[tuple[int, int]]] = field(default_factory=dict)
    """Of each direction: from when until when it is taken, in order."""

    @classmethod
    def of(cls, fault: Bandwidth, draws: Draws, tell: Tell) -> Narrow:
        return cls(fault.bits_per_s, tell)

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        if passing.lost:
            return [passing]
        takes = math.ceil(8 * len(passing.payload) / self.bits_per_s * PICOSECONDS)
        busy = self._busy.setdefault((hop.channel, hop.forward), [])
        while busy and busy[0][1] <= passing.sent_at:
            del busy[0]
        ends = _take_time(busy, passing.at, takes)
        return _delayed(passing, hop, ends - passing.at, self.tell)


def _take_time(busy: list[tuple[int, int]], begins: int, takes: int) -> int:
    """Take the first stretch of time from ``begins`` on that is free for so long; returns its end."""
    position = 0
    for taken_from, taken_until in busy:
        if begins + takes <= taken_from:
            break
        begins = max(begins, taken_until)
        position += 1
    ends = begins + takes
    if position and busy[position - 1][1] == begins:
        busy[position - 1] = (busy[position - 1][0], ends)
    else:
        busy.insert(position, (begins, ends))
    return ends


def _delayed(passing: Passing, hop: Hop, by_ps: int, tell: Tell) -> list[Passing]:
    passing.at += by_ps
    if by_ps and not passing.lost:
        tell("message_delayed", passing, hop, {"by_ps": by_ps})
    return [passing]


@dataclass(slots=True, eq=False)
class Hold:
    """Messages are held until the fault is healed."""

    name: str
    tell: Tell

    def act(self, passing: Passing, hop: Hop) -> list[Passing]:
        passing.held_by.append((self, len(passing.enters)))
        if not passing.lost:
            self.tell("message_held", passing, hop, {})
        return [passing]
