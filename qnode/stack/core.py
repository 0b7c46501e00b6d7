"""What the parts of a node share: the present instant, the actions of this step, memory, and pending operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from qnode.config import NodeConfiguration
from qnode.stack.events import Action, Answer, CancelTimer, Operate, Record, SendTo, SetTimer, TimerKey
from qnode.stack.memory import Cause, HeldQubit, Memory, SlotState
from qnode.wire import application, fabric
from qnode.wire.application import Answer as AnswerMessage
from qnode.wire.peer import PairDiscarded, PairNews, PeerMessage
from qnode.wire.quantum import Discard


class RequestRefused(Exception):
    """An application's request cannot be carried out: its fault, or the network's; nothing was changed."""

    def __init__(self, code: application.FailureCode, reason: str) -> None:
        super().__init__(reason)
        self.code: application.FailureCode = code
        self.reason = reason


LONGEST_PURPOSE = 256
LONGEST_REASON = 2000
"""Characters of a failure's reason, which may quote the request."""


def check_purpose(purpose: str) -> None:
    """Refuse a purpose that is too long to be told from node to node.

    Raises:
        RequestRefused: it is.
    """
    if len(purpose) > LONGEST_PURPOSE:
        raise RequestRefused("limit", f"a purpose of {len(purpose)} characters, expected at most {LONGEST_PURPOSE}")


class Pending(Protocol):
    """What to do when an operation at the fabric ends."""

    def completed(self, bits: tuple[int, ...]) -> None:
        """It was done, and these are its measured bits."""

    def refused(self, code: str, reason: str, done: int) -> None:
        """It was not done; of a circuit, the first ``done`` steps were."""


@dataclass(slots=True)
class Session:
    """An application attached to this node."""

    number: int
    application: str
    attach_call: int
    open_calls: set[int] = field(default_factory=set)
    answered: Callable[[AnswerMessage], None] | None = None
    """Where answers go that are for a program of the node itself."""
    inside: Callable[[AnswerMessage], None] | None = None
    """Where answers go to calls below zero: what the node itself asked on the application's behalf."""


@dataclass(slots=True)
class Core:
    """The shared state of a node's parts."""

    configuration: NodeConfiguration
    memory: Memory
    now: int = 0
    actions: list[Action] = field(default_factory=list)
    sessions: dict[int, Session] = field(default_factory=dict)
    pending: dict[int, Pending] = field(default_factory=dict)
    channel: Callable[[str, PairNews], None] | None = None
    """Sends so that it arrives once and in order; None without a control plane."""
    _operations: int = 0

    def operate(self, action: fabric.Action, then: Pending) -> int:
        """Have the fabric start ``action`` now; ``then`` hears of its end. Returns the operation's number."""
        operation = self._operations
        self._operations += 1
        self.pending[operation] = then
        self.actions.append(Operate(operation, action))
        return operation

    def answer(self, session: int, message: application.Answer) -> None:
        """Answer a call, if its session is still there."""
        attached = self.sessions.get(session)
        if attached is not None:
            if message.call is not None:
                attached.open_calls.discard(message.call)
            if attached.inside is not None and message.call is not None and message.call < 0:
                attached.inside(message)
            elif attached.answered is not None:
                attached.answered(message)
            else:
                self.actions.append(Answer(session, message))

    def fail(self, session: int, call: int | None, code: application.FailureCode, reason: str) -> None:
        """Answer a call with a failure."""
        reason = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."
        self.answer(session, application.Failed(call=call, now_ps=self.now, code=code, reason=reason))

    def done(self, session: int, call: int) -> None:
        """Answer a call with ``done``."""
        self.answer(session, application.Done(call=call, now_ps=self.now))

    def send(self, to: str, message: PeerMessage, *, over: str = "", housekeeping: bool = False) -> None:
        """Send a classical message to another node; ``over``: only beside this link."""
        self.actions.append(SendTo(to, message, over, housekeeping))

    def tell_of_pair(self, to: str, news: PairNews) -> None:
        """Tell the other end of a pair what became of this one's half: reliably, where there is a control plane."""
        if self.channel is not None:
            self.channel(to, news)
        else:
            self.send(to, news)

    def set_timer(self, delay_ps: int, key: TimerKey, *, housekeeping: bool = False) -> None:
        """Fire ``key`` after ``delay_ps``, instead of when it was to fire before."""
        self.actions.append(SetTimer(self.now + delay_ps, key, housekeeping))

    def cancel_timer(self, key: TimerKey) -> None:
        """Forget a timer; one that is not set is no error."""
        self.actions.append(CancelTimer(key))

    def record(self, kind: str, **details: Any) -> None:
        """Write a line into the event log."""
        self.actions.append(Record(kind, details))

    def room(self, session: int) -> float:
        """How many more slots the qubits of ``session`` may take, whether or not they are free."""
        most = self.configuration.limits.memory_slots
        if most is None:
            return math.inf
        return most - sum(held.session == session for held in self.memory.qubits.values())

    def qubit_of(self, session: int, name: str) -> HeldQubit:
        """A qubit that ``session`` may use.

        Raises:
            RequestRefused: it is gone, another's, or another call is working on it.
        """
        held = self.memory.qubits.get(name)
        if held is None:
            fate = self.memory.fate(name)
            code: application.FailureCode = "discarded" if fate.startswith("was discarded") else "gone"
            raise RequestRefused(code, f"qubit {name} {fate}")
        if held.session != session:
            owner = self.sessions.get(held.session) if held.session is not None else None
            whose = f"belongs to application {owner.application}" if owner else "belongs to no application"
            raise RequestRefused("not_yours", f"qubit {name} {whose}; an application may touch only its own")
        if held.slot.state is SlotState.LEAVING:
            raise RequestRefused("gone", f"qubit {name} is leaving: another call measures, sends or discards it")
        if held.busy:
            raise RequestRefused("bad_request", f"another call is working on qubit {name}; await that one first")
        return held

    def pair_of(self, session: int, pair_id: str) -> HeldQubit:
        """This node's half of a pair that ``session`` may use.

        Raises:
            RequestRefused: there is none.
        """
        held = self.memory.halves.get(pair_id)
        if held is not None:
            return self.qubit_of(session, held.name)
        raise RequestRefused("gone", f"no qubit here is a half of pair {pair_id}; it was used, discarded or never here")

    def watch_cutoff(self, held: HeldQubit) -> None:
        """Set the timer that discards a pair's half once it is older than its slot's role allows."""
        cutoff_ps = self.cutoff_ps(held)
        if held.pair is not None and cutoff_ps is not None:
            self.set_timer(max(0, held.pair.emitted_at + cutoff_ps - self.now), ("cutoff", held.name, 0))

    def cutoff_ps(self, held: HeldQubit) -> int | None:
        """The oldest age of a pair in the slot that ``held`` lies in."""
        if held.slot.role == "storage":
            return self.configuration.storage_cutoff_ps
        return self.configuration.communication_cutoff_ps

    def discard(self, held: HeldQubit, *, why: str, tell: bool = True) -> None:
        """Throw a qubit away, now or when it is not busy; if it is a half of a pair, ``tell`` the other end."""
        if held.busy:
            held.doomed = held.doomed or (why, tell)
            return
        if held.pair is not None and tell:
            self.tell_of_pair(held.pair.remote, PairDiscarded(pair_id=held.pair.pair_id, reason=why))
        held.slot.change(Cause.LEAVE)
        held.busy = True
        self.operate(fabric.Circuit(steps=(Discard(qubit=held.name),)), Leaving(self, (held,), f"was discarded: {why}"))

    def lives(self, held: HeldQubit) -> bool:
        """Whether a qubit is there and not on its way out."""
        is_there = self.memory.qubits.get(held.name) is held and held.doomed is None
        return is_there and held.slot.state is not SlotState.LEAVING

    def settle(self, held: HeldQubit) -> None:
        """An operation has left the qubit where it was; if it was to be discarded meanwhile, it is now."""
        held.busy = False
        if held.slot.state is SlotState.LEAVING:
            held.slot.change(Cause.STAY_PAIRED if held.pair is not None else Cause.STAY)
        if held.doomed is not None:
            why, tell = held.doomed
            held.doomed = None
            self.discard(held, why=why, tell=tell)


@dataclass(slots=True)
class Leaving:
    """Qubits that the operation takes away: their slots are freed once it is done."""

    core: Core
    qubits: tuple[HeldQubit, ...]
    why: str

    def completed(self, bits: tuple[int, ...]) -> None:
        """The qubits are gone."""
        for held in self.qubits:
            self.core.memory.release(held, why=self.why)

    def refused(self, code: str, reason: str, done: int) -> None:
        """They stay, unless the fabric says that they had gone before."""
        for held in self.qubits:
            if code == "gone":
                self.core.memory.release(held, why=self.why)
            else:
                self.core.settle(held)
