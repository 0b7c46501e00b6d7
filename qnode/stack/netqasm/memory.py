"""What one NetQASM application has at its node: registers, arrays and virtual qubits."""

from __future__ import annotations

from dataclasses import dataclass, field

from qnode.stack.netqasm.language import (
    LEAST_INTEGER,
    MOST_INTEGER,
    REGISTERS,
    ErrorCode,
    Fault,
    register_name,
)

MOST_ENTRIES = 250_000
"""Of all arrays of an application."""


class FlushFirst(Exception):
    """An instruction needs what the steps that are not done yet will give: have them done, and execute it again."""


@dataclass(slots=True, eq=False)
class Outcome:
    """A measurement's bit, which may be still to come."""

    bit: int | None = None
    lost: bool = False
    """It will never come."""


@dataclass(slots=True, eq=False)
class VirtualQubit:
    """What lies at a virtual address."""

    name: str = ""
    """The node's own name of it, or ``$k`` of the steps that are not done yet; empty: not used yet, and in no slot."""
    measured_by: int = -1
    """Which of the steps that are not done yet measured it, if nothing has been done to it since."""


Value = int | Outcome | None


@dataclass(slots=True, eq=False)
class ApplicationMemory:
    """Registers, arrays and qubits of one application."""

    max_qubits: int
    registers: list[Value] = field(default_factory=lambda: [None] * REGISTERS)
    arrays: dict[int, list[Value]] = field(default_factory=dict)
    qubits: list[VirtualQubit | None] = field(init=False)
    freeing: set[int] = field(default_factory=set)
    """Addresses that are free again once the steps are done that were put off."""
    entries: int = 0

    def __post_init__(self) -> None:
        self.qubits = [None] * self.max_qubits

    def read(self, register: int) -> int:
        """A register's value.

        Raises:
            Fault: it has none.
            FlushFirst: it has one once the steps are done.
        """
        return resolved(self.registers[register], f"register {register_name(register)}")

    def write(self, register: int, value: int) -> None:
        """Give a register a value.

        Raises:
            Fault: it has no room for it.
        """
        if not LEAST_INTEGER <= value <= MOST_INTEGER:
            raise Fault(f"{value} does not fit into register {register_name(register)}: it has 32 bits")
        self.registers[register] = value

    def allocate(self, address: int, length: int) -> None:
        """A fresh array, in place of one that was there."""
        replaced = len(self.arrays.get(address, ()))
        if length < 0 or self.entries - replaced + length > MOST_ENTRIES:
            raise Fault(f"an array of {length} entries, expected 0 or more and {MOST_ENTRIES} in all arrays together")
        self.entries += length - replaced
        self.arrays[address] = [None] * length

    def array(self, address: int) -> list[Value]:
        """An array.

        Raises:
            Fault: there is none.
        """
        found = self.arrays.get(address)
        if found is None:
            raise Fault(f"there is no array at address {address}")
        return found

    def entry(self, address: int, index: int) -> Value:
        """An entry, as it is."""
        return self.array(address)[self._index(address, index)]

    def put(self, address: int, index: int, value: Value) -> None:
        """Set an entry."""
        self.array(address)[self._index(address, index)] = value

    def part(self, address: int, start: int, stop: int) -> list[Value]:
        """The entries from ``start`` to before ``stop``."""
        length = len(self.array(address))
        if not 0 <= start <= stop <= length:
            raise Fault(f"slice {start}:{stop} of array {address}, which has {length} entries")
        return self.arrays[address][start:stop]

    def _index(self, address: int, index: int) -> int:
        length = len(self.array(address))
        if not 0 <= index < length:
            raise Fault(f"entry {index} of array {address}, which has {length}")
        return index

    def address(self, address: int) -> int:
        """A virtual qubit's address.

        Raises:
            Fault: the application has asked for fewer qubits.
        """
        if not 0 <= address < self.max_qubits:
            reason = f"virtual qubit {address}: the application has asked for {self.max_qubits}"
            raise Fault(reason, ErrorCode.NO_QUBIT)
        return address

    def is_taken(self, address: int) -> bool:
        """Whether a pair's half cannot come to an address yet."""
        return self.qubits[address] is not None or address in self.freeing

    def qubit(self, address: int) -> VirtualQubit:
        """An allocated virtual qubit.

        Raises:
            Fault: it is not allocated.
        """
        found = self.qubits[self.address(address)]
        if found is None:
            raise Fault(f"virtual qubit {address} is not allocated, or was freed")
        return found


def resolved(value: Value, what: str) -> int:
    """A value as a number.

    Raises:
        Fault: there is none.
        FlushFirst: there will be one.
    """
    if isinstance(value, int):
        return value
    if value is None:
        raise Fault(f"{what} holds no value")
    if value.lost:
        raise Fault(f"{what} was to hold an outcome that never came")
    if value.bit is None:
        raise FlushFirst
    return value.bit
