"""Tell whoever asks what the time is by this node's clock: clock_server.py CLIENT."""

from __future__ import annotations

import struct
import sys

from qnode.sdk import attach

client = sys.argv[1]
with attach() as session:
    while session.receive(client, tag="clock"):
        session.send(client, struct.pack("<q", session.now_ps), tag="clock")
