"""Conference key agreement: one key for three from GHZ states. conference_key.py ROLE STATES

Who measures |000> + |111> along Z has the same bit as all others: the key. In a fifth of the rounds, chosen by a
short string that they share beforehand, all measure X instead, where the parity is even unless somebody listens. Half
of the key bits are compared, too (Epping et al. 2017, the N-BB84 protocol of Grasselli, Kampermann and Bruss 2018).
"""

import os
import random
import sys

from qnode.sdk import attach

OTHERS = ("bob", "charlie")


def measured(session, group, states):
    shared = random.Random(f"shared {os.environ['QLOOM_SEED']}")
    axes = shared.choices("ZX", weights=(4, 1), k=states)
    return axes, bytes(session.measure(group.next_qubit(), axis=axis) for axis in axes)


def shown(axes, bits):
    """What is told: the bits of the tests, and every second one of the others."""
    key = [bit for axis, bit in zip(axes, bits, strict=True) if axis == "Z"]
    return bytes(bit for axis, bit in zip(axes, bits, strict=True) if axis == "X"), bytes(key[::2]), key[1::2]


def alice(session, states):
    with session.open_group(OTHERS) as group:
        phase, compared, key = shown(*measured(session, group, states))
        phases = [session.receive(other, tag="phase") for other in OTHERS]
        for other in OTHERS:
            theirs = session.receive(other, tag="compared")
            errors = sum(a != b for a, b in zip(compared, theirs, strict=True))
            session.report(**{f"{other}_errors": errors / len(compared)})
        odd = sum(a ^ b ^ c for a, b, c in zip(phase, *phases, strict=True))
    session.report(compared=len(compared), tests=len(phase), odd=odd / len(phase), key_bits=len(key))
    for other in OTHERS:
        session.send(other, b"", tag="over")


def other(session, states):
    with session.join_group() as group:
        phase, compared, _ = shown(*measured(session, group, states))
        session.send("alice", phase, tag="phase")
        session.send("alice", compared, tag="compared")
        session.receive("alice", tag="over")  # who leaves a group ends it for all


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    (alice if role == "alice" else other)(here, number)
