"""alice's program: play the CHSH game with bob, then teleport qubits to him."""

import math
import os
import random

from qnode.sdk import Circuit, attach

ROUNDS = 2400
TELEPORTATIONS = 600
PREPARATIONS = ((), ("X",), ("H",), ("X", "H"), ("H", "S"), ("H", "SDG"))  # |0> |1> |+> |-> |+i> |-i>

rng = random.Random(f"{os.environ['QLOOM_SEED']} alice")

with attach() as session:
    rounds = []
    for _ in range(ROUNDS):
        setting = rng.randrange(2)
        pair = session.request_pair("bob")
        rounds.append((setting, session.measure(pair, axis="ZX"[setting])))

    # bob tells what he chose and saw: one byte a round, the setting in bit 1, the outcome in bit 0
    products = {(x, y): [] for x in (0, 1) for y in (0, 1)}
    won = 0
    for (x, a), theirs in zip(rounds, session.receive("bob", tag="chsh"), strict=True):
        y, b = divmod(theirs, 2)
        products[x, y].append((-1) ** (a ^ b))
        won += (a ^ b) == (x & y)
    means = {settings: sum(values) / len(values) for settings, values in products.items()}
    chsh_value = means[0, 0] + means[0, 1] + means[1, 0] - means[1, 1]
    chsh_error = math.sqrt(sum((1 - means[xy] ** 2) / len(products[xy]) for xy in means))
    winning = won / ROUNDS
    winning_error = math.sqrt(winning * (1 - winning) / ROUNDS)
    print(f"S = {chsh_value:.3f} +- {chsh_error:.3f}, won {100 * winning:.2f} % of {ROUNDS} rounds")
    session.report(chsh_value=(chsh_value, chsh_error), chsh_winning_probability=(winning, winning_error))

    for _ in range(TELEPORTATIONS):
        state = rng.randrange(6)
        preparation = Circuit()
        qubit = preparation.prepare()
        for gate in PREPARATIONS[state]:
            preparation.gate(gate, qubit)
        pair = session.request_pair("bob")
        session.teleport(session.run(preparation).qubits[0], pair)
        session.send("bob", bytes([state]), tag="state")
