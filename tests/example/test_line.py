"""An example of a test suite of one's own: real nodes, broken on purpose, by nothing but the pytest plugin."""

from __future__ import annotations

import pytest

from orchestrator.testing import SteeredTestbed
from qnode.sdk import CircuitClosed, Session, TimedOut

TAKES = 40


def head(session: Session, pairs: int) -> list[int]:
    """Open a circuit to bob, and again whenever it is closed; measure so many pairs."""
    bits: list[int] = []
    while len(bits) < pairs:
        try:
            with session.open_circuit("bob", timeout_s=2.0) as circuit:
                while len(bits) < pairs:
                    bits.append(session.measure(circuit.next_pair(timeout_s=2.0)))
                    session.sleep(0.01)
        except (CircuitClosed, TimedOut):
            session.sleep(0.05)
    return bits


def tail(session: Session) -> list[int]:
    """Take what comes until nobody wants anything any more."""
    bits: list[int] = []
    try:
        while True:
            with session.accept_circuit(timeout_s=3.0) as circuit:
                try:
                    while True:
                        bits.append(session.measure(circuit.next_pair(timeout_s=2.0)))
                except (CircuitClosed, TimedOut):
                    continue
    except TimedOut:
        return bits


@pytest.mark.slow
@pytest.mark.qloom("line.yaml")
def test_both_ends_get_the_same_bits(testbed: SteeredTestbed) -> None:
    takes, gives = testbed.start("bob", tail), testbed.start("alice", head, TAKES)
    testbed.finish()
    assert takes is not None and gives is not None
    assert len(gives.result) == TAKES
    assert takes.result[:TAKES] == gives.result


@pytest.mark.slow
@pytest.mark.qloom("line.yaml", seeds=[1, 2])
def test_a_circuit_comes_back_after_a_power_cut_at_the_repeater(testbed: SteeredTestbed) -> None:
    testbed.start("bob", tail)
    testbed.start("alice", head, TAKES)
    testbed.wait_for("circuit_pair_delivered", end="head", within_s=1.0)
    before = testbed.now_s
    testbed.nodes["repeater"].restart(for_s=0.5)
    testbed.go(0.5)
    assert sum(each.delivered_between(before + 0.1, before + 0.5) for each in testbed.circuits.values()) == 0
    testbed.wait_for("circuit_pair_delivered", end="head", within_s=3.0)
    testbed.finish()


@pytest.mark.slow
@pytest.mark.qloom("line.yaml")
def test_a_fibre_that_is_down_delivers_nothing_and_healed_it_delivers_again(testbed: SteeredTestbed) -> None:
    testbed.start("bob", tail)
    testbed.start("alice", head, TAKES)
    testbed.wait_for("circuit_pair_delivered", end="head", within_s=1.0)
    with testbed.links["repeater-bob"].down():
        down_from = testbed.now_s
        testbed.go(0.3)
        down_until = testbed.now_s
    testbed.wait_for("circuit_pair_delivered", end="head", within_s=5.0)
    delivered = [each.delivered_between(down_from + 0.1, down_until) for each in testbed.circuits.values()]
    assert sum(delivered) == 0
    testbed.finish()


@pytest.mark.slow
@pytest.mark.qloom("line.yaml")
def test_what_never_happens_is_said_with_who_waits(testbed: SteeredTestbed) -> None:
    def waits(session: Session) -> None:
        with pytest.raises(TimedOut):
            session.receive("bob", tag="never", timeout_s=0.5)

    testbed.start("alice", waits)
    with pytest.raises(AssertionError, match=r"waited 0\.25 s of virtual time for circuit_down"):
        testbed.wait_for("circuit_down", within_s=0.25)
    testbed.finish()
    assert testbed.now_s == pytest.approx(0.5)
