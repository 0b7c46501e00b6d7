"""From a scenario to what each process is told."""

from __future__ import annotations

import hashlib

from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.operating_points import operating_models, operating_point
from orchestrator.scenario import Scenario
from orchestrator.scenario.hardware import Hardware
from orchestrator.topology import channel_latency_ps
from qnode.config import LinkConfiguration, NetworkConfiguration, NodeConfiguration, NodeRole, SwapConfiguration


def node_configurations(scenario: Scenario, *, applications: bool, shake_s: float = 0.0) -> list[NodeConfiguration]:
    """What every node is told, but the names of its peers and its sockets.

    ``applications``: whether the scenario's will come.
    """
    links: dict[str, list[LinkConfiguration]] = {name: [] for name in scenario.nodes}
    for name, link in scenario.links.items():
        models = operating_models(link)
        for end in (0, 1):
            links[link.ends[end]].append(
                LinkConfiguration(
                    name=name,
                    remote=link.ends[1 - end],
                    goodness=models[0].fidelity,
                    corrects=end == 1,
                    latency_ps=channel_latency_ps(link),
                    cycle_ps=models[0].attempt_cycle_ps,
                    operating_points=tuple(operating_point(model) for model in models),
                )
            )
    network = network_configuration(scenario)
    configurations = []
    for name, node in scenario.nodes.items():
        hardware = node.hardware
        expected = tuple(each.name for each in scenario.applications if each.node == name) if applications else ()
        configurations.append(
            NodeConfiguration(
                name=name,
                role=role_of(scenario, name),
                communication_slots=hardware.communication.slots,
                storage_slots=hardware.storage.slots,
                communication_cutoff_ps=_ps(hardware.communication.cutoff_s),
                storage_cutoff_ps=_ps(hardware.storage.cutoff_s),
                links=tuple(links[name]),
                network=network,
                swap=swap_configuration(hardware),
                limits=scenario.limits.applications,
                expected_applications=expected,
                instruction_duration_ps=round(hardware.instruction_duration_s * PICOSECONDS),
                randomness=randomness_of(scenario.seed, name),
                paced=scenario.time.pace != "max",
                steps_per_instant=scenario.time.steps_per_instant,
                shake_s=shake_s,
            )
        )
    return configurations


def randomness_of(seed: int, node: str) -> int:
    """What a node draws from for itself: a number that nothing else of the run is made of."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0node\0{node}".encode(), digest_size=8).digest(), "little") >> 1


def role_of(scenario: Scenario, node: str) -> NodeRole:
    """The node's role: as the scenario says, else a router where several quantum links end, an end node elsewhere."""
    given = scenario.nodes[node].role
    if given is not None:
        return given
    return "router" if sum(node in link.ends for link in scenario.links.values()) > 1 else "end"


def network_configuration(scenario: Scenario) -> NetworkConfiguration | None:
    """The control plane, in picoseconds; None without one."""
    network = scenario.network
    if network is None:
        return None
    return NetworkConfiguration(
        routing=network.routing,
        controller=network.controller,
        metric=network.metric,
        hello_interval_ps=round(network.hello_interval_s * PICOSECONDS),
        hello_lost=network.hello_lost,
        link_state_interval_ps=round(network.link_state_interval_s * PICOSECONDS),
        refresh_interval_ps=round(network.refresh_interval_s * PICOSECONDS),
        restore_timeout_ps=round(network.restore_timeout_s * PICOSECONDS),
        acknowledge_delay_ps=round(network.acknowledge_delay_s * PICOSECONDS),
        test_fraction=network.test_fraction,
    )


def swap_configuration(hardware: Hardware) -> SwapConfiguration:
    """What a node is told of its own Bell measurement and of the memory in which heralded pairs wait.

    Depolarisation in memory with time constant T adds 1/T to both rates of decay.
    """
    memory = hardware.communication

    def constant_s(decay_s: float | None) -> float | None:
        rate_hz = sum(1.0 / each for each in (decay_s, memory.depolarising_time_s) if each is not None)
        return 1.0 / rate_hz if rate_hz else None

    duration_s = (
        hardware.two_qubit_gate_duration_s + hardware.single_qubit_gate_duration_s + hardware.measure_duration_s
    )
    return SwapConfiguration(
        success_probability=hardware.bell_measurement_success_probability,
        depolarising_probability=hardware.two_qubit_gate_depolarising_probability,
        readout_error=(hardware.readout_error_0 + hardware.readout_error_1) / 2.0,
        gate_depolarising_probability=hardware.two_qubit_gate_depolarising_probability,
        move_depolarising_probability=hardware.move_depolarising_probability,
        duration_ps=round(duration_s * PICOSECONDS),
        t1_s=constant_s(memory.t1_s),
        t2_s=constant_s(memory.t2_s),
    )


def _ps(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * PICOSECONDS)
