"""Signalling: circuits are reserved hop by hop and kept alive, and vanish where nobody keeps them alive.

In the manner of RSVP-TE (RFC 3209): the head sends `Path` along the route that it has computed; every node admits the
circuit and reserves, or refuses with the reason; the tail answers `Reserved`, and every node installs its rules as that
passes. `Refresh` goes to the tail and back; a node that has heard none for three intervals frees what it holds. So a
dead node's reservations vanish wherever they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import msgspec

from qnode.stack.circuits.data_plane import End, Installed
from qnode.stack.circuits.reservations import Reservation, Reservations, Shortage
from qnode.stack.core import Core
from qnode.stack.link_layer import LinkLayer
from qnode.stack.memory import HeldQubit
from qnode.stack.paths import FORWARDING_ROLES
from qnode.wire.circuits import (
    CircuitMessage,
    DistilPairs,
    PairDied,
    PairDistilled,
    Path,
    PathRefused,
    Refresh,
    Reserved,
    SegmentGrew,
    Teardown,
)


class TransitState(Enum):
    """What a node holds for a circuit that passes or ends here."""

    ASKED = "asked"
    """Reserved; the tail has not answered."""
    INSTALLED = "installed"
    """The rules stand."""
    GONE = "gone"


class TransitCause(Enum):
    """Why that changes."""

    RESERVED = "reserved"
    REFUSED = "refused"
    TEARDOWN = "teardown"
    SILENCE = "silence"
    """No refresh for three intervals, or a neighbour that acknowledges nothing."""


TRANSIT_TRANSITIONS: dict[tuple[TransitState, TransitCause], TransitState] = {
    (TransitState.ASKED, TransitCause.RESERVED): TransitState.INSTALLED,
    (TransitState.ASKED, TransitCause.REFUSED): TransitState.GONE,
    (TransitState.ASKED, TransitCause.TEARDOWN): TransitState.GONE,
    (TransitState.ASKED, TransitCause.SILENCE): TransitState.GONE,
    (TransitState.INSTALLED, TransitCause.TEARDOWN): TransitState.GONE,
    (TransitState.INSTALLED, TransitCause.SILENCE): TransitState.GONE,
}


@dataclass(slots=True)
class Transit:
    """One path of one circuit at this node."""

    path: Path
    position: int
    state: TransitState = TransitState.ASKED
    installed: Installed | None = None
    sharing: tuple[str, ...] = ()
    """Its neighbours on the path that have no communication slots for it alone."""

    def change(self, cause: TransitCause) -> None:
        """Follow the table.

        Raises:
            RuntimeError: it has no such transition: a fault of the stack itself.
        """
        after = TRANSIT_TRANSITIONS.get((self.state, cause))
        if after is None:
            raise RuntimeError(f"circuit {self.path.circuit} is {self.state.value} here: cannot be {cause.value}")
        self.state = after

    @property
    def upstream(self) -> str | None:
        """The neighbour nearer to the head."""
        return self.path.hops[self.position - 1].upstream if self.position > 0 else None

    @property
    def downstream(self) -> str | None:
        """The neighbour nearer to the tail."""
        return self.path.hops[self.position].downstream if self.position < len(self.path.hops) else None

    @property
    def links(self) -> dict[str, float]:
        """The circuit's links here, and the shares of their time."""
        around = self.path.hops[max(0, self.position - 1) : self.position + 1]
        return {hop.link: hop.share for hop in around}

    @property
    def least_slots(self) -> int:
        """A side needs: distillation of so many rounds holds a pair of each, and one more to come through them all."""
        path = self.path
        around = path.hops[max(0, self.position - 1) : self.position + 1]
        is_end = self.upstream is None or self.downstream is None
        between_ends = path.end_distillation_rounds if is_end and path.kind == "K" else 0
        return 1 + between_ends + max(hop.distillation_rounds for hop in around)


class Ends(Protocol):
    """What the ends of circuits at this node want to hear of signalling."""

    def asked(self, path: Path) -> None:
        """A circuit to this node: accept or refuse it, now or later."""

    def end_of(self, installed: Installed) -> End:
        """What to do with the pairs of a path that is being installed."""

    def reserved(self, circuit: str, installed: Installed) -> None:
        """A path of this node's own circuit stands."""

    def refused(self, message: PathRefused) -> None:
        """A path of this node's own circuit was refused."""

    def torn_down(self, transit: Transit, message: Teardown) -> None:
        """A path that ends here is gone."""

    def closed_from_afar(self, sender: str, message: Teardown) -> None:
        """A circuit that has no path through here is closed."""


@dataclass(slots=True)
class Signalling:
    """All circuits at a node, as far as resources go."""

    core: Core
    link_layer: LinkLayer
    tell: Callable[[str, CircuitMessage], None]
    tell_housekeeping: Callable[[str, CircuitMessage], None]
    link_works: Callable[[str], bool]
    changed: Callable[[str], None]
    """The free share of a link, and free slots, have changed."""
    ends: Ends
    reservations: Reservations = field(init=False)
    transits: dict[str, Transit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        configuration = self.core.configuration
        self.reservations = Reservations(
            configuration.name, configuration.communication_slots, configuration.storage_slots
        )

    # The head and the tail

    def begin(self, path: Path) -> Shortage | None:
        """Reserve at the head and ask the next node; a shortage here is told at once."""
        transit = Transit(path, 0)
        shortage = self._admit(transit)
        if shortage is None:
            self.transits[path.circuit] = transit
            self._tell_downstream(transit)
            self._keep_alive(transit)
        return shortage

    def accept(self, circuit: str) -> bool:
        """The tail wants the circuit; False if it is gone."""
        transit = self.transits.get(circuit)
        if transit is None or transit.state is not TransitState.ASKED:
            return False
        self._install(transit)
        self._answer_upstream(transit)
        return True

    def deny(self, circuit: str, code: str, reason: str) -> None:
        """The tail does not want the circuit."""
        transit = self.transits.get(circuit)
        if transit is not None and transit.state is TransitState.ASKED:
            self._refuse(transit, self.core.configuration.name, code, reason)

    def close(self, circuit: str, *, code: str = "closed", reason: str) -> None:
        """An end wants no more."""
        transit = self.transits.get(circuit)
        if transit is not None:
            self._tear(transit, TransitCause.TEARDOWN, code, self.core.configuration.name, reason)

    # Messages

    def path(self, sender: str, path: Path) -> None:
        """A circuit wants to pass or end here."""
        name = self.core.configuration.name
        position = next((i + 1 for i, hop in enumerate(path.hops) if hop.downstream == name), 0)
        if position == 0 or path.hops[position - 1].upstream != sender or not self._has_links(path, position):
            self.core.record("message_dropped", sender=sender, reason=f"circuit {path.circuit} does not come that way")
            return
        known = self.transits.get(path.circuit)
        if known is not None:
            if known.path.generation >= path.generation:
                return
            self._tear(known, TransitCause.TEARDOWN, "failed", name, "its circuit has another path")
        transit = Transit(path, position)
        if path.shares_slots:
            transit.sharing = (sender,)
        shortage = self._admit(transit)
        if shortage is not None:
            self._refuse_upstream(transit, shortage.where, "no_capacity", shortage.reason)
            return
        self.transits[path.circuit] = transit
        self._expect(transit)
        if transit.downstream is not None:
            self._tell_downstream(transit)
        else:
            self.ends.asked(path)

    def reserved(self, sender: str, message: Reserved) -> None:
        """Everything downstream of here is ready."""
        transit = self._of(message.circuit, message.generation)
        if transit is None or sender != transit.downstream or transit.state is not TransitState.ASKED:
            return
        if message.shares_slots:
            transit.sharing += (sender,)
        installed = self._install(transit)
        if transit.upstream is not None:
            self._answer_upstream(transit)
        else:
            self.ends.reserved(message.circuit, installed)

    def refused(self, sender: str, message: PathRefused) -> None:
        """Somebody downstream cannot serve the circuit."""
        transit = self._of(message.circuit, message.generation)
        if transit is None or sender != transit.downstream or transit.state is not TransitState.ASKED:
            return
        self._free(transit, TransitCause.REFUSED, message.reason)
        if transit.upstream is not None:
            self.tell(transit.upstream, message)
        else:
            self.ends.refused(message)

    def teardown(self, sender: str, message: Teardown) -> None:
        """The circuit is over, further up or down."""
        transit = self._of(message.circuit, message.generation)
        if transit is None:
            self.ends.closed_from_afar(sender, message)
        if transit is None or sender not in (transit.upstream, transit.downstream):
            return
        self._free(transit, TransitCause.TEARDOWN, message.reason)
        onwards = transit.downstream if sender == transit.upstream else transit.upstream
        if onwards is not None:
            self.tell(onwards, message)
        else:
            self.ends.torn_down(transit, message)

    def refresh(self, sender: str, message: Refresh) -> None:
        """The circuit is alive."""
        transit = self._of(message.circuit, message.generation)
        if transit is None:
            gone = Teardown(
                circuit=message.circuit,
                generation=message.generation,
                code="failed",
                where=self.core.configuration.name,
                reason=f"{self.core.configuration.name} does not know the circuit",
            )
            self.tell(sender, gone)
            return
        if sender not in (transit.upstream, transit.downstream):
            return
        if message.upstream or transit.upstream is not None:
            self._expect(transit)
        onwards = transit.upstream if message.upstream else transit.downstream
        if onwards is not None:
            self.tell_housekeeping(onwards, message)
        elif not message.upstream and transit.upstream is not None:
            answer = Refresh(circuit=message.circuit, generation=message.generation, upstream=True)
            self.tell_housekeeping(transit.upstream, answer)

    def of_pair(self, sender: str, message: SegmentGrew | PairDied | DistilPairs | PairDistilled) -> None:
        """What the data plane is told."""
        transit = self.transits.get(message.circuit)
        installed = transit.installed if transit is not None else None
        if installed is None:
            return
        if isinstance(message, SegmentGrew):
            if message.generation == installed.path.generation:
                installed.grew(message)
        elif isinstance(message, PairDied):
            installed.pair_died(message)
        else:
            installed.distil(sender, message)

    def owns(self, held: HeldQubit) -> bool:
        """Whether a half is some circuit's link pair, which its sides and ends keep account of."""
        return held.pair is not None and self._installed_with(held.pair.pair_id) is not None

    def pair_lost(self, pair_id: str, reason: str) -> None:
        """One end of a link's pair has lost its half, or never had it: the circuit that used the pair hears of it."""
        for transit in list(self.transits.values()):
            installed = transit.installed
            if installed is None:
                continue
            if installed.has(pair_id) or pair_id in installed.joined:
                installed.pair_died(PairDied(circuit=installed.name, pair_id=pair_id, reason=reason))
            elif installed.end is not None and pair_id.rpartition("/")[0] in installed.sides:
                installed.end.died(pair_id, reason)

    def _installed_with(self, pair_id: str) -> Installed | None:
        for transit in self.transits.values():
            if transit.installed is not None and transit.installed.has(pair_id):
                return transit.installed
        return None

    def half_lost(self, pair_id: str, reason: str) -> None:
        """The half here of a circuit's link pair is lost."""
        installed = self._installed_with(pair_id)
        if installed is not None:
            installed.lost(pair_id, reason)

    def slots_changed(self) -> None:
        """Slots have failed or are back: circuits that there is no longer room for are torn down, the others told."""
        memory, name = self.core.memory, self.core.configuration.name
        self.reservations.communication_slots = memory.working("communication")
        self.reservations.storage_slots = memory.working("storage")
        for circuit in self.reservations.without_room():
            self._tear(self.transits[circuit], TransitCause.TEARDOWN, "failed", name, f"memory slots of {name} failed")
        for link in self.link_layer.links:
            self.changed(link)

    def pair_expired(self, pair_id: str) -> None:
        """A pair may have waited too long."""
        link = pair_id.rpartition("/")[0]
        for transit in self.transits.values():
            if transit.installed is not None and link in transit.installed.sides:
                transit.installed.expired(pair_id)

    # Failures

    def link_lost(self, link: str, reason: str) -> None:
        """A link does not work any more: its circuits are torn down, in both directions."""
        for transit in [transit for transit in self.transits.values() if link in transit.links]:
            self._tear(transit, TransitCause.TEARDOWN, "failed", link, reason)

    def silent(self, peer: str) -> None:
        """What a peer was told, or told, may be lost: circuits that it has a part in are over here."""
        for transit in list(self.transits.values()):
            if any(peer in (hop.upstream, hop.downstream) for hop in transit.path.hops):
                self._tear(transit, TransitCause.SILENCE, "failed", peer, f"messages with {peer} were lost")

    def refresh_due(self, circuit: str, generation: int) -> None:
        """The head keeps its circuit alive."""
        transit = self._of(circuit, generation)
        if transit is not None and transit.downstream is not None:
            self.tell_housekeeping(transit.downstream, Refresh(circuit=circuit, generation=generation))
            self._keep_alive(transit)

    def unrefreshed(self, circuit: str, generation: int) -> None:
        """Nobody keeps the circuit alive."""
        transit = self._of(circuit, generation)
        if transit is not None:
            name = self.core.configuration.name
            self._tear(transit, TransitCause.SILENCE, "failed", name, f"{name} has heard no refresh")

    # The parts of it

    def _has_links(self, path: Path, position: int) -> bool:
        """Whether the path's links at this node are links of this node, to where the path says."""
        links, before = self.link_layer.links, path.hops[position - 1]
        ends = {before.link: before.upstream}
        if position < len(path.hops):
            after = path.hops[position]
            if after.upstream != before.downstream or after.link == before.link:
                return False
            ends[after.link] = after.downstream
        return all(link in links and links[link].remote == remote for link, remote in ends.items())

    def _of(self, circuit: str, generation: int) -> Transit | None:
        transit = self.transits.get(circuit)
        return transit if transit is not None and transit.path.generation == generation else None

    def _admit(self, transit: Transit) -> Shortage | None:
        """Reserve, in place of circuits of lower priority if it must be."""
        path, name = transit.path, self.core.configuration.name
        role = self.core.configuration.role
        passes = transit.upstream is not None and transit.downstream is not None
        if passes and role not in FORWARDING_ROLES:
            return Shortage(name, f"{name} is an {role} node and forwards nothing")
        for link in transit.links:
            if not self.link_works(link):
                return Shortage(link, f"link {link} does not work at {name}")
        for hop in path.hops[max(0, transit.position - 1) : transit.position + 1]:
            known = len(self.link_layer.links[hop.link].operating_points)
            if not 0 <= hop.operating_point < known:
                reason = f"link {hop.link} has the operating points 0 to {known - 1}, not {hop.operating_point}"
                return Shortage(hop.link, reason)
        found = self._reserve(transit)
        if isinstance(found, Shortage) and path.priority > 0:
            victims = self.reservations.victims(shares=transit.links, priority=path.priority, least=transit.least_slots)
            for victim in victims:
                reason = f"circuit {path.circuit} of priority {path.priority} took its place at {name}"
                self._tear(self.transits[victim], TransitCause.TEARDOWN, "preempted", name, reason)
            if victims:
                found = self._reserve(transit)
        if isinstance(found, Shortage):
            return found
        for link in transit.links:
            self.changed(link)
        return None

    def _reserve(self, transit: Transit) -> Reservation | Shortage:
        path = transit.path
        return self.reservations.reserve(
            path.circuit,
            path.generation,
            shares=transit.links,
            slots=path.slots,
            priority=path.priority,
            least=transit.least_slots,
        )

    def _install(self, transit: Transit) -> Installed:
        transit.change(TransitCause.RESERVED)
        path = transit.path
        installed = transit.installed = Installed(self.core, self.link_layer, path, transit.position, self.tell)
        is_end = transit.upstream is None or transit.downstream is None
        installed.takes_at_once = is_end and path.kind == "M"
        installed.install(self.reservations.held[path.circuit], sharing=transit.sharing)
        if is_end:
            installed.end = self.ends.end_of(installed)
        self.core.record(
            "rules_installed",
            circuit=path.circuit,
            generation=path.generation,
            rules=[str(rule) for rule in installed.rules()],
        )
        return installed

    def _answer_upstream(self, transit: Transit) -> None:
        assert transit.upstream is not None
        path, shares = transit.path, self._shares_slots(transit)
        self.tell(transit.upstream, Reserved(circuit=path.circuit, generation=path.generation, shares_slots=shares))

    def _tell_downstream(self, transit: Transit) -> None:
        assert transit.downstream is not None
        path = msgspec.structs.replace(transit.path, shares_slots=self._shares_slots(transit))
        self.tell(transit.downstream, path)

    def _shares_slots(self, transit: Transit) -> bool:
        return not self.reservations.held[transit.path.circuit].dedicated

    def _refuse(self, transit: Transit, where: str, code: str, reason: str) -> None:
        self._free(transit, TransitCause.REFUSED, reason)
        self._refuse_upstream(transit, where, code, reason)

    def _refuse_upstream(self, transit: Transit, where: str, code: str, reason: str) -> None:
        assert transit.upstream is not None
        path = transit.path
        message = PathRefused(circuit=path.circuit, generation=path.generation, where=where, code=code, reason=reason)
        self.tell(transit.upstream, message)

    def _tear(self, transit: Transit, cause: TransitCause, code: str, where: str, reason: str) -> None:
        """Free the circuit here and tell both directions, or the end that is here."""
        self._free(transit, cause, reason)
        message = Teardown(
            circuit=transit.path.circuit, generation=transit.path.generation, code=code, where=where, reason=reason
        )
        for neighbour in (transit.upstream, transit.downstream):
            if neighbour is not None:
                self.tell(neighbour, message)
        if transit.upstream is None or transit.downstream is None:
            self.ends.torn_down(transit, message)

    def _free(self, transit: Transit, cause: TransitCause, reason: str) -> None:
        transit.change(cause)
        path = transit.path
        del self.transits[path.circuit]
        self.reservations.release(path.circuit)
        for purpose in ("circuit_refresh", "circuit_silent"):
            self.core.cancel_timer((purpose, path.circuit, path.generation))
        if transit.installed is not None:
            transit.installed.uninstall(reason)
        for link in transit.links:
            self.changed(link)

    def _keep_alive(self, transit: Transit) -> None:
        path = transit.path
        self.core.set_timer(self._interval_ps, ("circuit_refresh", path.circuit, path.generation), housekeeping=True)
        if transit.state is TransitState.ASKED:
            self._expect(transit)

    def _expect(self, transit: Transit) -> None:
        """From now on, three intervals without a refresh are the end."""
        path = transit.path
        self.core.set_timer(3 * self._interval_ps, ("circuit_silent", path.circuit, path.generation), housekeeping=True)

    @property
    def _interval_ps(self) -> int:
        network = self.core.configuration.network
        assert network is not None
        return network.refresh_interval_ps
