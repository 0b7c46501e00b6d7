"""Testbeds in one process under disorder, and what has to hold of their circuits whatever befalls their messages.

A `Plan` says all: topology, memory, circuits and what their programs do, faults, and how often a message is lost,
repeated or delayed. `carry_out` runs it, and fails where an invariant does.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from in_process import InProcess, Program, Seat

from orchestrator import control
from orchestrator.fabric.clock import EventClass
from orchestrator.fabric.event_log import EventLog
from orchestrator.fabric.happenings import Delivery
from orchestrator.fabric.predictions import bell_state
from orchestrator.scenario import DoubleClick, Fault, Link, LinkDown, Network, Node, NodeKill, Scenario, Source
from orchestrator.scenario.faults import (
    Bandwidth,
    BurstDecoherence,
    ClassicalDown,
    ClockDrift,
    ClockOffset,
    ExtraLoss,
    FibreCut,
    HeraldLatency,
    Hold,
    InterceptResend,
    ManInTheMiddle,
    MemoryLifetime,
    MessageCorrupt,
    MessageDuplicate,
    MessageLatency,
    MessageLoss,
    MessageReorder,
    NodePause,
    NodeRestart,
    NodeSlow,
    OverAtOnce,
    Partition,
    QuantumDown,
    SlotFailure,
)
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.stack.circuits.head import Head
from qnode.stack.circuits.tail import Tail
from qnode.stack.node import Node as StackNode
from qnode.wire import fabric
from qnode.wire.application import (
    AcceptCircuit,
    CircuitOpened,
    CircuitPair,
    CloseCircuit,
    Detach,
    Failed,
    NextCircuitPair,
    OpenCircuit,
    Outcomes,
    Run,
    Sleep,
)
from qnode.wire.peer import ApplicationMessage, Hello, unsealed
from qnode.wire.quantum import Axis, Discard, Measure

PS = 10**12
PATIENCE_S = 90.0
"""Of virtual time, until every program has to have ended."""
CLEAN_AFTER_S = 40.0
"""Until nothing may be left of any circuit once its programs have ended: a silent peer is given up in ten."""
Ends = Literal["close", "detach", "leave"]


@dataclass(frozen=True)
class CircuitPlan:
    """One circuit and its two programs."""

    head: int
    tail: int
    kind: Literal["K", "M"] = "K"
    swapping: Literal["asap", "nested"] = "asap"
    slots: int = 2
    cutoff_ms: float | None = None
    end_rounds: int = 0
    priority: int = 0
    fidelity: float = 0.0
    test_fraction: float = 0.0
    as_heralded: bool = False
    axes: tuple[Axis, ...] = ()
    starts_ms: float = 0.0
    accepts_ms: float = 0.0
    head_takes: int = 5
    """Pairs, after which the head ends."""
    tail_takes: int = 5
    holds: bool = False
    """Whether the programs keep their halves until they end."""
    head_ends: Ends = "close"
    tail_ends: Ends = "close"
    """``close``: the circuit, then the session; ``detach``: the session at once; ``leave``: only once it is closed, at
    an end whose other end does not leave, too."""


ON_LINKS: dict[str, Any] = {
    "link": LinkDown(),
    "quantum": QuantumDown(),
    "loss": ExtraLoss(loss_db=10.0),
    "late": HeraldLatency(added_s=0.003),
    "eve": InterceptResend(fraction=0.5),
    "cut": FibreCut(at_km=0.3),
    "silent": ClassicalDown(),
    "mute": ClassicalDown(direction="forward"),
    "lossy": MessageLoss(probability=0.2, correlation=0.5),
    "twice": MessageDuplicate(probability=0.3),
    "noisy": MessageCorrupt(probability=0.2, bits=3),
    "delayed": MessageLatency(added_s=0.01, jitter_s=0.01),
    "overtaken": MessageReorder(probability=0.3, delay_s=0.005),
    "narrow": Bandwidth(bits_per_s=1e6),
    "held": Hold(),
    "dropped": ManInTheMiddle(action="drop", messages=("all",), fraction=0.2),
}
"""What befalls a link."""
ON_MEMORIES: dict[str, Any] = {
    "slot": SlotFailure(),
    "slots": SlotFailure(slots=3),
    "storage": SlotFailure(slots=2, role="storage"),
    "flicker": SlotFailure(slots=2, for_s=0.002, every_s=0.007, times=30),
    "flickering storage": SlotFailure(slots=2, role="storage", for_s=0.002, every_s=0.007, times=30),
    "short": MemoryLifetime(factor=0.5),
    "burst": BurstDecoherence(depolarising_probability=0.5),
}
"""What befalls a node's memories."""
SPOILS = ("eve", "burst")


@dataclass(frozen=True)
class Plan:
    """One run."""

    shape: Literal["chain", "ring", "star"] = "chain"
    nodes: int = 3
    communication: int = 4
    storage: int = 0
    click: bool = False
    """Double-click heralding, whose pairs are announced in two Bell states; else a source of Phi+."""
    length_km: float = 10.0
    swap_success: float = 1.0
    duration_s: float = 0.0
    told_fidelity: float = 1.0
    """What nodes believe of their links, whose pairs are perfect in truth: so they distil, and it can be checked."""
    circuits: tuple[CircuitPlan, ...] = ()
    faults: tuple[tuple[str, float, float], ...] = ()
    """``link`` or what befalls a node and its number, as ``link:3``; when, and for how long (s)."""
    vanish: float = 0.0
    """How likely a qubit is lost in a window, from a slot that works again at once."""
    besides: tuple[Fault, ...] = ()
    """Faults that circuits have to get over: so these do not count as disturbance."""
    loss: float = 0.0
    repeats: float = 0.0
    delays: float = 0.0
    delay_ms: float = 1.0
    seed: int = 1

    @property
    def spoilt(self) -> bool:
        """Whether pairs may be worse than announced, which is nobody's fault."""
        return any(what.partition(":")[0] in SPOILS for what, _, _ in self.faults)

    @property
    def undisturbed(self) -> bool:
        """Whether every circuit has to give all that its programs want."""
        return not self.faults and not self.vanish

    def ends(self) -> list[tuple[int, int]]:
        """Of each link, by the numbers of nodes."""
        if self.shape == "star" and self.nodes > 2:
            return [(0, other) for other in range(1, self.nodes)]
        links = [(left, left + 1) for left in range(self.nodes - 1)]
        return [*links, (self.nodes - 1, 0)] if self.shape == "ring" and self.nodes > 2 else links

    def scenario(self) -> Scenario:
        """For the engine."""
        hardware = Hardware(
            communication=Memory(slots=self.communication),
            storage=Memory(slots=self.storage),
            bell_measurement_success_probability=self.swap_success,
            single_qubit_gate_duration_s=self.duration_s,
            two_qubit_gate_duration_s=self.duration_s,
            measure_duration_s=self.duration_s,
            move_duration_s=self.duration_s,
        )
        heralding = DoubleClick(coupling_efficiency=0.15) if self.click else Source(success_probability=0.01)
        faults: list[Fault] = []
        for what, at_s, for_s in self.faults:
            kind, _, number = what.partition(":")
            node, name = f"n{int(number) % self.nodes}", f"f{len(faults)}"
            link = f"l{int(number) % len(self.ends())}"
            if kind in ON_LINKS:
                made = ON_LINKS[kind]
                faults.append(msgspec.structs.replace(made, at_s=at_s, for_s=for_s or None, link=link, name=name))
                continue
            if kind in ON_MEMORIES:
                made = ON_MEMORIES[kind]
                lasts = {} if isinstance(made, OverAtOnce) or made.every_s else {"for_s": for_s or None}
                faults.append(msgspec.structs.replace(made, at_s=at_s, node=node, name=name, **lasts))
                continue
            if kind == "partition":
                faults.append(Partition(at_s=at_s, for_s=for_s or None, nodes=(node,), name=name))
            if kind == "node" and all(not isinstance(each, NodeKill) for each in faults):
                faults.append(NodeKill(at_s=at_s, node=node, name=name))
            elif kind == "restart":
                faults.append(NodeRestart(at_s=at_s, for_s=for_s or 1e-3, node=node, name=name))
            elif kind == "pause":
                faults.append(NodePause(at_s=at_s, for_s=for_s or 1e-3, node=node, name=name))
            elif kind == "slow":
                faults.append(NodeSlow(at_s=at_s, for_s=for_s or None, node=node, name=name, late_s=0.01))
            elif kind == "drift":
                faults.append(ClockDrift(at_s=at_s, for_s=for_s or None, node=node, name=name, drift_ppm=-100_000))
            elif kind == "offset":
                faults.append(ClockOffset(at_s=at_s, for_s=for_s or None, node=node, name=name, offset_s=0.25))
        return Scenario(
            version=1,
            name="disorder",
            seed=self.seed,
            network=Network(),
            nodes={f"n{number}": Node(hardware=hardware) for number in range(self.nodes)},
            links={
                f"l{number}": Link(ends=(f"n{one}", f"n{other}"), length_km=self.length_km, heralding=heralding)
                for number, (one, other) in enumerate(self.ends())
            },
            faults=(*faults, *self.besides),
        )


@dataclass
class Delivered:
    """What both ends were given of one circuit, by number."""

    head: dict[int, dict[str, Any]] = field(default_factory=dict)
    tail: dict[int, dict[str, Any]] = field(default_factory=dict)


class Disordered(InProcess):
    """A testbed whose messages are tampered with, whose nodes die, and whose deliveries the oracle looks at."""

    def __init__(self, plan: Plan, *, log: EventLog | None = None) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.delivered: dict[str, Delivered] = defaultdict(Delivered)
        self.dead: set[str] = set()
        self.ended: set[str] = set()
        """Those that were dead once; the programs that were on them are."""
        self.calm = False
        super().__init__(plan.scenario(), tamper=self._disturb, log=log)
        self._seen = 0
        if plan.told_fidelity < 1.0:
            for name, seat in self.seats.items():
                self.seats[name] = Seat(StackNode(_deceived(seat.node.configuration, plan.told_fidelity)))

    def _disturb(self, sender: str, recipient: str, payload: bytes) -> tuple[int, ...]:
        plan, chance = self.plan, self.random
        message = unsealed(payload)
        if isinstance(message, ApplicationMessage) or self.calm:
            return (0,)
        if isinstance(message, Hello):
            return () if chance.random() < plan.loss / 3 else (0,)  # four lost in a row are a fault of the link
        copies = 0 if chance.random() < plan.loss else 1 + (chance.random() < plan.repeats)
        return tuple(
            1 + chance.randrange(round(plan.delay_ms * 1e9)) if chance.random() < plan.delays else 0
            for _ in range(copies)
        )

    def step(self) -> None:
        if self.plan.vanish and not self.calm and self.random.random() < self.plan.vanish:
            self._vanish()
        super().step()
        for record in self.records[self._seen :]:
            if record["kind"] == "circuit_pair_delivered":
                self._look(record)
        self._seen = len(self.records)

    def _window(self, name: str, grant: fabric.Grant) -> None:
        super()._window(name, grant)
        if self.plan.vanish:
            take_stock(self.seats[name].node)

    def _vanish(self) -> None:
        """Some node loses some qubit."""
        mine = [each.name for each in self.engine.laboratory.qubits.values() if each.owner in self.seats]
        if mine:
            lose(self, self.random.choice(mine))

    def obey(self, order: control.Order) -> None:
        super().obey(order)
        if isinstance(order, control.EndNode):
            self.dead.add(order.node)
            self.ended.add(order.node)
        elif isinstance(order, control.StartNode):
            self.dead.discard(order.node)

    def _look(self, record: dict[str, Any]) -> None:
        """The tail is told before the head, which keeps its half until then: so both halves are there to be seen."""
        circuit, number = self.delivered[record["circuit"]], record["number"]
        mine = circuit.head if record["end"] == "head" else circuit.tail
        assert number not in mine, f"pair {number} of {record['circuit']} was delivered twice at its {record['end']}"
        mine[number] = record
        if record["end"] == "head":
            assert number in circuit.tail, f"pair {number} of {record['circuit']} is the head's alone"
            return
        qubit, other = record["qubit"], record["other_qubit"]
        laboratory = self.engine.laboratory
        if not qubit or qubit not in laboratory.qubits or other not in laboratory.qubits:
            return
        together = set(laboratory.registers.qubits_with(qubit))
        assert together == {qubit, other}, f"{record} shares its state with {together}"
        state = laboratory.state_now((other, qubit), self.now)
        announced = bell_state(2 * record["x"] + record["z"])
        fidelity = float(np.real(announced.conj() @ state @ announced))
        assert fidelity > 1 - 1e-6 or self.plan.spoilt, f"{record} is not as announced: fidelity {fidelity}"

    def left(self) -> dict[str, Any]:
        """What nodes still hold of circuits; empty if nothing."""
        found: dict[str, Any] = {}
        for name, seat in self.seats.items():
            if name in self.dead:
                continue
            node = seat.node
            signalling, layer, core = node.circuits.signalling, node.link_layer, node.core
            held = {
                "qubits": dict(core.memory.qubits),
                "vacating": core.memory._vacating,
                "set_aside": layer.set_aside,
                "consumers": layer.consumers,
                "generating": layer.generating,
                "transits": signalling.transits,
                "reservations": signalling.reservations.held,
                "pending": core.pending,
                "endpoints": node.circuits.endpoints,
                "incoming": node.circuits.incoming,
                "accepting": node.circuits.accepting,
                "shares": [
                    link for link, each in node.routing.adjacencies.items() if abs(each.free_share - 1.0) > 1e-9
                ],
                "slots": core.memory.working("communication")
                + core.memory.working("storage")
                - node.routing.free_slots,
                "occupied": [
                    role
                    for (at, role), each in self.engine.laboratory.occupancy.items()
                    if at == name and each.occupied
                ],
            }
            mine = {what: each for what, each in held.items() if each}
            if mine:
                found[name] = mine
        return found


def lose(testbed: InProcess, name: str) -> None:
    """At the next instant, the slot of a qubit fails and works again at once; the node is told."""
    engine, at = testbed.engine, testbed.engine.next_time()
    assert at is not None
    qubit = engine.laboratory.qubits[name]
    engine.laboratory.lose_from(qubit.owner, (name,), at)
    engine.truth.lost((name,))
    number = engine.laboratory.memories[qubit.owner].failed.get(qubit.role, 0)
    event = fabric.SlotsOutOfService(at=at, role=qubit.role, number=number, lost=(name,))
    seat = engine.seats[qubit.owner]
    engine.agenda.add(at, EventClass.FAULT, seat.number, Delivery(seat, event))


def take_stock(node: StackNode) -> None:
    """What a node's circuits keep account of is there."""
    memory = node.core.memory
    for transit in node.circuits.signalling.transits.values():
        installed = transit.installed
        if installed is None:
            continue
        kept = [pair for side in installed.sides.values() for pair in (*side.pairs.values(), *side.taken.values())]
        end = installed.end
        if isinstance(end, Tail):
            kept += end.pairs.values()
            unread = {pair_id for pair_id, (_, bit) in end.read.items() if bit is None}
            assert unread <= memory.halves.keys(), f"{node.configuration.name} waits for bits of {unread}"
        elif isinstance(end, Head):
            kept += [chain.pair for chain in end.chains.values() if chain.bit is None]
        gone = [pair.pair_id for pair in kept if memory.qubits.get(pair.held.name) is not pair.held]
        assert not gone, f"{node.configuration.name} keeps account of {gone}, which are gone"


def _deceived(configuration: Any, fidelity: float) -> Any:
    spectrum = (fidelity, *[(1.0 - fidelity) / 3] * 3)
    links = tuple(
        msgspec.structs.replace(
            link,
            operating_points=tuple(msgspec.structs.replace(each, spectrum=spectrum) for each in link.operating_points),
        )
        for link in configuration.links
    )
    return msgspec.structs.replace(configuration, links=links)


@dataclass
class Outcome:
    """How a program fared."""

    opened: CircuitOpened | None = None
    failed: list[Failed] = field(default_factory=list)
    pairs: list[CircuitPair] = field(default_factory=list)
    bits: dict[int, tuple[Axis, int]] = field(default_factory=dict)
    ended: bool = False


def program(plan: CircuitPlan, number: int, outcome: Outcome, *, head: bool) -> Program:
    purpose = f"c{number}"
    wait_ms = plan.starts_ms if head else plan.accepts_ms
    if wait_ms:
        yield Sleep(call=0, duration_ps=round(wait_ms * 1e9))
    if head:
        opened = yield OpenCircuit(
            call=0,
            remote=f"n{plan.tail}",
            minimum_fidelity=plan.fidelity,
            rate_bpps=1.0,
            kind=plan.kind,
            purpose=purpose,
            priority=plan.priority,
            timeout_ps=30 * PS,
            slots=plan.slots,
            swapping=plan.swapping,
            cutoff_ps=None if plan.cutoff_ms is None else round(plan.cutoff_ms * 1e9),
            axes=plan.axes if plan.kind == "M" else (),
            as_heralded=plan.as_heralded,
            end_distillation_rounds=plan.end_rounds,
            test_fraction=plan.test_fraction,
        )
    else:
        opened = yield AcceptCircuit(
            call=0, purpose=purpose, axes=plan.axes if plan.kind == "M" else (), timeout_ps=40 * PS
        )
    if isinstance(opened, Failed):
        outcome.failed.append(opened)
        outcome.ended = True
        yield Detach(call=0)
        return
    outcome.opened = opened
    ends = plan.head_ends if head else plan.tail_ends
    held = []
    for _ in range(plan.head_takes if head else plan.tail_takes):
        answer = yield NextCircuitPair(call=0, circuit=opened.circuit, timeout_ps=10 * PS)
        if isinstance(answer, Failed):
            outcome.failed.append(answer)
            break
        outcome.pairs.append(answer)
        if answer.pair is None:
            outcome.bits[answer.number] = (answer.axis, answer.bit)
        elif plan.holds and len(held) < plan.slots - 1 and not (plan.end_rounds or plan.fidelity):
            held.append(answer)
        else:
            yield from _use(answer, outcome)
    for answer in held:
        yield from _use(answer, outcome)
    if ends == "leave" and not (head and plan.tail_ends == "leave"):
        while True:
            answer = yield NextCircuitPair(call=0, circuit=opened.circuit, timeout_ps=20 * PS)
            if isinstance(answer, Failed):
                break
            if answer.pair is not None:
                yield Run(call=0, steps=(Discard(qubit=answer.pair.qubit),))
    if ends != "detach":
        yield CloseCircuit(call=0, circuit=opened.circuit)
    outcome.ended = True
    yield Detach(call=0)


def _use(answer: CircuitPair, outcome: Outcome) -> Program:
    assert answer.pair is not None
    axis: Axis = "XZ"[answer.number % 2]  # type: ignore[assignment]
    read = yield Run(call=0, steps=(Measure(qubit=answer.pair.qubit, axis=axis),))
    if isinstance(read, Outcomes):
        bit = read.bits[0]
        outcome.bits[answer.number] = (f"{axis} {answer.pair.bell_state}", bit)  # type: ignore[assignment]


def carry_out(plan: Plan, *, testbed: Disordered | None = None) -> Disordered:
    """Run a plan to its end and check all that has to hold."""
    testbed = testbed or Disordered(plan)
    outcomes: list[tuple[CircuitPlan, Outcome, Outcome]] = []
    for number, circuit in enumerate(plan.circuits):
        heads, tails = Outcome(), Outcome()
        outcomes.append((circuit, heads, tails))
        testbed.start(f"n{circuit.head}", program(circuit, number, heads, head=True), name=f"h{number}")
        testbed.start(f"n{circuit.tail}", program(circuit, number, tails, head=False), name=f"t{number}")
    testbed.run(at_most_s=PATIENCE_S)
    end = testbed.now / PS + CLEAN_AFTER_S
    while testbed.left() and testbed.now / PS < end:
        testbed.run_for(0.5)
    assert not testbed.left(), f"left {CLEAN_AFTER_S:g} s after the end: {testbed.left()}"
    for circuit, heads, tails in outcomes:
        _check_circuit(plan, circuit, heads, tails, testbed)
    return testbed


def _check_circuit(plan: Plan, circuit: CircuitPlan, heads: Outcome, tails: Outcome, testbed: Disordered) -> None:
    dead = {f"n{circuit.head}", f"n{circuit.tail}"} & testbed.ended
    for outcome, end in ((heads, circuit.head), (tails, circuit.tail)):
        assert outcome.ended or f"n{end}" in testbed.ended
        assert all(each.code in EXPECTED_FAILURES for each in outcome.failed), outcome.failed
    for number in heads.bits.keys() & tails.bits.keys():
        mine, theirs = heads.bits[number], tails.bits[number]
        if mine[0] != theirs[0]:
            assert circuit.kind == "M", f"pair {number} was announced as {mine[0]} and {theirs[0]}"
            continue
        flipped = mine[0] in FLIPPED
        assert plan.spoilt or (mine[1] ^ theirs[1]) == flipped, (
            f"pair {number} along {mine[0]}: {mine[1]} and {theirs[1]}"
        )
    if heads.opened is None or dead:
        return
    delivered = testbed.delivered[heads.opened.circuit]
    calm = plan.undisturbed and plan.loss < 0.3 and all(each.priority == 0 for each in plan.circuits)
    if calm:
        both = [number in delivered.head for number in delivered.tail]
        assert both == sorted(both, reverse=True), f"of {list(delivered.tail)} the head has {list(delivered.head)}"
        starved = [each for each in heads.failed if each.code == "timeout"]
        assert not starved or circuit.cutoff_ms is not None or circuit.holds, (
            f"the head starved: {starved}; it has {heads.pairs}"
        )


EXPECTED_FAILURES = ("timeout", "closed", "no_route", "no_capacity", "denied")
FLIPPED = ("Y", "X PHI_MINUS", "X PSI_MINUS", "Z PSI_PLUS", "Z PSI_MINUS")
"""Axes, and for kept pairs the announced states, where the two bits differ."""
