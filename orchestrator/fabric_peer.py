"""What a supervisor must remember of the fabric: what it asked, and how often and where the fabric was killed."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass, field

import msgspec

from orchestrator import control

MOST_DEATHS_IN_PLACE = 5
"""A fabric that is killed so often without getting any further is not started again."""
RECOVERY_DEADLINE_S = 60.0
"""How long a recovery may take, beyond the time for which the testbed has been up: that much may have to be redone."""


@dataclass(slots=True)
class SteeringCalls:
    """Requests of whoever steers that are not answered yet."""

    last: int = 0
    """The number of the latest."""
    _waiting: dict[int, asyncio.Future[control.Steered]] = field(default_factory=dict)
    _asked: dict[int, control.Steering] = field(default_factory=dict)

    @property
    def open(self) -> tuple[control.Steering, ...]:
        """What a fabric in the place of another must hear again."""
        return tuple(self._asked.values())

    def begin(self, request: control.Steering) -> tuple[control.Steering, asyncio.Future[control.Steered]]:
        """Number a request; returns it as it is to be sent, and its answer."""
        self.last += 1
        answer = self._waiting[self.last] = asyncio.get_running_loop().create_future()
        request = self._asked[self.last] = msgspec.structs.replace(request, call=self.last)
        return request, answer

    def answered(self, answer: control.Steered) -> None:
        """The fabric has answered one."""
        waiting = self._waiting.pop(answer.call, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def end(self, request: control.Steering) -> None:
        """Nobody waits for its answer any more."""
        self._waiting.pop(request.call, None)
        del self._asked[request.call]


@dataclass(slots=True, frozen=True)
class Recovery:
    """A fabric that was killed, and its successor."""

    cause: str
    now_ps: int
    """The virtual time at which it went on."""
    took_s: float
    """Wall seconds from the news of its death to the last node's return."""


@dataclass(slots=True)
class Deaths:
    """How often the fabric was killed, and what became of it."""

    recoveries: list[Recovery] = field(default_factory=list)
    _since_s: float = field(default_factory=time.monotonic)
    _killed_at_s: float | None = None
    """Until another is in its place."""
    _cause: str = ""
    _in_place: int = 0
    _rounds: int = -1
    """How far the last recovery came."""

    def verdict(self, code: int) -> str | None:
        """Whether another fabric may take the place of one that ended so: why not, or None.

        What a fabric did itself, another would do again.
        """
        self._in_place += 1
        if code >= 0 or code == -signal.SIGABRT:  # a library gave up, and would again
            return ""
        return f", for the {self._in_place}th time at this point" if self._in_place > MOST_DEATHS_IN_PLACE else None

    def killed(self, cause: str) -> None:
        """It was, and another is to take its place."""
        self._killed_at_s, self._cause = time.monotonic(), cause

    def recovered(self, told: control.Recovered) -> Recovery | None:
        """Another fabric is in the place of the one that was killed; None if that is known."""
        if told.rounds > self._rounds:
            self._rounds, self._in_place = told.rounds, 0
        if self._killed_at_s is None:
            return None
        recovery = Recovery(self._cause, told.now_ps, time.monotonic() - self._killed_at_s)
        self._killed_at_s = None
        self.recoveries.append(recovery)
        return recovery

    @property
    def patience_s(self) -> float:
        """How much longer than otherwise the fabric may be silent."""
        return 0.0 if self._killed_at_s is None else RECOVERY_DEADLINE_S + self._killed_at_s - self._since_s
