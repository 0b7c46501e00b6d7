"""The CHSH game: who share an entangled pair win more often than any two who do not. chsh.py ROLE ROUNDS

Each round a referee's coins give alice x and bob y; they answer a and b without speaking, and win if a XOR b = x AND
y. Without entanglement they win at most 3/4 of the rounds, with Phi+ cos^2(pi/8) = 0.854 of them (Clauser et al.
1969).
"""

import math
import os
import random
import sys

from qnode.sdk import attach

HALF = math.sqrt(0.5)
ALICE_AXES = ("Z", "X")
BOB_AXES = ((HALF, 0.0, HALF), (-HALF, 0.0, HALF))  # (Z + X)/sqrt 2, (Z - X)/sqrt 2


def alice(session, rounds):
    coin = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    asked, answered = [], []
    with session.open_circuit("bob") as circuit:
        for pair in circuit.pairs(rounds):
            asked.append(coin.randrange(2))
            answered.append(session.measure(pair, axis=ALICE_AXES[asked[-1]]))
        questions, answers = session.receive("bob", tag="y"), session.receive("bob", tag="b")
    won = sum(a ^ b == x & y for x, a, y, b in zip(asked, answered, questions, answers, strict=True))
    session.report(rounds=rounds, won=won / rounds)


def bob(session, rounds):
    coin = random.Random(f"bob {os.environ['QLOOM_SEED']}")
    asked, answered = [], []
    with session.accept_circuit("alice") as circuit:
        for pair in circuit.pairs(rounds):
            asked.append(coin.randrange(2))
            answered.append(session.measure(pair, axis=BOB_AXES[asked[-1]]))
    session.send("alice", bytes(asked), tag="y")
    session.send("alice", bytes(answered), tag="b")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
