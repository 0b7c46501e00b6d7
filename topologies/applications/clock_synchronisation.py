"""Clock synchronisation by a ticking qubit that goes there and back. clock_synchronisation.py ROLE TICKS

A qubit turns about Z with the clock of whoever sends it, and back with that of whoever gets it: alice turns it by +w
t when her clock says t, bob by -w t' when he has it. He flips it and does the same towards her. The times on the way
cancel, as far as both ways take as long, and the qubit is left turned by 2 w times what bob's clock is ahead (the
handshake of Chuang 2000). No clock's reading is ever sent. Time travels with the qubit, so it must be teleported over
a pair that both hold.
"""

import math
import os
import random
import sys

from qnode.sdk import attach

TURNS_PER_S = 500.0  # an offset of 1/(4 x 500) s either way is told without ambiguity


def angle(session):
    return 2 * math.pi * TURNS_PER_S * session.now_s


def alice(session, ticks):
    choose = random.Random(f"alice {os.environ['QLOOM_SEED']}")
    seen = {"X": [], "Y": []}
    with session.open_circuit("bob") as circuit:
        for tick in range(ticks):
            qubit, start = session.prepare(), choose.uniform(0, 2 * math.pi)
            session.h(qubit)
            pair = circuit.next_pair()
            session.receive("bob", tag="ready")
            session.rz(qubit, start + angle(session))
            session.teleport(qubit, pair)
            pair = circuit.next_pair()
            session.send("bob", b"", tag="ready")
            qubit = session.receive_teleported(pair)
            session.rz(qubit, start - angle(session))  # bob's flip has turned the start about
            axis = "XY"[tick % 2]
            seen[axis].append(session.measure(qubit, axis=axis))
    shares = {axis: bits.count(0) / len(bits) for axis, bits in seen.items()}
    x, y = 2 * shares["X"] - 1, 2 * shares["Y"] - 1
    error = math.hypot(*(2 * (share * (1 - share) / len(seen["X"])) ** 0.5 for share in shares.values())) / math.hypot(
        x, y
    )
    per_s = 4 * math.pi * TURNS_PER_S
    session.report(ahead_s=(math.atan2(y, x) / per_s, error / per_s))
    session.report(x_ticks=len(seen["X"]), x_plus=shares["X"], y_ticks=len(seen["Y"]), y_plus=shares["Y"])


def bob(session, ticks):
    with session.accept_circuit("alice") as circuit:
        for _ in range(ticks):
            pair = circuit.next_pair()
            session.send("alice", b"", tag="ready")
            qubit = session.receive_teleported(pair)
            session.rz(qubit, -angle(session))
            session.x(qubit)
            pair = circuit.next_pair()
            session.receive("alice", tag="ready")
            session.rz(qubit, angle(session))
            session.teleport(qubit, pair)


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
