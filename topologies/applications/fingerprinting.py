"""Quantum fingerprinting: a referee compares two strings by shorter fingerprints. fingerprinting.py ROLE ROUNDS

Alice and bob hold two bits each and send the referee one qubit each: one of the four corners of a tetrahedron in the
Bloch sphere. He makes a SWAP test: an ancilla controls a swap of the two. Equal strings always pass; different ones,
whose states overlap by 1/3, fail a third of the time, so k fingerprints leave an error of (2/3)^k (Buhrman, Cleve,
Watrous and de Wolf 2001; with one qubit: de Beaudrap 2004).
"""

import math
import os
import random
import sys

from qnode.sdk import Circuit, attach

TILT = math.acos(-1 / 3)
CORNERS = ((0.0, 0.0), (TILT, 0.0), (TILT, 2 * math.pi / 3), (TILT, 4 * math.pi / 3))  # polar angle, azimuth
HOLDERS = ("alice", "bob")


def strings(name, rounds):
    """What a holder has, each in every second round the same as the other's."""
    both = random.Random(f"both {os.environ['QLOOM_SEED']}")
    drawn = [(both.randrange(4), both.randrange(4)) for _ in range(rounds)]
    return [pair[HOLDERS.index(name) if number % 2 else 0] for number, pair in enumerate(drawn)]


def holder(session, rounds):
    with session.open_circuit("referee") as circuit:
        for string in strings(session.node, rounds):
            polar, azimuth = CORNERS[string]
            preparation = Circuit()
            qubit = preparation.prepare()
            preparation.gate("RY", qubit, parameters=(polar,)).gate("RZ", qubit, parameters=(azimuth,))
            circuit.teleport(session.run(preparation).qubits[0])


def referee(session, rounds):
    circuits = [session.accept_circuit(name) for name in HOLDERS]
    passed = []
    for _ in range(rounds):
        first, second = (circuit.receive_qubit() for circuit in circuits)
        ancilla = session.prepare()
        session.h(ancilla)
        session.gate("CSWAP", ancilla, first, second)
        passed.append(session.measure(ancilla, axis="X") == 0)
        session.discard(first)
        session.discard(second)
    equal = [x == y for x, y in zip(strings("alice", rounds), strings("bob", rounds), strict=True)]  # to count only
    same = [told for told, truth in zip(passed, equal, strict=True) if truth]
    other = [told for told, truth in zip(passed, equal, strict=True) if not truth]
    session.report(equal=len(same), equal_passed=sum(same) / len(same))
    session.report(different=len(other), different_passed=sum(other) / len(other))


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    (referee if role == "referee" else holder)(here, number)
