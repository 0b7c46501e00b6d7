"""Prepare a GHZ state, send a qubit to each leaf, then have all measure and compare."""

import sys
import time

from qnode.sdk import Circuit, attach

leaves = [f"leaf{number}" for number in range(int(sys.argv[1]))]
with attach() as session:
    start = time.perf_counter()
    circuit = Circuit()
    qubits = [circuit.prepare() for _ in range(len(leaves) + 1)]
    circuit.gate("H", qubits[0])
    for qubit in qubits[1:]:
        circuit.gate("CX", qubits[0], qubit)
    mine, *theirs = session.run(circuit).qubits
    for leaf, qubit in zip(leaves, theirs, strict=True):
        session.send_qubit(qubit, leaf)
    for leaf in leaves:
        session.receive(leaf, tag="held")
    held_s = time.perf_counter() - start
    for leaf in leaves:
        session.send(leaf, b"", tag="measure")
    bits = {session.measure(mine), *(session.receive(leaf, tag="bit")[0] for leaf in leaves)}
    session.report(held_s=held_s, agreeing=float(len(bits) == 1), seconds=time.perf_counter() - start)
