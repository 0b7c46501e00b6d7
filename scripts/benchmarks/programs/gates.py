"""Single gates, one request each; then gates in circuits of 500."""

import sys
import time

from qnode.sdk import Circuit, attach

count, batched = int(sys.argv[1]), int(sys.argv[2])
with attach() as session:
    qubit = session.prepare()
    start = time.perf_counter()
    for _ in range(count):
        session.h(qubit)
    single = count / (time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range(batched // 500):
        circuit = Circuit()
        for _ in range(500):
            circuit.gate("H", qubit)
        session.run(circuit)
    session.report(single=single, batched=batched // 500 * 500 / (time.perf_counter() - start))
