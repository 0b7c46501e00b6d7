"""Take the circuits that another node opens, one after the other, and make keys on them: takes.py REMOTE."""

from __future__ import annotations

import contextlib
import json
import sys

from qnode.sdk import CircuitClosed, RequestFailed, RunEnded, Session, VirtualCircuit, attach

remote = sys.argv[1]


def key(session: Session, circuit: VirtualCircuit) -> None:
    """Measure pairs until it closes; the pairs of a key are those whose bits were found equal."""
    bits = {}
    try:
        while True:
            pair = circuit.next_pair()
            bits[pair.pair_id] = session.measure(pair)
    except CircuitClosed:
        pass
    theirs = json.loads(session.receive(remote, tag=f"{circuit.name} bits", timeout_s=0.5))
    agreed = [pair for pair, bit in bits.items() if theirs.get(pair) == bit]
    if agreed:
        session.report_key(remote, [bits[pair] for pair in agreed], name=circuit.name)
    session.report(pairs=len(bits), agreed=len(agreed))
    session.send(remote, json.dumps(agreed).encode(), tag=f"{circuit.name} agreed")


with attach() as session, contextlib.suppress(RunEnded):
    while True:
        try:
            key(session, session.accept_circuit(remote))
        except RunEnded:
            raise
        except RequestFailed as error:
            print(f"{session.now_s:.6f} s: {error.code}: {error}")
