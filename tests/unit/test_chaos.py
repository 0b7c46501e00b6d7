"""Random fault schedules: drawn by the seed, concrete, and every kind that can be drawn."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from orchestrator import chaos
from orchestrator.scenario import LinkDown, Scenario
from orchestrator.scenario.faults import KINDS, Partition, kind_of, target_of
from orchestrator.scenario.file import ScenarioError, parse
from orchestrator.scenario.random_faults import DRAWN

SCENARIO = """
version: 1
name: net
seed: 5
nodes: {a: , b: , c: , d: }
links:
  a-b: {ends: [a, b], length_km: 1}
  b-c: {ends: [b, c], length_km: 1, heralding: {scheme: single_click}}
classical_links: {c-d: {ends: [c, d], length_km: 1}}
faults: [{kind: link_down, link: a-b, at_s: 1}]
random_faults: [{count: 40, kinds: [link_down, node_kill], from_s: 1, until_s: 3, longest_s: 0.5, spare: [a]}]
"""


def scenario(text: str = SCENARIO, seed: int = 5) -> Scenario:
    return msgspec.structs.replace(parse(text, source="net.yaml"), seed=seed)


def test_what_is_drawn_is_concrete_named_and_within_its_bounds() -> None:
    drawn = chaos.expanded(scenario())
    assert drawn.random_faults == ()
    assert drawn.faults[0].name == "link_down a-b"
    random = drawn.faults[1:]
    assert [fault.name for fault in random] == [f"random-{n}" for n in range(40)]
    assert all(1 <= fault.at_s < 3 for fault in random)
    assert all((fault.for_s is not None) == DRAWN[kind_of(fault)].lasts for fault in random)
    assert all(0 < fault.for_s <= 0.5 for fault in random if fault.for_s is not None)
    assert "a" not in {target_of(fault) for fault in random}
    parse(msgspec.json.encode(drawn).decode(), source="drawn.json")


def test_the_seed_draws_and_a_larger_count_adds() -> None:
    drawn = chaos.expanded(scenario())
    assert chaos.expanded(scenario()) == drawn
    assert chaos.expanded(scenario(seed=6)).faults[1:] != drawn.faults[1:]
    assert chaos.expanded(scenario(SCENARIO.replace("count: 40", "count: 12"))).faults == drawn.faults[:13]
    assert chaos.expanded(drawn) is drawn


def test_every_kind_and_every_target_comes_up() -> None:
    drawn = chaos.expanded(scenario(SCENARIO.replace("count: 40", "count: 2000"))).faults[1:]
    cut = Counter(target_of(fault) for fault in drawn if isinstance(fault, LinkDown))
    assert set(cut) == {"a-b", "b-c", "c-d"}
    assert min(cut.values()) > 0.7 * max(cut.values())


@pytest.mark.parametrize("kind", DRAWN)
def test_each_kind_can_be_drawn_alone_and_is_a_sound_fault(kind: str) -> None:
    text = SCENARIO.replace("link_down, node_kill", kind)
    drawn = chaos.expanded(scenario(text))
    assert {kind_of(fault) for fault in drawn.faults[1:]} == {kind}
    assert kind in KINDS
    parse(msgspec.json.encode(drawn).decode(), source="drawn.json")


def test_every_kind_can_be_drawn_but_the_fabric_s_own() -> None:
    assert set(KINDS) - set(DRAWN) == {kind for kind in KINDS if kind.startswith("fabric_")}


def test_a_partition_takes_at_most_half_of_the_nodes() -> None:
    drawn = chaos.expanded(scenario(SCENARIO.replace("link_down, node_kill", "partition"))).faults[1:]
    groups = {fault.nodes for fault in drawn if isinstance(fault, Partition)}
    assert {len(group) for group in groups} == {1}, "three are not spared"
    assert {name for group in groups for name in group} == {"b", "c", "d"}


def test_only_links_that_a_kind_makes_sense_on_are_drawn() -> None:
    drawn = chaos.expanded(scenario(SCENARIO.replace("link_down, node_kill", "dark_counts"))).faults[1:]
    assert {target_of(fault) for fault in drawn} == {"b-c"}


def test_a_kind_that_is_named_twice_is_drawn_twice_as_often() -> None:
    text = SCENARIO.replace("count: 40, kinds: [", "count: 3000, kinds: [link_down, ")
    count = Counter(kind_of(fault) for fault in chaos.expanded(scenario(text)).faults[1:])
    assert 1.7 < count["link_down"] / count["node_kill"] < 2.3


def test_names_do_not_clash() -> None:
    text = SCENARIO.replace("at_s: 1}", "at_s: 1, name: random-0}")
    found = [fault.name for fault in chaos.expanded(scenario(text)).faults]
    assert len(set(found)) == len(found)


def test_nothing_to_strike_is_an_error() -> None:
    text = SCENARIO.replace("link_down, node_kill", "node_kill").replace("spare: [a]", "spare: [a, b, c, d]")
    with pytest.raises(ValueError, match="found none that is not spared"):
        chaos.expanded(scenario(text))


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (
            "kinds: [link_down], from_s: 3, until_s: 3",
            "random_faults[0].until_s",
            "expected more than from_s (3), found 3",
        ),
        ("until_s: 3, kinds: [earthquake]", "random_faults[0].kinds", "found 'earthquake'"),
        (
            "until_s: 3, kinds: [link_down], spare: [a-c]",
            "random_faults[0].spare[0]",
            "expected the name of a node or a link, found 'a-c'",
        ),
        ("kinds: [link_down]", "random_faults[0].until_s", "but the key is missing"),
    ],
)
def test_a_section_that_cannot_be_is_refused(change: str, path: str, said: str) -> None:
    text = SCENARIO[: SCENARIO.index("random_faults")] + f"random_faults: [{{count: 2, {change}}}]"
    with pytest.raises(ScenarioError) as refused:
        parse(text, source="net.yaml")
    assert any(problem.path == path and said in problem.message for problem in refused.value.problems), refused.value
