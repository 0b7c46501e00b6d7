"""Every application of `topologies/applications`: as it is, ideal, over repeaters and under faults, against its theory."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulted import FAULTED
from theory import SHARES, Theory, agrees
from unmodified import Played, play
from variants import DIRECTORY, NAMES, Variant, read

TRIALS = {"anonymous_transmission": 30, "verification": 100}
"""Rounds of a run, else `MOST_TRIALS`; scripts/applications measures long ones."""
MOST_TRIALS = 200


def short(name: str) -> Variant:
    """An application's scenario with fewer rounds."""
    return read(name).of_length(TRIALS.get(name, MOST_TRIALS))


def follows(played: Played, variant: Variant, theory: Theory) -> None:
    """Every share is within 4.5 sigma of what it should be."""
    assert not played.failures
    for share in theory(variant.noise):
        found, trials = played.results[share.value], int(played.results[share.of])
        assert agrees(share, found, trials), f"{share.value} is {found} of {trials}, expected {share.probability}"


def test_every_application_has_a_theory_and_a_fault() -> None:
    assert set(SHARES) == set(FAULTED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_noisy(name: str) -> None:
    variant = short(name)
    follows(play(variant.scenario, DIRECTORY), variant, SHARES[name])


@pytest.mark.parametrize("name", NAMES)
def test_ideal(name: str) -> None:
    variant = short(name).ideal().with_seed(2)
    follows(play(variant.scenario, DIRECTORY), variant, SHARES[name])


@pytest.mark.parametrize("name", [name for name in NAMES if read(name).can_have_repeaters])
def test_over_repeaters(name: str) -> None:
    variant = short(name).over_repeaters().with_seed(3)
    follows(play(variant.scenario, DIRECTORY), variant, SHARES[name])


@pytest.mark.parametrize("name", NAMES)
def test_under_faults(name: str, tmp_path: Path) -> None:
    faulted = FAULTED[name]
    variant = faulted.of(short(name)).with_seed(4)
    played = play(variant.scenario, DIRECTORY, log=tmp_path)
    assert all(verdict["holds"] for verdict in played.verdicts.values()), played.verdicts
    assert {name: type(failure) for name, failure in played.failures.items()} == dict(faulted.failures)
    if not faulted.failures:
        follows(played, variant, faulted.theory or SHARES[name])
