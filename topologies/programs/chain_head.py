"""Open a circuit to bob, measure fifty pairs, and compare the bits."""

from qnode.sdk import attach

with attach() as session, session.open_circuit("bob", min_fidelity=0.7, rate_bpps=10) as circuit:
    bits = bytes(session.measure(pair) for pair in circuit.pairs(50))
    others = session.receive("bob", tag="bits")
    session.report(pairs=len(bits), agreement=sum(a == b for a, b in zip(bits, others, strict=True)) / len(bits))
