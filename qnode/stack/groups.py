"""States that several end nodes share: GHZ and W, made from Bell pairs at one node, the centre.

The centre opens a circuit to every member. For GHZ it projects its halves of one pair of each circuit onto GHZ states:
CX from the first to all others, which it then measures along Z, and the first along X. What it reads says which Pauli
each member has to apply (Zukowski et al. 1995; at a switch: Vardoyan et al. 2021). For W it makes the state in its own
memory and teleports a qubit to each member. A centre that is itself a member keeps its own qubit of the state.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from qnode.stack.core import Core, RequestRefused, check_purpose
from qnode.stack.group_states import ghz_steps, w_steps
from qnode.stack.link_layer import correction
from qnode.stack.paths import NoPath, compute
from qnode.stack.programs import Await, Programs
from qnode.stack.routing import Routing
from qnode.wire import application
from qnode.wire.application import (
    AcceptCircuit,
    CircuitOpened,
    CircuitPair,
    CloseGroup,
    Failed,
    FailureCode,
    GroupState,
    JoinGroup,
    NextCircuitPair,
    NextGroupQubit,
    OpenCircuit,
    OpenGroup,
    Outcomes,
    Run,
)
from qnode.wire.groups import GroupAsked, GroupClosed, GroupInvited, GroupLost, GroupMessage, GroupOutcome, GroupReady
from qnode.wire.routing import PathRequirement

MOST_MEMBERS = 16
MOST_CLOSED = 64
"""Closed groups of one application of which it may still ask why they were closed."""
NO_NETWORK = "this testbed has no control plane; add a section `network: {}` to its scenario"
OPEN_TIMEOUT_PS = 10**13
"""Ten seconds: how long a group may take to open if its application does not say."""


@dataclass(slots=True)
class Membership:
    """A group at one of its members."""

    group: str
    session: int
    members: tuple[str, ...]
    centre: str
    state: GroupState
    opening_call: int | None
    program: int = 0
    ready: deque[tuple[int, str]] = field(default_factory=deque)
    """Numbers and qubits that nobody has asked for."""
    calls: deque[int] = field(default_factory=deque)
    opened: bool = False
    closed_because: str = ""


@dataclass(slots=True)
class Centre:
    """A group at the node that makes its states."""

    group: str
    members: tuple[str, ...]
    program: int


@dataclass(slots=True)
class Groups:
    """The groups of a node."""

    core: Core
    routing: Routing
    programs: Programs
    tell: Callable[[str, GroupMessage], None]
    memberships: dict[str, Membership] = field(default_factory=dict)
    centres: dict[str, Centre] = field(default_factory=dict)
    invitations: dict[str, tuple[str, GroupInvited]] = field(default_factory=dict)
    """By group: the centre and its word."""
    wishes: dict[str, OpenGroup] = field(default_factory=dict)
    """By group, until the centre was asked."""
    joining: deque[tuple[int, JoinGroup]] = field(default_factory=deque)
    _opened: int = 0

    # Requests of applications

    def open(self, session: int, request: OpenGroup) -> None:
        """Ask for a group.

        Raises:
            RequestRefused: it can never be; nothing was reserved.
        """
        name = self.core.configuration.name
        members = (name, *request.members)
        self._check(request, members)
        self._make_room(session)
        group = f"{self.core.configuration.label}:group{self._opened}"
        self._opened += 1
        self.memberships[group] = Membership(group, session, members, request.centre, request.state, request.call)
        self.wishes[group] = request
        self.core.set_timer(request.timeout_ps or OPEN_TIMEOUT_PS, ("group_open", group, 0))
        self.begin(group)

    def begin(self, group: str) -> None:
        """Choose the centre and ask it, as soon as this node knows the network."""
        name, membership = self.core.configuration.name, self.memberships.get(group)
        if membership is None or membership.closed_because:
            return
        network = self.routing.network
        if not self.routing.is_settled and network.routing == "link_state":
            self.core.set_timer(network.hello_interval_ps // 20, ("group_begin", group, 0))
            return
        request = self.wishes.pop(group)
        members = membership.members
        centre = membership.centre = request.centre or self._best_centre(members, request.minimum_fidelity)
        self.core.record("group_requested", group=group, members=list(members), centre=centre, state=request.state)
        asked = GroupAsked(
            group=group,
            members=members,
            state=request.state,
            purpose=request.purpose,
            rate_hz=request.rate_hz,
            minimum_fidelity=request.minimum_fidelity,
            slots=request.slots,
            timeout_ps=request.timeout_ps,
        )
        if centre == name:
            self.asked(name, asked)
        else:
            self._be_member(membership)
            self.tell(centre, asked)

    def _check(self, request: OpenGroup, members: tuple[str, ...]) -> None:
        if self.core.configuration.network is None:
            raise RequestRefused("unsupported", NO_NETWORK)
        check_purpose(request.purpose)
        if len(members) > MOST_MEMBERS:
            raise RequestRefused("limit", f"a group of {len(members)} nodes, expected at most {MOST_MEMBERS}")
        if len(members) < 2 or len(set(members)) != len(members):
            raise RequestRefused(
                "bad_request", f"members {', '.join(request.members)}: expected other nodes, each once"
            )
        for node in (*request.members, *([request.centre] if request.centre else [])):
            if node not in self.core.configuration.peers:
                raise RequestRefused("no_route", f"no node {node!r} can be reached from {members[0]}")
        if not 0.0 < request.rate_hz <= 1e12:
            raise RequestRefused("bad_request", f"rate_hz is {request.rate_hz:g}, expected more than 0, at most 1e12")
        if not 0.0 <= request.minimum_fidelity <= 1.0:
            raise RequestRefused("bad_request", f"minimum_fidelity is {request.minimum_fidelity:g}, expected 0 to 1")

    def _make_room(self, session: int) -> None:
        """For one more group of a session: of those that are closed and empty, only the latest are remembered.

        Raises:
            RequestRefused: it has too many that are not closed.
        """
        mine = [each for each in self.memberships.values() if each.session == session]
        past = [each for each in mine if each.closed_because]
        most = self.core.configuration.limits.groups
        if len(mine) - len(past) >= most:
            raise RequestRefused("limit", f"{most} groups of this application are open; leave some")
        for membership in [each for each in past if not (each.ready or each.calls)][:-MOST_CLOSED]:
            del self.memberships[membership.group]

    def _best_centre(self, members: tuple[str, ...], minimum_fidelity: float) -> str:
        """The switch whose paths to all members cost least together; without any, the first member."""
        database = self.routing.database()
        requirement = PathRequirement(minimum_fidelity=minimum_fidelity)
        best, least = members[0], math.inf
        for name, state in sorted(database.items()):
            if state.role != "switch" or name in members:
                continue
            try:
                cost = sum(
                    compute(database, name, member, requirement, metric=self.routing.network.metric).cost
                    for member in members
                )
            except NoPath:
                continue
            if cost < least:
                best, least = name, cost
        return best

    def join(self, session: int, request: JoinGroup) -> None:
        """Wait for a group."""
        if self.core.configuration.network is None:
            raise RequestRefused("unsupported", NO_NETWORK)
        check_purpose(request.purpose)
        self._make_room(session)
        for group, (centre, invited) in self.invitations.items():
            if invited.purpose == request.purpose:
                del self.invitations[group]
                self._join(session, request, centre, invited)
                return
        self.joining.append((session, request))
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, ("group_join", str(session), request.call))

    def _join(self, session: int, request: JoinGroup, centre: str, invited: GroupInvited) -> None:
        self.core.cancel_timer(("group_join", str(session), request.call))
        membership = Membership(invited.group, session, invited.members, centre, invited.state, request.call)
        self.memberships[invited.group] = membership
        self._be_member(membership)

    def next_qubit(self, session: int, request: NextGroupQubit) -> None:
        """Wait for a qubit."""
        membership = self._of(session, request.group)
        if membership.closed_because and not membership.ready:
            raise RequestRefused("closed", f"group {request.group} is closed: {membership.closed_because}")
        membership.calls.append(request.call)
        if request.timeout_ps is not None:
            self.core.set_timer(request.timeout_ps, ("group_qubit", request.group, request.call))
        self._hand_over(membership)

    def close(self, session: int, request: CloseGroup) -> None:
        """Leave; closing twice is no error."""
        membership = self._of(session, request.group)
        self._leave(membership, f"{self.core.configuration.name} has left")
        self.core.done(session, request.call)

    def _of(self, session: int, group: str) -> Membership:
        membership = self.memberships.get(group)
        if membership is None:
            raise RequestRefused("bad_request", f"there is no group {group!r} at this node")
        if membership.session != session:
            raise RequestRefused("not_yours", f"group {group} belongs to another application")
        return membership

    def forget(self, session: int) -> None:
        """The session is over: leave its groups."""
        self.joining = deque(each for each in self.joining if each[0] != session)
        for membership in [each for each in self.memberships.values() if each.session == session]:
            self._leave(membership, "its application is gone")
            del self.memberships[membership.group]

    def waits(self) -> dict[int, list[str]]:
        """What each session waits for, a line each."""
        lines: dict[int, list[str]] = {}
        for session, request in self.joining:
            lines.setdefault(session, []).append(f"a group of purpose {request.purpose!r} to join")
        for membership in self.memberships.values():
            mine = lines.setdefault(membership.session, [])
            if membership.opening_call is not None:
                mine.append(f"group {membership.group} of {', '.join(membership.members)} to be complete")
            if membership.calls:
                mine.append(f"a state of group {membership.group}")
        return lines

    # Timers

    def open_timed_out(self, group: str) -> None:
        """The group is not complete in time."""
        membership = self.memberships.get(group)
        if membership is not None and not membership.opened:
            self._refuse(membership, "timeout", "not all members joined, or no circuits to them opened, in time")

    def join_timed_out(self, session: int, call: int) -> None:
        """No group came in time."""
        for each in self.joining:
            if (each[0], each[1].call) == (session, call):
                self.joining.remove(each)
                self.core.fail(session, call, "timeout", "no group came in time")
                return

    def qubit_timed_out(self, group: str, call: int) -> None:
        """No state came in time."""
        membership = self.memberships.get(group)
        if membership is not None and call in membership.calls:
            membership.calls.remove(call)
            self.core.fail(membership.session, call, "timeout", f"no state of group {group} came in time")

    # Messages

    def told(self, sender: str, message: GroupMessage) -> None:
        """Any of them."""
        if isinstance(message, GroupAsked):
            self.asked(sender, message)
        elif isinstance(message, GroupInvited):
            self._invited(sender, message)
        elif isinstance(message, GroupReady):
            self._ready(sender, message)
        elif isinstance(message, GroupOutcome):
            self.programs.signal(f"state of {message.pair_id}", message)
        elif isinstance(message, GroupLost):
            self.programs.signal(f"state of {message.pair_id}", None)
        else:
            self._closed(sender, message)

    def asked(self, sender: str, message: GroupAsked) -> None:
        """This node is to make states."""
        name = self.core.configuration.name
        if self.core.configuration.role not in ("switch", "router") and name not in message.members:
            reason = f"{name} is an {self.core.configuration.role} node and makes no states for others"
            self.tell(sender, GroupReady(group=message.group, ready=False, code="denied", reason=reason))
            return
        program = self.programs.start(f"group {message.group}", self._make_states(message))
        self.centres[message.group] = Centre(message.group, message.members, program)

    def _invited(self, sender: str, message: GroupInvited) -> None:
        if message.group in self.memberships:
            return
        for each in self.joining:
            if each[1].purpose == message.purpose:
                self.joining.remove(each)
                self._join(*each, sender, message)
                return
        self.invitations[message.group] = (sender, message)

    def _ready(self, sender: str, message: GroupReady) -> None:
        membership = self.memberships.get(message.group)
        if membership is None or membership.centre != sender:
            return
        if not message.ready:
            self._refuse(membership, message.code, message.reason)
        elif not membership.opened:
            self._opened_at(membership)

    def _opened_at(self, membership: Membership) -> None:
        membership.opened = True
        self.core.cancel_timer(("group_open", membership.group, 0))
        call, membership.opening_call = membership.opening_call, None
        if call is None:
            return
        self.core.answer(
            membership.session,
            application.GroupOpened(
                call=call,
                now_ps=self.core.now,
                group=membership.group,
                members=membership.members,
                centre=membership.centre,
                state=membership.state,
            ),
        )

    def _closed(self, sender: str, message: GroupClosed) -> None:
        self.invitations.pop(message.group, None)
        centre = self.centres.get(message.group)
        if centre is not None and sender in centre.members:
            self._dissolve(centre, message.reason)
        membership = self.memberships.get(message.group)
        if membership is not None and membership.centre == sender:
            self._end(membership, message.reason)

    def _dissolve(self, centre: Centre, reason: str) -> None:
        """The centre makes no more states."""
        del self.centres[centre.group]
        self.programs.stop(centre.program, reason)
        name = self.core.configuration.name
        for member in centre.members:
            if member != name:
                self.tell(member, GroupClosed(group=centre.group, reason=reason))

    # The end

    def _leave(self, membership: Membership, reason: str) -> None:
        if membership.closed_because:
            return
        centre = self.centres.get(membership.group)
        if centre is not None:
            self._dissolve(centre, reason)
        else:
            self.tell(membership.centre, GroupClosed(group=membership.group, reason=reason))
        self._end(membership, reason)

    def _refuse(self, membership: Membership, code: str, reason: str) -> None:
        call, membership.opening_call = membership.opening_call, None
        self._leave(membership, reason)
        del self.memberships[membership.group]
        self.core.record("group_refused", group=membership.group, code=code, reason=reason)
        known: dict[str, FailureCode] = {"timeout": "timeout", "denied": "denied", "no_capacity": "no_capacity"}
        self.core.fail(membership.session, call, known.get(code, "no_route"), reason)

    def _end(self, membership: Membership, reason: str) -> None:
        if membership.closed_because:
            return
        membership.closed_because = reason
        self.core.cancel_timer(("group_open", membership.group, 0))
        if membership.program:
            self.programs.stop(membership.program, reason)
        if membership.opening_call is not None:
            self.core.fail(membership.session, membership.opening_call, "closed", reason)
            membership.opening_call = None
        for call in membership.calls:
            self.core.cancel_timer(("group_qubit", membership.group, call))
            self.core.fail(membership.session, call, "closed", f"group {membership.group} is closed: {reason}")
        membership.calls.clear()
        self.core.record("group_closed", group=membership.group, reason=reason)

    # Qubits

    def _deliver(self, membership: Membership, number: int, qubit: str) -> None:
        """This node's qubit of a state belongs to the application now."""
        held = self.core.memory.qubits.get(qubit)
        if held is None or not self.core.lives(held):
            return
        self.core.memory.unpair(held)
        held.session = membership.session
        self.core.record("group_qubit_delivered", group=membership.group, number=number, qubit=qubit)
        membership.ready.append((number, qubit))
        self._hand_over(membership)

    def _hand_over(self, membership: Membership) -> None:
        while membership.calls and membership.ready:
            number, qubit = membership.ready.popleft()
            call = membership.calls.popleft()
            self.core.cancel_timer(("group_qubit", membership.group, call))
            answer = application.GroupQubit(
                call=call, now_ps=self.core.now, group=membership.group, number=number, qubit=qubit
            )
            self.core.answer(membership.session, answer)

    # What runs at members and at the centre

    def _be_member(self, membership: Membership) -> None:
        membership.program = self.programs.start(f"member of {membership.group}", self._take_part(membership))

    def _take_part(self, membership: Membership) -> Generator[Any, Any, None]:
        """A member: take pairs with the centre, and correct them as the centre says."""
        opened = yield AcceptCircuit(call=0, remote=membership.centre, purpose=f"group {membership.group}")
        if not isinstance(opened, CircuitOpened):
            return
        while True:
            pair = yield NextCircuitPair(call=0, circuit=opened.circuit)
            if not isinstance(pair, CircuitPair) or pair.pair is None:
                self._leave(membership, f"its circuit with {membership.centre} is closed")
                return
            outcome = yield Await(f"state of {pair.pair.pair_id}")
            if outcome is None:
                held = self.core.memory.qubits.get(pair.pair.qubit)
                if held is not None:
                    self.core.discard(held, why="the group's state could not be made", tell=False)
                continue
            steps = correction(pair.pair.qubit, *outcome.frame)
            if steps:
                yield Run(call=0, steps=steps)
            self._deliver(membership, outcome.number, pair.pair.qubit)

    def _make_states(self, asked: GroupAsked) -> Generator[Any, Any, None]:
        """The centre: a circuit to every other member, then state after state."""
        name = self.core.configuration.name
        others = tuple(member for member in asked.members if member != name)
        circuits: list[str] = []
        for member in others:
            if member != asked.members[0]:
                self.tell(
                    member,
                    GroupInvited(group=asked.group, members=asked.members, state=asked.state, purpose=asked.purpose),
                )
        for member in others:
            opened = yield OpenCircuit(
                call=0,
                remote=member,
                minimum_fidelity=asked.minimum_fidelity,
                rate_bpps=asked.rate_hz,
                purpose=f"group {asked.group}",
                slots=asked.slots,
                timeout_ps=asked.timeout_ps,
            )
            if isinstance(opened, Failed):
                self._cannot_be(asked, opened.code, f"no circuit from {name} to {member}: {opened.reason}")
                return
            circuits.append(opened.circuit)
        for member in others:
            self.tell(member, GroupReady(group=asked.group, ready=True))
        own = self.memberships.get(asked.group)
        if own is not None:
            self._opened_at(own)
        number = 0
        while True:
            halves = []
            for circuit in circuits:
                pair = yield NextCircuitPair(call=0, circuit=circuit)
                if not isinstance(pair, CircuitPair) or pair.pair is None:
                    centre = self.centres.get(asked.group)
                    if centre is not None:
                        self._dissolve(centre, f"a circuit from {name} is closed")
                    return
                halves.append(pair.pair)
            keeps = name in asked.members
            make = ghz_steps if asked.state == "GHZ" else w_steps
            steps, frames_of = make(tuple(half.qubit for half in halves), keeps=keeps)
            outcome = yield Run(call=0, steps=steps)
            if not isinstance(outcome, Outcomes):
                for member, half in zip(others, halves, strict=True):
                    held = self.core.memory.qubits.get(half.qubit)
                    if held is not None:
                        self.core.discard(held, why="the group's state could not be made", tell=False)
                    self.tell(member, GroupLost(group=asked.group, pair_id=half.pair_id))
                continue
            for member, half, frame in zip(others, halves, frames_of(outcome.bits), strict=True):
                self.tell(member, GroupOutcome(group=asked.group, number=number, pair_id=half.pair_id, frame=frame))
            self.core.record("group_state_made", group=asked.group, number=number, pairs=[h.pair_id for h in halves])
            own = self.memberships.get(asked.group)
            if own is not None and keeps:
                self._deliver(own, number, outcome.qubits[0])
            number += 1

    def _cannot_be(self, asked: GroupAsked, code: str, reason: str) -> None:
        name = self.core.configuration.name
        self.centres.pop(asked.group, None)
        for member in asked.members:
            if member != name:
                self.tell(member, GroupReady(group=asked.group, ready=False, code=code, reason=reason))
        own = self.memberships.get(asked.group)
        if own is not None:
            self._refuse(own, code, reason)
