"""Directories in NetQASM's layout become scenarios, and what is wrong with one is said in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.netqasm import layout
from orchestrator.netqasm.layout import LayoutError
from orchestrator.scenario import NetqasmProgram, Scenario
from orchestrator.scenario.faults import PauliNoise
from orchestrator.scenario.file import ScenarioError, parse

BUNDLED = {
    "anonymous_transmission": {"alice", "bob", "charlie", "david"},
    "bb84": {"alice", "bob"},
    "blind_grover": {"client", "server"},
    "blind_rotation": {"client", "server"},
    "chsh": {"alice", "bob", "repeater"},
    "dist_cnot": {"controller", "target"},
    "link_layer_ck": {"client", "server"},
    "link_layer_md": {"client", "server"},
    "magic_square": {"player1", "player2"},
    "multiple_files": {"alice", "bob"},
    "single_node": {"alice"},
    "teleport": {"receiver", "sender"},
    "three_nodes": {"alice", "bob", "charlie"},
}
NETWORK = """
nodes:
  - {name: delft, gate_fidelity: 0.99, qubits: [{id: 0, t1: 2000000, t2: 0}, {id: 1, t1: 1000000, t2: 500000}]}
  - {name: leiden, gate_fidelity: 1.0, hardware: NV, qubits: [{id: 0, t1: 0, t2: 0}]}
links:
  - {name: ch1, node_name1: delft, node_name2: leiden, noise_type: %s, fidelity: 0.9}
"""
CHAIN = """
version: 1
name: chain
nodes: {west: , middle: , far: }
links:
  a: {ends: [west, middle], length_km: 1}
  b: {ends: [middle, far], length_km: 1}
expectations: [{name: n, value: links.a.pairs, at_least: 1}]
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two programs."""
    for role in ("alice", "bob"):
        (tmp_path / f"app_{role}.py").write_text("def main(app_config=None):\n    pass\n")
    return tmp_path


def scenario_of(directory: Path, topology: Scenario | None = None, **fields: Any) -> Scenario:
    given = {"nodes": {}, "inputs": {}, "program": NetqasmProgram(file=""), **fields}
    return layout.scenario_of(layout.read(directory), topology=topology, **given)


def places(scenario: Scenario) -> dict[str, str]:
    return {each.name: each.node for each in scenario.applications}


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_applications_are_found_by_name(name: str) -> None:
    assert set(layout.read(layout.find(name)).programs) == BUNDLED[name]


def test_without_a_network_each_role_has_an_ideal_link_to_each_other() -> None:
    scenario = scenario_of(layout.find("anonymous_transmission"))
    assert places(scenario) == {role: role for role in BUNDLED["anonymous_transmission"]}
    assert len({frozenset(link.ends) for link in scenario.links.values()}) == 6
    assert all(link.heralding.fidelity == 1.0 for link in scenario.links.values())  # type: ignore[union-attr]
    assert scenario.network is None


def test_the_scenario_s_name_is_one_whatever_the_directory_s_is(tmp_path: Path) -> None:
    directory = tmp_path / "my first app!"
    directory.mkdir()
    (directory / "app_alice.py").write_text("")
    assert scenario_of(directory).name == "my_first_app"


def test_inputs_come_from_the_role_s_file_and_from_the_command(directory: Path) -> None:
    (directory / "alice.yaml").write_text("phi: 0.5\nbits: [1, 0]\n")
    (directory / "bob.yaml").write_text("")
    scenario = scenario_of(directory, inputs={"alice": {"phi": 1.5}, "bob": {"x": 1}})
    inputs = {each.name: each.netqasm.inputs for each in scenario.applications if each.netqasm}
    assert inputs == {"alice": {"phi": 1.5, "bits": [1, 0]}, "bob": {"x": 1}}


def test_roles_run_where_the_file_says_unless_the_command_says_otherwise(directory: Path) -> None:
    (directory / "roles.yaml").write_text("alice: delft\nbob: leiden\n")
    assert places(scenario_of(directory)) == {"alice": "delft", "bob": "leiden"}
    assert places(scenario_of(directory, nodes={"bob": "utrecht"})) == {"alice": "delft", "bob": "utrecht"}


def test_in_a_topology_roles_take_their_namesakes_or_end_nodes_in_order(directory: Path) -> None:
    chain = parse(CHAIN, source="chain")
    scenario = scenario_of(directory, chain)
    assert places(scenario) == {"alice": "west", "bob": "far"}, "the router in the middle is no end node"
    assert scenario.expectations == ()
    assert places(scenario_of(directory, chain, nodes={"alice": "middle"})) == {"alice": "middle", "bob": "west"}
    named = parse(CHAIN.replace("far", "alice"), source="chain")
    assert places(scenario_of(directory, named)) == {"alice": "alice", "bob": "west"}


def test_a_network_file_sets_memories_gates_and_links(directory: Path) -> None:
    (directory / "roles.yaml").write_text("alice: delft\nbob: leiden\n")
    (directory / "network.yaml").write_text(NETWORK % "Depolarise")
    scenario = scenario_of(directory)
    delft = scenario.nodes["delft"].hardware
    assert (delft.communication.slots, delft.communication.t1_s) == (2, pytest.approx(1e-3))
    assert delft.storage.t2_s == pytest.approx(5e-4)
    assert delft.two_qubit_gate_depolarising_probability == pytest.approx(0.01)
    assert scenario.nodes["leiden"].hardware.communication.t1_s is None
    assert scenario.links["ch1"].heralding.fidelity == 0.9  # type: ignore[union-attr]
    assert {each.name: each.netqasm.flavour for each in scenario.applications if each.netqasm} == {
        "alice": "vanilla",
        "bob": "nv",
    }


def test_bit_flips_are_noise_in_the_fibre_and_no_noise_is_none(directory: Path) -> None:
    (directory / "roles.yaml").write_text("alice: delft\nbob: leiden\n")
    (directory / "network.yaml").write_text(NETWORK % "Bitflip")
    scenario = scenario_of(directory)
    (fault,) = scenario.faults
    assert isinstance(fault, PauliNoise)
    assert fault.pauli_probabilities == (pytest.approx(0.1), 0.0, 0.0)
    assert scenario.links["ch1"].heralding.fidelity == 1.0  # type: ignore[union-attr]
    (directory / "network.yaml").write_text(NETWORK % "NoNoise")
    assert scenario_of(directory).links["ch1"].heralding.fidelity == 1.0  # type: ignore[union-attr]


def test_a_network_of_which_not_all_are_neighbours_has_a_control_plane(directory: Path) -> None:
    lines = NETWORK % "NoNoise"
    third = "  - {name: utrecht, gate_fidelity: 1.0, qubits: [{id: 0, t1: 0, t2: 0}]}\nlinks:"
    (directory / "network.yaml").write_text(lines.replace("links:", third))
    (directory / "roles.yaml").write_text("alice: delft\nbob: utrecht\n")
    assert scenario_of(directory).network is not None


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("network.yaml", NETWORK % "Depolarise", "expected the nodes alice, bob"),
        ("network.yaml", NETWORK % "Dephase", "found Dephase"),
        ("network.yaml", "nodes: []", "expected nodes and links as the package netqasm writes them"),
        ("network.yaml", (NETWORK % "Depolarise").replace("0.9}", "1.9}"), "expected a number from 0 to 1, found 1.9"),
        ("roles.yaml", "alice: 3", "alice: expected the name of a node, found 3"),
        ("roles.yaml", "alice: x\nbob: x", "each role on a node of its own"),
        ("roles.yaml", "[", "expected YAML"),
        ("bob.yaml", "[1]", "expected a mapping, found list"),
    ],
)
def test_what_is_wrong_is_said(directory: Path, file: str, text: str, message: str) -> None:
    (directory / file).write_text(text)
    with pytest.raises(LayoutError, match=message):
        scenario_of(directory)


def test_what_is_wrong_with_the_command_is_said(directory: Path) -> None:
    chain = parse(CHAIN, source="chain")
    with pytest.raises(LayoutError, match="'eve' is no role"):
        scenario_of(directory, inputs={"eve": {}})
    with pytest.raises(LayoutError, match="'mars', which is no node of chain: found west, middle, far"):
        scenario_of(directory, chain, nodes={"bob": "mars"})
    (directory / "app_carol.py").write_text("")
    with pytest.raises(LayoutError, match="say where they are to run, with --map"):
        scenario_of(directory, chain)
    with pytest.raises(LayoutError, match="bundled with netqasm are anonymous_transmission, bb84"):
        layout.find("teleprot")
    with pytest.raises(LayoutError, match=r"expected programs app_ROLE\.py"):
        layout.read(directory.parent)


def test_a_scenario_file_names_programs() -> None:
    text = CHAIN + "applications: [{name: alice, node: west, netqasm: {file: app_alice.py, inputs: {a: [1, {b: x}]}}}]"
    (application,) = parse(text, source="chain").applications
    assert application.netqasm is not None
    assert application.netqasm.inputs == {"a": [1, {"b": "x"}]}


@pytest.mark.parametrize(
    ("fields", "found"),
    [("", "neither"), ("command: [python, a.py], netqasm: {file: app_alice.py}", "both")],
)
def test_an_application_is_a_command_or_a_netqasm_program(fields: str, found: str) -> None:
    with pytest.raises(ScenarioError, match=f"expected exactly one of command .* and netqasm, found {found}"):
        parse(CHAIN + f"applications: [{{name: alice, node: west, {fields}}}]", source="chain")
