"""Qubits that themselves travel over a link."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from qnode.stack.core import Core
from qnode.stack.events import TimerKey
from qnode.stack.link_layer import LinkLayer
from qnode.stack.memory import Cause, HeldQubit, SlotState
from qnode.wire.application import Qubit, ReceiveQubit, TransmitQubit
from qnode.wire.fabric import Arrived, Lost, Transmit

MOST_CAME = 4096
"""Losses on one link that are kept until somebody asks; of more, the oldest are forgotten."""


@dataclass(slots=True)
class Transmission:
    """Sending and receiving of qubits at a node."""

    core: Core
    link_layer: LinkLayer
    came: dict[str, deque[Arrived | Lost]] = field(default_factory=dict)
    """Arrivals and announced losses by link, that no application has asked for yet."""
    unplaced: deque[Arrived] = field(default_factory=deque)
    """Arrivals whose slot this node had just given to something else."""
    waiting: dict[str, deque[tuple[int, int]]] = field(default_factory=dict)
    """Sessions and calls that wait, by link."""

    def transmit(self, session: int, request: TransmitQubit) -> None:
        """Send a qubit to a neighbour.

        Raises:
            RequestRefused: it is not the session's, or there is no link.
        """
        link = self.link_layer.link_to(request.remote)
        held = self.core.qubit_of(session, request.qubit)
        held.slot.change(Cause.LEAVE)
        held.busy = True
        self.core.operate(
            Transmit(link=link.name, qubit=held.name), Transmitting(self.core, session, request.call, held)
        )

    def receive(self, session: int, request: ReceiveQubit) -> None:
        """Answer with the next qubit from a neighbour, now or when it comes.

        Raises:
            RequestRefused: there is no link.
        """
        link = self.link_layer.link_to(request.remote).name
        self.waiting.setdefault(link, deque()).append((session, request.call))
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, _timer(session, request.call))
        self._hand_over(link)

    def arrived(self, event: Arrived) -> None:
        """A qubit lies in a communication slot here; the fabric knows which, and will refuse whoever also took it."""
        self.unplaced.append(event)
        self.place()

    def place(self) -> None:
        """Give the qubits that have arrived their slots, as these are free."""
        while self.unplaced and self.core.memory.free("communication"):
            event = self.unplaced.popleft()
            self.core.memory.take("communication", Cause.PLACE, session=None, name=event.qubit)
            self.came.setdefault(event.link, deque()).append(event)
            self._hand_over(event.link)

    def lost(self, event: Lost) -> None:
        """A qubit did not arrive, and the channel tells."""
        came = self.came.setdefault(event.link, deque())
        came.append(event)
        if len(came) > MOST_CAME:
            came.remove(next(each for each in came if isinstance(each, Lost)))
        self._hand_over(event.link)

    def slot_failed(self, qubit: str) -> None:
        """A qubit that had arrived, and that nobody has been given, is lost."""
        for event in [event for event in self.unplaced if event.qubit == qubit]:
            self.unplaced.remove(event)
            self.lost(Lost(at=self.core.now, link=event.link, qubit=qubit, reason="its slot failed"))

    def timed_out(self, session: int, call: int) -> None:
        """A receiver's deadline has come."""
        for link, queue in self.waiting.items():
            if (session, call) in queue:
                queue.remove((session, call))
                self.core.fail(session, call, "timeout", f"no qubit came over link {link} in time")

    def forget(self, session: int) -> None:
        """The session is over."""
        for link, queue in self.waiting.items():
            self.waiting[link] = deque(waiter for waiter in queue if waiter[0] != session)

    def _hand_over(self, link: str) -> None:
        waiting, came = self.waiting.get(link), self.came.get(link)
        while waiting and came:
            (session, call), event = waiting.popleft(), came.popleft()
            self.core.cancel_timer(_timer(session, call))
            held = self.core.memory.qubits.get(event.qubit)
            if isinstance(event, Lost):
                self.core.fail(session, call, "lost", f"qubit {event.qubit} was lost on link {link}: {event.reason}")
            elif held is None or held.slot.state is SlotState.LEAVING:
                self.core.fail(session, call, "lost", f"qubit {event.qubit} from link {link} was lost: its slot failed")
            else:
                held.session = session
                self.core.answer(session, Qubit(call=call, now_ps=self.core.now, qubit=event.qubit))


@dataclass(slots=True)
class Transmitting:
    """A qubit being sent."""

    core: Core
    session: int
    call: int
    held: HeldQubit

    def completed(self, bits: tuple[int, ...]) -> None:
        """It has left."""
        self.core.memory.release(self.held, why=f"was transmitted at {self.core.now / 1e12:.9g} s")
        self.core.done(self.session, self.call)

    def refused(self, code: str, reason: str, done: int) -> None:
        """It stays."""
        self.core.settle(self.held)
        self.core.fail(self.session, self.call, "refused", reason)


def _timer(session: int, call: int) -> TimerKey:
    return ("receive_qubit", str(session), call)
