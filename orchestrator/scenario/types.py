"""The scenario: everything a run is made of, as one tree of frozen types. Units stand in every field name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from orchestrator.scenario.faults import Fault
from orchestrator.scenario.hardware import Duration, Hardware, Probability
from orchestrator.scenario.invariants import Check
from orchestrator.scenario.random_faults import RandomFaults
from orchestrator.scenario.section import (
    Fidelity,
    Interval,
    Length,
    Modes,
    Name,
    Population,
    Positive,
    RefractiveIndex,
    Section,
)
from orchestrator.scenario.sockets import Sockets
from qnode.config import ApplicationLimits, NodeRole


class Time(Section, frozen=True, kw_only=True):
    """How virtual time follows the wall clock."""

    pace: Literal["max"] | Positive = "max"
    """Virtual seconds per wall second, or ``max``: leap from event to event."""
    strict: bool = False
    """Whether work later than ``strict_tolerance_s`` ends a paced run with an error."""
    strict_tolerance_s: Duration = 0.01
    """Wall seconds that work may be late in a strict run."""
    stall_after_s: Positive = 30.0
    """Wall seconds that one node may hold its grant before the run stops (or, paced, goes on without it)."""
    steps_per_instant: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """How often one node may act without virtual time moving on."""


Pair = msgspec.Meta(min_length=2, max_length=2)
"""Makes ``tuple[X, ...]`` a pair. A union of a bounded number and ``tuple[X, X]`` crashes msgspec (0.22)."""
Efficiency = Probability | Annotated[tuple[Probability, ...], Pair]
"""One number for both ends, or a pair in the order of the link's ``ends``."""


class SingleClick(Section, frozen=True, kw_only=True, tag_field="scheme", tag="single_click"):
    """Both ends emit to a midpoint station; one click heralds (Cabrillo 1999, Humphreys 2018)."""

    bright_state_population: Population | Annotated[tuple[Population, ...], Pair] = 0.05
    """The population alpha of the state that emits."""
    coupling_efficiency: Efficiency = 1.0
    """Emission into the fibre: collection, conversion and coupling together."""
    detector_efficiency: Probability = 1.0
    dark_count_probability: Probability = 0.0
    """Per detector and detection window."""
    visibility: Probability = 1.0
    """Two-photon (Hong-Ou-Mandel) visibility, the squared overlap of the two photons' wave packets."""
    phase_uncertainty_rad: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Standard deviation of the optical phase between the two arms."""
    detector: Literal["threshold", "number_resolving"] = "threshold"
    attempt_overhead_s: Duration = 0.0
    """Reset and preparation added to the light's travel in each attempt."""
    modes: Modes = 1
    """Multiplexed modes tried in one attempt cycle."""


class DoubleClick(Section, frozen=True, kw_only=True, tag_field="scheme", tag="double_click"):
    """Both ends emit to a midpoint station; a click in both of two time bins heralds (Barrett, Kok 2005)."""

    coupling_efficiency: Efficiency = 1.0
    detector_efficiency: Probability = 1.0
    dark_count_probability: Probability = 0.0
    """Per detector and time bin."""
    visibility: Probability = 1.0
    detector: Literal["threshold", "number_resolving"] = "threshold"
    attempt_overhead_s: Duration = 0.0
    modes: Modes = 1


class MidpointSource(Section, frozen=True, kw_only=True, tag_field="scheme", tag="midpoint_source"):
    """A source of photon pairs between the ends, whose memories herald the loading (Jones et al. 2016)."""

    source_efficiency: Probability = 1.0
    """Probability that the source emits a pair in an attempt."""
    source_fidelity: Fidelity = 1.0
    """Fidelity of the emitted pair, a Werner state."""
    coupling_efficiency: Efficiency = 1.0
    """Loading of an arriving photon into the end's memory."""
    detector_efficiency: Probability = 1.0
    """Heralding of that loading."""
    dark_count_probability: Probability = 0.0
    """False herald of a loading, per end and attempt."""
    attempt_overhead_s: Duration = 0.0
    modes: Modes = 1


class SenderReceiver(Section, frozen=True, kw_only=True, tag_field="scheme", tag="sender_receiver"):
    """The first end emits a photon entangled with its memory, the second receives it ("at source")."""

    emission_fidelity: Fidelity = 1.0
    """Fidelity of the emitted memory-photon pair, a Werner state."""
    coupling_efficiency: Probability = 1.0
    detector_efficiency: Probability = 1.0
    """Loading into the receiver's memory and its herald."""
    dark_count_probability: Probability = 0.0
    attempt_overhead_s: Duration = 0.0
    modes: Modes = 1


class Source(Section, frozen=True, kw_only=True, tag_field="scheme", tag="source"):
    """A plain source of Werner states: probability, fidelity and cycle are given; heralds after the travel."""

    success_probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    fidelity: Fidelity = 1.0
    attempt_cycle_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None
    """Default: the light's travel time over the link."""


Heralding = SingleClick | DoubleClick | MidpointSource | SenderReceiver | Source


class Transmission(Section, frozen=True, kw_only=True):
    """What befalls a qubit that is itself sent over the link, beside loss in the fibre."""

    coupling_efficiency: Probability = 1.0
    heralded_arrival: bool = True
    """Whether the receiver learns of a loss. If not, a lost qubit leaves its memory in |0>, unannounced."""
    depolarising_probability: Probability = 0.0
    dephasing_probability: Probability = 0.0
    """Probability of a Z."""
    pauli_probabilities: tuple[Probability, Probability, Probability] = (0.0, 0.0, 0.0)
    """Probabilities of an X, a Y and a Z."""
    amplitude_damping: Probability = 0.0
    """Probability that |1> decays to |0>."""


class Link(Section, frozen=True, kw_only=True):
    """A quantum link between two nodes, with the classical channel that runs beside it."""

    ends: tuple[str, str]
    length_km: Length
    """Fibre length from end to end."""
    midpoint_km: Length | None = None
    """Distance of the station or source from the first end; default: half of the length."""
    attenuation_db_per_km: Annotated[float, msgspec.Meta(ge=0)] = 0.2
    refractive_index: RefractiveIndex = 1.468
    """Group index of the fibre."""
    heralding: Heralding = msgspec.field(default_factory=Source)
    transmission: Transmission = msgspec.field(default_factory=Transmission)


class ClassicalLink(Section, frozen=True, kw_only=True):
    """A classical channel apart from the quantum links: state its length or its latency."""

    ends: tuple[str, str]
    length_km: Length | None = None
    latency_s: Duration | None = None
    refractive_index: RefractiveIndex = 1.468


class Node(Section, frozen=True, kw_only=True):
    """A node of the network: one operating-system process."""

    hardware: Hardware
    role: NodeRole | None = None
    """``end``: applications run there; ``router``: it also swaps for others and computes routes; ``automated``: it
    swaps as it is told and computes none; ``switch``: it also makes multipartite states for others; ``controller``:
    without quantum hardware, it computes the routes of all. Default: ``router`` with several quantum links, else
    ``end``."""
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    """Degrees, for the map only; lengths of fibres are given apart."""
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None


class Network(Section, frozen=True, kw_only=True):
    """The control plane: routing, signalling and circuits. Without this section pairs come from neighbours only."""

    routing: Literal["link_state", "controller"] = "link_state"
    """Who computes paths: each router from what all links tell, or one node for all."""
    controller: str = ""
    """The node that computes all paths, in controller routing."""
    metric: Literal["hops", "time", "fidelity"] = "time"
    """What a path is to have little of: hops, expected time for a pair, loss of fidelity."""
    hello_interval_s: Interval = 0.1
    """How often neighbours tell each other that they are there."""
    hello_lost: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 4
    """A neighbour is gone after so many intervals without a hello."""
    link_state_interval_s: Interval = 10.0
    """A node tells its links anew at least so often; what was not told anew for three intervals is forgotten."""
    refresh_interval_s: Interval = 0.5
    """Circuits are kept alive so often; a reservation that was not refreshed for three intervals is freed."""
    restore_timeout_s: Interval = 10.0
    """A circuit whose path failed is closed if no other was found for so long."""
    acknowledge_delay_s: Duration = 0.02
    """How long an acknowledgement may wait for a message to ride on."""
    test_fraction: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Share of the pairs of links and circuits that is sacrificed to estimate their fidelity."""
    idle_after_s: Interval = 10.0
    """Virtual seconds of nothing but hellos and refreshes after which nothing more is expected to happen."""


class NetqasmProgram(Section, frozen=True, kw_only=True):
    """A program for the NetQASM SDK: a Python file with a function ``main``. Its role is the application's name."""

    file: str
    """Relative to where the applications are run."""
    inputs: dict[str, Any] = {}
    """What ``main`` is called with, beside ``app_config``."""
    runs: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    """How often it is called, one after the other, in step with the other roles."""
    flavour: Literal["vanilla", "nv"] = "vanilla"
    """The instructions that its subroutines are compiled to."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "WARNING"
    """Of NetQASM's logger, which writes to the application's log."""


class Application(Section, frozen=True, kw_only=True):
    """A program that attaches to a node's socket: one operating-system process."""

    name: Name
    node: str
    command: tuple[str, ...] = ()
    """The program and its arguments; a leading ``python`` is the interpreter that runs qloom."""
    netqasm: NetqasmProgram | None = None
    """In place of a command, a program for the NetQASM SDK."""
    environment: dict[str, str] = {}


class Stop(Section, frozen=True, kw_only=True):
    """When the run ends; without any of these, when every application has."""

    at_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None
    """Virtual time."""


class Expectation(Section, frozen=True, kw_only=True):
    """A statement about the report that must hold for the run to succeed."""

    name: str
    value: str
    """Path of the number in the report, such as ``links.alice-bob.pairs``."""
    at_least: float | None = None
    at_most: float | None = None
    agrees_with: str | None = None
    """Path of the number that theory gives."""
    within_sigmas: Positive = 4.5
    """How many standard errors of the value it may be away from theory."""


class Placement(Section, frozen=True, kw_only=True):
    """On which processor cores the fabric, the nodes and the applications run."""

    cores: Literal["auto", "one", "all"] = "auto"
    """``one``: all share one core; ``all``: as the system likes; ``auto``: one for up to four nodes, where mostly one
    process at a time has work and waking another core costs more than it gains."""


class Limits(Section, frozen=True, kw_only=True):
    """What fabric and nodes refuse, so that a mistake is an error and not an exhausted machine."""

    register_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 1 << 29
    """Largest single register: 16*4^n bytes for a density matrix of n qubits, 16*2^n for a ket."""
    applications: ApplicationLimits = msgspec.field(default_factory=ApplicationLimits)


class Scenario(Section, frozen=True, kw_only=True):
    """A testbed and what to do on it. ``nodes`` and ``links`` are keyed by their names."""

    version: Literal[1]
    name: Name
    description: str = ""
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    time: Time = msgspec.field(default_factory=Time)
    limits: Limits = msgspec.field(default_factory=Limits)
    placement: Placement = msgspec.field(default_factory=Placement)
    sockets: Sockets = msgspec.field(default_factory=Sockets)
    nodes: Annotated[dict[Name, Node], msgspec.Meta(min_length=1)]
    links: dict[Name, Link] = {}
    classical_links: dict[Name, ClassicalLink] = {}
    applications: tuple[Application, ...] = ()
    network: Network | None = None
    faults: tuple[Fault, ...] = ()
    """What breaks, and when."""
    random_faults: tuple[RandomFaults, ...] = ()
    """What the seed is to break; the run directory's ``scenario.json`` has it among ``faults``."""
    stop: Stop = msgspec.field(default_factory=Stop)
    expectations: tuple[Expectation, ...] = ()
    check: Check | None = None
    """What must hold of the run, beside the expectations. Default: the exit codes of the applications alone."""
    directory: str = ""
    """Where the applications are run, relative to the scenario file. Default: where that file is."""
