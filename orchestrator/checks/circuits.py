"""The check ``circuits_end``: every circuit asked for is delivered, refused, or closed with a reason; none hangs.

Every step of a circuit has a deadline of its own: opening the request's, a failed path ``restore_timeout_s``, a dead
neighbour the hellos that may be missing. A circuit hangs if nothing was said of it when that was over; it is given half
as much again, and a second. Whose node was struck by a fault has that long from the fault on; the dead owe nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.checks.log import Event, Problem, counted
from orchestrator.checks.run import Run
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.scenario import LinkDown, Network, Scenario
from orchestrator.scenario.faults import (
    KINDS,
    ClockJump,
    ClockReset,
    Ending,
    FibreCut,
    Lasting,
    OnChannel,
    Partition,
)

OPENED = ("circuit_opened", "circuit_restored")
SLACK, SLACK_S = 1.5, 1.0


@dataclass(slots=True)
class _Circuit:
    """A circuit as its head, and its tail, told of it last."""

    requested: Event
    latest: Event
    """What the head said last."""
    at_tail: Event | None = None
    """The tail's last delivery, or its closing."""

    @property
    def head(self) -> str:
        return str(self.requested["node"])

    @property
    def tail(self) -> str:
        return str(self.requested["remote"])


class CircuitsEnd:
    """Follows every circuit from its request to its end."""

    def __init__(self, scenario: Scenario) -> None:
        network = scenario.network or Network()
        self._restore_s = network.restore_timeout_s
        self._notice_s = max((network.hello_lost + 2) * network.hello_interval_s, 4 * network.refresh_interval_s)
        self._links = scenario.links
        self._circuits: dict[str, _Circuit] = {}
        self._gone: dict[tuple[str, str], Event] = {}
        """Applications that have detached, by node and name."""
        self._ended: dict[str, Event] = {}
        """The last time that a fault ended each node; started again, it knows nothing of what was before."""
        self._down: dict[str, Event] = {}
        """Links that a fault keeps down."""
        self._struck: dict[str, Event] = {}
        """The last fault, or its healing, of each node."""
        self._unheard: set[str] = set()
        """Faults that keep messages from their nodes."""
        self._heard_again_s = 0.0
        """When the last of them was healed."""
        self._unhealed: set[tuple[str, str]] = set()
        """Nodes under a fault, with its name."""

    def looked_at(self) -> str:
        """How much was followed."""
        return f"{counted(len(self._circuits), 'circuit')} followed"

    def add(self, event: Event) -> Iterator[Problem]:
        """Keep what a line says; whether something hangs shows at the end."""
        kind = event.kind
        if kind == "circuit_requested":
            self._circuits[event["circuit"]] = _Circuit(event, event)
        elif kind in ("fault", "healed"):
            self._break_or_heal(event)
        elif kind in ("application_detached", "application_never_attached"):
            self._gone[(event["node"], event["application"])] = event
        elif (circuit := self._circuits.get(event.get("circuit", ""))) is not None:
            at_head, at_tail = event.get("node") == circuit.head, event.get("node") == circuit.tail
            if at_head and kind in (*OPENED, "circuit_refused", "circuit_down", "circuit_closed"):
                circuit.latest = event
            elif at_tail and kind in ("circuit_pair_delivered", "circuit_closed"):
                circuit.at_tail = event
        return iter(())

    def end(self, run: Run) -> Iterator[Problem]:
        """The circuits that hang when the run is over."""
        end_s = run.report["virtual_s"]
        for name, circuit in self._circuits.items():
            yield from self._at_head(name, circuit, end_s)
            yield from self._at_tail(name, circuit, end_s)

    def _break_or_heal(self, event: Event) -> None:
        links = event.get("links") or ([event["link"]] if "link" in event.details else [])
        node = event.get("node")
        if node is not None:
            self._struck[node] = event
        if event.kind == "healed":
            if event["name"] in self._unheard:
                self._unheard.discard(event["name"])
                self._heard_again_s = event.t_s
            if node is not None:
                self._unhealed.discard((node, event["name"]))
                links = [link for link, each in self._links.items() if event.get("starts") and node in each.ends]
            for link in links:
                self._down.pop(link, None)
            return
        kind = KINDS[event["fault"]]
        if issubclass(kind, OnChannel | Partition):
            self._unheard.add(event["name"])
        if issubclass(kind, Ending | LinkDown | FibreCut):
            for link in links:
                self._down.setdefault(link, event)
        if issubclass(kind, Ending):
            self._ended[event["node"]] = event
        elif node is not None and issubclass(kind, Lasting | ClockJump | ClockReset):
            self._unhealed.add((node, event["name"]))

    def _at_head(self, name: str, circuit: _Circuit, end_s: float) -> Iterator[Problem]:
        latest, gone = circuit.latest, self._gone.get((circuit.head, circuit.requested["application"]))
        if self._ended_since(circuit, circuit.head) or latest.kind in ("circuit_refused", "circuit_closed"):
            return
        if gone is not None and gone.line > circuit.requested.line:
            if latest.kind != "circuit_requested":
                what = f"expected circuit {name} to be closed with its application, which is gone"
                yield Problem(f"{what}; found it {_state(latest)}", gone)
        elif latest.kind == "circuit_requested":
            timeout_s = latest["timeout_ps"] / PICOSECONDS
            if self._overdue(circuit.head, latest, timeout_s, end_s):
                answer = f"expected circuit {name} to be opened or refused within {timeout_s:g} s"
                yield Problem(f"{answer}, found neither until the end at {end_s:.9g} s", latest)
        elif latest.kind == "circuit_down":
            if self._overdue(circuit.head, latest, self._restore_s, end_s):
                answer = f"expected circuit {name} to be restored or closed within {self._restore_s:g} s"
                yield Problem(f"{answer}, found it down until the end at {end_s:.9g} s", latest)
        else:
            for link in latest["links"]:
                fault = self._down.get(link)
                if fault is not None and self._overdue(circuit.head, fault, self._notice_s, end_s, told=True):
                    notice = f"expected circuit {name} to be rerouted or closed within {self._notice_s:g} s of the loss"
                    found = f"of link {link}, found it open until the end at {end_s:.9g} s"
                    yield Problem(f"{notice} {found}", fault)

    def _at_tail(self, name: str, circuit: _Circuit, end_s: float) -> Iterator[Problem]:
        """A tail that was given pairs learns of the end, too."""
        ended = self._ended_since(circuit, circuit.head)
        if ended is None and circuit.latest.kind == "circuit_closed":
            ended = circuit.latest
        if ended is None or circuit.at_tail is None or self._ended_since(circuit, circuit.tail):
            return
        patience_s = self._notice_s + 2 * self._restore_s
        if circuit.at_tail.kind == "circuit_closed":
            return
        if self._overdue(circuit.tail, ended, patience_s, end_s, told=True):
            what = f"expected {circuit.tail} to learn within {patience_s:g} s that circuit {name} is over"
            yield Problem(f"{what} at {circuit.head}, found no word of it until the end at {end_s:.9g} s", ended)

    def _ended_since(self, circuit: _Circuit, node: str) -> Event | None:
        """The fault that ended a node after the circuit was asked for."""
        ended = self._ended.get(node)
        return ended if ended is not None and ended.line > circuit.requested.line else None

    def _overdue(self, node: str, since: Event, patience_s: float, end_s: float, *, told: bool = False) -> bool:
        """Whether ``node`` should have acted by the end; ``told``: it has to be told by others."""
        if any(name == node for name, _ in self._unhealed) or (told and self._unheard):
            return False
        struck = self._struck.get(node)
        began_s = max(since.t_s, struck.t_s if struck is not None else 0.0, self._heard_again_s if told else 0.0)
        return end_s - began_s > SLACK * patience_s + SLACK_S


def _state(latest: Event) -> str:
    return "down" if latest.kind == "circuit_down" else "open"
