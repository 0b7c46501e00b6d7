"""The fabric's engine in virtual time, without processes: what pairs are when, and how long they take to come.

Scripted nodes ask, hold and measure; closed forms are written here from the papers, not taken from the product.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from orchestrator.scenario import (
    ClassicalLink,
    DoubleClick,
    Link,
    MidpointSource,
    Node,
    Scenario,
    SenderReceiver,
    SingleClick,
    Source,
)
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire import fabric
from qnode.wire.quantum import Axis, Discard, Gate, Measure, MeasureBell, Prepare

LIGHT_KM_PER_S = 299_792.458
SIGMAS = 4.5


class Script:
    """Two or more nodes driven by hand: queue operations, advance, collect events."""

    def __init__(
        self, links: dict[str, Link], *, memory: Memory, seed: int = 11, nodes: str = "AB", **more: object
    ) -> None:
        hardware = Hardware(communication=memory, storage=memory, **more)  # type: ignore[arg-type]
        self.engine = Engine(
            Scenario(
                version=1,
                name="script",
                seed=seed,
                nodes={name: Node(hardware=hardware) for name in nodes},
                links=links,
                classical_links={} if links else {"c": ClassicalLink(ends=(nodes[0], nodes[1]), length_km=1)},
            ),
            EventLog(None),
        )
        self.engine.begin()
        self.now = 0
        self._operations = 0
        self._wishes: dict[str, list[tuple[int, fabric.Operation]]] = {name: [] for name in nodes}
        self.events: list[tuple[str, fabric.Event]] = []

    def do(self, node: str, action: fabric.Circuit | fabric.Generate | fabric.Transmit, at: int) -> int:
        """Have ``node`` start ``action`` at ``at``."""
        self._operations += 1
        operation = fabric.Operation(operation=self._operations, at=at, action=action)
        self._wishes[node].append((at, operation))
        self.engine.wake(self.engine.seats[node], min(at for at, _ in self._wishes[node]))
        return self._operations

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Go on until nothing is left to happen, or ``until`` holds."""
        while self.engine.next_time() is not None and not until():
            for name, grant in self.engine.round().items():
                self.now = max(self.now, grant.now)
                for event in grant.events:
                    self.events.append((name, event))
                due = [operation for at, operation in self._wishes[name] if grant.now <= at < grant.until]
                self._wishes[name] = [wish for wish in self._wishes[name] if wish[1] not in due]
                later = [at for at, _ in self._wishes[name]]
                self.engine.block(name, fabric.Block(operations=tuple(due), wake_at=min(later, default=None)))

    def pair(self, link: str, ends: str = "AB", *, at: int, number: int = 0) -> tuple[fabric.Heralded, fabric.Heralded]:
        """Ask for a pair at both ends and wait for both heralds."""
        seen = len(self.events)
        for end in ends:
            self.do(end, fabric.Generate(link=link, qubit=f"{end}#{number}"), at)

        def heralds() -> list[fabric.Heralded]:
            return [event for _, event in self.events[seen:] if isinstance(event, fabric.Heralded)]

        self.run(lambda: len(heralds()) == 2)
        first, second = (
            event
            for end in ends
            for name, event in self.events[seen:]
            if name == end and isinstance(event, fabric.Heralded)
        )
        return first, second

    def bits(self, operation: int) -> tuple[int, ...]:
        """What a circuit read."""
        return next(
            event.bits
            for _, event in self.events
            if isinstance(event, fabric.Completed) and event.operation == operation
        )


def _delay_ps(length_km: float) -> int:
    return round(length_km * 1.468 / LIGHT_KM_PER_S * 1e12)


def _decayed_fidelity(bell: str, t1s: tuple[float, float], T1: float, T2: float) -> float:
    """Oracle of a Bell pair whose halves were ``t1s`` seconds in memories that relax to |0>."""
    g = [1 - math.exp(-t / T1) for t in t1s]
    coherence = math.exp(-sum(t1s) / T2)
    if bell == "PHI":
        return (1 + g[0] * g[1] + (1 - g[0]) * (1 - g[1])) / 4 + coherence / 2
    return ((1 - g[0]) + (1 - g[1])) / 4 + coherence / 2


@pytest.mark.parametrize(
    ("heralding", "bell", "factors"),
    [
        # ages of the two memories at the later herald, in units of L/v
        (DoubleClick(), "PSI", (1.0, 1.0)),
        (MidpointSource(), "PHI", (1.0, 1.0)),
        (SenderReceiver(), "PHI", (2.0, 1.0)),
        (Source(), "PHI", (0.0, 0.0)),
    ],
)
def test_memories_age_from_emission(heralding: object, bell: str, factors: tuple[float, float]) -> None:
    t1_s, t2_s, length_km = 4e-3, 1e-3, 40.0
    link = Link(ends=("A", "B"), length_km=length_km, attenuation_db_per_km=0.0, heralding=heralding)  # type: ignore[arg-type]
    script = Script({"l": link}, memory=Memory(slots=4, t1_s=t1_s, t2_s=t2_s))
    first, second = script.pair("l", at=0)
    travel_s = length_km * 1.468 / LIGHT_KM_PER_S
    later_s = 2.5e-4
    at = max(first.at, second.at) + round(later_s * 1e12)
    state = script.engine.laboratory.aged_state(("A#0", "B#0"), at)
    ages = tuple(factor * travel_s + later_s for factor in factors)
    half = math.sqrt(0.5)
    index = first.bell_index
    ket = {0: (half, 0, 0, half), 2: (0, half, half, 0), 3: (0, half, -half, 0)}[index]
    found = float((np.array(ket) @ state @ np.array(ket)).real)
    assert found == pytest.approx(_decayed_fidelity(bell, ages, t1_s, t2_s), abs=1e-9)
    assert (max(first.at, second.at) - min(first.emitted_at, second.emitted_at)) == pytest.approx(
        max(factors) * travel_s * 1e12, abs=3
    )


def test_heralds_are_geometric() -> None:
    """Attempts of a link are geometric: E = 1/p, var = (1-p)/p^2, and the moment is attempts times the cycle."""
    p, count = 0.05, 3000
    link = Link(ends=("A", "B"), length_km=10, heralding=Source(success_probability=p))
    script = Script({"l": link}, memory=Memory(slots=4))
    cycle, waits, at = _delay_ps(10), [], 0
    for number in range(count):
        first, second = script.pair("l", at=at, number=number)
        assert first.at == second.at
        waits.append((first.at - at) / cycle)
        at = first.at
        for end in "AB":
            script.do(end, fabric.Circuit(steps=(Discard(qubit=f"{end}#{number}"),)), at)
        at += cycle
    attempts = np.array(waits)
    assert np.array_equal(attempts, np.round(attempts))
    mean, deviation = 1 / p, math.sqrt(1 - p) / p
    assert abs(attempts.mean() - mean) <= SIGMAS * deviation / math.sqrt(count)
    table = [(attempts == n).sum() for n in range(1, 60)] + [(attempts >= 60).sum()]
    expected = [count * p * (1 - p) ** (n - 1) for n in range(1, 60)] + [count * (1 - p) ** 59]
    assert stats.chisquare(table, expected).pvalue > 1e-4


def _correlation(script: Script, axes: tuple[Axis, Axis], count: int, *, skew_ps: int = 0) -> float:
    product, at = 0, script.now + 10**9
    for number in range(count):
        first, second = script.pair("l", at=at, number=number)
        assert first.bell_index == 0
        at = max(first.at, second.at)
        done = [
            script.do(end, fabric.Circuit(steps=(Measure(qubit=f"{end}#{number}", axis=axis),)), at + skew)
            for end, axis, skew in zip("AB", axes, (0, skew_ps), strict=True)
        ]
        script.run(lambda done=done: len([e for _, e in script.events if getattr(e, "operation", None) in done]) == 2)
        product += (-1) ** (script.bits(done[0])[0] + script.bits(done[1])[0])
        script.events.clear()
        at = script.now + 10**8
    return product / count


@pytest.mark.slow
def test_sampled_correlations_follow_the_state() -> None:
    """Werner pairs of fidelity F read through errors e: <ZZ> = (1-2e)^2 (4F-1)/3, also when the ends measure apart."""
    fidelity, error, count = 0.9, 0.02, 3000
    link = Link(ends=("A", "B"), length_km=1, heralding=Source(fidelity=fidelity))
    expected = (1 - 2 * error) ** 2 * (4 * fidelity - 1) / 3
    for axes, skew in ((("Z", "Z"), 0), (("X", "X"), 3 * 10**6)):
        script = Script({"l": link}, memory=Memory(slots=4), readout_error_0=error, readout_error_1=error)
        found = _correlation(script, axes, count, skew_ps=skew)  # type: ignore[arg-type]
        assert abs(found - expected) <= SIGMAS * math.sqrt((1 - expected**2) / count)


def test_mermin_with_three_nodes() -> None:
    """A GHZ state shared by transmission: XXX = 1, XYY = YXY = YYX = -1 at every single shot (Mermin 1990)."""
    links = {
        f"A{end}": Link(ends=("A", end), length_km=1, attenuation_db_per_km=0.0, heralding=Source()) for end in "BC"
    }
    for axes, product in (("XXX", 1), ("XYY", -1), ("YXY", -1), ("YYX", -1)):
        script = Script(links, memory=Memory(slots=8), nodes="ABC")
        for shot in range(25):
            start = script.now + 10**9
            names = [f"A#{shot}-{number}" for number in range(3)]
            steps = [Prepare(qubit=name) for name in names]
            steps += [Gate(name="H", qubits=(names[0],))]  # type: ignore[list-item]
            steps += [Gate(name="CX", qubits=(names[0], name)) for name in names[1:]]  # type: ignore[misc]
            script.do("A", fabric.Circuit(steps=tuple(steps)), start)
            for end, name in zip("BC", names[1:], strict=True):
                script.do("A", fabric.Transmit(link=f"A{end}", qubit=name), start + 10**6)
            arrived = start + 10**6 + _delay_ps(1) + 10**6
            done = [
                script.do(node, fabric.Circuit(steps=(Measure(qubit=name, axis=axis),)), arrived)  # type: ignore[arg-type]
                for node, name, axis in zip("ABC", names, axes, strict=True)
            ]
            script.run()
            bits = [script.bits(operation)[0] for operation in done]
            assert (-1) ** sum(bits) == product


def test_superdense_coding() -> None:
    """Bennett and Wiesner 1992: Pauli at one end, the qubit through the fibre, a Bell measurement: both bits arrive."""
    link = Link(ends=("A", "B"), length_km=2, attenuation_db_per_km=0.0, heralding=Source())
    for number, (x, z) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        script = Script({"l": link}, memory=Memory(slots=4), seed=number)
        first, _ = script.pair("l", at=0)
        paulis = tuple(Gate(name=name, qubits=("A#0",)) for name, on in (("X", x), ("Z", z)) if on)
        if paulis:
            script.do("A", fabric.Circuit(steps=paulis), first.at)
        script.do("A", fabric.Transmit(link="l", qubit="A#0"), first.at + 10**6)
        done = script.do(
            "B", fabric.Circuit(steps=(MeasureBell(qubits=("A#0", "B#0")),)), first.at + 10**6 + 2 * _delay_ps(2)
        )
        script.run()
        assert script.bits(done) == (x, z)


def test_transmission_loss_is_that_of_the_fibre() -> None:
    """Survival 10^(-aL/10), sampled: n = 2000 qubits over 10 km at 0.3 dB/km."""
    count, length_km = 2000, 10.0
    link = Link(ends=("A", "B"), length_km=length_km, attenuation_db_per_km=0.3, heralding=Source())
    script = Script({"l": link}, memory=Memory(slots=4))
    at = 10**6
    for number in range(count):
        script.do("A", fabric.Circuit(steps=(Prepare(qubit=f"A#{number}"),)), at)
        script.do("A", fabric.Transmit(link="l", qubit=f"A#{number}"), at + 1)
        script.run(
            lambda number=number: any(
                isinstance(e, fabric.Arrived | fabric.Lost) and e.qubit == f"A#{number}" for _, e in script.events[-3:]
            )
        )
        at = script.now + 10**6
        if isinstance(script.events[-1][1], fabric.Arrived):
            script.do("B", fabric.Circuit(steps=(Discard(qubit=f"A#{number}"),)), at)
            at += 10**6
    arrived = sum(isinstance(event, fabric.Arrived) for _, event in script.events)
    survival = 10 ** (-0.3 * length_km / 10)
    assert abs(arrived / count - survival) <= SIGMAS * math.sqrt(survival * (1 - survival) / count)


def test_single_click_pairs_have_the_model_state() -> None:
    """The fabric inserts the heralded state: fidelity 2(1-a)/(2-a eta) at the herald (Humphreys 2018)."""
    population, efficiency = 0.2, 0.5
    heralding = SingleClick(bright_state_population=population, coupling_efficiency=efficiency)
    link = Link(ends=("A", "B"), length_km=0.01, attenuation_db_per_km=0.0, heralding=heralding)
    script = Script({"l": link}, memory=Memory(slots=4))
    first, _ = script.pair("l", at=0)
    state = script.engine.laboratory.aged_state(("A#0", "B#0"), first.at)
    sign = 1 if first.bell_index == 2 else -1
    ket = np.array([0, math.sqrt(0.5), sign * math.sqrt(0.5), 0])
    assert float((ket @ state @ ket).real) == pytest.approx(
        2 * (1 - population) / (2 - population * efficiency), abs=1e-9
    )


def test_no_signalling_through_the_engine() -> None:
    """What A does to its half changes nothing that B alone can see."""
    link = Link(ends=("A", "B"), length_km=1, heralding=Source(fidelity=0.8))
    for axis in ("X", "Y", "Z"):
        script = Script({"l": link}, memory=Memory(slots=4))
        first, _ = script.pair("l", at=0)
        script.do("A", fabric.Circuit(steps=(Measure(qubit="A#0", axis=axis),)), first.at)  # type: ignore[arg-type]
        before = script.engine.laboratory.registers.reduced(("B#0",))
        assert np.allclose(before, np.eye(2) / 2, atol=1e-12)
    ones = 0
    count = 1500
    for axis in ("X", "Z"):
        script = Script({"l": link}, memory=Memory(slots=4), seed=5)
        at = 0
        for number in range(count):
            first, _ = script.pair("l", at=at, number=number)
            script.do("A", fabric.Circuit(steps=(Measure(qubit=f"A#{number}", axis=axis),)), first.at)  # type: ignore[arg-type]
            done = script.do("B", fabric.Circuit(steps=(Measure(qubit=f"B#{number}"),)), first.at + 10**6)
            script.run(
                lambda done=done, script=script: any(
                    getattr(e, "operation", None) == done for _, e in script.events[-2:]
                )
            )
            ones += script.bits(done)[0]
            script.events.clear()
            at = script.now + 10**7
    assert abs(ones - count) <= SIGMAS * math.sqrt(2 * count / 4)
