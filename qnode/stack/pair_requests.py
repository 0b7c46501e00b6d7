"""Bell pairs that applications ask of a neighbour: kinds K, M and R (Dahlberg et al., SIGCOMM 2019)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from qnode.config import LinkConfiguration
from qnode.stack.core import Core, Leaving, RequestRefused, check_purpose
from qnode.stack.events import TimerKey
from qnode.stack.link_layer import CIRCUIT_PURPOSE, LinkLayer, correction
from qnode.stack.memory import Cause, HeldQubit
from qnode.wire.application import BellPair, Measured, Pair, RequestPairs
from qnode.wire.fabric import Circuit, Heralded
from qnode.wire.peer import PairDiscarded, PreparedRemotely
from qnode.wire.quantum import BELL_STATES, Axis, Measure

MOST_PAIRS = 1_000_000
"""Most pairs of one request."""


@dataclass(slots=True, eq=False)
class PairRequest:
    """One request of one application, until all its pairs are delivered."""

    requests: PairRequests
    session: int
    call: int
    asked: RequestPairs
    link: LinkConfiguration
    to_herald: int
    to_deliver: int
    waiting_call: int | None
    at_once: int = 1
    reserved: bool = False
    operating_point: int = 0
    """The fastest that makes pairs as good as asked for; the other end has to ask for as much."""
    goodness: float = 1.0
    """What the link says of its pairs' fidelity there."""
    ready: deque[BellPair] = field(default_factory=deque)
    pair_ids: list[str] = field(default_factory=list)
    bits: dict[str, int] = field(default_factory=dict)

    @property
    def purpose(self) -> str:
        """What both ends must agree on for attempts to start: made of all that decides the delivered state."""
        return ("as heralded: " if self.asked.as_heralded else "") + self.asked.purpose

    @property
    def measures(self) -> bool:
        """Whether this end measures its half on the herald."""
        return self.asked.kind == "M" or (self.asked.kind == "R" and self.asked.axis is not None)

    @property
    def timer(self) -> TimerKey:
        """The deadline's timer."""
        return ("pairs", str(self.session), self.call)

    @property
    def is_full(self) -> bool:
        """Whether the application's qubits and attempts fill the slots that it may have."""
        core = self.requests.core
        if core.configuration.limits.memory_slots is None:
            return False
        attempts = self.requests.link_layer.slots_bound_for(self.requests.of_session(self.session))
        return core.room(self.session) <= attempts

    @property
    def priority(self) -> int:
        """As asked."""
        return self.asked.priority

    def heralded(self, held: HeldQubit, herald: Heralded) -> None:
        """A pair for this request."""
        self.requests.heralded(self, held, herald)

    def died(self, held: HeldQubit, why: str, *, tell: bool) -> None:
        """The pair is worth nothing; another is generated in its place."""
        self.requests.core.discard(held, why=why, tell=tell)

    def refused(self, reason: str) -> None:
        """The fabric will never make such pairs."""
        if self.requests.has_open(self):
            self.requests.end(self, reason, "cancelled", reason)


@dataclass(slots=True)
class PairRequests:
    """All open pair requests of a node's applications."""

    core: Core
    link_layer: LinkLayer
    requests: dict[tuple[int, int], PairRequest] = field(default_factory=dict)
    awaiting_preparation: dict[str, tuple[PairRequest, BellPair]] = field(default_factory=dict)

    def ask(self, session: int, asked: RequestPairs) -> None:
        """Take a request into the queue.

        Raises:
            RequestRefused: no link can meet it.
        """
        link = self.link_layer.link_to(asked.remote)
        if not 1 <= asked.number <= MOST_PAIRS:
            raise RequestRefused("bad_request", f"number is {asked.number}, expected 1 to {MOST_PAIRS}")
        if not 0.0 <= asked.minimum_fidelity <= 1.0:
            raise RequestRefused("bad_request", f"minimum_fidelity is {asked.minimum_fidelity}, expected 0 to 1")
        fidelities = [point.spectrum[0] for point in link.operating_points] or [link.goodness]
        able = [number for number, fidelity in enumerate(fidelities) if fidelity >= asked.minimum_fidelity]
        if not able:
            raise RequestRefused(
                "unsupported",
                f"link {link.name} makes pairs of fidelity {max(fidelities):.6f} at best, asked for at least "
                f"{asked.minimum_fidelity:.6f}",
            )
        if asked.timeout_ps is not None and asked.timeout_ps <= 0:
            raise RequestRefused("bad_request", f"timeout_ps is {asked.timeout_ps}, expected more than 0")
        if self.core.configuration.communication_slots == 0:
            raise RequestRefused("no_slot", f"{self.core.configuration.name} has no communication slot")
        check_purpose(asked.purpose)
        if asked.purpose.startswith(CIRCUIT_PURPOSE):
            raise RequestRefused("bad_request", f"purposes that begin with {CIRCUIT_PURPOSE!r} belong to circuits")
        if asked.axis is not None:
            if asked.kind == "K":
                raise RequestRefused("bad_request", "a request of kind K keeps its pairs: give no axis")
            check_axis(asked.axis)
        self._check_limits(session, asked)
        if (session, asked.call) in self.requests:
            raise RequestRefused("bad_request", f"pair request {asked.call} is still open; use another call number")
        if asked.timeout_ps is not None and asked.timeout_ps < asked.number * link.cycle_ps:
            least = f"{asked.number * link.cycle_ps / 1e12:.9g} s for {asked.number} pairs"
            reason = f"an attempt on link {link.name} takes {link.cycle_ps / 1e12:.9g} s, so at least {least}"
            raise RequestRefused("no_time", f"{reason}; asked for within {asked.timeout_ps / 1e12:.9g} s")
        request = PairRequest(self, session, asked.call, asked, link, asked.number, asked.number, asked.call)
        request.operating_point = able[0]
        request.goodness = fidelities[able[0]]
        self.requests[(session, asked.call)] = request
        self.link_layer.add(request)
        if asked.timeout_ps is not None:
            self.core.set_timer(asked.timeout_ps, request.timer)

    def of_session(self, session: int) -> list[PairRequest]:
        """Those of one application."""
        return [request for request in self.requests.values() if request.session == session]

    def _check_limits(self, session: int, asked: RequestPairs) -> None:
        limits = self.core.configuration.limits
        mine = self.of_session(session)
        if len(mine) >= limits.pair_requests:
            reason = f"{limits.pair_requests} pair requests of this application are open; cancel some"
            raise RequestRefused("limit", reason)
        if asked.kind != "K":
            measured = sum(request.asked.number for request in mine if request.measures) + asked.number
            if measured > limits.measured_pairs:
                reason = f"{measured} pairs to be measured are open, expected at most {limits.measured_pairs}"
                raise RequestRefused("limit", f"{reason}; await some")

    def next_pair(self, session: int, call: int, number: int) -> None:
        """Hand over a further pair of request ``number``, now or when there is one.

        Raises:
            RequestRefused: no such request, or another call already waits for it.
        """
        request = self._request(session, number)
        if request.waiting_call is not None:
            raise RequestRefused("bad_request", f"call {request.waiting_call} already waits for request {number}")
        request.waiting_call = call
        self._hand_over(request)

    def cancel(self, session: int, number: int) -> None:
        """End a request; pairs made for it and not handed over are discarded.

        Raises:
            RequestRefused: no such request.
        """
        self.end(self._request(session, number), "its request was cancelled", "cancelled")

    def _request(self, session: int, number: int) -> PairRequest:
        request = self.requests.get((session, number))
        if request is None:
            raise RequestRefused("bad_request", f"no open pair request {number}; it has ended or never was")
        return request

    def timed_out(self, session: int, call: int) -> None:
        """A request's deadline has come."""
        request = self.requests.get((session, call))
        if request is not None:
            made = request.asked.number - request.to_deliver
            self.end(
                request,
                "its request timed out",
                "timeout",
                f"{made} of {request.asked.number} pairs with {request.link.remote} were delivered within "
                f"{(request.asked.timeout_ps or 0) / 1e12:.9g} s",
            )

    def forget(self, session: int) -> None:
        """The session is over: end its requests."""
        for request in self.of_session(session):
            self.end(request, "its application is gone", "cancelled")

    def end(self, request: PairRequest, why: str, code: str, reason: str = "") -> None:
        """End a request; what it has and nobody took is discarded."""
        del self.requests[(request.session, request.call)]
        self.core.cancel_timer(request.timer)
        self.link_layer.remove(request)
        for pair in request.ready:
            held = self.core.memory.qubits.get(pair.qubit)
            if held is not None:
                self.core.discard(held, why=why)
        for pair_id, (owner, _) in list(self.awaiting_preparation.items()):
            if owner is request:
                del self.awaiting_preparation[pair_id]
                held = self.core.memory.halves.get(pair_id)
                if held is not None:
                    self.core.discard(held, why=why)
        if request.waiting_call is not None:
            self.core.fail(
                request.session, request.waiting_call, "timeout" if code == "timeout" else "cancelled", reason or why
            )

    def heralded(self, request: PairRequest, held: HeldQubit, herald: Heralded) -> None:
        """A pair of ``request``: measure it, turn it into Phi+, or hand it over."""
        core = self.core
        held.session = request.session
        request.pair_ids.append(herald.pair_id)
        corrects = request.link.corrects and not request.asked.as_heralded
        x, z = divmod(herald.bell_index, 2) if corrects else (0, 0)
        if request.measures:
            self._measure(request, held, herald.pair_id, x, z)
            return
        core.watch_cutoff(held)
        pair = BellPair(
            pair_id=herald.pair_id,
            qubit=held.name,
            remote=request.link.remote,
            bell_state=BELL_STATES[herald.bell_index if request.asked.as_heralded else 0],
            goodness=request.goodness,
            emitted_at_ps=herald.emitted_at,
            heralded_at_ps=core.now,
        )
        if x or z:
            held.busy = True
            core.operate(Circuit(steps=correction(held.name, x, z)), Correcting(self, request, held, pair))
        else:
            self.deliver(request, held, pair)

    def _measure(self, request: PairRequest, held: HeldQubit, pair_id: str, x: int, z: int) -> None:
        axis = request.asked.axis or "Z"
        held.slot.change(Cause.LEAVE)
        held.busy = True
        step = Measure(qubit=held.name, axis=turned(axis, x, z))
        self.core.operate(Circuit(steps=(step,)), Measuring(self, request, held, pair_id, axis))

    def deliver(self, request: PairRequest, held: HeldQubit, pair: BellPair) -> None:
        """A pair of ``request`` is ready for its application."""
        if not self.has_open(request):
            self.core.discard(held, why="its request had ended")
            return
        if request.asked.kind == "R":
            if held.preparation is None:
                self.awaiting_preparation[pair.pair_id] = (request, pair)
                return
            pair = _with_preparation(pair, held.preparation)
        request.ready.append(pair)
        self._hand_over(request)

    def prepared_remotely(self, held: HeldQubit, told: PreparedRemotely) -> None:
        """The other end measured its half and says how."""
        held.preparation = told
        waiting = self.awaiting_preparation.pop(told.pair_id, None)
        if waiting is not None:
            request, pair = waiting
            request.ready.append(_with_preparation(pair, told))
            self._hand_over(request)

    def has_open(self, request: PairRequest) -> bool:
        """Whether it has not ended."""
        return self.requests.get((request.session, request.call)) is request

    def _hand_over(self, request: PairRequest) -> None:
        if request.waiting_call is None or not request.ready:
            return
        pair, call = request.ready.popleft(), request.waiting_call
        request.waiting_call = None
        request.to_deliver -= 1
        core = self.core
        core.record("pair_delivered", application=core.sessions[request.session].application, pair=pair.pair_id)
        core.answer(request.session, Pair(call=call, now_ps=core.now, request=request.call, pair=pair))
        if request.to_deliver == 0:
            self._finish(request)

    def measured(self, request: PairRequest, pair_id: str, bit: int) -> None:
        """This end's half of a pair was measured."""
        request.bits[pair_id] = bit
        request.to_deliver -= 1
        core = self.core
        if request.to_deliver == 0 and self.has_open(request):
            bits = tuple(request.bits[pair_id] for pair_id in request.pair_ids)
            call = request.waiting_call if request.waiting_call is not None else request.call
            core.answer(
                request.session,
                Measured(call=call, now_ps=core.now, pair_ids=tuple(request.pair_ids), bits=bits),
            )
            self._finish(request)

    def _finish(self, request: PairRequest) -> None:
        self.link_layer.remove(request)
        del self.requests[(request.session, request.call)]
        self.core.cancel_timer(request.timer)

    def lose(self, held: HeldQubit, why: str) -> None:
        """The pair whose half is ``held`` has grown too old, or the half is lost."""
        self._drop(held)
        self.core.discard(held, why=why)

    def discarded_remotely(self, held: HeldQubit, told_by: str, told: PairDiscarded) -> None:
        """The other end lost its half: ours is worth nothing. A repeated telling changes nothing."""
        self._drop(held)
        self.core.discard(held, why=f"at {told_by}, {told.reason}", tell=False)

    def lost_remotely(self, pair_id: str) -> None:
        """The other end could not measure its half of a pair: this end's bit means nothing, and both want another."""
        for request in self.requests.values():
            if request.asked.kind == "M" and request.bits.pop(pair_id, None) is not None:
                request.pair_ids.remove(pair_id)
                request.to_herald += 1
                request.to_deliver += 1

    def _drop(self, held: HeldQubit) -> None:
        """Take a dying pair out of its request, which then gets another."""
        waiting = self.awaiting_preparation.pop(held.pair.pair_id, None) if held.pair else None
        if waiting is not None:
            waiting[0].to_herald += 1
            return
        for request in self.requests.values():
            for pair in request.ready:
                if pair.qubit == held.name:
                    request.ready.remove(pair)
                    request.to_herald += 1
                    return


@dataclass(slots=True)
class Correcting:
    """Pauli gates that turn a heralded state into Phi+."""

    layer: PairRequests
    request: PairRequest
    held: HeldQubit
    pair: BellPair

    def completed(self, bits: tuple[int, ...]) -> None:
        """The pair is Phi+ now; or it has died meanwhile, and the request gets another."""
        dead = self.held.doomed is not None
        self.layer.core.settle(self.held)
        if dead:
            self.request.to_herald += 1
        else:
            self.layer.deliver(self.request, self.held, self.pair)

    def refused(self, code: str, reason: str, done: int) -> None:
        """The fabric could not correct it: the request gets another."""
        self.layer.core.settle(self.held)
        self.layer.core.discard(self.held, why=reason)
        self.request.to_herald += 1


@dataclass(slots=True)
class Measuring:
    """A half measured on its herald."""

    layer: PairRequests
    request: PairRequest
    held: HeldQubit
    pair_id: str
    axis: Axis

    def completed(self, bits: tuple[int, ...]) -> None:
        """Keep the bit; for remote state preparation, tell the end that keeps."""
        core = self.layer.core
        dead = self.held.doomed is not None and self.request.asked.kind == "M"
        core.memory.release(self.held, why="was measured")
        if dead:  # the other end could not measure its half
            self._again()
            return
        if self.request.asked.kind == "R":
            core.tell_of_pair(
                self.request.link.remote,
                PreparedRemotely(pair_id=self.pair_id, axis=self.axis, bit=bits[0]),
            )
        self.layer.measured(self.request, self.pair_id, bits[0])

    def refused(self, code: str, reason: str, done: int) -> None:
        """The half was gone: the request gets another pair, and so does the other end's."""
        core = self.layer.core
        core.tell_of_pair(self.request.link.remote, PairDiscarded(pair_id=self.pair_id, reason=reason))
        Leaving(core, (self.held,), "was lost").refused(code, reason, done)
        self._again()

    def _again(self) -> None:
        self.request.pair_ids.remove(self.pair_id)
        self.request.to_herald += 1


def turned(axis: Axis, x: int, z: int) -> Axis:
    """The axis to measure along in place of first doing X^x Z^z: X turns Y and Z round, Z turns X and Y round."""
    if not (x or z):
        return axis
    vector = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}[axis] if isinstance(axis, str) else axis
    return (-vector[0] if z else vector[0], -vector[1] if x != z else vector[1], -vector[2] if x else vector[2])


def check_axis(axis: Axis) -> None:
    """Refuse a vector that is no direction.

    Raises:
        RequestRefused: it has no finite, positive length.
    """
    if not isinstance(axis, str):
        length = sum(component * component for component in axis)
        if not 1e-12 < length < 1e12:
            raise RequestRefused(
                "bad_request", f"axis {axis} is no direction: expected a finite vector that is not zero"
            )


def _with_preparation(pair: BellPair, told: PreparedRemotely) -> BellPair:
    return msgspec.structs.replace(pair, remote_axis=told.axis, remote_bit=told.bit)
