"""Which heralds never came, from the numbers of pairs and what the other end tells of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qnode.stack.pair_numbers import MOST_UNHEARD, PairNumbers


def test_a_number_that_is_skipped_never_came() -> None:
    numbers = PairNumbers(started_again=False)
    assert list(numbers.heralded("l", 1)) == [0]
    assert list(numbers.heralded("l", 2)) == []
    assert list(numbers.heralded("l", 5)) == [3, 4]
    assert list(numbers.heralded("other", 0)) == []
    assert numbers.last("l") == 5 and numbers.last("unused") == -1
    assert len(numbers.heralded("l", 1000)) == MOST_UNHEARD


def test_who_was_started_again_does_not_know_what_it_had() -> None:
    numbers = PairNumbers(started_again=True)
    assert list(numbers.heralded("l", 700)) == []
    assert list(numbers.heralded("l", 702)) == [701]


def test_what_the_other_end_has_not_heard_of_since_it_last_told_is_lost_there() -> None:
    numbers = PairNumbers(started_again=False)
    numbers.heralded("l", 0)
    assert list(numbers.told("l", 0)) == []
    numbers.heralded("l", 1)
    assert list(numbers.told("l", 0)) == [], "its herald may be on its way"
    assert list(numbers.told("l", 0)) == [1]
    assert list(numbers.told("l", 0)) == [], "said once"
    numbers.heralded("l", 2)
    assert list(numbers.told("l", 2)) == []
    assert list(numbers.told("l", 2)) == []


@given(st.lists(st.sampled_from(("both", "here", "told")), max_size=60))
def test_each_pair_that_the_other_end_misses_is_found_once_and_no_other(story: list[str]) -> None:
    numbers = PairNumbers(started_again=False)
    number, last_there, missed, found = 0, -1, set(), []
    for what in story:
        if what == "told":
            found += numbers.told("l", last_there)
            continue
        numbers.heralded("l", number)
        if what == "both":
            last_there = number
        else:
            missed.add(number)
        number += 1
    assert len(found) == len(set(found))
    assert set(found) <= missed, "a pair that both have is never given up"
    found += [*numbers.told("l", last_there), *numbers.told("l", last_there)]
    assert {each for each in missed if each > last_there and each > number - MOST_UNHEARD} <= set(found)
