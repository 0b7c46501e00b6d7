"""B92: a key from qubits in only two states, which are not orthogonal. b92.py ROLE QUBITS

Alice sends |0> for 0 and |+> for 1. Bob measures Z or X: |1> cannot have been |0>, |-> cannot have been |+>; anything
else tells nothing. A quarter of the qubits that arrive is conclusive (Bennett 1992).
"""

import os
import random
import sys

from qnode.sdk import Circuit, QubitLost, attach

LOST, UNCLEAR = 2, 3

PERIOD_S = 1e-4  # between two qubits, so that bob has measured one when the next comes


def alice(session, qubits):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    sent = [choose.randrange(2) for _ in range(qubits)]
    for bit in sent:
        preparation = Circuit()
        qubit = preparation.prepare()
        if bit:
            preparation.gate("H", qubit)
        session.send_qubit(session.run(preparation).qubits[0], "bob")
        session.sleep(PERIOD_S)
    told = session.receive("bob", tag="told")  # all of it, to count errors; else which ones, and a sample of the bits
    arrived = sum(each != LOST for each in told)
    conclusive = [(bit, each) for bit, each in zip(sent, told, strict=True) if each < LOST]
    errors = sum(bit != each for bit, each in conclusive)
    session.report(qubits=qubits, arrived=arrived / qubits, arrivals=arrived)
    session.report(key_bits=len(conclusive), conclusive=len(conclusive) / arrived, errors=errors / len(conclusive))


def bob(session, qubits):
    choose = random.Random(f"bob {os.environ['QLOOM_SEED']}")
    told = []
    for _ in range(qubits):
        axis = choose.choice("ZX")
        try:
            excluded = session.measure(session.receive_qubit("alice"), axis=axis)
            told.append((axis == "Z") if excluded else UNCLEAR)
        except QubitLost:
            told.append(LOST)
    session.send("alice", bytes(told), tag="told")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
