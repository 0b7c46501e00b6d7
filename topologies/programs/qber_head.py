"""Open a circuit, measure its pairs in two bases until a given time, and tell the other end the bits."""

from __future__ import annotations

import argparse

from qnode.sdk import CircuitClosed, RequestFailed, attach

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("remote")
parser.add_argument("until_s", type=float, help="virtual time")
parser.add_argument("--fidelity", type=float, default=0.5, help="the least that the pairs shall have")
parser.add_argument("--rate", type=float, default=1.0, help="pairs per second that the network shall reserve")
parser.add_argument("--priority", type=int, default=0)
parser.add_argument("--test-fraction", type=float, default=0.1, help="share of pairs for estimating the fidelity")
arguments = parser.parse_args()

with attach() as session:
    try:
        circuit = session.open_circuit(
            arguments.remote,
            min_fidelity=arguments.fidelity,
            rate_bpps=arguments.rate,
            priority=arguments.priority,
            test_fraction=arguments.test_fraction,
        )
    except RequestFailed as error:
        print(f"no circuit to {arguments.remote}: {error.code}: {error}")
    else:
        print(f"{circuit.name} to {circuit.remote} over {'-'.join(circuit.path)}")
        bits = bytearray()
        try:
            while session.now_s < arguments.until_s:
                bits.append(session.measure(circuit.next_pair().qubit, axis="ZX"[len(bits) % 2]))
        except CircuitClosed as error:
            print(error)
        circuit.close()
        session.send(circuit.remote, bytes(bits), tag=circuit.name)
