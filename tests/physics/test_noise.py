"""Memories, gates, readout and fibres against closed forms, with the meaning of every parameter written out here."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from orchestrator.fabric import noise
from orchestrator.fabric.predictions import relaxed
from orchestrator.fabric.registers import Registers
from orchestrator.scenario import Link, Transmission
from orchestrator.scenario.hardware import Hardware, Memory

BELL = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]]) / math.sqrt(2)
PSI_PLUS = 2
PS = 1_000_000_000_000
GENERIC = np.array([[0.3, 0.2 - 0.1j], [0.2 + 0.1j, 0.7]])


def aged(state: np.ndarray, memories: tuple[Memory, Memory], times_s: tuple[float, float]) -> np.ndarray:
    registers = Registers(max_register_bytes=1 << 20)
    registers.insert(("a", "b"), state)
    for qubit, memory, time_s in zip("ab", memories, times_s, strict=True):
        noise.age(registers, qubit, memory, round(time_s * PS))
    return registers.reduced(("a", "b"))


def one_aged(rho: np.ndarray, memory: Memory, *times_s: float) -> np.ndarray:
    registers = Registers(max_register_bytes=1 << 20)
    registers.insert(("a",), rho)
    for time_s in times_s:
        noise.age(registers, "a", memory, round(time_s * PS))
    return registers.reduced(("a",))


def overlap(rho: np.ndarray, bell_index: int) -> float:
    return float((BELL[bell_index] @ rho @ BELL[bell_index]).real)


@pytest.mark.parametrize(
    ("times", "t1", "t2", "phi_plus", "psi_plus"),
    [
        ((0.1, 0.1), None, 1.0, 0.9093653765389909, 0.9093653765389909),
        ((0.5, 0.0), 2.0, 1.0, 0.747965525624168, 0.747965525624168),
        ((0.3, 0.7), 10.0, 1.0, 0.6606485912400869, 0.6596495589493353),
        ((1.0, 1.0), 1.0, 1.5, 0.5155264900904486, 0.3157382896435845),
        ((0.01, 0.02), 3600.0, 1.46, 0.9898287793120985, 0.9898287793043824),
    ],
)
def test_a_bell_pair_in_t1_t2_memories_at_the_oracles_numbers(
    times: tuple[float, float], t1: float | None, t2: float, phi_plus: float, psi_plus: float
) -> None:
    memory = Memory(slots=1, t1_s=t1, t2_s=t2)
    assert overlap(aged(BELL[0], (memory, memory), times), 0) == pytest.approx(phi_plus, abs=1e-9)
    assert overlap(aged(BELL[PSI_PLUS], (memory, memory), times), PSI_PLUS) == pytest.approx(psi_plus, abs=1e-9)


@given(
    t1=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
    ratio=st.tuples(st.floats(0.05, 2), st.floats(0.05, 2)),
    times=st.tuples(st.floats(0, 5), st.floats(0, 5)),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_bell_pair_in_two_different_memories(
    t1: tuple[float, float], ratio: tuple[float, float], times: tuple[float, float]
) -> None:
    """g = 1 - exp(-t/T1), l = exp(-t1/T2 - t2/T2'), each end with its own memory and time."""
    t2 = (t1[0] * ratio[0], t1[1] * ratio[1])
    memories = (Memory(slots=1, t1_s=t1[0], t2_s=t2[0]), Memory(slots=1, t1_s=t1[1], t2_s=t2[1]))
    g1, g2 = (1 - math.exp(-time / lifetime) for time, lifetime in zip(times, t1, strict=True))
    left = math.exp(-times[0] / t2[0] - times[1] / t2[1])
    phi = (1 + g1 * g2 + (1 - g1) * (1 - g2)) / 4 + left / 2
    psi = ((1 - g1) + (1 - g2)) / 4 + left / 2
    assert overlap(aged(BELL[0], memories, times), 0) == pytest.approx(phi, abs=1e-9)
    assert overlap(aged(BELL[1], memories, times), 1) == pytest.approx(phi, abs=1e-9)
    assert overlap(aged(BELL[2], memories, times), 2) == pytest.approx(psi, abs=1e-9)
    assert overlap(aged(BELL[3], memories, times), 3) == pytest.approx(psi, abs=1e-9)


@pytest.mark.parametrize("times", [(0.4, 0.0), (0.4, 1.3)])
def test_a_bell_pair_in_memories_that_relax_to_the_mixed_state(times: tuple[float, float]) -> None:
    """Populations shrink towards 1/4 each: F = (1 + s1 s2)/4 + l/2 for every Bell state, s = exp(-t/T1)."""
    memory = Memory(slots=1, t1_s=0.9, t2_s=0.7, relaxes_to="mixed")
    shrink, left = math.exp(-sum(times) / 0.9), math.exp(-sum(times) / 0.7)
    for index in range(4):
        rho = aged(BELL[index], (memory, memory), times)
        assert overlap(rho, index) == pytest.approx((1 + shrink) / 4 + left / 2, abs=1e-9)


def test_without_t2_coherence_is_limited_by_t1_alone() -> None:
    rho = one_aged(GENERIC, Memory(slots=1, t1_s=2.0), 0.5)
    assert rho[1, 1].real == pytest.approx(0.7 * math.exp(-0.25), abs=1e-9)
    assert rho[0, 1] == pytest.approx(GENERIC[0, 1] * math.exp(-0.125), abs=1e-9)


def test_without_t1_populations_stay() -> None:
    rho = one_aged(GENERIC, Memory(slots=1, t2_s=2.0), 0.5)
    np.testing.assert_allclose(rho, GENERIC * [[1, math.exp(-0.25)], [math.exp(-0.25), 1]], atol=1e-9)


@pytest.mark.parametrize(("times", "expected"), [((0.1, 0.1), 0.8640480648084864), ((0.5, 0.25), 0.604274914555761)])
def test_a_bell_pair_in_depolarising_memories(times: tuple[float, float], expected: float) -> None:
    """F = (1 + 3w)/4, w = exp(-(t1 + t2)/T)."""
    memory = Memory(slots=1, depolarising_time_s=1.0)
    for index in range(4):
        assert overlap(aged(BELL[index], (memory, memory), times), index) == pytest.approx(expected, abs=1e-9)


def test_a_werner_pair_in_depolarising_memories_stays_one() -> None:
    memory = Memory(slots=1, depolarising_time_s=2.0)
    weight = (4 * 0.9 - 1) / 3
    werner = weight * np.outer(BELL[0], BELL[0]) + (1 - weight) / 4 * np.eye(4)
    left = weight * math.exp(-(0.3 + 0.9) / 2.0)
    expected = left * np.outer(BELL[0], BELL[0]) + (1 - left) / 4 * np.eye(4)
    np.testing.assert_allclose(aged(werner, (memory, memory), (0.3, 0.9)), expected, atol=1e-9)


def test_relaxation_and_depolarisation_act_at_the_same_time() -> None:
    """Against the master equation d rho/dt, integrated numerically."""
    t1, t2, depolarising = 0.8, 0.5, 1.7
    memory = Memory(slots=1, t1_s=t1, t2_s=t2, depolarising_time_s=depolarising)

    def rate(_: float, values: np.ndarray) -> list[complex]:
        excited, coherence = values
        return [-excited / t1 + (0.5 - excited) / depolarising, -coherence / t2 - coherence / depolarising]

    end = solve_ivp(rate, (0, 0.6), [GENERIC[1, 1], GENERIC[0, 1]], rtol=1e-11, atol=1e-12).y[:, -1]
    rho = one_aged(GENERIC, memory, 0.6)
    assert rho[1, 1] == pytest.approx(end[0], abs=1e-8)
    assert rho[0, 1] == pytest.approx(end[1], abs=1e-8)
    assert np.trace(rho) == pytest.approx(1.0, abs=1e-12)


@given(
    t1=st.none() | st.floats(0.1, 10),
    dephasing=st.none() | st.floats(0.1, 2),
    depolarising=st.none() | st.floats(0.1, 10),
    target=st.sampled_from(["ground", "mixed"]),
    times=st.lists(st.floats(0, 3), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_ageing_in_steps_is_ageing_at_once(
    t1: float | None, dephasing: float | None, depolarising: float | None, target: str, times: list[float]
) -> None:
    """Decoherence is applied whenever a qubit is touched: how often that is must not matter."""
    t2 = None if dephasing is None else dephasing * (t1 or 1.0)
    memory = Memory(slots=1, t1_s=t1, t2_s=t2, depolarising_time_s=depolarising, relaxes_to=target)  # type: ignore[arg-type]
    times = [round(time_s, 6) for time_s in times]
    stepped, at_once = one_aged(GENERIC, memory, *times), one_aged(GENERIC, memory, math.fsum(times))
    np.testing.assert_allclose(stepped, at_once, atol=1e-10)
    assert np.linalg.eigvalsh(stepped).min() > -1e-12


def test_a_perfect_memory_and_no_time_leave_a_ket() -> None:
    registers = Registers(max_register_bytes=1 << 20)
    registers.prepare("a")
    noise.age(registers, "a", Memory(slots=1), 10**18)
    noise.age(registers, "a", Memory(slots=1, t1_s=1.0, t2_s=1.0), 0)
    assert registers.is_pure("a")
    assert noise.decay(Memory(slots=1), 10**18) is None


def test_a_very_long_wait_ends_at_the_target() -> None:
    rho = one_aged(GENERIC, Memory(slots=1, t1_s=1e-6, t2_s=1e-6), 1e5)
    np.testing.assert_allclose(rho, [[1, 0], [0, 0]], atol=1e-12)
    rho = one_aged(GENERIC, Memory(slots=1, t1_s=1e-6, relaxes_to="mixed"), 1e5)
    np.testing.assert_allclose(rho, np.eye(2) / 2, atol=1e-12)


def test_a_very_short_wait_is_not_lost_to_rounding() -> None:
    """1 ps in a memory of 1e6 s: 1 - exp(-t/T1) is below the rounding of 1."""
    decay = noise.decay(Memory(slots=1, t1_s=1e6), 1)
    assert decay is not None
    assert decay.gamma == pytest.approx(1e-18, rel=1e-9, abs=0)


def test_predictions_decay_as_registers_do() -> None:
    memories = (Memory(slots=1, t1_s=0.7, t2_s=0.4), Memory(slots=1, t1_s=2.0, depolarising_time_s=0.9))
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    rho = matrix @ matrix.conj().T / np.trace(matrix @ matrix.conj().T)
    expected = aged(rho, memories, (0.3, 0.6))
    for end, (memory, time_s) in enumerate(zip(memories, (0.3, 0.6), strict=True)):
        decay = noise.decay(memory, round(time_s * PS))
        assert decay is not None
        rho = relaxed(rho, end, **decay._asdict())
    np.testing.assert_allclose(rho, expected, atol=1e-12)


def hardware(**fields: float) -> Hardware:
    return Hardware(communication=Memory(slots=1), storage=Memory(slots=1), **fields)  # type: ignore[arg-type]


def depolarised(rho: np.ndarray, probability: float) -> np.ndarray:
    return (1 - probability) * rho + probability * np.eye(len(rho)) / len(rho)


@pytest.mark.parametrize(("count", "probability"), [(1, 0.02), (2, 0.05), (3, 0.05)])
def test_gates_depolarise_their_qubits(count: int, probability: float) -> None:
    rng = np.random.default_rng(count)
    ket = rng.normal(size=1 << count) + 1j * rng.normal(size=1 << count)
    ket /= np.linalg.norm(ket)
    names = tuple("abc"[:count])
    registers = Registers(max_register_bytes=1 << 20)
    registers.insert(names, ket)
    device = hardware(single_qubit_gate_depolarising_probability=0.02, two_qubit_gate_depolarising_probability=0.05)
    noise.after_gate(registers, device, names)
    expected = depolarised(np.outer(ket, ket.conj()), probability)
    np.testing.assert_allclose(registers.reduced(names), expected, atol=1e-12)


def test_moving_depolarises_and_initialising_flips() -> None:
    registers = Registers(max_register_bytes=1 << 20)
    registers.prepare("a")
    noise.after_initialise(registers, hardware(initial_state_error=0.03), "a")
    np.testing.assert_allclose(registers.reduced("a"), np.diag([0.97, 0.03]), atol=1e-12)
    noise.after_move(registers, hardware(move_depolarising_probability=0.2), "a")
    np.testing.assert_allclose(registers.reduced("a"), depolarised(np.diag([0.97, 0.03]), 0.2), atol=1e-12)


def test_readout_flips_each_bit_by_its_own_error() -> None:
    device = hardware(readout_error_0=0.1, readout_error_1=0.3)
    for bit, draw in itertools.product((0, 1), (0.0, 0.0999, 0.1, 0.2999, 0.3, 0.9)):
        assert noise.read_out(device, bit, draw) == bit ^ (draw < (0.3 if bit else 0.1))
    assert [noise.read_out(hardware(), bit, 0.0) for bit in (0, 1)] == [0, 1]


def test_a_sent_qubit_survives_coupling_and_fibre() -> None:
    link = Link(ends=("a", "b"), length_km=25, transmission=Transmission(coupling_efficiency=0.8))
    assert noise.transmission_survival_probability(link) == pytest.approx(0.8 * 0.31622776601683794, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("transmission", "expected"),
    [
        (Transmission(), GENERIC),
        (Transmission(depolarising_probability=0.3), depolarised(GENERIC, 0.3)),
        (Transmission(dephasing_probability=0.2), GENERIC * [[1, 0.6], [0.6, 1]]),
        (
            Transmission(amplitude_damping=0.19),
            [[0.3 + 0.19 * 0.7, GENERIC[0, 1] * 0.9], [GENERIC[1, 0] * 0.9, 0.7 * 0.81]],
        ),
        (
            Transmission(pauli_probabilities=(0.1, 0.2, 0.3)),
            # <X> 0.4 shrinks by 1 - 2(py + pz), <Y> 0.2 by 1 - 2(px + pz), <Z> -0.4 by 1 - 2(px + py)
            [[0.5 - 0.2 * 0.4, 0.2 * 0.0 - 0.1j * 0.2], [0.2 * 0.0 + 0.1j * 0.2, 0.5 + 0.2 * 0.4]],
        ),
    ],
)
def test_noise_of_a_transmission(transmission: Transmission, expected: np.ndarray) -> None:
    registers = Registers(max_register_bytes=1 << 20)
    registers.insert(("a",), GENERIC)
    noise.transmit_noise(registers, transmission, "a")
    np.testing.assert_allclose(registers.reduced("a"), expected, atol=1e-12)


def test_damping_in_a_fibre_comes_before_depolarisation() -> None:
    registers = Registers(max_register_bytes=1 << 20)
    registers.insert(("a",), np.diag([0.0, 1.0]))
    noise.transmit_noise(registers, Transmission(amplitude_damping=1.0, depolarising_probability=0.5), "a")
    np.testing.assert_allclose(registers.reduced("a"), np.diag([0.75, 0.25]), atol=1e-12)
