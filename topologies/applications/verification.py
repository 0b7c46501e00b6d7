"""Verification of a GHZ state by random stabilisers. verification.py ROLE STATES

Alice draws one of the 2^n stabilisers of the state (an even number of Z's, or a Y at these places and an X at the
others), tells each its Pauli, and all measure it. Their parity is that of the stabiliser's sign for a perfect state.
If p is the share of the tests that pass, the fidelity is 2p - 1, whatever the noise (Flammia and Liu 2011; Pallister,
Linden and Montanaro 2018).
"""

import os
import random
import sys

from qnode.sdk import attach

OTHERS = ("bob", "charlie", "dave")


def stabiliser(choose):
    """The Pauli of each, and whether the product is -1."""
    bits = [choose.randrange(2) for _ in OTHERS]
    marked = [*bits, sum(bits) % 2]  # an even number of places
    if choose.randrange(2):
        return "".join("IZ"[mark] for mark in marked), False
    return "".join("XY"[mark] for mark in marked), sum(marked) % 4 == 2


def measured(session, qubit, pauli):
    """The bit; of the identity 0."""
    if pauli == "I":
        session.discard(qubit)
        return 0
    return session.measure(qubit, axis=pauli)


def alice(session, states):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    passed = 0
    with session.open_group(OTHERS) as group:
        for _ in range(states):
            qubit = group.next_qubit()
            paulis, parity = stabiliser(choose)
            for other, pauli in zip(OTHERS, paulis[1:], strict=True):
                session.send(other, pauli.encode(), tag="pauli")
            parity ^= measured(session, qubit, paulis[0])
            for other in OTHERS:
                parity ^= session.receive(other, tag="bit")[0]
            passed += not parity
    share = passed / states
    session.report(states=states, passed=share, fidelity=(2 * share - 1, 2 * (share * (1 - share) / states) ** 0.5))


def other(session, states):
    with session.join_group() as group:
        for _ in range(states):
            qubit = group.next_qubit()
            pauli = session.receive("alice", tag="pauli").decode()
            session.send("alice", bytes([measured(session, qubit, pauli)]), tag="bit")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    (alice if role == "alice" else other)(here, number)
