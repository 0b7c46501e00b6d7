"""Open a circuit whose ends distil once, measure its pairs until a time, tell the bits: distil_head.py TO UNTIL_S."""

from __future__ import annotations

import sys

from qnode.sdk import attach

remote, until_s = sys.argv[1], float(sys.argv[2])
with attach() as session:
    circuit = session.open_circuit(remote, end_distillation_rounds=1)
    bits = bytearray()
    while session.now_s < until_s:
        bits.append(session.measure(circuit.next_pair(), axis="ZX"[len(bits) % 2]))
    circuit.close()
    session.send(remote, bytes(bits), tag=circuit.name)
