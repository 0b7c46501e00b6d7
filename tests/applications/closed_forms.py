"""Shares in closed form: F is the fidelity of a Werner pair, w = (4F - 1)/3 its weight of Phi+, g the depolarising probability
of a two-qubit gate, e a readout error and k = 1 - 2e."""

from __future__ import annotations

import itertools
import math

from shares import Share
from variants import Noise


def chsh(noise: Noise) -> list[Share]:
    """Clauser, Horne, Shimony, Holt, PRL 23, 880 (1969); Cleve et al., quant-ph/0404076: each product is w k^2/sqrt(2)."""
    return [Share("alice.won", "alice.rounds", 0.5 + noise.w * noise.k**2 * math.sqrt(2) / 4)]


def teleportation(noise: Noise) -> list[Share]:
    """Horodecki, Horodecki, Horodecki, PRA 60, 1888 (1999), with F the fidelity: (2F + 1)/3 = (1 + w)/2.

    Of alice's two bits a wrong x flips Z and Y eigenstates, a wrong z those of X and Y.
    """
    k = noise.k
    contrast = noise.w * (1 - noise.gate) * k * (k + k + k**2) / 3
    return [Share("bob.as_sent", "bob.qubits", (1 + contrast) / 2)]


def superdense_coding(noise: Noise) -> list[Share]:
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


def bbm92(noise: Noise) -> list[Share]:
    """Bennett, Brassard and Mermin, PRL 68, 557 (1992)."""
    return _key(1 / 2, noise.w * noise.k**2)


def bbm92_with_eve(noise: Noise) -> list[Share]:
    """Who measures every photon along Z or X at random leaves half of each correlator."""
    return [*_key(1 / 2, noise.w * noise.k**2 / 2), Share("alice.safe", "alice.runs", 0.0)]


def e91(noise: Noise) -> list[Share]:
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


def bb84(noise: Noise) -> list[Share]:
    """Bennett and Brassard (1984), TCS 560, 7 (2014): a depolarising fibre of entanglement fidelity F, one readout."""
    return [_sent(noise), *_key(1 / 2, noise.w * noise.k, of="alice.arrivals")]


def bb84_with_eve(noise: Noise) -> list[Share]:
    """Eve chooses the right one of two bases half of the time."""
    return [_sent(noise), *_key(1 / 2, noise.w * noise.k / 2, of="alice.arrivals")]


def six_state(noise: Noise) -> list[Share]:
    """Bruss, PRL 81, 3018 (1998)."""
    return [_sent(noise), *_key(1 / 3, noise.w * noise.k, of="alice.arrivals")]


def six_state_with_eve(noise: Noise) -> list[Share]:
    """Eve chooses the right one of three bases a third of the time."""
    return [_sent(noise), *_key(1 / 3, noise.w * noise.k / 3, of="alice.arrivals")]


def b92(noise: Noise) -> list[Share]:
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


def mermin_game(noise: Noise) -> list[Share]:
    """Greenberger, Horne, Zeilinger (1989), arXiv:0712.0921; Mermin, PRL 65, 1838 (1990)."""
    return [Share("alice.won", "alice.rounds", (1 + (noise.w * noise.k) ** 3) / 2)]


def magic_square(noise: Noise) -> list[Share]:
    """Aravind, quant-ph/0206070. Where row r and column c cross stands an observable of one pair, or of both."""
    won = 0.0
    for r in range(3):
        for c in range(3):
            both, gates = r == 2 or c == 2, (r == 2) + (c == 2)
            bits = 2 + (c == 2) + (r == 2)  # the third of a row or column is the product of the others
            won += (1 + noise.w ** (1 + both) * noise.k**bits * (1 - noise.gate) ** gates) / 18
    return [Share("alice.won", "alice.rounds", won)]


def secret_sharing(noise: Noise) -> list[Share]:
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


def conference_key(noise: Noise) -> list[Share]:
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


def leader_election(noise: Noise) -> list[Share]:
    """D'Hondt and Panangaden, quant-ph/0412177: each of the bits 1, 0, 0 is read wrong with probability (1 - wk)/2."""
    f = (1 - noise.w * noise.k) / 2
    decided = (1 - f) ** 3 + 2 * f**2 * (1 - f)
    lead = [Share(f"{name}.leads", f"{name}.leaders", 1 / 3) for name in ("alice", "bob", "charlie")]
    return [Share("alice.decided", "alice.elections", decided), *lead]


def verification(noise: Noise) -> list[Share]:
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


def anonymous_transmission(noise: Noise) -> list[Share]:
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


def remote_state_preparation(noise: Noise) -> list[Share]:
    """Pati, PRA 63, 014302 (2000); Bennett et al., PRL 87, 077902 (2001): a wrong bit leaves the opposite state."""
    return [Share("bob.as_prepared", "bob.states", (1 + noise.w * noise.k**2) / 2)]


def coin_flipping(noise: Noise) -> list[Share]:
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


def clock_synchronisation(noise: Noise) -> list[Share]:
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
