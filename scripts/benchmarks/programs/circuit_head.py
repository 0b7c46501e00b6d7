import sys
import time

from qnode.sdk import attach

remote, pairs = sys.argv[1], int(sys.argv[2])
with attach() as session:
    started = time.perf_counter()
    circuit = session.open_circuit(remote, slots=5)
    opened_s = time.perf_counter() - started
    for pair in circuit.pairs(pairs):
        session.measure(pair.qubit)
    session.report(seconds=time.perf_counter() - started, opened_s=opened_s)
    session.receive(remote)
