"""The check ``one_owner``: no qubit, and no pair, belongs to two at once."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.checks.log import Event, Problem, counted, steps
from orchestrator.checks.run import Run
from orchestrator.scenario import Scenario
from orchestrator.scenario.faults import KINDS, Ending

GIVEN = ("pair_delivered", "circuit_pair_delivered", "group_qubit_delivered")


class OneOwner:
    """Follows every qubit from its herald or preparation to its end."""

    def __init__(self, scenario: Scenario) -> None:
        self._links = scenario.links
        self._owners: dict[str, str] = {}
        self._since: dict[str, int] = {}
        """The line that gave each qubit its owner, or its end."""
        self._given: dict[tuple[str, str, str], int] = {}
        """The line that handed each pair or qubit on, by its kind and node: what a node's part in a group
        gets from a circuit, it hands on."""
        self._followed = 0

    def looked_at(self) -> str:
        """How much was followed."""
        return f"{counted(self._followed, 'qubit')} followed"

    def add(self, event: Event) -> Iterator[Problem]:
        """What a line shows to be wrong."""
        if event.kind == "heralded":
            for qubit, node in zip(event["qubits"], self._links[event["link"]].ends, strict=True):
                yield from self._made(qubit, node, event)
        elif event.kind == "herald_lost":
            self._forgotten(event["qubit"])
        elif event.kind in ("circuit", "operation_refused"):
            yield from self._circuit(event)
        elif event.kind == "transmitted":
            yield from self._used(event["qubit"], event["node"], event)
            self._moved(event["qubit"], "the fibre", event)
        elif event.kind == "arrived":
            yield from self._used(event["qubit"], "the fibre", event)
            if event["lost"]:
                self._ended(event["qubit"], event)
            else:
                self._moved(event["qubit"], event["node"], event)
        elif event.kind in GIVEN:
            yield from self._handed_over(event)
        elif event.kind == "fault":
            self._lost(event)

    def end(self, run: Run) -> Iterator[Problem]:
        """Nothing is left to judge when the log is over."""
        return iter(())

    def _circuit(self, event: Event) -> Iterator[Problem]:
        for step in steps(event):
            for qubit in step.qubits:
                if step.name == "prepare":
                    yield from self._made(qubit, event["node"], event)
                else:
                    yield from self._used(qubit, event["node"], event)
                if step.ends:
                    self._ended(qubit, event)

    def _made(self, qubit: str, node: str, event: Event) -> Iterator[Problem]:
        if qubit in self._since:
            found = f"{self._owners[qubit]} owns it" if qubit in self._owners else "it has ended"
            yield Problem(f"expected a new qubit, found {qubit}: {found} since line {self._since[qubit]}", event)
        self._followed += 1
        self._moved(qubit, node, event)

    def _used(self, qubit: str, node: str, event: Event) -> Iterator[Problem]:
        owner = self._owners.get(qubit)
        if owner == node:
            return
        if owner is not None:
            found = f"{owner} owns it since line {self._since[qubit]}"
        elif qubit in self._since:
            found = f"it ended at line {self._since[qubit]}"
        else:
            found = "it was never made"
        yield Problem(f"expected {qubit} to be of {node}, which acts on it; found that {found}", event)

    def _moved(self, qubit: str, owner: str, event: Event) -> None:
        self._owners[qubit] = owner
        self._since[qubit] = event.line

    def _ended(self, qubit: str, event: Event) -> None:
        self._owners.pop(qubit, None)
        self._since[qubit] = event.line

    def _forgotten(self, qubit: str) -> None:
        """Its node never knew that it was entangled, and uses it for its next attempt."""
        self._owners.pop(qubit, None)
        self._since.pop(qubit, None)

    def _lost(self, event: Event) -> None:
        """A fault took qubits: those that it names, or all of a node that it ended."""
        lost = event.get("qubits_lost")
        if not isinstance(lost, list):
            lost = []  # a number: of qubits in a fibre, whose arrival is told as a loss
        if issubclass(KINDS[event["fault"]], Ending):
            lost = [qubit for qubit, owner in self._owners.items() if owner == event["node"]]
        for qubit in lost:
            self._ended(qubit, event)

    def _handed_over(self, event: Event) -> Iterator[Problem]:
        what = event["pair"] if event.kind == "pair_delivered" else event["qubit"]
        if not what:
            return  # measured by the network itself: there is no qubit to give
        if event.kind != "pair_delivered":
            yield from self._used(what, event["node"], event)
        before = self._given.setdefault((event.kind, event["node"], what), event.line)
        if before != event.line:
            yield Problem(
                f"expected {what} to be given once at {event['node']}, found it given at line {before}", event
            )
