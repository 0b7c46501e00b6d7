"""Classical sockets and broadcasts between NetQASM programs, over the messages of their nodes. Times are virtual."""

from __future__ import annotations

import os
from typing import Any

from netqasm.logging.output import ClassCommLogger
from netqasm.sdk.classical_communication import broadcast_channel, socket
from netqasm.sdk.classical_communication.message import StructuredMessage
from netqasm.sdk.classical_communication.thread_socket.socket import (
    log_recv,
    log_recv_structured,
    log_send,
    log_send_structured,
)
from netqasm.sdk.config import LogConfig
from netqasm.util.log import LineTracker

from qnode.netqasm_sdk.host import current
from qnode.sdk import calls
from qnode.sdk.blocking import Pending
from qnode.sdk.errors import TimedOut

LOOK_S = 1e-6
"""Virtual seconds that a look for a message takes where none is there: a program that looks again and again lets
time go on."""


class Socket(socket.Socket):  # type: ignore[misc]
    """A classical socket with another role's program. It needs no partner to be made: messages wait for theirs."""

    _loggers: dict[str, ClassCommLogger] = {}

    def __init__(
        self,
        app_name: str,
        remote_app_name: str,
        socket_id: int = 0,
        timeout: float | None = None,
        use_callbacks: bool = False,
        log_config: LogConfig | None = None,
    ) -> None:
        """``timeout`` is of no use here: there is nothing to wait for.

        Raises:
            ValueError: there is no such role, or it is one's own.
        """
        if app_name == remote_app_name:
            raise ValueError(f"{app_name} cannot have a socket with itself")
        self._host = current()
        self._app_name, self._remote_app_name, self._id = app_name, remote_app_name, socket_id
        self._remote_node = self._host.node_of(remote_app_name)
        self._tag = _tag(remote_app_name, app_name, socket_id)
        """Of what comes in."""
        self._text = ""
        log_config = log_config or LogConfig()
        self._line_tracker = LineTracker(log_config)
        self._comm_logger = self._logger(log_config)
        self.use_callbacks = use_callbacks
        if use_callbacks:
            self._listen()

    def _logger(self, log_config: LogConfig) -> ClassCommLogger | None:
        if log_config.comm_log_dir is None:
            return None
        path = os.path.join(log_config.comm_log_dir, f"{self._app_name.lower()}_class_comm.yaml")
        if path not in self._loggers:
            self._loggers[path] = ClassCommLogger(filepath=path)
        return self._loggers[path]

    @property
    def app_name(self) -> str:
        """This end's role."""
        return self._app_name

    @property
    def remote_app_name(self) -> str:
        """The other end's role."""
        return self._remote_app_name

    @property
    def id(self) -> int:
        """The same at both ends."""
        return self._id

    @property
    def socket_id(self) -> int:
        """The same at both ends."""
        return self._id

    @property
    def connected(self) -> bool:
        """Always: what is sent waits for the other end."""
        return True

    def _send(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"a message must be a str, found {type(text).__name__}")
        tag = _tag(self._app_name, self._remote_app_name, self._id)
        self._host.session.send(self._remote_node, f"{self._host.run} {text}".encode(), tag=tag)

    @property
    def awaited(self) -> Pending[bytes] | None:
        """The next message, if it is asked for."""
        return self._host.awaited.get(self._tag)

    def await_message(self, timeout_s: float | None = None) -> Pending[bytes]:
        """Ask for the next message."""
        call = calls.receive(self._remote_node, tag=self._tag, timeout_s=timeout_s)
        awaited = self._host.awaited[self._tag] = self._host.session.begin(call)
        return awaited

    def ready(self) -> bool:
        """Whether a message is there; those of earlier runs, which nobody read, are dropped."""
        awaited = self.awaited
        if awaited is None or not awaited.answered:
            return False
        try:
            run, _, self._text = awaited.result().decode().partition(" ")
        except TimedOut:
            run = ""
        if run != str(self._host.run):
            del self._host.awaited[self._tag]
            return False
        return True

    def take(self) -> str:
        """The message that is there."""
        del self._host.awaited[self._tag]
        return self._text

    def _receive(self, block: bool, timeout_s: float | None) -> str:
        if not wait_for_any((self,), timeout_s if block else LOOK_S):
            what = f"no message from {self._remote_app_name} to {self._app_name} on socket {self._id}"
            raise TimeoutError(f"{what} in {timeout_s} s") if block else RuntimeError(what)
        return self.take()

    @log_send  # type: ignore[untyped-decorator]
    def send(self, msg: str) -> None:
        """Send text; it arrives after the latency of the way."""
        self._send(msg)

    @log_recv  # type: ignore[untyped-decorator]
    def recv(self, block: bool = True, timeout: float | None = None, maxsize: int | None = None) -> str:
        """The next message, whole whatever ``maxsize`` is.

        Raises:
            RuntimeError: ``block`` is false and none is there.
            TimeoutError: none came in ``timeout`` virtual seconds.
        """
        return self._receive(block, timeout)

    def send_silent(self, msg: str) -> None:
        """``send``, which no log tells of."""
        self._send(msg)

    def recv_silent(self, block: bool = True, timeout: float | None = None, maxsize: int | None = None) -> str:
        """``recv``, which no log tells of."""
        return self._receive(block, timeout)

    @log_send_structured  # type: ignore[untyped-decorator]
    def send_structured(self, msg: Any) -> None:
        """Send header and payload, which the decorator has made JSON."""
        self._send(msg)

    @log_recv_structured  # type: ignore[untyped-decorator]
    def recv_structured(
        self, block: bool = True, timeout: float | None = None, maxsize: int | None = None
    ) -> StructuredMessage:
        """The next message, which the decorator makes header and payload again."""
        return self._receive(block, timeout)

    def _listen(self) -> None:
        """Hand each message to ``recv_callback`` when it comes, while the program waits for anything."""

        def heard() -> None:
            there = self.ready()
            text = self.take() if there else ""
            self._listen()
            if there:
                self.recv_callback(text)

        (self.awaited or self.await_message()).then = heard


def _tag(sender: str, recipient: str, socket_id: int) -> str:
    return f"netqasm {socket_id} {sender}>{recipient}"


def wait_for_any(sockets: tuple[Socket, ...], timeout_s: float | None) -> bool:
    """Wait until a message is there for one of them; returns whether one came in so many virtual seconds."""
    session = current().session
    ends_ps = None if timeout_s is None else session.now_ps + max(1, round(timeout_s * calls.PICOSECONDS))
    deadline: Pending[None] | None = None
    while not any(each.ready() for each in sockets):
        remaining_s = None if ends_ps is None else (ends_ps - session.now_ps) / calls.PICOSECONDS
        if remaining_s is not None and remaining_s <= 0:
            return False
        known = [each.awaited for each in sockets]
        awaited = [pending or each.await_message(remaining_s) for each, pending in zip(sockets, known, strict=True)]
        if remaining_s is not None and all(known) and deadline is None:
            deadline = session.begin(calls.sleep(remaining_s))  # they were asked for before, without a limit
        session.wait_any(*awaited, *(() if deadline is None else (deadline,)))
    return True


class BroadcastChannel(broadcast_channel.BroadcastChannelBySockets):  # type: ignore[misc]
    """A channel to several other roles; by default to all."""

    _socket_class = Socket
    _sockets: dict[str, Socket]

    def __init__(self, app_name: str, remote_app_names: list[str] | None = None, **named: Any) -> None:
        if remote_app_names is None:
            remote_app_names = [role for role in current().program.roles if role != app_name]
        super().__init__(app_name, remote_app_names, **named)

    def recv(self, block: bool = True, timeout: float | None = None) -> tuple[str, str]:
        """Role and text of the next message from any of them.

        Raises:
            RuntimeError: ``block`` is false and none is there.
            TimeoutError: none came in ``timeout`` virtual seconds.
        """
        if not wait_for_any(tuple(self._sockets.values()), timeout if block else LOOK_S):
            raise TimeoutError(f"no message was broadcast in {timeout} s") if block else RuntimeError("no message")
        return next((name, each.take()) for name, each in self._sockets.items() if each.ready())
