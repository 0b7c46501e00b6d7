"""Circuits that applications run on their own qubits."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from qnode.stack.core import Core, RequestRefused
from qnode.stack.memory import Cause, HeldQubit, MemorySlot
from qnode.wire.application import FailureCode, Outcomes, Run
from qnode.wire.fabric import Circuit
from qnode.wire.quantum import Discard, Measure, MeasureBell, Move, Prepare, Step

FAILURES: dict[str, FailureCode] = {
    "no_slot": "no_slot",
    "bad_request": "bad_request",
    "limit": "limit",
    "gone": "gone",
}
"""The fabric's refusal codes that an application is told as they are; any other is ``refused``."""

MOST_STEPS = 100_000


@dataclass(slots=True)
class RunningCircuit:
    """A circuit at the fabric."""

    core: Core
    session: int
    call: int
    prepared: list[HeldQubit]
    leaving: list[tuple[HeldQubit, str]]
    moved: list[tuple[HeldQubit, MemorySlot]]

    def completed(self, bits: tuple[int, ...]) -> None:
        """Free what it consumed and answer."""
        core = self.core
        for held, old in self.moved:
            core.memory.end_move(old)
            core.watch_cutoff(held)
        for held, why in self.leaving:
            core.memory.release(held, why=why)
        names = tuple(held.name for held in self.prepared)
        if self.session not in core.sessions:
            for held in self.prepared:
                if held.name in core.memory.qubits:
                    core.discard(held, why="its application is gone")
            return
        core.answer(self.session, Outcomes(call=self.call, now_ps=core.now, bits=bits, qubits=names))

    def refused(self, code: str, reason: str) -> None:
        """Put everything back and answer."""
        core = self.core
        for held, old in reversed(self.moved):
            core.memory.undo_move(held, old)
        for held, _ in self.leaving:
            held.slot.change(Cause.STAY_PAIRED if held.pair is not None else Cause.STAY)
        for held in self.prepared:
            core.memory.release(held, why="was never prepared: its circuit was refused")
        core.fail(self.session, self.call, FAILURES.get(code, "refused"), reason)


def run(core: Core, session: int, request: Run) -> None:
    """Check a circuit against memory and hand it to the fabric.

    Raises:
        RequestRefused: a qubit is not the session's, or no slot is free; nothing was changed.
    """
    if not 1 <= len(request.steps) <= MOST_STEPS:
        raise RequestRefused("bad_request", f"a circuit of {len(request.steps)} steps, expected 1 to {MOST_STEPS}")
    _check(core, session, request.steps)
    circuit = RunningCircuit(core, session, request.call, [], [], [])
    steps = tuple(_place(core, session, step, circuit) for step in request.steps)
    core.operate(Circuit(steps=steps), circuit)


def _check(core: Core, session: int, steps: tuple[Step, ...]) -> None:
    """Follow the circuit without doing it: every qubit there when it is used, a slot free for each placed one."""
    free = {"communication": core.memory.free("communication"), "storage": core.memory.free("storage")}
    roles: dict[str, str] = {}
    ended: dict[str, str] = {}
    prepared = 0
    for position, step in enumerate(steps):
        where = f"step {position} ({step.__struct_config__.tag})"
        if isinstance(step, Prepare):
            if step.qubit:
                raise RequestRefused("bad_request", f"{where}: the node names a prepared qubit; leave `qubit` empty")
            _take_slot(core, free, step.role, where)
            roles[f"${prepared}"] = step.role
            prepared += 1
            continue
        names = (step.qubit,) if isinstance(step, Measure | Move | Discard) else step.qubits
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
            for name in names:
                ended[name] = f"{verb} by an earlier step of the same circuit"


def _take_slot(core: Core, free: dict[str, int], role: str, where: str) -> None:
    if free[role] == 0:
        memory = core.configuration
        total = memory.storage_slots if role == "storage" else memory.communication_slots
        raise RequestRefused("no_slot", f"{where}: none of the {total} {role} slots of {memory.name} is free")
    free[role] -= 1


def _place(core: Core, session: int, step: Step, circuit: RunningCircuit) -> Step:
    """Give the step its real qubit names and mark memory accordingly."""
    if isinstance(step, Prepare):
        held = core.memory.take(step.role, Cause.PLACE, session=session)
        circuit.prepared.append(held)
        return Prepare(qubit=held.name, role=step.role)

    def named(name: str) -> str:
        return circuit.prepared[int(name[1:])].name if name.startswith("$") else name

    if isinstance(step, Measure | Move | Discard):
        held = core.memory.qubits[named(step.qubit)]
        if isinstance(step, Move):
            if held.slot.role != step.role:
                circuit.moved.append((held, core.memory.begin_move(held, step.role)))
        else:
            _leave(core, held, circuit, "was discarded" if isinstance(step, Discard) else "was measured")
        return msgspec.structs.replace(step, qubit=held.name) if held.name != step.qubit else step
    names = tuple(named(name) for name in step.qubits)
    if isinstance(step, MeasureBell):
        for name in names:
            _leave(core, core.memory.qubits[name], circuit, "was measured")
        return MeasureBell(qubits=(names[0], names[1]))
    return msgspec.structs.replace(step, qubits=names) if names != step.qubits else step


def _leave(core: Core, held: HeldQubit, circuit: RunningCircuit, why: str) -> None:
    held.slot.change(Cause.LEAVE)
    circuit.leaving.append((held, f"{why} at {core.now / 1e12:.9g} s"))
