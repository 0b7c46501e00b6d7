"""Anonymous transmission: a qubit comes from one of four, and nobody can tell from whom to whom.

anonymous_transmission.py sender|receiver|other QUBITS

A bit is sent anonymously over a GHZ state: the sender applies Z if it is 1, all measure X and tell; the parity is the
bit. A pair of sender and receiver is made of another: the others measure X and tell, the sender tells a random bit
and applies Z if it is 1, the receiver tells a random bit and applies Z if the parity of what all others told is odd:
|00> + |11> is left. Over it the sender teleports the qubit; the two bits of that are sent anonymously, too
(Christandl and Wehner 2005).
"""

import os
import random
import sys

from qnode.sdk import Circuit, attach

PREPARATIONS = ((), ("X",), ("H",), ("X", "H"), ("H", "S"), ("H", "SDG"))  # |0> |1> |+> |-> |+i> |-i>
NODES = ("alice", "bob", "charlie", "dave")


def told(session, bit, number):
    """Tell all others a bit, the one of this number; the parity of what they tell."""
    others = [node for node in NODES if node != session.node]
    for node in others:
        session.send(node, bytes([bit]), tag=f"told {number}")
    return sum(session.receive(node, tag=f"told {number}")[0] for node in others) % 2


def anonymous_bit(session, group, secret, seen):
    """One bit from whoever wants to say 1; all learn it."""
    qubit = group.next_qubit()
    if secret:
        session.z(qubit)
    bit = session.measure(qubit, axis="X")
    seen.append(bit)
    return bit ^ told(session, bit, len(seen))


def run(session, role, group, qubits):
    choose = random.Random(f"{session.node} {os.environ['QLOOM_SEED']}")
    known = random.Random(f"states {os.environ['QLOOM_SEED']}")  # so that the receiver can check what the sender sent
    seen, as_sent = [], 0
    for _ in range(qubits):
        half, state = group.next_qubit(), known.randrange(6)
        bit = session.measure(half, axis="X") if role == "other" else choose.randrange(2)
        if role == "sender" and bit:
            session.z(half)
        seen.append(bit)
        odd = told(session, bit, len(seen))
        x = z = 0
        if role == "sender":
            preparation = Circuit()
            qubit = preparation.prepare()
            for gate in PREPARATIONS[state]:
                preparation.gate(gate, qubit)
            x, z = session.measure_bell(session.run(preparation).qubits[0], half)
        x, z = anonymous_bit(session, group, x, seen), anonymous_bit(session, group, z, seen)
        if role == "receiver":
            if x:
                session.x(half)
            if z ^ odd:
                session.z(half)
            as_sent += session.measure(half, axis="ZZXXYY"[state]) == state % 2
    session.report(told=len(seen), ones=sum(seen) / len(seen))  # what an observer hears of this node: fair coins
    if role == "receiver":
        session.report(qubits=qubits, as_sent=as_sent / qubits)


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here, here.open_group(NODES[1:], slots=6) if here.node == NODES[0] else here.join_group() as group:
    run(here, role, group, number)
    told(here, 0, 0)  # who leaves a group ends it for all
