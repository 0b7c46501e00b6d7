"""The course of a run: the engine and its pace, every call of which is in the journal before its effect shows.

Only grants, and the end of the run, are told to anybody; so BLOCKs are gathered and written, in one go, right before
the next grants go out. A BLOCK that was not written when the fabric dies is asked for again: its node still has it.
Everything else that comes from outside is written at once. Replaying makes the same calls again, in the same order.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from orchestrator import control
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.journal import (
    AnyRecord,
    Asked,
    Begun,
    Blocked,
    Ended,
    GivenUp,
    Head,
    Interrupted,
    Journal,
    Looked,
    RoundOpened,
    Settled,
    check_head,
    records,
)
from orchestrator.fabric.pacing import Pace
from orchestrator.fabric.steering import Steering
from qnode.wire import fabric


class Course:
    """One run of an engine; without a journal nothing is written."""

    def __init__(self, engine: Engine, pace: Pace, *, held: bool = False) -> None:
        """``held``: virtual time stands still until somebody steers."""
        self.engine = engine
        self.pace = pace
        self._at_s: float | None = None
        """What the clock showed when a call was made that is being repeated."""
        self.steering = Steering(engine, engine.log, pace, held=held, wall_s=self._clock_s)
        self._asked = 0
        """The number of the last call of whoever steers; they come in order."""
        self.begun = False
        self.settled = False
        self.ended: Ended | None = None
        self.rounds = 0
        self.granted: Counter[bytes] = Counter()
        """How many grants each process of a node was sent, by its label."""
        self.last_grants: dict[str, fabric.Grant] = {}
        """Those of the last round."""
        self._names = list(engine.seats)
        self._journal: Journal | None = None

    def create_journal(self, path: Path, head: Head) -> None:
        """Write everything down from now on.

        Raises:
            JournalError: the file cannot be written.
        """
        self._journal = Journal.create(path, head)

    def recover(self, path: Path, head: Head) -> None:
        """Make the calls again that the journal holds and this course has not made, and go on writing after them.

        Raises:
            JournalError: it cannot be read or written, or is of another run.
        """
        size = 0 if self._journal is None else self._journal.size  # of a copy of the process, whose file is another's
        self._journal = None
        if path.exists():
            for record, end in records(path, start=size):
                if size == 0:
                    check_head(path, record, head)
                else:
                    self.repeat(record)
                size = end
        self._journal = Journal.reopen(path, head, size)

    def repeat(self, record: AnyRecord) -> None:
        """Make one call again."""
        if isinstance(record, Blocked):
            self.block(self._names[record.seat], record.frame)
        elif isinstance(record, RoundOpened):
            self.open_round(record.late_s)
        elif isinstance(record, Begun):
            self.begin(record.zero_s)
        elif isinstance(record, Settled):
            self.settle(record.zero_s)
        elif isinstance(record, Interrupted):
            self.interrupt(self._names[record.seat], record.reason, now_ps=record.now_ps)
        elif isinstance(record, GivenUp):
            self.give_up(self._names[record.seat], record.story)
        elif isinstance(record, Ended):
            self.end(record)
        elif isinstance(record, Asked):
            self._at_s = record.at_s
            message = control.to_fabric.decode(record.frame)
            assert isinstance(message, control.Steering)
            self.ask(message)
            self._at_s = None
        elif isinstance(record, Looked):
            self._at_s = record.at_s
            self.holds()
            self._at_s = None

    def begin(self, zero_s: float | None = None) -> None:
        """Virtual time 0 is now, or was when the monotonic clock showed ``zero_s``."""
        zero_s = time.monotonic() if zero_s is None else zero_s
        self._append(Begun(zero_s), now=True)
        self.begun = True
        self.pace.start(zero_s)
        self.engine.begin()

    def settle(self, zero_s: float | None = None) -> None:
        """Every node has been up: the wall clock waits for the applications that virtual time waits for."""
        zero_s = time.monotonic() if zero_s is None else zero_s
        self._append(Settled(zero_s), now=True)
        self.settled = True
        self.pace.start(zero_s)

    def open_round(self, late_s: float) -> dict[str, fabric.Grant]:
        """Carry out the next window; returns the grants to send, all that led to them being on file."""
        self._append(RoundOpened(late_s), now=True)
        self.pace.note(late_s)
        due = self.engine.next_time()
        assert due is not None
        self.engine.rests(due)  # what it finds here is part of its state
        self.rounds += 1
        self.last_grants = grants = self.engine.round()
        self.granted.update(map(self.engine.label, grants))
        return grants

    def block(self, node: str, frame: bytes) -> None:
        """A node has nothing more to do.

        Raises:
            WireError, ValueError: it may not do so now, or so.
        """
        message = fabric.to_fabric.decode(frame)
        if not isinstance(message, fabric.Block):
            raise ValueError(f"expected a block of {node}, found {type(message).__name__}")
        self.blocked(node, message, frame)

    def blocked(self, node: str, block: fabric.Block, frame: bytes) -> None:
        """The same, decoded already.

        Raises:
            ValueError: it may not do so now, or so.
        """
        self.engine.block(node, block)
        self._append(Blocked(self.engine.seats[node].number, frame), now=False)

    def interrupt(self, node: str, reason: str, *, now_ps: int) -> None:
        """Something from outside reached a node, when the wall clock showed the virtual time ``now_ps``."""
        steered = self.steering.held or self.steering.steers
        self.engine.interrupt(node, reason, now=0 if steered else now_ps, repeatable=steered)
        self.steering.knocked(node)
        self._append(Interrupted(self.engine.seats[node].number, reason, now_ps), now=True)

    def give_up(self, node: str, story: str) -> None:
        """The network goes on without a node, which makes the run not deterministic."""
        self.engine.outside.append(f"{node}: declared failed, {story}")
        self.engine.give_up(node)
        self._append(GivenUp(self.engine.seats[node].number, story), now=True)

    def ask(self, request: control.Steering) -> None:
        """Somebody steers. What was asked already, before a recovery, is not done again."""
        if request.call <= self._asked:
            return
        self._asked = request.call
        at_s = self._clock_s()
        self._append(Asked(control.to_fabric.encode(request), at_s), now=True)
        self.steering.asked(request)

    def holds(self) -> bool:
        """Whether virtual time stands still for whoever steers; nobody may hold a grant."""
        if not self.steering.steers:
            return self.steering.held
        self._append(Looked(self._clock_s()), now=False)
        holds = self.steering.holds(self.engine.next_time())
        if holds and self._journal is not None:
            self._journal.write()
        return holds

    def _clock_s(self) -> float:
        return time.monotonic() if self._at_s is None else self._at_s

    def end(self, ended: Ended) -> None:
        """The run is over."""
        self.ended = ended
        self._append(ended, now=True)

    def _append(self, record: AnyRecord, *, now: bool) -> None:
        if self._journal is not None:
            self._journal.append(record)
            if now:
                self._journal.write()
