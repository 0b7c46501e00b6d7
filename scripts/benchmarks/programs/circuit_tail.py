import sys

from qnode.sdk import attach

pairs = int(sys.argv[1])
with attach() as session:
    circuit = session.accept_circuit()
    for pair in circuit.pairs(pairs):
        session.measure(pair.qubit)
    session.send(circuit.remote, b"done")
