"""A CNOT between qubits of two processors, from one pair and one bit each way. distributed_cnot.py ROLE GATES [METHOD]

METHOD cat: alice spreads her control over the pair, bob uses his half as the control, and measuring that half along X
takes it back (cat-entangler: Eisert et al. 2000; Yimsiriwattana and Lomonaco 2004). METHOD teleport: they first make
the state that a CNOT leaves of two Bell pairs, before there is anything to act on, and then teleport both qubits
through it (Gottesman and Chuang 1999). Truth tables in the Z basis and in the X basis, where the CNOT acts backwards,
together bound the gate's fidelity: F >= F_Z + F_X - 1 (Hofmann 2005).
"""

import os
import random
import sys

from qnode.sdk import Circuit, attach


def tell(session, circuit, what, bit):
    session.send(circuit.remote, bytes([bit]), tag=what)


def told(session, circuit, what):
    return session.receive(circuit.remote, tag=what)[0]


def cat_control(session, circuit, control):
    half = circuit.next_pair()
    session.cx(control, half)
    tell(session, circuit, "lent", session.measure(half))
    if told(session, circuit, "back"):
        session.z(control)
    return control


def cat_target(session, circuit, target):
    half = circuit.next_pair()
    if told(session, circuit, "lent"):
        session.x(half)
    session.cx(half, target)
    tell(session, circuit, "back", session.measure(half, axis="X"))
    return target


def teleported_control(session, circuit, control):
    entry, out = circuit.next_pair(), session.prepare()
    session.cx(entry, out)
    if told(session, circuit, "erased"):  # bob has erased his half: entry, out and his two qubits are the CNOT's state
        session.z(out)
    x, z = session.measure_bell(control, entry)
    tell(session, circuit, "x", x)
    if x:
        session.x(out)
    if z ^ told(session, circuit, "z"):
        session.z(out)
    return out


def teleported_target(session, circuit, target):
    half, entry, out = circuit.next_pair(), session.prepare(), session.prepare()
    session.h(entry)
    session.cx(entry, out)
    session.cx(half, out)
    tell(session, circuit, "erased", session.measure(half, axis="X"))
    x, z = session.measure_bell(target, entry)
    tell(session, circuit, "z", z)
    if x ^ told(session, circuit, "x"):
        session.x(out)
    if z:
        session.z(out)
    return out


def tested(session, circuit, gates, gate):
    """Bases, what went in and what came out: an eigenstate of Z, or of X, each time."""
    shared = random.Random(f"bases {os.environ['QLOOM_SEED']}")
    choose = random.Random(f"{session.node} {os.environ['QLOOM_SEED']}")
    bases, went_in, came_out = "", [], []
    for _ in range(gates):
        basis, bit = shared.choice("ZX"), choose.randrange(2)
        preparation = Circuit()
        qubit = preparation.prepare()
        for name in "X" * bit + "H" * (basis == "X"):
            preparation.gate(name, qubit)
        bases += basis
        went_in.append(bit)
        came_out.append(session.measure(gate(session, circuit, session.run(preparation).qubits[0]), axis=basis))
    return bases, went_in, came_out


def alice(session, gates, gate):
    with session.open_circuit("bob") as circuit:
        bases, c, c_out = tested(session, circuit, gates, gate)
        t, t_out = session.receive("bob", tag="in"), session.receive("bob", tag="out")
    right = {"Z": 0, "X": 0}
    for basis, *bits in zip(bases, c, t, c_out, t_out, strict=True):
        control, target, *found = bits
        expected = [control, control ^ target] if basis == "Z" else [control ^ target, target]
        right[basis] += found == expected
    tests = {basis: bases.count(basis) for basis in "ZX"}
    session.report(
        z_tests=tests["Z"], z_right=right["Z"] / tests["Z"], x_tests=tests["X"], x_right=right["X"] / tests["X"]
    )


def bob(session, gates, gate):
    with session.accept_circuit("alice") as circuit:
        _, went_in, came_out = tested(session, circuit, gates, gate)
    session.send("alice", bytes(went_in), tag="in")
    session.send("alice", bytes(came_out), tag="out")


role, number, method = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["cat"])[0]
control, target = {"cat": (cat_control, cat_target), "teleport": (teleported_control, teleported_target)}[method]
with attach() as here:
    alice(here, number, control) if role == "alice" else bob(here, number, target)
