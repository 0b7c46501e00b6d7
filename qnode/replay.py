"""One node alone, again: the real shell and stack, fed with the grants and inputs of a run, its BLOCKs compared.

It is all one process and one thread without sockets, so a debugger may stop it anywhere, for as long as it likes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from qnode.config import NodeConfiguration
from qnode.outside import FABRIC
from qnode.recording import (
    AnyRecord,
    Gone,
    Granted,
    Head,
    Heard,
    Late,
    NotTaken,
    NotWatched,
    Polled,
    Silent,
    Told,
    records,
)
from qnode.runtime import Shell
from qnode.security.refusals import Refusals
from qnode.stack.events import Event
from qnode.wire import application, fabric
from qnode.wire.application import Request
from qnode.wire.codec import WireError
from qnode.wire.peer import unsealed

PICOSECONDS = 1e12
FRUITLESS_LOOKS = 4
"""A shell that looks so often in a row for what its records do not have waits for ever."""
LONGEST_SLEEP_S = 86_400.0
"""At a time; more than some years at once is too much for the machine's clocks."""
LONGEST_SHOWN = 600
"""Characters of a value in a message."""

Kind = TypeVar("Kind", bound=AnyRecord)
Exchange = tuple[str, fabric.Grant, bytes | None]
"""The label of a node's process, what it was granted, and the BLOCK that it answered with, if the run came so far."""


class ReplayStopped(Exception):
    """A replay cannot go on; says where and why."""


class Different(ReplayStopped):
    """The node did something else than it did in the run."""

    def __init__(self, difference: Difference) -> None:
        super().__init__(str(difference))
        self.difference = difference


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing of a BLOCK that is not as it was."""

    process: str
    at_ps: int
    field: str
    recorded: str
    made: str

    def __str__(self) -> str:
        return (
            f"{self.process} does something else at {self.at_ps / PICOSECONDS:.12g} s: {self.field} of its block was "
            f"recorded as {self.recorded}, and is now {self.made}"
        )


@dataclass
class Progress:
    """How far a replay has come."""

    processes: int = 0
    """How often the node was started."""
    grants: int = 0
    blocks: int = 0
    """Those that were as recorded."""
    requests: int = 0
    """Of applications, handed to the stack."""
    now_ps: int = 0
    """Of the last grant; the node's own clock, if that is wrong."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How a replay is to go."""

    until_ps: int | None = None
    """Give no grant from this instant on."""
    break_at_ps: int | None = None
    """Call ``breakpoint`` before the node handles the first thing at or after this instant."""
    pace: float | None = None
    """Virtual seconds in each wall second; None: as fast as can be."""


def replay(exchanges: Iterable[Exchange], inputs: Path, wishes: Wishes, progress: Progress) -> None:
    """Do again what a node did, in ``progress``; ``inputs``: the folder of the nodes' journals.

    Raises:
        Different: it does something else than it did.
        ReplayStopped: what it was told is not on file so far.
        RecordFileError: there is no file of its inputs, or it is another version's.
    """
    pace = _Pace(wishes.pace)
    debugger = _Debugger(wishes.break_at_ps)
    for label, some in groupby(exchanges, key=lambda exchange: exchange[0]):
        transport = ReplayTransport(label, inputs / f"{label}.journal", some, wishes.until_ps, pace, progress)
        progress.processes += 1
        _Shell(transport.configuration, transport, progress, debugger).run()
        if transport.reached_end:
            return


class _Pace:
    def __init__(self, pace: float | None) -> None:
        self._pace = pace
        self._began_s = time.monotonic()

    def wait_for(self, at_ps: int) -> None:
        if self._pace is not None:
            due_s = self._began_s + at_ps / PICOSECONDS / self._pace
            while (wait_s := due_s - time.monotonic()) > 0:
                time.sleep(min(wait_s, LONGEST_SLEEP_S))  # that is what a pace is


class _Debugger:
    def __init__(self, at_ps: int | None) -> None:
        self._at_ps = at_ps

    def looks_at(self, at_ps: int) -> bool:
        """Whether it wants to see what happens at an instant; once."""
        if self._at_ps is None or at_ps < self._at_ps:
            return False
        self._at_ps = None
        return True


class _Shell(Shell):
    """A shell that counts, and stops for a debugger."""

    def __init__(
        self, configuration: NodeConfiguration, transport: ReplayTransport, progress: Progress, debugger: _Debugger
    ) -> None:
        super().__init__(configuration, transport)
        self._progress = progress
        self._debugger = debugger

    def _do(self, event: Event) -> None:
        if self._debugger.looks_at(self._now):
            breakpoint()
        super()._do(event)

    def _ask(self, client: Any, request: Request) -> None:
        self._progress.requests += not isinstance(request, application.Wait)
        if self._debugger.looks_at(self._now):
            breakpoint()
        super()._ask(client, request)


class ReplayTransport:
    """In the place of a node's sockets: what came in the run comes again, at the same point of the shell's work."""

    def __init__(
        self,
        label: str,
        path: Path,
        exchanges: Iterator[Exchange],
        until_ps: int | None,
        pace: _Pace,
        progress: Progress,
    ) -> None:
        self.refusals = Refusals(None)
        self.reached_end = False
        """Whether the instant was reached at which to stop."""
        self._label = label
        self._path = path
        self._exchanges = exchanges
        self._until_ps = until_ps
        self._pace = pace
        self._progress = progress
        self._records = records(path)
        self._end = 0
        """Of the records that were read, in bytes."""
        self._next: AnyRecord | None = None
        self._step()
        head = self._take(Head)
        self.configuration = head.configuration
        self._moment = 0
        self._looks = 0
        self._grant: fabric.Grant | None = None
        """The one that is held."""
        self._recorded: bytes | None = None
        self._descriptors: dict[int, bytes] = {}

    def wait(self, timeout_ms: int | None = None, *, flooded: bool = False) -> Iterator[tuple[str, bytes]]:
        upcoming = self._next
        if isinstance(upcoming, Polled) and upcoming.moment == self._moment:
            self._step()
            yield from upcoming.sources
        elif isinstance(upcoming, Late | Gone) and upcoming.moment == self._moment and self._looks < FRUITLESS_LOOKS:
            self._looks += 1
        elif self._grant is None:
            yield FABRIC, b""
        elif self._looks < FRUITLESS_LOOKS:
            self._looks += 1
        elif self._recorded is None:
            yield FABRIC, b""
        else:
            raise self._stopped("an application of it is to speak, but there is nothing more of any on record")

    def from_fabric(self) -> fabric.ToNode:
        if isinstance(self._next, Told):
            return fabric.to_node.decode(self._take(Told).frame)
        if isinstance(self._next, Granted):
            self._step()
        elif self._next is None and self._path.stat().st_size > self._end and self._grant is None:
            raise self._stopped("the next record is torn or damaged")
        exchange = None if self._grant is not None else next(self._exchanges, None)
        if exchange is not None and self._until_ps is not None and exchange[1].now >= self._until_ps:
            self.reached_end, exchange = True, None
        if exchange is None:
            return fabric.Halt(reason="the replay is over")
        _, self._grant, self._recorded = exchange
        self._progress.grants += 1
        self._progress.now_ps = self._grant.now
        self._moment += 1
        self._pace.wait_for(self._grant.now)
        return self._grant

    def to_fabric(self, message: fabric.ToFabric) -> None:
        if not isinstance(message, fabric.Block):
            return
        assert self._grant is not None
        self._moment += 1
        if self._recorded is not None:
            recorded = fabric.to_fabric.decode(self._recorded)
            made = fabric.to_fabric.decode(fabric.to_fabric.encode(message))
            assert isinstance(recorded, fabric.Block)
            assert isinstance(made, fabric.Block)
            if recorded != made:
                raise Different(difference(self._label, self._grant, recorded, made))
            self._progress.blocks += 1
        self._grant = None

    def from_client(self) -> tuple[bytes, str, list[bytes]] | None:
        if isinstance(self._next, Silent):
            self._step()
        elif isinstance(self._next, Heard):
            heard = self._take(Heard)
            return heard.identity, heard.user, heard.frames
        return None

    def to_client(self, identity: bytes, message: application.Answer, *, most_unread: int | None = None) -> bool:
        self._moment += 1
        if isinstance(self._next, NotTaken) and self._next.moment == self._moment:
            self._step()
            return False
        return True

    def forget(self, identity: bytes) -> None:
        pass

    def watch(self, process_id: int, identity: bytes) -> int:
        if isinstance(self._next, NotWatched):
            raise OSError(self._take(NotWatched).story)
        descriptor = len(self._descriptors)
        self._descriptors[descriptor] = identity
        return descriptor

    def unwatch(self, descriptor: int) -> bytes:
        return self._descriptors[descriptor]

    def gone(self, identities: Iterable[bytes]) -> tuple[bytes, ...]:
        if isinstance(self._next, Gone) and self._next.moment == self._moment:
            return self._take(Gone).identities
        return ()

    def is_late(self, identity: bytes, since_s: float, limit_s: float) -> bool:
        late = self._next
        if isinstance(late, Late) and late.identity == identity and late.moment == self._moment:
            self._step()
            return True
        return False

    def _step(self) -> None:
        """Go on to the next record."""
        self._looks = 0
        self._next, self._end = next(self._records, (None, self._end))

    def _take(self, kind: type[Kind]) -> Kind:
        record = self._next
        if not isinstance(record, kind):
            raise self._stopped(f"expected {kind.__name__}, found {type(record).__name__}")
        self._step()
        return record

    def _stopped(self, why: str) -> ReplayStopped:
        progress = self._progress
        size = self._path.stat().st_size
        return ReplayStopped(
            f"{self._path} goes no further than byte {self._end} of {size}: {why}, after {progress.grants} grants and "
            f"{progress.blocks} blocks, at {progress.now_ps / PICOSECONDS:.12g} s"
        )


def difference(process: str, grant: fabric.Grant, recorded: fabric.Block, made: fabric.Block) -> Difference:
    """The first thing, in virtual time, that two different blocks do not have in common."""
    found: list[tuple[int, str, Any, Any]] = []
    for name in ("sends", "operations", "notes"):
        was, now = getattr(recorded, name), getattr(made, name)
        for index in range(max(len(was), len(now))):
            pair = [each[index] if index < len(each) else None for each in (was, now)]
            if pair[0] != pair[1]:
                at = min(each.at for each in pair if each is not None)
                found.append((at, f"{name}[{index}]", *pair))
                break
    if found:
        at, field, was, now = min(found, key=lambda each: each[0])
    else:
        names = ("wake_at", "applications", "flowing", "expects")
        field = next(name for name in names if getattr(recorded, name) != getattr(made, name))
        at, was, now = grant.now, getattr(recorded, field), getattr(made, field)
    path, was, now = _innermost(field, was, now)
    return Difference(process=process, at_ps=at, field=path, recorded=_shown(was), made=_shown(now))


def _innermost(path: str, was: Any, now: Any) -> tuple[str, Any, Any]:
    """The smallest part in which two values differ."""
    if isinstance(was, bytes) and isinstance(now, bytes):
        try:
            messages = unsealed(was), unsealed(now)
        except WireError:
            return path, was, now
        if messages[0] == messages[1]:
            return path, was, now  # it is put into other bytes
        was, now = messages
    if isinstance(was, msgspec.Struct) and type(was) is type(now):
        parts: Iterable[Any] = was.__struct_fields__
        get: Callable[[Any, Any], Any] = getattr
        name = "{}.{}"
    elif isinstance(was, dict) and isinstance(now, dict) and was.keys() == now.keys():
        parts, get, name = was, dict.__getitem__, "{}.{}"
    elif isinstance(was, tuple | list) and isinstance(now, tuple | list) and len(was) == len(now):
        parts, get, name = range(len(was)), lambda whole, index: whole[index], "{}[{}]"
    else:
        return path, was, now
    for part in parts:
        if get(was, part) != get(now, part):
            return _innermost(name.format(path, part), get(was, part), get(now, part))
    return path, was, now


def _shown(value: Any) -> str:
    if isinstance(value, fabric.Send):
        with contextlib.suppress(WireError):
            value = (value.at, value.to, unsealed(value.payload))
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
