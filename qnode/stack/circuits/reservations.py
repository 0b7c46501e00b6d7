"""What a node's circuits have reserved: memory slots, and shares of its links' time. Call admission control."""

from __future__ import annotations

from dataclasses import dataclass, field

_ROUNDING = 1e-9


@dataclass(slots=True, frozen=True)
class Shortage:
    """What a node or link has too little of for one more circuit."""

    where: str
    reason: str


@dataclass(slots=True, frozen=True)
class Reservation:
    """What one circuit has at this node."""

    circuit: str
    generation: int
    priority: int
    shares: dict[str, float]
    """By link."""
    slots_per_side: int
    dedicated: bool
    """Whether its slots are communication slots of its own; else its pairs wait in storage."""

    @property
    def slots(self) -> int:
        """In all."""
        return self.slots_per_side * len(self.shares)


@dataclass(slots=True)
class Reservations:
    """All reservations of a node."""

    node: str
    communication_slots: int
    storage_slots: int
    held: dict[str, Reservation] = field(default_factory=dict)
    """By circuit."""

    def free_share(self, link: str) -> float:
        """The share of the link's time that is not reserved."""
        return 1.0 - sum(each.shares.get(link, 0.0) for each in self.held.values())

    @property
    def free_slots(self) -> int:
        """Slots of either role that are not reserved."""
        return self.communication_slots + self.storage_slots - sum(each.slots for each in self.held.values())

    @property
    def dedicated_slots(self) -> int:
        """Communication slots that are set aside for circuits."""
        return sum(each.slots for each in self.held.values() if each.dedicated)

    def reserve(
        self, circuit: str, generation: int, *, shares: dict[str, float], slots: int, priority: int, least: int = 1
    ) -> Reservation | Shortage:
        """Reserve ``shares`` of links and up to ``slots`` slots for each of them, at least ``least``."""
        for link, share in shares.items():
            free = self.free_share(link)
            if share > free + _ROUNDING:
                reason = f"link {link} has {max(0.0, free):.3g} of its time free, {share:.3g} is needed"
                return Shortage(link, reason)
        for slots_per_side in range(max(least, slots), least - 1, -1):
            for dedicated in (True, False):
                if self._fits(slots_per_side * len(shares), dedicated=dedicated):
                    reservation = Reservation(circuit, generation, priority, shares, slots_per_side, dedicated)
                    self.held[circuit] = reservation
                    return reservation
        return Shortage(
            self.node,
            f"{self.node} has {self.free_slots} of its {self.communication_slots + self.storage_slots} memory slots "
            f"free ({self.communication_slots - self.dedicated_slots} for communication), "
            f"{least * len(shares)} of one sort are needed",
        )

    def _fits(self, slots: int, *, dedicated: bool) -> bool:
        """Dedicated slots leave one communication slot to circuits that share, where storage makes that possible."""
        taken = self.dedicated_slots
        stored = sum(each.slots for each in self.held.values() if not each.dedicated)
        if dedicated:
            return taken + slots <= self.communication_slots - (1 if stored or self.storage_slots > 1 else 0)
        return self.communication_slots > taken and stored + slots <= self.storage_slots

    def without_room(self) -> tuple[str, ...]:
        """The circuits, the lowest and latest first, that the slots no longer suffice for."""
        book = Reservations(self.node, self.communication_slots, self.storage_slots, dict(self.held))
        chosen: list[str] = []
        for dedicated in (True, False):  # fewer of the first make room for the second
            while not book._fits(0, dedicated=dedicated):
                found = [each for each in reversed(book.held.values()) if each.dedicated is dedicated]
                if not found:
                    break
                chosen.append(min(found, key=lambda each: each.priority).circuit)
                del book.held[chosen[-1]]
        return tuple(chosen)

    def victims(self, *, shares: dict[str, float], priority: int, least: int = 1) -> tuple[str, ...]:
        """The fewest circuits of lower priority, the lowest and latest first, whose end would make room; or none."""
        book = Reservations(self.node, self.communication_slots, self.storage_slots, dict(self.held))
        chosen = []
        latest_first = [each for each in reversed(self.held.values()) if each.priority < priority]
        for each in sorted(latest_first, key=lambda each: each.priority):
            del book.held[each.circuit]
            chosen.append(each.circuit)
            fits = book.reserve("", 0, shares=shares, slots=least, priority=priority, least=least)
            if isinstance(fits, Reservation):
                return tuple(chosen)
        return ()

    def release(self, circuit: str) -> None:
        """Free what a circuit has here; nothing is no error."""
        self.held.pop(circuit, None)
