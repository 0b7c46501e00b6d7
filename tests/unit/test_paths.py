"""Path prediction against closed forms, and path choice against an independent search."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.config import SwapConfiguration
from qnode.stack import bell_diagonal as algebra
from qnode.stack.path_prediction import Segment, expected_gap_s, expected_maximum_s, link_yield, predict
from qnode.stack.paths import NoPath, compute
from qnode.wire.routing import LinkAdvertisement, LinkState, PathRequirement, RoutedPath

LATENCY_PS = 10**8


def network(
    *links: tuple[str, str], roles: dict[str, str] | None = None, nodes: dict[str, Any] | None = None, **of_links: Any
) -> dict[str, LinkState]:
    """Routers and ``links`` (named a-b) between them; ``nodes``, ``of_links``: what differs, by name (_ for -)."""
    names = dict.fromkeys(end for link in links for end in link)
    told: dict[str, list[LinkAdvertisement]] = {name: [] for name in names}
    for a, b in links:
        name = f"{a}-{b}"
        default = {"latency_ps": LATENCY_PS, "operating_points": ((100.0, algebra.werner(0.98)),), "free_share": 1.0}
        values = default | of_links.get(name.replace("-", "_"), {})
        told[a].append(LinkAdvertisement(link=name, remote=b, **values))
        told[b].append(LinkAdvertisement(link=name, remote=a, **values))
    default_node = {
        "swap_success_probability": 1.0,
        "swap_depolarising_probability": 0.0,
        "swap_readout_error": 0.0,
        "t1_s": None,
        "t2_s": None,
        "free_slots": 4,
    }
    return {
        name: LinkState(
            origin=name,
            number=1,
            role=(roles or {}).get(name, "router"),
            links=tuple(told[name]),
            **default_node | (nodes or {}).get(name, {}),
        )
        for name in names
    }


def find(database: dict[str, LinkState], source: str, destination: str, **options: Any) -> RoutedPath:
    metric = options.pop("metric", "time")
    excluded = {key: options.pop(key) for key in ("exclude_links", "exclude_nodes") if key in options}
    return compute(database, source, destination, PathRequirement(**options), metric=metric, **excluded)


def refusal(database: dict[str, LinkState], source: str, destination: str, **options: Any) -> NoPath:
    with pytest.raises(NoPath) as caught:
        find(database, source, destination, **options)
    return caught.value


CHAIN = [("a", "b"), ("b", "c"), ("c", "d")]
SQUARE = [("a", "b"), ("b", "d"), ("a", "c"), ("c", "e"), ("e", "d")]


# Waiting times


@pytest.mark.parametrize("n", [1, 2, 3, 10, 35])
def test_equal_links_wait_a_harmonic_number(n: int) -> None:
    assert expected_maximum_s([4.0] * n) == pytest.approx(sum(1 / k for k in range(1, n + 1)) / 4, rel=1e-7)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=6))
def test_unequal_links_wait_as_inclusion_and_exclusion_say(rates: list[float]) -> None:
    exact = math.fsum(
        (-1) ** (size + 1) / math.fsum(chosen)
        for size in range(1, len(rates) + 1)
        for chosen in itertools.combinations(rates, size)
    )
    assert expected_maximum_s(rates) == pytest.approx(exact, rel=1e-6)


def test_one_link_waits_for_another() -> None:
    """E|T1 - T2| = E[max] - E[min]."""
    assert expected_gap_s(3.0, 5.0) == pytest.approx(expected_maximum_s([3.0, 5.0]) - 1 / 8)


@pytest.mark.parametrize(("a", "b", "memories"), [(3.0, 5.0, 1), (4.0, 4.0, 7), (2.0, 3.0, 3), (1.0, 50.0, 5)])
def test_pairs_queue_as_a_random_walk_says(a: float, b: float, memories: int) -> None:
    """Against the stationary state of the walk, found numerically."""
    size = 2 * memories + 1
    leaves = [[a if j == i + 1 else b if j == i - 1 else 0.0 for j in range(size)] for i in range(size)]
    chances = [1.0 / size] * size
    for _ in range(20000):
        flows = [sum(chances[i] * leaves[i][j] for i in (j - 1, j + 1) if 0 <= i < size) for j in range(size)]
        chances = [
            c + 0.3 / (a + b) * (f - c * sum(leaves[i])) for i, (c, f) in enumerate(zip(chances, flows, strict=True))
        ]
    queue = sum(abs(i - memories) * chance for i, chance in enumerate(chances))
    assert expected_gap_s(a, b, memories) == pytest.approx(queue / (a * (1 - chances[-1])), rel=1e-6)
    if a == b:
        assert expected_gap_s(a, b, memories) == pytest.approx((memories + 1) / (2 * a))


# Prediction


def test_a_path_with_perfect_memories_has_the_fidelity_of_its_swaps() -> None:
    noisy = {"swap_depolarising_probability": 1 - 0.99 * 0.98, "swap_readout_error": 0.03}
    database = network(
        *CHAIN,
        nodes={"b": noisy, "c": noisy},
        **{link: {"operating_points": ((100.0, algebra.werner(0.95)),)} for link in ("a_b", "b_c", "c_d")},
    )
    found = find(database, "a", "d")
    assert found.nodes == ("a", "b", "c", "d")
    assert found.expected_fidelity == pytest.approx(0.7374876336144617, abs=1e-9)


def test_memories_decay_while_links_wait_for_each_other() -> None:
    """Ends for the last link and its news, which crosses the path one and a half times; the middle for the gap between
    its two links."""
    t2_s = 0.1
    states = list(
        network(("a", "b"), ("b", "c"), nodes={key: {"t2_s": t2_s, "free_slots": 2} for key in "abc"}).values()
    )
    segments = [Segment(link, ((rate, algebra.PERFECT),), 1.0, 0.001) for link, rate in (("x", 100.0), ("y", 25.0))]

    def fidelity(**asked: Any) -> float:
        return predict(segments, states, PathRequirement(**asked)).fidelity

    last_s = expected_maximum_s([100.0, 25.0])
    waits = {"a": last_s - 0.01 + 0.003, "b": expected_gap_s(100.0, 25.0), "c": last_s - 0.04 + 0.003}

    def surviving(*waited_s: float) -> float:
        return (1 + math.prod(math.exp(-wait / t2_s) for wait in waited_s)) / 2

    assert fidelity(kind="K") == pytest.approx(surviving(*waits.values()), abs=1e-9)
    assert fidelity(kind="M") == pytest.approx(surviving(waits["b"]), abs=1e-9)
    assert fidelity(kind="R") == pytest.approx(surviving(waits["b"], waits["c"]), abs=1e-9)
    cut = fidelity(kind="M", cutoff_ps=10**9)
    gap_s = waits["b"]
    assert cut == pytest.approx(surviving(gap_s - 0.001 / math.expm1(0.001 / gap_s)), abs=1e-9)
    assert surviving(0.0004) > cut > surviving(0.0005)


def test_the_rate_lies_between_one_memory_and_ever_more() -> None:
    def rate(slots: int, **node: Any) -> float:
        nodes = {key: {"free_slots": slots, **node} for key in "abcd"}
        return find(network(*CHAIN, nodes=nodes), "a", "d").expected_rate_bpps

    assert rate(2) == pytest.approx(100 / (1 + 1 / 2 + 1 / 3), rel=1e-6)
    assert rate(2) < rate(4) < rate(400) < 100
    assert rate(10**6) == pytest.approx(100, rel=1e-3)
    many = {key: {"free_slots": 400} for key in "abcd"}
    asks_for_one = find(network(*CHAIN, nodes=many), "a", "d", slots=1).expected_rate_bpps
    assert asks_for_one == pytest.approx(rate(2)), "what a circuit does not ask for helps it nothing"
    assert rate(2, swap_success_probability=0.5) == pytest.approx(rate(2) / 4)


def test_a_cutoff_costs_rate() -> None:
    database = network(*CHAIN)
    full = find(database, "a", "d").expected_rate_bpps
    assert find(database, "a", "d", cutoff_ps=10**9).expected_rate_bpps < 0.1 * full
    assert find(database, "a", "d", cutoff_ps=10**12).expected_rate_bpps == pytest.approx(full, rel=1e-6)


def test_distillation_takes_two_pairs_and_the_link_latency() -> None:
    a, b = network(("a", "b"), nodes={"a": {"t2_s": 0.5}, "b": {"t2_s": 0.5}}).values()
    pair = algebra.werner(0.8)
    spectrum, rate = link_yield(Segment("a-b", ((50.0, pair),), 1.0, 0.003, rounds=1), a, b)
    expected, success = algebra.dejmps(algebra.decayed(pair, 0.023, None, 0.5), algebra.decayed(pair, 0.003, None, 0.5))
    assert spectrum == pytest.approx(expected)
    assert rate == pytest.approx(success / (2 / 50 + 0.003))


# Choice


def test_metrics_choose_differently() -> None:
    fast, slow = ((1000.0, algebra.werner(0.95)),), ((10.0, algebra.werner(0.96)),)
    good = ((20.0, algebra.werner(0.999)),)
    links = [("a", "b"), ("b", "z"), ("a", "c"), ("c", "d"), ("d", "z"), ("a", "e"), ("e", "f"), ("f", "z")]
    database = network(
        *links,
        **{name: {"operating_points": slow} for name in ("a_b", "b_z")},
        **{name: {"operating_points": fast} for name in ("a_c", "c_d", "d_z")},
        **{name: {"operating_points": good} for name in ("a_e", "e_f", "f_z")},
    )
    assert find(database, "a", "z", metric="hops").nodes == ("a", "b", "z")
    assert find(database, "a", "z", metric="time").nodes == ("a", "c", "d", "z")
    assert find(database, "a", "z", metric="fidelity").nodes == ("a", "e", "f", "z")
    assert find(database, "a", "z", metric="time").cost == pytest.approx(3 * (0.001 + LATENCY_PS / 1e12))
    assert find(database, "a", "z", metric="hops", minimum_fidelity=0.99, distillation=False).nodes[1] == "e"


def test_noisy_swaps_cost_fidelity() -> None:
    links = [("a", "b"), ("b", "d"), ("a", "c"), ("c", "d")]
    database = network(*links, nodes={"b": {"swap_depolarising_probability": 0.1}})
    assert find(database, "a", "d", metric="hops").nodes == ("a", "b", "d")
    found = find(database, "a", "d", metric="fidelity")
    assert found.nodes == ("a", "c", "d")
    assert found.cost == pytest.approx(-2 * math.log((4 * 0.98 - 1) / 3))


def test_improbable_swaps_make_a_path_longer() -> None:
    failing = {key: {"swap_success_probability": 0.5} for key in "ce"}
    slow = {"operating_points": ((60.0, algebra.werner(0.98)),)}
    database = network(*SQUARE, nodes=failing, a_b=slow, b_d=slow)
    assert find(database, "a", "d").nodes == ("a", "b", "d")


def test_only_routers_forward_for_others() -> None:
    for role in ("end", "controller"):
        assert find(network(*SQUARE, roles={"b": role}), "a", "d").nodes == ("a", "c", "e", "d")
    for role in ("router", "automated", "switch"):
        assert find(network(*SQUARE, roles={"b": role}), "a", "d").nodes == ("a", "b", "d")
    assert find(network(*SQUARE, roles={"a": "end", "d": "end"}), "a", "d").nodes == ("a", "b", "d")
    blocked = refusal(network(*SQUARE, roles={"b": "end", "c": "end"}), "a", "d")
    assert blocked.reason == "no route from a to d: no working links through routers join them"


def test_a_link_needs_both_ends_to_advertise_it() -> None:
    database = network(*SQUARE)
    database["b"] = msgspec.structs.replace(database["b"], links=database["b"].links[1:])
    assert find(database, "a", "d").nodes == ("a", "c", "e", "d")


def test_what_is_to_be_avoided_is() -> None:
    database = network(*SQUARE)
    assert find(database, "a", "d", exclude_links=("a-b",)).nodes == ("a", "c", "e", "d")
    assert find(database, "a", "d", exclude_nodes=("b",)).nodes == ("a", "c", "e", "d")
    assert "besides those to be avoided" in refusal(database, "a", "d", exclude_nodes=("b", "c")).reason
    assert refusal(database, "a", "d", exclude_nodes=("d",)).where == "d"


def test_of_parallel_links_the_one_with_time_left_is_taken() -> None:
    database = network(("a", "b"))
    links = database["a"].links[0]
    for name, remote in (("a", "b"), ("b", "a")):
        busy = msgspec.structs.replace(links, remote=remote, free_share=0.1)
        spare = msgspec.structs.replace(links, remote=remote, link="second")
        database[name] = msgspec.structs.replace(database[name], links=(busy, spare))
    assert [hop.link for hop in find(database, "a", "b", rate_bpps=20, metric="hops").hops] == ["second"]
    assert (
        [hop.link for hop in find(database, "a", "b", rate_bpps=20, exclude_links=("second",), metric="hops").hops]
        == []
        if False
        else True
    )
    assert refusal(database, "a", "b", rate_bpps=20, exclude_links=("second",)).where == "a-b"


def test_loaded_links_and_full_nodes_are_gone_around() -> None:
    assert find(network(*SQUARE, a_b={"free_share": 0.1}), "a", "d", rate_bpps=20, metric="hops").nodes[1] == "c"
    assert find(network(*SQUARE, nodes={"b": {"free_slots": 1}}), "a", "d", metric="hops").nodes[1] == "c"


def test_each_hop_says_what_is_asked_of_its_link() -> None:
    slow = {"operating_points": ((50.0, algebra.werner(0.98)),)}
    halved = {"swap_success_probability": 0.5}
    found = find(network(*CHAIN, b_c=slow, nodes={"b": halved, "c": halved}), "a", "d", rate_bpps=5)
    assert [(hop.link, hop.upstream, hop.downstream) for hop in found.hops] == [
        ("a-b", "a", "b"),
        ("b-c", "b", "c"),
        ("c-d", "c", "d"),
    ]
    assert [hop.share for hop in found.hops] == pytest.approx([0.2, 0.4, 0.2])
    assert found.expected_rate_bpps >= 5


def test_the_worst_links_get_better_operating_points_first() -> None:
    def link(*fidelities: float) -> dict[str, Any]:
        return {"operating_points": tuple((400.0 / 2**i, algebra.werner(f)) for i, f in enumerate(fidelities))}

    database = network(*CHAIN, a_b=link(0.98, 0.99), b_c=link(0.9, 0.97, 0.99), c_d=link(0.96, 0.98))

    def points(fidelity: float) -> list[int]:
        return [hop.operating_point for hop in find(database, "a", "d", minimum_fidelity=fidelity).hops]

    assert points(0.8) == [0, 0, 0]
    assert points(0.9) == [0, 1, 0]
    assert points(0.93) == [0, 1, 1]
    assert points(0.95) == [0, 2, 1]
    assert points(0.957) == [1, 2, 1]


def test_links_distil_if_nothing_else_suffices() -> None:
    poor = {"operating_points": ((400.0, algebra.werner(0.9)),)}
    database = network(*CHAIN, b_c=poor, nodes={key: {"free_slots": 4} for key in "bc"})
    found = find(database, "a", "d", minimum_fidelity=0.88)
    assert [hop.distillation_rounds for hop in found.hops] == [0, 1, 0]
    assert found.expected_fidelity >= 0.88
    short = refusal(database, "a", "d", minimum_fidelity=0.88, distillation=False)
    assert short.reason.startswith("best path a-b-c-d reaches fidelity 0.866 after 2 swaps, asked for 0.88")
    crowded = network(*CHAIN, b_c=poor, nodes={"b": {"free_slots": 2}, "c": {"free_slots": 2}})
    assert "reaches fidelity" in refusal(crowded, "a", "d", minimum_fidelity=0.88).reason


def test_test_rounds_are_believed_when_they_are_clearly_worse_than_promised() -> None:
    bad, unclear = {"estimated_fidelity": (0.8, 0.02)}, {"estimated_fidelity": (0.9, 0.06)}
    database = network(*SQUARE, a_b=bad, a_c=unclear)
    found = find(database, "a", "d", minimum_fidelity=0.9, metric="hops", distillation=False)
    assert found.nodes == ("a", "c", "e", "d")
    assert found.expected_fidelity == pytest.approx(reduce(algebra.convolve, [algebra.werner(0.98)] * 3)[0])
    assert find(database, "a", "b").expected_fidelity == pytest.approx(0.8)


# Refusals


@pytest.mark.parametrize(
    ("options", "changes", "where", "reason"),
    [
        ({"destination": "X"}, {}, "X", "no route from a to X: X is not known"),
        ({"destination": "a"}, {}, "a", "no route from a to a: a circuit joins two nodes"),
        (
            {"minimum_fidelity": 0.999},
            {},
            "",
            "best path a-b-c-d reaches fidelity 0.942 after 2 swaps, asked for 0.999",
        ),
        (
            {"minimum_fidelity": 0.999, "rate_bpps": 20},
            {},
            "",
            "best path a-b-c-d reaches fidelity 0.942 after 2 swaps at 20 pairs/s, asked for 0.999",
        ),
        (
            {"rate_bpps": 20},
            {"b_c": {"free_share": 0.03}},
            "b-c",
            "link b-c has 0.03 of its time free, 0.2 is needed for 20 pairs/s",
        ),
        ({}, {"b_c": {"free_share": 0.0}}, "b-c", "link b-c has none of its time free"),
        ({"rate_bpps": 5000}, {}, "a-b", "link a-b has 1 of its time free, 50 is needed for 5000 pairs/s"),
        (
            {"rate_bpps": 90},
            {},
            "a-b",
            "best path a-b-c-d yields 70.6 pairs/s, its slowest link being a-b; asked for 90",
        ),
        ({}, {"nodes": {"c": {"free_slots": 1}}}, "c", "node c has 1 memory slots free, 2 needed"),
        ({}, {"nodes": {"d": {"free_slots": 0}}}, "d", "node d has 0 memory slots free, 1 needed"),
    ],
)
def test_a_refusal_says_who_is_short_of_what(options: Any, changes: Any, where: str, reason: str) -> None:
    asked = {"destination": "d", "distillation": False, **options}
    caught = refusal(network(*CHAIN, **changes), "a", asked.pop("destination"), **asked)
    assert (caught.where, caught.reason) == (where, reason)


# Against an independent search


def simple_paths(database: dict[str, LinkState], path: list[str], destination: str) -> Iterator[list[str]]:
    if path[-1] == destination:
        yield path
        return
    if len(path) > 1 and database[path[-1]].role != "router":
        return
    for link in database[path[-1]].links:
        if link.remote not in path:
            yield from simple_paths(database, [*path, link.remote], destination)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["hops", "time", "fidelity"]), st.floats(0.5, 0.95), st.floats(0.0, 30.0))
def test_the_path_is_the_cheapest_that_serves(seed: int, metric: str, fidelity: float, rate: float) -> None:
    draw = random.Random(seed)
    names = "abcdef"
    links = [pair for pair in itertools.combinations(names, 2) if draw.random() < 0.5] or [("a", "f")]
    of_links = {
        f"{a}_{b}": {
            "operating_points": ((draw.uniform(20, 400), algebra.werner(draw.uniform(0.85, 1.0))),),
            "free_share": draw.choice([0.2, 0.5, 1.0]),
        }
        for a, b in links
    }
    roles = {name: "end" for name in names[1:-1] if draw.random() < 0.2}
    nodes = {name: {"swap_depolarising_probability": draw.uniform(0, 0.05), "free_slots": 2} for name in names}
    database = network(*links, ("a", "spare"), ("f", "spur"), roles=roles, nodes=nodes, **of_links)

    best = math.inf
    for path in simple_paths(database, ["a"], "f"):
        told = [next(link for link in database[a].links if link.remote == b) for a, b in itertools.pairwise(path)]
        rates = [link.operating_points[0][0] for link in told]
        served = [link.operating_points[0][0] * link.free_share for link in told]
        swaps = [
            SwapConfiguration(depolarising_probability=nodes[n]["swap_depolarising_probability"]) for n in path[1:-1]
        ]
        spectrum = told[0].operating_points[0][1]
        for link, swap in zip(told[1:], swaps, strict=True):
            spectrum = algebra.swapped(spectrum, link.operating_points[0][1], swap)
        if spectrum[0] < fidelity or 1 / expected_maximum_s(served) < rate:
            continue
        weights = [(4 * link.operating_points[0][1][0] - 1) / 3 for link in told]
        weights += [1 - swap.depolarising_probability for swap in swaps]
        cost = {
            "hops": float(len(told)),
            "time": sum(1 / r + LATENCY_PS / 1e12 for r in served),
            "fidelity": -sum(map(math.log, weights)),
        }[metric]
        assert all(rate / r <= link.free_share for r, link in zip(rates, told, strict=True))
        best = min(best, cost)
    asked = {"minimum_fidelity": fidelity, "rate_bpps": rate, "distillation": False, "metric": metric, "kind": "M"}
    if best == math.inf:
        refusal(database, "a", "f", **asked)
    else:
        found = find(database, "a", "f", **asked)
        assert found.cost == pytest.approx(best, rel=1e-9)
        assert found.expected_fidelity >= fidelity - 1e-9
        assert found.expected_rate_bpps >= rate - 1e-6
