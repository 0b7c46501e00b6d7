"""Directories in the layout of NetQASM applications: programs, inputs, roles and a network."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import yaml

from orchestrator.deployment import role_of
from orchestrator.scenario import Application, Link, NetqasmProgram, Network, Node, Scenario, Source
from orchestrator.scenario.faults import Fault, PauliNoise
from orchestrator.scenario.file import ScenarioError, parse
from orchestrator.scenario.hardware import Hardware, Memory, load_profiles

PREFIX = "app_"
BUNDLED = ("examples", "apps")
"""Where the package netqasm has its own applications."""
LINK_KM = 1.0
"""Of the links between roles where nothing says how long they are."""
NANOSECONDS = 1e-9


class LayoutError(ValueError):
    """A directory is no NetQASM application that can be run; says where, what was expected and found."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands in a directory."""

    directory: Path
    programs: dict[str, Path]
    """By role."""
    inputs: dict[str, dict[str, Any]]
    nodes: dict[str, str]
    """Of the roles that ``roles.yaml`` names."""
    network: Any
    """``network.yaml`` as it stands there; None without one."""


def find(name: str) -> Path:
    """The directory of that path, or of the application of that name that is bundled with the package netqasm.

    Raises:
        LayoutError: there is neither.
    """
    path = Path(name)
    if path.is_dir():
        return path.resolve()
    spec = importlib.util.find_spec("netqasm")
    homes = [] if spec is None else [Path(place, *BUNDLED) for place in spec.submodule_search_locations or ()]
    for home in homes:
        if path.name == name and (home / name).is_dir():
            return (home / name).resolve()
    known = sorted(each.name for home in homes for each in home.glob("*/") if any(each.glob(f"{PREFIX}*.py")))
    bundled = f"; bundled with netqasm are {', '.join(known)}" if known else ""
    raise LayoutError(f"{name}: expected a directory with programs {PREFIX}ROLE.py, found none{bundled}")


def read(directory: Path) -> Layout:
    """What stands in a directory.

    Raises:
        LayoutError: no programs, or a file that cannot be read.
    """
    programs = {path.stem.removeprefix(PREFIX): path for path in sorted(directory.glob(f"{PREFIX}*.py"))}
    if not programs:
        raise LayoutError(f"{directory}: expected programs {PREFIX}ROLE.py, found none")
    nodes = _mapping(directory / "roles.yaml")
    for role, node in nodes.items():
        if not isinstance(node, str):
            raise LayoutError(f"{directory / 'roles.yaml'}: {role}: expected the name of a node, found {node!r}")
    return Layout(
        directory=directory,
        programs=programs,
        inputs={role: _mapping(directory / f"{role}.yaml") for role in programs},
        nodes={role: node for role, node in nodes.items() if role in programs},
        network=_read(directory / "network.yaml"),
    )


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LayoutError(f"{path}: expected YAML: {' '.join(str(error).split())}") from error


def _mapping(path: Path) -> dict[str, Any]:
    found = _read(path)
    if found is not None and not isinstance(found, dict):
        raise LayoutError(f"{path}: expected a mapping, found {type(found).__name__}")
    return {str(key): value for key, value in (found or {}).items()}


def scenario_of(
    layout: Layout,
    *,
    topology: Scenario | None,
    nodes: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, Any]],
    program: NetqasmProgram,
) -> Scenario:
    """The scenario that runs an application.

    Args:
        topology: the network; default: that of ``network.yaml``, or an ideal one with a link between any two roles.
        nodes: of roles, in place of what the directory says.
        inputs: of roles, beside or in place of what the directory says.
        program: how each program is to be run, apart from its file and inputs.

    Raises:
        LayoutError: the application does not fit the network.
    """
    wanted = {**layout.nodes, **nodes}
    for role in (*nodes, *inputs):
        if role not in layout.programs:
            raise LayoutError(f"{role!r} is no role of {layout.directory}, found {', '.join(layout.programs)}")
    flavours: dict[str, Any] = {}
    if topology is None:
        placed = {role: wanted.get(role, role) for role in layout.programs}
        network = layout.directory / "network.yaml"
        topology = _ideal(placed) if layout.network is None else _network(layout.network, network)
        flavours = {} if layout.network is None else _flavours(layout.network)
        missing = set(placed.values()).difference(topology.nodes)
        if missing:
            raise LayoutError(f"{network}: expected the nodes {', '.join(sorted(missing))}, which roles are to run on")
    else:
        placed = _placed(layout.programs, wanted, topology)
    if len(set(placed.values())) < len(placed):
        raise LayoutError(f"expected each role on a node of its own, found {placed}")
    applications = tuple(
        Application(
            name=role,
            node=placed[role],
            netqasm=msgspec.structs.replace(
                program,
                file=str(path),
                inputs={**layout.inputs[role], **inputs.get(role, {})},
                flavour=flavours.get(placed[role], program.flavour),
            ),
        )
        for role, path in layout.programs.items()
    )
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", layout.directory.name).strip("_.-")[:63] or "application"
    return msgspec.structs.replace(topology, name=name, applications=applications, expectations=(), check=None)


def _placed(roles: Mapping[str, Path], wanted: Mapping[str, str], topology: Scenario) -> dict[str, str]:
    """A node for each role: as said, else the one of its name, else the end nodes that are left, in their order."""
    placed = {role: wanted.get(role, role) for role in roles if role in wanted or role in topology.nodes}
    for role, node in placed.items():
        if node not in topology.nodes:
            known = ", ".join(topology.nodes)
            raise LayoutError(f"role {role} is to run on {node!r}, which is no node of {topology.name}: found {known}")
    ends = [node for node in topology.nodes if role_of(topology, node) == "end" and node not in placed.values()]
    left = [role for role in roles if role not in placed]
    if len(left) > len(ends):
        raise LayoutError(
            f"expected end nodes for the roles {', '.join(left)}, found {len(ends)} that are free in {topology.name}; "
            f"say where they are to run, with --map ROLE=NODE"
        )
    return placed | dict(zip(left, ends, strict=False))


def _ideal(placed: Mapping[str, str]) -> Scenario:
    """Ideal nodes, each with an ideal link to each other."""
    nodes = sorted(placed.values())
    hardware = load_profiles()["ideal"].hardware
    return Scenario(
        version=1,
        name="mesh",
        nodes={name: Node(hardware=hardware) for name in nodes},
        links={f"{one}-{other}": Link(ends=(one, other), length_km=LINK_KM) for one, other in combinations(nodes, 2)},
    )


def _flavours(found: Any) -> dict[str, str]:
    """What subroutines are compiled to, for the nodes whose hardware says so."""
    return {node["name"]: "nv" for node in found["nodes"] if str(node.get("hardware", "")).upper() == "NV"}


def _network(found: Any, path: Path) -> Scenario:
    """What ``network.yaml`` says, as ``netqasm.runtime.interface.config`` reads it: nodes with the fidelity of their
    gates and T1 and T2 of their qubits in nanoseconds (0: infinite), links with the kind of their noise and fidelity.

    A gate fidelity F is a depolarising probability 1 - F of every gate; a link's is that of its pairs.
    """
    try:
        nodes = {each["name"]: _node(each, f"{path}: node {each['name']}") for each in found["nodes"]}
        links: dict[str, Link] = {}
        faults: list[Fault] = []
        for each in found["links"]:
            where = f"{path}: link {each['name']}"
            kind, fidelity = str(each["noise_type"]), _number(each["fidelity"], where, at_most=1.0)
            bits_flip = kind == "Bitflip"
            if kind not in ("NoNoise", "Depolarise", "DiscreteDepolarise", "Bitflip"):
                raise LayoutError(f"{where}: expected NoNoise, Depolarise, DiscreteDepolarise or Bitflip, found {kind}")
            source = Source(fidelity=1.0 if kind == "NoNoise" or bits_flip else fidelity)
            ends = (each["node_name1"], each["node_name2"])
            links[each["name"]] = Link(ends=ends, length_km=LINK_KM, heralding=source)
            if bits_flip and fidelity < 1.0:
                flips = (1.0 - fidelity, 0.0, 0.0)
                faults.append(PauliNoise(name=f"{each['name']} flips", link=each["name"], pauli_probabilities=flips))
    except (KeyError, TypeError) as error:
        raise LayoutError(f"{path}: expected nodes and links as the package netqasm writes them: {error!r}") from error
    joined = {frozenset(link.ends) for link in links.values()}
    network = Network() if len(joined) < len(nodes) * (len(nodes) - 1) // 2 else None
    plain = Scenario(version=1, name="network", nodes=nodes, links=links, faults=tuple(faults), network=network)
    try:
        return parse(msgspec.json.encode(plain).decode(), source=str(path))
    except ScenarioError as error:
        raise LayoutError(str(error)) from error


def _node(found: Any, where: str) -> Node:
    qubits = found["qubits"]
    t1_s, t2_s = (
        min((time for time in (_number(qubit[key], where) for qubit in qubits) if time), default=None)
        for key in ("t1", "t2")
    )
    if t1_s is not None and t2_s is not None:
        t2_s = min(t2_s, 2 * t1_s)
    memory = Memory(
        slots=len(qubits),
        t1_s=None if t1_s is None else t1_s * NANOSECONDS,
        t2_s=None if t2_s is None else t2_s * NANOSECONDS,
    )
    error = 1.0 - _number(found.get("gate_fidelity", 1.0), where, at_most=1.0)
    hardware = Hardware(
        communication=memory,
        storage=memory,
        single_qubit_gate_depolarising_probability=error,
        two_qubit_gate_depolarising_probability=error,
    )
    return Node(hardware=hardware)


def _number(value: Any, where: str, *, at_most: float = float("inf")) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= at_most:
        raise LayoutError(f"{where}: expected a number from 0 to {at_most:g}, found {value!r}")
    return float(value)
