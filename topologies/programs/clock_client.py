"""Compare this node's clock with another's, again and again: clock_client.py SERVER."""

from __future__ import annotations

import struct
import sys

from qnode.sdk import attach

server = sys.argv[1]
with attach() as session:

    def offset_s() -> float:
        """How far the server's clock is ahead: RFC 5905, section 8, for ways of equal length."""
        sent = session.now_ps
        session.send(server, b"?", tag="clock")
        (told,) = struct.unpack("<q", session.receive(server, tag="clock"))
        return ((told - sent) + (told - session.now_ps)) / 2 / 1e12

    offsets = {}
    for at_s in (0.5, 1.5, 2.5, 3.5):
        session.sleep(at_s - session.now_s)
        offsets[at_s] = offset_s()
    session.send(server, b"", tag="clock")
    session.report(
        offset_before_s=offsets[0.5], drift_ppm=(offsets[2.5] - offsets[1.5]) * 1e6, offset_after_s=offsets[3.5]
    )
