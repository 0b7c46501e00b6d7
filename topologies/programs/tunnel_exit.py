"""Receive teleported qubits and look whether each is as it was sent: tunnel_exit.py FROM HOW_MANY."""

from __future__ import annotations

import sys

from qnode.sdk import attach

remote, count = sys.argv[1], int(sys.argv[2])
wrong = 0
with attach() as session, session.accept_circuit(remote) as circuit:
    for number in range(count):
        qubit = circuit.receive_qubit()
        session.ry(qubit, -0.1 * number)
        wrong += session.measure(qubit)
    session.report(received=count, wrong=wrong)
    session.send(remote, b"", tag="done")
