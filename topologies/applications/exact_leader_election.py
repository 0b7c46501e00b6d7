"""Exact anonymous leader election: two equals choose one of them for certain. exact_leader_election.py ROLE ELECTIONS

No program that both run alike, with coins or without, can promise that by messages. With qubits it can (Tani,
Kobayashi and Matsumoto 2005; here for two): each makes |0> + |1> and learns, by lending the other a copy, whether the
two are equal, and nothing else. If they differ, one reads 1 and leads. If they are equal, |00> + |11> is left; both
turn theirs by RX(pi/2), which makes it |01> + |10>, and one reads 1. No entanglement is given beforehand but what
moves the copies.
"""

import math
import sys

from qnode.sdk import attach


def exchanged(circuit, qubit, first):
    """The other's qubit for mine; one of the two must go first."""
    if first:
        circuit.teleport(qubit)
        return circuit.receive_qubit()
    theirs = circuit.receive_qubit()
    circuit.teleport(qubit)
    return theirs


def elect(session, circuit, first):
    """The bit of this node: 1 leads."""
    own, copy, parity = session.prepare(), session.prepare(), session.prepare()
    session.h(own)
    session.cx(own, copy)
    theirs = exchanged(circuit, copy, first)
    session.cx(own, parity)
    session.cx(theirs, parity)
    differ = session.measure(parity)
    copy = exchanged(circuit, theirs, first)
    session.cx(own, copy)
    session.discard(copy)
    if not differ:
        session.rx(own, math.pi / 2)
    return session.measure(own)


def alice(session, elections):
    with session.open_circuit("bob", slots=4) as circuit:  # two qubits of the other are held
        mine = [elect(session, circuit, True) for _ in range(elections)]
        theirs = session.receive("bob", tag="read")
    decided = [a for a, b in zip(mine, theirs, strict=True) if a != b]
    session.report(elections=elections, decided=len(decided) / elections, leaders=len(decided))
    session.report(leads=sum(decided) / len(decided))


def bob(session, elections):
    with session.accept_circuit("alice") as circuit:
        session.send("alice", bytes(elect(session, circuit, False) for _ in range(elections)), tag="read")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
