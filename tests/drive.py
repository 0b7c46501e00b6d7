"""Nodes driven by hand around the real fabric engine, for tests of what the fabric does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from orchestrator.fabric.engine import Engine
from orchestrator.fabric.event_log import EventLog
from orchestrator.scenario import Link, Network, Node, Scenario, Source
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.wire import fabric

S = 10**12
MS = 10**9
LONG_KM = 200.0
LONG_PS = 979_344_184
"""200 km at index 1.468."""


class Lines(EventLog):
    """An event log that is kept in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.written: list[dict[str, Any]] = []

    def write(self, at: int, kind: str, **details: Any) -> None:
        super().write(at, kind, **details)
        self.written.append({"t_ps": at, "kind": kind, **details})


class Drive:
    """Nodes whose blocks are written by hand; every node also wakes at each instant for which something is planned."""

    def __init__(self, *, nodes: str = "ABC", **sections: Any) -> None:
        memory = sections.pop("memory", Memory(slots=4))
        hardware = Hardware(communication=memory, storage=memory, **sections.pop("hardware", {}))
        links = sections.pop("links", None) or {
            "ab": Link(ends=("A", "B"), length_km=LONG_KM, heralding=Source(success_probability=0.5)),
            "bc": Link(ends=("B", "C"), length_km=1.0, heralding=Source(success_probability=0.5)),
        }
        network = sections.pop("network", Network(idle_after_s=10.0))
        self.log = Lines()
        scenario = Scenario(
            version=1,
            name="drive",
            seed=5,
            nodes={name: Node(hardware=hardware) for name in nodes},
            links=links,
            network=network,
            **sections,
        )
        self.engine = Engine(scenario, self.log)
        self.engine.begin()
        self.plans: dict[str, list[tuple[int, Any]]] = {name: [] for name in nodes}
        self.events: list[tuple[str, fabric.Event]] = []
        self.expects = dict.fromkeys(nodes, False)
        self.hellos = False
        self.next_hello = dict.fromkeys(nodes, 0)
        self._operations = 0

    def plan(self, node: str, at: int, what: Any) -> int:
        """Let ``node`` send, note or start an action at ``at``; returns the operation's number."""
        self._operations += 1
        if not isinstance(what, fabric.Send | fabric.Note):
            what = fabric.Operation(operation=self._operations, at=at, action=what)
        self.plans[node].append((at, what))
        self.engine.wake(self.engine.seats[node], min(at for at, _ in self.plans[node]))
        return self._operations

    def run(self, until: Callable[[], bool] = lambda: False, *, end: int = 10**18) -> None:
        """Go on until nothing is left, ``until`` holds or virtual time is beyond ``end``."""
        while (due := self.engine.next_time()) is not None and due <= end and not until():
            for name, grant in self.engine.round().items():
                self.events += [(name, event) for event in grant.events]
                due_now = [_not_before(grant.now, what) for at, what in self.plans[name] if at < grant.until]
                self.plans[name] = [plan for plan in self.plans[name] if plan[0] >= grant.until]
                sends = [what for what in due_now if isinstance(what, fabric.Send)]
                if self.hellos and grant.now >= self.next_hello[name]:
                    self.next_hello[name] = max(grant.until, grant.now + 100 * MS)
                    other = "B" if name != "B" else "C"
                    sends.append(fabric.Send(at=grant.now, to=other, payload=b"hello", housekeeping=True))
                wake = min((at for at, _ in self.plans[name]), default=None)
                if self.hellos:
                    wake = min(wake or 10**18, max(self.next_hello[name], grant.until))
                self.engine.block(
                    name,
                    fabric.Block(
                        wake_at=wake,
                        sends=tuple(sends),
                        operations=tuple(what for what in due_now if isinstance(what, fabric.Operation)),
                        notes=tuple(what for what in due_now if isinstance(what, fabric.Note)),
                        expects=self.expects[name],
                    ),
                )

    def generate(self, link: str, ends: str, *, at: int, number: int = 0, operating_point: int = 0) -> list[int]:
        return [
            self.plan(
                end, at, fabric.Generate(link=link, qubit=f"{end}#{link}{number}", operating_point=operating_point)
            )
            for end in ends
        ]

    def true_arrivals(self, node: str) -> list[int]:
        """When messages truly came to ``node``, whatever its clock showed."""
        return [line["arrives_ps"] for line in self.lines("message") if line["to"] == node]

    def of(self, kind: type) -> list[Any]:
        return [event for _, event in self.events if isinstance(event, kind)]

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.log.written if line["kind"] == kind]


def _not_before(now: int, what: Any) -> Any:
    """What a node was kept from doing in time, it does now."""
    return msgspec.structs.replace(what, at=max(now, what.at))


def send(at: int, to: str, **more: Any) -> fabric.Send:
    return fabric.Send(at=at, to=to, payload=b"x", **more)
