"""Registers against plain QuTiP on the whole state, and against the closed forms of protocols done with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.fabric.gates import axis, gate
from orchestrator.fabric.registers import (
    QubitExists,
    Registers,
    RegisterTooLarge,
    StateShape,
    UnknownQubit,
)

PAULIS = (qutip.qeye(2), qutip.sigmax(), qutip.sigmay(), qutip.sigmaz())
BELL = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]]) / math.sqrt(2)
Z, X, Y = axis("Z"), axis("X"), axis("Y")


def registers() -> Registers:
    return Registers(max_register_bytes=1 << 24)


def bell_diagonal(weights: Sequence[float]) -> np.ndarray:
    """Weights in the order Phi+, Phi-, Psi+, Psi-."""
    return np.einsum("k,ki,kj->ij", np.asarray(weights), BELL, BELL).astype(complex)


def werner(fidelity: float) -> np.ndarray:
    return bell_diagonal([fidelity] + [(1 - fidelity) / 3] * 3)


def bell_spectrum(rho: np.ndarray) -> np.ndarray:
    return np.einsum("ki,ij,kj->k", BELL, rho, BELL).real


def random_unitary(size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix, upper = np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))
    return matrix * (np.diag(upper) / np.abs(np.diag(upper)))


def random_state(size: int, seed: int, *, mixed: bool) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    if not mixed:
        return matrix[0] / np.linalg.norm(matrix[0])
    return matrix @ matrix.conj().T / np.trace(matrix @ matrix.conj().T)


class Plain:
    """The same operations on one QuTiP density matrix of all qubits, with expanded operators and Kraus sums."""

    def __init__(self, names: Sequence[str], rho: qutip.Qobj) -> None:
        self.names = list(names)
        self.rho = rho

    def expanded(self, operator: np.ndarray, qubits: Sequence[str]) -> qutip.Qobj:
        others = [name for name in self.names if name not in qubits]
        small = qutip.Qobj(operator, dims=[[2] * len(qubits)] * 2)
        grown = qutip.tensor(small, *[qutip.qeye(2)] * len(others))
        order = [*qubits, *others]
        return grown.permute([order.index(name) for name in self.names])

    def kraus(self, operators: Sequence[np.ndarray], qubits: Sequence[str]) -> None:
        grown = [self.expanded(operator, qubits) for operator in operators]
        terms = [operator * self.rho * operator.dag() for operator in grown]
        self.rho = sum(terms[1:], start=terms[0])

    def collapse(self, projectors: Sequence[np.ndarray], qubits: Sequence[str], draw: float) -> int:
        """Which projector is found; the qubits are traced out."""
        grown = [self.expanded(projector, qubits) for projector in projectors]
        weights = [(projector * self.rho).tr().real for projector in grown]
        found = int(np.searchsorted(np.cumsum(weights), draw, side="right"))
        self.rho = grown[found] * self.rho * grown[found].dag() / weights[found]
        self.drop(qubits)
        return found

    def drop(self, qubits: Sequence[str]) -> None:
        kept = [index for index, name in enumerate(self.names) if name not in qubits]
        self.names = [self.names[index] for index in kept]
        if kept:
            self.rho = self.rho.ptrace(kept)


def damping(gamma: float) -> list[np.ndarray]:
    return [np.array([[1, 0], [0, math.sqrt(1 - gamma)]]), np.array([[0, math.sqrt(gamma)], [0, 0]])]


def thermal(gamma: float, excited: float) -> list[np.ndarray]:
    """Generalised amplitude damping, Nielsen and Chuang 2000, eq. 8.115-8.119."""
    down = [math.sqrt(1 - excited) * operator for operator in damping(gamma)]
    up = [math.sqrt(excited) * np.flip(operator) for operator in damping(gamma)]
    return down + up


def pauli_kraus(x: float, y: float, z: float) -> list[np.ndarray]:
    weights = (1 - x - y - z, x, y, z)
    return [math.sqrt(weight) * pauli.full() for weight, pauli in zip(weights, PAULIS, strict=True)]


def depolarising(count: int, probability: float) -> list[np.ndarray]:
    size = 4**count
    operators = []
    for index, factors in enumerate(itertools.product(PAULIS, repeat=count)):
        weight = 1 - probability * (size - 1) / size if index == 0 else probability / size
        operators.append(math.sqrt(weight) * qutip.tensor(*factors).full())
    return operators


seeds = st.integers(0, 2**32 - 1)
chances = st.floats(0.0, 1.0)
draws = seeds.map(lambda seed: float(np.random.default_rng(seed).random()))
"""Generic numbers: at the very edge between two outcomes, rounding decides."""
steps = st.one_of(
    st.tuples(st.just("unitary"), st.integers(1, 3), seeds),
    st.tuples(st.just("damp"), chances),
    st.tuples(st.just("thermal"), chances, chances),
    st.tuples(st.just("dephase"), chances),
    st.tuples(st.just("pauli"), seeds),
    st.tuples(st.just("depolarise"), st.integers(1, 3), chances),
    st.tuples(st.just("measure"), seeds, draws),
    st.tuples(st.just("bell"), draws),
    st.tuples(st.just("discard")),
)


def do(step: tuple, both: tuple[Registers, Plain], order: list[str]) -> None:  # type: ignore[type-arg]
    """One step on both; ``order`` says which qubits it takes."""
    state, plain = both
    match step:
        case ("unitary", count, seed):
            qubits = order[:count]
            unitary = random_unitary(1 << len(qubits), seed)
            state.apply(unitary, qubits)
            plain.kraus([unitary], qubits)
        case ("damp", gamma):
            state.damp(order[0], gamma)
            plain.kraus(damping(gamma), order[:1])
        case ("thermal", gamma, excited):
            coherence = math.sqrt(1 - gamma)
            state.relax(order[0], gamma=gamma, coherence=coherence, excited_population=excited)
            plain.kraus(thermal(gamma, excited), order[:1])
        case ("dephase", probability):
            state.dephase(order[0], probability)
            plain.kraus(pauli_kraus(0, 0, probability), order[:1])
        case ("pauli", seed):
            x, y, z, _ = np.random.default_rng(seed).dirichlet(np.ones(4))
            state.pauli(order[0], x, y, z)
            plain.kraus(pauli_kraus(x, y, z), order[:1])
        case ("depolarise", count, probability):
            qubits = order[:count]
            state.depolarise(qubits, probability)
            plain.kraus(depolarising(len(qubits), probability), qubits)
        case ("measure", seed, draw):
            named = [Z, X, Y, axis("-Z"), axis("-X")]
            vector = np.random.default_rng(seed).normal(size=3)
            chosen = named[seed % 10] if seed % 10 < 5 else axis(tuple(vector))
            spin = sum(part * pauli.full() for part, pauli in zip(chosen, PAULIS[1:], strict=True))
            projectors = [(np.eye(2) + spin) / 2, (np.eye(2) - spin) / 2]
            assert state.measure(order[0], chosen, draw) == plain.collapse(projectors, order[:1], draw)
        case ("bell", draw) if len(order) > 1:
            found = state.measure_bell(order[0], order[1], draw)
            projectors = [np.outer(ket, ket) for ket in BELL]
            assert 2 * found[0] + found[1] == plain.collapse(projectors, order[:2], draw)
        case ("discard",):
            state.discard(order[0])
            plain.drop(order[:1])


@given(
    parts=st.lists(st.tuples(st.integers(1, 2), st.booleans(), seeds), min_size=1, max_size=3),
    circuit=st.lists(st.tuples(steps, seeds), min_size=3, max_size=8),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_circuit_agrees_with_plain_qutip(
    parts: list[tuple[int, bool, int]],
    circuit: list[tuple[tuple, int]],  # type: ignore[type-arg]
) -> None:
    state, names, factors = registers(), [], []
    for number, (count, mixed, seed) in enumerate(parts):
        qubits = [f"q{number}{letter}" for letter in "ab"[:count]]
        array = random_state(1 << count, seed, mixed=mixed)
        state.insert(qubits, array)
        names += qubits
        factors.append(qutip.Qobj(array if mixed else np.outer(array, array.conj()), dims=[[2] * count] * 2))
    plain = Plain(names, qutip.tensor(*factors))
    for step, seed in circuit:
        if not plain.names:
            break
        order = [plain.names[index] for index in np.random.default_rng(seed).permutation(len(plain.names))]
        do(step, (state, plain), order)
    for name in names:
        assert (name in state) == (name in plain.names)
    if plain.names:
        np.testing.assert_allclose(state.reduced(plain.names), plain.rho.full(), atol=1e-9)
        backwards = plain.names[::-1]
        expected = plain.rho.permute(list(range(len(backwards)))[::-1]).full()
        np.testing.assert_allclose(state.reduced(backwards), expected, atol=1e-9)
        part = plain.names[::2]
        kept = plain.rho.ptrace([plain.names.index(name) for name in part]).full()
        np.testing.assert_allclose(state.reduced(part), kept, atol=1e-9)
    else:
        assert state.register_count == 0


EACH_STEP = [
    ("unitary", 1, 5),
    ("unitary", 2, 6),
    ("unitary", 3, 7),
    ("damp", 0.3),
    ("thermal", 0.4, 0.2),
    ("dephase", 0.15),
    ("pauli", 8),
    ("depolarise", 1, 0.2),
    ("depolarise", 2, 0.3),
    ("depolarise", 3, 0.4),
    *[("measure", seed, draw) for seed in (0, 1, 2, 3, 4, 5, 6, 17) for draw in (0.02, 0.98)],
    *[("bell", draw) for draw in (0.01, 0.3, 0.6, 0.99)],
    ("discard",),
]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("step", EACH_STEP, ids=str)
def test_each_step_on_every_choice_of_qubits(step: tuple, together: bool, mixed: bool) -> None:  # type: ignore[type-arg]
    """Four qubits, entangled in one register or in two."""
    names = ["a", "b", "c", "d"]
    for order in itertools.permutations(names):
        state = registers()
        parts = [names] if together else [names[:2], names[2:]]
        arrays = [random_state(1 << len(part), 3 + index, mixed=mixed) for index, part in enumerate(parts)]
        factors = []
        for part, array in zip(parts, arrays, strict=True):
            state.insert(part, array)
            density = array if mixed else np.outer(array, array.conj())
            factors.append(qutip.Qobj(density, dims=[[2] * len(part)] * 2))
        plain = Plain(names, qutip.tensor(*factors))
        do(step, (state, plain), list(order))
        np.testing.assert_allclose(state.reduced(plain.names), plain.rho.full(), atol=1e-12)


def test_large_registers_take_the_same_kernels_as_small_ones() -> None:
    """A GHZ state of 12 qubits as a ket and of 7 as a density matrix; the state is known in closed form."""
    for count, mixed in ((12, False), (7, True)):
        state = registers()
        names = [f"q{index}" for index in range(count)]
        for name in names:
            state.prepare(name)
        state.apply(gate("H"), names[:1])
        if mixed:
            state.dephase(names[0], 0.1)
        for pair in itertools.pairwise(names):
            state.apply(gate("CX"), pair)
        for name in names:  # X on every qubit leaves it, by way of H Z H
            for word in ("H", "Z", "H"):
                state.apply(gate(word), (name,))
        assert state.is_pure(names[0]) is not mixed
        end = (1 << count) - 1
        whole = state.state(names).full()
        density = whole if mixed else whole @ whole.conj().T if count < 8 else None
        if density is None:
            np.testing.assert_allclose(abs(whole[[0, end], 0]), math.sqrt(0.5), atol=1e-12)
            assert np.linalg.norm(whole) == pytest.approx(1, abs=1e-12)
        else:
            assert density[0, end] == pytest.approx(0.4, abs=1e-12)
            assert density[0, 0] == pytest.approx(0.5, abs=1e-12)
            assert density[end, end] == pytest.approx(0.5, abs=1e-12)
        outcomes = {state.measure(name, Z, 0.7) for name in names}
        assert outcomes == {1}
        assert state.register_count == 0


@pytest.mark.parametrize(("count", "mixed"), [(12, False), (7, True)])
def test_a_gate_on_any_position_of_a_large_register(count: int, mixed: bool) -> None:
    """A product of random qubits held in one register: the gate turns its own qubit and no other."""
    names = [f"q{index}" for index in range(count)]
    kets = [random_state(2, index, mixed=False) for index in range(count)]
    whole = kets[0]
    for ket in kets[1:]:
        whole = np.kron(whole, ket)
    state = registers()
    state.insert(names, np.outer(whole, whole.conj()) if mixed else whole)
    for index, name in enumerate(names):
        unitary = random_unitary(2, index)
        state.apply(unitary, (name,))
        kets[index] = unitary @ kets[index]
    for ket, name in zip(kets, names, strict=True):
        np.testing.assert_allclose(state.reduced((name,)), np.outer(ket, ket.conj()), atol=1e-12)
    assert state.register_count == 1


def test_registers_merge_and_split() -> None:
    state = registers()
    state.insert(("a", "b"), BELL[0])
    state.insert(("c", "d"), BELL[0])
    assert state.register_count == 2
    state.apply(gate("CX"), ("b", "c"))
    assert state.register_count == 1
    assert state.qubits_with("d") == ("a", "b", "c", "d")
    assert state.is_pure("a")
    ket = state.state(("a", "b", "c", "d"))
    assert ket.isket
    assert ket.dims == [[2, 2, 2, 2], [1]]
    assert state.state(("d", "a")).dims == [[2, 2], [2, 2]]
    state.damp("a", 0.25)
    assert not state.is_pure("d")
    for qubit in "abcd":
        assert qubit in state
        state.measure(qubit, Z, 0.3)
        assert qubit not in state
    assert state.register_count == 0


def test_what_is_handed_out_is_a_copy() -> None:
    state = registers()
    template = werner(0.9)
    state.insert(("a", "b"), template)
    state.state(("a", "b")).data.as_ndarray()[...] = 0
    state.reduced(("a", "b"))[...] = 0
    state.apply(gate("X"), ("a",))
    np.testing.assert_allclose(template, werner(0.9), atol=0)
    np.testing.assert_allclose(bell_spectrum(state.reduced(("a", "b"))), [0.1 / 3, 0.1 / 3, 0.9, 0.1 / 3], atol=1e-12)


def test_noise_of_zero_leaves_a_ket() -> None:
    state = registers()
    state.insert(("a", "b"), BELL[0])
    state.relax("a", gamma=0.0, coherence=1.0)
    state.damp("a", 0.0)
    state.dephase("a", 0.0)
    state.pauli("a", 0.0, 0.0, 0.0)
    state.depolarise(("a",), 0.0)
    state.depolarise(("a", "b"), 0.0)
    assert state.is_pure("a")


def test_discarding_half_of_a_pair_mixes_the_rest_and_half_of_a_product_does_not() -> None:
    state = registers()
    state.insert(("a", "b"), BELL[3])
    state.discard("a")
    np.testing.assert_allclose(state.reduced(("b",)), np.eye(2) / 2, atol=1e-12)
    assert not state.is_pure("b")
    for thrown in ([0.6, 0.8j], [1, 0], [0, 1]):
        state.insert(("c", "d"), np.kron(thrown, [math.sqrt(0.5), -math.sqrt(0.5)]))
        state.discard("c")
        assert state.is_pure("d")
        np.testing.assert_allclose(state.reduced(("d",)), [[0.5, -0.5], [-0.5, 0.5]], atol=1e-12)
        state.discard("d")


@pytest.mark.parametrize(("name", "bit_at_0"), [("Z", 0), ("-Z", 1)])
def test_a_certain_outcome_is_found_whatever_the_draw(name: str, bit_at_0: int) -> None:
    for draw in (0.0, 0.5, math.nextafter(1.0, 0.0)):
        state = registers()
        state.prepare("a")
        state.apply(gate("RX", (1e-9,)), ("a",))  # p1 = 2.5e-19: rounding, not chance
        assert state.measure("a", axis(name), draw) == bit_at_0


def test_measurement_draws_the_outcome_below_its_probability() -> None:
    for draw, expected in ((0.0, 0), (0.2499, 0), (0.2501, 1), (0.9999, 1)):
        state = registers()
        state.prepare("a")
        state.apply(gate("RY", (2 * math.acos(0.5),)), ("a",))
        assert state.measure("a", Z, draw) == expected


# refusals


def snapshot(state: Registers) -> tuple[int, list[np.ndarray]]:
    return state.register_count, [state.reduced(("a", "b")), state.reduced(("c",))]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("draw", [0.0, 0.999999])
def test_a_measurement_in_place_projects_onto_its_axis(draw: float, mixed: bool) -> None:
    for seed in range(6):
        direction = np.random.default_rng(seed).normal(size=3)
        direction = tuple(direction / np.linalg.norm(direction))
        state = random_state(8, seed, mixed=mixed)
        density = state if mixed else np.outer(state, state.conj())
        ours = registers()
        ours.insert(("a", "b", "c"), state)
        bit = ours.measure_in_place("b", direction, draw)
        spin = sum(each * pauli.full() for each, pauli in zip(direction, PAULIS[1:], strict=True))
        projector = np.kron(np.kron(np.eye(2), (np.eye(2) + (-1) ** bit * spin) / 2), np.eye(2))
        projected = projector @ density @ projector
        assert bit == (draw > 0.5)
        np.testing.assert_allclose(ours.reduced(("a", "b", "c")), projected / np.trace(projected), atol=1e-12)
        assert ours.measure_in_place("b", direction, 0.5) == bit


def test_what_cannot_be_done_changes_nothing() -> None:
    state = Registers(max_register_bytes=16 * 4**2)
    state.insert(("a", "b"), werner(0.8))
    state.prepare("c")
    before = snapshot(state)
    refused = [
        (UnknownQubit, "'ghost'", lambda: state.apply(gate("CX"), ("a", "ghost"))),
        (UnknownQubit, "'ghost'", lambda: state.apply(gate("CX"), ("ghost", "a"))),
        (UnknownQubit, "'ghost'", lambda: state.measure("ghost", Z, 0.5)),
        (UnknownQubit, "'ghost'", lambda: state.measure_bell("c", "ghost", 0.5)),
        (UnknownQubit, "'ghost'", lambda: state.discard("ghost")),
        (UnknownQubit, "'ghost'", lambda: state.relax("ghost", gamma=0.0, coherence=1.0)),
        (UnknownQubit, "'ghost'", lambda: state.damp("ghost", 0.1)),
        (UnknownQubit, "'ghost'", lambda: state.pauli("ghost", 0.1, 0.1, 0.1)),
        (UnknownQubit, "'ghost'", lambda: state.depolarise(("a", "ghost"), 0.0)),
        (UnknownQubit, "'ghost'", lambda: state.depolarise(("c", "ghost"), 0.1)),
        (UnknownQubit, "'ghost'", lambda: state.reduced(("a", "ghost"))),
        (UnknownQubit, "'ghost'", lambda: state.state(("ghost",))),
        (UnknownQubit, "'ghost'", lambda: state.is_pure("ghost")),
        (UnknownQubit, "'ghost'", lambda: state.qubits_with("ghost")),
        (QubitExists, "'a' exists already", lambda: state.insert(("d", "a"), BELL[0])),
        (QubitExists, "'c' exists already", lambda: state.prepare("c")),
        (QubitExists, "twice", lambda: state.insert(("d", "d"), BELL[0])),
        (QubitExists, "different qubits", lambda: state.apply(gate("CX"), ("c", "c"))),
        (QubitExists, "different qubits", lambda: state.measure_bell("c", "c", 0.5)),
        (QubitExists, "different qubits", lambda: state.reduced(("a", "a"))),
        (StateShape, r"\(4,\).*got \(3,\)", lambda: state.insert(("d", "e"), np.ones(3))),
        (StateShape, r"got \(4, 2\)", lambda: state.insert(("d", "e"), np.ones((4, 2)))),
        (StateShape, r"on 1 qubits .* \(4, 4\)", lambda: state.apply(gate("CX"), ("c",))),
        (RegisterTooLarge, "3 qubits .* need 1 KiB, the limit is 256 B", lambda: state.apply(gate("CX"), ("b", "c"))),
        (RegisterTooLarge, "density matrix", lambda: state.measure_bell("b", "c", 0.5)),
        (RegisterTooLarge, "register_bytes", lambda: state.depolarise(("b", "c"), 0.5)),
        (RegisterTooLarge, "measure some first", lambda: state.insert("defgh", np.ones(32))),
    ]
    for error, words, ask in refused:
        with pytest.raises(error, match=words):
            ask()
        count, reduced = snapshot(state)
        assert count == before[0]
        assert "d" not in state
        for now, then in zip(reduced, before[1], strict=True):
            np.testing.assert_array_equal(now, then)


def test_a_ket_too_large_to_be_mixed_stays_pure() -> None:
    state = Registers(max_register_bytes=16 * 2**6)
    state.insert("abcdef", np.eye(64)[0])
    with pytest.raises(RegisterTooLarge, match="6 qubits in one register as a density matrix need 64 KiB"):
        state.dephase("a", 0.1)
    assert state.is_pure("a")
    assert state.measure("a", Z, 0.9) == 0


def test_twenty_qubits_are_refused_as_a_density_matrix_before_memory_is_asked_for() -> None:
    state = Registers(max_register_bytes=1 << 29)
    for index in range(20):
        state.prepare(f"q{index}")
    state.apply(gate("H"), ("q0",))
    for index in range(19):
        state.apply(gate("CX"), (f"q{index}", f"q{index + 1}"))
    with pytest.raises(RegisterTooLarge, match=r"20 qubits .* need 16 TiB, the limit is 512 MiB"):
        state.damp("q3", 1e-3)
    with pytest.raises(RegisterTooLarge, match="19 qubits"):
        state.discard("q3")
    np.testing.assert_allclose(state.reduced(("q0", "q19")), np.diag([0.5, 0, 0, 0.5]), atol=1e-12)


# protocols


def middle_of(outcome: int) -> float:
    """A draw that picks this one of four equally likely outcomes."""
    return (outcome + 0.5) / 4


@pytest.mark.parametrize("outcome", range(4))
@pytest.mark.parametrize(("first", "second"), list(itertools.product(range(4), repeat=2)))
def test_a_swap_adds_bell_indices(first: int, second: int, outcome: int) -> None:
    state = registers()
    state.insert(("a", "r1"), BELL[first])
    state.insert(("r2", "b"), BELL[second])
    x, z = state.measure_bell("r1", "r2", middle_of(outcome))
    assert 2 * x + z == outcome
    expected = np.zeros(4)
    expected[first ^ second ^ outcome] = 1.0
    np.testing.assert_allclose(bell_spectrum(state.reduced(("a", "b"))), expected, atol=1e-12)


@pytest.mark.parametrize(("f1", "f2"), [(0.9, 0.9), (0.95, 0.8), (0.7, 0.7), (0.83, 0.31)])
@pytest.mark.parametrize("outcome", range(4))
def test_werner_swap(f1: float, f2: float, outcome: int) -> None:
    """F = F1 F2 + (1 - F1)(1 - F2)/3 (Briegel et al. 1998)."""
    state = registers()
    state.insert(("a", "r1"), werner(f1))
    state.insert(("r2", "b"), werner(f2))
    state.measure_bell("r1", "r2", middle_of(outcome))
    spectrum = bell_spectrum(state.reduced(("a", "b")))
    assert spectrum[outcome] == pytest.approx(f1 * f2 + (1 - f1) * (1 - f2) / 3, abs=1e-9)


@pytest.mark.parametrize("outcome", range(4))
def test_bell_diagonal_swap_is_a_convolution(outcome: int) -> None:
    # the oracle's order is Phi+, Psi-, Psi+, Phi-; ours Phi+, Phi-, Psi+, Psi-
    p, q, expected = (
        (v[0], v[3], v[2], v[1])
        for v in ((0.8, 0.05, 0.1, 0.05), (0.7, 0.1, 0.15, 0.05), (0.5825, 0.1275, 0.1975, 0.0925))
    )
    state = registers()
    state.insert(("a", "r1"), bell_diagonal(p))
    state.insert(("r2", "b"), bell_diagonal(q))
    state.measure_bell("r1", "r2", middle_of(outcome))
    spectrum = bell_spectrum(state.reduced(("a", "b")))
    np.testing.assert_allclose([spectrum[index ^ outcome] for index in range(4)], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [(2, 0.8339155168), (3, 0.7374876336144617), (4, 0.6573151222636313), (8, 0.45005729487544605)],
)
def test_a_noisy_chain_without_twirling(segments: int, expected: float) -> None:
    """Oracle 4.5: Werner pairs of 0.95; at each swap two-qubit and one-qubit depolarisation and wrongly read bits."""
    one_qubit, two_qubit, read = 0.99, 0.98, 0.97
    pair = werner(0.95)
    for _ in range(segments - 1):
        state = registers()
        state.insert(("a", "r1"), pair)
        state.insert(("r2", "b"), werner(0.95))
        state.depolarise(("r1", "r2"), 1 - two_qubit)
        x, z = state.measure_bell("r1", "r2", 0.1)
        assert (x, z) == (0, 0)
        state.depolarise(("b",), 1 - one_qubit)
        state.pauli("b", read * (1 - read), (1 - read) ** 2, read * (1 - read))
        pair = state.reduced(("a", "b"))
    assert bell_spectrum(pair)[0] == pytest.approx(expected, abs=1e-9)


INPUTS = {
    "0": (1, 0),
    "1": (0, 1),
    "+": (math.sqrt(0.5), math.sqrt(0.5)),
    "-": (math.sqrt(0.5), -math.sqrt(0.5)),
    "+i": (math.sqrt(0.5), 1j * math.sqrt(0.5)),
    "-i": (math.sqrt(0.5), -1j * math.sqrt(0.5)),
}


@pytest.mark.parametrize("fidelity", [1.0, 0.9, 0.8, 0.5])
def test_teleportation_by_every_outcome(fidelity: float) -> None:
    """(2F + 1)/3 over six inputs (Horodecki 1999), X^x Z^z applied at the far end, all outcomes equally likely."""
    total = 0.0
    for ket, outcome in itertools.product(INPUTS.values(), range(4)):
        state = registers()
        state.insert(("in",), np.array(ket))
        state.insert(("here", "there"), werner(fidelity))
        x, z = state.measure_bell("in", "here", middle_of(outcome))
        assert 2 * x + z == outcome
        for bit, word in ((x, "X"), (z, "Z")):
            if bit:
                state.apply(gate(word), ("there",))
        overlap = (np.conj(ket) @ state.reduced(("there",)) @ np.array(ket)).real
        assert fidelity < 1.0 or overlap == pytest.approx(1.0, abs=1e-12)
        total += overlap / 24
    assert total == pytest.approx((2 * fidelity + 1) / 3, abs=1e-9)


@pytest.mark.parametrize("fidelity", [1.0, 0.95, 0.8])
def test_superdense_coding(fidelity: float) -> None:
    """Two bits are read with probability F (Bennett and Wiesner 1992; Bowen 2001)."""
    for x, z in itertools.product((0, 1), repeat=2):
        state = registers()
        state.insert(("a", "b"), werner(fidelity))
        if z:
            state.apply(gate("Z"), ("a",))
        if x:
            state.apply(gate("X"), ("a",))
        spectrum = bell_spectrum(state.reduced(("a", "b")))
        assert spectrum[2 * x + z] == pytest.approx(fidelity, abs=1e-12)
        draw = sum(spectrum[: 2 * x + z]) + fidelity / 2
        assert state.measure_bell("a", "b", draw) == (x, z)


@pytest.mark.parametrize("visibility", [1.0, 0.9, 0.5])
def test_ghz_state_violates_mermins_inequality(visibility: float) -> None:
    """M = XXX - XYY - YXY - YYX = 4v on a GHZ state of visibility v (Mermin 1990)."""
    names = ("a", "b", "c")
    total = 0.0
    for signs, setting in ((1, "XXX"), (-1, "XYY"), (-1, "YXY"), (-1, "YYX")):
        for outcomes in itertools.product((0, 1), repeat=3):
            state = registers()
            for name in names:
                state.prepare(name)
            state.apply(gate("H"), ("a",))
            state.apply(gate("CX"), ("a", "b"))
            state.apply(gate("CX"), ("b", "c"))
            state.depolarise(names, 1 - visibility)
            chance = 1.0
            for name, letter, outcome in zip(names, setting, outcomes, strict=True):
                if chance == 0.0:
                    break
                spin = PAULIS["IXYZ".index(letter)].full()
                zero = (1 + np.trace(state.reduced((name,)) @ spin).real) / 2
                likely = zero if outcome == 0 else 1 - zero
                chance = chance * likely if likely > 1e-9 else 0.0
                if chance:
                    assert state.measure(name, axis(letter), 0.0 if outcome == 0 else 1 - 1e-12) == outcome
            total += signs * (-1) ** sum(outcomes) * chance
    assert total == pytest.approx(4 * visibility, abs=1e-9)


def purified(pairs: tuple[np.ndarray, np.ndarray], *, rotated: bool) -> tuple[np.ndarray, float]:
    """Bell spectrum and probability of a kept pair: bilateral CX, target measured in Z, kept if the bits agree."""
    kept, probability = np.zeros(4), 0.0
    for bit in (0, 1):
        state = registers()
        state.insert(("a1", "b1"), pairs[0])
        state.insert(("a2", "b2"), pairs[1])
        if rotated:
            for name in ("a1", "a2"):
                state.apply(gate("RX", (math.pi / 2,)), (name,))
            for name in ("b1", "b2"):
                state.apply(gate("RX", (-math.pi / 2,)), (name,))
        state.apply(gate("CX"), ("a1", "a2"))
        state.apply(gate("CX"), ("b1", "b2"))
        chance = state.reduced(("a2", "b2"))[3 * bit, 3 * bit].real
        draw = 0.0 if bit == 0 else 1 - 1e-12
        assert state.measure("a2", Z, draw) == state.measure("b2", Z, draw) == bit
        kept += chance * bell_spectrum(state.reduced(("a1", "b1")))
        probability += chance
    return kept / probability, probability


@pytest.mark.parametrize(
    ("fidelity", "expected", "chance"),
    [(0.6, 0.6204379562043795, 0.6088888888888889), (0.9, 0.9263959390862945, 0.8755555555555555)],
)
def test_bbpssw(fidelity: float, expected: float, chance: float) -> None:
    """Bennett et al. 1996 PRL 76 722."""
    spectrum, probability = purified((werner(fidelity), werner(fidelity)), rotated=False)
    assert (spectrum[0], probability) == pytest.approx((expected, chance), abs=1e-9)


@pytest.mark.parametrize("weights", [(0.7, 0.1, 0.1, 0.1), (0.8, 0.05, 0.1, 0.05), (0.8, 0, 0, 0.2), (0.8, 0.2, 0, 0)])
def test_dejmps(weights: tuple[float, ...]) -> None:
    """Deutsch et al. 1996 PRL 77 2818, in its order Phi+, Psi-, Psi+, Phi-."""
    a, b, c, d = weights
    pair = bell_diagonal((a, d, c, b))
    spectrum, probability = purified((pair, pair), rotated=True)
    norm = (a + b) ** 2 + (c + d) ** 2
    expected = np.array([a * a + b * b, 2 * a * b, c * c + d * d, 2 * c * d]) / norm
    assert probability == pytest.approx(norm, abs=1e-9)
    np.testing.assert_allclose(spectrum, expected, atol=1e-9)


@pytest.mark.parametrize("fidelity", [1.0, 0.9, 0.8])
def test_distributed_cnot_has_the_pairs_fidelity(fidelity: float) -> None:
    """Eisert et al. 2000 PRA 62 052317: process fidelity F, from the Choi state of the remote gate."""
    ideal = registers()
    ideal.insert(("rc", "c"), BELL[0])
    ideal.insert(("rt", "t"), BELL[0])
    ideal.apply(gate("CX"), ("c", "t"))
    target = ideal.reduced(("rc", "c", "rt", "t"))
    total = 0.0
    for first, second in itertools.product((0, 1), repeat=2):
        state = registers()
        state.insert(("rc", "c"), BELL[0])
        state.insert(("rt", "t"), BELL[0])
        state.insert(("e1", "e2"), werner(fidelity))
        state.apply(gate("CX"), ("c", "e1"))
        if state.measure("e1", Z, 0.25 + 0.5 * first):
            state.apply(gate("X"), ("e2",))
        state.apply(gate("CX"), ("e2", "t"))
        if state.measure("e2", X, 0.25 + 0.5 * second):
            state.apply(gate("Z"), ("c",))
        total += np.trace(target @ state.reduced(("rc", "c", "rt", "t"))).real / 4
    assert total == pytest.approx(fidelity, abs=1e-9)


def test_no_signalling() -> None:
    """Nothing done at one end changes the other end's state while the outcome is unknown there."""
    pair = random_state(4, 7, mixed=True)
    before = pair.reshape(2, 2, 2, 2).trace(axis1=0, axis2=2)

    def after(act: str) -> np.ndarray:
        state = registers()
        state.insert(("a", "b"), pair)
        match act:
            case "unitary":
                state.apply(random_unitary(2, 3), ("a",))
            case "joint":
                state.prepare("c")
                state.apply(random_unitary(4, 5), ("c", "a"))
            case "relax":
                state.relax("a", gamma=0.3, coherence=0.4, excited_population=0.5)
            case "pauli":
                state.pauli("a", 0.1, 0.2, 0.3)
            case "depolarise":
                state.depolarise(("a",), 0.6)
            case "discard":
                state.discard("a")
        return state.reduced(("b",))

    for act in ("unitary", "joint", "relax", "pauli", "depolarise", "discard"):
        np.testing.assert_allclose(after(act), before, atol=1e-12)
    for vector in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (1.0, 2.0, -3.0)):
        chosen = axis(vector)
        spin = sum(part * pauli.full() for part, pauli in zip(chosen, PAULIS[1:], strict=True))
        mean = np.zeros((2, 2), dtype=complex)
        for outcome, draw in ((0, 0.0), (1, 1 - 1e-12)):
            state = registers()
            state.insert(("a", "b"), pair)
            zero = (1 + np.trace(state.reduced(("a",)) @ spin).real) / 2
            assert state.measure("a", chosen, draw) == outcome
            mean += (zero if outcome == 0 else 1 - zero) * state.reduced(("b",))
        np.testing.assert_allclose(mean, before, atol=1e-12)


def test_sampled_outcomes_follow_born() -> None:
    count, seed, chance = 20_000, 4242, math.cos(0.6) ** 2
    draws = np.random.Generator(np.random.Philox(seed)).random(count)
    zeros = 0
    for draw in draws:
        state = registers()
        state.prepare("a")
        state.apply(gate("RY", (1.2,)), ("a",))
        zeros += 1 - state.measure("a", Z, float(draw))
    assert abs(zeros / count - chance) <= 4.5 * math.sqrt(chance * (1 - chance) / count), f"seed {seed}"
