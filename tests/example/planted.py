"""Two programs with a planted bug each, which only faults bring out; not collected but where a test says so.

With ``PLANTED=no`` in the environment the bugs are mended.
"""

from __future__ import annotations

import contextlib
import os

import pytest

from orchestrator.testing import SteeredTestbed
from qnode.sdk import Session, TimedOut
from qnode.wire.application import BellPair

PLANTED = os.environ.get("PLANTED", "yes") == "yes"
ROUNDS = 12
ANGLE_RAD = 1.0
FAULTS = [
    {"name": "cut", "count": 6, "kinds": ["quantum_down"], "from_s": 0.1, "until_s": 1.2, "longest_s": 0.3},
    {"name": "clock", "count": 2, "kinds": ["clock_drift"], "from_s": 0.1, "until_s": 1.2, "longest_s": 0.3},
]


def sends(session: Session) -> None:
    """Teleport a qubit a round, by hand."""
    for number in range(ROUNDS):
        session.sleep(0.1)
        half = session.request_pair("repeater", purpose=str(number))
        qubit = session.prepare()
        session.ry(qubit, ANGLE_RAD)
        x, z = session.measure_bell(qubit, half)
        session.send("repeater", bytes([x, z]), tag=str(number))


def receives(session: Session) -> list[int]:
    """Take each qubit and look whether it is as it was sent: 0 every time."""
    bits = []
    for number in range(ROUNDS):
        late = False
        try:
            half = session.request_pair("alice", purpose=str(number), timeout_s=0.12)
        except TimedOut:
            half, late = session.request_pair("alice", purpose=str(number)), True
        x, z = session.receive("alice", tag=str(number))
        if not (late and PLANTED):  # the bug: who had to ask again forgets the Pauli correction
            if x:
                session.x(half)
            if z:
                session.z(half)
        session.ry(half, -ANGLE_RAD)
        bits.append(session.measure(half))
    return bits


@pytest.mark.qloom("line.yaml", seed=1, random_faults=FAULTS, network=None)
def test_every_qubit_arrives_as_it_was_sent(testbed: SteeredTestbed) -> None:
    received = testbed.start("repeater", receives)
    testbed.start("alice", sends)
    testbed.finish(within_s=10.0)
    assert received is not None
    assert sum(received.result) == 0


def ends(session: Session) -> list[int]:
    """Get two pairs a round, keep each until the repeater has swapped it, and measure."""
    bits = []
    for number in range(ROUNDS):
        halves = [session.request_pair("repeater") for _ in range(2)]
        for each, half in enumerate(halves):
            x, z = session.receive("repeater", tag=f"{number} {each}")
            if session.node == "bob" and x:
                session.x(half)
            if session.node == "bob" and z:
                session.z(half)
            bits.append(session.measure(half))
    return bits


def swaps(session: Session) -> None:
    """Join each pair with alice to one with bob, as they come, two a round."""
    for number in range(ROUNDS):
        session.sleep(0.1)
        waiting: dict[str, list[BellPair]] = {"alice": [], "bob": []}
        swapped = 0
        while swapped < 2:
            for end, halves in waiting.items():
                if swapped + len(halves) < 2:
                    with contextlib.suppress(TimedOut):
                        halves.append(session.request_pair(end, timeout_s=0.05))
            if all(waiting.values()):
                # the bug: the rule takes the youngest, and tells the ends that it was the oldest
                left, right = (halves.pop(-1 if PLANTED else 0) for halves in waiting.values())
                bits = bytes(session.measure_bell(left, right))
                for end in waiting:
                    session.send(end, bits, tag=f"{number} {swapped}")
                swapped += 1


@pytest.mark.qloom("line.yaml", seed=3, random_faults=FAULTS, network=None)
def test_both_ends_of_every_swapped_pair_agree(testbed: SteeredTestbed) -> None:
    testbed.start("repeater", swaps)
    alice, bob = testbed.start("alice", ends), testbed.start("bob", ends)
    testbed.finish(within_s=10.0)
    assert alice is not None and bob is not None
    assert alice.result == bob.result
