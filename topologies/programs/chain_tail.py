"""Take the circuit that alice opens, measure its pairs, and tell her the bits."""

from qnode.sdk import attach

with attach() as session, session.accept_circuit("alice") as circuit:
    session.send("alice", bytes(session.measure(pair) for pair in circuit.pairs(50)), tag="bits")
