"""Accept a circuit, measure its pairs in two bases until it closes, and compare: qber_tail.py HEAD."""

from __future__ import annotations

import math
import sys

from qnode.sdk import CircuitClosed, TimedOut, attach

head = sys.argv[1]
with attach() as session:
    try:
        circuit = session.accept_circuit(head, timeout_s=2.0)
    except TimedOut:
        print(f"no circuit from {head} came")
    else:
        bits = []
        try:
            while True:
                bits.append(session.measure(circuit.next_pair().qubit, axis="ZX"[len(bits) % 2]))
        except CircuitClosed as error:
            print(error)
        others = session.receive(circuit.remote, tag=circuit.name)
        for name, first in (("qber_z", 0), ("qber_x", 1)):
            differ = [mine != theirs for mine, theirs in zip(bits[first::2], others[first::2], strict=False)]
            if differ:
                share = (sum(differ) + 1) / (len(differ) + 2)  # so that no error is not certainty
                error = math.sqrt(share * (1 - share) / (len(differ) + 2))
                session.report(**{name: (sum(differ) / len(differ), error)})
