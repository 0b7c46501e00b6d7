"""What faults do to classical messages, by numbers: each against its closed form, and gone when it is healed."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from typing import Any

import msgspec
import pytest
from drive import LONG_PS, MS, Drive, S, send
from scipy import stats

from orchestrator.fabric.faults.effects import Chance, Draws, Narrow, Passing
from orchestrator.fabric.streams import Streams
from orchestrator.scenario import ClassicalLink, Link, Source
from orchestrator.scenario.faults import (
    Bandwidth,
    ClassicalDown,
    Fault,
    Hold,
    ManInTheMiddle,
    MessageCorrupt,
    MessageDuplicate,
    MessageLatency,
    MessageLoss,
    MessageReorder,
    Partition,
)
from orchestrator.topology import Hop
from qnode.wire import fabric
from qnode.wire.peer import ApplicationMessage, ChecksumError, PairDiscarded, sealed, unsealed

SIGMAS = 4.5
SPACING = 10 * MS
MANY = 2000
SHORT_PS = 4_896_721
"""1 km at index 1.468."""


def payload(number: int, *, tag: str = "", content: bytes = b"") -> bytes:
    message = ApplicationMessage(sender_application="x", tag=tag, payload=content or number.to_bytes(4, "big"))
    return sealed(message)


def sent(drive: Drive, count: int, *, node: str = "A", to: str = "B", spacing: int = SPACING, **more: Any) -> Drive:
    """Let a node send numbered messages, evenly spaced."""
    for number in range(count):
        drive.plan(node, number * spacing, fabric.Send(at=number * spacing, to=to, payload=payload(number), **more))
    return drive


def arrivals(drive: Drive, node: str = "B") -> list[tuple[int, int]]:
    """Number and instant of what arrived, in the order of its arrival."""
    found = []
    for name, event in drive.events:
        if name == node and isinstance(event, fabric.Delivered):
            message = unsealed(event.payload)
            assert isinstance(message, ApplicationMessage)
            found.append((int.from_bytes(message.payload, "big"), event.at))
    return found


def run(*faults: Fault, count: int = MANY, spacing: int = SPACING, **more: Any) -> Drive:
    drive = sent(Drive(faults=faults), count, spacing=spacing, **more)
    drive.run()
    return drive


def effects(drive: Drive, name: str) -> Counter[str]:
    return drive.engine.faults.effects[name]


def is_binomial(count: int, probability: float, trials: int) -> None:
    deviation = math.sqrt(trials * probability * (1.0 - probability))
    assert abs(count - trials * probability) < SIGMAS * deviation, f"{count} of {trials}, expected {probability}"


def test_loss_is_a_coin_for_each_message() -> None:
    drive = run(MessageLoss(name="lossy", link="ab", probability=0.2))
    lost = set(range(MANY)) - {number for number, _ in arrivals(drive)}
    is_binomial(len(lost), 0.2, MANY)
    both = sum(number in lost and number + 1 in lost for number in range(MANY - 1))
    is_binomial(both, 0.04, MANY - 1)
    lines = drive.lines("message_lost")
    assert len(lines) == len(lost) == effects(drive, "lossy")["message_lost"]
    assert lines[0] == {
        "t_ps": lines[0]["t_ps"],
        "kind": "message_lost",
        "sender": "A",
        "to": "B",
        "bytes": len(payload(0)),
        "fault": "lossy",
        "link": "ab",
    }
    assert {line["t_ps"] // SPACING for line in lines} == lost


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_correlated_losses_come_in_runs_of_geometric_length(correlation: float) -> None:
    """Gilbert's chain: runs of losses are geometric with the parameter (1 - p)(1 - r), and p stays the share."""
    probability, count = 0.3, 40_000
    streams = Streams(7)
    chance = Chance(probability, correlation, Draws(streams.of("fault", "x"), streams.of("fault_copies", "x")))
    passing, hop = _one()
    falls = [chance.falls(passing, hop) for _ in range(count)]
    deviation = math.sqrt(probability * (1 - probability) / count * (1 + correlation) / (1 - correlation))
    assert abs(sum(falls) / count - probability) < SIGMAS * deviation
    runs = Counter(len(list(run)) for lost, run in groupby(falls) if lost)
    ends, total = (1 - probability) * (1 - correlation), sum(runs.values())
    mean = sum(length * number for length, number in runs.items()) / total
    assert abs(mean - 1 / ends) < SIGMAS * math.sqrt((1 - ends) / ends**2 / total)
    bins = [length for length in range(1, 60) if total * ends * (1 - ends) ** (length - 1) > 20]
    expected = [total * ends * (1 - ends) ** (length - 1) for length in bins]
    observed = [runs[length] for length in bins]
    rest = total - sum(observed), total - sum(expected)
    assert stats.chisquare([*observed, rest[0]], [*expected, rest[1]]).pvalue > 1e-5


def _one() -> tuple[Passing, Hop]:
    return Passing("A", "B", b"", 0, 0, False), Hop("ab", True, LONG_PS)


def delays_s(drive: Drive) -> dict[int, float]:
    return {number: (at - number * SPACING - LONG_PS) / S for number, at in arrivals(drive)}


def test_latency_without_jitter_is_exact() -> None:
    drive = run(MessageLatency(name="far", link="ab", added_s=0.25), count=20)
    assert arrivals(drive) == [(n, n * SPACING + LONG_PS + S // 4) for n in range(20)]
    assert [line["by_ps"] for line in drive.lines("message_delayed")] == [S // 4] * 20
    assert [line["arrives_ps"] for line in drive.lines("message")] == [at for _, at in arrivals(drive)]


@pytest.mark.parametrize("correlation", [0.0, 0.6])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_jitter_is_distributed_as_stated_whatever_its_correlation(distribution: Any, correlation: float) -> None:
    fault = MessageLatency(
        name="jitter", link="ab", added_s=0.5, jitter_s=0.05, distribution=distribution, correlation=correlation
    )
    found = delays_s(run(fault))
    delays = [found[number] for number in range(MANY)]
    law = stats.uniform(0.45, 0.1) if distribution == "uniform" else stats.norm(0.5, 0.05)
    inflation = (1 + correlation) / (1 - correlation)
    assert abs(sum(delays) / MANY - 0.5) < SIGMAS * law.std() * math.sqrt(inflation / MANY)
    variance = sum((delay - 0.5) ** 2 for delay in delays) / MANY
    independent = MANY * (1 - correlation**2) / (1 + correlation**2)
    assert abs(variance / law.var() - 1) < SIGMAS * math.sqrt(2 / independent)
    apart = delays[:: 1 if correlation == 0 else 20]  # 0.6^20 = 4e-5: as good as independent
    assert stats.kstest(apart, law.cdf).pvalue > 1e-5
    together = stats.pearsonr(delays[:-1], delays[1:]).statistic
    expected = 6 / math.pi * math.asin(correlation / 2) if distribution == "uniform" else correlation
    assert abs(together - expected) < SIGMAS * math.sqrt(1 / MANY) * 1.5


def test_nothing_is_faster_than_its_channel() -> None:
    drive = run(MessageLatency(link="ab", added_s=0.0, jitter_s=0.05, distribution="normal"), count=400)
    delays = delays_s(drive)
    assert min(delays.values()) == 0.0
    is_binomial(sum(delay == 0.0 for delay in delays.values()), 0.5, 400)


def test_reordered_messages_are_overtaken_by_those_that_are_sent_meanwhile() -> None:
    """One that is kept back for 2.5 spacings is overtaken if either of the next two is not."""
    drive = run(MessageReorder(name="late", link="ab", probability=0.25, delay_s=2.5 * SPACING / S))
    order = [number for number, _ in arrivals(drive)]
    assert sorted(order) == list(range(MANY))
    place = {number: position for position, number in enumerate(order)}
    overtaken = sum(any(place[n + k] < place[n] for k in (1, 2) if n + k < MANY) for n in range(MANY))
    is_binomial(effects(drive, "late")["message_delayed"], 0.25, MANY)
    is_binomial(overtaken, 0.25 * (1 - 0.25**2), MANY)


def test_duplicates_come_twice_and_then_go_their_own_way() -> None:
    twice = MessageDuplicate(name="twice", link="ab", probability=0.3)
    drive = run(twice)
    seen = Counter(number for number, _ in arrivals(drive))
    assert set(seen) == set(range(MANY)) and set(seen.values()) == {1, 2}
    is_binomial(sum(count == 2 for count in seen.values()), 0.3, MANY)
    drive = run(twice, MessageLatency(name="jitter", link="ab", added_s=0.5, jitter_s=0.1), count=200)
    at: dict[int, set[int]] = {}
    for number, instant in arrivals(drive):
        at.setdefault(number, set()).add(instant)
    assert {len(instants) for instants in at.values()} == {1, 2}


def test_a_narrow_channel_sends_one_message_after_the_other() -> None:
    """D/D/1: with service longer than the spacing, message n waits n (service - spacing) for those before it."""
    bits = 8 * len(payload(0))
    fault = Bandwidth(name="narrow", link="ab", bits_per_s=bits / 0.015)
    drive = run(fault, count=100)
    service = 15 * MS
    assert arrivals(drive) == [(n, LONG_PS + service * (n + 1)) for n in range(100)]
    slow = run(Bandwidth(link="ab", bits_per_s=bits / 0.005), count=100)
    assert arrivals(slow) == [(n, n * SPACING + LONG_PS + 5 * MS) for n in range(100)]


def test_a_narrow_channel_has_a_queue_for_each_direction() -> None:
    bits = 8 * len(payload(0))
    drive = Drive(faults=(Bandwidth(link="ab", bits_per_s=bits / 0.02),))
    sent(sent(drive, 10), 10, node="B", to="A")
    drive.run()
    expected = [(n, LONG_PS + 20 * MS * (n + 1)) for n in range(10)]
    assert arrivals(drive, "A") == arrivals(drive, "B") == expected


def test_waiting_for_a_narrow_channel_with_random_arrivals_is_as_of_a_queue() -> None:
    """M/D/1 at load rho = 0.6: the mean wait is rho/(2 (1 - rho)) services (Pollaczek-Khinchine)."""
    count, service, load = 20_000, 1.0, 0.6
    stream = Streams(3).of("test", "arrivals")
    begins, free, waits = 0.0, 0.0, []
    bits = 8 * len(payload(0))
    narrow = Narrow(bits / service, lambda *_: None)
    passing, hop = _one()
    for _ in range(count):
        begins += -math.log1p(-stream.uniform()) * service / load
        passing.payload, passing.sent_at, passing.at = payload(0), round(begins * S), round(begins * S)
        narrow.act(passing, hop)
        waits.append(passing.at / S - begins - service)
        free = max(free, begins) + service
        assert passing.at / S == pytest.approx(free, abs=1e-6)
    mean = sum(waits) / count
    assert mean == pytest.approx(load / (2 * (1 - load)) * service, rel=0.1)


def test_what_is_corrupted_does_not_pass_for_a_message() -> None:
    drive = run(MessageCorrupt(name="noise", link="ab", probability=0.4, bits=3), count=1000)
    damaged = 0
    for event in drive.of(fabric.Delivered):
        try:
            unsealed(event.payload)
        except ChecksumError:
            damaged += 1
    is_binomial(damaged, 0.4, 1000)
    assert damaged == effects(drive, "noise")["message_corrupted"]
    assert all(len(line["bits"]) == 3 for line in drive.lines("message_corrupted"))


BOTH = {"both": {"A", "B"}, "forward": {"B"}, "backward": {"A"}}


@pytest.mark.parametrize("direction", BOTH)
def test_a_direction_is_of_the_link_from_its_first_end(direction: Any) -> None:
    for fault in (
        MessageLoss(link="ab", probability=1.0, direction=direction),
        ClassicalDown(link="ab", direction=direction),
    ):
        drive = sent(sent(Drive(faults=(fault,)), 3), 3, node="B", to="A")
        drive.run()
        reached = {name for name, event in drive.events if isinstance(event, fabric.Delivered)}
        assert reached == {"A", "B"} - BOTH[direction]
        if isinstance(fault, ClassicalDown):
            assert len(drive.lines("message_undeliverable")) == 3 * len(BOTH[direction])


def test_a_message_meets_the_faults_of_every_channel_on_its_way() -> None:
    first, second = (MessageLatency(name=link, link=link, added_s=s) for link, s in (("ab", 0.1), ("bc", 0.02)))
    drive = sent(Drive(faults=(second, first)), 1, to="C")
    drive.run()
    assert arrivals(drive, "C") == [(0, LONG_PS + SHORT_PS + 120 * MS)]
    assert [line["fault"] for line in drive.lines("message_delayed")] == ["ab", "bc"]


def test_a_message_over_a_link_meets_the_faults_of_that_link_alone() -> None:
    links = {"ab": Link(ends=("A", "B"), length_km=200.0, heralding=Source(success_probability=0.5))}
    lines = {"fast": ClassicalLink(ends=("A", "B"), latency_s=1e-4)}
    faults = (MessageLatency(link="ab", added_s=0.1), MessageLatency(link="fast", added_s=0.2))
    drive = Drive(nodes="AB", links=links, classical_links=lines, faults=faults)
    drive.plan("A", 0, fabric.Send(at=0, to="B", payload=payload(0), over="ab"))
    drive.plan("A", 0, fabric.Send(at=0, to="B", payload=payload(1)))
    drive.run()
    assert arrivals(drive) == [(0, LONG_PS + 100 * MS), (1, 200 * MS + S // 10_000)]


def test_the_classical_channel_is_down_and_pairs_go_on() -> None:
    drive = Drive(faults=(ClassicalDown(link="ab", at_s=0.0, for_s=1.0),))
    drive.generate("ab", "AB", at=0)
    drive.plan("A", 0, fabric.Send(at=0, to="B", payload=payload(0), over="ab"))
    drive.plan("A", 2 * S, fabric.Send(at=2 * S, to="B", payload=payload(1), over="ab"))
    drive.run()
    assert len(drive.of(fabric.Heralded)) == 2
    assert [number for number, _ in arrivals(drive)] == [1]
    assert len(drive.lines("message_undeliverable")) == 1


SQUARE = {
    name: Link(ends=(name[0].upper(), name[1].upper()), length_km=10.0, heralding=Source(success_probability=0.5))
    for name in ("ab", "bc", "cd", "da")
}


@pytest.mark.parametrize(
    ("direction", "silent"),
    [
        ("both", {"AC", "AD", "BC", "BD", "CA", "CB", "DA", "DB"}),
        ("to", {"CA", "CB", "DA", "DB"}),
        ("from", {"AC", "AD", "BC", "BD"}),
    ],
)
def test_a_partition_cuts_a_group_off_in_its_direction_until_it_heals(direction: Any, silent: set[str]) -> None:
    drive = Drive(nodes="ABCD", links=SQUARE, faults=(Partition(nodes=("A", "B"), direction=direction, for_s=1.0),))
    pairs = [(a, b) for a in "ABCD" for b in "ABCD" if a != b]
    for at in (0, 2 * S):
        for a, b in pairs:
            drive.plan(a, at, send(at, b))
    drive.run()
    reached = [(event.sender + name, event.at) for name, event in drive.events if isinstance(event, fabric.Delivered)]
    assert {way for way, at in reached if at < S} == {a + b for a, b in pairs} - silent
    assert {way for way, at in reached if at > S} == {a + b for a, b in pairs}
    (struck,) = drive.lines("fault")
    assert struck["nodes"] == ("A", "B") and set(struck["channels"]) == {"bc", "da"}


def test_inside_a_part_messages_take_the_way_that_is_left() -> None:
    """A and C are one part of the ring A B C D: neither way between them is left; B and C have theirs."""
    drive = Drive(nodes="ABCD", links=SQUARE, faults=(Partition(nodes=("B", "C"), direction="both"),))
    for to in "CD":
        drive.plan("A", 0, send(0, to))
    drive.plan("B", 0, send(0, "C"))
    drive.run()
    assert {event.sender + name for name, event in drive.events if isinstance(event, fabric.Delivered)} == {"AD", "BC"}


def test_a_selected_minority_is_cut_off() -> None:
    drive = Drive(nodes="ABCD", links=SQUARE, faults=(Partition(name="split", select="minority"),))
    drive.run(end=S)
    (struck,) = drive.lines("fault")
    assert len(struck["nodes"]) == 1 and len(struck["channels"]) == 2


@pytest.mark.parametrize("where", [{"link": "ab"}, {"between": ("A", "B")}])
def test_held_messages_go_on_in_their_order_when_the_fault_is_healed(where: Any) -> None:
    drive = run(
        Hold(name="hold", for_s=0.5, **where), MessageReorder(link="ab", probability=0.3, delay_s=0.03), count=100
    )
    before = [(number, at) for number, at in arrivals(drive) if number < 50]
    entered = sorted(range(50), key=lambda n: n * SPACING + drive_delay(drive, n))
    assert [number for number, _ in before] == entered
    assert [at for _, at in before[:10]] == [S // 2 + LONG_PS + n for n in range(10)]
    assert len(drive.lines("message_held")) == len(drive.lines("message_released")) == 50
    (healed,) = [line for line in drive.lines("healed") if line["name"] == "hold"]
    assert healed["messages_released"] == 50


def drive_delay(drive: Drive, number: int) -> int:
    delayed = {line["t_ps"] // SPACING: line["by_ps"] for line in drive.lines("message_delayed")}
    return delayed.get(number, 0)


def test_a_hold_between_two_nodes_is_of_theirs_alone_and_of_its_direction() -> None:
    drive = Drive(faults=(Hold(between=("A", "C"), direction="forward"),))
    for node, to in ("AC", "CA", "AB", "BC"):
        drive.plan(node, 0, send(0, to))
    drive.run(end=S)
    reached = {event.sender + name for name, event in drive.events if isinstance(event, fabric.Delivered)}
    assert reached == {"CA", "AB", "BC"}


def test_two_holds_of_one_way_release_a_message_when_both_are_healed() -> None:
    drive = sent(Drive(faults=(Hold(link="ab", for_s=1.0), Hold(link="bc", for_s=3.0))), 2, to="C")
    drive.run()
    assert arrivals(drive, "C") == [(0, 3 * S + SHORT_PS), (1, 3 * S + SHORT_PS + 1)]


def test_what_is_held_for_ever_again_keeps_a_run_awake() -> None:
    drive = Drive(faults=(Hold(link="ab", for_s=50.0, every_s=60.0),))
    drive.plan("A", 0, send(0, "B"))
    drive.run(lambda: drive.engine.rests(drive.engine.next_time() or 0), end=100 * S)
    assert [event.at for event in drive.of(fabric.Delivered)] == [50 * S + LONG_PS]


EACH: tuple[Fault, ...] = (
    MessageLoss(name="x", link="ab", probability=1.0),
    MessageDuplicate(name="x", link="ab", probability=1.0),
    MessageCorrupt(name="x", link="ab", probability=1.0),
    MessageLatency(name="x", link="ab", added_s=0.02, jitter_s=0.02),
    MessageReorder(name="x", link="ab", probability=0.5, delay_s=0.015),
    Bandwidth(name="x", link="ab", bits_per_s=1e5),
    Hold(name="x", link="ab"),
    ClassicalDown(name="x", link="ab"),
    Partition(name="x", nodes=("B",)),
    ManInTheMiddle(name="x", link="ab", action="drop"),
)


@pytest.mark.parametrize("fault", EACH, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("ends", ["healed", "removed"])
def test_when_a_fault_is_over_all_is_as_if_it_had_never_been(fault: Fault, ends: str) -> None:
    count, end = 60, 30 * SPACING
    baseline = arrivals(run(count=count))
    struck = msgspec.structs.replace(fault, for_s=end / S if ends == "healed" else None)
    drive = sent(Drive(faults=(struck,)), count)
    drive.run(end=end - 1)
    if ends == "removed":
        drive.engine.faults.remove("x", now=end)
    drive.run()
    after = [
        (int.from_bytes(unsealed(event.payload).payload, "big"), event.at)  # type: ignore[union-attr]
        for event in drive.of(fabric.Delivered)
        if event.at >= end + LONG_PS + 30 * MS
    ]
    assert after == [each for each in baseline if each[1] >= end + LONG_PS + 30 * MS]
    assert any(line["kind"].startswith("message_") for line in drive.log.written)
    assert not drive.engine.faults.messages.at_work


def test_a_fault_draws_the_same_with_and_without_others() -> None:
    """Which messages one fault loses does not depend on what befalls them else, also before it on their way."""

    def lost(*others: Fault) -> set[int]:
        faults = (*others, MessageLoss(name="lossy", link="bc", probability=0.3))
        drive = sent(Drive(faults=faults), 500, to="C")
        drive.run()
        return {line["t_ps"] for line in drive.lines("message_lost") if line["fault"] == "lossy"}

    alone = lost()
    assert lost(MessageLatency(link="ab", added_s=0.1, jitter_s=0.1)) == alone
    assert lost(MessageDuplicate(link="ab", probability=1.0)) >= alone
    assert lost(Hold(link="ab", for_s=2.0)) == alone
    half = MessageLoss(name="half", link="ab", probability=0.5)
    survivors = lost(half)
    assert survivors < alone and len(survivors) > 40


def test_housekeeping_suffers_too_but_is_only_counted() -> None:
    drive = run(MessageLoss(name="lossy", link="ab", probability=0.5), count=400, housekeeping=True)
    assert not drive.lines("message_lost") and not drive.lines("message")
    assert effects(drive, "lossy")["message_lost"] == 400 - len(arrivals(drive))
    is_binomial(len(arrivals(drive)), 0.5, 400)


def test_a_man_in_the_middle_reads() -> None:
    drive = Drive(faults=(ManInTheMiddle(name="eve", link="ab", action="read", tag="key"),))
    contents = (b"secret", b"\xff\x00", b"x" * 300)
    for number, content in enumerate(contents):
        drive.plan("A", number, fabric.Send(at=number, to="B", payload=payload(0, tag="key", content=content)))
    drive.plan("A", 5, fabric.Send(at=5, to="B", payload=payload(0, tag="other", content=b"weather")))
    drive.plan("A", 6, fabric.Send(at=6, to="B", payload=sealed(PairDiscarded(pair_id="ab/0", reason="old"))))
    drive.run()
    read = drive.lines("message_read")
    assert len(drive.of(fabric.Delivered)) == 5
    assert [line["type"] for line in read] == ["application_message"] * 3
    assert [line["tag"] for line in read] == ["key"] * 3
    assert read[0]["content"] == "secret"
    assert read[1]["content_hex"] == "ff00"
    assert len(read[2]["blake2b"]) == 32 and "content" not in read[2]


def test_a_man_in_the_middle_reads_what_nodes_tell_each_other() -> None:
    drive = Drive(faults=(ManInTheMiddle(link="ab", action="read", messages=("pair_discarded",)),))
    drive.plan("A", 0, fabric.Send(at=0, to="B", payload=sealed(PairDiscarded(pair_id="ab/0", reason="old"))))
    drive.plan("A", 1, fabric.Send(at=1, to="B", payload=payload(0)))
    drive.run()
    (line,) = drive.lines("message_read")
    assert line["type"] == "pair_discarded" and '"reason":"old"' in line["content"]


def test_a_man_in_the_middle_changes_and_the_checksum_is_valid() -> None:
    fault = ManInTheMiddle(name="eve", link="ab", action="change", payload="forged", fraction=0.25)
    drive = Drive(faults=(fault,))
    sent(drive, 1000)
    drive.run()
    contents = [unsealed(event.payload).payload for event in drive.of(fabric.Delivered)]  # type: ignore[union-attr]
    is_binomial(sum(content == b"forged" for content in contents), 0.25, 1000)
    assert all(content == b"forged" or int.from_bytes(content, "big") == n for n, content in enumerate(contents))
    assert effects(drive, "eve")["message_changed"] == sum(content == b"forged" for content in contents)


def test_a_man_in_the_middle_flips_bits_and_the_checksum_is_valid() -> None:
    drive = Drive(faults=(ManInTheMiddle(link="ab", action="change", flip_bits=2),))
    sent(drive, 50)
    drive.run()
    for number, event in enumerate(drive.of(fabric.Delivered)):
        message = unsealed(event.payload)
        assert isinstance(message, ApplicationMessage)
        assert (int.from_bytes(message.payload, "big") ^ number).bit_count() == 2


def test_a_man_in_the_middle_drops_a_share_of_what_he_looks_for() -> None:
    drive = run(ManInTheMiddle(name="eve", link="ab", action="drop", fraction=0.3), count=1000)
    is_binomial(1000 - len(arrivals(drive)), 0.3, 1000)
    assert {line["fault"] for line in drive.lines("message_lost")} == {"eve"}


def test_faults_of_one_channel_act_in_the_order_of_the_vocabulary() -> None:
    """The man in the middle reads before the noise; struck the other way round, he could read nothing."""
    noise = MessageCorrupt(name="noise", link="ab", probability=1.0)
    drive = run(noise, ManInTheMiddle(name="eve", link="ab", action="read"), count=20)
    assert effects(drive, "eve")["message_read"] == effects(drive, "noise")["message_corrupted"] == 20
