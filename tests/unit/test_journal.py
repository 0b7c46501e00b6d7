"""The journal on file, and an engine that is made again from it, cut wherever a death may cut it."""

from __future__ import annotations

import errno
import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from in_process import InProcess

from orchestrator import control
from orchestrator.fabric.course import Course
from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.journal import AnyRecord, Blocked, Ended, Journal, JournalError, RoundOpened, head_of, records
from orchestrator.fabric.pacing import Pace
from orchestrator.scenario import Link, LinkDown, Node, NodeKill, Scenario, Source
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire import application, fabric
from qnode.wire.quantum import Measure

END = Ended("enough", "", 7, 0.5)


def line(seed: int = 3) -> Scenario:
    """Three noisy nodes, a link that goes down and comes up, and a node that dies."""
    memory = Memory(slots=4, t2_s=0.01)
    hardware = Hardware(communication=memory, storage=memory, readout_error_0=0.1)
    source = Source(success_probability=0.3, fidelity=0.9)
    return Scenario(
        version=1,
        name="line",
        seed=seed,
        nodes={name: Node(hardware=hardware) for name in "arb"},
        links={
            "ar": Link(ends=("a", "r"), length_km=10, heralding=source),
            "rb": Link(ends=("r", "b"), length_km=10, heralding=source),
        },
        faults=(
            LinkDown(name="cut", link="ar", at_s=0.0004, for_s=0.0005),
            NodeKill(name="dead", node="b", at_s=0.002),
        ),
    )


def measures(remote: str, count: int) -> Iterator[Any]:
    asked = yield application.RequestPairs(call=0, remote=remote, number=count)
    for number in range(count):
        if number:
            asked = yield application.NextPair(call=0, request=asked.request)
        if isinstance(asked, application.Failed):
            return
        yield application.Run(call=0, steps=(Measure(qubit=asked.pair.qubit, axis="ZX"[number % 2]),))
    yield application.Detach(call=0)


@dataclass
class Story:
    """A run from its beginning to its end."""

    directory: Path
    records: list[Any]
    ends: list[int]
    """Offsets of the ends of the records."""
    events: bytes
    digest: str
    outside: list[str]
    grants: list[dict[str, fabric.Grant]]

    @property
    def journal(self) -> bytes:
        return (self.directory / "journal").read_bytes()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A run in which every kind of record occurs."""
    directory = tmp_path_factory.mktemp("story")
    log = EventLog(directory / "events.jsonl")
    testbed = InProcess(line(), log=log, journal=directory / "journal")
    course = testbed.course
    testbed.start("a", measures("r", 40))
    testbed.start("r", measures("a", 40))
    testbed.start("r", measures("b", 20))
    testbed.start("b", measures("r", 20))
    grants, calls = [], itertools.count(1)
    while course.rounds < 100 and (due := course.engine.next_time()) is not None:
        given = course.open_round(0.0)
        testbed.obey_orders()
        grants.append(given)
        names = list(given)
        if len(names) > 1 and course.rounds > 50:
            course.interrupt(names[0], "while it holds a grant", now_ps=due)
        for name, grant in given.items():
            if name == "a" and course.rounds > 70:
                course.give_up(name, "it was too slow")
            else:
                testbed.window(name, grant)
            if name == names[0] and len(names) > 1:
                course.interrupt(name, "while the others hold one", now_ps=due)
        if course.rounds == 1:
            course.settle()
        if course.rounds in (20, 40):
            course.ask(control.Hold(call=next(calls)))
            assert course.holds()
            fault = {"kind": "link_down", "link": "rb", "for_s": 1e-5}
            course.ask(control.AddFault(call=next(calls), fault=fault))
            course.ask(control.Go(call=next(calls), until_ps=course.engine.present_ps + 1_000_000))
            course.interrupt("r", "while virtual time is on its way", now_ps=due)
        if course.holds():
            course.ask(control.Go(call=next(calls)))
        if course.rounds % 10 == 0:
            course.interrupt("r", "while nobody does", now_ps=due)
    course.end(END)
    log.close()
    found = list(records(directory / "journal"))
    return Story(
        directory,
        [record for record, _ in found],
        [end for _, end in found],
        (directory / "events.jsonl").read_bytes(),
        log.digest,
        course.engine.outside,
        grants,
    )


def test_the_story_tells_of_everything(story: Story) -> None:
    assert {type(record) for record in story.records} == set(get_args(AnyRecord))
    kinds = {line["kind"] for line in map(msgspec.json.decode, story.events.splitlines())}
    assert {"heralded", "circuit", "fault", "healed"} <= kinds
    assert max(map(len, story.grants)) > 1


def recovered(story: Story, directory: Path, journal: bytes, *, flushed: int) -> tuple[Course, EventLog]:
    """A course from what a death left: a journal, and so much of the event log."""
    (directory / "journal").write_bytes(journal)
    (directory / "events.jsonl").write_bytes(story.events[:flushed])
    log = EventLog(directory / "events.jsonl", again=True)
    course = Course(Engine(line(), log), Pace(None))
    course.recover(directory / "journal", head_of(line()))
    return course, log


def goes_on(story: Story, directory: Path, course: Course, log: EventLog, rest: list[Any]) -> None:
    """The rest of the story happens, and it ends as it did."""
    for record in rest:
        course.repeat(record)
        if isinstance(record, RoundOpened):
            assert course.last_grants == story.grants[course.rounds - 1]
    log.close()
    assert course.ended == END
    assert log.digest == story.digest
    assert course.engine.outside == story.outside
    assert (directory / "events.jsonl").read_bytes() == story.events
    assert (directory / "journal").read_bytes() == story.journal


def test_a_death_after_any_record_changes_nothing(story: Story, tmp_path: Path) -> None:
    for number, end in enumerate(story.ends):
        flushed = len(story.events) * number // len(story.ends)
        course, log = recovered(story, tmp_path, story.journal[:end], flushed=flushed)
        goes_on(story, tmp_path, course, log, story.records[number + 1 :])


def test_a_death_within_a_record_is_a_death_before_it(story: Story, tmp_path: Path) -> None:
    random_numbers = random.Random(5)
    for number in random_numbers.sample(range(1, len(story.ends)), 40):
        cut = random_numbers.randrange(story.ends[number - 1] + 1, story.ends[number])
        course, log = recovered(story, tmp_path, story.journal[:cut], flushed=0)
        assert (tmp_path / "journal").stat().st_size == story.ends[number - 1]
        goes_on(story, tmp_path, course, log, story.records[number:])


@pytest.mark.parametrize("cut", range(60))
def test_a_death_within_the_head_is_a_death_before_anything(story: Story, tmp_path: Path, cut: int) -> None:
    course, log = recovered(story, tmp_path, story.journal[:cut], flushed=0)
    assert not course.begun
    assert (tmp_path / "journal").read_bytes() == story.journal[: story.ends[0]]
    log.close()


def test_every_damaged_byte_of_a_record_is_noticed(story: Story, tmp_path: Path) -> None:
    number = next(n for n, record in enumerate(story.records) if isinstance(record, Blocked) and n > 20)
    start, end = story.ends[number - 1], story.ends[number]
    for place in range(start, end):
        damaged = bytearray(story.journal)
        damaged[place] ^= 0x41
        (tmp_path / "journal").write_bytes(damaged)
        assert [at for _, at in records(tmp_path / "journal")] == story.ends[:number]


def test_who_blocked_before_an_interrupt_is_woken_by_it_whenever_else_it_wanted_to_wake() -> None:
    engine = Engine(line(), EventLog(None))
    engine.begin()
    engine.round()
    engine.block("a", fabric.Block(wake_at=10**15))
    engine.interrupt("a", "somebody spoke to it", now=0)
    engine.block("r", fabric.Block())
    engine.block("b", fabric.Block())
    due = engine.next_time()
    assert due is not None
    assert due < 10**9
    assert list(engine.round()) == ["a"]


def test_a_journal_of_another_seed_or_version_is_refused(story: Story, tmp_path: Path) -> None:
    course = Course(Engine(line(), EventLog(None)), Pace(None))
    with pytest.raises(JournalError, match="another scenario or seed"):
        course.recover(story.directory / "journal", head_of(line(seed=4)))
    old = msgspec.structs.replace(head_of(line()), qloom_version="0.0.1")
    Journal.create(tmp_path / "journal", old).close()
    with pytest.raises(JournalError, match=r"was written by qloom 0\.0\.1 .* repeat it with the version that wrote it"):
        course.recover(tmp_path / "journal", head_of(line()))
    (tmp_path / "events").write_bytes(story.events)
    with pytest.raises(JournalError, match="is no journal"):
        course.recover(tmp_path / "events", head_of(line()))


def test_a_full_disk_is_told_with_the_file_and_what_is_on_file_stays_whole(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal.create(tmp_path / "journal", head_of(line()))
    for record in story.records[1:10]:
        journal.append(record)
    journal.write()
    whole, write = journal.size, os.write
    room = iter([5, 3])

    def little_room(descriptor: int, data: bytes) -> int:
        if (some := next(room, 0)) == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:some])

    monkeypatch.setattr(os, "write", little_room)
    journal.append(story.records[10])
    with pytest.raises(JournalError, match=r"journal cannot be written: No space left on device; .* make room"):
        journal.write()
    assert journal.size == whole
    assert [record for record, _ in records(tmp_path / "journal")] == story.records[:10]
    journal.close()
