"""What every application's numbers are in theory, as probabilities: closed forms, or all courses of the protocol.

Each number that a program reports is a share of so many independent trials. `SHARES` has for each application a function of
the noise that gives the shares' probabilities; F is the fidelity of a Werner pair, w = (4F - 1)/3 its weight of Phi+, g the
depolarising probability of a two-qubit gate, e a readout error and k = 1 - 2e.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import exact
import numpy as np
from exact import Desk, distribution
from variants import Noise


class Share(NamedTuple):
    """A share that programs report, the number of trials that it is of, and its probability."""

    value: str
    of: str
    probability: float


Theory = Callable[[Noise], list[Share]]
SIGMAS = 4.5
TAIL = math.erfc(SIGMAS / math.sqrt(2)) / 2
"""Probability beyond so many standard deviations, on one side."""


def deviation(share: Share, found: float, trials: int) -> float:
    """How many standard deviations off; infinite where a certain thing did not happen."""
    error = math.sqrt(share.probability * (1 - share.probability) / trials)
    if error < 1e-9:
        return 0.0 if abs(found - share.probability) < 1e-9 else math.inf
    return (found - share.probability) / error


def agrees(share: Share, found: float, trials: int) -> bool:
    """Whether so many or fewer, and so many or more, are both as probable as 4.5 sigma, by the binomial distribution."""
    p, successes = share.probability, round(found * trials)
    if min(p, 1 - p) < 1e-12:
        return abs(found - p) < 1e-9
    return trials > 0 and min(_tail(successes, trials, p), _tail(trials - successes, trials, 1 - p)) > TAIL


def _tail(most: int, trials: int, p: float) -> float:
    """Of at most ``most`` successes."""
    logarithm = [
        math.lgamma(trials + 1)
        - math.lgamma(n + 1)
        - math.lgamma(trials - n + 1)
        + n * math.log(p)
        + (trials - n) * math.log1p(-p)
        for n in range(most + 1)
    ]
    return math.fsum(map(math.exp, logarithm))


def _chsh(noise: Noise) -> list[Share]:
    """Clauser, Horne, Shimony, Holt, PRL 23, 880 (1969); Cleve et al., quant-ph/0404076: each product is w k^2/sqrt(2)."""
    return [Share("alice.won", "alice.rounds", 0.5 + noise.w * noise.k**2 * math.sqrt(2) / 4)]


def _teleportation(noise: Noise) -> list[Share]:
    """Horodecki, Horodecki, Horodecki, PRA 60, 1888 (1999), with F the fidelity: (2F + 1)/3 = (1 + w)/2.

    Of alice's two bits a wrong x flips Z and Y eigenstates, a wrong z those of X and Y.
    """
    k = noise.k
    contrast = noise.w * (1 - noise.gate) * k * (k + k + k**2) / 3
    return [Share("bob.as_sent", "bob.qubits", (1 + contrast) / 2)]


def _superdense_coding(noise: Noise) -> list[Share]:
    """Bennett and Wiesner, PRL 69, 2881 (1992): of a Bell-diagonal state, Bob reads the right one of four."""
    e, direct = noise.readout, noise.hops == 1
    w = noise.w * (1 - noise.gate)
    if direct:
        right = w * (1 - e) ** 2 + (1 - w) / 4
    else:  # the half is teleported: a pair, a Bell measurement and two bits more, each of which may be wrong
        w *= noise.w * (1 - noise.gate)
        one_flip = (1 - e) ** 2 + e**2  # neither the bit of the teleportation nor that of the reading, or both
        right = w * one_flip**2 + (1 - w) / 4
    arrive = noise.transmission if direct else 1.0
    return [
        Share("bob.arrived", "bob.messages", arrive),
        Share("bob.as_sent", "bob.arrivals", right),
    ]


def _key(sifted: float, contrast: float, *, of: str = "alice.pairs") -> list[Share]:
    """A share ``sifted`` of the rounds, and in it the errors of two bits whose product is ``contrast`` on average."""
    return [
        Share("alice.sifted", of, sifted),
        Share("alice.errors", "alice.tested", (1 - contrast) / 2),
    ]


def _bbm92(noise: Noise) -> list[Share]:
    """Bennett, Brassard and Mermin, PRL 68, 557 (1992)."""
    return _key(1 / 2, noise.w * noise.k**2)


def bbm92_with_eve(noise: Noise) -> list[Share]:
    """Who measures every photon along Z or X at random leaves half of each correlator."""
    return [*_key(1 / 2, noise.w * noise.k**2 / 2), Share("alice.safe", "alice.runs", 0.0)]


def _e91(noise: Noise) -> list[Share]:
    """Ekert, PRL 67, 661 (1991)."""
    contrast = noise.w * noise.k**2
    return _ekert(contrast, contrast)


def e91_with_eve(noise: Noise) -> list[Share]:
    """Eve measures along Z or X: of a correlator along unit vectors a and b in the Z-X plane a.b/2 is left."""
    contrast = noise.w * noise.k**2 / 2
    return [*_ekert(contrast, contrast), Share("alice.safe", "alice.runs", 0.0)]


def _ekert(contrast: float, chsh_contrast: float) -> list[Share]:
    return [
        Share("alice.key", "alice.pairs", 2 / 9),
        Share("alice.errors", "alice.key_bits", (1 - contrast) / 2),
        Share("alice.chsh_won", "alice.chsh_games", 1 / 2 + chsh_contrast * math.sqrt(2) / 4),
    ]


def _sent(noise: Noise) -> Share:
    return Share("alice.arrived", "alice.qubits", noise.transmission)


def _bb84(noise: Noise) -> list[Share]:
    """Bennett and Brassard (1984), TCS 560, 7 (2014): a depolarising fibre of entanglement fidelity F, one readout."""
    return [_sent(noise), *_key(1 / 2, noise.w * noise.k, of="alice.arrivals")]


def bb84_with_eve(noise: Noise) -> list[Share]:
    """Eve chooses the right one of two bases half of the time."""
    return [_sent(noise), *_key(1 / 2, noise.w * noise.k / 2, of="alice.arrivals")]


def _six_state(noise: Noise) -> list[Share]:
    """Bruss, PRL 81, 3018 (1998)."""
    return [_sent(noise), *_key(1 / 3, noise.w * noise.k, of="alice.arrivals")]


def six_state_with_eve(noise: Noise) -> list[Share]:
    """Eve chooses the right one of three bases a third of the time."""
    return [_sent(noise), *_key(1 / 3, noise.w * noise.k / 3, of="alice.arrivals")]


def _b92(noise: Noise) -> list[Share]:
    """Bennett, PRL 68, 3121 (1992)."""
    return _two_states(noise, noise.w * noise.k)


def b92_with_eve(noise: Noise) -> list[Share]:
    """Eve, who measures Z or X and sends on what she found, leaves half of the contrast."""
    return _two_states(noise, noise.w * noise.k / 2)


def _two_states(noise: Noise, contrast: float) -> list[Share]:
    """Bob measures the basis of the state that was sent, and reads it wrong; or the other, where he reads anything."""
    wrong, right = (1 - contrast) / 4, 1 / 4
    return [
        _sent(noise),
        Share("alice.conclusive", "alice.arrivals", wrong + right),
        Share("alice.errors", "alice.key_bits", wrong / (wrong + right)),
    ]


def _mermin_game(noise: Noise) -> list[Share]:
    """Greenberger, Horne, Zeilinger (1989), arXiv:0712.0921; Mermin, PRL 65, 1838 (1990)."""
    return [Share("alice.won", "alice.rounds", (1 + (noise.w * noise.k) ** 3) / 2)]


def _magic_square(noise: Noise) -> list[Share]:
    """Aravind, quant-ph/0206070. Where row r and column c cross stands an observable of one pair, or of both."""
    won = 0.0
    for r in range(3):
        for c in range(3):
            both, gates = r == 2 or c == 2, (r == 2) + (c == 2)
            bits = 2 + (c == 2) + (r == 2)  # the third of a row or column is the product of the others
            won += (1 + noise.w ** (1 + both) * noise.k**bits * (1 - noise.gate) ** gates) / 18
    return [Share("alice.won", "alice.rounds", won)]


def _secret_sharing(noise: Noise) -> list[Share]:
    """Hillery, Buzek, Berthiaume, PRA 59, 1829 (1999)."""
    return _shared(noise, 1.0)


def secret_sharing_with_eve(noise: Noise) -> list[Share]:
    """Of charlie's X and Y, what Eve leaves by measuring Z or X is X, half of the time."""
    return _shared(noise, 1 / 4)


def _shared(noise: Noise, left: float) -> list[Share]:
    return [
        Share("alice.usable", "alice.states", 1 / 2),
        Share("alice.errors", "alice.tested", (1 - (noise.w * noise.k) ** 3 * left) / 2),
        Share("alice.bob_alone", "alice.tested", 1 / 2),
    ]


def _conference_key(noise: Noise) -> list[Share]:
    """Grasselli, Kampermann, Bruss, NJP 20, 113014 (2018)."""
    return _conference(noise, 1.0)


def conference_key_with_eve(noise: Noise) -> list[Share]:
    """Eve measures bob's qubit along Z or X: half of his correlations along each is left."""
    return _conference(noise, 1 / 2)


def _conference(noise: Noise, left: float) -> list[Share]:
    contrast = noise.w * noise.k
    return [
        Share("alice.odd", "alice.tests", (1 - contrast**3 * left) / 2),
        Share("alice.bob_errors", "alice.compared", (1 - contrast**2 * left) / 2),
        Share("alice.charlie_errors", "alice.compared", (1 - contrast**2) / 2),
    ]


def _leader_election(noise: Noise) -> list[Share]:
    """D'Hondt and Panangaden, quant-ph/0412177: each of the bits 1, 0, 0 is read wrong with probability (1 - wk)/2."""
    f = (1 - noise.w * noise.k) / 2
    decided = (1 - f) ** 3 + 2 * f**2 * (1 - f)
    lead = [Share(f"{name}.leads", f"{name}.leaders", 1 / 3) for name in ("alice", "bob", "charlie")]
    return [Share("alice.decided", "alice.elections", decided), *lead]


def _verification(noise: Noise) -> list[Share]:
    """Flammia and Liu, PRL 106, 230501 (2011): the mean of all stabilisers is the fidelity."""
    return _stabilised(noise, {"I": 1.0, "X": 1.0, "Y": 1.0, "Z": 1.0})


def verification_with_eve(noise: Noise) -> list[Share]:
    """Eve measures bob's qubit along Z or X."""
    return _stabilised(noise, {"I": 1.0, "X": 0.5, "Y": 0.0, "Z": 0.5})


def _stabilised(noise: Noise, left: dict[str, float]) -> list[Share]:
    mean = 0.0
    for letters in ("IZ", "XY"):
        for places in itertools.product((0, 1), repeat=4):
            if sum(places) % 2 == 0:
                paulis = [letters[place] for place in places]
                weight = sum(pauli != "I" for pauli in paulis)
                mean += (noise.w * noise.k) ** weight * left[paulis[1]] / 16
    return [Share("alice.passed", "alice.states", (1 + mean) / 2)]


def _anonymous_transmission(noise: Noise) -> list[Share]:
    """Christandl and Wehner, quant-ph/0409201: ASIACRYPT 2005.

    A bit that is sent anonymously comes through with contrast (wk)^4. The pair of sender and receiver has <ZZ> = w^2, and,
    with the bits of two others in its phase, <XX> = <YY> = w^4 k^2. Each bit of the teleportation is read, and sent.
    """
    w, k = noise.w, noise.k
    bit = k * (w * k) ** 4
    along_z, along_x = w**2, w**4 * k**2
    contrast = (1 - noise.gate) * k * (along_z * bit + along_x * bit + along_x * bit**2) / 3
    fair = [Share(f"{name}.ones", f"{name}.told", 1 / 2) for name in ("alice", "bob", "charlie", "dave")]
    return [Share("dave.as_sent", "dave.qubits", (1 + contrast) / 2), *fair]


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


def _distributed_cnot(noise: Noise) -> list[Share]:
    """Eisert, Jacobs, Papadopoulos, Plenio, PRA 62, 052317 (2000)."""

    def gate(desk: Desk, control: int, target: int) -> tuple[int, int]:
        desk.average(lambda part: _cat(part, control, target, exact.CX))
        return control, target

    return _cnot(noise, gate)


def _teleported_cnot(noise: Noise) -> list[Share]:
    """Gottesman and Chuang, Nature 402, 390 (1999)."""
    return _cnot(noise, _teleported)


def _distributed_circuit(noise: Noise) -> list[Share]:
    """Without noise |sum_k exp(2 pi i k (0.3 - x/16))|^2/256: Cleve, Ekert, Macchiavello, Mosca, quant-ph/9708016."""
    places = "AABC"
    desk = Desk((), **_desk(noise))
    qubits = [desk.prepare(exact.H, exact.phase(2 * math.pi * 0.3 * 2**k)) for k in range(4)]
    for k in (3, 2, 1, 0):
        for j in range(k + 1, 4):
            gate = exact.cphase(-math.pi / 2 ** (j - k))
            if places[j] == places[k]:
                desk.do(gate, qubits[j], qubits[k])
            else:
                desk.average(lambda part, j=j, k=k, gate=gate: _cat(part, qubits[j], qubits[k], gate))  # type: ignore[misc]
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


def _blind_computing(noise: Noise) -> list[Share]:
    """Broadbent, Fitzsimons, Kashefi, arXiv:0807.4154."""
    found = _brick(noise, EXAMPLE, 0, noise.k)
    example = [Share(f"client.read_{a}{b}", "client.examples", float(found[a, b])) for a in (0, 1) for b in (0, 1)]
    return [_deutsch(noise, noise.k), *example, *BLIND]


def _verified_blind_computing(noise: Noise) -> list[Share]:
    """Fitzsimons, Kashefi, PRA 96, 012303 (2017); Leichtle, Music, Kashefi, Ollivier, PRX Quantum 2, 040302 (2021)."""
    return [_deutsch(noise, noise.k), Share("client.failed", "client.traps", _traps(noise, noise.k)), *BLIND]


def verified_blind_computing_cheated(noise: Noise) -> list[Share]:
    """A server that flips a quarter of its bits leaves half of every expectation value."""
    k = noise.k / 2
    found = Share("client.accepted", "client.verdicts", 0.0)
    return [_deutsch(noise, k), Share("client.failed", "client.traps", _traps(noise, k)), found, *BLIND]


def _remote_state_preparation(noise: Noise) -> list[Share]:
    """Pati, PRA 63, 014302 (2000); Bennett et al., PRL 87, 077902 (2001): a wrong bit leaves the opposite state."""
    return [Share("bob.as_prepared", "bob.states", (1 + noise.w * noise.k**2) / 2)]


def _fingerprinting(noise: Noise) -> list[Share]:
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


def _coin_flipping(noise: Noise) -> list[Share]:
    """Aharonov, Ta-Shma, Vazirani, Yao, quant-ph/0004017: who cheats so has cos^2(pi/8) of the tosses as he likes.

    A teleported Bloch vector in the Z-X plane is w (1 - g) k as long, whatever its direction.
    """
    seen = noise.w * (1 - noise.gate) * noise.k**2
    return [
        Share("bob.alice_gets", "bob.alice_cheats", (1 + seen / math.sqrt(2)) / 2),
        Share("bob.bob_gets", "bob.bob_cheats", (1 + seen / math.sqrt(2)) / 2),
        Share("bob.called_off", "bob.honest", (1 - seen) / 2),
        Share("bob.ones", "bob.fair", 1 / 2),
    ]


def _clock_synchronisation(noise: Noise) -> list[Share]:
    """Chuang, PRL 85, 2006 (2000): the phase is 2 w times the offset."""
    return _ticks(noise, 3e-4)


def clock_synchronisation_delayed(noise: Noise) -> list[Share]:
    """The way towards bob takes 0.1 ms longer than the way back: half of that looks like an offset."""
    return _ticks(noise, 3e-4 + 1e-4 / 2)


def _ticks(noise: Noise, ahead_s: float) -> list[Share]:
    """A teleported vector of random direction in the X-Y plane is on average w (1 - g) (k + k^2)/2 as long."""
    contrast = (noise.w * (1 - noise.gate) * (noise.k + noise.k**2) / 2) ** 2 * noise.k
    angle = 2 * 2 * math.pi * 500.0 * ahead_s
    return [
        Share("alice.x_plus", "alice.x_ticks", (1 + contrast * math.cos(angle)) / 2),
        Share("alice.y_plus", "alice.y_ticks", (1 + contrast * math.sin(angle)) / 2),
    ]


def _telescope(noise: Noise) -> list[Share]:
    """Gottesman, Jennewein, Croke, PRL 109, 070503 (2012): (1 + V cos(phi - delta))/2 of those that are kept."""
    return _starlight(noise, 1.0)


def telescope_clouded(noise: Noise) -> list[Share]:
    """Clouds take 3 dB of the light of one site."""
    return _starlight(noise, 10**-0.3)


def _starlight(noise: Noise, clear: float) -> list[Share]:
    def seen(delta: float) -> dict[tuple[bool, bool], float]:
        def one(desk: Desk) -> tuple[bool, bool]:
            mean = (1 + 0.7) / 2
            waves = [np.array([0, 1, np.exp(1j * (1.0 + turn)), 0]) / math.sqrt(2) for turn in (0.0, math.pi)]
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


BOUNDS = {
    "bb84": (0.11, "no safe key above (Shor and Preskill)"),
    "bbm92": (0.11, "no safe key above (Shor and Preskill)"),
    "chsh": (0.75, "without entanglement"),
    "magic_square": (8 / 9, "without entanglement"),
    "mermin_game": (0.75, "without entanglement"),
    "superdense_coding": (0.5, "one bit in a qubit, and a guess"),
    "teleportation": (2 / 3, "without entanglement"),
}
"""What the first share is at most by classical means."""

SHARES: dict[str, Theory] = {
    "anonymous_transmission": _anonymous_transmission,
    "b92": _b92,
    "bb84": _bb84,
    "bbm92": _bbm92,
    "blind_computing": _blind_computing,
    "chsh": _chsh,
    "clock_synchronisation": _clock_synchronisation,
    "coin_flipping": _coin_flipping,
    "conference_key": _conference_key,
    "distributed_circuit": _distributed_circuit,
    "distributed_cnot": _distributed_cnot,
    "e91": _e91,
    "fingerprinting": _fingerprinting,
    "leader_election": _leader_election,
    "magic_square": _magic_square,
    "mermin_game": _mermin_game,
    "remote_state_preparation": _remote_state_preparation,
    "secret_sharing": _secret_sharing,
    "six_state": _six_state,
    "superdense_coding": _superdense_coding,
    "teleportation": _teleportation,
    "teleported_cnot": _teleported_cnot,
    "telescope": _telescope,
    "verification": _verification,
    "verified_blind_computing": _verified_blind_computing,
}
__all__ = ["BOUNDS", "SHARES", "Share", "Theory", "agrees", "deviation", "distribution"]
