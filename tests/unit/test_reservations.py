"""Call admission: what is reserved never exceeds what there is, and a refusal says what there was too little of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.stack.circuits.reservations import Reservation, Reservations, Shortage
from qnode.stack.memory import Cause, Memory


def reserve(book: Reservations, circuit: str, *links: str, share: float = 0.1, **asked: int) -> Reservation | Shortage:
    """Reserve the same share of each of some links."""
    asked = {"slots": 1, "priority": 0, **asked}
    return book.reserve(circuit, 0, shares=dict.fromkeys(links, share), **asked)


def test_links_are_shared_until_their_time_is_used_up() -> None:
    book = Reservations("n", 100, 0)
    for number in range(4):
        assert isinstance(reserve(book, f"c{number}", "l", share=0.25), Reservation)
    refused = reserve(book, "one more", "l", share=0.01)
    assert refused == Shortage("l", "link l has 0 of its time free, 0.01 is needed")
    assert "one more" not in book.held
    book.release("c2")
    assert isinstance(reserve(book, "one more", "l", share=0.25), Reservation)


def test_a_circuit_gets_as_many_slots_as_there_are_up_to_what_it_asks() -> None:
    book = Reservations("n", 5, 0)
    first = reserve(book, "a", "l", "m", slots=4)
    assert isinstance(first, Reservation)
    assert (first.slots_per_side, first.dedicated) == (2, True)
    assert book.free_slots == 1
    refused = reserve(book, "b", "l", "m")
    assert isinstance(refused, Shortage)
    assert refused.where == "n"
    assert "1 of its 5 memory slots free" in refused.reason
    assert "2 of one sort are needed" in refused.reason


def test_less_than_the_least_is_refused_rather_than_given() -> None:
    book = Reservations("n", 5, 0)
    assert isinstance(reserve(book, "a", "l", "m", slots=1, least=3), Shortage)
    given_more = reserve(book, "a", "l", "m", slots=1, least=2)
    assert isinstance(given_more, Reservation)
    assert given_more.slots_per_side == 2


def test_one_communication_slot_serves_circuits_that_wait_in_storage() -> None:
    book = Reservations("n", 1, 4)
    for circuit in "ab":
        made = reserve(book, circuit, "l", "m")
        assert isinstance(made, Reservation)
        assert not made.dedicated
    assert isinstance(reserve(book, "c", "l", "m"), Shortage)


def test_the_fewest_and_least_important_give_way() -> None:
    book = Reservations("n", 4, 0)
    for circuit, priority in (("low", 0), ("middle", 1), ("late", 0), ("high", 3)):
        assert isinstance(reserve(book, circuit, "l", priority=priority), Reservation)
    assert book.victims(shares={"l": 0.1}, priority=2) == ("late",)
    assert book.victims(shares={"l": 0.1, "m": 0.1}, priority=2) == ("late", "low")
    assert book.victims(shares={"l": 0.1}, priority=0) == ()
    assert book.victims(shares={"l": 0.1}, priority=2, least=4) == (), "not even without all three"
    assert set(book.held) == {"low", "middle", "late", "high"}, "asking changes nothing"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    communication=st.integers(0, 6),
    storage=st.integers(0, 6),
    steps=st.lists(
        st.one_of(
            st.integers(0, 7),
            st.tuples(
                st.integers(0, 7),
                st.sets(st.sampled_from("lm"), min_size=1),
                st.sampled_from((0.0, 0.2, 0.6, 1.0)),
                st.integers(1, 4),
                st.integers(1, 3),
                st.integers(0, 2),
            ),
        ),
        max_size=30,
    ),
)
def test_whatever_is_reserved_and_released_nothing_is_promised_twice(
    communication: int, storage: int, steps: list[int | tuple[int, set[str], float, int, int, int]]
) -> None:
    book = Reservations("n", communication, storage)
    for step in steps:
        if isinstance(step, int):
            book.release(str(step))
        else:
            number, links, share, slots, least, priority = step
            if str(number) in book.held:
                continue
            before = dict(book.held)
            made = reserve(book, str(number), *links, share=share, slots=slots, least=least, priority=priority)
            if isinstance(made, Shortage):
                assert book.held == before
                for victim in book.victims(shares=dict.fromkeys(links, share), priority=priority, least=least):
                    assert before[victim].priority < priority
                    book.release(victim)
                if book.held != before:
                    made = reserve(book, str(number), *links, share=share, slots=slots, least=least, priority=priority)
                    assert isinstance(made, Reservation), "the victims' end makes room"
            if isinstance(made, Reservation):
                assert least <= made.slots_per_side <= max(slots, least)
        held = book.held.values()
        stored = sum(each.slots for each in held if not each.dedicated)
        assert book.dedicated_slots + (1 if stored else 0) <= communication
        assert stored <= storage
        assert book.free_slots == communication + storage - sum(each.slots for each in held) >= 0
        for link in "lm":
            assert book.free_share(link) >= -1e-6
    for circuit in list(book.held):
        book.release(circuit)
    assert book.free_slots == communication + storage
    assert book.free_share("l") == pytest.approx(1.0)


def test_a_slot_that_a_move_frees_counts_as_freed() -> None:
    memory = Memory("n", 1, 1)
    held = memory.take("communication", Cause.PLACE, session=None)
    memory.end_move(memory.begin_move(held, "storage"))
    assert memory.releases == 1, "else whoever was refused a slot would not try again"
    memory.undo_move(held, memory.begin_move(held, "communication"))
    assert memory.releases == 2
    memory.check()
