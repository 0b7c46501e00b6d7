"""Entanglement generation between neighbours: who wants pairs of a link, slots, attempts, heralds.

The entanglement generation protocol of Dahlberg et al., SIGCOMM 2019, over the heralded generation of RFC 9340 section
4.4.1. Whoever wants pairs is a consumer: a request of an application, or one side of a circuit. Attempts start once
both ends want a pair for the same purpose at the same operating point.

Communication qubits are scarce, so the two ends of a link have to agree on what to try next. Each end starts what it
can. An end whose consumer gets no slot, because attempts of others have them, says so (`LinkWaits`). From then on, for
that purpose, the end whose name comes later in the alphabet binds a slot only after the other has bound one and said so
(`LinkReady`). So slots are bound in the order of names, and no circle of nodes can wait for each other.

A slot is bound in vain, too, while the other end wants no pair, because those that it has wait for something else. An
end whose slots are shared is told when the other wants none (`LinkWaits`), and when it does again (`LinkReady`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from qnode.config import LinkConfiguration
from qnode.stack.core import Core, RequestRefused
from qnode.stack.memory import Cause, HeldQubit, PairEnd
from qnode.wire.circuits import LinkReady, LinkWaits
from qnode.wire.fabric import Cancel, Generate, Heralded
from qnode.wire.quantum import Gate, Step

Key = tuple[str, str]
"""A link and a purpose."""
CIRCUIT_PURPOSE = "circuit "
"""What the purposes of circuits begin with, and no application's."""


class Consumer(Protocol):
    """Somebody who wants pairs of one link."""

    link: LinkConfiguration
    operating_point: int
    to_herald: int
    """How many more pairs it wants to be heralded."""

    @property
    def purpose(self) -> str:
        """What both ends must agree on for attempts to start."""

    @property
    def at_once(self) -> int:
        """How many slots it may bind to attempts at a time."""

    @property
    def reserved(self) -> bool:
        """Whether communication slots are set aside for it."""

    @property
    def is_full(self) -> bool:
        """Whether its application has as many slots as it may, so that it waits as if none were free."""

    @property
    def priority(self) -> int:
        """A higher one is served first."""

    def heralded(self, held: HeldQubit, herald: Heralded) -> None:
        """A pair is there; its half is free to use."""

    def died(self, held: HeldQubit, why: str, *, tell: bool) -> None:
        """A pair that was dead before its herald came; ``tell``: the other end does not know."""

    def refused(self, reason: str) -> None:
        """The fabric will never make such pairs."""


@dataclass(slots=True)
class LinkLayer:
    """All links of a node."""

    core: Core
    tell: Callable[[str, LinkWaits | LinkReady], None]
    """Sends to a neighbour, reliably."""
    links: dict[str, LinkConfiguration] = field(init=False)
    by_remote: dict[str, LinkConfiguration] = field(init=False)
    consumers: list[Consumer] = field(default_factory=list)
    """In the order of their priority, then of their coming."""
    generating: dict[Key, list[Generating]] = field(default_factory=dict)
    """Attempts under way."""
    set_aside: int = 0
    """Communication slots that circuits have reserved and not bound."""
    _served: dict[Key, int] = field(default_factory=dict)
    """When each key was last served, by the count of all services."""
    _services: int = 0
    _starved_at: int = -1
    """The memory's count of releases when the fabric last refused a slot: trying again before the next is in vain."""
    _announced: dict[Key, bool] = field(default_factory=dict)
    """What this end has ever said that it waits for, and whether it does so now; it says when it is ready."""
    _follows: Counter[Key] = field(default_factory=Counter)
    """What this end, the later of the two, starts only when told, and how often it was."""
    _tellers: dict[Key, Consumer] = field(default_factory=dict)
    """Of whom the other end is to know whether they want a pair."""
    _full: set[Key] = field(default_factory=set)
    """Of these, who has said that it wants none."""
    _held_off: set[Key] = field(default_factory=set)
    """What this end, the earlier of the two, does not start because the other wants none."""

    def __post_init__(self) -> None:
        self.links = {link.name: link for link in self.core.configuration.links}
        self.by_remote = {link.remote: link for link in self.core.configuration.links}

    def link_to(self, remote: str) -> LinkConfiguration:
        """The link to a neighbour.

        Raises:
            RequestRefused: there is none.
        """
        link = self.by_remote.get(remote)
        if link is None:
            neighbours = ", ".join(self.by_remote) or "none"
            raise RequestRefused(
                "unsupported",
                f"{self.core.configuration.name} has no quantum link to {remote!r}; its neighbours: {neighbours}",
            )
        return link

    def add(self, consumer: Consumer, *, other_end_shares: bool = False) -> None:
        """Serve ``consumer`` after all others of its priority.

        ``other_end_shares``: the other end's slots serve others, too, so it is told while ``consumer`` wants no pair.
        """
        if other_end_shares:
            self._tellers[(consumer.link.name, consumer.purpose)] = consumer
        position = len(self.consumers)
        while position > 0 and self.consumers[position - 1].priority < consumer.priority:
            position -= 1
        self.consumers.insert(position, consumer)

    def remove(self, consumer: Consumer) -> None:
        """Serve it no longer; a herald already under way is discarded when it comes."""
        self.consumers.remove(consumer)
        key = (consumer.link.name, consumer.purpose)
        for generating in list(self.generating.get(key, ())):
            if generating.consumer is consumer:
                generating.consumer = None
                generating.cancel()
        if not any((other.link.name, other.purpose) == key for other in self.consumers):
            self._served.pop(key, None)
            self._follows.pop(key, None)
            self._tellers.pop(key, None)
            self._full.discard(key)
            self._held_off.discard(key)
            if consumer.purpose.startswith(CIRCUIT_PURPOSE):
                self._announced.pop(key, None)

    def forget_peer(self, peer: str) -> None:
        """What was agreed with a neighbour about whose turn it is may not have reached it: agree anew."""
        for link in self.links.values():
            if link.remote == peer:
                agreed = (*self._follows, *self._announced, *self._full, *self._held_off)
                for key in [key for key in agreed if key[0] == link.name]:
                    self._follows.pop(key, None)
                    self._announced.pop(key, None)
                    self._full.discard(key)
                    self._held_off.discard(key)

    def queue_of(self, link: str) -> int:
        """How many want pairs of a link."""
        return sum(consumer.link.name == link and consumer.to_herald > 0 for consumer in self.consumers)

    def slots_bound_for(self, consumers: Collection[Consumer]) -> int:
        """How many slots are bound to attempts for some consumers."""
        return sum(each.bound_for in consumers for series in self.generating.values() for each in series)

    def pump(self) -> None:
        """Start attempts wherever a consumer wants a pair and a communication slot is free."""
        memory = self.core.memory
        for key, consumer in self._tellers.items():
            if (consumer.to_herald <= 0) is not (key in self._full):
                self._tell_whether_full(consumer, key)
        if not self.consumers or self._starved_at == memory.releases:
            return
        for consumer in self._by_turn():
            if consumer.to_herald <= 0:
                continue
            key = (consumer.link.name, consumer.purpose)
            if key in self._held_off:
                continue
            series = self.generating.get(key, ())
            while consumer.to_herald > (bound := len(series)) and bound < consumer.at_once:
                if key in self._follows and self._follows[key] <= 0:
                    break
                free = memory.free("communication")
                if free == 0 or (not consumer.reserved and free <= self.set_aside) or consumer.is_full:
                    self._starve(consumer, key)
                    break
                self._start(consumer, key)
                series = self.generating[key]

    def _by_turn(self) -> list[Consumer]:
        """The consumers of highest priority first, and of these the link and purpose that was served longest ago."""
        if len(self.consumers) == 1:
            return self.consumers[:]
        served = self._served
        return sorted(self.consumers, key=lambda each: (-each.priority, served.get((each.link.name, each.purpose), 0)))

    def _start(self, consumer: Consumer, key: Key) -> None:
        held = self.core.memory.take("communication", Cause.GENERATE, session=None)
        held.busy = True
        if consumer.reserved:
            self.set_aside -= 1
        generating = Generating(self, consumer, consumer, held, key)
        self.generating.setdefault(key, []).append(generating)
        self._services += 1
        self._served[key] = self._services
        if key in self._follows:
            self._follows[key] -= 1
        elif key in self._announced:
            self._announced[key] = False
            self.tell(consumer.link.remote, LinkReady(link=consumer.link.name, purpose=consumer.purpose))
        action = Generate(
            link=consumer.link.name,
            qubit=held.name,
            purpose=consumer.purpose,
            operating_point=consumer.operating_point,
        )
        generating.operation = self.core.operate(action, generating)

    def _starve(self, consumer: Consumer, key: Key) -> None:
        """No slot: if attempts of others have them, the other end is told, so that it does not hold one in vain."""
        if (
            self._leads(consumer.link.remote)
            and self.generating
            and key not in self.generating
            and not self._announced.get(key)
        ):
            self._announced[key] = True
            self.tell(consumer.link.remote, LinkWaits(link=consumer.link.name, purpose=consumer.purpose))

    def _tell_whether_full(self, consumer: Consumer, key: Key) -> None:
        """The consumer has begun or ceased to want pairs: keep the other end from binding a slot in vain."""
        link, purpose = key
        leads = self._leads(consumer.link.remote)
        if consumer.to_herald <= 0:
            self._full.add(key)
            if leads:
                self._announced[key] = True
            elif key in self._follows:
                self._follows[key] = 0
            self.tell(consumer.link.remote, LinkWaits(link=link, purpose=purpose))
        else:
            self._full.discard(key)
            if not leads:  # else it is said when a slot is bound
                self.tell(consumer.link.remote, LinkReady(link=link, purpose=purpose))

    def _leads(self, remote: str) -> bool:
        """Whether this end of a link is the one that binds first."""
        return self.core.configuration.name < remote

    def _hold_off(self, key: Key, remote: str) -> None:
        """The other end wants no pair: what it was told of slots bound here is void."""
        self._held_off.add(key)
        for generating in list(self.generating.get(key, ())):
            generating.cancel()
        if key in self._announced:
            self._announced[key] = True
            self.tell(remote, LinkWaits(link=key[0], purpose=key[1]))

    def told(self, sender: str, message: LinkWaits | LinkReady) -> None:
        """The other end of a link has no slot for a purpose, or has bound one; or it wants none, or does again."""
        link = self.links.get(message.link)
        if link is None or link.remote != sender:
            self.core.record("message_dropped", sender=sender, reason=f"{message.link} is no link with it")
            return
        key = (message.link, message.purpose)
        if self._leads(sender):
            if isinstance(message, LinkReady):
                self._held_off.discard(key)
            elif any((each.link.name, each.purpose) == key for each in self.consumers):
                self._hold_off(key, sender)
            return
        if isinstance(message, LinkReady):
            if key in self._follows:
                self._follows[key] += 1
            return
        self._follows[key] = 0
        for generating in list(self.generating.get(key, ())):
            generating.cancel()

    def heralded(self, herald: Heralded, *, dead_because: str | None = None) -> None:
        """A pair was announced: hand it to its consumer; a dead one makes room for another."""
        core = self.core
        generating = core.pending.pop(herald.operation)
        assert isinstance(generating, Generating)
        generating.ended()
        held, consumer = generating.held, generating.consumer
        here, held.doomed = held.doomed, None
        core.memory.pair(held, PairEnd(herald.pair_id, self.links[herald.link].remote, herald.emitted_at))
        held.busy = False
        if consumer is None:
            core.discard(held, why="its request had ended before the herald")
        elif here is not None:
            consumer.died(held, here[0], tell=dead_because is None)
        elif dead_because is not None:
            consumer.died(held, dead_because, tell=False)
        else:
            consumer.to_herald -= 1
            consumer.heralded(held, herald)


@dataclass(slots=True, eq=False)
class Generating:
    """Attempts under way for a consumer."""

    layer: LinkLayer
    consumer: Consumer | None
    """None: it has ended."""
    bound_for: Consumer
    held: HeldQubit
    key: Key
    operation: int = -1
    cancelling: bool = False

    def cancel(self) -> None:
        """Stop the attempts; a herald already under way still comes."""
        if not self.cancelling:
            self.cancelling = True
            self.layer.core.operate(Cancel(operation=self.operation), Cancelling(self))

    def ended(self) -> None:
        """There are no more attempts."""
        series = self.layer.generating[self.key]
        series.remove(self)
        if not series:
            del self.layer.generating[self.key]

    def completed(self, bits: tuple[int, ...]) -> None:
        """Attempts end by herald, cancellation or refusal, never so."""
        raise RuntimeError(f"generation {self.operation} completed without a herald")

    def refused(self, code: str, reason: str, done: int) -> None:
        """The fabric will not try. Where an arriving qubit took the slot, wait for another; else the consumer fails."""
        self.ended()
        self.release()
        if self.key in self.layer._follows:
            self.layer._follows[self.key] += 1
        if code == "no_slot":
            self.layer._starved_at = self.layer.core.memory.releases
        elif self.consumer is not None:
            self.consumer.refused(reason)

    def release(self) -> None:
        """The slot is free again."""
        self.layer.core.memory.release(self.held, why="was never entangled")
        if self.bound_for.reserved:
            self.layer.set_aside += 1


@dataclass(slots=True)
class Cancelling:
    """A cancellation at the fabric."""

    generating: Generating

    def completed(self, bits: tuple[int, ...]) -> None:
        """The attempts have stopped; bit 0 means that they had just succeeded, so a herald will come."""
        generating = self.generating
        if bits == (1,):
            generating.layer.core.pending.pop(generating.operation, None)
            generating.ended()
            generating.release()

    def refused(self, code: str, reason: str, done: int) -> None:
        """The attempts had ended before; their own end is told apart."""


def correction(qubit: str, x: int, z: int) -> tuple[Step, ...]:
    """The gates X^x, then Z^z, on ``qubit``."""
    return tuple(Gate(name=name, qubits=(qubit,)) for name, on in (("X", x), ("Z", z)) if on)
