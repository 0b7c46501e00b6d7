"""Latencies and paths of the classical network."""

from __future__ import annotations

import time

import pytest

from orchestrator.scenario.file import parse
from orchestrator.topology import Topology, travel_time_ps


def topology(text: str, *, nodes: int = 4) -> Topology:
    names = "".join(f"  n{index}:\n" for index in range(nodes))
    return Topology(parse(f"version: 1\nname: t\nnodes:\n{names}{text}", source="t.yaml"))


def test_light_takes_a_second_for_299792_458_km_of_vacuum() -> None:
    assert travel_time_ps(299792.458, refractive_index=1.0) == 10**12
    assert travel_time_ps(25.0, refractive_index=1.468) == 122_418_023  # 122.4 us over the metropolitan link


def test_a_quantum_link_carries_a_classical_channel() -> None:
    line = topology("links:\n  a: {ends: [n0, n1], length_km: 10}\n  b: {ends: [n1, n2], length_km: 20}\n")
    one = travel_time_ps(10, refractive_index=1.468)
    two = travel_time_ps(20, refractive_index=1.468)
    assert line.classical_latency_ps("n0", "n1") == one
    assert line.classical_latency_ps("n0", "n2") == line.classical_latency_ps("n2", "n0") == one + two
    assert line.min_classical_latency_ps() == one


def test_the_fastest_path_wins_over_the_shortest_list_of_links() -> None:
    net = topology(
        "links:\n  a: {ends: [n0, n1], length_km: 10}\n  b: {ends: [n1, n2], length_km: 10}\n"
        "classical_links:\n  slow: {ends: [n0, n2], latency_s: 1}\n"
    )
    assert net.classical_latency_ps("n0", "n2") == 2 * travel_time_ps(10, refractive_index=1.468)
    assert net.neighbours("n0") == {"n1", "n2"}


@pytest.mark.parametrize("order", [("1e-3", "1e-6"), ("1e-6", "1e-3")])
def test_of_parallel_channels_the_faster_counts(order: tuple[str, str]) -> None:
    net = topology(
        "classical_links:\n"
        + "".join(f"  c{index}: {{ends: [n0, n1], latency_s: {latency}}}\n" for index, latency in enumerate(order))
    )
    assert net.classical_latency_ps("n0", "n1") == 10**6


def test_the_refractive_index_is_that_of_the_link() -> None:
    net = topology("classical_links:\n  radio: {ends: [n0, n1], length_km: 299792.458, refractive_index: 1}\n")
    assert net.classical_latency_ps("n0", "n1") == 10**12


def test_nodes_without_a_path_are_unreachable_and_oneself_is_at_once() -> None:
    net = topology("links:\n  a: {ends: [n0, n1], length_km: 10}\n")
    assert net.classical_latency_ps("n0", "n3") is None
    assert net.classical_latency_ps("n3", "n3") == 0
    assert net.neighbours("n3") == frozenset()
    assert topology("").min_classical_latency_ps() is None


def test_components_are_the_nodes_that_can_talk_in_the_order_of_the_file() -> None:
    net = topology("links:\n  a: {ends: [n3, n0], length_km: 10}\n")
    assert net.classical_components() == [("n0", "n3"), ("n1",), ("n2",)]


def test_an_unknown_node_is_an_error_not_unreachable() -> None:
    net = topology("")
    for ask in (
        lambda: net.classical_latency_ps("n0", "x"),
        lambda: net.classical_latency_ps("x", "n0"),
        lambda: net.neighbours("x"),
    ):
        with pytest.raises(KeyError, match="x"):
            ask()


def test_a_latency_keeps_the_last_picosecond() -> None:
    net = topology("classical_links:\n  c: {ends: [n0, n1], latency_s: 123456.789012345678}\n")
    latency = net.classical_latency_ps("n0", "n1")
    assert isinstance(latency, int)
    assert abs(latency - 123456789012345678) <= 16  # a double's spacing at this many seconds


def test_a_thousand_nodes_are_quick() -> None:
    links = "".join(f"  l{index}: {{ends: [n{index}, n{index + 1}], length_km: 1}}\n" for index in range(999))
    started = time.monotonic()
    net = topology(f"links:\n{links}", nodes=1000)
    hop = travel_time_ps(1, refractive_index=1.468)
    assert [net.classical_latency_ps("n0", f"n{index}") for index in range(1000)] == [
        index * hop for index in range(1000)
    ]
    assert time.monotonic() - started < 20
