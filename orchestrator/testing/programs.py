"""Programs that a test starts on nodes: functions of its own, each in a thread with a session, over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qnode.sdk import Session, attach

Work = Callable[..., Any]
"""A function whose first argument is the session."""


class Program:
    """A function at work on a node."""

    def __init__(
        self, name: str, node: str, work: Work, arguments: tuple[Any, ...], *, socket: str, credentials: Path | None
    ) -> None:
        self.name = name
        self.node = node
        self.result: Any = None
        """What the function returned; None before that."""
        self.error: BaseException | None = None
        """What it raised."""
        self._work = work
        self._arguments = arguments
        self._socket = socket
        self._credentials = credentials
        self._thread = threading.Thread(target=self._run, name=f"{name} on {node}", daemon=True)

    def start(self) -> None:
        """Begin; virtual time need not go on for that."""
        self._thread.start()

    def wait(self, deadline_s: float) -> bool:
        """Wait for its end in wall-clock time; returns whether it has ended."""
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with self._attach() as session:
                self.result = self._work(session, *self._arguments)
        except BaseException as error:  # noqa: BLE001 - kept for the test, which raises it where a person looks
            self.error = error

    def _attach(self) -> Session:
        if self._credentials is not None:
            return attach(credentials=self._credentials, application=self.name)
        return attach(socket=self._socket, application=self.name)
