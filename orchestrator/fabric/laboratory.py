"""Qubits as they truly are: who owns each, where it lies, how it has decayed; and what is done to it, with all noise.

Ownership: a qubit has one owner. An operation that names another's, an ended or an unknown qubit is refused by name,
before anything is changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.fabric import gates, noise
from orchestrator.fabric.memories import NodeMemories
from orchestrator.fabric.registers import Registers, RegisterTooLarge
from orchestrator.fabric.streams import Streams
from orchestrator.scenario import Transmission
from orchestrator.scenario.hardware import Hardware
from qnode.wire.quantum import (
    Discard,
    Gate,
    Measure,
    MeasureBell,
    MeasureInPlace,
    Move,
    Prepare,
    Role,
    Step,
    Unitary,
)

MOST_SEEN = 8
"""Qubits of one look: a matrix of 1 MiB."""


class OperationRefused(Exception):
    """The fabric will not do an operation; nothing was changed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class MeasurementInconclusive(OperationRefused):
    """A Bell measurement told nothing; its qubits have ended."""

    def __init__(self, reason: str) -> None:
        super().__init__("inconclusive", reason)


@dataclass(slots=True)
class Occupancy:
    """How full a node's slots of one role have been."""

    occupied: int = 0
    peak: int = 0
    _balance_ps: int = 0
    """Sum of the instants of leaving less those of entering: in whatever order they are told, the right integral."""

    def enter(self, at: int) -> None:
        """A slot is bound from ``at`` (ps) on."""
        self.occupied += 1
        self.peak = max(self.peak, self.occupied)
        self._balance_ps -= at

    def leave(self, at: int) -> None:
        """A slot is free from ``at`` (ps) on."""
        self.occupied -= 1
        self._balance_ps += at

    def mean(self, now: int) -> float:
        """Mean number of bound slots from 0 to ``now`` (ps)."""
        return (self._balance_ps + self.occupied * now) / now if now else 0.0


@dataclass(slots=True)
class TrueQubit:
    """A qubit in the fabric."""

    name: str
    owner: str
    role: Role
    touched_ps: int
    """Until when its decoherence has been applied."""
    pair_id: str | None = None


class Laboratory:
    """All qubits of all nodes."""

    REMEMBERED = 65536
    """How many ended qubits are remembered for the sake of good errors."""

    def __init__(self, hardware: dict[str, Hardware], *, streams: Streams, register_bytes: int) -> None:
        self.registers = Registers(max_register_bytes=register_bytes)
        self.qubits: dict[str, TrueQubit] = {}
        self._hardware = hardware
        self.memories = {node: NodeMemories(each) for node, each in hardware.items()}
        self._streams = streams
        self._ended: OrderedDict[str, str] = OrderedDict()
        self.occupancy: dict[tuple[str, Role], Occupancy] = {}
        """By node and role, of those that ever held a qubit."""

    def check(self, node: str, steps: Sequence[Step]) -> None:
        """Follow a circuit of ``node`` without doing it.

        Raises:
            OperationRefused: a step names a qubit that ``node`` does not own then, or is not well formed.
        """
        prepared: set[str] = set()
        ended: set[str] = set()
        for position, step in enumerate(steps):
            try:
                if isinstance(step, Prepare):
                    self._check_new(step.qubit, prepared)
                    prepared.add(step.qubit)
                    continue
                names = (step.qubit,) if isinstance(step, Measure | MeasureInPlace | Move | Discard) else step.qubits
                for name in names:
                    if name in ended:
                        raise OperationRefused("gone", f"qubit {name} is measured or discarded by an earlier step")
                    if name not in prepared:
                        self.owned(node, name)
                if len(set(names)) != len(names):
                    raise OperationRefused("bad_request", f"names a qubit twice: {', '.join(names)}")
                if isinstance(step, Gate):
                    _check_arity(step, gates.gate(step.name, step.parameters))
                elif isinstance(step, Unitary):
                    gates.unitary_from_bytes(step.matrix, len(names))
                elif isinstance(step, Measure | MeasureInPlace):
                    gates.axis(step.axis)
                if isinstance(step, Measure | MeasureBell | Discard):
                    ended.update(names)
            except ValueError as error:
                raise OperationRefused("bad_request", f"step {position}: {error}") from error
            except OperationRefused as refusal:
                raise OperationRefused(refusal.code, f"step {position}: {refusal.reason}") from refusal

    def duration_s(self, node: str, step: Step) -> float:
        """How long ``node`` takes for a step."""
        hardware = self._hardware[node]
        if isinstance(step, Gate | Unitary):
            single = len(step.qubits) == 1
            return hardware.single_qubit_gate_duration_s if single else hardware.two_qubit_gate_duration_s
        if isinstance(step, Measure | MeasureInPlace):
            return hardware.measure_duration_s
        if isinstance(step, MeasureBell):
            gates_s = hardware.two_qubit_gate_duration_s + hardware.single_qubit_gate_duration_s
            return gates_s + hardware.measure_duration_s
        if isinstance(step, Prepare):
            return hardware.initialise_duration_s
        if isinstance(step, Move):
            return hardware.move_duration_s
        return 0.0

    def do(self, node: str, step: Step, at: int) -> tuple[int, ...]:
        """Complete a step at the instant ``at`` (ps); returns the bits that are read.

        Raises:
            OperationRefused: a qubit is not ``node``'s any more, or the register would grow too large.
        """
        try:
            return self._do(node, step, at)
        except RegisterTooLarge as error:
            raise OperationRefused("limit", str(error)) from error

    def _do(self, node: str, step: Step, at: int) -> tuple[int, ...]:
        registers, hardware = self.registers, self._hardware[node]
        if isinstance(step, Gate | Unitary):
            self._present(node, step.qubits, at)
            if isinstance(step, Gate):
                matrix = gates.gate(step.name, step.parameters)
            else:
                matrix = gates.unitary_from_bytes(step.matrix, len(step.qubits))
            registers.apply(matrix, step.qubits)
            noise.after_gate(registers, hardware, step.qubits)
            return ()
        if isinstance(step, Measure):
            self._present(node, (step.qubit,), at)
            draw = self._streams.of("measure", node).uniform
            bit = registers.measure(step.qubit, gates.axis(step.axis), draw())
            self._end(step.qubit, "was measured", at)
            return (noise.read_out(hardware, bit, draw()),)
        if isinstance(step, MeasureInPlace):
            self._present(node, (step.qubit,), at)
            draw = self._streams.of("measure", node).uniform
            bit = registers.measure_in_place(step.qubit, gates.axis(step.axis), draw())
            return (noise.read_out(hardware, bit, draw()),)
        if isinstance(step, MeasureBell):
            first, second = step.qubits
            self._present(node, step.qubits, at)
            success = hardware.bell_measurement_success_probability
            if success < 1.0 and self._streams.of("bell_measurement", node).uniform() >= success:
                for name in step.qubits:
                    self._trace_out(name)
                    self._end(name, "was lost in an inconclusive Bell measurement", at)
                raise MeasurementInconclusive(
                    f"the Bell measurement of {first} and {second} was inconclusive, as one in "
                    f"{1.0 / (1.0 - success):.3g} is at {node}; both qubits are gone"
                )
            noise.after_gate(registers, hardware, step.qubits)
            draw = self._streams.of("measure", node).uniform
            x, z = registers.measure_bell(first, second, draw())
            for name in step.qubits:
                self._end(name, "was measured", at)
            return (noise.read_out(hardware, x, draw()), noise.read_out(hardware, z, draw()))
        if isinstance(step, Prepare):
            self._check_new(step.qubit, set())
            self.occupy(node, step.role, at)
            registers.prepare(step.qubit)
            noise.after_initialise(registers, hardware, step.qubit)
            self.qubits[step.qubit] = TrueQubit(step.qubit, node, step.role, at)
        elif isinstance(step, Move):
            (qubit,) = self._present(node, (step.qubit,), at)
            if qubit.role != step.role:
                self.occupy(node, step.role, at)
                self.vacate(node, qubit.role, at)
                qubit.role = step.role
            noise.after_move(registers, hardware, step.qubit)
        else:
            self.owned(node, step.qubit)
            self._trace_out(step.qubit)
            self._end(step.qubit, "was discarded", at)
        return ()

    def owned(self, node: str, name: str) -> TrueQubit:
        """The qubit, if ``node`` owns it.

        Raises:
            OperationRefused: it has ended, is another's, or never was.
        """
        qubit = self.qubits.get(name)
        if qubit is None:
            fate = self._ended.get(name, "does not exist")
            raise OperationRefused("gone", f"qubit {name} {fate}")
        if qubit.owner != node:
            raise OperationRefused("not_yours", f"qubit {name} belongs to {qubit.owner}, not to {node}")
        return qubit

    def place_pair(
        self,
        names: tuple[str, str],
        owners: tuple[str, str],
        state: np.ndarray,
        *,
        since_ps: tuple[int, int],
        pair: str,
    ) -> None:
        """Put a heralded pair into the communication slots that its ends had bound; each ages from its own instant."""
        self.registers.insert(names, state)
        for name, owner, since in zip(names, owners, since_ps, strict=True):
            self.qubits[name] = TrueQubit(name, owner, "communication", since, pair)

    def depart(
        self, node: str, name: str, transmission: Transmission, at: int, *, then: Callable[[], None] = lambda: None
    ) -> TrueQubit:
        """The qubit leaves ``node``'s slot for a fibre, where it belongs to nobody and does not decay in a memory.

        ``then``: what else befalls it in the fibre.

        Raises:
            OperationRefused: ``node`` does not own it.
        """
        try:
            (qubit,) = self._present(node, (name,), at)
            noise.transmit_noise(self.registers, transmission, name)
            then()
        except RegisterTooLarge as error:
            raise OperationRefused("limit", str(error)) from error
        self.vacate(node, qubit.role, at)
        qubit.owner = f"the fibre from {node}"
        return qubit

    def arrive(self, node: str, name: str, at: int) -> None:
        """The qubit enters a communication slot of ``node``.

        Raises:
            OperationRefused: none is free.
        """
        self.occupy(node, "communication", at)
        qubit = self.qubits[name]
        qubit.owner, qubit.role, qubit.touched_ps = node, "communication", at

    def lose(self, name: str, at: int) -> None:
        """A qubit in a fibre is lost."""
        self._trace_out(name)
        del self.qubits[name]
        self._remember(name, f"was lost in a fibre at {at / 1e12:.9g} s")

    def lose_from(self, node: str, names: Sequence[str], at: int) -> None:
        """The slots in which these qubits of ``node`` lie have failed: the qubits end."""
        for name in names:
            self._trace_out(name)
            self._end(name, f"was lost when its slot at {node} failed", at)

    def lose_all(self, node: str, at: int) -> list[TrueQubit]:
        """The node has lost its memories: every qubit of its own ends. Returns them."""
        lost = [qubit for qubit in self.qubits.values() if qubit.owner == node]
        for qubit in lost:
            self._trace_out(qubit.name)
            self._end(qubit.name, f"was lost with {node}", at)
        return lost

    def replace_by_ground_state(self, name: str) -> None:
        """The qubit was lost and nobody was told: what arrives is |0>."""
        self._trace_out(name)
        self.registers.prepare(name)

    def _trace_out(self, name: str) -> None:
        """Take a qubit out of its state. Where the mixed rest would be too large, the qubit is measured and the outcome
        forgotten, which is the same for all that can be seen of the rest."""
        try:
            self.registers.discard(name)
        except RegisterTooLarge:
            self.registers.measure(name, (0.0, 0.0, 1.0), self._streams.of("discard", "fabric").uniform())

    def occupy(self, node: str, role: Role, at: int) -> None:
        """Bind a slot at the instant ``at`` (ps).

        Raises:
            OperationRefused: none of that role is free.
        """
        occupancy = self.occupancy.get((node, role))
        if occupancy is None:
            occupancy = self.occupancy[(node, role)] = Occupancy()
        slots, failed = self.memories[node].slots(role), self.memories[node].failed.get(role, 0)
        if occupancy.occupied >= slots:
            out_of_service = f", {failed} more are out of service" if failed else ""
            raise OperationRefused("no_slot", f"all {slots} {role} slots of {node} are occupied{out_of_service}")
        occupancy.enter(at)

    def occupied(self, node: str, role: Role) -> int:
        """How many of a node's slots of ``role`` are bound."""
        occupancy = self.occupancy.get((node, role))
        return occupancy.occupied if occupancy is not None else 0

    def vacate(self, node: str, role: Role, at: int) -> None:
        """Free a slot at the instant ``at`` (ps)."""
        self.occupancy[(node, role)].leave(at)

    def state_now(self, names: Sequence[str], at: int) -> np.ndarray:
        """The true state of living qubits at the present instant, as a density matrix (2^n, 2^n) in their order."""
        try:
            for name in names:
                self._age(self.qubits[name], at)
            return self.registers.reduced(names)
        except RegisterTooLarge as error:
            raise OperationRefused("limit", str(error)) from error

    def aged_state(self, names: Sequence[str], at: int) -> np.ndarray:
        """The true state of ``names`` at ``at``, as a density matrix (2^n, 2^n) in their order; changes nothing.

        Raises:
            OperationRefused: one of them does not exist.
        """
        copy = Registers(max_register_bytes=1 << 62)
        for name in names:
            if name not in self.qubits:
                raise OperationRefused("gone", f"qubit {name} {self._ended.get(name, 'does not exist')}")
        copy.insert(tuple(names), self.registers.reduced(names))
        for name in names:
            self._decohere(copy, self.qubits[name], at)
        return copy.reduced(names)

    def look(self, node: str, names: Sequence[str], at: int, *, entangled: bool) -> tuple[tuple[str, ...], bytes]:
        """Qubits and their true state at ``at``, of ``names`` of ``node`` alone or with all that they are ``entangled``
        with: a density matrix, row-major complex128, little-endian. Changes nothing.

        Raises:
            OperationRefused: one of them is not ``node``'s, or they are too many.
        """
        for name in names:
            self.owned(node, name)
        if entangled:
            others = {each for name in names for each in self.registers.qubits_with(name)}.difference(names)
            names = (*names, *sorted(others, key=lambda name: (name.partition("#")[0], len(name), name)))
        if not 1 <= len(names) <= MOST_SEEN or len(set(names)) != len(names):
            reason = f"a look at the qubits {', '.join(names)}, expected 1 to {MOST_SEEN} different ones"
            raise OperationRefused("limit", reason)
        return tuple(names), self.aged_state(names, at).astype("<c16").tobytes(order="C")

    def _present(self, node: str, names: Sequence[str], at: int) -> list[TrueQubit]:
        """The qubits, owned and aged to ``at``."""
        qubits = [self.owned(node, name) for name in names]
        for qubit in qubits:
            self._age(qubit, at)
        return qubits

    def _age(self, qubit: TrueQubit, at: int) -> None:
        """Apply the decoherence since the qubit was last touched."""
        if qubit.touched_ps != at:
            self._decohere(self.registers, qubit, at)
            qubit.touched_ps = at

    def _decohere(self, registers: Registers, qubit: TrueQubit, at: int) -> None:
        """What the qubit's memory does to it until ``at`` (ps); in a fibre it lies in none."""
        memories = self.memories.get(qubit.owner)
        if memories is not None and at > qubit.touched_ps:
            memories.age(registers, qubit.name, qubit.role, qubit.touched_ps, at)

    def _end(self, name: str, how: str, at: int) -> None:
        qubit = self.qubits.pop(name)
        self.vacate(qubit.owner, qubit.role, at)
        self._remember(name, f"{how} at {at / 1e12:.9g} s")

    def _remember(self, name: str, fate: str) -> None:
        self._ended[name] = fate
        if len(self._ended) > self.REMEMBERED:
            self._ended.popitem(last=False)

    def _check_new(self, name: str, prepared: set[str]) -> None:
        if not name or name in prepared or name in self.qubits or name in self._ended:
            raise OperationRefused("bad_request", f"cannot prepare a qubit named {name!r}: that name is used")


def _check_arity(step: Gate, matrix: np.ndarray) -> None:
    expected = matrix.shape[0].bit_length() - 1
    if len(step.qubits) != expected:
        raise ValueError(f"gate {step.name} acts on {expected} qubits, found {len(step.qubits)}")
