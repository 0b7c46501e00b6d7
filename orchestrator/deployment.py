"""From a scenario to what each process is told."""

from __future__ import annotations

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.heralding import link_model
from orchestrator.run_directory import SocketDirectory
from orchestrator.scenario import Scenario
from orchestrator.topology import Topology
from qnode.config import LinkConfiguration, NodeConfiguration


def node_configurations(
    scenario: Scenario, sockets: SocketDirectory, *, applications: bool, shake_s: float = 0.0
) -> list[NodeConfiguration]:
    """What every node is told, but the names of its peers; ``applications``: whether the scenario's will come."""
    links: dict[str, list[LinkConfiguration]] = {name: [] for name in scenario.nodes}
    for name, link in scenario.links.items():
        goodness = link_model(link).fidelity
        for end in (0, 1):
            links[link.ends[end]].append(
                LinkConfiguration(name=name, remote=link.ends[1 - end], goodness=goodness, corrects=end == 1)
            )
    configurations = []
    for name, node in scenario.nodes.items():
        hardware = node.hardware
        expected = tuple(each.name for each in scenario.applications if each.node == name) if applications else ()
        configurations.append(
            NodeConfiguration(
                name=name,
                communication_slots=hardware.communication.slots,
                storage_slots=hardware.storage.slots,
                communication_cutoff_ps=_ps(hardware.communication.cutoff_s),
                storage_cutoff_ps=_ps(hardware.storage.cutoff_s),
                links=tuple(links[name]),
                expected_applications=expected,
                paced=scenario.time.pace != "max",
                steps_per_instant=scenario.time.steps_per_instant,
                fabric_endpoint=sockets.endpoint("fabric"),
                application_endpoint=sockets.endpoint(f"node-{name}"),
                shake_s=shake_s,
            )
        )
    return configurations


def peer_groups(scenario: Scenario) -> list[tuple[str, ...]]:
    """The sets of nodes that classical messages can pass between."""
    return Topology(scenario).classical_components()


def _ps(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * PICOSECONDS)
