"""Pairs with bob, one at a time, kept and measured; measured directly, 100 at a time; and teleportations to him."""

import time

from netqasm.sdk import EPRSocket, Qubit
from netqasm.sdk.external import NetQASMConnection, Socket

BATCH = 100


def main(app_config=None, pairs=1000, directly=2000, teleports=500):
    socket, sockets = Socket("netqasm_alice", "netqasm_bob"), EPRSocket("netqasm_bob")
    with NetQASMConnection("netqasm_alice", epr_sockets=[sockets], max_qubits=4) as connection:
        start = time.perf_counter()
        for _ in range(pairs):
            sockets.create_keep()[0].measure()
            connection.flush()
        kept = pairs / (time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(directly // BATCH):
            sockets.create_measure(number=BATCH)
            connection.flush()
        measured = directly // BATCH * BATCH / (time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(teleports):
            (half,) = sockets.create_keep()
            qubit = Qubit(connection)
            qubit.X()
            qubit.cnot(half)
            qubit.H()
            bits = qubit.measure(), half.measure()
            connection.flush()
            socket.send(f"{int(bits[0])}{int(bits[1])}")
        sent = teleports / (time.perf_counter() - start)
    return {"pairs_kept_and_measured": kept, "pairs_measured_directly": measured, "teleportations": sent}
