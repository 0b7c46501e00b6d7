"""Teleport qubits over a circuit, again if one was lost: tunnel_entrance.py TO HOW_MANY."""

from __future__ import annotations

import sys

from qnode.sdk import QubitLost, attach

remote, count = sys.argv[1], int(sys.argv[2])
lost = 0
with attach() as session, session.open_circuit(remote) as circuit:
    for number in range(count):
        while True:
            qubit = session.prepare()
            session.ry(qubit, 0.1 * number)
            try:
                circuit.teleport(qubit)
            except QubitLost:
                lost += 1  # the network says so, and the program has it in its hands
                continue
            break
        session.sleep(0.02)
    session.report(lost=lost)
    session.receive(remote, tag="done")
