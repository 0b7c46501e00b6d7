"""What a NetQASM host tells its node, decoded; and what goes wrong, in the protocol's words."""

from __future__ import annotations

from enum import Enum

import msgspec


class ErrorCode(Enum):
    """What the protocol's error message says."""

    GENERAL = 0
    NO_QUBIT = 1
    """Qubits, or the slots for them, are exhausted."""
    UNSUPPORTED = 2


class Fault(Exception):
    """A host's message, or its subroutine, cannot be obeyed: the host is told, and the node goes on."""

    def __init__(self, reason: str, code: ErrorCode = ErrorCode.GENERAL) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class NotInstalled(Exception):
    """The package that reads NetQASM's bytes is not there."""


class Instruction(msgspec.Struct, frozen=True):
    """One instruction, its operands flattened: registers and addresses by number, immediates as they are.

    Register ``n`` of bank ``b`` (R, C, Q, M) is number 16 b + n. An array entry is its address and the register with
    the index; a slice is its address and the registers with both ends.
    """

    mnemonic: str
    operands: tuple[int, ...]


class NewApplication(msgspec.Struct, frozen=True):
    """A host program begins."""

    app: int
    max_qubits: int


class OpenSocket(msgspec.Struct, frozen=True):
    """An EPR socket: pairs are made for both ends that name each other."""

    app: int
    socket: int
    remote_node: int
    remote_socket: int
    minimum_fidelity: int
    """In percent. The SDK's default is 100, which no link can promise: it asks for nothing."""


class Subroutine(msgspec.Struct, frozen=True):
    """Instructions to execute."""

    app: int
    instructions: tuple[Instruction, ...]


class StopApplication(msgspec.Struct, frozen=True):
    """A host program has ended."""

    app: int


class Signal(msgspec.Struct, frozen=True):
    """A signal, of which there is one: stop, which means nothing to a node that others use, too."""

    signal: int


HostMessage = NewApplication | OpenSocket | Subroutine | StopApplication | Signal

BANK = 16
"""Registers of one name."""
BANKS = "RCQM"
REGISTERS = BANK * len(BANKS)
LEAST_INTEGER, MOST_INTEGER = -(2**31), 2**31 - 1
"""Registers and array entries are signed integers of 32 bits."""


def register_name(number: int) -> str:
    """Such as R0."""
    return f"{BANKS[number // BANK]}{number % BANK}"
