"""BBM92: a key from entangled pairs, and who listens is found by the errors. bbm92.py ROLE PAIRS

Alice and bob measure their halves of Phi+ along Z or X at random. Where the axes agree the bits do; half of those
bits are compared, the others are the raw key (Bennett, Brassard and Mermin 1992). Error correction and privacy
amplification, which are classical, would follow.
"""

import os
import random
import sys

from qnode.sdk import attach

MOST_ERRORS = 0.11  # beyond, no key can be made safe by one-way post-processing (Shor and Preskill 2000)


def alice(session, pairs):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    axes = [choose.choice("ZX") for _ in range(pairs)]
    with session.open_circuit("bob", kind="M", axes=axes) as circuit:
        mine = {each.number: each for each in circuit.outcomes(pairs)}
        theirs = dict(enumerate(session.receive("bob", tag="axes").decode()))
    sifted = [number for number, each in mine.items() if theirs.get(number) == each.axis]
    tested = set(choose.sample(sifted, len(sifted) // 2))
    session.send("bob", b"".join(number.to_bytes(4) for number in sorted(tested)), tag="tested")
    bits = session.receive("bob", tag="bits")
    errors = sum(mine[number].bit != bit for number, bit in zip(sorted(tested), bits, strict=True))
    key = [mine[number].bit for number in sifted if number not in tested]
    safe = errors <= MOST_ERRORS * len(tested)
    session.report(pairs=len(mine), sifted=len(sifted) / len(mine), tested=len(tested), errors=errors / len(tested))
    session.report(runs=1, safe=safe, key_bits=len(key) if safe else 0)


def bob(session, pairs):
    choose = random.Random(f"bob {os.environ['QLOOM_SEED']}")
    axes = [choose.choice("ZX") for _ in range(pairs)]
    with session.accept_circuit("alice", axes=axes) as circuit:
        mine = {each.number: each for each in circuit.outcomes(pairs)}
    told = "".join(mine[number].axis if number in mine else "-" for number in range(max(mine) + 1))
    session.send("alice", told.encode(), tag="axes")
    tested = session.receive("alice", tag="tested")
    numbers = [int.from_bytes(tested[i : i + 4]) for i in range(0, len(tested), 4)]
    session.send("alice", bytes(mine[number].bit for number in numbers), tag="bits")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
