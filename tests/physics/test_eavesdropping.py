"""Eve in numbers: the errors that she causes, what she learns, and the trade between them."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from drive import Drive, S

from orchestrator.fabric.faults.eavesdropping import operators
from orchestrator.fabric.predictions import chsh_value
from orchestrator.fabric.registers import Registers
from orchestrator.scenario import DoubleClick, Fault, Link, Source, Transmission
from orchestrator.scenario.faults import EntangleAndMeasure, HeraldLatency, InterceptResend, PauliNoise
from qnode.wire import fabric
from qnode.wire.quantum import Gate, Measure, Prepare

SIGMAS = 4.5
ROUNDS = 400


def drive(*faults: Fault, heralding: Any = None) -> Drive:
    link = Link(
        ends=("A", "B"),
        length_km=1.0,
        attenuation_db_per_km=0.0,
        heralding=heralding or Source(),
        transmission=Transmission(),
    )
    return Drive(nodes="AB", links={"ab": link}, faults=faults)


def sifted(driven: Drive, axis: str, *, rounds: int = ROUNDS) -> list[tuple[int, int]]:
    """Bits of both ends of one pair after the other, measured along the same axis."""
    bits = []
    for number in range(rounds):
        at = driven.engine.agenda.now_ps + S // 100
        driven.generate("ab", "AB", at=at, number=number)
        heralds = len(driven.of(fabric.Heralded))
        driven.run(lambda heralds=heralds: len(driven.of(fabric.Heralded)) == heralds + 2)
        at = driven.engine.agenda.now_ps + S // 100
        mine = [
            driven.plan(end, at, fabric.Circuit(steps=(Measure(qubit=f"{end}#ab{number}", axis=axis),))) for end in "AB"
        ]
        done = len(driven.of(fabric.Completed))
        driven.run(lambda done=done: len(driven.of(fabric.Completed)) == done + 2)
        read = {event.operation: event.bits[0] for event in driven.of(fabric.Completed)[done:]}
        bits.append((read[mine[0]], read[mine[1]]))
    return bits


def near(found: float, expected: float, count: int) -> bool:
    """Whether a frequency is within 4.5 standard deviations of its probability."""
    return abs(found - expected) <= SIGMAS * math.sqrt(expected * (1 - expected) / count) + 1e-12


@pytest.mark.parametrize(
    ("basis", "axis", "fraction", "error"),
    [
        ("random_zx", "Z", 1.0, 0.25),
        ("random_zx", "X", 1.0, 0.25),
        ("random_zx", "Z", 0.5, 0.125),
        ("z", "Z", 1.0, 0.0),
        ("z", "X", 1.0, 0.5),
        ("x", "X", 1.0, 0.0),
        ("y", "Z", 1.0, 0.5),
        ("random_xyz", "Z", 1.0, 1 / 3),
        ("random_zx", "Z", 0.0, 0.0),
    ],
)
def test_intercepting_and_resending_costs_the_errors_of_the_textbook(
    basis: Any, axis: str, fraction: float, error: float
) -> None:
    """BB84's 25 % (Bennett and Brassard 1984; Gisin et al. 2002, RMP 74 145): half the bases wrong, half of these err."""
    driven = drive(InterceptResend(name="eve", link="ab", basis=basis, fraction=fraction))
    bits = sifted(driven, axis)
    errors = sum(a != b for a, b in bits) / ROUNDS
    assert near(errors, error, ROUNDS), errors
    taps = driven.lines("intercepted")
    assert near(len(taps) / ROUNDS, fraction, ROUNDS)
    assert {line["eve_basis"] for line in taps} == {"random_zx": {"Z", "X"}, "random_xyz": {"X", "Y", "Z"}}.get(
        basis, {basis.upper()}
    ) or fraction == 0.0


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_what_eve_has_agrees_with_the_key_as_often_as_theory_says(strength: float) -> None:
    """In her basis (1 + sin theta)/2; in the other, half of the time."""
    sine = math.sin(strength * math.pi / 2)
    driven = drive(EntangleAndMeasure(name="eve", link="ab", strength=strength))
    key = [b for _, b in sifted(driven, "Z")]
    lines = driven.lines("intercepted")
    assert [line["pair"] for line in lines] == [f"ab/{number}" for number in range(ROUNDS)]
    tried: Counter[str] = Counter(line["eve_basis"] for line in lines)
    agreed: Counter[str] = Counter(
        line["eve_basis"] for line, bit in zip(lines, key, strict=True) if line["eve_bit"] == bit
    )
    assert near(tried["Z"] / ROUNDS, 0.5, ROUNDS)
    assert near(agreed["Z"] / tried["Z"], (1 + sine) / 2, tried["Z"])
    assert near(agreed["X"] / tried["X"], 0.5, tried["X"])


def after_eve(theta: float, fraction: float = 1.0, basis: Any = "Z") -> np.ndarray:
    """Phi+ of which Eve has probed one half, averaged over what she found (4, 4)."""
    phi = np.array([1, 0, 0, 1]) / math.sqrt(2)
    whole = np.outer(phi, phi)
    probed = sum(np.kron(np.eye(2), k) @ whole @ np.kron(np.eye(2), k).conj().T for k in operators(basis, theta))
    return np.asarray(fraction * probed + (1 - fraction) * whole)


def error_rate(state: np.ndarray, axis: np.ndarray) -> float:
    correlation = np.trace(np.kron(axis, axis.conj()) @ state).real
    return float((1 - correlation) / 2)


X, Z = np.array([[0, 1], [1, 0]]), np.diag([1, -1])


@pytest.mark.parametrize("theta", [0.0, 0.3, 0.9, math.pi / 2])
def test_the_probe_meets_the_bound_on_information_for_its_disturbance(theta: float) -> None:
    """Fuchs et al. 1997, PRA 56 1163: I_z = phi(2 sqrt(D_x (1 - D_x)))/2 at most, phi as there; and D_z = 0."""
    zero, one = operators("Z", theta)
    assert zero.conj().T @ zero + one.conj().T @ one == pytest.approx(np.eye(2))
    state = after_eve(theta)
    disturbance = error_rate(state, X)
    assert error_rate(state, Z) == pytest.approx(0.0, abs=1e-15)
    assert disturbance == pytest.approx((1 - math.cos(theta)) / 2)
    right = float(abs(zero[0, 0]) ** 2)
    information = 1 - _entropy(right)
    z = 2 * math.sqrt(disturbance * (1 - disturbance))
    assert information == pytest.approx(_phi(z) / 2, abs=1e-9)
    assert right == pytest.approx((1 + math.sin(theta)) / 2)


def _entropy(p: float) -> float:
    return -sum(each * math.log2(each) for each in (p, 1 - p) if each > 1e-15)


def _phi(z: float) -> float:
    return sum((1 + each) * math.log2(1 + each) for each in (z, -z) if 1 + each > 1e-12)


@pytest.mark.parametrize(("strength", "fraction"), [(0.5, 1.0), (0.8, 0.5), (1.0, 1.0)])
def test_the_probe_s_errors_are_those_of_the_formula(strength: float, fraction: float) -> None:
    eve = EntangleAndMeasure(name="eve", link="ab", basis="z", strength=strength, fraction=fraction)
    in_x = sum(a != b for a, b in sifted(drive(eve), "X")) / ROUNDS
    in_z = sum(a != b for a, b in sifted(drive(eve), "Z")) / ROUNDS
    assert near(in_x, fraction * (1 - math.cos(strength * math.pi / 2)) / 2, ROUNDS)
    assert in_z == 0.0


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_the_chsh_value_falls_with_what_eve_intercepts(fraction: float) -> None:
    """Half of her bases are Z and half X, so the correlations in the plane of both fall to 1 - f/2: S = 2 sqrt2 (1 - f/2)."""
    state = (after_eve(math.pi / 2, fraction, "Z") + after_eve(math.pi / 2, fraction, "X")) / 2
    assert chsh_value(state) == pytest.approx(2 * math.sqrt(2) * (1 - fraction / 2))
    eve = InterceptResend(name="eve", link="ab", fraction=fraction)
    driven = drive(eve)
    total = np.zeros((4, 4), dtype=complex)
    for number in range(200):
        driven.generate("ab", "AB", at=driven.engine.agenda.now_ps + S, number=number)
        heralds = len(driven.lines("heralded"))
        driven.run(lambda heralds=heralds: len(driven.lines("heralded")) > heralds)
        halves = driven.lines("heralded")[-1]["qubits"]
        total += driven.engine.laboratory.aged_state(halves, driven.engine.agenda.now_ps)
        for node in "AB":
            driven.engine.laboratory.lose_from(node, [f"{node}#ab{number}"], driven.engine.agenda.now_ps)
    bound = SIGMAS * math.sqrt(2 * fraction * (1 - fraction) / 200) + 1e-9  # S is sqrt2 less for each pair that she has
    assert chsh_value(total / 200) == pytest.approx(2 * math.sqrt(2) * (1 - fraction / 2), abs=bound)


def test_eve_touches_qubits_that_are_sent_and_knows_those_in_her_basis() -> None:
    """Of |0>: always known in Z, and left alone; in X she knows nothing and |1> arrives half of the time."""
    driven = drive(InterceptResend(name="eve", link="ab"))
    rounds = 200
    for number in range(rounds):
        name, at = f"A#q{number}", (1 + number) * S
        steps = (Prepare(qubit=name), Gate(name="X", qubits=(name,))) if number % 2 else (Prepare(qubit=name),)
        driven.plan("A", at, fabric.Circuit(steps=steps))
        driven.plan("A", at + S // 10, fabric.Transmit(link="ab", qubit=name))
        driven.plan("B", at + S // 2, fabric.Circuit(steps=(Measure(qubit=name),)))
    driven.run()
    lines = driven.lines("intercepted")
    received = [event.bits[0] for name, event in driven.events if name == "B" and isinstance(event, fabric.Completed)]
    wrong = Counter(line["eve_basis"] for n, line in enumerate(lines) if received[n] != n % 2)
    tried = Counter(line["eve_basis"] for line in lines)
    assert len(lines) == rounds
    assert all(line["eve_bit"] == n % 2 for n, line in enumerate(lines) if line["eve_basis"] == "Z")
    assert wrong["Z"] == 0
    assert near(wrong["X"] / tried["X"], 0.5, tried["X"])


def test_when_eve_is_gone_the_link_is_as_it_was_and_nothing_of_her_is_logged() -> None:
    driven = drive(InterceptResend(name="eve", link="ab", basis="x", for_s=1.0))
    own = driven.engine.links["ab"].models
    driven.run(end=2 * S)
    assert driven.engine.links["ab"].models is own
    assert all(a == b for a, b in sifted(driven, "Z", rounds=50))
    assert not driven.lines("intercepted")


def test_what_eve_draws_does_not_depend_on_other_faults_nor_on_another_eve() -> None:
    eve = InterceptResend(name="eve", link="ab", fraction=0.5, basis="random_xyz")
    others = (
        HeraldLatency(name="late", link="ab", added_s=0.001),
        PauliNoise(name="noise", link="ab", pauli_probabilities=(0.0, 0.1, 0.0)),
        InterceptResend(name="mallory", link="ab"),
    )

    def secrets(*faults: Fault) -> list[tuple[str, str]]:
        driven = drive(*faults, heralding=DoubleClick(coupling_efficiency=0.9))
        sifted(driven, "Z", rounds=60)
        return [(each["pair"], each["eve_basis"]) for each in driven.lines("intercepted") if each["name"] == "eve"]

    assert secrets(eve) == secrets(*others, eve)
    assert 15 < len(secrets(eve)) < 45


def test_a_probe_leaves_the_qubit_where_it_is_and_its_register_whole() -> None:
    registers = Registers(max_register_bytes=1 << 20)
    registers.insert(("a", "b"), np.array([0.6, 0.0, 0.0, 0.8]))
    assert registers.probe("b", operators("Z", math.pi / 2), 0.3599) == 0
    assert registers.qubits_with("a") == ("a", "b")
    assert registers.reduced(("a", "b"))[0, 0] == pytest.approx(1.0)
    assert registers.probe("a", operators("Z", 0.4), 0.0) == 0
    assert registers.probe("a", operators("X", 0.0), 0.51) == 1, "a probe that learns nothing answers at random"
    assert registers.reduced(("a",)) == pytest.approx(np.diag([1.0, 0.0]))
