"""Open circuits to a node, one after the other whatever befalls them, and make keys: opens.py REMOTE PAUSE_S UNTIL_S."""

from __future__ import annotations

import contextlib
import json
import sys

from qnode.sdk import CircuitClosed, RequestFailed, RunEnded, Session, VirtualCircuit, attach

PAIRS_A_CIRCUIT = 12
remote, pause_s, until_s = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])


def key(session: Session, circuit: VirtualCircuit) -> None:
    """Measure pairs until there are enough or it closes; a key is made if the other end says that the bits agree."""
    bits = {}
    try:
        while len(bits) < PAIRS_A_CIRCUIT:
            pair = circuit.next_pair()
            bits[pair.pair_id] = session.measure(pair)
    except CircuitClosed:
        pass
    circuit.close()
    session.send(remote, json.dumps(bits).encode(), tag=f"{circuit.name} bits")
    agreed = json.loads(session.receive(remote, tag=f"{circuit.name} agreed", timeout_s=0.5))
    if agreed:
        session.report_key(remote, [bits[pair] for pair in agreed], name=circuit.name)


opened = keys = 0
with attach() as session, contextlib.suppress(RunEnded):
    while session.now_s < until_s:
        try:
            circuit = session.open_circuit(remote, min_fidelity=0.3, rate_bpps=5.0, timeout_s=0.5)
            opened += 1
            session.report(circuits=opened)
            key(session, circuit)
            keys += 1
            session.report(keys=keys)
        except RunEnded:
            raise
        except RequestFailed as error:
            print(f"{session.now_s:.6f} s: {error.code}: {error}")
        session.sleep(pause_s)
