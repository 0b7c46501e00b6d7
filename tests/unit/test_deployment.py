"""From a scenario to what each node is told of itself, its links and the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.deployment import network_configuration, node_configurations, swap_configuration
from orchestrator.fabric.operating_points import operating_models
from orchestrator.scenario import Network, Scenario
from orchestrator.scenario.file import load, parse
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.config import NetworkConfiguration, NodeConfiguration

QMAN = Path(__file__).resolve().parents[2] / "topologies" / "beijing_qman.yaml"

NETWORK = """
version: 1
name: t
nodes:
  left: {hardware: ideal}
  middle: {hardware: {profile: ideal, bell_measurement_success_probability: 0.5, readout_error_0: 0.02}}
  right: {role: automated}
  boss: {role: controller}
links:
  one:
    ends: [left, middle]
    length_km: 10
    heralding: {scheme: single_click, bright_state_population: 0.1}
  two: {ends: [middle, right], length_km: 20}
classical_links:
  wire: {ends: [boss, middle], latency_s: 0.001}
network: {routing: controller, controller: boss, hello_interval_s: 0.25, test_fraction: 0.1}
"""


def configured(scenario: Scenario) -> dict[str, NodeConfiguration]:
    each = node_configurations(scenario, applications=True)
    return {configuration.name: configuration for configuration in each}


def test_each_node_is_told_its_role_its_links_and_the_network() -> None:
    scenario = parse(NETWORK, source="t.yaml")
    nodes = configured(scenario)
    assert {name: node.role for name, node in nodes.items()} == {
        "left": "end",
        "middle": "router",
        "right": "automated",
        "boss": "controller",
    }
    boss = nodes["boss"]
    assert (boss.communication_slots, boss.storage_slots, boss.links) == (0, 0, ())
    middle = nodes["middle"]
    assert middle.network == NetworkConfiguration(
        routing="controller", controller="boss", hello_interval_ps=25 * 10**10, test_fraction=0.1
    )
    assert middle.swap.success_probability == 0.5
    assert middle.swap.readout_error == pytest.approx(0.01)
    one, two = middle.links
    models = operating_models(scenario.links["one"])
    assert [point.rate_hz for point in one.operating_points] == [model.rate_hz for model in models]
    assert [point.spectrum[0] for point in one.operating_points] == pytest.approx([m.fidelity for m in models])
    assert sum(one.operating_points[1].spectrum) == pytest.approx(1.0)
    assert one.goodness == models[0].fidelity
    assert one.cycle_ps == models[0].attempt_cycle_ps
    assert (one.latency_ps, two.latency_ps) == (48_967_209, 97_934_418)
    assert len(two.operating_points) == 1


def test_the_defaults_of_the_scenario_are_those_of_the_nodes() -> None:
    text = "version: 1\nname: t\nnodes: {a: }\n"
    assert network_configuration(parse(f"{text}network: {{}}\n", source="t")) == NetworkConfiguration()
    assert parse(f"{text}network: {{}}\n", source="t").network == Network()
    assert network_configuration(parse(text, source="t")) is None


def test_depolarisation_of_a_memory_adds_to_both_its_rates_of_decay() -> None:
    memory = Memory(slots=1, t1_s=4.0, t2_s=2.0, depolarising_time_s=4.0)
    hardware = Hardware(
        communication=memory,
        storage=Memory(slots=0),
        two_qubit_gate_duration_s=1e-3,
        single_qubit_gate_duration_s=1e-4,
        measure_duration_s=1e-5,
    )
    swap = swap_configuration(hardware)
    assert (swap.t1_s, swap.t2_s) == (pytest.approx(2.0), pytest.approx(4.0 / 3.0))
    assert swap.duration_ps == 1_110_000_000
    ideal = swap_configuration(Hardware(communication=Memory(slots=1), storage=Memory(slots=0)))
    assert (ideal.t1_s, ideal.t2_s) == (None, None)


BROKEN: list[tuple[str, str]] = [
    ("network: {routing: controller}", "network.controller: expected the name of the node"),
    ("network: {controller: a}", "network.controller: expected routing: controller"),
    ("network: {routing: controller, controller: nobody}", "expected the name of a node, found 'nobody'"),
    ("network: {routing: controller, controller: a}", "expected a node with role: controller, found 'a'"),
    ("network: {helo_lost: 3}", "did you mean 'hello_lost'"),
    ("network: {hello_interval_s: 0}", "network.hello_interval_s: expected a finite number from 1e-09"),
    ("faults: [{kind: link_down, at_s: 1, link: ba}]", "faults[0].link: expected the name of a link, found 'ba'"),
    ("faults: [{kind: node_kill, at_s: 1, node: z}]", "faults[0].node: expected the name of a node, found 'z'"),
    ("faults: [{kind: clock_reset, at_s: 1, node: a, for_s: 2}]", "faults[0].for_s: expected none"),
    ("faults: [{kind: meteor, at_s: 1}]", "faults[0].kind: expected one of link_down, fibre_cut,"),
]


@pytest.mark.parametrize(("section", "message"), BROKEN, ids=[section for section, _ in BROKEN])
def test_what_is_wrong_with_a_network_or_a_fault_is_said(section: str, message: str) -> None:
    text = "version: 1\nname: t\nnodes: {a: , b: }\nlinks: {ab: {ends: [a, b], length_km: 1}}\n"
    with pytest.raises(ValueError, match="problem") as error:
        parse(f"{text}{section}\n", source="t.yaml")
    assert message in str(error.value)


def test_a_quantum_link_cannot_end_at_a_controller() -> None:
    text = "version: 1\nname: t\nnodes: {a: , b: {role: controller}}\nlinks: {ab: {ends: [a, b], length_km: 1}}\n"
    with pytest.raises(ValueError, match="expected a node with a communication slot, found 'b' with none"):
        parse(text, source="t.yaml")


def test_the_metropolitan_network_is_the_published_one() -> None:
    scenario = load(QMAN)
    nodes = configured(scenario)
    assert (len(nodes), len(scenario.links)) == (35, 37)
    assert sum(link.length_km for link in scenario.links.values()) == pytest.approx(245.367, abs=0.001)
    roles: dict[str, list[str]] = {}
    for name, node in nodes.items():
        roles.setdefault(node.role, []).append(name)
    assert len(roles["end"]) == 15
    assert {name for name in roles["router"] if name.startswith("EN")} == {"EN2", "EN4", "EN5"}
    fewest: dict[str, Any] = {name: node.communication_slots - len(node.links) for name, node in nodes.items()}
    assert min(fewest.values()) >= 3, "every node can serve all of its links at once"
    assert all(each.latitude is not None and each.longitude is not None for each in scenario.nodes.values())
