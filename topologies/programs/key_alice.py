"""Make keys from entangled pairs, in two halves; a half with too many errors gives none: key_alice.py BOB HOW_MANY."""

from __future__ import annotations

import os
import random
import sys

from qnode.sdk import attach

MOST_ERRORS = 0.11  # beyond this, no key can be made safe by one-way post-processing (Shor and Preskill 2000)
remote, count = sys.argv[1], int(sys.argv[2])
choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
with attach() as session:
    for half in ("before", "after"):
        axes = [choose.choice("ZX") for _ in range(count // 2)]
        bits = [session.measure(session.request_pair(remote), axis=axis) for axis in axes]
        theirs = session.receive(remote, tag="axes").decode()
        session.send(remote, "".join(axes).encode(), tag="axes")
        sifted = [bit for bit, mine, yours in zip(bits, axes, theirs, strict=True) if mine == yours]
        tested, kept = sifted[::2], sifted[1::2]
        seen = session.receive(remote, tag="test")
        errors = sum(mine != yours for mine, yours in zip(tested, seen, strict=True))
        rate = errors / len(tested)
        safe = rate <= MOST_ERRORS
        session.send(remote, bytes([safe]), tag="verdict")
        session.report(**{f"error_rate_{half}": rate, f"key_bits_{half}": len(kept) if safe else 0})
        if half == "before":
            session.sleep(max(0.0, 1.1 - session.now_s))
