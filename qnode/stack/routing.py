"""Neighbours, link states and paths: how a node knows the network (after OSPF, RFC 2328).

Neighbours greet each other over every link. What a node's working links can do is flooded to all nodes, or told to a
controller; a circuit's path is computed from that, here or there. An automated node (RFC 9340 section 5.3.2) greets,
tells and forwards, but computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from qnode.config import LinkConfiguration, NetworkConfiguration, dedicable_slots
from qnode.stack import paths
from qnode.stack.core import Core
from qnode.stack.events import TimerKey
from qnode.wire.routing import (
    Hello,
    LinkAdvertisement,
    LinkState,
    PathAnswer,
    PathQuestion,
    PathRequirement,
    RoutedPath,
    RoutingMessage,
)

HELLO: TimerKey = ("hello", "", 0)
PERIODIC: TimerKey = ("link_state", "", 0)
CHANGED: TimerKey = ("link_state", "", 1)
AGE: TimerKey = ("age", "", 0)
FORGOTTEN_AFTER = 3
"""Intervals after which a link state that was not told anew is forgotten."""

PathFound = Callable[[RoutedPath | paths.NoPath], None]


class Send(Protocol):
    """Sends so that it arrives exactly once and in order, or the peer is found silent."""

    def __call__(self, to: str, message: RoutingMessage, *, housekeeping: bool = False) -> None: ...


@dataclass(slots=True)
class Adjacency:
    """One link and the neighbour at its other end."""

    link: LinkConfiguration
    free_share: float = 1.0
    estimated_fidelity: tuple[float, float] | None = None
    heard_at: int | None = None
    """When the neighbour was last heard; None: not lately."""
    newest: tuple[int, bool] = (-1, False)
    """When it sent the newest hello that was heard, and whether it then heard this node."""
    up: bool = False
    """Whether each end hears the other."""


@dataclass(slots=True)
class Known:
    """A link state in the database. Its age there is as of ``made_at``: 0."""

    state: LinkState
    made_at: int


class Routing:
    """A node's part in routing."""

    def __init__(
        self,
        core: Core,
        send: Send,
        *,
        link_lost: Callable[[str, str], None],
        link_found: Callable[[str], None],
    ) -> None:
        self.core = core
        self.send = send
        self.queue_of: Callable[[str], int] = lambda link: 0
        """How many want pairs of a link."""
        self.last_pair_of: Callable[[str], int] = lambda link: -1
        """The number of the last pair that was heralded here."""
        self.told_of_pairs: Callable[[str, int], None] = lambda link, number: None
        """The other end of a link tells of its last pair."""
        self.link_lost = link_lost
        self.link_found = link_found
        self.network = core.configuration.network or NetworkConfiguration()
        self.name = core.configuration.name
        self.adjacencies = {link.name: Adjacency(link) for link in core.configuration.links}
        self.free_slots = core.configuration.communication_slots + core.configuration.storage_slots
        self.known: dict[str, Known] = {}
        self._computed: dict[Any, RoutedPath | paths.NoPath] = {}
        """What was found since anything new was learnt; looking again would find the same."""
        self.changed_at = 0
        """When the database last learnt something other than that all is as it was."""
        self._number = 0
        self._told_at: int | None = None
        self._change_pending = False
        self._forgets_at: int | None = None
        self._questions = 0
        self._asked: dict[int, PathFound] = {}

    # What others ask of routing

    def start(self) -> None:
        """Virtual time begins, here: greet all neighbours."""
        if self.adjacencies:
            self._originate()
            self.hello_due()

    def is_up(self, link: str) -> bool:
        """Whether both ends of a link hear each other over it."""
        return self.adjacencies[link].up

    @property
    def is_settled(self) -> bool:
        """Whether nothing new was learnt for two hello intervals, so that what is not known is not there."""
        return self.core.now - self.changed_at >= 2 * self.network.hello_interval_ps

    def database(self) -> dict[str, LinkState]:
        """The newest link state of every node that is known."""
        return {origin: known.state for origin, known in self.known.items()}

    def advertise(
        self,
        link: str = "",
        *,
        free_share: float | None = None,
        free_slots: int | None = None,
        estimated_fidelity: tuple[float, float] | None = None,
    ) -> None:
        """Tell the network what has changed of this node's memory, or of ``link``; None: as before."""
        changed = False
        if free_slots is not None and free_slots != self.free_slots:
            self.free_slots = free_slots
            changed = True
        if link:
            adjacency = self.adjacencies[link]
            if free_share is not None and free_share != adjacency.free_share:
                adjacency.free_share = free_share
                changed = True
            if estimated_fidelity is not None and estimated_fidelity != adjacency.estimated_fidelity:
                adjacency.estimated_fidelity = estimated_fidelity
                changed = True
        if changed:
            self._changed()

    def find_path(
        self,
        destination: str,
        requirement: PathRequirement,
        then: PathFound,
        *,
        exclude_links: tuple[str, ...] = (),
        exclude_nodes: tuple[str, ...] = (),
    ) -> None:
        """Find a path from here; ``then`` gets it, or why there is none: now, or when the controller has answered."""
        role = self.core.configuration.role
        if role in ("automated", "controller"):
            then(paths.NoPath(f"{self.name} computes no paths for itself: its role is {role}", where=self.name))
            return
        question = PathQuestion(
            question=self._questions,
            destination=destination,
            requirement=requirement,
            exclude_links=exclude_links,
            exclude_nodes=exclude_nodes,
        )
        if self.network.routing == "link_state":
            then(self._compute(self.name, question))
            return
        self._questions += 1
        self._asked[question.question] = then
        self.send(self.network.controller, question)
        self.core.set_timer(self.network.link_state_interval_ps, _deadline(question.question))

    # Messages

    def hello(self, sender: str, message: Hello) -> None:
        """A neighbour is alive; whether it hears this node decides whether the link is up."""
        adjacency = self.adjacencies.get(message.link)
        if adjacency is None or adjacency.link.remote != sender:
            return
        if (message.sent_ps, message.hears) <= adjacency.newest:
            return
        adjacency.newest = (message.sent_ps, message.hears)
        first = adjacency.heard_at is None
        adjacency.heard_at = self.core.now
        if first:
            self.core.set_timer(self._lost_after_ps(), ("hello_lost", message.link, 0), housekeeping=True)
        if not message.hears:
            self._down(adjacency, f"{sender} does not hear {self.name}, or has started anew")
        if first or not message.hears:
            self._greet(adjacency)
        if message.hears and not adjacency.up:
            self._up(adjacency)
        self.told_of_pairs(message.link, message.last_pair)

    def link_state(self, sender: str, message: LinkState) -> None:
        """News of a node's links, or old news."""
        known = self.known.get(message.origin)
        if message.origin == self.name:
            self._own_returned(message)
            return
        if known is not None and message.number <= known.state.number:
            if message.number < known.state.number:
                self.send(sender, self._aged(known), housekeeping=True)
            return
        made_at = self.core.now - message.age_ps
        if made_at + self._forgotten_after_ps() <= self.core.now:
            return
        self._learn(Known(msgspec.structs.replace(message, age_ps=0), made_at))
        if self.core.configuration.role != "controller":
            self._flood(message.origin, besides=sender)

    def path_question(self, sender: str, message: PathQuestion) -> None:
        """A node asks this controller for a path."""
        if self.core.configuration.role != "controller":
            found: RoutedPath | paths.NoPath = paths.NoPath(f"{self.name} is no controller", where=self.name)
        else:
            found = self._compute(sender, message)
        if isinstance(found, RoutedPath):
            answer = PathAnswer(question=message.question, path=found)
        else:
            answer = PathAnswer(
                question=message.question, path=None, where=found.where, reason=found.reason, code=found.code
            )
        self.send(sender, answer)

    def path_answer(self, sender: str, message: PathAnswer) -> None:
        """The controller's answer; a late one is ignored."""
        then = self._asked.pop(message.question, None) if sender == self.network.controller else None
        if then is None:
            return
        self.core.cancel_timer(_deadline(message.question))
        then(
            message.path
            if message.path is not None
            else paths.NoPath(message.reason, where=message.where, code=message.code)
        )

    def silent(self, peer: str) -> None:
        """The reliable channel has given up a peer: what it was told last may be lost."""
        for adjacency in self.adjacencies.values():
            if adjacency.link.remote == peer:
                self._forget_neighbour(adjacency, f"{peer} acknowledges nothing")
        if peer == self.network.controller:
            for question in list(self._asked):
                self._unanswered(question, f"the controller {peer} acknowledges nothing")

    # Timers

    def hello_due(self) -> None:
        """Greet all neighbours, and again after an interval."""
        for adjacency in self.adjacencies.values():
            self._greet(adjacency)
        self.core.set_timer(self.network.hello_interval_ps, HELLO, housekeeping=True)

    def neighbour_quiet(self, link: str) -> None:
        """It is time to see whether the neighbour on a link is still heard."""
        adjacency = self.adjacencies[link]
        if adjacency.heard_at is None:
            return
        left_ps = adjacency.heard_at + self._lost_after_ps() - self.core.now
        if left_ps > 0:
            self.core.set_timer(left_ps, ("hello_lost", link, 0), housekeeping=True)
            return
        self._forget_neighbour(adjacency, f"{adjacency.link.remote} is not heard any more")

    def link_state_due(self) -> None:
        """Tell this node's links anew: they changed and telling was damped, or an interval has passed."""
        self._originate()

    def age_due(self) -> None:
        """Forget link states that are too old."""
        self._forgets_at = None
        for origin, known in list(self.known.items()):
            if known.made_at + self._forgotten_after_ps() <= self.core.now and origin != self.name:
                del self.known[origin]
                self._computed.clear()
                self.core.record("link_state_forgotten", origin=origin, number=known.state.number)
        others = [known.made_at for origin, known in self.known.items() if origin != self.name]
        if others:
            self._watch_age(min(others))

    def question_expired(self, question: int) -> None:
        """The controller has not answered in time."""
        self._unanswered(question, f"the controller {self.network.controller} did not answer in time")

    # Neighbours

    def _greet(self, adjacency: Adjacency) -> None:
        link = adjacency.link
        hello = Hello(
            link=link.name,
            sent_ps=self.core.now,
            hears=adjacency.heard_at is not None,
            last_pair=self.last_pair_of(link.name),
        )
        self.core.send(link.remote, hello, over=link.name, housekeeping=True)

    def _up(self, adjacency: Adjacency) -> None:
        link = adjacency.link
        others = any(each.up for each in self.adjacencies.values() if each.link.remote == link.remote)
        adjacency.up = True
        self.core.record("neighbour_up", link=link.name, remote=link.remote)
        if self.network.routing == "link_state" and not others:
            for origin, known in self.known.items():
                if origin != self.name:
                    self.send(link.remote, self._aged(known), housekeeping=True)
        self._changed()
        if self.network.routing == "link_state" and not others and self._change_pending:
            self.send(link.remote, self.known[self.name].state, housekeeping=True)
        self.link_found(link.name)

    def _down(self, adjacency: Adjacency, reason: str) -> None:
        if not adjacency.up:
            return
        adjacency.up = False
        self.core.record("neighbour_down", link=adjacency.link.name, remote=adjacency.link.remote, reason=reason)
        self.link_lost(adjacency.link.name, reason)
        self._changed()

    def _forget_neighbour(self, adjacency: Adjacency, reason: str) -> None:
        """It is not heard: tell it so, lest it think that the link works because it hears this node."""
        adjacency.heard_at = None
        self._down(adjacency, reason)
        self._greet(adjacency)

    def _lost_after_ps(self) -> int:
        return self.network.hello_lost * self.network.hello_interval_ps

    # Link states

    def _changed(self) -> None:
        """Tell this node's links anew, at most once in a tenth of the hello interval."""
        if self._change_pending:
            return
        now, damp_ps = self.core.now, self.network.hello_interval_ps // 10
        if self._told_at is None or now - self._told_at >= damp_ps:
            self._originate()
        else:
            self._change_pending = True
            self.core.set_timer(self._told_at + damp_ps - now, CHANGED, housekeeping=True)

    def _originate(self) -> None:
        if self._change_pending:
            self._change_pending = False
            self.core.cancel_timer(CHANGED)
        self._number += 1
        self._told_at = self.core.now
        self._learn(Known(self._own_state(), self.core.now))
        if self.network.routing == "link_state":
            self._flood(self.name)
        elif self.network.controller:
            self.send(self.network.controller, self.known[self.name].state, housekeeping=True)
        self.core.set_timer(self.network.link_state_interval_ps, PERIODIC, housekeeping=True)

    def _own_returned(self, message: LinkState) -> None:
        """What this node tells from now on has to replace what it told before a restart."""
        own = self.known.get(self.name)
        if message.number < self._number or own is None:
            return
        if message.number > self._number or msgspec.structs.replace(message, age_ps=0) != own.state:
            self._number = message.number
            self._originate()

    def _own_state(self) -> LinkState:
        configuration, swap = self.core.configuration, self.core.configuration.swap
        return LinkState(
            origin=self.name,
            number=self._number,
            role=configuration.role,
            swap_success_probability=swap.success_probability,
            swap_depolarising_probability=swap.depolarising_probability,
            swap_readout_error=swap.readout_error,
            gate_depolarising_probability=swap.gate_depolarising_probability,
            move_depolarising_probability=swap.move_depolarising_probability,
            dedicated_slots=dedicable_slots(self.core.configuration),
            t1_s=swap.t1_s,
            t2_s=swap.t2_s,
            free_slots=self.free_slots,
            occupied_slots=len(self.core.memory.qubits),
            links=tuple(
                LinkAdvertisement(
                    link=name,
                    remote=adjacency.link.remote,
                    latency_ps=adjacency.link.latency_ps,
                    operating_points=tuple((p.rate_hz, p.spectrum) for p in adjacency.link.operating_points),
                    free_share=adjacency.free_share,
                    estimated_fidelity=adjacency.estimated_fidelity,
                    queue=self.queue_of(name),
                )
                for name, adjacency in self.adjacencies.items()
                if adjacency.up
            ),
        )

    def _learn(self, known: Known) -> None:
        """Take in a link state; what it says of which links there are goes to the event log."""
        state = known.state
        before = self.known.get(state.origin)
        self.known[state.origin] = known
        if before is None or not _tells_the_same(before.state, state):
            self._computed.clear()
        if before is None or [each.link for each in before.state.links] != [each.link for each in state.links]:
            self.changed_at = self.core.now
            self.core.record("link_state_changed", origin=state.origin, number=state.number)
        if state.origin != self.name:
            self._watch_age(known.made_at)

    def _flood(self, origin: str, *, besides: str = "") -> None:
        message = self._aged(self.known[origin])
        for remote in {each.link.remote: None for each in self.adjacencies.values() if each.up}:
            if remote != besides:
                self.send(remote, message, housekeeping=True)

    def _aged(self, known: Known) -> LinkState:
        age_ps = self.core.now - known.made_at
        return msgspec.structs.replace(known.state, age_ps=age_ps) if age_ps else known.state

    def _forgotten_after_ps(self) -> int:
        return FORGOTTEN_AFTER * self.network.link_state_interval_ps

    def _watch_age(self, made_at: int) -> None:
        """Wake when a link state that was made then is to be forgotten, or before."""
        forget_at = made_at + self._forgotten_after_ps()
        if self._forgets_at is None or forget_at < self._forgets_at:
            self._forgets_at = forget_at
            self.core.set_timer(forget_at - self.core.now, AGE, housekeeping=True)

    # Paths

    def _compute(self, source: str, question: PathQuestion) -> RoutedPath | paths.NoPath:
        key = (source, question.destination, question.requirement, question.exclude_links, question.exclude_nodes)
        if key not in self._computed:
            try:
                self._computed[key] = paths.compute(
                    self.database(),
                    source,
                    question.destination,
                    question.requirement,
                    metric=self.network.metric,
                    exclude_links=question.exclude_links,
                    exclude_nodes=question.exclude_nodes,
                )
            except paths.NoPath as shortage:
                self._computed[key] = shortage
        return self._computed[key]

    def _unanswered(self, question: int, reason: str) -> None:
        then = self._asked.pop(question, None)
        if then is not None:
            self.core.cancel_timer(_deadline(question))
            then(paths.NoPath(reason, where=self.network.controller))


def _deadline(question: int) -> TimerKey:
    return ("path_question", "", question)


def _tells_the_same(old: LinkState, new: LinkState) -> bool:
    """Whether a path over these would be the same: all but number, age and occupation."""
    same = msgspec.structs.replace(old, number=new.number, age_ps=new.age_ps, occupied_slots=new.occupied_slots)
    return same == new
