"""Quantum coin flipping: two who do not trust each other toss a coin by telephone. coin_flipping.py ROLE TOSSES

Alice draws a bit b and sends one of two states for it: those of b = 0 lie 45 degrees on either side of |0> in the
Bloch sphere, those of b = 1 on either side of |1>. Bob answers with a bit; alice tells b and which state it was; bob
measures whether it is, and calls it off if not. The coin is the XOR (Aharonov, Ta-Shma, Vazirani and Yao 2000). By
messages alone, one of the two can always have the coin as he likes.

Every third toss is honest. In every third alice cheats: she sends |+> and tells the b that she needs. In every third
bob cheats: he measures Z, guesses b, and answers for it. Both want a 1.
"""

import math
import os
import random
import sys

from qnode.sdk import attach

ANGLE = {(b, which): math.pi * (1 + 2 * b) / 4 * (-1) ** which for b in (0, 1) for which in (0, 1)}
HONEST, ALICE_CHEATS, BOB_CHEATS = range(3)


def alice(session, tosses):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    with session.open_circuit("bob") as circuit:
        for toss in range(tosses):
            b, which = choose.randrange(2), choose.randrange(2)
            cheats = toss % 3 == ALICE_CHEATS
            qubit = session.prepare()
            session.ry(qubit, math.pi / 2 if cheats else ANGLE[b, which])
            circuit.teleport(qubit)
            answer = session.receive("bob", tag="answer")[0]
            session.send("bob", bytes([1 - answer, 0] if cheats else [b, which]), tag="told")


def bob(session, tosses):
    choose = random.Random(f"bob {os.environ['QLOOM_SEED']}")
    coins = {HONEST: [], ALICE_CHEATS: [], BOB_CHEATS: []}
    with session.accept_circuit("alice") as circuit:
        for toss in range(tosses):
            qubit, cheats = circuit.receive_qubit(), toss % 3 == BOB_CHEATS
            answer = 1 - session.measure(qubit) if cheats else choose.randrange(2)
            session.send("alice", bytes([answer]), tag="answer")
            b, which = session.receive("alice", tag="told")
            angle = ANGLE[b, which]
            caught = not cheats and session.measure(qubit, axis=(math.sin(angle), 0.0, math.cos(angle)))
            coins[toss % 3].append(None if caught else b ^ answer)
    honest, fair = coins[HONEST], [coin for coin in coins[HONEST] if coin is not None]
    session.report(
        honest=len(honest), called_off=1 - len(fair) / len(honest), fair=len(fair), ones=sum(fair) / len(fair)
    )
    for name, kind in (("alice", ALICE_CHEATS), ("bob", BOB_CHEATS)):
        session.report(**{f"{name}_cheats": len(coins[kind]), f"{name}_gets": coins[kind].count(1) / len(coins[kind])})


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
