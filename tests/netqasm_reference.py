"""NetQASM's meaning, written a second time and plainly: every instruction on a whole density matrix, by Kronecker products.

It knows nothing of the product. Outcomes of measurements are not drawn but given: those that the product found, each
of which must have been possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from netqasm.lang.instr.flavour import NVFlavour, VanillaFlavour
from netqasm.lang.operand import Register
from netqasm.lang.parsing.text import parse_text_subroutine
from scipy.linalg import expm

I2 = np.eye(2)
X = np.array([[0, 1], [1, 0]], dtype=complex)
Y = np.array([[0, -1j], [1j, 0]])
Z = np.diag([1.0, -1.0]).astype(complex)
GATES = {
    "x": X,
    "y": Y,
    "z": Z,
    "h": (X + Z) / np.sqrt(2),
    "k": (Y + Z) / np.sqrt(2),
    "s": np.diag([1, 1j]),
    "t": np.diag([1, np.exp(1j * np.pi / 4)]),
    "cnot": np.kron(np.diag([1, 0]), I2) + np.kron(np.diag([0, 1]), X),
    "cphase": np.kron(np.diag([1, 0]), I2) + np.kron(np.diag([0, 1]), Z),
    "swp": np.eye(4)[[0, 2, 1, 3]],
    "mov": np.eye(4)[[0, 2, 1, 3]],
}
PAULIS = {"x": X, "y": Y, "z": Z}
BRANCHES = {
    "beq": lambda a, b: a == b,
    "bne": lambda a, b: a != b,
    "blt": lambda a, b: a < b,
    "bge": lambda a, b: a >= b,
}
ARITHMETIC = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a // b,
    "rem": lambda a, b: a % b,
    "addm": lambda a, b, m: (a + b) % m,
    "subm": lambda a, b, m: (a - b) % m,
}
BASES = {"meas_basis": "xyx", "meas_basis_yzy": "yzy", "meas_basis_zxz": "zxz"}
MAIN_INSTRUCTIONS = 10_000


def rotation(axis: str, angle: float) -> np.ndarray:
    """About a Pauli axis."""
    return expm(-0.5j * angle * PAULIS[axis])


class Reference:
    """One application's memory and state."""

    def __init__(self, qubits: int, outcomes: Sequence[int]) -> None:
        self.registers: dict[str, int] = {}
        self.arrays: dict[int, list[int | None]] = {}
        self.count = qubits
        zero = np.diag([1.0, 0.0])
        self.state = reduce(np.kron, [zero] * qubits).astype(complex)
        """Of all virtual addresses, the first the most significant; an address without a qubit is in |0>."""
        self.allocated: set[int] = set()
        self.outcomes = list(outcomes)
        self.returned_registers: dict[str, int] = {}
        self.returned_arrays: dict[int, list[int | None]] = {}

    def expanded(self, matrix: np.ndarray, qubits: Sequence[int]) -> np.ndarray:
        """The operator on all qubits, by brute force over the basis."""
        size, whole = self.count, np.zeros((2**self.count,) * 2, dtype=complex)
        for column in range(2**size):
            bits = [column >> (size - 1 - place) & 1 for place in range(size)]
            inner = int("".join(str(bits[qubit]) for qubit in qubits), 2)
            for row in range(len(matrix)):
                amplitude = matrix[row, inner]
                if amplitude:
                    new = list(bits)
                    for position, qubit in enumerate(qubits):
                        new[qubit] = row >> (len(qubits) - 1 - position) & 1
                    whole[int("".join(map(str, new)), 2), column] += amplitude
        return whole

    def apply(self, matrix: np.ndarray, *qubits: int) -> None:
        """A gate."""
        operator = self.expanded(matrix, qubits)
        self.state = operator @ self.state @ operator.conj().T

    def reset(self, qubit: int) -> None:
        """To |0>, whatever it was entangled with."""
        lower = self.expanded(np.array([[1, 0], [0, 0]]), (qubit,)), self.expanded(np.array([[0, 1], [0, 0]]), (qubit,))
        self.state = sum(each @ self.state @ each.conj().T for each in lower)

    def measure(self, qubit: int) -> int:
        """The next given outcome; the qubit stays."""
        outcome = self.outcomes.pop(0)
        projector = self.expanded(np.diag([1 - outcome, outcome]), (qubit,))
        self.state = projector @ self.state @ projector
        weight = np.trace(self.state).real
        assert weight > 1e-9, f"outcome {outcome} of qubit {qubit} was impossible"
        self.state /= weight
        return outcome

    def of(self, operand: Any) -> int:
        """A register's value or an immediate."""
        return self.registers[str(operand)] if isinstance(operand, Register) else operand.value

    def qubit(self, operand: Any) -> int:
        """An allocated address."""
        address = self.of(operand)
        assert address in self.allocated
        return address

    def run(self, text: str, flavour: str) -> None:
        """A subroutine."""
        kinds = {"vanilla": VanillaFlavour(), "nv": NVFlavour()}
        instructions = parse_text_subroutine(f"# NETQASM 1.0\n# APPID 0\n{text}", flavour=kinds[flavour]).instructions
        counter = 0
        for _ in range(MAIN_INSTRUCTIONS):
            if counter == len(instructions):
                return
            line = self.step(instructions[counter].mnemonic, instructions[counter].operands)
            counter = counter + 1 if line is None else line
        raise AssertionError("too many instructions")

    def step(self, name: str, operands: Sequence[Any]) -> int | None:
        """One instruction; returns where to jump."""
        registers = self.registers
        if name in ("cnot", "cphase", "swp"):
            self.apply(GATES[name], self.qubit(operands[0]), self.qubit(operands[1]))
        elif name == "mov":
            self.allocated.add(self.of(operands[1]))
            self.apply(GATES[name], self.qubit(operands[0]), self.qubit(operands[1]))
        elif name in GATES:
            self.apply(GATES[name], self.qubit(operands[0]))
        elif name.startswith("rot_"):
            angle = operands[1].value * np.pi / 2 ** operands[2].value
            self.apply(rotation(name[-1], angle), self.qubit(operands[0]))
        elif name.startswith("crot_"):
            angle = operands[2].value * np.pi / 2 ** operands[3].value
            matrix = expm(-0.5j * angle * np.kron(Z, PAULIS[name[-1]]))
            self.apply(matrix, self.qubit(operands[0]), self.qubit(operands[1]))
        elif name == "qalloc":
            assert self.of(operands[0]) not in self.allocated
            self.allocated.add(self.of(operands[0]))
        elif name == "init":
            self.reset(self.qubit(operands[0]))
        elif name == "qfree":
            self.reset(self.qubit(operands[0]))
            self.allocated.remove(self.of(operands[0]))
        elif name == "meas":
            registers[str(operands[1])] = self.measure(self.qubit(operands[0]))
        elif name in BASES:
            qubit, into, *turns, denominator = operands
            for axis, turn in zip(BASES[name], turns, strict=True):
                self.apply(rotation(axis, turn.value * np.pi / 2**denominator.value), self.qubit(qubit))
            registers[str(into)] = self.measure(self.qubit(qubit))
        elif name == "set":
            registers[str(operands[0])] = operands[1].value
        elif name == "lea":
            registers[str(operands[0])] = operands[1].address
        elif name == "array":
            self.arrays[operands[1].address] = [None] * self.of(operands[0])
        elif name == "store":
            self.arrays[operands[1].address.address][self.of(operands[1].index)] = self.of(operands[0])
        elif name == "load":
            value = self.arrays[operands[1].address.address][self.of(operands[1].index)]
            assert value is not None
            registers[str(operands[0])] = value
        elif name == "undef":
            self.arrays[operands[0].address.address][self.of(operands[0].index)] = None
        elif name in ARITHMETIC:
            registers[str(operands[0])] = ARITHMETIC[name](*map(self.of, operands[1:]))
        elif name == "jmp":
            return int(operands[0].value)
        elif name in ("bez", "bnz"):
            return operands[1].value if (self.of(operands[0]) == 0) is (name == "bez") else None
        elif name in BRANCHES:
            return operands[2].value if BRANCHES[name](self.of(operands[0]), self.of(operands[1])) else None
        elif name == "ret_reg":
            self.returned_registers[str(operands[0])] = self.of(operands[0])
        elif name == "ret_arr":
            self.returned_arrays[operands[0].address] = list(self.arrays[operands[0].address])
        else:
            assert name == "breakpoint", name
        return None

    def reduced(self, qubits: Sequence[int]) -> np.ndarray:
        """The density matrix of these addresses, in this order."""
        tensor = self.state.reshape((2,) * (2 * self.count))
        rest = [qubit for qubit in range(self.count) if qubit not in qubits]
        order = [*qubits, *rest]
        tensor = tensor.transpose(order + [self.count + qubit for qubit in order])
        kept = 2 ** len(qubits)
        return np.trace(tensor.reshape(kept, 2 ** len(rest), kept, 2 ** len(rest)), axis1=1, axis2=3)
