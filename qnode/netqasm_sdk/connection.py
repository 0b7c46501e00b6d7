"""The connection of a NetQASM program with its quantum node: messages over the session, values into shared memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count
from typing import Any, NoReturn

import numpy as np
from netqasm.backend import messages
from netqasm.lang import operand
from netqasm.lang.encoding import OptionalInt
from netqasm.lang.ir import ProtoSubroutine
from netqasm.sdk.builder import LabelManager
from netqasm.sdk.connection import BaseNetQASMConnection
from netqasm.sdk.network import NetworkInfo
from netqasm.sdk.qubit import Qubit
from netqasm.sdk.shared_memory import SharedMemory
from netqasm.sdk.transpile import NVSubroutineTranspiler

from qnode.netqasm_sdk.host import current
from qnode.sdk import calls
from qnode.sdk.blocking import Pending
from qnode.sdk.errors import NodeGone, QloomError, RunEnded
from qnode.wire.application import Flavour, NetqasmReturned


class QuantumNodeError(QloomError):
    """The quantum node answered with NetQASM's error message; ``code`` is its word, ``reason`` the node's."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"the quantum node answered with the error {code}: {reason}")
        self.code = code
        self.reason = reason


class QloomNetworkInfo(NetworkInfo):  # type: ignore[misc]
    """Who is where, as the testbed told this process."""

    @classmethod
    def _get_node_id(cls, node_name: str) -> int:
        return current().node_id(node_name)

    @classmethod
    def _get_node_name(cls, node_id: int) -> str:
        nodes = current().program.nodes
        if not 0 <= node_id < len(nodes):
            raise ValueError(f"{node_id} is no node's number, expected 0 to {len(nodes) - 1}")
        return nodes[node_id]

    @classmethod
    def get_node_id_for_app(cls, app_name: str) -> int:
        """The number of the node that a role's program runs on."""
        return current().node_id(current().node_of(app_name))

    @classmethod
    def get_node_name_for_app(cls, app_name: str) -> str:
        """The node that a role's program runs on."""
        return current().node_of(app_name)


class Labels(LabelManager):  # type: ignore[misc]
    """The package's labels for branches, found without trying all earlier ones anew: long programs go on as fast."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, int] = {}

    def new_label(self, start_with: str = "") -> str:
        """``start_with`` and the first number with which it is no label yet."""
        for number in count(self._next.get(start_with, 0)):
            name = f"{start_with}{number or ''}"
            if name not in self._labels:
                self._labels.add(name)
                self._next[start_with] = number + 1
                return name
        raise AssertionError("there is always a further number")


class NetQASMConnection(BaseNetQASMConnection):  # type: ignore[misc]
    """The connection with the node of this process. Takes what ``BaseNetQASMConnection`` takes."""

    def __init__(self, app_name: str, *arguments: Any, **named: Any) -> None:
        self._host = current()
        self._memory = SharedMemory()
        self._waited_for: list[tuple[Pending[NetqasmReturned], Callable[[], Any] | None]] = []
        """What was committed and not waited for, in order."""
        self.qubit_names: tuple[str, ...] = ()
        """The node's names of the application's qubits, by virtual address."""
        if self._host.program.flavour == "nv":
            named.setdefault("compiler", NVSubroutineTranspiler)
        self._flavour: Flavour = "nv" if named.get("compiler") is NVSubroutineTranspiler else "vanilla"
        super().__init__(app_name, *arguments, **named)
        self._builder._label_mgr = Labels()
        self._host.connections.append(self)

    @property
    def shared_memory(self) -> SharedMemory:
        """Registers and arrays that the node has returned."""
        return self._memory

    def _get_network_info(self) -> type[NetworkInfo]:
        return QloomNetworkInfo

    def commit_protosubroutine(
        self, protosubroutine: ProtoSubroutine, block: bool = True, callback: Callable[[], Any] | None = None
    ) -> None:
        """As the package does it; its text for the debug log, which takes longer than all else, only if it is read."""
        if self._logger.isEnabledFor(logging.DEBUG):
            super().commit_protosubroutine(protosubroutine, block=block, callback=callback)
            return
        subroutine = self._builder.subrt_compile_subroutine(protosubroutine)
        subroutine.instantiate(self.app_id)
        message = bytes(messages.SubroutineMessage(subroutine=subroutine))
        self._commit_serialized_message(message, block=block, callback=callback)
        self._builder._reset()

    def _commit_serialized_message(
        self, raw_msg: bytes, block: bool = True, callback: Callable[[], Any] | None = None
    ) -> None:
        """Have the node obey a message; its answer is there afterwards, unless ``block`` is false.

        Raises:
            QuantumNodeError: the node could not obey.
        """
        pending = self._host.session.begin(calls.netqasm(raw_msg, flavour=self._flavour))
        self._waited_for.append((pending, callback))
        if block:
            self.block()

    def block(self) -> None:
        """Wait until all that was committed has been obeyed.

        Raises:
            QuantumNodeError: the node could not obey.
        """
        while self._waited_for:
            pending, callback = self._waited_for.pop(0)
            self._take_in(pending.result())
            if callback is not None:
                callback()

    def _take_in(self, returned: NetqasmReturned) -> None:
        self.qubit_names = returned.qubits
        for raw in returned.messages:
            kind = messages.ReturnMessageType(raw[0])
            if kind is messages.ReturnMessageType.RET_REG:
                message = messages.deserialize_return_msg(raw)
                self._memory.set_register(operand.Register.from_raw(message.register), message.value)
            elif kind is messages.ReturnMessageType.RET_ARR:
                self._memory.init_new_array(*_array(raw))
            elif kind is messages.ReturnMessageType.ERR:
                code = messages.ErrorCode(messages.deserialize_return_msg(raw).err_code).name
                raise QuantumNodeError(code, returned.reason)

    def _signal_stop(self, clear_app: bool = True, stop_backend: bool = True) -> None:
        """Free what the application has at the node. The node itself goes on: others use it, too."""
        if clear_app:
            self._host.connections.remove(self)
        try:
            super()._signal_stop(clear_app=clear_app, stop_backend=False)
        except (NodeGone, RunEnded):
            self._waited_for.clear()  # an application ends with its node


def _array(raw: bytes) -> tuple[int, int, list[int | None]]:
    """Address, length and entries of a returned array. The package itself reads an entry without a value as 0."""
    body = raw[messages.MESSAGE_TYPE_BYTES :]
    header = messages.ReturnArrayMessageHeader.from_buffer_copy(body)
    entries = (OptionalInt * header.length).from_buffer_copy(body[messages.ReturnArrayMessageHeader.len() :])
    values = [entry.value if entry.type == OptionalInt._INT_TYPE else None for entry in entries]
    return header.address.address, header.length, values


def get_qubit_state(qubit: Qubit, reduced_dm: bool = True) -> np.ndarray:
    """The oracle's view: the true state of a qubit, after all that the program has asked for until now is done.

    Args:
        reduced_dm: of the qubit alone; if false, of it and of all that it is entangled with, the qubit itself first.

    Raises:
        qnode.sdk.Denied: the scenario forbids it.
        ValueError: the qubit is not in memory any more.
    """
    connection = qubit._conn
    connection.flush()
    connection.block()
    names, address = connection.qubit_names, qubit.qubit_id
    if not qubit.active or address >= len(names) or not names[address]:
        raise ValueError(f"qubit {address} of {connection.app_name} is not in memory: it was measured or freed")
    view = current().session.oracle_state(names[address], entangled=not reduced_dm)
    return np.array(view.density_matrix)


def simulate_application(*arguments: Any, **named: Any) -> NoReturn:
    """Other backends run all programs of an application in one process, from a script.

    Raises:
        QloomError: here, each program is a process of its own on its own node.
    """
    raise QloomError(
        "simulate_application runs all programs in this process; here each is a process of its own: put them into "
        "files app_ROLE.py with a function main, and run `qloom netqasm run DIRECTORY`"
    )
