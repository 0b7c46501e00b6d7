"""Looks at the true state of an application's qubits: the oracle's view, which passes through the node unread."""

from __future__ import annotations

from dataclasses import dataclass

from qnode.stack.core import Core
from qnode.stack.local_operations import FAILURES
from qnode.stack.memory import HeldQubit
from qnode.wire.application import OracleState, TrueState
from qnode.wire.fabric import Look, Seen


@dataclass(slots=True)
class Looking:
    """A look at the fabric; its qubits are busy meanwhile."""

    core: Core
    session: int
    call: int
    held: list[HeldQubit]

    def completed(self, bits: tuple[int, ...]) -> None:
        """Everything is in what was seen."""

    def refused(self, code: str, reason: str, done: int) -> None:
        """Nothing was seen."""
        self._settle()
        self.core.fail(self.session, self.call, FAILURES.get(code, "refused"), reason)

    def seen(self, event: Seen) -> None:
        """Hand it on."""
        self._settle()
        answer = TrueState(call=self.call, now_ps=self.core.now, qubits=event.qubits, state=event.state)
        self.core.answer(self.session, answer)

    def _settle(self) -> None:
        for held in self.held:
            self.core.settle(held)


def ask(core: Core, session: int, request: OracleState) -> None:
    """Have the fabric look at qubits of a session.

    Raises:
        RequestRefused: one of them is not its own.
    """
    held = [core.qubit_of(session, name) for name in request.qubits]
    for each in held:
        each.busy = True
    look = Look(qubits=tuple(each.name for each in held), entangled=request.entangled)
    core.operate(look, Looking(core, session, request.call, held))


def seen(core: Core, event: Seen) -> None:
    """A look has ended."""
    looking = core.pending.pop(event.operation)
    assert isinstance(looking, Looking)
    looking.seen(event)
