"""Quantum memory as its node knows it: slots, what lies in them, and whose it is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from qnode.wire.peer import PreparedRemotely
from qnode.wire.quantum import Role


class SlotState(Enum):
    """What a memory slot is doing."""

    FREE = "free"
    GENERATING = "generating"
    """Bound to a link's attempts."""
    ENTANGLED = "entangled"
    """Holds one end of a Bell pair."""
    HOLDING = "holding"
    """Holds any other qubit."""
    LEAVING = "leaving"
    """Its qubit is being measured, sent or discarded."""
    FAILED = "failed"
    """Out of service."""


class Cause(Enum):
    """Why a slot changes its state."""

    GENERATE = "generate"
    HERALD = "herald"
    PLACE = "place"
    """Prepared here, or arrived from a link."""
    UNPAIR = "unpair"
    """The pair was consumed; its qubit stays as data."""
    LEAVE = "leave"
    STAY_PAIRED = "stay paired"
    """The operation that was to take the qubit was refused."""
    STAY = "stay"
    RELEASE = "release"
    FAIL = "fail"
    COME_BACK = "come back"


TRANSITIONS: dict[tuple[SlotState, Cause], SlotState] = {
    (SlotState.FREE, Cause.GENERATE): SlotState.GENERATING,
    (SlotState.FREE, Cause.PLACE): SlotState.HOLDING,
    (SlotState.GENERATING, Cause.HERALD): SlotState.ENTANGLED,
    (SlotState.GENERATING, Cause.RELEASE): SlotState.FREE,
    (SlotState.ENTANGLED, Cause.UNPAIR): SlotState.HOLDING,
    (SlotState.ENTANGLED, Cause.LEAVE): SlotState.LEAVING,
    (SlotState.HOLDING, Cause.LEAVE): SlotState.LEAVING,
    (SlotState.HOLDING, Cause.RELEASE): SlotState.FREE,
    (SlotState.LEAVING, Cause.STAY_PAIRED): SlotState.ENTANGLED,
    (SlotState.LEAVING, Cause.STAY): SlotState.HOLDING,
    (SlotState.LEAVING, Cause.RELEASE): SlotState.FREE,
    (SlotState.FREE, Cause.FAIL): SlotState.FAILED,
    (SlotState.FAILED, Cause.COME_BACK): SlotState.FREE,
}


class IllegalTransition(RuntimeError):
    """A slot was asked for something that its state does not allow: a fault of the stack itself."""


@dataclass(slots=True)
class MemorySlot:
    """One place for one qubit."""

    role: Role
    index: int
    state: SlotState = SlotState.FREE
    qubit: str | None = None

    def change(self, cause: Cause) -> None:
        """Follow the transition table.

        Raises:
            IllegalTransition: the table has no such transition.
        """
        after = TRANSITIONS.get((self.state, cause))
        if after is None:
            raise IllegalTransition(
                f"{self.role} slot {self.index} is {self.state.value} with qubit {self.qubit}: cannot {cause.value}"
            )
        self.state = after


@dataclass(slots=True, frozen=True)
class PairEnd:
    """What makes a qubit one end of a Bell pair."""

    pair_id: str
    remote: str
    emitted_at: int
    """Since when this end's memory has been ageing."""


@dataclass(slots=True)
class HeldQubit:
    """A qubit of this node."""

    name: str
    slot: MemorySlot
    session: int | None
    """The application session that may use it; None: nobody yet."""
    pair: PairEnd | None = None
    busy: bool = False
    """An operation is working on it, or waits to; another has to wait."""
    doomed: tuple[str, bool] | None = None
    """To be discarded once it is not busy: why, and whether the pair's other end is to be told."""
    outcome: tuple[int, int] | None = None
    """The bits of a teleportation over its pair, that nobody has asked for yet."""
    preparation: PreparedRemotely | None = None
    """What the other end measured on its half."""
    released: Callable[[], None] | None = None
    """Who is to know when the qubit is gone and its slot is free."""


@dataclass(slots=True)
class Memory:
    """All slots of a node."""

    node: str
    communication_slots: int
    storage_slots: int
    qubits: dict[str, HeldQubit] = field(default_factory=dict)
    halves: dict[str, HeldQubit] = field(default_factory=dict)
    """The qubit here of each pair, by the pair's id."""
    _free: dict[Role, list[MemorySlot]] = field(init=False)
    _failed: dict[Role, list[MemorySlot]] = field(init=False)
    _to_fail: dict[Role, int] = field(init=False)
    """How many are out of service. One is as good as another: those that are still bound fail once they are free."""
    releases: int = 0
    """How often a slot has become free."""
    _vacating: list[MemorySlot] = field(default_factory=list)
    _made: int = 0
    _ended: OrderedDict[str, str] = field(default_factory=OrderedDict)

    REMEMBERED = 4096
    """How many ended qubits are remembered for the sake of good errors."""

    def __post_init__(self) -> None:
        self._free = {
            "communication": [MemorySlot("communication", i) for i in reversed(range(self.communication_slots))],
            "storage": [MemorySlot("storage", i) for i in reversed(range(self.storage_slots))],
        }
        self._failed = {"communication": [], "storage": []}
        self._to_fail = {"communication": 0, "storage": 0}

    def free(self, role: Role) -> int:
        """How many slots of ``role`` are free."""
        return len(self._free[role])

    def working(self, role: Role) -> int:
        """How many slots of ``role`` are not out of service."""
        total = self.communication_slots if role == "communication" else self.storage_slots
        return total - self._to_fail[role]

    def out_of_service(self, role: Role, number: int) -> None:
        """So many slots of ``role`` have failed, and are not to be used until fewer have."""
        self._to_fail[role] = number
        self.releases += 1
        while len(self._failed[role]) > number:
            slot = self._failed[role].pop()
            slot.change(Cause.COME_BACK)
            self._free[role].append(slot)
        self._retire(role)

    def _retire(self, role: Role) -> None:
        """Take free slots out of service, as long as there are too few."""
        while self._free[role] and len(self._failed[role]) < self._to_fail[role]:
            slot = self._free[role].pop()
            slot.change(Cause.FAIL)
            self._failed[role].append(slot)

    def _freed(self, slot: MemorySlot) -> None:
        """A slot is empty."""
        self._free[slot.role].append(slot)
        self.releases += 1
        self._retire(slot.role)

    def take(self, role: Role, cause: Cause, *, session: int | None, name: str | None = None) -> HeldQubit:
        """Put a new qubit (or one that arrived under ``name``) into a free slot of ``role``; there must be one."""
        slot = self._free[role].pop()
        slot.change(cause)
        if name is None:
            name = f"{self.node}#{self._made}"
            self._made += 1
        slot.qubit = name
        held = HeldQubit(name, slot, session)
        self.qubits[name] = held
        return held

    def release(self, held: HeldQubit, *, why: str) -> None:
        """The qubit is gone and its slot is free; ``why`` completes 'the qubit ...'."""
        held.slot.change(Cause.RELEASE)
        held.slot.qubit = None
        self._freed(held.slot)
        self.unpair(held)
        del self.qubits[held.name]
        self._ended[held.name] = why
        if held.released is not None:
            held.released()
        if len(self._ended) > self.REMEMBERED:
            self._ended.popitem(last=False)

    def pair(self, held: HeldQubit, end: PairEnd) -> None:
        """The qubit is one end of a Bell pair now."""
        held.slot.change(Cause.HERALD)
        held.pair = end
        self.halves[end.pair_id] = held

    def rename(self, held: HeldQubit, end: PairEnd) -> None:
        """The pair was joined to others: its other end is elsewhere, and both ends name it anew."""
        self.unpair(held)
        held.pair = end
        self.halves[end.pair_id] = held

    def unpair(self, held: HeldQubit) -> None:
        """The qubit is no end of a pair any more."""
        if held.pair is not None:
            del self.halves[held.pair.pair_id]
            held.pair = None

    def begin_move(self, held: HeldQubit, role: Role) -> MemorySlot:
        """Bind the qubit to a free slot of ``role``; the old slot, returned, stays occupied until the move ends."""
        old, new = held.slot, self._free[role].pop()
        new.state, new.qubit = old.state, held.name
        held.slot = new
        self._vacating.append(old)
        return old

    def end_move(self, old: MemorySlot) -> None:
        """The move is done: its old slot is free."""
        self._vacating.remove(old)
        old.state, old.qubit = SlotState.FREE, None
        self._freed(old)

    def freed_by_move(self, held: HeldQubit) -> None:
        """Whoever is to know when the qubit is gone and its slot is free, may have the slot it was moved out of."""
        released, held.released = held.released, None
        if released is not None:
            released()

    def undo_move(self, held: HeldQubit, old: MemorySlot) -> None:
        """The move was refused: the qubit is still in its old slot."""
        new, held.slot = held.slot, old
        old.state = new.state
        self._vacating.remove(old)
        new.state, new.qubit = SlotState.FREE, None
        self._freed(new)

    def fate(self, name: str) -> str:
        """What became of a qubit that is not here."""
        return self._ended.get(name, "is not known at this node")

    def check(self) -> None:
        """Invariants, for tests: every occupied slot has its qubit and every qubit its slot.

        Raises:
            AssertionError: one does not hold.
        """
        slots = [held.slot for held in self.qubits.values()]
        assert len({id(slot) for slot in slots}) == len(slots), "a slot holds two qubits"
        assert {held.pair.pair_id for held in self.qubits.values() if held.pair} == set(self.halves)
        for held in self.qubits.values():
            assert held.slot.qubit == held.name
            assert held.slot.state is not SlotState.FREE
        for role, failed in self._failed.items():
            assert len(failed) == self._to_fail[role] or not self._free[role], "a slot is free that should have failed"
        unbound = (*self._free.values(), *self._failed.values())
        total = len(slots) + len(self._vacating) + sum(map(len, unbound))
        assert total == self.communication_slots + self.storage_slots, "a slot was lost"
