"""Pairs of kind M: measured on their heralds, all in one request; report the rate by the wall clock."""

import sys
import time

from qnode.sdk import attach

remote, count = sys.argv[1], int(sys.argv[2])
with attach() as session:
    start = time.perf_counter()
    bits = session.measure_pairs(remote, count)
    session.report(per_second=len(bits) / (time.perf_counter() - start))
