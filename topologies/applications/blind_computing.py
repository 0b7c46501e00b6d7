"""Universal blind quantum computing: a server computes and learns nothing. blind_computing.py ROLE RUNS [OPTIONS]

The client makes qubits of secret angles at the server, by measuring its halves of pairs. The server joins them to a
brickwork and measures each along an angle that the client tells, which is the computation's, turned by the secret one
and by a secret bit: any of eight angles is as probable as any other (Broadbent, Fitzsimons and Kashefi 2009).

Here a brick of 2 x 5 qubits solves Deutsch's problem: f takes a bit to a bit; is it constant? In every third run it
does instead what the angles of EXAMPLE say, a computation that no stabilisers describe. With the option verified,
about every second run is a test of traps, whose bits the client knows; the server cannot tell which (Fitzsimons and
Kashefi 2017; Leichtle et al. 2021). A server with the option cheat flips a quarter of its bits.
"""

import math
import os
import random
import sys

from qnode.sdk import attach

COLUMNS, JOINED = 5, (2, 4)  # columns whose two qubits are joined by a CZ
IDENTITY = (
    (0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0),
)  # angles in units of pi/4, by row and column; the last column is the result
CNOT = ((0, 0, 2, 0, 0), (0, 2, 0, 6, 0))
MOST_FAILURES = 0.15  # of the traps, more than this hardware should have
EXAMPLE = ((1, 3, 2, 5, 1), (7, 2, 1, 3, 6))


def client(session, runs, verified):
    choose = random.Random(f"client {os.environ['QLOOM_SEED']}")
    answers, examples, traps = [], [], []
    with session.open_circuit("server", slots=4) as circuit:
        for run in range(runs):
            if verified and choose.randrange(2):
                traps += tested(session, circuit, choose)
            elif not verified and run % 3 == 2:
                examples.append(computed(session, circuit, EXAMPLE, 0, choose))
            else:
                f = (choose.randrange(2), choose.randrange(2))
                # on |+>|-> a CNOT, if f(0) and f(1) differ, turns the first qubit to |->; an X by f(0) turns nothing
                found = computed(session, circuit, CNOT if f[0] != f[1] else IDENTITY, 4, choose)
                answers.append(found[0] == (f[0] != f[1]))
    session.report(functions=len(answers), right=sum(answers) / len(answers))
    if examples:
        shares = {f"read_{a}{b}": examples.count((a, b)) / len(examples) for a in (0, 1) for b in (0, 1)}
        session.report(examples=len(examples), **shares)
    if traps:
        failed = sum(traps) / len(traps)
        session.report(traps=len(traps), failed=failed, verdicts=1, accepted=failed <= MOST_FAILURES)


def delegated(session, circuit, choose, prepare, angle):
    """Have a brick measured; ``prepare`` a place, tell the ``angle`` for it by what was read before; gives the bits."""
    bits = {}
    for column in range(COLUMNS + 1):
        if column < COLUMNS:
            for row in (0, 1):
                prepare(row, column, circuit.next_pair())
        if column:
            hidden = [choose.randrange(2), choose.randrange(2)]
            angles = [angle(row, column - 1, bits) + 4 * hidden[row] for row in (0, 1)]
            session.send("server", bytes(each % 8 for each in angles), tag="angles")
            for row, bit in enumerate(session.receive("server", tag="bits")):
                bits[row, column - 1] = bit ^ hidden[row]
    return bits


def turned(session, pair, choose):
    """Leave |+_theta> at the server, for a random theta that the client alone knows, in units of pi/4."""
    theta = choose.randrange(8)  # who measures Phi+ along an angle leaves the opposite one at the other end
    axis = (math.cos(theta * math.pi / 4), -math.sin(theta * math.pi / 4), 0.0)
    return theta + 4 * session.measure(pair, axis=axis)


def computed(session, circuit, angles, second, choose):
    """The two result bits of a brick; ``second``: the angle of the second row's input |+_angle>."""
    secret = {}

    def prepare(row, column, pair):
        secret[row, column] = turned(session, pair, choose)

    def angle(row, column, bits):
        turn = bits.get((row, column - 2), 0)
        if column in JOINED:
            turn ^= bits[1 - row, column - 1]
        flip = bits.get((row, column - 1), 0)
        start = second if (row, column) == (1, 0) else 0
        return secret[row, column] + (-1) ** flip * angles[row][column] + 4 * turn - start

    bits = delegated(session, circuit, choose, prepare, angle)
    return bits[0, COLUMNS - 1], bits[1, COLUMNS - 1]


def tested(session, circuit, choose):
    """Which traps failed: a trap's neighbours are |0> or |1>, so that it stays alone and its bit is known."""
    colour, secret = choose.randrange(2), {}

    def is_trap(row, column):
        return (row + column) % 2 == colour

    def prepare(row, column, pair):
        secret[row, column] = turned(session, pair, choose) if is_trap(row, column) else session.measure(pair)

    def angle(row, column, bits):
        if not is_trap(row, column):
            return choose.randrange(8)
        around = [(row, column - 1), (row, column + 1), *([(1 - row, column)] if column in JOINED else [])]
        return secret[row, column] + 4 * sum(secret.get(place, 0) for place in around)

    bits = delegated(session, circuit, choose, prepare, angle)
    return [bit for place, bit in bits.items() if is_trap(*place)]


def server(session, runs, cheats):
    choose = random.Random(f"server {os.environ['QLOOM_SEED']}")
    seen = [0] * 8
    with session.accept_circuit("client") as circuit:
        for _ in range(runs):
            before = None
            for column in range(COLUMNS + 1):
                qubits = [circuit.next_pair(), circuit.next_pair()] if column < COLUMNS else None
                if before and qubits:
                    for left, right in zip(before, qubits, strict=True):
                        session.cz(left, right)
                if column in JOINED:
                    session.cz(*qubits)
                if before:
                    angles = session.receive("client", tag="angles")
                    axes = [(math.cos(angle * math.pi / 4), math.sin(angle * math.pi / 4), 0.0) for angle in angles]
                    bits = [session.measure(qubit, axis=axis) for qubit, axis in zip(before, axes, strict=True)]
                    if cheats:
                        bits = [bit ^ (choose.random() < 0.25) for bit in bits]
                    session.send("client", bytes(bits), tag="bits")
                    for angle in angles:
                        seen[angle] += 1
                before = qubits
    session.report(angles=sum(seen), **{f"angle_{number}": times / sum(seen) for number, times in enumerate(seen)})


role, number, options = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
with attach() as here:
    client(here, number, "verified" in options) if role == "client" else server(here, number, "cheat" in options)
