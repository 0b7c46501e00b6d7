"""Heralded generation on one link: who asks at either end, one series of attempts at a time, one draw a series.

Attempts start once both ends ask with the same purpose and operating point. The number of attempts is geometric, so
one draw gives the moment of the herald; waiting has no memory, so a cancelled series leaves nothing behind, and a link
that was down draws again when it is up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from orchestrator.fabric.heralding import LinkModel, Outcome, draw_attempts, pick_outcome
from orchestrator.fabric.streams import Stream
from orchestrator.scenario import Link

NEVER_PS = 10**18
"""Eleven days: a herald later than that is not waited for, so that virtual time stays within 64 bits."""


@dataclass(slots=True, frozen=True)
class Ask:
    """One end's wish for a pair."""

    end: int
    operation: int
    qubit: str
    purpose: str
    at: int
    operating_point: int = 0


@dataclass(slots=True, eq=False)
class Series:
    """Attempts under way, whose success is already drawn."""

    asks: tuple[Ask, Ask]
    pair_id: str
    started_at: int
    attempts: int
    outcome: Outcome
    emitted_at: tuple[int, int]
    heralded_at: tuple[int, int]
    free_at: int
    """When the link can start the next series."""
    cancelled: bool = False
    unheard: int | None = None
    """The end whose herald is lost on its way, so that it goes on trying."""
    unheard_because: str = ""

    @property
    def decided_at(self) -> int:
        """The first herald: from here on the pair exists and nothing can be cancelled."""
        return min(self.heralded_at)


@dataclass(slots=True)
class LinkGeneration:
    """The attempts of one link."""

    name: str
    link: Link
    models: tuple[LinkModel, ...]
    """By operating point."""
    stream: Stream
    asking: dict[tuple[str, int], tuple[deque[Ask], deque[Ask]]] = field(default_factory=dict)
    """By purpose and operating point."""
    matched: deque[tuple[Ask, Ask]] = field(default_factory=deque)
    series: Series | None = None
    free_at: int = 0
    heralded: int = 0
    down: bool = False

    def ask(self, ask: Ask) -> Series | None:
        """An end asks; returns a series if one starts now."""
        queues = self.asking.setdefault((ask.purpose, ask.operating_point), (deque(), deque()))
        queues[ask.end].append(ask)
        if queues[0] and queues[1]:
            self.matched.append((queues[0].popleft(), queues[1].popleft()))
        return self.start()

    def start(self) -> Series | None:
        """Start the next series if the link is idle and both ends want one."""
        if self.down or self.series is not None or not self.matched:
            return None
        asks = self.matched.popleft()
        model = self.models[asks[0].operating_point]
        if model.success_probability == 0.0:
            self.matched.appendleft(asks)
            return None
        started_at = max(self.free_at, asks[0].at, asks[1].at)
        attempts = draw_attempts(model.success_probability, self.stream.uniform())
        if attempts * model.attempt_cycle_ps > NEVER_PS:
            self.matched.appendleft(asks)
            return None
        successful = started_at + (attempts - 1) * model.attempt_cycle_ps
        emission, herald = model.emission_delay_ps, model.herald_delay_ps
        self.series = Series(
            asks=asks,
            pair_id=f"{self.name}/{self.heralded}",
            started_at=started_at,
            attempts=attempts,
            outcome=pick_outcome(model, self.stream.uniform()),
            emitted_at=(successful + emission[0], successful + emission[1]),
            heralded_at=(successful + herald[0], successful + herald[1]),
            free_at=successful + model.attempt_cycle_ps,
        )
        return self.series

    def succeeded(self, series: Series) -> Series | None:
        """The series has its herald; returns the next one if one starts now."""
        self.heralded += 1
        self.free_at = series.free_at
        self.series = None
        return self.start()

    def break_off(self) -> bool:
        """No attempt of the series succeeds; both ends go on asking. Returns whether there was one."""
        series, self.series = self.series, None
        if series is None:
            return False
        series.cancelled = True
        if series.unheard is None:
            self.matched.appendleft(series.asks)
        else:
            self._put_back(series.asks[1 - series.unheard])
        return True

    def lose_herald(self, series: Series, end: int, because: str, at: int) -> None:
        """One end will not hear of the success, and goes on asking; the link is down at ``at`` (ps)."""
        series.unheard, series.unheard_because = end, because
        self._put_back(replace(series.asks[end], at=at))

    def bring_up(self, at: int) -> Series | None:
        """Attempts succeed again; returns a series if one starts now."""
        self.down = False
        self.free_at = max(self.free_at, at)
        return self.start()

    def change(self, models: tuple[LinkModel, ...], at: int) -> Series | None:
        """From ``at`` (ps) on, attempts follow other models, one for each operating point as before.

        A series under way is drawn again from now: waiting has no memory. One that has its first herald stays.
        Returns a series if one starts now.
        """
        self.models = models
        self.break_off()
        self.free_at = max(self.free_at, at)
        return self.start()

    @property
    def stalled(self) -> bool:
        """Whether both ends want a pair and no attempt of theirs will ever succeed as things are."""
        return self.series is None and bool(self.matched)

    def cancel(self, end: int, operation: int, at: int) -> tuple[str | None, Series | None]:
        """An end no longer wants a pair.

        Returns:
            The qubit that is free again, or None where the pair already exists (its herald comes); and the next
            series if one starts now.
        """
        for queues in self.asking.values():
            for ask in queues[end]:
                if ask.operation == operation:
                    queues[end].remove(ask)
                    return ask.qubit, None
        for asks in self.matched:
            if asks[end].operation == operation:
                self.matched.remove(asks)
                return asks[end].qubit, self._ask_again(asks[1 - end], at)
        series = self.series
        if series is not None and series.asks[end].operation == operation and at < series.decided_at:
            series.cancelled = True
            self.series = None
            self.free_at = at
            if series.unheard == 1 - end:
                return series.asks[end].qubit, self.start()
            return series.asks[end].qubit, self._ask_again(series.asks[1 - end], at) or self.start()
        return None, None

    def _ask_again(self, ask: Ask, at: int) -> Series | None:
        """The other end goes on asking; returns a series if one starts now."""
        self._put_back(replace(ask, at=at))
        return self.start()

    def _put_back(self, ask: Ask) -> None:
        """An end goes on asking, at the head of its queue."""
        queues = self.asking[(ask.purpose, ask.operating_point)]
        queues[ask.end].appendleft(ask)
        if queues[0] and queues[1]:
            self.matched.appendleft((queues[0].popleft(), queues[1].popleft()))
