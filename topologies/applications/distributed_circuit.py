"""One circuit on three processors, compiled from what is written for one. distributed_circuit.py ROLE RUNS

The circuit reads a phase: the inverse quantum Fourier transform of four qubits, of which alice has two, bob and
charlie one each. A gate within a place is done there; a controlled phase between two places is done by a cat-
entangler over a pair (Eisert et al. 2000; Yimsiriwattana and Lomonaco 2004). All run the same program and skip what
is not theirs.
"""

import math
import sys

from qnode.sdk import Circuit, attach

TURNS = 0.3  # the phase, in full turns; the reading x means x/16
PLACES = {0: "alice", 1: "alice", 2: "bob", 3: "charlie"}
NODES = ("alice", "bob", "charlie")
CIRCUIT = [
    *(gate for k in range(4) for gate in (("H", (k,), ()), ("PHASE", (k,), (2 * math.pi * TURNS * 2**k,)))),
    *(
        gate
        for k in reversed(range(4))  # qubit k holds the phase 2^k TURNS, and reads the bit of weight 2^(3 - k)
        for gate in (
            *(("CPHASE", (k, j), (-math.pi / 2 ** (j - k),)) for j in range(k + 1, 4)),
            ("H", (k,), ()),
        )
    ),
]


def cat_control(session, circuit, control):
    """Lend the control to the other place, and take it back."""
    half = circuit.next_pair()
    session.cx(control, half)
    session.send(circuit.remote, bytes([session.measure(half)]), tag="lent")
    if session.receive(circuit.remote, tag="back")[0]:
        session.z(control)


def cat_target(session, circuit, gate, target, angles):
    """Do the gate with what the other place lends as the control."""
    half = circuit.next_pair()
    if session.receive(circuit.remote, tag="lent")[0]:
        session.x(half)
    session.gate(gate, half, target, parameters=angles)
    session.send(circuit.remote, bytes([session.measure(half, axis="X")]), tag="back")


def run_once(session, circuits):
    """This place's part of one run; gives the bits of its qubits."""
    preparation = Circuit()
    mine = [number for number, place in PLACES.items() if place == session.node]
    for _ in mine:
        preparation.prepare()
    qubits = dict(zip(mine, session.run(preparation).qubits, strict=True))
    for gate, numbers, angles in CIRCUIT:
        places = [PLACES[number] for number in numbers]
        if session.node not in places:
            continue
        if len(set(places)) == 1:
            session.gate(gate, *(qubits[number] for number in numbers), parameters=angles)
        elif session.node == places[0]:
            cat_control(session, circuits[places[1]], qubits[numbers[0]])
        else:
            cat_target(session, circuits[places[0]], gate, qubits[numbers[1]], angles)
    return {number: session.measure(qubit) for number, qubit in qubits.items()}


def main(session, runs):
    circuits = {}
    for first, second in (("alice", "bob"), ("alice", "charlie"), ("bob", "charlie")):
        if session.node == first:
            circuits[second] = session.open_circuit(second)
        elif session.node == second:
            circuits[first] = session.accept_circuit(first)
    readings = [0] * runs
    for run in range(runs):
        for number, bit in run_once(session, circuits).items():
            readings[run] |= bit << (3 - number)
    if session.node != "alice":
        session.send("alice", bytes(readings), tag="readings")
        return
    for other in NODES[1:]:
        readings = [mine | yours for mine, yours in zip(readings, session.receive(other, tag="readings"), strict=True)]
    session.report(runs=runs, **{f"read_{x}": readings.count(x) / runs for x in range(16)})


number = int(sys.argv[2])
with attach() as here:
    main(here, number)
