"""What a node process is told at its start: its name, memory, links and peers. Nothing in it is the true state."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from qnode.security.types import Security

NodeRole = Literal["end", "router", "automated", "switch", "controller"]
"""RFC 9340 section 5.3.2: an end node; a quantum router; an automated node, which computes no routes; a switch, which
also makes multipartite states for others; a non-quantum node that controls the network."""

BellDiagonal = tuple[float, float, float, float]
"""Populations of a pair's Bell states relative to the announced one: none, Z, X, and XZ error (Bell index order)."""


class OperatingPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of a link's rate for its fidelity."""

    rate_hz: float
    """Mean rate of heralds while attempts follow one another."""
    spectrum: BellDiagonal
    """The link's own estimate of its pairs at the herald."""


class LinkConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One quantum link, as the node at one end knows it."""

    name: str
    remote: str
    goodness: float
    """The link's own estimate of a pair's fidelity at the herald."""
    corrects: bool
    """Whether this end turns a heralded Bell state into Phi+; the other end never does."""
    latency_ps: int = 0
    """Of the classical channel beside it."""
    cycle_ps: int = 1
    """Of one attempt."""
    operating_points: tuple[OperatingPoint, ...] = ()
    """The first is the scenario's; the others, where the link has a knob, in falling order of rate."""


class SwapConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What a node knows of its own Bell measurements and memories."""

    success_probability: float = 1.0
    depolarising_probability: float = 0.0
    """Of the two-qubit gate before it: rho -> (1 - p) rho + p I/4."""
    readout_error: float = 0.0
    """Probability that one of its two bits is read wrong."""
    gate_depolarising_probability: float = 0.0
    """Of a two-qubit gate."""
    move_depolarising_probability: float = 0.0
    """Of a move to storage."""
    duration_ps: int = 0
    t1_s: float | None = None
    t2_s: float | None = None
    """Of the memory in which pairs wait; None: infinite."""


class NetworkConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """How the network's control plane works. The same at every node."""

    routing: Literal["link_state", "controller"] = "link_state"
    controller: str = ""
    """The node that computes all paths, in controller routing."""
    metric: Literal["hops", "time", "fidelity"] = "time"
    """What a path is to have little of: hops, expected time for a pair, loss of fidelity."""
    hello_interval_ps: int = 10**11
    hello_lost: int = 4
    """A neighbour is gone after so many intervals without a hello."""
    link_state_interval_ps: int = 10**13
    """A node tells its links anew at least so often; what was not told anew for three intervals is forgotten."""
    refresh_interval_ps: int = 5 * 10**11
    """Circuits are kept alive so often; a reservation that was not refreshed for three intervals is freed."""
    restore_timeout_ps: int = 10**13
    """A circuit whose path failed is closed if no other was found for so long."""
    acknowledge_delay_ps: int = 2 * 10**10
    """How long an acknowledgement may wait for a message to ride on."""
    test_fraction: float = 0.0
    """Share of the pairs of links and circuits that is sacrificed to estimate their fidelity."""


MEBIBYTE = 1 << 20


class ApplicationLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a node grants its applications, so that a bad one starves neither it nor the network. By session, mostly."""

    sessions: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Applications that are attached to one node at a time."""
    open_calls: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """Unanswered calls."""
    requests_ahead: Annotated[int, msgspec.Meta(ge=1)] = 4096
    """Requests sent ahead of their turn; one that goes on beyond twice as many is detached."""
    bytes_ahead: Annotated[int, msgspec.Meta(ge=1)] = 64 * MEBIBYTE
    """Of its requests before virtual time moves on; a node's applications together may send three times as much."""
    requests_per_instant: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """Requests without virtual time moving on; one that sends more is detached."""
    unread_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * MEBIBYTE
    """Of large answers that it does not read; beyond it is detached."""
    turn_s: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    """Wall seconds that one from outside the scenario may keep virtual time waiting before it is detached."""
    memory_slots: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Of a node, that its qubits and the attempts of its pair requests may take: a request beyond waits. The circuits
    that it opens may reserve as many again. Null: all that are free."""
    pair_requests: Annotated[int, msgspec.Meta(ge=1)] = 1024
    """Open requests for pairs."""
    measured_pairs: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """Pairs to be measured (kinds M and R) of all its open requests."""
    circuits: Annotated[int, msgspec.Meta(ge=1)] = 256
    """Circuits that are not closed."""
    outcomes: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    """Measured pairs of one circuit (kind M) that it has not asked for; beyond, the circuit is closed."""
    groups: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Groups that are not closed."""
    instructions: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """Of a NetQASM subroutine without virtual time moving on; one that loops beyond is ended."""
    sent_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * MEBIBYTE
    """Of messages sent at once; the node as a whole may send three times as much."""
    sent_bytes_per_s: Annotated[int, msgspec.Meta(ge=1)] = 1024 * MEBIBYTE
    """Of messages sent beyond, per second of virtual time."""
    message_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * MEBIBYTE
    """Of messages from it that are unread at one node; further ones are dropped there."""
    oracle: bool = True
    """Whether it may ask for the true state of its qubits, which no real node knows."""


def dedicable_slots(configuration: NodeConfiguration) -> int:
    """Communication slots that circuits may keep pairs in: one stays for circuits that share, if storage allows any."""
    return configuration.communication_slots - (1 if configuration.storage_slots > 1 else 0)


class NodeConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """One node. Times in picoseconds."""

    name: str
    process_id: int = 0
    """Filled in by the process itself."""
    incarnation: int = 0
    """How often the node has been started again."""
    role: NodeRole = "end"
    communication_slots: int
    storage_slots: int
    communication_cutoff_ps: int | None = None
    storage_cutoff_ps: int | None = None
    links: tuple[LinkConfiguration, ...] = ()
    peers: tuple[str, ...] = ()
    """Nodes that a classical message can reach."""
    network: NetworkConfiguration | None = None
    """None: no control plane; pairs with neighbours only."""
    swap: SwapConfiguration = SwapConfiguration()
    limits: ApplicationLimits = ApplicationLimits()
    expected_applications: tuple[str, ...] = ()
    """Applications that virtual time waits for at the start; their order is the order of their actions."""
    instruction_duration_ps: int = 0
    """Of a classical instruction of NetQASM."""
    randomness: int = 0
    """What the node draws measurement bases from, where it is asked to: of the run's seed, and of no other node."""
    paced: bool = False
    """Whether virtual time follows the wall clock, so that a client may let it flow."""
    steps_per_instant: int = 100_000
    fabric_endpoint: str = ""
    application_endpoint: str = ""
    security: Security | None = None
    """None: the sockets are guarded by the directory that they are in."""
    fabric_key: str = ""
    refused_path: str = ""
    """A file for the counts of what was turned away."""
    inputs_directory: str = ""
    """For the file of what reaches this node from outside virtual time, which replays it; empty: none is written."""
    shake_s: float = 0.0
    """Longest random wall-clock pause before each frame, to show that scheduling changes nothing."""

    @property
    def label(self) -> str:
        """Name and incarnation: what this process calls itself and its qubits and circuits, never used before."""
        return labelled(self.name, self.incarnation)


class NetqasmProgram(msgspec.Struct, frozen=True, kw_only=True):
    """One program of a NetQASM application, as its process is told."""

    file: str
    """Python, with a function ``main``."""
    role: str
    node: str
    roles: dict[str, str]
    """The node of each role of the application."""
    nodes: tuple[str, ...]
    """All nodes that messages can pass between, sorted: a node's number in NetQASM is its place here."""
    inputs: dict[str, Any] = {}
    """What ``main`` is called with."""
    runs: int = 1
    """How often."""
    flavour: Literal["vanilla", "nv"] = "vanilla"
    """What subroutines are compiled to."""
    seed: int = 0
    log_level: str = "WARNING"
    """Of NetQASM's logger."""
    directory: str
    """For NetQASM's log files and the results."""


def labelled(name: str, incarnation: int) -> str:
    """The label of a node's ``incarnation``-th start after the first, such as ``alice+1``."""
    return f"{name}+{incarnation}" if incarnation else name
