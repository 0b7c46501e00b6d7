"""The local rules of distillation: what an end runs, when it keeps, which pairs meet. States: tests/physics."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from scipy import stats

from qnode.stack.distillation import (
    Frame,
    UnsuitableFrame,
    fresh_pairs,
    keeps,
    local_steps,
    next_round,
    resulting_frame,
)
from qnode.wire.quantum import Gate, Measure, Step

IDS = ("a-b/1", "a-b/2")
FRAMES: tuple[Frame, ...] = ((0, 0), (0, 1), (1, 0), (1, 1))


def steps(protocol: str, end: str, pair_ids: tuple[str, str] = IDS) -> tuple[Step, ...]:
    return local_steps(protocol, end=end, kept="n#1", sacrificed="n#2", pair_ids=pair_ids)  # type: ignore[arg-type]


def test_what_each_end_runs() -> None:
    end = (Gate(name="CX", qubits=("n#1", "n#2")), Measure(qubit="n#2"))
    assert steps("epl", "head") == steps("epl", "tail") == end
    for side, angle in (("head", math.pi / 2), ("tail", -math.pi / 2)):
        turns = tuple(Gate(name="RX", qubits=(qubit,), parameters=(angle,)) for qubit in ("n#1", "n#2"))
        assert steps("dejmps", side) == (*turns, *end)
        assert steps("bbpssw", side)[-2:] == end


def test_twirl_is_the_same_at_both_ends_and_costs_two_gates_at_most() -> None:
    for number in range(200):
        pair_ids = (f"l/{number}", f"l/{number + 1}")
        head, tail = steps("bbpssw", "head", pair_ids), steps("bbpssw", "tail", pair_ids)
        for one, other in zip(head[:-2], tail[:-2], strict=True):
            assert isinstance(one, Gate)
            assert isinstance(other, Gate)
            assert (one.name, one.qubits) == (other.name, other.qubits)
            turned_back = tuple(-angle for angle in one.parameters) if one.name == "RX" else one.parameters
            assert other.parameters == turned_back
        gates = Counter(step.qubits for step in head[:-2] if isinstance(step, Gate))
        assert all(count <= 2 for count in gates.values())


@pytest.mark.parametrize("name", ["l", "alice-bob", "backbone 17"])
def test_every_twirl_is_equally_frequent_over_successive_ids(name: str) -> None:
    """144 choices, 14 400 rounds; 1e-6 of all good hashes would fail."""
    chosen = Counter(steps("bbpssw", "head", (f"{name}/{2 * n}", f"{name}/{2 * n + 1}"))[:-2] for n in range(14_400))
    assert len(chosen) == 144
    assert stats.chisquare(list(chosen.values())).pvalue > 1e-6


def test_equal_bits_are_kept_in_the_phi_plus_frame() -> None:
    for protocol in ("bbpssw", "dejmps"):
        for own, other in itertools.product((0, 1), repeat=2):
            assert keeps(protocol, own, other, pair_ids=IDS) == (own == other)  # type: ignore[arg-type]


def test_epl_keeps_only_two_ones() -> None:
    for frames in itertools.product(FRAMES[2:], repeat=2):
        for own, other in itertools.product((0, 1), repeat=2):
            assert keeps("epl", own, other, pair_ids=IDS, frames=frames) == (own == other == 1)
    assert resulting_frame("epl", pair_ids=IDS, frames=((1, 1), (1, 0))) == (1, 1)


def test_epl_refuses_what_is_not_psi() -> None:
    for frames in (((0, 0), (1, 0)), ((1, 0), (0, 1)), ((0, 0), (0, 0))):
        with pytest.raises(UnsuitableFrame, match="epl takes pairs announced as Psi"):
            keeps("epl", 1, 1, pair_ids=IDS, frames=frames)
        with pytest.raises(UnsuitableFrame):
            resulting_frame("epl", pair_ids=IDS, frames=frames)


def test_dejmps_exchanges_the_phi_minus_and_psi_minus_frames() -> None:
    """An announced Phi- becomes Psi- under the rotations: odd parity is expected then."""
    assert not keeps("dejmps", 0, 0, pair_ids=IDS, frames=((0, 1), (0, 0)))
    assert keeps("dejmps", 0, 1, pair_ids=IDS, frames=((0, 1), (0, 0)))
    assert resulting_frame("dejmps", pair_ids=IDS, frames=((0, 1), (0, 0))) == (1, 1)
    assert keeps("dejmps", 1, 1, pair_ids=IDS, frames=((1, 1), (0, 0)))


@pytest.mark.parametrize(
    ("rounds", "wanted", "expected"),
    [
        ([], 1, None),
        ([0], 1, None),
        ([0, 0], 1, (0, 1)),
        ([0, 1, 0, 1], 2, (0, 2)),
        ([1, 0, 1], 2, (0, 2)),
        ([1, 1, 0], 1, None),
        ([2, 1, 0], 3, None),
    ],
)
def test_recurrence_joins_equals(rounds: list[int], wanted: int, expected: tuple[int, int] | None) -> None:
    assert next_round("recurrence", rounds, wanted=wanted) == expected


@pytest.mark.parametrize(
    ("rounds", "wanted", "expected"),
    [
        ([], 2, None),
        ([0], 2, None),
        ([0, 0], 2, (0, 1)),
        ([0, 1], 2, (1, 0)),
        ([2, 0, 1], 2, (2, 1)),
        ([1, 1], 2, None),
        ([2, 0], 2, None),
    ],
)
def test_pumping_joins_the_furthest_with_a_fresh_one(
    rounds: list[int], wanted: int, expected: tuple[int, int] | None
) -> None:
    assert next_round("pumping", rounds, wanted=wanted) == expected


@pytest.mark.parametrize("schedule", ["recurrence", "pumping"])
def test_a_schedule_uses_as_many_fresh_pairs_as_it_says(schedule: str) -> None:
    for wanted in range(5):
        held: list[int] = []
        used = 0
        while wanted not in held:
            joined = next_round(schedule, held, wanted=wanted)  # type: ignore[arg-type]
            if joined is None:
                held.append(0)
                used += 1
            else:
                kept, sacrificed = joined
                held[kept] += 1
                del held[sacrificed]
        assert used == fresh_pairs(schedule, rounds=wanted)  # type: ignore[arg-type]
