"""Every application of `topologies/applications`: as it is, ideal, over repeaters and under faults, against its theory."""

from __future__ import annotations

import math
from pathlib import Path

import measure
import pytest
from faulted import FAULTED
from shares import Share, Theory, agrees
from theory import SHARES
from unmodified import Played, play
from variants import DIRECTORY, NAMES, Variant, read

from qnode.sdk import CircuitClosed

TRIALS = {
    "anonymous_transmission": 25,
    "blind_computing": 45,
    "distributed_circuit": 30,
    "verification": 60,
    "verified_blind_computing": 40,
}
"""Rounds of a run, else `MOST_TRIALS`; scripts/applications measures long ones."""
MOST_TRIALS = 120


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
def test_as_it_comes(name: str) -> None:
    variant = read(name)
    played = play(variant.scenario, DIRECTORY)
    follows(played, variant, SHARES[name])
    for expectation in variant.scenario.expectations:
        found = played.results[expectation.value.removeprefix("results.")]
        assert (expectation.at_least or 0) <= found <= (1 if expectation.at_most is None else expectation.at_most)


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
    follows(played, variant, faulted.theory or SHARES[name])


@pytest.mark.parametrize("name", ["bbm92", "chsh", "magic_square", "mermin_game"])
def test_a_fibre_cut_for_good_ends_every_program_with_an_error(name: str) -> None:
    variant = short(name).with_faults(
        [{"kind": "link_down", "select": "one", "at_s": 0.25 if name == "mermin_game" else 0.03}]
    )
    played = play(variant.scenario, DIRECTORY)
    assert {type(failure) for failure in played.failures.values()} == {CircuitClosed}
    assert len(played.failures) == len(variant.document["applications"])


def test_pairs_that_wait_in_memories_win_fewer_chsh_games() -> None:
    """Alice's half waits for its herald, for bob's answer and back, bob's for its herald and her word: 3 and 2 crossings.

    Coherences decay by exp(-t/T2) in each memory, so <XX> is l <ZZ> and the four correlators are w (1 + l)/(2 sqrt 2).
    """
    t2_s, step_s, crossing_s = 5e-4, 1e-6, 10 * 1.468 / 299792.458
    variant = read("chsh").of_length(1500)
    site = variant.document["hardware_profiles"]["site"]
    site |= {"communication": {"t2_s": t2_s}, "measure_duration_s": step_s, "single_qubit_gate_duration_s": step_s}
    site["two_qubit_gate_duration_s"] = step_s
    variant.document["links"]["alice-bob"]["heralding"]["success_probability"] = 0.01  # no pair waits for another
    left = math.exp(-(5 * crossing_s + 2 * step_s) / t2_s)
    contrast = variant.noise.w * (1 + left) / 2 * variant.noise.k**2
    share = Share("alice.won", "alice.rounds", 1 / 2 + contrast * math.sqrt(2) / 4)
    follows(play(variant.scenario, DIRECTORY), variant, lambda _: [share])


@pytest.mark.slow
def test_real_processes_report_the_same_numbers() -> None:
    variant = short("distributed_cnot")
    assert measure.run(variant) == play(variant.scenario, DIRECTORY).results
