"""The client's end of a node's socket, for both flavours: frames out and in, and whether the node still lives."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from typing import Any

import msgspec
import zmq
from setproctitle import setproctitle
from zmq.utils.monitor import parse_monitor_message

from qnode.sdk.calls import Call, T
from qnode.sdk.errors import BY_CODE, NodeGone, QloomError, RequestFailed
from qnode.security.doorkeeper import secure_client
from qnode.security.keys import CredentialsError, read_credentials
from qnode.security.types import Credentials
from qnode.wire import application
from qnode.wire.codec import MAXIMUM_PAYLOAD_BYTES
from qnode.wire.version import VERSION

SOCKET_VARIABLE = "QLOOM_SOCKET"
APPLICATION_VARIABLE = "QLOOM_APPLICATION"
CREDENTIALS_VARIABLE = "QLOOM_CREDENTIALS"
"""The path of a private file, never a key itself."""
ATTACH_DEADLINE_S = 60.0
LINGER_MS = 1000
LIFE_CHECK_MS = 200
"""How often a waiting client looks whether its node still lives."""
HEARTBEAT_MS = 2000
SILENCE_MS = 20_000
"""A node on another machine that is silent for so long is gone, and so is a client of it."""
TROUBLE = zmq.Event.DISCONNECTED | zmq.Event.HANDSHAKE_FAILED_AUTH | zmq.Event.HANDSHAKE_FAILED_PROTOCOL


class Connection:
    """A DEALER at a node's socket."""

    def __init__(
        self,
        socket: str | None,
        application_name: str | None,
        *,
        holds_time: bool,
        credentials: str | os.PathLike[str] | None = None,
    ) -> None:
        private = _credentials(credentials, socket)
        endpoint = socket or (private.endpoint if private is not None else os.environ.get(SOCKET_VARIABLE))
        if not endpoint:
            raise QloomError(
                f"no socket of a node: give `socket`, or run under `qloom run` or `qloom exec`, which set "
                f"{SOCKET_VARIABLE}"
            )
        path = endpoint.removeprefix("ipc://")
        if path != endpoint and not Path(path).exists():
            raise NodeGone(f"there is no node at {endpoint}; is the testbed up? (`qloom ps`)")
        self.endpoint = endpoint
        name = application_name or (private.name if private is not None else os.environ.get(APPLICATION_VARIABLE))
        self.application = name or f"process-{os.getpid()}"
        self._same_machine = private is None or private.same_machine
        self.holds_time = holds_time
        self.node = ""
        self.now_ps = 0
        self.answered = 0
        self._detached = ""
        """Why the node has ended this session, if it has."""
        self.process_descriptor: int | None = None
        self._calls = 0
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.RCVHWM, 0)
        self.monitor: zmq.Socket[bytes] | None = None
        """Tells of what befalls the connection, where keys guard it."""
        if private is not None:
            secure_client(self.socket, keys=private.keys, server_key=private.server_key)
            self.socket.setsockopt(zmq.ROUTING_ID, os.urandom(16))  # nobody else can guess it and take its place
            self.monitor = self.socket.get_monitor_socket(TROUBLE)
        if not self._same_machine:
            self.socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
            self.socket.set(zmq.HEARTBEAT_TIMEOUT, SILENCE_MS)
            self.socket.set(zmq.HEARTBEAT_TTL, SILENCE_MS)
        self.socket.connect(endpoint)

    def send_attach(self) -> int:
        """Ask for a session."""
        self._calls += 1
        attach = application.Attach(
            call=self._calls,
            version=VERSION,
            application=self.application,
            process_id=os.getpid() if self._same_machine else None,
            holds_time=self.holds_time,
        )
        self.socket.send(application.requests.encode(attach))
        return self._calls

    def attached(self, answer: application.Answer) -> application.Attached:
        """The session is open; from now on the node's process is watched."""
        if not isinstance(answer, application.Attached):
            raise error_of(answer)
        self.node = answer.node
        if os.environ.get(APPLICATION_VARIABLE) == self.application:
            setproctitle(f"qloom: application {self.application} on {self.node}")
        if not self._same_machine:
            return answer
        try:
            self.process_descriptor = os.pidfd_open(answer.process_id)
        except OSError as error:
            raise NodeGone(f"the process {answer.process_id} of node {answer.node} is gone ({error})") from error
        return answer

    def send_call(self, call: Call[T], *, waiting: bool) -> int:
        """Send a request; returns its call number."""
        if self._detached:
            raise BY_CODE["limit"](self._detached)
        request: Any = call.request
        if isinstance(request, application.SendMessage) and len(request.payload) > MAXIMUM_PAYLOAD_BYTES:
            raise BY_CODE["limit"](
                f"a payload of {len(request.payload)} bytes, expected at most {MAXIMUM_PAYLOAD_BYTES}; split it"
            )
        self._calls += 1
        request = msgspec.structs.replace(request, call=self._calls, waiting=waiting)
        self.socket.send(application.requests.encode(request))
        return self._calls

    def send_wait(self) -> None:
        """Say that nothing more comes before an answer does."""
        self.socket.send(application.requests.encode(application.Wait(seen=self.answered)))

    def next_answer(self) -> application.Answer | None:
        """The next answer, if one is there."""
        try:
            return self._taken(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def wait_for_answer(self, *, deadline_s: float | None = None) -> application.Answer:
        """Wait for the next answer, as long as the node lives (or until the deadline).

        Raises:
            NodeGone: the node's process has ended, or nothing came in time.
        """
        self.socket.set(zmq.RCVTIMEO, LIFE_CHECK_MS)
        gives_up_at_s = None if deadline_s is None else time.monotonic() + deadline_s
        while True:
            try:
                return self._taken()
            except zmq.Again:
                error = self.trouble()
                if error is not None:
                    late = self.next_answer()
                    if late is None:
                        raise error from None
                    return late
                if gives_up_at_s is not None and time.monotonic() > gives_up_at_s:
                    raise NodeGone(f"no node answered at {self.endpoint} within {deadline_s:g} s") from None

    def life_descriptors(self) -> list[int]:
        """What becomes readable when there may be trouble."""
        descriptors = [] if self.process_descriptor is None else [self.process_descriptor]
        return descriptors if self.monitor is None else [*descriptors, self.monitor.FD]

    def trouble(self) -> QloomError | None:
        """Why no more answers will come; None as long as they may."""
        if self.process_descriptor is not None and select.select([self.process_descriptor], [], [], 0)[0]:
            return NodeGone(f"the process of node {self.node} has ended")
        while self.monitor is not None and self.monitor.poll(0):
            kind = parse_monitor_message(self.monitor.recv_multipart())["event"]
            if kind == zmq.Event.HANDSHAKE_FAILED_AUTH:
                return BY_CODE["denied"](f"{self.endpoint} does not know this key; `qloom keys add` makes one for it")
            if kind == zmq.Event.HANDSHAKE_FAILED_PROTOCOL:
                return BY_CODE["denied"](f"{self.endpoint} has another key than these credentials say, or none at all")
            if kind == zmq.Event.DISCONNECTED and self.node and not self._same_machine:
                return NodeGone(f"the connection to node {self.node} at {self.endpoint} is lost")
        return None

    def _taken(self, flags: int = 0) -> application.Answer:
        while not (frame := self.socket.recv(flags)):
            pass  # an empty frame: the node looks whether this client is still connected
        answer = application.answers.decode(frame)
        self.answered += 1
        self.now_ps = answer.now_ps
        if isinstance(answer, application.Failed) and answer.call is None and answer.code == "limit":
            self._detached = answer.reason
        return answer

    def close(self, *, linger_ms: int = LINGER_MS) -> None:
        """Give the socket back; what was sent may take the linger time to leave."""
        self.socket.set(zmq.LINGER, linger_ms)
        if self.process_descriptor is not None:
            os.close(self.process_descriptor)
            self.process_descriptor = None
        if self.monitor is not None:
            self.socket.disable_monitor()
            self.monitor.close(0)
            self.monitor = None
        self.socket.close()
        self._context.term()


def _credentials(path: str | os.PathLike[str] | None, socket: str | None) -> Credentials | None:
    """The credentials to use: those given, or those of the environment unless ``socket`` names another place.

    Raises:
        QloomError: they cannot be used.
    """
    chosen = path or os.environ.get(CREDENTIALS_VARIABLE)
    if not chosen:
        return None
    try:
        found = read_credentials(Path(chosen))
    except CredentialsError as error:
        raise QloomError(str(error)) from error
    return found if path or socket in (None, found.endpoint) else None


def error_of(answer: application.Answer) -> RequestFailed:
    """The exception for an answer that is not what was asked for."""
    if isinstance(answer, application.Failed):
        return BY_CODE[answer.code](answer.reason)
    return BY_CODE["bad_message"](f"the node answered {answer.__struct_config__.tag}, which does not fit the request")
