"""Shares by going through all courses of a protocol, with density matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import exact
import numpy as np
from exact import Desk, distribution
from shares import Share
from variants import Noise


def _desk(noise: Noise) -> dict[str, float]:
    return {"w": noise.w, "gate": noise.gate, "readout": noise.readout}


def _cat(desk: Desk, control: int, target: int, gate: Any) -> None:
    """A controlled gate by a cat-entangler: Yimsiriwattana and Lomonaco, quant-ph/0402148."""
    here, there = desk.pair()
    desk.do(exact.CX, control, here)
    desk.correct(there, desk.measure(here), 0)
    desk.do(gate, there, target)
    desk.correct(control, 0, desk.measure(there, axis="X"))


def _teleported(desk: Desk, control: int, target: int) -> tuple[int, int]:
    """Gottesman and Chuang, Nature 402, 390 (1999), with one pair; gives the qubits that come out.

    Corrections are done at once, moved through the CNOT that is still to come: noise does not mind Paulis.
    """
    here, there = desk.pair()
    control_out = desk.prepare()
    desk.do(exact.CX, here, control_out)

    def alices(part: Desk) -> None:
        x, z = part.measure_bell(control, here)
        part.correct(control_out, x, z)
        part.correct(there, x, 0)

    desk.average(alices)
    entry, target_out = desk.prepare(exact.H), desk.prepare()
    desk.do(exact.CX, entry, target_out)
    desk.do(exact.CX, there, target_out)

    def bobs(part: Desk) -> None:
        part.correct(control_out, 0, part.measure(there, axis="X"))
        x, z = part.measure_bell(target, entry)
        part.correct(target_out, x, z)
        part.correct(control_out, 0, z)

    desk.average(bobs)
    return control_out, target_out


def _cnot(noise: Noise, gate: Callable[[Desk, int, int], tuple[int, int]]) -> list[Share]:
    """Both bits as they should be, for eigenstates of Z and of X; errors do not depend on which."""
    shares = []
    for axis, turn in (("z", exact.I2), ("x", exact.H)):
        desk = Desk((), **_desk(noise))
        out = gate(desk, desk.prepare(turn), desk.prepare(turn))
        for qubit in out:
            desk.do(turn, qubit)
        shares.append(Share(f"alice.{axis}_right", f"alice.{axis}_tests", float(desk.readings(*out)[0, 0])))
    return shares


def distributed_cnot(noise: Noise) -> list[Share]:
    """Eisert, Jacobs, Papadopoulos, Plenio, PRA 62, 052317 (2000)."""

    def gate(desk: Desk, control: int, target: int) -> tuple[int, int]:
        desk.average(lambda part: _cat(part, control, target, exact.CX))
        return control, target

    return _cnot(noise, gate)


def teleported_cnot(noise: Noise) -> list[Share]:
    """Gottesman and Chuang, Nature 402, 390 (1999)."""
    return _cnot(noise, _teleported)


def distributed_circuit(noise: Noise) -> list[Share]:
    """Without noise |sum_k exp(2 pi i k (0.3 - x/16))|^2/256: Cleve, Ekert, Macchiavello, Mosca, quant-ph/9708016."""
    places = "AABC"
    desk = Desk((), **_desk(noise))
    qubits = [desk.prepare(exact.H, exact.phase(2 * math.pi * 0.3 * 2**k)) for k in range(4)]
    for k in (3, 2, 1, 0):
        for j in range(k + 1, 4):
            gate = exact.cphase(-math.pi / 2 ** (j - k))
            if places[k] == places[j]:
                desk.do(gate, qubits[k], qubits[j])
            else:
                desk.average(lambda part, j=j, k=k, gate=gate: _cat(part, qubits[k], qubits[j], gate))  # type: ignore[misc]
        desk.do(exact.H, qubits[k])
    found = desk.readings(*qubits).flatten()  # qubit 0 reads the bit of weight 8
    return [Share(f"alice.read_{x}", "alice.runs", float(found[x])) for x in range(16)]


JOINED = (2, 4)
"""Columns of a brick whose two qubits are joined."""

DEUTSCH = {False: ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0)), True: ((0, 0, 2, 0, 0), (0, 2, 0, 6, 0))}

EXAMPLE = ((1, 3, 2, 5, 1), (7, 2, 1, 3, 6))


def _measured_along(angle: int) -> tuple[float, float, float]:
    return math.cos(angle * math.pi / 4), math.sin(angle * math.pi / 4), 0.0


def _brick(noise: Noise, angles: Any, second: int, server_k: float) -> Any:
    """What a brick gives, uncovered, with each correction done as soon as it is known.

    Secret angles and bits are turned back by the measurement, and all noise is the same along all angles.
    """

    def fresh(desk: Desk, angle: int = 0) -> int:
        qubit = desk.prepare(exact.H, exact.phase(angle * math.pi / 4))
        desk.depolarise(1 - noise.w * noise.k, qubit)
        return qubit

    desk = Desk((), w=1.0, gate=noise.gate, readout=(1 - server_k) / 2)
    now = fresh(desk), fresh(desk, second)
    for column in range(4):
        then = fresh(desk), fresh(desk)
        for left, right in zip(now, then, strict=True):
            desk.do(exact.CZ, left, right)

        def handed_on(part: Desk, now: Any = now, then: Any = then, column: int = column) -> None:
            for row in (0, 1):
                part.correct(then[row], part.measure(now[row], axis=_measured_along(angles[row][column])), 0)

        desk.average(handed_on)
        if column + 1 in JOINED:
            desk.do(exact.CZ, *then)
        now = then
    for row in (0, 1):
        desk.do(exact.H @ exact.rz(-angles[row][4] * math.pi / 4), now[row])
    return desk.readings(*now)


def _traps(noise: Noise, server_k: float) -> float:
    """The mean probability that a trap fails: all dummies |0>, all angles 0."""
    failed = 0.0
    for colour in (0, 1):
        desk = Desk((), w=1.0, gate=noise.gate, readout=0.0)
        now: list[int] = []
        for column in range(6):
            then = []
            for row in range(2 if column < 5 else 0):
                then.append(desk.prepare(*([exact.H] if (row + column) % 2 == colour else [])))
                desk.depolarise(1 - noise.w * noise.k, then[row])
            for left, right in zip(now, then, strict=False):
                desk.do(exact.CZ, left, right)
            if column in JOINED:
                desk.do(exact.CZ, *then)
            for row, qubit in enumerate(now):
                if (row + column - 1) % 2 == colour:
                    failed += (1 - server_k * desk.expectation(exact.X, qubit)) / 2
                desk.discard(qubit)
            now = then
    return failed / 10


def _deutsch(noise: Noise, server_k: float) -> Share:
    same, other = (_brick(noise, DEUTSCH[differ], 4, server_k) for differ in (False, True))
    return Share("client.right", "client.functions", float(same[0].sum() + other[1].sum()) / 2)


BLIND = [Share(f"server.angle_{number}", "server.angles", 1 / 8) for number in range(8)]


def blind_computing(noise: Noise) -> list[Share]:
    """Broadbent, Fitzsimons, Kashefi, arXiv:0807.4154."""
    found = _brick(noise, EXAMPLE, 0, noise.k)
    example = [Share(f"client.read_{a}{b}", "client.examples", float(found[a, b])) for a in (0, 1) for b in (0, 1)]
    return [_deutsch(noise, noise.k), *example, *BLIND]


def verified_blind_computing(noise: Noise) -> list[Share]:
    """Fitzsimons, Kashefi, PRA 96, 012303 (2017); Leichtle, Music, Kashefi, Ollivier, PRX Quantum 2, 040302 (2021)."""
    return [_deutsch(noise, noise.k), Share("client.failed", "client.traps", _traps(noise, noise.k)), *BLIND]


def verified_blind_computing_cheated(noise: Noise) -> list[Share]:
    """A server that flips a quarter of its bits leaves half of every expectation value."""
    k = noise.k / 2
    found = Share("client.accepted", "client.verdicts", 0.0)
    return [_deutsch(noise, k), Share("client.failed", "client.traps", _traps(noise, k)), found, *BLIND]


def fingerprinting(noise: Noise) -> list[Share]:
    """Buhrman, Cleve, Watrous, de Wolf, PRL 87, 167902 (2001); de Beaudrap, PRA 69, 022307 (2004)."""
    tilt = math.acos(-1 / 3)
    corners = [()] + [(exact.ry(tilt), exact.rz(turn * 2 * math.pi / 3)) for turn in range(3)]

    def passes(first: int, second: int) -> float:
        desk = Desk((), **_desk(noise))
        qubits = []
        for corner in (first, second):
            sent = desk.prepare(*corners[corner])
            arrived: list[int] = []
            desk.average(lambda part, sent=sent, arrived=arrived: arrived.append(part.teleport(sent)))  # type: ignore[misc]
            qubits.append(arrived[0])
        ancilla = desk.prepare(exact.H)
        desk.do(exact.CSWAP, ancilla, *qubits)
        return (1 + noise.k * desk.expectation(exact.X, ancilla)) / 2

    found = {corners: passes(*corners) for corners in itertools.product(range(4), repeat=2)}
    return [
        Share("referee.different_passed", "referee.different", sum(p for (x, y), p in found.items() if x != y) / 12),
        Share("referee.equal_passed", "referee.equal", sum(p for (x, y), p in found.items() if x == y) / 4),
    ]


def telescope(noise: Noise) -> list[Share]:
    """Gottesman, Jennewein, Croke, PRL 109, 070503 (2012): (1 + V cos(phi - delta))/2 of those that are kept."""
    return _starlight(noise, 1.0)


def telescope_clouded(noise: Noise) -> list[Share]:
    """Clouds take 3 dB of the light of one site."""
    return _starlight(noise, 10**-0.3)


def _starlight(noise: Noise, clear: float) -> list[Share]:
    def seen(delta: float) -> dict[tuple[bool, bool], float]:
        def one(desk: Desk) -> tuple[bool, bool]:
            mean = (1 + 0.7) / 2
            waves = [np.array([0, 1, np.exp(1j * (2.0 + turn)), 0]) / math.sqrt(2) for turn in (0.0, math.pi)]
            coherent, opposite = (np.outer(wave, wave.conj()) for wave in waves)
            left, right = desk.add(mean * coherent + (1 - mean) * opposite)
            here, there = desk.pair()
            desk.do(exact.X, there)
            desk.do(exact.phase(delta), here)
            x, z = desk.measure_bell(left, here)
            its_x, its_z = desk.measure_bell(right, there)
            return x == its_x == 1, z == its_z

        return distribution(one, **_desk(noise))

    shares = []
    for degrees in (0, 90):
        found = seen(math.radians(degrees))
        kept = found[True, True] + found[True, False]
        shares.append(Share(f"left.equal_{degrees}", f"left.kept_{degrees}", found[True, True] / kept))
    both = noise.transmission**2 * clear
    return [*shares, Share("left.kept", "left.seen", kept), Share("left.both", "left.photons", both)]


def exact_leader_election(noise: Noise) -> list[Share]:
    """Tani, Kobayashi, Matsumoto, arXiv:0712.4213, Algorithm I for two parties."""

    def moved(desk: Desk, *qubits: int) -> list[int]:
        found: list[int] = []
        for qubit in qubits:
            desk.average(lambda part, qubit=qubit: found.append(part.teleport(qubit)))  # type: ignore[misc]
        return [found[0], found[-1]]  # a qubit has one name in all courses

    desk = Desk((), **_desk(noise))
    own = [desk.prepare(exact.H), desk.prepare(exact.H)]
    copies = [desk.prepare(), desk.prepare()]
    for qubit, copy in zip(own, copies, strict=True):
        desk.do(exact.CX, qubit, copy)
    lent = moved(desk, *copies)
    parities = [desk.prepare(), desk.prepare()]
    for qubit, theirs, parity in zip(own, reversed(lent), parities, strict=True):
        desk.do(exact.CX, qubit, parity)
        desk.do(exact.CX, theirs, parity)

    def decided_by_parity(part: Desk) -> None:
        read = [part.measure(parity) for parity in parities]
        for qubit, copy, parity in zip(own, moved(part, *lent), read, strict=True):
            part.do(exact.CX, qubit, copy)
            part.discard(copy)
            if not parity:
                part.do(exact.rx(math.pi / 2), qubit)

    desk.average(decided_by_parity)
    found = desk.readings(*own)
    decided = float(found[0, 1] + found[1, 0])
    return [Share("alice.decided", "alice.elections", decided), Share("alice.leads", "alice.leaders", 1 / 2)]
