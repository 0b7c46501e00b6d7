"""bob's program: play the CHSH game with alice, then receive the qubits that she teleports and check them."""

import math
import os
import random

from qnode.sdk import attach

ROUNDS = 2400
TELEPORTATIONS = 600
HALF = math.sqrt(0.5)
AXES = ((HALF, 0.0, HALF), (-HALF, 0.0, HALF))  # (Z + X)/sqrt 2, (Z - X)/sqrt 2

rng = random.Random(f"{os.environ['QLOOM_SEED']} bob")

with attach() as session:
    rounds = bytearray()
    for _ in range(ROUNDS):
        setting = rng.randrange(2)
        pair = session.request_pair("alice")
        rounds.append(2 * setting + session.measure(pair, axis=AXES[setting]))
    session.send("alice", bytes(rounds), tag="chsh")

    as_sent = 0
    for _ in range(TELEPORTATIONS):
        qubit = session.receive_teleported(session.request_pair("alice"))
        state = session.receive("alice", tag="state")[0]
        as_sent += session.measure(qubit, axis="ZXY"[state // 2]) == state % 2
    fidelity = as_sent / TELEPORTATIONS
    error = math.sqrt(fidelity * (1 - fidelity) / TELEPORTATIONS)
    print(f"{as_sent} of {TELEPORTATIONS} qubits read as sent: fidelity {fidelity:.3f} +- {error:.3f}")
    session.report(teleportation_fidelity=(fidelity, error))
