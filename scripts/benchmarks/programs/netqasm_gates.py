"""Subroutines of one gate, then of 500, then a classical loop: what a node does for a NetQASM program in a second."""

import time

from netqasm.backend.messages import SubroutineMessage
from netqasm.lang.parsing.text import parse_text_subroutine
from netqasm.sdk import Qubit
from netqasm.sdk.external import NetQASMConnection

BATCH = 500
LOOP = """
# NETQASM 0.0
# APPID {app}
set R0 0
set R1 1
set R2 {turns}
loop:
add R0 R0 R1
blt R0 R2 loop
"""


def main(app_config=None, count=1000, batched=10_000, turns=100_000):
    with NetQASMConnection("netqasm_gates", max_qubits=2) as connection:
        qubit = Qubit(connection)
        connection.flush()
        start = time.perf_counter()
        for _ in range(count):
            qubit.X()
            connection.flush()
        single = count / (time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(batched // BATCH):
            for _ in range(BATCH):
                qubit.X()
            connection.flush()
        gates = batched // BATCH * BATCH / (time.perf_counter() - start)
        loop = parse_text_subroutine(LOOP.format(app=connection.app_id, turns=turns))
        start = time.perf_counter()
        connection._commit_serialized_message(bytes(SubroutineMessage(loop)))
        classical = 2 * turns / (time.perf_counter() - start)
        qubit.measure()
    return {"subroutine_round_trips": single, "batched_gates": gates, "classical_instructions": classical}
