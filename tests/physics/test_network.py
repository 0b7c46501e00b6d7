"""True fidelity of what circuits deliver over linear chains, against the untwirled closed form.

Circuits are opened by programs, routers know only messages. A pair's state is read at the moment when it is handed over
at the tail, relative to the Bell state that the network announces, so a wrong frame shows.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from circuit_runs import (
    EXACT,
    SECOND_PS,
    SIGMAS,
    TruePair,
    Watched,
    certain_werner,
    chain,
    dephased,
    hardware,
    joined,
    name,
    run,
)
from oracles import bell_measurement_spectrum, swapped, werner_spectrum

from orchestrator.fabric.heralding import light_delay_ps
from orchestrator.scenario import DoubleClick, Source

NODES = [3, 5, 10, 20]
FIDELITY, VISIBILITY = 0.98, 0.94
GATE_ERROR = 0.01


def links(nodes: int) -> list[Source | DoubleClick]:
    """Werner pairs announced as Phi+, and pairs with phase errors announced as Psi+ or Psi-, in turn."""
    return [
        certain_werner(FIDELITY) if number % 2 else DoubleClick(visibility=VISIBILITY) for number in range(nodes - 1)
    ]


def spectra(nodes: int) -> list[np.ndarray]:
    """Barrett and Kok's F = (1 + V)/2, the rest a phase flip."""
    phase = np.array([(1 + VISIBILITY) / 2, (1 - VISIBILITY) / 2, 0.0, 0.0])
    return [werner_spectrum(FIDELITY) if number % 2 else phase for number in range(nodes - 1)]


@pytest.mark.parametrize("as_heralded", [True, False], ids=["as heralded", "corrected"])
@pytest.mark.parametrize("swapping", ["asap", "nested"])
@pytest.mark.parametrize("nodes", NODES)
def test_every_pair_of_a_chain_with_noisy_gates(nodes: int, swapping: str, as_heralded: bool) -> None:
    """20 pairs: without readout errors every course leaves the same state relative to its frame, so each is exact."""
    scenario = chain(links(nodes), hardware(two_qubit_gate_depolarising_probability=GATE_ERROR), seed=nodes)
    testbed, ends = run(scenario, pairs=20, slots=4, swapping=swapping, as_heralded=as_heralded, check=True)
    expected = joined(*spectra(nodes), *[bell_measurement_spectrum(depolarising=GATE_ERROR)] * (nodes - 2))
    assert len(testbed.delivered) >= 20
    for pair in testbed.delivered:
        assert pair.swaps == nodes - 2
        np.testing.assert_allclose(pair.state, np.diag(expected), atol=EXACT)
    states = {answer.pair.bell_state for answer in ends.at_tail if answer.pair is not None}
    assert len(states) == 4 if as_heralded else states == {"PHI_PLUS"}
    use = testbed.engine.truth.circuits[(ends.opened[0].circuit, 0)]
    assert (use.pairs, use.mismatched) == (20, 0)
    mean = np.zeros(4)
    mean[[0, 3]] = math.sqrt(0.5)
    assert float((mean @ use.mean_state() @ mean).real) == pytest.approx(expected[0], abs=EXACT)


@pytest.mark.parametrize("swapping", ["asap", "nested"])
@pytest.mark.parametrize(("nodes", "pairs"), [(3, 400), (5, 300), (10, 150), (20, 80)])
def test_readout_errors_turn_frames(nodes: int, pairs: int, swapping: str) -> None:
    """A wrong reading gives a wrong frame and leaves the state: each pair is exactly one of the four shifts of what it
    would be without readout errors, and which, is as likely as that the misread bits of all swaps add up to it."""
    errors = {"error_0": 0.01, "error_1": 0.03}
    device = hardware(two_qubit_gate_depolarising_probability=GATE_ERROR, readout_error_0=0.01, readout_error_1=0.03)
    testbed, _ = run(
        chain(links(nodes), device, seed=7 + nodes), pairs=pairs, slots=4, swapping=swapping, as_heralded=True
    )
    right = joined(*spectra(nodes), *[bell_measurement_spectrum(depolarising=GATE_ERROR)] * (nodes - 2))
    shifts = joined(*[bell_measurement_spectrum(**errors)] * (nodes - 2))
    shifted = np.array([[right[index ^ shift] for index in range(4)] for shift in range(4)])
    counts = np.zeros(4)
    for pair in testbed.delivered[:pairs]:
        distance = np.abs(shifted - pair.spectrum).max(axis=1)
        assert distance.min() < EXACT
        counts[distance.argmin()] += 1
    error = np.sqrt(pairs * shifts * (1 - shifts))
    assert (np.abs(counts - pairs * shifts) < SIGMAS * error).all(), (counts, pairs * shifts)
    fidelities = [pair.spectrum[0] for pair in testbed.delivered[:pairs]]
    whole = bell_measurement_spectrum(depolarising=GATE_ERROR, **errors)
    expected = joined(*spectra(nodes), *[whole] * (nodes - 2))[0]
    variance = float(shifts @ right**2) - expected**2
    assert abs(np.mean(fidelities) - expected) < SIGMAS * math.sqrt(variance / pairs), (np.mean(fidelities), expected)


class Story:
    """How the delivered pairs of a run came to be, from the fabric's heralds and the routers' records of swaps."""

    def __init__(self, testbed: Watched) -> None:
        self.heralds = testbed.heralds
        self.of_qubit = {qubit: pair for pair, line in testbed.heralds.items() for qubit in line["qubits"]}
        self.swaps = {record["upstream"]: record for record in testbed.of_kind("swap")}

    def links(self, pair: TruePair) -> list[str]:
        """The link pairs that it is made of, from the head on."""
        used = [self.of_qubit[pair.halves[0]]]
        while used[-1] in self.swaps:
            used.append(self.swaps[used[-1]]["downstream"])
        assert used[-1] == self.of_qubit[pair.halves[1]]
        return used

    def storage_ps(self, pair: TruePair) -> int:
        """How long all the halves that it was made of had waited when it was handed over, taken together."""
        used = self.links(pair)
        consumed = [pair.at, *(self.swaps[each]["at"] for each in used[:-1]), pair.at]
        total = 0
        for each, (first, second) in zip(used, pairwise(consumed), strict=True):
            emitted = self.heralds[each]["emitted_ps"]
            total += first - emitted[0] + second - emitted[1]
        return total


@pytest.mark.parametrize("swapping", ["asap", "nested"])
@pytest.mark.parametrize(("nodes", "slots"), [(3, 1), (5, 4), (10, 3)])
def test_every_pair_has_dephased_as_long_as_its_halves_waited(nodes: int, slots: int, swapping: str) -> None:
    """60 pairs: T2 acts on each half from its emission to its swap, or to the handing over at the tail. Phase flips of
    all commute with the swaps, so a pair's state follows from the sum of those times."""
    t2_s = 0.02
    device = hardware(slots=2 * slots, decay={"t2_s": t2_s}, two_qubit_gate_duration_s=2e-6, measure_duration_s=1e-6)
    sources = [Source(success_probability=0.2, fidelity=FIDELITY)] * (nodes - 1)
    testbed, _ = run(chain(sources, device, length_km=20.0, seed=5), pairs=60, slots=slots, swapping=swapping)
    assert len({pair.at for pair in testbed.delivered}) > 40
    story = Story(testbed)
    for pair in testbed.delivered:
        assert len(story.links(pair)) == nodes - 1
        waited_s = story.storage_ps(pair) / SECOND_PS
        expected = joined(*[werner_spectrum(FIDELITY)] * (nodes - 1), dephased(waited_s, t2_s))
        np.testing.assert_allclose(pair.state, np.diag(expected), atol=EXACT)
        if swapping == "nested":
            swapped_at = [story.swaps[link]["at"] for link in story.links(pair)[:-1]]
            assert_doubled(swapped_at)


def assert_doubled(swapped_at: list[int]) -> None:
    """Node k of a chain joins segments of 2^level links, level the twos in k: all inside them were joined before."""
    for node, at in enumerate(swapped_at, start=1):
        length = node & -node
        last = min(node + length - 1, len(swapped_at))
        inside = [swapped_at[other - 1] for other in range(node - length + 1, last + 1) if other != node]
        assert all(before < at for before in inside), f"node {node} swapped before both halves were whole"


def test_one_link_waits_for_the_other() -> None:
    """800 pairs over two links with one memory each: mean fidelity from the law of the wait.

    All links are 20 km long and light takes L over one; an attempt takes L, and both ends know of a pair, which ages
    from then, after L. The swap takes D. A pair is handed over at the tail when the later herald is D + 3L ago: the swap,
    its outcome to the head (L), the head's word to the tail (2L). The head knows that it was kept 2L later (the tail's
    answer); then each end measures, which takes M, and its slot is free. So the links start anew at the instants 3L + M
    and 5L + M after the swap, the far one first, and the heralds are (N1 - N2 + 2) L apart, N1 and N2 geometric. While
    one link's pair waits for the other, two halves age; both ends' age for the 3L after the swap, and all four for D:
    lambda = exp(-(2|N1 - N2 + 2|L + 6L + 4D)/T2).
    """
    pairs, success, t2_s = 800, 0.1, 5e-3
    swap_s, measure_s = 3e-6, 1e-6
    device = hardware(
        slots=2, decay={"t2_s": t2_s}, two_qubit_gate_duration_s=swap_s - measure_s, measure_duration_s=measure_s
    )
    source = Source(success_probability=success, fidelity=FIDELITY)
    testbed, ends = run(chain([source] * 2, device, length_km=20.0, seed=11), pairs=pairs + 1, slots=1)
    light_ps = light_delay_ps(20.0, 1.468)
    swap_ps = round(swap_s * SECOND_PS)
    story, gaps = Story(testbed), []
    for answer, pair in zip(ends.at_head, testbed.delivered, strict=False):
        near, far = (testbed.heralds[link]["heralded_ps"][0] for link in story.links(pair))
        assert pair.at == max(near, far) + swap_ps + 3 * light_ps
        assert answer.now_ps == pair.at + 2 * light_ps
        gaps.append((near - far) / light_ps)
    assert all(gap == int(gap) for gap in gaps[1:])

    ahead = np.arange(-400, 401)
    weights = success / (2 - success) * (1 - success) ** np.abs(ahead)
    light_s = light_ps / SECOND_PS
    kept = float(weights @ np.exp(-(2 * np.abs(ahead + 2) * light_s + 6 * light_s + 4 * swap_s) / t2_s))
    link = werner_spectrum(FIDELITY)
    expected = swapped(swapped(link, link), [(1 + kept) / 2, (1 - kept) / 2, 0.0, 0.0])[0]
    fidelities = np.array([pair.spectrum[0] for pair in testbed.delivered[1 : pairs + 1]])
    error = fidelities.std(ddof=1) / math.sqrt(pairs)
    assert error < 0.004
    assert abs(fidelities.mean() - expected) < SIGMAS * error, (fidelities.mean(), expected, error)


def test_routers_are_only_routers() -> None:
    """Nothing runs at an inner node, and it is told nothing of the state: its words are swaps and rules."""
    testbed, _ = run(chain([certain_werner(FIDELITY)] * 4, hardware()), pairs=5, slots=1)
    kinds = {record["kind"] for record in testbed.records if record["node"] not in (name(0), name(4))}
    assert "swap" in kinds
    assert not any("pair_delivered" in kind for kind in kinds), kinds
