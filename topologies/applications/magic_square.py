"""The magic square game: two players with two pairs always win. magic_square.py ROLE ROUNDS

Alice gets a row of a 3 x 3 square and fills it with three signs of product +1; bob gets a column and fills it with
product -1. They win if they agree where the two cross. No square can be like that, so without entanglement they win
at most 8/9 of the rounds. With two Phi+ they measure what stands there (Mermin 1990, Peres 1990, as a game: Aravind
2002):

IZ ZI ZZ XI IX XX -XZ -ZX YY
"""

import os
import random
import sys

from qnode.sdk import attach


def row(session, first, second, number):
    """Bits of a row's three observables; a bit b is the sign (-1)^b."""
    if number == 0:
        b, a = session.measure(first), session.measure(second)
    elif number == 1:
        a, b = session.measure(first, axis="X"), session.measure(second, axis="X")
    else:
        session.cz(first, second)  # takes XZ to XI and ZX to IX
        a, b = 1 - session.measure(first, axis="X"), 1 - session.measure(second, axis="X")
    return a, b, a ^ b


def column(session, first, second, number):
    """Bits of a column's three observables."""
    if number == 0:
        a, b = session.measure(second), session.measure(first, axis="X")
    elif number == 1:
        a, b = session.measure(first), session.measure(second, axis="X")
    else:
        a, b = session.measure_bell(first, second)  # ZZ and XX
    return a, b, 1 ^ a ^ b


def play(session, circuit, rounds, fill):
    """A number and a filling for each round."""
    choose = random.Random(f"{session.node} {os.environ['QLOOM_SEED']}")
    for _ in range(rounds):
        number = choose.randrange(3)
        yield number, fill(session, circuit.next_pair(), circuit.next_pair(), number)


def alice(session, rounds):
    with session.open_circuit("bob", slots=4) as circuit:
        rows = list(play(session, circuit, rounds, row))
        theirs = session.receive("bob", tag="columns")
    columns = [(theirs[i], theirs[i + 1 : i + 4]) for i in range(0, len(theirs), 4)]
    won = sum(mine[y] == yours[x] for (x, mine), (y, yours) in zip(rows, columns, strict=True))
    session.report(rounds=rounds, won=won / rounds)


def bob(session, rounds):
    with session.accept_circuit("alice") as circuit:
        columns = list(play(session, circuit, rounds, column))
    session.send("alice", bytes(each for number, bits in columns for each in (number, *bits)), tag="columns")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
