"""The client's end of a node's socket, for both flavours: frames out and in, and whether the node still lives."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Any

import msgspec
import zmq
from setproctitle import setproctitle

from qnode.sdk.calls import Call, T
from qnode.sdk.errors import BY_CODE, NodeGone, QloomError, RequestFailed
from qnode.wire import application
from qnode.wire.codec import MAXIMUM_PAYLOAD_BYTES
from qnode.wire.version import VERSION

SOCKET_VARIABLE = "QLOOM_SOCKET"
APPLICATION_VARIABLE = "QLOOM_APPLICATION"
ATTACH_DEADLINE_S = 60.0
LINGER_MS = 1000
LIFE_CHECK_MS = 200
"""How often a waiting client looks whether its node still lives."""


class Connection:
    """A DEALER at a node's socket."""

    def __init__(self, socket: str | None, application_name: str | None, *, holds_time: bool) -> None:
        endpoint = socket or os.environ.get(SOCKET_VARIABLE)
        if not endpoint:
            raise QloomError(
                f"no socket of a node: give `socket`, or run under `qloom run` or `qloom exec`, which set "
                f"{SOCKET_VARIABLE}"
            )
        path = endpoint.removeprefix("ipc://")
        if path != endpoint and not Path(path).exists():
            raise NodeGone(f"there is no node at {endpoint}; is the testbed up? (`qloom ps`)")
        self.endpoint = endpoint
        self.application = application_name or os.environ.get(APPLICATION_VARIABLE) or f"process-{os.getpid()}"
        self.holds_time = holds_time
        self.node = ""
        self.now_ps = 0
        self.answered = 0
        self.process_descriptor: int | None = None
        self._calls = 0
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.connect(endpoint)

    def send_attach(self) -> int:
        """Ask for a session."""
        self._calls += 1
        attach = application.Attach(
            call=self._calls,
            version=VERSION,
            application=self.application,
            process_id=os.getpid(),
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
        try:
            self.process_descriptor = os.pidfd_open(answer.process_id)
        except OSError as error:
            raise NodeGone(f"the process {answer.process_id} of node {answer.node} is gone ({error})") from error
        return answer

    def send_call(self, call: Call[T], *, waiting: bool) -> int:
        """Send a request; returns its call number."""
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
            return self._taken(self.socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            return None

    def wait_for_answer(self, *, deadline_s: float | None = None) -> application.Answer:
        """Wait for the next answer, as long as the node lives (or until the deadline).

        Raises:
            NodeGone: the node's process has ended, or nothing came in time.
        """
        self.socket.set(zmq.RCVTIMEO, LIFE_CHECK_MS if deadline_s is None else round(deadline_s * 1000))
        while True:
            try:
                return self._taken(self.socket.recv())
            except zmq.Again:
                if deadline_s is not None:
                    raise NodeGone(f"no node answered at {self.endpoint} within {deadline_s:g} s") from None
                if self.process_descriptor is not None and select.select([self.process_descriptor], [], [], 0)[0]:
                    late = self.next_answer()
                    if late is None:
                        raise NodeGone(f"the process of node {self.node} has ended") from None
                    return late

    def _taken(self, frame: bytes) -> application.Answer:
        answer = application.answers.decode(frame)
        self.answered += 1
        self.now_ps = answer.now_ps
        return answer

    def close(self, *, linger_ms: int = LINGER_MS) -> None:
        """Give the socket back; what was sent may take the linger time to leave."""
        self.socket.set(zmq.LINGER, linger_ms)
        if self.process_descriptor is not None:
            os.close(self.process_descriptor)
            self.process_descriptor = None
        self.socket.close()
        self._context.term()


def error_of(answer: application.Answer) -> RequestFailed:
    """The exception for an answer that is not what was asked for."""
    if isinstance(answer, application.Failed):
        return BY_CODE[answer.code](answer.reason)
    return BY_CODE["bad_message"](f"the node answered {answer.__struct_config__.tag}, which does not fit the request")
