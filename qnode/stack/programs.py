"""Programs that run inside a node: services made of nothing but what an application could ask for.

A program is a generator. It yields requests, with ``call=0``, and is resumed with the answer of each; or it yields
`Await` and is resumed when somebody signals that key. It runs under a session of its own, so all rules about whose a
qubit is hold for it, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from qnode.stack.core import Core, Session
from qnode.wire.application import Answer, Request


@dataclass(slots=True, frozen=True)
class Await:
    """Wait until this key is signalled."""

    key: str


Program = Generator[Any, Any, None]


@dataclass(slots=True)
class Running:
    """One program."""

    program: Program
    ended: Callable[[], None]
    waits_for_call: int = -1
    waits_for_key: str = ""
    calls: int = 0


@dataclass(slots=True)
class Programs:
    """All programs of a node."""

    core: Core
    ask: Callable[[int, Request], None]
    """Serves a request of a session."""
    end_session: Callable[[int, str], None]
    running: dict[int, Running] = field(default_factory=dict)
    signals: dict[str, Any] = field(default_factory=dict)
    """Keys that were signalled before anybody waited for them."""
    _due: deque[tuple[int, Any]] = field(default_factory=deque)
    _started: int = 0
    _acting: int = 0
    """The session of the program that acts right now."""

    def start(self, name: str, program: Program, *, ended: Callable[[], None] = lambda: None) -> int:
        """Let a program act, as soon as this step is done; returns its session."""
        self._started += 1
        number = -self._started
        self.core.sessions[number] = Session(number, name, 0, answered=lambda answer: self._answered(number, answer))
        self.running[number] = Running(program, ended)
        self._due.append((number, None))
        return number

    def stop(self, number: int, reason: str) -> None:
        """End a program: what it holds is given back. One that stops itself does so by returning."""
        running = self.running.get(number)
        if running is not None and number != self._acting:
            del self.running[number]
            running.program.close()
            self.end_session(number, reason)

    def signal(self, key: str, value: Any) -> None:
        """Resume whoever waits for ``key``, or keep the value for whoever will."""
        for number, running in self.running.items():
            if running.waits_for_key == key:
                running.waits_for_key = ""
                self._due.append((number, value))
                return
        self.signals[key] = value

    def _answered(self, number: int, answer: Answer) -> None:
        running = self.running.get(number)
        if running is not None and answer.call == running.waits_for_call:
            running.waits_for_call = -1
            self._due.append((number, answer))

    def go(self) -> None:
        """Let every program act that can."""
        while self._due:
            number, value = self._due.popleft()
            running = self.running.get(number)
            if running is not None:
                self._resume(number, running, value)

    def _resume(self, number: int, running: Running, value: Any) -> None:
        self._acting = number
        try:
            wish = running.program.send(value)
        except StopIteration:
            del self.running[number]
            self.end_session(number, "its program has ended")
            running.ended()
            return
        finally:
            self._acting = 0
        if isinstance(wish, Await):
            if wish.key in self.signals:
                self._due.append((number, self.signals.pop(wish.key)))
            else:
                running.waits_for_key = wish.key
            return
        running.calls += 1
        running.waits_for_call = running.calls
        self.ask(number, msgspec.structs.replace(wish, call=running.calls))
