"""Teleport fresh qubits one at a time, waiting for bob's word after each."""

import sys
import time

from qnode.sdk import attach

count = int(sys.argv[1])
with attach() as session:
    start = time.perf_counter()
    for _ in range(count):
        pair = session.request_pair("bob")
        session.teleport(session.prepare(), pair)
    session.receive("bob", tag="end")
    session.report(per_second=count / (time.perf_counter() - start))
