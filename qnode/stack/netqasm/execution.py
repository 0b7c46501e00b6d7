"""One subroutine, instruction by instruction.

Quantum instructions become steps that are done together, in one circuit at the fabric, as soon as something depends on
them: the value of an outcome, a wait, the end. Until then a register or array entry holds the outcome as a promise.
Where classical instructions take time nothing is put off, so each step is done at its own instant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from qnode.stack.netqasm import gates
from qnode.stack.netqasm.language import ErrorCode, Fault, Instruction, register_name
from qnode.stack.netqasm.memory import ApplicationMemory, FlushFirst, Outcome, VirtualQubit, resolved
from qnode.stack.netqasm.sockets import Sockets
from qnode.stack.netqasm.station import Station
from qnode.stack.netqasm.tasks import WAIT, Task
from qnode.wire.application import Failed, Outcomes, Run, Sleep
from qnode.wire.quantum import Discard, Gate, Measure, MeasureInPlace, Move, Prepare, Role, Step

MOST_PUT_OFF = 4096
"""Steps that wait to be done together."""
MOST_RETURNED = 200_000
"""Values that one subroutine may return."""
QUANTUM = frozenset({"init", "meas", "mov", "swp"})
"""Beside the gates, what takes the time of what is done to the qubits, and none of its own."""
BREAKPOINT_ACTIONS = ("none", "dump local state", "dump global state")


@dataclass(slots=True, eq=False)
class Execution:
    """A subroutine under way."""

    station: Station
    session: int
    memory: ApplicationMemory
    sockets: Sockets
    instructions: tuple[Instruction, ...]
    return_register: Callable[[int, int], None]
    return_array: Callable[[int, list[int | None]], None]
    changed: Callable[[], None]
    """To be called when a virtual address is free again."""
    counter: int = 0
    steps: list[Step] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    prepared: list[VirtualQubit] = field(default_factory=list)
    taken: dict[Role, int] = field(default_factory=dict)
    """Slots that the steps will take."""
    owed_ps: int = 0
    executed: int = 0
    since_ps: int = field(init=False)
    returned: int = 0

    def __post_init__(self) -> None:
        self.since_ps = self.station.now

    def run(self) -> Task:
        """Execute it all.

        Raises:
            Fault: it cannot go on; what came before is done.
        """
        try:
            yield from self._run()
        except Fault as fault:
            name = self.instructions[self.counter].mnemonic if self.counter < len(self.instructions) else "end"
            yield from self._flush_in_spite()
            raise Fault(f"instruction {self.counter} ({name}): {fault.reason}", fault.code) from fault
        yield from self._flush()

    def _run(self) -> Task:
        instructions, most = self.instructions, self.station.most_instructions
        handlers = {name: getattr(self, f"_{name}", None) for name in {each.mnemonic for each in instructions}}
        duration_ps = self.station.instruction_duration_ps
        while self.counter < len(instructions):
            instruction = instructions[self.counter]
            self.executed += 1
            if self.executed > most:
                yield from self._flush()
                self._check_progress(most)
            handler = handlers[instruction.mnemonic]
            try:
                if handler is None:
                    self._quantum(instruction.mnemonic, instruction.operands)
                    following = None
                else:
                    following = handler(*instruction.operands)
                if following is not None and not isinstance(following, int):
                    following = yield from following
            except FlushFirst:
                self.executed -= 1
                yield from self._flush()
                continue
            if duration_ps:
                if handler is not None and instruction.mnemonic not in QUANTUM:
                    self.owed_ps += duration_ps
                if self.steps:
                    yield from self._flush()
            elif len(self.steps) >= MOST_PUT_OFF:
                yield from self._flush()
            self.counter = self.counter + 1 if following is None else following

    def _check_progress(self, most: int) -> None:
        if self.since_ps == self.station.now:
            raise Fault(
                f"more than {most} instructions at {self.station.now} ps: it loops without virtual time passing"
            )
        self.since_ps, self.executed = self.station.now, 0

    # What is done together

    def _flush(self) -> Task:
        """Have the steps done that were put off.

        Raises:
            Fault: the node would not.
        """
        try:
            yield from self._do_steps()
        finally:
            if self.memory.freeing:
                self.memory.freeing.clear()
                self.changed()

    def _do_steps(self) -> Task:
        if self.owed_ps:
            owed_ps, self.owed_ps = self.owed_ps, 0
            yield Sleep(call=0, duration_ps=owed_ps)
        if not self.steps:
            return
        self.station.count_round_trip(self.session)
        steps, outcomes, prepared = self.steps, self.outcomes, self.prepared
        self.steps, self.outcomes, self.prepared = [], [], []
        self.taken.clear()
        for qubit in self.memory.qubits:
            if qubit is not None:
                qubit.measured_by = -1
        answer = yield Run(call=0, steps=tuple(steps))
        if isinstance(answer, Outcomes):
            for outcome, bit in zip(outcomes, answer.bits, strict=True):
                outcome.bit = bit
            for qubit, name in zip(prepared, answer.qubits, strict=True):
                qubit.name = name
            return
        assert isinstance(answer, Failed)
        for outcome in outcomes:
            outcome.lost = True
        for qubit in prepared:
            qubit.name = ""
        mine = {qubit.name for qubit in self.memory.qubits if qubit is not None}
        for step in steps:
            if isinstance(step, Discard | Measure) and step.qubit not in mine:
                self.station.discard(self.session, step.qubit, "it was freed", tell=False)
        raise Fault(answer.reason, ErrorCode.NO_QUBIT if answer.code == "no_slot" else ErrorCode.GENERAL)

    def _flush_in_spite(self) -> Task:
        """The subroutine has failed already; what came before is done all the same."""
        try:
            yield from self._flush()
        except Fault as fault:
            self.station.record("netqasm_fault", reason=fault.reason)

    def _on(self, qubit: VirtualQubit) -> str:
        """The qubit's name in the steps; one that lies in no slot yet is prepared."""
        qubit.measured_by = -1
        if qubit.name:
            if qubit.name[0] != "$":
                self.station.check_qubit(self.session, qubit.name)
        else:
            role = self._role()
            self.taken[role] = self.taken.get(role, 0) + 1
            qubit.name = f"${len(self.prepared)}"
            self.prepared.append(qubit)
            self.steps.append(Prepare(role=role))
        return qubit.name

    def _role(self) -> Role:
        """The kind of slot for one more qubit: storage, as long as there is some.

        Raises:
            Fault: none is free.
        """
        roles: tuple[Role, Role] = ("storage", "communication")
        if self.station.room(self.session) > sum(self.taken.values()):
            for role in roles:
                if self.station.free_slots(role) > self.taken.get(role, 0):
                    return role
        if self.steps:
            raise FlushFirst
        raise Fault("no memory slot is free, or none that the application may have", ErrorCode.NO_QUBIT)

    # Quantum instructions

    def _quantum(self, mnemonic: str, operands: tuple[int, ...]) -> None:
        """A gate."""
        read, memory = self.memory.read, self.memory
        if mnemonic in gates.SINGLE or mnemonic == "k":
            self.steps.append(gates.single(mnemonic, self._on(memory.qubit(read(operands[0])))))
        elif mnemonic in gates.ROTATIONS:
            register, numerator, denominator = operands
            name = self._on(memory.qubit(read(register)))
            self.steps.append(gates.rotation(mnemonic[-1].upper(), gates.angle(numerator, denominator), name))
        elif mnemonic in gates.TWO_QUBIT:
            first, second = self._two(*operands)
            self.steps.append(Gate(name=gates.TWO_QUBIT[mnemonic], qubits=(first, second)))
        elif mnemonic in gates.CONTROLLED_ROTATIONS:
            register, other, numerator, denominator = operands
            control, target = self._two(register, other)
            radians = gates.angle(numerator, denominator)
            self.steps.append(gates.controlled_rotation(mnemonic, radians, control, target))
        elif mnemonic in gates.BASES:
            self._measure_in_basis(gates.BASES[mnemonic], *operands)
        else:
            raise Fault(f"{mnemonic} is not executed here", ErrorCode.UNSUPPORTED)

    def _two(self, first: int, second: int) -> tuple[str, str]:
        """The names of the qubits in two registers."""
        one, other = self.memory.qubit(self.memory.read(first)), self.memory.qubit(self.memory.read(second))
        if one is other:
            raise Fault("a gate on two qubits names one twice")
        self._on(one)
        self._on(other)
        return one.name, other.name

    def _qalloc(self, register: int) -> None:
        address = self.memory.address(self.memory.read(register))
        if self.memory.qubits[address] is not None:
            raise Fault(f"virtual qubit {address} is allocated already")
        self._role()
        self.memory.qubits[address] = VirtualQubit()

    def _init(self, register: int) -> None:
        qubit = self.memory.qubit(self.memory.read(register))
        if qubit.name:
            name = self._on(qubit)
            self.steps.append(Discard(qubit=name))
            qubit.name = ""
        self._on(qubit)

    def _qfree(self, register: int) -> None:
        address = self.memory.read(register)
        qubit = self.memory.qubit(address)
        self.memory.qubits[address] = None
        self.memory.freeing.add(address)
        if qubit.name and qubit.name[0] != "$" and not self.station.lives(self.session, qubit.name):
            return
        if qubit.measured_by >= 0:
            measured = self.steps[qubit.measured_by]
            assert isinstance(measured, MeasureInPlace)
            self.steps[qubit.measured_by] = Measure(qubit=measured.qubit, axis=measured.axis)
        elif qubit.name:
            self.steps.append(Discard(qubit=qubit.name))

    def _meas(self, register: int, into: int) -> None:
        qubit = self.memory.qubit(self.memory.read(register))
        name = self._on(qubit)
        qubit.measured_by = len(self.steps)
        self.steps.append(MeasureInPlace(qubit=name))
        outcome = self.memory.registers[into] = Outcome()
        self.outcomes.append(outcome)

    def _measure_in_basis(self, axes: str, register: int, into: int, *numbers: int) -> None:
        """Turn the qubit about three axes, then measure it along Z."""
        *turns, denominator = numbers
        name = self._on(self.memory.qubit(self.memory.read(register)))
        for axis, numerator in zip(axes, turns, strict=True):
            if numerator:
                self.steps.append(gates.rotation(axis, gates.angle(numerator, denominator), name))
        self._meas(register, into)

    def _swp(self, first: int, second: int) -> None:
        names = self._two(first, second)
        self.steps.append(Gate(name="SWAP", qubits=names))
        for name in names:
            self.station.no_longer_pair(name)

    def _mov(self, register: int, other: int) -> Task | None:
        """Onto a qubit: both are exchanged, as the package has it. Onto an address without one: moved there."""
        read, memory = self.memory.read, self.memory
        source, address = memory.qubit(read(register)), memory.address(read(other))
        target = memory.qubits[address]
        if target is source:
            raise Fault("mov names one qubit twice")
        if target is not None and target.name:
            self._swp(register, other)
            return None
        return self._move(source, target, address)

    def _move(self, source: VirtualQubit, target: VirtualQubit | None, address: int) -> Task:
        self._on(source)
        yield from self._flush()
        if target is None:
            target = self.memory.qubits[address] = VirtualQubit()
        target.name, source.name = source.name, ""
        if self.station.is_in_communication(target.name) and self.station.free_slots("storage"):
            self.steps.append(Move(qubit=target.name, role="storage"))

    # Classical instructions

    def _set(self, register: int, value: int) -> None:
        self.memory.write(register, value)

    def _array(self, size: int, address: int) -> None:
        self.memory.allocate(address, self.memory.read(size))

    def _store(self, register: int, address: int, index: int) -> None:
        value = self.memory.registers[register]
        if value is None:
            raise Fault(f"register {register_name(register)} holds no value")
        self.memory.put(address, self.memory.read(index), value)

    def _load(self, register: int, address: int, index: int) -> None:
        at = self.memory.read(index)
        value = self.memory.entry(address, at)
        if value is None:
            raise Fault(f"entry {at} of array {address} holds no value")
        self.memory.registers[register] = value

    def _undef(self, address: int, index: int) -> None:
        self.memory.put(address, self.memory.read(index), None)

    def _lea(self, register: int, address: int) -> None:
        self.memory.write(register, address)

    def _line(self, line: int) -> int:
        if not 0 <= line <= len(self.instructions):
            raise Fault(f"a jump to line {line} of {len(self.instructions)}")
        return line

    def _jmp(self, line: int) -> int:
        return self._line(line)

    def _bez(self, register: int, line: int) -> int | None:
        return self._line(line) if self.memory.read(register) == 0 else None

    def _bnz(self, register: int, line: int) -> int | None:
        return self._line(line) if self.memory.read(register) != 0 else None

    def _beq(self, first: int, second: int, line: int) -> int | None:
        return self._line(line) if self.memory.read(first) == self.memory.read(second) else None

    def _bne(self, first: int, second: int, line: int) -> int | None:
        return self._line(line) if self.memory.read(first) != self.memory.read(second) else None

    def _blt(self, first: int, second: int, line: int) -> int | None:
        return self._line(line) if self.memory.read(first) < self.memory.read(second) else None

    def _bge(self, first: int, second: int, line: int) -> int | None:
        return self._line(line) if self.memory.read(first) >= self.memory.read(second) else None

    def _add(self, into: int, first: int, second: int) -> None:
        self.memory.write(into, self.memory.read(first) + self.memory.read(second))

    def _sub(self, into: int, first: int, second: int) -> None:
        self.memory.write(into, self.memory.read(first) - self.memory.read(second))

    def _mul(self, into: int, first: int, second: int) -> None:
        self.memory.write(into, self.memory.read(first) * self.memory.read(second))

    def _div(self, into: int, first: int, second: int) -> None:
        """Rounds down, as the package does."""
        self.memory.write(into, self.memory.read(first) // self._divisor(second))

    def _rem(self, into: int, first: int, second: int) -> None:
        self.memory.write(into, self.memory.read(first) % self._divisor(second))

    def _divisor(self, register: int) -> int:
        divisor = self.memory.read(register)
        if divisor == 0:
            raise Fault("a division by 0")
        return divisor

    def _addm(self, into: int, first: int, second: int, modulus: int) -> None:
        self.memory.write(into, (self.memory.read(first) + self.memory.read(second)) % self._modulus(modulus))

    def _subm(self, into: int, first: int, second: int, modulus: int) -> None:
        self.memory.write(into, (self.memory.read(first) - self.memory.read(second)) % self._modulus(modulus))

    def _modulus(self, register: int) -> int:
        modulus = self.memory.read(register)
        if modulus < 1:
            raise Fault(f"modulus {modulus}, expected 1 or more")
        return modulus

    def _ret_reg(self, register: int) -> None:
        value = self.memory.read(register)
        self._returns(1)
        self.return_register(register, value)

    def _ret_arr(self, address: int) -> None:
        entries = self.memory.array(address)
        values = [None if entry is None else resolved(entry, f"array {address}") for entry in entries]
        self._returns(len(values))
        self.return_array(address, values)

    def _returns(self, number: int) -> None:
        self.returned += number
        if self.returned > MOST_RETURNED:
            raise Fault(f"more than {MOST_RETURNED} returned values")

    def _breakpoint(self, action: int, role: int) -> Task:
        """Nothing is done, but the log says that execution was here, and when."""
        yield from self._flush()
        known = BREAKPOINT_ACTIONS[action] if action < len(BREAKPOINT_ACTIONS) else str(action)
        self.station.record("netqasm_breakpoint", line=self.counter, action=known, role=role)

    # Entanglement

    def _create_epr(self, node: int, socket: int, qubits: int, arguments: int, results: int) -> Task:
        read = self.memory.read
        operands = (read(node), read(socket), self._optional(qubits), read(arguments), read(results))
        yield from self._flush()
        self.sockets.create(*operands)

    def _recv_epr(self, node: int, socket: int, qubits: int, results: int) -> Task:
        read = self.memory.read
        operands = (read(node), read(socket), self._optional(qubits), read(results))
        yield from self._flush()
        self.sockets.receive(*operands)

    def _optional(self, register: int) -> int | None:
        """The register with the qubits' array, which means nothing where none is kept."""
        return None if self.memory.registers[register] is None else self.memory.read(register)

    def _wait_all(self, address: int, start: int, stop: int) -> Task:
        begin, end = self.memory.read(start), self.memory.read(stop)
        return self._wait(address, lambda: all(each is not None for each in self.memory.part(address, begin, end)))

    def _wait_any(self, address: int, start: int, stop: int) -> Task:
        begin, end = self.memory.read(start), self.memory.read(stop)
        return self._wait(address, lambda: any(each is not None for each in self.memory.part(address, begin, end)))

    def _wait_single(self, address: int, index: int) -> Task:
        at = self.memory.read(index)
        return self._wait(address, lambda: self.memory.entry(address, at) is not None)

    def _wait(self, address: int, over: Callable[[], bool]) -> Task:
        """Until ``over``; meanwhile make room for pairs."""
        yield from self._flush()
        while not over():
            self.sockets.check(address)
            stranded = self.sockets.stranded()
            if stranded:
                answer = yield Run(call=0, steps=(Move(qubit=stranded, role="storage"),))
                if isinstance(answer, Failed):
                    self.station.record("netqasm_fault", reason=answer.reason)
                    yield WAIT
            else:
                yield WAIT
