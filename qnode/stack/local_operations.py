"""Circuits that applications run on their own qubits."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from qnode.stack.core import Core, RequestRefused
from qnode.stack.memory import Cause, HeldQubit, MemorySlot, SlotState
from qnode.wire.application import FailureCode, Outcomes, Run
from qnode.wire.fabric import Circuit
from qnode.wire.quantum import Discard, Measure, MeasureBell, MeasureInPlace, Move, Prepare, Step

FAILURES: dict[str, FailureCode] = {
    "no_slot": "no_slot",
    "bad_request": "bad_request",
    "limit": "limit",
    "gone": "gone",
    "inconclusive": "inconclusive",
    "denied": "denied",
}
"""The fabric's refusal codes that an application is told as they are; any other is ``refused``."""

MOST_STEPS = 100_000


@dataclass(slots=True)
class RunningCircuit:
    """A circuit at the fabric. Each list says which step (by its position) does what to which qubit."""

    core: Core
    session: int
    call: int
    steps: int
    named: list[HeldQubit] = field(default_factory=list)
    prepared: list[tuple[int, HeldQubit]] = field(default_factory=list)
    moved: list[tuple[int, HeldQubit, MemorySlot]] = field(default_factory=list)
    leaving: list[tuple[int, HeldQubit, str]] = field(default_factory=list)

    def completed(self, bits: tuple[int, ...]) -> None:
        """Free what it consumed and answer."""
        self._follow(self.steps)
        names = tuple(held.name for _, held in self.prepared)
        core = self.core
        core.answer(self.session, Outcomes(call=self.call, now_ps=core.now, bits=bits, qubits=names))

    def refused(self, code: str, reason: str, done: int) -> None:
        """Put back what was not done; what was prepared by a circuit that then stopped is discarded."""
        self._follow(done)
        for _, held in self.prepared:
            if held.name in self.core.memory.qubits:
                self.core.discard(held, why="its circuit was refused")
        self.core.fail(self.session, self.call, FAILURES.get(code, "refused"), reason)

    def _follow(self, done: int) -> None:
        """Bring memory in line with the fabric, which did the first ``done`` steps and no others."""
        memory = self.core.memory
        for position, held, old in reversed(self.moved):
            if position < done:
                memory.end_move(old)
                if old.role == "communication":
                    memory.freed_by_move(held)
                self.core.watch_cutoff(held)
            else:
                memory.undo_move(held, old)
        gone = {held.name for position, held, _ in self.leaving if position < done}
        for position, held, why in self.leaving:
            if position < done:
                memory.release(held, why=why)
        for position, held in self.prepared:
            if position >= done:
                gone.add(held.name)
                if held.slot.state is SlotState.LEAVING:
                    held.slot.change(Cause.STAY)
                memory.release(held, why="was never prepared: its circuit was refused")
        for held in self.named:
            if held.name not in gone:
                self.core.settle(held)


def run(core: Core, session: int, request: Run) -> None:
    """Check a circuit against memory and hand it to the fabric.

    Raises:
        RequestRefused: a qubit is not the session's, or no slot is free; nothing was changed.
    """
    if not 1 <= len(request.steps) <= MOST_STEPS:
        raise RequestRefused("bad_request", f"a circuit of {len(request.steps)} steps, expected 1 to {MOST_STEPS}")
    _check(core, session, request.steps)
    circuit = RunningCircuit(core, session, request.call, len(request.steps))
    steps = tuple(_place(core, session, step, position, circuit) for position, step in enumerate(request.steps))
    core.operate(Circuit(steps=steps), circuit)


def _check(core: Core, session: int, steps: tuple[Step, ...]) -> None:
    """Follow the circuit without doing it: every qubit there when it is used, a slot free for each placed one."""
    free = {"communication": core.memory.free("communication"), "storage": core.memory.free("storage")}
    roles: dict[str, str] = {}
    ended: dict[str, str] = {}
    prepared = 0
    room = core.room(session)
    for position, step in enumerate(steps):
        where = f"step {position} ({step.__struct_config__.tag})"
        if isinstance(step, Prepare):
            if step.qubit:
                raise RequestRefused("bad_request", f"{where}: the node names a prepared qubit; leave `qubit` empty")
            _take_slot(core, free, step.role, where)
            room -= 1
            if room < 0:
                most = core.configuration.limits.memory_slots
                raise RequestRefused("limit", f"{where}: an application may have {most} memory slots; free some")
            roles[f"${prepared}"] = step.role
            prepared += 1
            continue
        names = (step.qubit,) if isinstance(step, Measure | MeasureInPlace | Move | Discard) else step.qubits
        for name in names:
            if name in ended:
                raise RequestRefused("gone", f"{where}: qubit {name} was {ended[name]}")
            if name not in roles:
                if name.startswith("$"):
                    raise RequestRefused("bad_request", f"{where}: {name} is not prepared before this step")
                roles[name] = core.qubit_of(session, name).slot.role
        if len(set(names)) != len(names):
            raise RequestRefused("bad_request", f"{where}: names a qubit twice: {', '.join(names)}")
        if isinstance(step, Move):
            if roles[step.qubit] != step.role:
                _take_slot(core, free, step.role, where)
                roles[step.qubit] = step.role
        elif isinstance(step, Measure | MeasureBell | Discard):
            verb = "discarded" if isinstance(step, Discard) else "measured"
            room += len(names)
            for name in names:
                ended[name] = f"{verb} by an earlier step of the same circuit"


def _take_slot(core: Core, free: dict[str, int], role: str, where: str) -> None:
    if free[role] == 0:
        memory = core.configuration
        total = memory.storage_slots if role == "storage" else memory.communication_slots
        raise RequestRefused("no_slot", f"{where}: none of the {total} {role} slots of {memory.name} is free")
    free[role] -= 1


def _place(core: Core, session: int, step: Step, position: int, circuit: RunningCircuit) -> Step:
    """Give the step its real qubit names and mark memory accordingly."""
    if isinstance(step, Prepare):
        held = core.memory.take(step.role, Cause.PLACE, session=session)
        circuit.prepared.append((position, held))
        _begin(held, circuit)
        return Prepare(qubit=held.name, role=step.role)

    def held_as(name: str) -> HeldQubit:
        held = circuit.prepared[int(name[1:])][1] if name.startswith("$") else core.memory.qubits[name]
        _begin(held, circuit)
        return held

    if isinstance(step, Measure | MeasureInPlace | Move | Discard):
        held = held_as(step.qubit)
        if isinstance(step, Move):
            if held.slot.role != step.role:
                circuit.moved.append((position, held, core.memory.begin_move(held, step.role)))
        elif not isinstance(step, MeasureInPlace):
            _leave(core, held, position, circuit, "was discarded" if isinstance(step, Discard) else "was measured")
        return msgspec.structs.replace(step, qubit=held.name) if held.name != step.qubit else step
    qubits = [held_as(name) for name in step.qubits]
    names = tuple(held.name for held in qubits)
    if isinstance(step, MeasureBell):
        for held in qubits:
            _leave(core, held, position, circuit, "was measured")
        return MeasureBell(qubits=(names[0], names[1]))
    return msgspec.structs.replace(step, qubits=names) if names != step.qubits else step


def _begin(held: HeldQubit, circuit: RunningCircuit) -> None:
    if not held.busy:
        held.busy = True
        circuit.named.append(held)


def _leave(core: Core, held: HeldQubit, position: int, circuit: RunningCircuit, why: str) -> None:
    held.slot.change(Cause.LEAVE)
    circuit.leaving.append((position, held, f"{why} at {core.now / 1e12:.9g} s"))
