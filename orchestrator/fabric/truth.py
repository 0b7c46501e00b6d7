"""What the oracle saw of pairs when they were first used: the true states behind what links and circuits deliver.

A pair of a link is looked at before its first use by anything but a Pauli gate, which only turns its frame. A pair of
a circuit is one from the moment that both ends were noted to have it; Pauli gates are followed, and the state at the
first use is turned by the frame that the network announced, so that a wrong frame shows as lost fidelity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from orchestrator.fabric.laboratory import Laboratory
from orchestrator.fabric.predictions import bell_state, to_phi_plus
from qnode.wire.quantum import Discard, Gate, Move, Step

PAULI_FRAMES = {"X": 2, "Y": 3, "Z": 1}
"""What each gate does to a Bell index 2x + z."""
DELIVERED = "circuit_pair_delivered"


@dataclass(slots=True)
class LinkUse:
    """A link's used pairs: their states summed, by nearest Bell state."""

    pairs: int = 0
    state_sums: np.ndarray = field(default_factory=lambda: np.zeros((4, 4, 4), dtype=complex))

    def add(self, state: np.ndarray) -> None:
        """Count one pair's state (4, 4)."""
        nearest = int((_BELL_PROJECTORS @ state.ravel()).real.argmax())
        self.pairs += 1
        self.state_sums[nearest] += state

    def mean_state(self) -> np.ndarray:
        """The mean of all states (4, 4), each turned into the Phi+ frame."""
        turned = [to_phi_plus(state, index) for index, state in enumerate(self.state_sums)]
        return np.asarray(sum(turned) / self.pairs)


@dataclass(slots=True)
class CircuitUse:
    """A circuit's delivered pairs: the states of those that were used, summed by the frame that was announced."""

    delivered: int = 0
    pairs: int = 0
    """Seen by the oracle at their first use."""
    mismatched: int = 0
    """Whose ends, as the network named them, were not entangled with each other alone."""
    state_sums: np.ndarray = field(default_factory=lambda: np.zeros((4, 4, 4), dtype=complex))

    def mean_state(self) -> np.ndarray:
        """The mean of all states (4, 4), each turned by the frame that was announced."""
        turned = [to_phi_plus(state, index) for index, state in enumerate(self.state_sums)]
        return np.asarray(sum(turned) / self.pairs)


@dataclass(slots=True)
class _EndToEnd:
    """A pair of a circuit that both ends have and neither has used."""

    use: CircuitUse
    halves: tuple[str, str]
    frame: int


@dataclass(slots=True)
class _EarlyLook:
    """A half that the head of a circuit used before the tail's word came: with whom it was entangled, and how."""

    partner: str
    state: np.ndarray
    frame: int


class Truth:
    """The oracle's notebook."""

    def __init__(self, links: Iterable[str], laboratory: Laboratory) -> None:
        self.links = {name: LinkUse() for name in links}
        self.circuits: dict[tuple[str, int], CircuitUse] = {}
        """By circuit and generation of its path."""
        self.pairs: dict[str, tuple[str, tuple[str, str]]] = {}
        """Link and qubits of each pair of a link that has not been used yet."""
        self._laboratory = laboratory
        self._of_half: dict[str, _EndToEnd] = {}
        self._of_head: dict[str, tuple[str, int]] = {}
        """By qubit: the pair that a circuit's head has been given, and the Pauli gates since."""
        self._early: dict[str, _EarlyLook] = {}
        """By pair."""
        self._settled: set[str] = set()
        """The heads' halves of which only the tail has told yet, which is enough."""

    def heralded(self, pair: str, link: str, halves: tuple[str, str]) -> None:
        """A link has made a pair."""
        self.pairs[pair] = (link, halves)

    def unheard(self, pair: str) -> None:
        """One end will never know of this pair."""
        self.pairs.pop(pair, None)

    def noted(self, details: dict[str, Any]) -> None:
        """A node has noted that a circuit's pair was delivered at one end."""
        pair, qubit = str(details["pair"]), str(details["qubit"])
        if details["end"] == "head":
            if qubit in self._settled:
                self._settled.discard(qubit)
            elif qubit:
                self._of_head[qubit] = (pair, 0)
            return
        use = self.circuits.setdefault((str(details["circuit"]), int(details["generation"])), CircuitUse())
        use.delivered += 1
        head, frame = str(details.get("other_qubit", "")), 2 * int(details["x"]) + int(details["z"])
        look = self._early.pop(pair, None)
        if look is None and head and head not in self._of_head:
            self._settled.add(head)
        if look is not None:
            if look.partner == qubit:
                use.pairs += 1
                use.state_sums[frame ^ look.frame] += look.state
            else:
                use.mismatched += 1
        elif head in self._laboratory.qubits and qubit in self._laboratory.qubits:
            _, turned = self._of_head.pop(head, ("", 0))
            self._of_half[head] = self._of_half[qubit] = _EndToEnd(use, (head, qubit), frame ^ turned)

    def before(self, step: Step, at: int) -> None:
        """The look at pairs just before a step is done."""
        if isinstance(step, Gate) and step.name in PAULI_FRAMES:
            if self._of_half or self._of_head:
                self._turn(step)
            return
        names = getattr(step, "qubits", None) or (step.qubit,)  # type: ignore[union-attr]
        qubits = self._laboratory.qubits
        for name in names:
            qubit = qubits.get(name)
            if qubit is None:
                continue
            if qubit.pair_id is not None and qubit.pair_id in self.pairs:
                link, halves = self.pairs.pop(qubit.pair_id)
                if halves[0] in qubits and halves[1] in qubits:
                    self.links[link].add(self._laboratory.state_now(halves, at))
            if not isinstance(step, Move):
                self._look_end_to_end(name, at, counts=not isinstance(step, Discard))

    def _turn(self, gate: Gate) -> None:
        for name in gate.qubits:
            known = self._of_half.get(name)
            if known is not None:
                known.frame ^= PAULI_FRAMES[gate.name]
            elif name in self._of_head:
                pair, turned = self._of_head[name]
                self._of_head[name] = (pair, turned ^ PAULI_FRAMES[gate.name])

    def _look_end_to_end(self, name: str, at: int, *, counts: bool) -> None:
        known = self._of_half.get(name)
        if known is not None:
            for half in known.halves:
                del self._of_half[half]
            if counts:
                self._add(known, at)
        elif name in self._of_head:
            pair, turned = self._of_head.pop(name)
            together = self._laboratory.registers.qubits_with(name)
            if counts and len(together) == 2:
                partner = together[1 - together.index(name)]
                self._early[pair] = _EarlyLook(partner, self._laboratory.state_now((name, partner), at), turned)

    def _add(self, known: _EndToEnd, at: int) -> None:
        use = known.use
        if any(half not in self._laboratory.qubits for half in known.halves):
            return
        if set(self._laboratory.registers.qubits_with(known.halves[0])) != set(known.halves):
            use.mismatched += 1
        use.pairs += 1
        use.state_sums[known.frame] += self._laboratory.state_now(known.halves, at)

    def lost(self, names: Iterable[str]) -> None:
        """These qubits are no more, and nobody used them."""
        for name in names:
            known = self._of_half.get(name)
            if known is not None:
                for half in known.halves:
                    del self._of_half[half]
            self._of_head.pop(name, None)


_BELL_PROJECTORS = np.array([np.outer(ket, ket.conj()).conj().ravel() for ket in map(bell_state, range(4))])
"""Row i times a flattened state is its fidelity with Bell state i."""
