"""Receive teleported qubits and measure them."""

import sys

from qnode.sdk import attach

count = int(sys.argv[1])
with attach() as session:
    ones = 0
    for _ in range(count):
        pair = session.request_pair("alice")
        ones += session.measure(session.receive_teleported(pair))
    session.send("alice", b"", tag="end")
    session.report(ones=ones)
