"""Links estimate their own fidelity on sacrificed pairs, and the network hears of it."""

from __future__ import annotations

import pytest
from in_process import InProcess

from orchestrator.scenario import Link, Node, Scenario, Source
from orchestrator.scenario.hardware import Hardware, Memory
from orchestrator.scenario.types import Network
from qnode.stack.circuits.estimate import Estimate


def line(*, fidelity: float, fraction: float, slots: int = 4) -> Scenario:
    hardware = Hardware(communication=Memory(slots=slots), storage=Memory(slots=0))
    heralding = Source(success_probability=0.2, fidelity=fidelity)
    ends = (("a", "b"), ("b", "c"))
    return Scenario(
        version=1,
        name="line",
        seed=7,
        network=Network(test_fraction=fraction),
        nodes={name: Node(hardware=hardware) for name in "abc"},
        links={"".join(pair): Link(ends=pair, length_km=10, heralding=heralding) for pair in ends},
    )


@pytest.mark.parametrize("fidelity", [1.0, 0.85])
def test_the_estimate_is_the_links_fidelity_within_its_error_and_everybody_knows_it(fidelity: float) -> None:
    testbed = InProcess(line(fidelity=fidelity, fraction=0.1))
    testbed.run_for(1.0)
    estimates = testbed.of_kind("link_estimate")
    assert {record["link"] for record in estimates} == {"ab", "bc"}
    for link, origin in (("ab", "a"), ("bc", "b")):
        last = [record for record in estimates if record["link"] == link][-1]
        assert abs(last["fidelity"] - fidelity) < 4.5 * last["standard_error"]
        told = testbed.seats["c"].node.routing.database()[origin]
        (advertised,) = [each for each in told.links if each.link == link]
        assert advertised.estimated_fidelity is not None
        assert advertised.estimated_fidelity[0] in [record["fidelity"] for record in estimates]


def test_tests_take_the_share_of_the_link_that_they_are_given() -> None:
    testbed = InProcess(line(fidelity=0.9, fraction=0.1))
    seconds = 0.5
    testbed.run_for(seconds)
    rate_hz = testbed.configuration("a").links[0].operating_points[0].rate_hz
    pairs = testbed.engine.links["ab"].heralded
    assert 0.5 * 0.1 * rate_hz * seconds < pairs <= 0.1 * rate_hz * seconds + 1


def test_without_a_share_nothing_is_sacrificed() -> None:
    testbed = InProcess(line(fidelity=0.9, fraction=0.0))
    testbed.run_for(0.5)
    assert testbed.engine.links["ab"].heralded == 0


def test_an_estimate_of_few_or_equal_bits_does_not_pretend_to_be_exact() -> None:
    estimate = Estimate()
    estimate.add("X", 0)
    assert estimate.fidelity() is None
    for axis, differs in (("X", 0), ("Y", 1), ("Y", 1), ("Z", 0), ("Z", 0)):
        estimate.add(axis, differs)
    found = estimate.fidelity()
    assert found is not None
    assert found[0] == 1.0
    assert found[1] > 0.15
