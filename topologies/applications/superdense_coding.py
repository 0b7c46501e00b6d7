"""Superdense coding: two bits in one qubit, to who holds the other half of its pair. superdense_coding.py ROLE MESSAGES

Alice applies X if the first bit is 1 and Z if the second is, and sends her half of Phi+; bob measures both halves in
the Bell basis (Bennett and Wiesner 1992). To a neighbour the half goes through the fibre, where it may be lost; to
anybody else it is teleported over a further pair.
"""

import os
import random
import sys

from qnode.sdk import QubitLost, attach


def alice(session, messages):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    sent = []
    with session.open_circuit("bob") as circuit:
        neighbours = len(circuit.path) == 2
        for _ in range(messages):
            x, z = choose.randrange(2), choose.randrange(2)
            sent.append(2 * x + z)
            half = circuit.next_pair()
            if x:
                session.x(half)
            if z:
                session.z(half)
            if neighbours:
                session.send_qubit(half, "bob")
            else:
                circuit.teleport(half)
    session.send("bob", bytes(sent), tag="sent")  # so that bob can count


def bob(session, messages):
    read = []
    with session.accept_circuit("alice") as circuit:
        neighbours = len(circuit.path) == 2
        for _ in range(messages):
            pair = circuit.next_pair()
            try:
                half = session.receive_qubit("alice") if neighbours else circuit.receive_qubit()
            except QubitLost:
                session.discard(pair)
                read.append(None)
                continue
            x, z = session.measure_bell(half, pair)
            read.append(2 * x + z)
        sent = session.receive("alice", tag="sent")
    arrived = sum(word is not None for word in read)
    as_sent = sum(word == intended for word, intended in zip(read, sent, strict=True))
    session.report(messages=messages, arrived=arrived / messages, arrivals=arrived, as_sent=as_sent / max(arrived, 1))


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
