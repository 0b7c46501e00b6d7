"""Quantum secret sharing: alice's key is known to bob and charlie together, not alone. secret_sharing.py ROLE STATES

All measure a GHZ state along X or Y at random and tell the axes. With an even number of Y's (half of the states)
alice's bit is fixed by the parity of the others': XXX is +1, XYY, YXY and YYX are -1. So bob and charlie share her
key as two halves, each of which is random by itself (Hillery, Buzek and Berthiaume 1999). Half of these bits are
compared to find who listens or cheats.
"""

import os
import random
import sys

from qnode.sdk import attach

OTHERS = ("bob", "charlie")


def measured(session, group, states):
    choose = random.Random(f"{session.node} {os.environ['QLOOM_SEED']}")
    axes = "".join(choose.choice("XY") for _ in range(states))
    return axes, bytes(session.measure(group.next_qubit(), axis=axis) for axis in axes)


def alice(session, states):
    with session.open_group(OTHERS) as group:
        axes, bits = measured(session, group, states)
        theirs = [session.receive(other, tag="axes").decode() for other in OTHERS]
        good = [i for i, used in enumerate(zip(axes, *theirs, strict=True)) if used.count("Y") % 2 == 0]
        tested = set(good[::2])
        for other in OTHERS:
            session.send(other, bytes(i in tested for i in range(states)), tag="tested")
        shown = [session.receive(other, tag="bits") for other in OTHERS]
    errors = alone = 0
    for i, b, c in zip(sorted(tested), *shown, strict=True):
        signed = [axes[i], theirs[0][i], theirs[1][i]].count("Y") == 2
        errors += bits[i] != b ^ c ^ signed
        alone += bits[i] == b
    session.report(states=states, usable=len(good) / states, tested=len(tested), key_bits=len(good) - len(tested))
    session.report(errors=errors / len(tested), bob_alone=alone / len(tested))


def other(session, states):
    with session.join_group() as group:
        axes, bits = measured(session, group, states)
        session.send("alice", axes.encode(), tag="axes")
        tested = session.receive("alice", tag="tested")
        session.send("alice", bytes(bit for bit, shown in zip(bits, tested, strict=True) if shown), tag="bits")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    (alice if role == "alice" else other)(here, number)
