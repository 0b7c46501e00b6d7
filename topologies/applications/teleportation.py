"""Teleportation: the state of alice's qubit comes out of bob's half of a pair. teleportation.py ROLE QUBITS

Alice measures her qubit and her half of Phi+ in the Bell basis and tells bob two bits; he applies X and Z by them
(Bennett et al. 1993). The SDK does all that. Here alice sends the six eigenstates of X, Y and Z, and bob counts how
often he reads what was sent. With classical means alone that cannot be more than 2/3 of the time (Massar and Popescu
1995).
"""

import os
import random
import sys

from qnode.sdk import Circuit, attach

PREPARATIONS = ((), ("X",), ("H",), ("X", "H"), ("H", "S"), ("H", "SDG"))  # |0> |1> |+> |-> |+i> |-i>
AXES = "ZZXXYY"


def alice(session, qubits):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    states = [choose.randrange(6) for _ in range(qubits)]
    session.send("bob", bytes(states), tag="states")  # so that bob can check; teleportation itself needs no such thing
    with session.open_circuit("bob") as circuit:
        for state in states:
            preparation = Circuit()
            qubit = preparation.prepare()
            for gate in PREPARATIONS[state]:
                preparation.gate(gate, qubit)
            circuit.teleport(session.run(preparation).qubits[0])


def bob(session, qubits):
    as_sent = 0
    with session.accept_circuit("alice") as circuit:
        for state in session.receive("alice", tag="states"):
            as_sent += session.measure(circuit.receive_qubit(), axis=AXES[state]) == state % 2
    session.report(qubits=qubits, as_sent=as_sent / qubits)


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
