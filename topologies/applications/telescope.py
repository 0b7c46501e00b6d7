"""A telescope with a long baseline: two sites see one star by sharing entanglement. telescope.py ROLE PHOTONS

A photon of the star comes to the left site or to the right one, |01> + e^(i phi)|10>, with the coherence V that the
star's size leaves. To bring it together would lose it. In place of that the sites share |01> + e^(i delta)|10>, made
of a pair, and each looks for one quantum in its two modes together: half of the time both find one. Whether their two
signs are equal then tells V cos(phi - delta) (Gottesman, Jennewein and Croke 2012). Modes are qubits here: |1> is a
photon. The star's light is a fibre.
"""

import math
import os
import random
import sys

from qnode.sdk import QubitLost, attach

VISIBILITY, PHASE_RAD = 0.7, 2.0  # the star's, unknown to the sites
DELTAS = (0.0, math.pi / 2)
SITES = ("left", "right")


def star(session, photons):
    choose = random.Random(f"star {os.environ['QLOOM_SEED']}")
    for _ in range(photons):
        for site in SITES:
            session.receive(site, tag="ready")
        left, right = session.prepare(), session.prepare()
        session.h(left)
        session.x(right)
        session.gate("CX", left, right)  # |01> + |10>
        incoherent = choose.random() > (1 + VISIBILITY) / 2
        session.gate("PHASE", left, parameters=(PHASE_RAD + math.pi * incoherent,))
        session.send_qubit(left, "left")
        session.send_qubit(right, "right")


def watch(session, circuit, photons):
    """What this site found of each photon: None if nothing came, else (one quantum in the two modes, sign)."""
    found = []
    for number in range(photons):
        pair = circuit.next_pair()
        session.send("star", b"", tag="ready")
        if session.node == "right":
            session.x(pair)  # |01> + |10>
        else:
            session.gate("PHASE", pair, parameters=(DELTAS[number % 2],))
        try:
            found.append(session.measure_bell(session.receive_qubit("star"), pair))
        except QubitLost:
            session.discard(pair)
            found.append(None)
    return found


def left(session, photons):
    with session.open_circuit("right") as circuit:
        mine = watch(session, circuit, photons)
        theirs = session.receive("right", tag="found")
    seen = [(number, a, divmod(b, 2)) for number, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a and b < 4]
    kept = [(number % 2, a[1] == b[1]) for number, a, b in seen if a[0] == b[0] == 1]
    session.report(photons=photons, both=len(seen) / photons, seen=len(seen), kept=len(kept) / len(seen))
    means = []
    for number, degrees in enumerate((0, 90)):
        equal = [same for which, same in kept if which == number]
        session.report(**{f"kept_{degrees}": len(equal), f"equal_{degrees}": sum(equal) / len(equal)})
        means.append(2 * sum(equal) / len(equal) - 1)
    session.report(visibility=math.hypot(*means), phase_rad=math.atan2(means[1], means[0]))


def right(session, photons):
    with session.accept_circuit("left") as circuit:
        found = watch(session, circuit, photons)
    session.send("left", bytes(4 if each is None else 2 * each[0] + each[1] for each in found), tag="found")


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"star": star, "left": left, "right": right}[role](here, number)
