"""The desk on which courses are counted agrees with the closed forms, and with itself whatever way it counts."""

from __future__ import annotations

import math

import closed_forms
import pytest
from exact import SDG, Desk, H, S, X, distribution
from shares import Share
from variants import Noise

NOISE = Noise(fidelity=0.9, gate=0.03, readout=0.02)
DESK = {"w": NOISE.w, "gate": NOISE.gate, "readout": NOISE.readout}


def the(share: str, shares: list[Share]) -> float:
    return next(each.probability for each in shares if each.value == share)


def test_teleportation() -> None:
    preparations = ((), (X,), (H,), (X, H), (H, S), (H, SDG))

    def as_sent(desk: Desk) -> bool:
        state = desk.choose(6)
        arrived = desk.teleport(desk.prepare(*preparations[state]))
        return desk.measure(arrived, axis="ZZXXYY"[state]) == state % 2

    expected = the("bob.as_sent", closed_forms.teleportation(NOISE))
    assert distribution(as_sent, **DESK)[True] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("hops", [1, 2])
def test_superdense_coding(hops: int) -> None:
    noise = Noise(fidelity=0.9, gate=0.03, readout=0.02, hops=hops)

    def right(desk: Desk) -> bool:
        half, pair = desk.pair()
        x, z = desk.choose(2), desk.choose(2)
        desk.correct(half, x, z)
        return desk.measure_bell(desk.teleport(half) if hops > 1 else half, pair) == (x, z)

    expected = the("bob.as_sent", closed_forms.superdense_coding(noise))
    found = distribution(right, w=noise.w, gate=noise.gate, readout=noise.readout)[True]
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_chsh_game() -> None:
    half = math.sqrt(0.5)

    def won(desk: Desk) -> bool:
        alices, bobs = desk.pair()
        x, y = desk.choose(2), desk.choose(2)
        a = desk.measure(alices, axis="ZX"[x])
        b = desk.measure(bobs, axis=(half if y == 0 else -half, 0.0, half))
        return a ^ b == x & y

    assert distribution(won, **DESK)[True] == pytest.approx(closed_forms.chsh(NOISE)[0].probability, abs=1e-12)


def test_averages_and_readings_are_what_counting_every_course_gives() -> None:
    def counted(desk: Desk) -> tuple[int, int]:
        first, second = desk.prepare(H), desk.teleport(desk.prepare(H, S, H))
        return desk.measure(first), desk.measure(second)

    desk, arrived = Desk((), **DESK), list[int]()
    first, sent = desk.prepare(H), desk.prepare(H, S, H)
    desk.average(lambda part: arrived.append(part.teleport(sent)))
    found = desk.readings(first, arrived[0])
    every = distribution(counted, **DESK)
    assert all(found[bits] == pytest.approx(probability, abs=1e-12) for bits, probability in every.items())
