"""NetQASM's bytes, read and written by its own package: the only module of a node that imports it, at the first use."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from qnode.stack.netqasm.language import (
    BANK,
    ErrorCode,
    Fault,
    HostMessage,
    Instruction,
    NewApplication,
    NotInstalled,
    OpenSocket,
    Signal,
    StopApplication,
    Subroutine,
)
from qnode.wire.application import Flavour

if TYPE_CHECKING:
    from collections.abc import Sequence


MOST_INSTRUCTIONS = 65_536
"""Of one subroutine."""


@lru_cache(maxsize=1)
def _package() -> Any:
    """The package's modules.

    Raises:
        NotInstalled: it is not there.
    """
    try:
        from netqasm.backend import messages
        from netqasm.lang import encoding, operand
        from netqasm.lang.instr import flavour
        from netqasm.lang.parsing import binary
    except ImportError as error:
        raise NotInstalled(
            f"to execute NetQASM, nodes need its package ({error}): pip install 'qloom[netqasm]'"
        ) from error
    return messages, encoding, operand, binary, {"vanilla": flavour.VanillaFlavour(), "nv": flavour.NVFlavour()}


def warm_up() -> None:
    """Import the package now, so that processes forked from this one have it; without it, nothing happens."""
    try:
        _package()
    except NotInstalled:
        return


def host_message(raw: bytes, flavour: Flavour) -> HostMessage:
    """What a host says.

    Raises:
        NotInstalled: the package is not there.
        Fault: these bytes are no message, or an instruction is none of the flavour.
    """
    messages, *_ = _package()
    try:
        message = messages.deserialize_host_msg(raw)
    except (ValueError, KeyError, TypeError) as error:
        raise Fault(f"{len(raw)} bytes that are no message of a host: {error}") from error
    if isinstance(message, messages.SubroutineMessage):
        return _subroutine(bytes(message.subroutine), flavour)
    if isinstance(message, messages.InitNewAppMessage):
        return NewApplication(message.app_id, message.max_qubits)
    if isinstance(message, messages.OpenEPRSocketMessage):
        return OpenSocket(
            message.app_id,
            message.epr_socket_id,
            message.remote_node_id,
            message.remote_epr_socket_id,
            message.min_fidelity,
        )
    if isinstance(message, messages.StopAppMessage):
        return StopApplication(message.app_id)
    return Signal(message.signal)


def _subroutine(raw: bytes, flavour: Flavour) -> Subroutine:
    _, encoding, *_ = _package()
    head, body = raw[: encoding.METADATA_BYTES], raw[encoding.METADATA_BYTES :]
    size = encoding.COMMAND_BYTES
    if len(head) < encoding.METADATA_BYTES or len(body) % size:
        raise Fault(f"a subroutine of {len(raw)} bytes, expected {encoding.METADATA_BYTES} and {size} an instruction")
    if len(body) // size > MOST_INSTRUCTIONS:
        raise Fault(f"a subroutine of {len(body) // size} instructions, expected at most {MOST_INSTRUCTIONS}")
    app = encoding.Metadata.from_buffer_copy(head).app_id
    instructions = []
    for start in range(0, len(body), size):
        command = body[start : start + size]
        try:
            instructions.append(_instruction(command, flavour))
        except KeyError as error:
            reason = f"instruction {start // size} has number {command[0]}, which flavour {flavour} does not have"
            raise Fault(reason, ErrorCode.UNSUPPORTED) from error
        except (ValueError, TypeError, AssertionError) as error:
            raise Fault(f"instruction {start // size} ({command.hex()}) cannot be read: {error}") from error
    return Subroutine(app, tuple(instructions))


@lru_cache(maxsize=16384)
def _instruction(command: bytes, flavour: Flavour) -> Instruction:
    """Most instructions of a subroutine stood in an earlier one."""
    *_, binary, flavours = _package()
    decoded = binary.Deserializer(flavours[flavour]).deserialize_command(command)
    operands: list[int] = []
    for each in decoded.operands:
        operands += _flat(each)
    return Instruction(decoded.mnemonic, tuple(operands))


def _flat(operand: Any) -> list[int]:
    """An operand as numbers."""
    _, _, kinds, *_ = _package()
    if isinstance(operand, kinds.Register):
        return [operand.name.value * BANK + operand.index]
    if isinstance(operand, kinds.Immediate):
        return [operand.value]
    if isinstance(operand, kinds.Address):
        return [operand.address]
    if isinstance(operand, kinds.ArrayEntry):
        return _flat(operand.address) + _flat(operand.index)
    if isinstance(operand, kinds.ArraySlice):
        return _flat(operand.address) + _flat(operand.start) + _flat(operand.stop)
    return [int(operand)]


def done(message_id: int) -> bytes:
    """MsgDone."""
    messages, *_ = _package()
    return bytes(messages.MsgDoneMessage(msg_id=message_id))


def error(code: ErrorCode) -> bytes:
    """ErrorMessage."""
    messages, *_ = _package()
    return bytes(messages.ErrorMessage(messages.ErrorCode(code.value)))


def returned_register(register: int, value: int) -> bytes:
    """ReturnReg."""
    messages, encoding, *_ = _package()
    name, index = divmod(register, BANK)
    return bytes(messages.ReturnRegMessage(encoding.Register(name, index), value))


def returned_array(address: int, values: Sequence[int | None]) -> bytes:
    """ReturnArray; None is encoded as the package does, by a type of its own."""
    messages, *_ = _package()
    return bytes(messages.ReturnArrayMessage(address, list(values)))
