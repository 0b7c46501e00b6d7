"""Remote state preparation: alice makes a state that she knows at bob's place. remote_state_preparation.py ROLE STATES

For a state |0> + e^(i phi)|1>, she measures her half of Phi+ along the angle -phi. Bob's half then is that state, or
the opposite one, which he turns by Z if she tells him so: one pair and one bit, where teleporting an unknown state
takes two (Pati 2000; Bennett et al. 2001).
"""

import math
import os
import random
import sys

from qnode.sdk import attach


def drawn(states):
    """The angles, which bob knows only so that he can check."""
    shared = random.Random(f"angles {os.environ['QLOOM_SEED']}")
    return [shared.uniform(0, 2 * math.pi) for _ in range(states)]


def alice(session, states):
    with session.open_circuit("bob") as circuit:
        for number, phi in enumerate(drawn(states)):
            bit = session.measure(circuit.next_pair(), axis=(math.cos(phi), -math.sin(phi), 0.0))
            session.send("bob", bytes([bit]), tag=f"bit {number}")  # one may overtake another


def bob(session, states):
    as_prepared = 0
    with session.accept_circuit("alice") as circuit:
        for number, phi in enumerate(drawn(states)):
            half = circuit.next_pair()
            if session.receive("alice", tag=f"bit {number}")[0]:
                session.z(half)
            as_prepared += session.measure(half, axis=(math.cos(phi), math.sin(phi), 0.0)) == 0
    session.report(states=states, as_prepared=as_prepared / states)


role, number = sys.argv[1], int(sys.argv[2])
with attach() as here:
    {"alice": alice, "bob": bob}[role](here, number)
