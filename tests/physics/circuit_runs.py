"""Circuits over linear chains of nodes, with the whole stack at every node, and what the oracle sees of their pairs.

A program at the first node opens circuits to the last; programs at both ends measure each pair as they get it. Routers
run nothing but the stack. What a pair truly is, is read from the fabric at the moment when it is handed over at the
tail, which is the first at which the network says that it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from in_process import InProcess, Program
from oracles import swapped

from orchestrator.fabric.predictions import bell_state
from orchestrator.scenario import ClassicalLink, Link, Node, Scenario, Source
from orchestrator.scenario import types as sections
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire.application import (
    AcceptCircuit,
    CircuitOpened,
    CircuitPair,
    CloseCircuit,
    NextCircuitPair,
    OpenCircuit,
    Outcomes,
    Run,
)
from qnode.wire.quantum import Measure

SIGMAS = 4.5
EXACT = 1e-9
SECOND_PS = 10**12
QUIET = {
    "hello_interval_s": 2.0,
    "hello_lost": 1000,
    "link_state_interval_s": 1e4,
    "refresh_interval_s": 1e4,
    "restore_timeout_s": 1e5,
    "idle_after_s": 1e5,
}
"""A control plane with little upkeep, so that long stretches of virtual time cost little."""
_BASIS = np.array([bell_state(index) for index in range(4)])


def memory(slots: int, **decay: float) -> Memory:
    """Of one role; without decay if none is given."""
    return Memory(slots=slots, **decay)  # type: ignore[arg-type]


def hardware(slots: int = 8, *, storage: int = 0, decay: dict[str, float] | None = None, **noise: float) -> Hardware:
    """A node with so many communication slots."""
    decay = decay or {}
    return Hardware(communication=memory(slots, **decay), storage=memory(storage, **decay), **noise)  # type: ignore[arg-type]


def name(number: int) -> str:
    """Of a node of a chain."""
    return f"n{number:02d}"


def chain(
    heralding: Sequence[Any],
    devices: Hardware | Sequence[Hardware],
    *,
    length_km: float | Sequence[float] = 1.0,
    seed: int = 1,
    instant_messages: bool = False,
    **network: Any,
) -> Scenario:
    """Nodes n00, n01, ... joined in a row by links l00, l01, ... of the given heralding.

    ``instant_messages``: classical channels of no latency run beside the links, so that news takes no time.
    """
    count = len(heralding)
    lengths = [length_km] * count if isinstance(length_km, int | float) else list(length_km)
    nodes = [devices] * (count + 1) if isinstance(devices, Hardware) else list(devices)
    ends = [(name(i), name(i + 1)) for i in range(count)]
    instant = {f"c{i:02d}": ClassicalLink(ends=ends[i], latency_s=0.0) for i in range(count)}
    return Scenario(
        version=1,
        name="chain",
        seed=seed,
        network=sections.Network(**{**QUIET, **network}),
        nodes={name(i): Node(hardware=each) for i, each in enumerate(nodes)},
        links={
            f"l{i:02d}": Link(ends=ends[i], length_km=lengths[i], heralding=each) for i, each in enumerate(heralding)
        },
        classical_links=instant if instant_messages else {},
    )


def certain_werner(fidelity: float) -> Source:
    """A link whose first attempt succeeds."""
    return Source(success_probability=1.0, fidelity=fidelity)


@dataclass(frozen=True, eq=False)
class TruePair:
    """A pair of a circuit as it was handed over at the tail."""

    circuit: str
    number: int
    at: int
    """When (ps)."""
    halves: tuple[str, str]
    state: np.ndarray
    """(4, 4) in the Bell basis, relative to what the network announced."""
    swaps: int

    @property
    def spectrum(self) -> np.ndarray:
        """Populations relative to the announced Bell state."""
        return np.real(np.diag(self.state))

    @property
    def coherence(self) -> float:
        """The largest element that a Bell-diagonal state does not have."""
        return float(np.abs(self.state - np.diag(np.diag(self.state))).max())


class _Heard(list[dict[str, Any]]):
    """The nodes' records, heard as they are made."""

    def __init__(self, listener: Any) -> None:
        super().__init__()
        self.listener = listener

    def append(self, record: dict[str, Any]) -> None:
        super().append(record)
        self.listener(record)


class Watched(InProcess):
    """A testbed of which every delivered pair is looked at by the oracle."""

    def __init__(self, scenario: Scenario, **options: Any) -> None:
        super().__init__(scenario, **options)
        self.delivered: list[TruePair] = []
        self.heralds: dict[str, dict[str, Any]] = {}
        """The fabric's line for each pair of a link."""
        self.records = _Heard(self._look)
        self._write = self.log.write
        self.log.write = self._heralded  # type: ignore[method-assign]

    def _heralded(self, at: int, kind: str, **details: Any) -> None:
        if kind == "heralded":
            self.heralds[details["pair"]] = details
        self._write(at, kind, **details)

    def _look(self, record: dict[str, Any]) -> None:
        if record["kind"] != "circuit_pair_delivered" or record["end"] != "tail" or not record["qubit"]:
            return
        halves = (record["other_qubit"], record["qubit"])
        laboratory = self.engine.laboratory
        assert set(laboratory.registers.qubits_with(halves[0])) == set(halves), f"{record} names a pair that is none"
        state = laboratory.state_now(halves, record["at"])
        pauli = np.kron(_pauli(record["x"], record["z"]), np.eye(2))
        relative = _BASIS.conj() @ pauli.T @ state @ pauli @ _BASIS.T
        self.delivered.append(
            TruePair(record["circuit"], record["number"], record["at"], halves, relative, record["swaps"])
        )


def _pauli(x: int, z: int) -> np.ndarray:
    return np.linalg.matrix_power(np.array([[0, 1], [1, 0]]), x) @ np.linalg.matrix_power(np.diag([1, -1]), z)


class Ends:
    """The programs at both ends of a chain, and what they got."""

    def __init__(self) -> None:
        self.opened: list[CircuitOpened] = []
        self.accepted: list[CircuitOpened] = []
        self.at_head: list[CircuitPair] = []
        self.at_tail: list[CircuitPair] = []

    def head(self, remote: str, *, circuits: int, pairs: int, **asked: Any) -> Program:
        """Open so many circuits, one after the other, and take so many pairs of each."""
        for _ in range(circuits):
            answer = yield OpenCircuit(call=0, remote=remote, **asked)
            assert isinstance(answer, CircuitOpened), answer
            self.opened.append(answer)
            yield from self._take(answer.circuit, pairs, self.at_head)
            yield CloseCircuit(call=0, circuit=answer.circuit)

    def tail(self, *, circuits: int, pairs: int, **asked: Any) -> Program:
        """The same at the other end."""
        for _ in range(circuits):
            answer = yield AcceptCircuit(call=0, **asked)
            assert isinstance(answer, CircuitOpened), answer
            self.accepted.append(answer)
            yield from self._take(answer.circuit, pairs, self.at_tail)

    def _take(self, circuit: str, pairs: int, got: list[CircuitPair]) -> Program:
        for _ in range(pairs):
            answer = yield NextCircuitPair(call=0, circuit=circuit)
            assert isinstance(answer, CircuitPair), answer
            got.append(answer)
            if answer.pair is not None:
                measured = yield Run(call=0, steps=(Measure(qubit=answer.pair.qubit),))
                assert isinstance(measured, Outcomes), measured


def run(
    scenario: Scenario,
    *,
    circuits: int = 1,
    pairs: int = 1,
    axes: tuple[Any, ...] = (),
    at_most_s: float = 1e5,
    check: bool = False,
    **asked: Any,
) -> tuple[Watched, Ends]:
    """Open circuits from the first node to the last, take their pairs, close them."""
    testbed, ends = Watched(scenario, check=check), Ends()
    first, *_, last = scenario.nodes
    testbed.start(first, ends.head(last, circuits=circuits, pairs=pairs, axes=axes, **asked))
    testbed.start(last, ends.tail(circuits=circuits, pairs=pairs, axes=axes))
    testbed.run(at_most_s=at_most_s)
    return testbed, ends


def with_seed(scenario: Scenario, seed: int) -> Scenario:
    """The same with other draws."""
    return msgspec.structs.replace(scenario, seed=seed)


def joined(*spectra: Any) -> np.ndarray:
    """All errors, one after the other."""
    total = np.array([1.0, 0.0, 0.0, 0.0])
    for each in spectra:
        total = swapped(total, each)
    return total


def dephased(time_s: float, t2_s: float) -> np.ndarray:
    """What waiting in memories of that T2 does to a pair, all halves' times taken together."""
    kept = float(np.exp(-time_s / t2_s))
    return np.array([(1.0 + kept) / 2.0, (1.0 - kept) / 2.0, 0.0, 0.0])
