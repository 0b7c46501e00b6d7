"""Request pairs one at a time, keep each, measure it; report the rate by the wall clock."""

import sys
import time

from qnode.sdk import attach

remote, count, held = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with attach() as session:
    others = [session.request_pair(remote) for _ in range(held)]
    for _ in range(50):
        session.measure(session.request_pair(remote))
    start = time.perf_counter()
    for _ in range(count):
        session.measure(session.request_pair(remote))
    session.report(per_second=count / (time.perf_counter() - start), held=len(others))
