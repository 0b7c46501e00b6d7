"""E91: a key from entangled pairs, whose safety is seen from the violation of Bell's inequality. e91.py ROLE PAIRS

Each measures along one of three directions in the Z-X plane. Equal directions (2 of 9 pairs) give the raw key; two of
each play the CHSH game (4 of 9). An eavesdropper who learns bits breaks the entanglement, and they win no more than
3/4 of the games (Ekert 1991; signs here for Phi+ in place of the singlet).
"""

import math
import os
import random
import sys

from qnode.sdk import attach

ALICE_DEGREES, BOB_DEGREES = (0, 45, 90), (45, 90, 135)  # on the Bloch sphere, from Z towards X


def axis(degrees):
    return (math.sin(math.radians(degrees)), 0.0, math.cos(math.radians(degrees)))


def measured(session, circuit, pairs, directions, choose):
    """Direction (degrees) and bit of each pair."""
    chosen = [choose.choice(directions) for _ in range(pairs)]
    return [(each, session.measure(circuit.next_pair(), axis=axis(each))) for each in chosen]


def alice(session, pairs):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    with session.open_circuit("bob") as circuit:
        mine = measured(session, circuit, pairs, ALICE_DEGREES, choose)
        theirs = session.receive("bob", tag="directions")
    session.send("bob", bytes(degrees for degrees, _ in mine), tag="directions")
    shown = session.receive("bob", tag="shown")  # his bits, but those of the key
    key = [bit for (degrees, bit), yours in zip(mine, theirs, strict=True) if degrees == yours]
    games = won = 0
    for (x, a), y, b in zip(mine, theirs, shown, strict=True):
        if x in (0, 90) and y in (45, 135):
            games += 1
            won += (a ^ b) == ((x, y) == (0, 135))
    wrong = session.receive("bob", tag="key")  # only to count errors: a real key is not sent
    errors = sum(mine != yours for mine, yours in zip(key, wrong, strict=True))
    session.report(pairs=pairs, key=len(key) / pairs, key_bits=len(key), errors=errors / len(key))
    session.report(chsh_games=games, chsh_won=won / games, runs=1, safe=won / games > 0.75)


def bob(session, pairs):
    choose = random.Random(f"bob {os.environ['QLOOM_SEED']}")
    with session.accept_circuit("alice") as circuit:
        mine = measured(session, circuit, pairs, BOB_DEGREES, choose)
    session.send("alice", bytes(degrees for degrees, _ in mine), tag="directions")
    theirs = session.receive("alice", tag="directions")
    rounds = list(zip(mine, theirs, strict=True))
    session.send("alice", bytes(2 if degrees == yours else bit for (degrees, bit), yours in rounds), tag="shown")
    session.send("alice", bytes(bit for (degrees, bit), yours in rounds if degrees == yours), tag="key")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
