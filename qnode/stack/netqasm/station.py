"""The node as subroutines and sockets see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from qnode.stack.core import Core, RequestRefused
from qnode.stack.link_layer import LinkLayer
from qnode.stack.memory import Cause, HeldQubit
from qnode.stack.netqasm.language import Fault
from qnode.wire.netqasm import NetqasmPeerMessage
from qnode.wire.quantum import Role

SESSION_SHARE = 16
"""Of what a node may do at one instant, the subroutines of a session may do one part in so many."""
NODE_SHARE = 2
"""And all subroutines."""


@dataclass(slots=True)
class Station:
    """What they may know of the node and do with it, beside what they ask for as an application does."""

    core: Core
    link_layer: LinkLayer
    tell: Callable[[str, NetqasmPeerMessage], None]
    """Sends to another node, reliably."""
    watch: Callable[[str], None]
    """Looks after a node that something is waited for from."""
    _nodes: tuple[str, ...] = field(init=False)
    _instant_ps: int = -1
    _round_trips: Counter[int] = field(default_factory=Counter)
    _requests: int = 0
    _draws: int = 0

    def __post_init__(self) -> None:
        configuration = self.core.configuration
        self._nodes = tuple(sorted({configuration.name, *configuration.peers}))

    @property
    def instruction_duration_ps(self) -> int:
        """Of a classical instruction."""
        return self.core.configuration.instruction_duration_ps

    @property
    def most_instructions(self) -> int:
        """That may be executed without virtual time moving on."""
        return self.core.configuration.limits.instructions

    @property
    def now(self) -> int:
        """Virtual time (ps)."""
        return self.core.now

    @property
    def over_circuits(self) -> bool:
        """Whether there is a control plane."""
        return self.core.configuration.network is not None

    def record(self, kind: str, **details: Any) -> None:
        """Write a line into the event log."""
        self.core.record(kind, **details)

    def name_of(self, node: int) -> str:
        """A node's number is its place in the sorted list of all names that a message can reach, this one among them.

        Raises:
            Fault: there is no such node, or it is this one.
        """
        if not 0 <= node < len(self._nodes) or self._nodes[node] == self.core.configuration.name:
            raise Fault(f"node {node} is no other node; they are numbered 0 to {len(self._nodes) - 1} by their names")
        return self._nodes[node]

    def new_request(self) -> str:
        """A name never used before."""
        self._requests += 1
        return f"{self.core.configuration.label}:{self._requests - 1}"

    def uniform(self) -> float:
        """A draw in [0, 1), of the node's own stream."""
        self._draws += 1
        configuration = self.core.configuration
        text = f"{configuration.randomness}\0{configuration.incarnation}\0{self._draws}"
        return (int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 11) * 2.0**-53

    def count_round_trip(self, session: int) -> None:
        """A subroutine has steps done.

        Raises:
            Fault: its session has had too many done at this instant, or all of the node's have.
        """
        if self._instant_ps != self.core.now:
            self._instant_ps = self.core.now
            self._round_trips.clear()
        self._round_trips[session] += 1
        most = self.core.configuration.steps_per_instant
        mine, all_of_them = self._round_trips[session], self._round_trips.total()
        if mine > most // SESSION_SHARE or all_of_them > most // NODE_SHARE:
            raise Fault(f"too many operations at {self.core.now} ps: it loops without virtual time passing")

    # Memory

    def free_slots(self, role: Role) -> int:
        """That programs may take: not those that circuits have set aside."""
        free = self.core.memory.free(role)
        return free - self.link_layer.set_aside if role == "communication" else free

    def room(self, session: int) -> float:
        """How many more slots the session may take, whether or not they are free."""
        return self.core.room(session)

    def no_longer_pair(self, qubit: str) -> None:
        """What lies there now is another state: news of the pair does not concern it."""
        held = self.core.memory.qubits.get(qubit)
        if held is not None and held.pair is not None:
            self.core.memory.unpair(held)
            held.slot.change(Cause.UNPAIR)

    def is_in_communication(self, qubit: str) -> bool:
        """Whether a qubit is there and lies in a communication slot."""
        held = self.core.memory.qubits.get(qubit)
        return held is not None and held.slot.role == "communication"

    def check_qubit(self, session: int, qubit: str) -> None:
        """Whether the session may use a qubit.

        Raises:
            Fault: it is gone, and why.
        """
        try:
            self.core.qubit_of(session, qubit)
        except RequestRefused as refusal:
            raise Fault(refusal.reason) from refusal

    def lives(self, session: int, qubit: str) -> bool:
        """Whether a qubit of the session is there."""
        held = self.core.memory.qubits.get(qubit)
        return held is not None and held.session == session and self.core.lives(held)

    def discard(self, session: int, qubit: str, why: str, *, tell: bool) -> None:
        """Throw a qubit of the session away, if it is there; ``tell``: the other end of a pair."""
        if self.lives(session, qubit):
            self.core.discard(self.core.memory.qubits[qubit], why=why, tell=tell)

    def stranded(self, qubits: list[str]) -> str:
        """One of these in a communication slot that a further pair is to come to, if a storage slot is free for it."""
        memory = self.core.memory
        if memory.free("storage") == 0:
            return ""
        for held in self._in_communication(qubits):
            if memory.free("communication") == 0 or held.released is not None:
                return held.name
        return ""

    def crowded(self, qubits: list[str]) -> bool:
        """Whether these have every communication slot and no storage slot is free, or are as many as they may be."""
        memory, most = self.core.memory, self.core.configuration.limits.memory_slots
        if most is not None and len(qubits) >= most:
            return True
        mine = len(self._in_communication(qubits))
        return mine > 0 and mine >= memory.working("communication") and memory.free("storage") == 0

    def _in_communication(self, qubits: list[str]) -> list[HeldQubit]:
        found = [self.core.memory.qubits.get(qubit) for qubit in qubits]
        return [
            held for held in found if held is not None and held.slot.role == "communication" and self.core.lives(held)
        ]
