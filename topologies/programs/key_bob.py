"""The other end of a key made from entangled pairs: key_bob.py ALICE HOW_MANY."""

from __future__ import annotations

import os
import random
import sys

from qnode.sdk import attach

remote, count = sys.argv[1], int(sys.argv[2])
choose = random.Random(f"bob {os.environ['QLOOM_SEED']}")
with attach() as session:
    for half in ("before", "after"):
        axes = [choose.choice("ZX") for _ in range(count // 2)]
        bits = [session.measure(session.request_pair(remote), axis=axis) for axis in axes]
        session.send(remote, "".join(axes).encode(), tag="axes")
        theirs = session.receive(remote, tag="axes").decode()
        sifted = [bit for bit, mine, yours in zip(bits, axes, theirs, strict=True) if mine == yours]
        session.send(remote, bytes(sifted[::2]), tag="test")
        safe = session.receive(remote, tag="verdict")[0]
        session.report(**{f"key_bits_{half}": len(sifted[1::2]) if safe else 0})
