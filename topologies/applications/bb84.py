"""BB84, or with three axes six-state: a key from qubits sent through a fibre. bb84.py ROLE QUBITS [AXES]

Alice sends an eigenstate of a random axis; bob measures along a random axis. Where the axes agree the bits do, unless
somebody measured on the way (Bennett and Brassard 1984; with ZXY in place of ZX: Bruss 1998). Half of these bits are
compared, the others are the raw key.
"""

import os
import random
import sys

from qnode.sdk import Circuit, QubitLost, attach

TURNS = {"Z": (), "X": ("H",), "Y": ("H", "S")}  # from the eigenstates of Z to those of the axis

PERIOD_S = 1e-4  # between two qubits, so that bob has measured one when the next comes


def alice(session, qubits, axes):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    sent = []
    for _ in range(qubits):
        axis, bit = choose.choice(axes), choose.randrange(2)
        preparation = Circuit()
        qubit = preparation.prepare()
        for gate in (*("X" * bit), *TURNS[axis]):
            preparation.gate(gate, qubit)
        session.send_qubit(session.run(preparation).qubits[0], "bob")
        session.sleep(PERIOD_S)
        sent.append((axis, bit))
    theirs = session.receive("bob", tag="axes").decode()  # a dash where nothing came
    sifted = [place for place, (axis, _) in enumerate(sent) if axis == theirs[place]]
    tested = sorted(choose.sample(sifted, len(sifted) // 2))
    session.send("bob", bytes(place in tested for place in range(qubits)), tag="tested")
    seen = session.receive("bob", tag="bits")
    errors = sum(sent[place][1] != bit for place, bit in zip(tested, seen, strict=True))
    arrived = qubits - theirs.count("-")
    session.report(qubits=qubits, arrived=arrived / qubits, arrivals=arrived, sifted=len(sifted) / arrived)
    session.report(tested=len(tested), errors=errors / len(tested), key_bits=len(sifted) - len(tested))


def bob(session, qubits, axes):
    choose = random.Random(f"bob {os.environ['QLOOM_SEED']}")
    used, bits = "", []
    for _ in range(qubits):
        axis = choose.choice(axes)
        try:
            bits.append(session.measure(session.receive_qubit("alice"), axis=axis))
            used += axis
        except QubitLost:
            bits.append(0)
            used += "-"
    session.send("alice", used.encode(), tag="axes")
    tested = session.receive("alice", tag="tested")
    session.send("alice", bytes(bit for bit, shown in zip(bits, tested, strict=True) if shown), tag="bits")


role, number, axes = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["ZX"])[0]
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number, axes)
