"""Teleportation over one Bell pair: measure at one end, tell, correct at the other (Bennett et al., 1993)."""

from __future__ import annotations

from dataclasses import dataclass, field

from qnode.stack.core import Core, RequestRefused
from qnode.stack.events import TimerKey
from qnode.stack.link_layer import correction
from qnode.stack.memory import Cause, HeldQubit
from qnode.wire.application import Outcomes, Qubit, ReceiveTeleported, Teleport
from qnode.wire.fabric import Circuit
from qnode.wire.peer import PairDiscarded, QubitArrived, TeleportOutcome
from qnode.wire.quantum import MeasureBell


@dataclass(slots=True)
class Confirming:
    """A call that waits to hear that its qubit arrived."""

    session: int
    call: int
    remote: str
    bits: tuple[int, ...]


@dataclass(slots=True)
class Teleportation:
    """Both ends of every teleportation of a node."""

    core: Core
    waiting: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Session and call that wait for a pair's outcome; its half is busy meanwhile."""
    confirming: dict[str, Confirming] = field(default_factory=dict)
    """Qubits that were sent and whose senders wait to hear that they arrived, by pair."""

    def teleport(self, session: int, request: Teleport) -> None:
        """Measure the qubit and this end of the pair in the Bell basis.

        Raises:
            RequestRefused: one of them is not the session's.
        """
        core = self.core
        half = core.pair_of(session, request.pair_id)
        data = core.qubit_of(session, request.qubit)
        if data is half or half.pair is None:
            raise RequestRefused("bad_request", f"qubit {data.name} is the pair's own half; give the qubit to send")
        for held in (data, half):
            held.busy = True
            held.slot.change(Cause.LEAVE)
        step = MeasureBell(qubits=(data.name, half.name))
        core.operate(
            Circuit(steps=(step,)),
            Sending(self, session, request.call, half.pair.pair_id, half.pair.remote, (data, half), request.confirmed),
        )

    def receive(self, session: int, request: ReceiveTeleported) -> None:
        """Correct this end of the pair, once its outcome is here.

        Raises:
            RequestRefused: the pair is not the session's.
        """
        half = self.core.pair_of(session, request.pair_id)
        half.busy = True
        if half.outcome is not None:
            self._correct(session, request.call, half, half.outcome)
            return
        self.waiting[request.pair_id] = (session, request.call)
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, _timer(request.pair_id, request.call))

    def told(self, half: HeldQubit, outcome: TeleportOutcome) -> None:
        """The other end has measured. A repeated telling changes nothing."""
        if any(bit not in (0, 1) for bit in outcome.bits) or half.outcome is not None:
            return
        if outcome.confirm and half.pair is not None:
            self.core.tell_of_pair(half.pair.remote, QubitArrived(pair_id=outcome.pair_id, arrived=True))
        half.outcome = outcome.bits
        waiter = self._no_longer_waiting(outcome.pair_id)
        if waiter is not None:
            self._correct(*waiter, half, outcome.bits)

    def confirmed(self, sender: str, message: QubitArrived) -> None:
        """The other end has the qubit, or it is lost."""
        confirming = self.confirming.get(message.pair_id)
        if confirming is None or confirming.remote != sender:
            return
        del self.confirming[message.pair_id]
        if message.arrived:
            bits, now = confirming.bits, self.core.now
            self.core.answer(confirming.session, Outcomes(call=confirming.call, now_ps=now, bits=bits))
        else:
            reason = f"the qubit is lost: {sender} no longer had its half of pair {message.pair_id}"
            self.core.fail(confirming.session, confirming.call, "lost", reason)

    def silent(self, peer: str) -> None:
        """A peer acknowledges nothing: what was sent to it may be lost."""
        for pair_id, confirming in list(self.confirming.items()):
            if confirming.remote == peer:
                del self.confirming[pair_id]
                reason = f"the qubit may be lost: {peer} acknowledges nothing"
                self.core.fail(confirming.session, confirming.call, "lost", reason)

    def timed_out(self, pair_id: str, call: int) -> None:
        """A receiver's deadline has come; it may ask again."""
        waiter = self.waiting.get(pair_id)
        if waiter is not None and waiter[1] == call:
            self.core.fail(*waiter, "timeout", f"no outcome for pair {pair_id} came in time")
            self._give_back(pair_id)

    def discarded(self, pair_id: str, why: str) -> None:
        """The pair is worth nothing: whoever waits for its outcome is told."""
        if pair_id in self.waiting:
            self.core.fail(*self.waiting[pair_id], "discarded", f"pair {pair_id} was discarded: {why}")
            self._give_back(pair_id)

    def forget(self, session: int) -> None:
        """The session is over."""
        for pair_id in [pair_id for pair_id, waiter in self.waiting.items() if waiter[0] == session]:
            self._give_back(pair_id)
        for pair_id in [pair_id for pair_id, each in self.confirming.items() if each.session == session]:
            del self.confirming[pair_id]

    def _no_longer_waiting(self, pair_id: str) -> tuple[int, int] | None:
        waiter = self.waiting.pop(pair_id, None)
        if waiter is not None:
            self.core.cancel_timer(_timer(pair_id, waiter[1]))
        return waiter

    def _give_back(self, pair_id: str) -> None:
        """Nobody waits any more; the half is as it was."""
        self._no_longer_waiting(pair_id)
        self.core.settle(self.core.memory.halves[pair_id])

    def _correct(self, session: int, call: int, half: HeldQubit, outcome: tuple[int, int]) -> None:
        core = self.core
        core.memory.unpair(half)
        half.slot.change(Cause.UNPAIR)
        correcting = CorrectingTeleported(core, session, call, half)
        steps = correction(half.name, *outcome)
        if steps:
            core.operate(Circuit(steps=steps), correcting)
        else:
            correcting.completed(())


@dataclass(slots=True)
class Sending:
    """The Bell measurement of a teleportation."""

    part: Teleportation
    session: int
    call: int
    pair_id: str
    remote: str
    consumed: tuple[HeldQubit, HeldQubit]
    confirmed: bool

    def completed(self, bits: tuple[int, ...]) -> None:
        """Tell the other end."""
        core = self.part.core
        for held in self.consumed:
            core.memory.release(held, why=f"was teleported or measured at {core.now / 1e12:.9g} s")
        outcome = TeleportOutcome(pair_id=self.pair_id, bits=(bits[0], bits[1]), confirm=self.confirmed)
        core.tell_of_pair(self.remote, outcome)
        if self.confirmed:
            self.part.confirming[self.pair_id] = Confirming(self.session, self.call, self.remote, bits)
        else:
            core.answer(self.session, Outcomes(call=self.call, now_ps=core.now, bits=bits))

    def refused(self, code: str, reason: str, done: int) -> None:
        """Nothing was measured; or both qubits were, and nothing was learnt of them."""
        core = self.part.core
        if code == "inconclusive":
            for held in self.consumed:
                core.memory.release(held, why="was lost in an inconclusive Bell measurement")
            core.tell_of_pair(self.remote, PairDiscarded(pair_id=self.pair_id, reason=reason))
            core.fail(self.session, self.call, "inconclusive", reason)
            return
        for held in self.consumed:
            core.settle(held)
        core.fail(self.session, self.call, "refused", reason)


@dataclass(slots=True)
class CorrectingTeleported:
    """The Pauli gates at the receiving end."""

    core: Core
    session: int
    call: int
    held: HeldQubit

    def completed(self, bits: tuple[int, ...]) -> None:
        """The qubit is what was sent."""
        self.core.settle(self.held)
        self.core.answer(self.session, Qubit(call=self.call, now_ps=self.core.now, qubit=self.held.name))

    def refused(self, code: str, reason: str, done: int) -> None:
        """The fabric could not correct it."""
        self.core.settle(self.held)
        self.core.fail(self.session, self.call, "refused", reason)


def _timer(pair_id: str, call: int) -> TimerKey:
    return ("teleported", pair_id, call)
