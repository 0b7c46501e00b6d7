"""What a run granted one node, and how it answered, brought about again from the journal: no processes, no sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.course import Course
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.journal import Blocked, GivenUp, Head, JournalError, check_versions, records
from orchestrator.fabric.pacing import Pace
from orchestrator.scenario import Scenario
from qnode.wire import fabric
from qnode.wire.codec import WireError


def head_in(journal: Path) -> tuple[Head, Scenario]:
    """Of what run a journal is.

    Raises:
        JournalError: there is none, or it was written by another version.
    """
    head, _ = next(records(journal), (None, 0))
    if not isinstance(head, Head):
        raise JournalError(f"{journal} has no head: the run died before it began")
    check_versions(journal, head)
    return head, msgspec.json.decode(head.scenario, type=Scenario)


def exchanges(journal: Path, node: str) -> Iterator[tuple[str, fabric.Grant, bytes | None]]:
    """Every grant of a node with the label of its process and the BLOCK that answered it; None: there is none.

    Raises:
        JournalError: there is no such journal, or the engine does not do what it did.
    """
    head, scenario = head_in(journal)
    engine = Engine(scenario, EventLog(None))
    pace = scenario.time.pace
    course = Course(engine, Pace(None if pace == "max" else float(pace)), held=head.held)
    seat = engine.seats[node].number
    held: tuple[str, fabric.Grant] | None = None
    for record, end in records(journal):
        if isinstance(record, Head):
            continue
        rounds = course.rounds
        try:
            course.repeat(record)
        except (ValueError, AssertionError, WireError) as error:
            at_s = engine.agenda.now_ps / PICOSECONDS
            raise JournalError(
                f"{journal} does not fit this fabric, from byte {end} on, at {at_s:.12g} s: {error}; "
                "repeat it with the version that wrote it"
            ) from error
        engine.orders.clear()
        if held is not None and isinstance(record, Blocked | GivenUp) and record.seat == seat:
            yield (*held, record.frame if isinstance(record, Blocked) else None)
            held = None
        if course.rounds > rounds and (grant := course.last_grants.get(node)) is not None:
            decoded = fabric.to_node.decode(fabric.to_node.encode(grant))
            assert isinstance(decoded, fabric.Grant)
            held = engine.label(node).decode(), decoded
    if held is not None:
        yield (*held, None)
