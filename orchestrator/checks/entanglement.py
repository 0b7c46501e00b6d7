"""The check ``matched_pairs``: the two ends that a circuit delivers as a pair are entangled with each other alone."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator

from orchestrator.checks.log import Event, Problem, counted, steps
from orchestrator.checks.run import Run
from orchestrator.scenario import Scenario

REMEMBERED = 65536
"""How many ended qubits are remembered: a pair's second end is told of soon after its first."""


class MatchedPairs:
    """Follows who may be entangled with whom.

    A herald joins two qubits, a gate on several joins theirs, a measurement takes its qubit out, and a Bell measurement
    does both. Where the log shows less (a pair that was measured by the network itself), the oracle's count stands.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._links = scenario.links
        self._together: dict[str, set[str]] = {}
        self._last: OrderedDict[str, frozenset[str]] = OrderedDict()
        """With whom a qubit was when it ended."""
        self._heads: dict[str, str] = {}
        """By pair: the qubit that the head was given."""
        self._mismatched: Counter[str] = Counter()
        self._pairs = 0

    def looked_at(self) -> str:
        """How much was followed."""
        return f"{counted(self._pairs, 'delivered pair')} followed"

    def add(self, event: Event) -> Iterator[Problem]:
        """What a line shows to be wrong."""
        if event.kind == "heralded":
            self._alone(event["qubits"])
            self._join(event["qubits"])
        elif event.kind == "herald_lost":
            self._take_out((event["qubit"],))
        elif event.kind in ("circuit", "operation_refused"):
            for step in steps(event):
                if step.name == "prepare":
                    self._alone(step.qubits)
                self._join(step.qubits)
                if step.ends:
                    self._take_out(step.qubits)
        elif event.kind == "transmitted" and not event["survived"]:
            self._take_out((event["qubit"],))
            if not self._links[event["link"]].transmission.heralded_arrival:
                self._alone((event["qubit"],))
        elif event.kind == "arrived" and event["lost"]:
            self._take_out((event["qubit"],))
        elif event.kind == "circuit_pair_delivered":
            yield from self._delivered(event)

    def end(self, run: Run) -> Iterator[Problem]:
        """What only the oracle saw."""
        for name, circuit in run.report["circuits"].items():
            unseen = circuit.get("mismatched_pairs", 0) - self._mismatched[name]
            if unseen > 0:
                yield Problem(
                    f"expected the ends of each pair of circuit {name} to be entangled with each other alone; "
                    f"the oracle saw {unseen} pairs (no line shows which) whose ends were not"
                )

    def _delivered(self, event: Event) -> Iterator[Problem]:
        if event["end"] == "head":
            self._heads[event["pair"]] = event["qubit"]
            return
        self._pairs += 1
        tail, head = event["qubit"], event.get("other_qubit", "")
        given = self._heads.pop(event["pair"], head)
        if head and given and head != given:
            found = f"the head has {given}"
        elif not head or not tail:
            return
        elif (others := self._partners(head)) != {tail}:
            found = f"{head} is entangled with {', '.join(sorted(others)) or 'nothing'}"
        else:
            return
        self._mismatched[event["circuit"]] += 1
        yield Problem(f"expected {head} and {tail} to be the ends of pair {event['pair']}, found that {found}", event)

    def _partners(self, qubit: str) -> set[str]:
        if qubit in self._together:
            return self._together[qubit] - {qubit}
        return set(self._last.get(qubit, ()))

    def _alone(self, qubits: Iterable[str]) -> None:
        for qubit in qubits:
            self._together[qubit] = {qubit}

    def _join(self, qubits: Iterable[str]) -> None:
        known = [qubit for qubit in qubits if qubit in self._together]
        if len(known) < 2:
            return
        joint = set().union(*(self._together[qubit] for qubit in known))
        for qubit in joint:
            self._together[qubit] = joint

    def _take_out(self, qubits: Iterable[str]) -> None:
        for qubit in qubits:
            joint = self._together.pop(qubit, None)
            if joint is not None:
                joint.discard(qubit)
                self._last[qubit] = frozenset(joint)
                if len(self._last) > REMEMBERED:
                    self._last.popitem(last=False)
