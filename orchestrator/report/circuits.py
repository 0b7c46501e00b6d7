"""What became of each circuit, and of the routes under them, from the notes that nodes wrote into the event log."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from orchestrator import control
from orchestrator.fabric import predictions
from orchestrator.fabric.clock import PICOSECONDS

Line = dict[str, Any]
ADMITTED = ("circuit_opened", "circuit_restored")
ABOUT_ROUTES = ("link_state_changed", "link_state_forgotten", "neighbour_up", "neighbour_down")


@dataclass(slots=True)
class Circuit:
    """One circuit's story."""

    requested: Line | None = None
    routes: list[Line] = field(default_factory=list)
    refused: Line | None = None
    closed: Line | None = None
    downs: list[list[int]] = field(default_factory=list)
    """Instants (ps) of each failure and, where there was one, of its end."""
    down_reasons: list[str] = field(default_factory=list)
    head_ps: list[int] = field(default_factory=list)
    """Of deliveries at the head."""
    ends: Counter[int] = field(default_factory=Counter)
    """How many ends of each pair, by its number, were given theirs."""
    swaps: int = 0
    swaps_failed: int = 0
    distilled: Counter[bool] = field(default_factory=Counter)
    died: dict[str, str] = field(default_factory=dict)
    """Reason by pair."""
    estimate: Line | None = None

    def add(self, line: Line) -> None:
        """Take in a note about this circuit."""
        kind = line["kind"]
        if kind == "circuit_pair_delivered":
            self.ends[line["number"]] += 1
            if line["end"] == "head":
                self.head_ps.append(line["t_ps"])
        elif kind == "swap":
            self.swaps += 1
        elif kind == "swap_failed":
            self.swaps_failed += 1
        elif kind == "pair_died":
            self.died.setdefault(line["pair"], line["reason"])
        elif kind == "distilled":
            self.distilled[line["kept"]] += 1
        elif kind == "circuit_requested":
            self.requested = line
        elif kind in ADMITTED:
            self.routes.append(line)
            self._up_again(line["t_ps"])
        elif kind == "circuit_refused":
            self.refused = line
        elif kind == "circuit_down":
            self.downs.append([line["t_ps"]])
            self.down_reasons.append(line["reason"])
        elif kind == "circuit_closed" and (self.closed is None or self._at_head(line)):
            self.closed = line
            self._up_again(line["t_ps"])
        elif kind == "circuit_estimate" and (self.estimate is None or line["tests"] >= self.estimate["tests"]):
            self.estimate = line

    def _at_head(self, line: Line) -> bool:
        return self.requested is not None and line["node"] == self.requested["node"]

    def _up_again(self, at: int) -> None:
        if self.downs and len(self.downs[-1]) == 1:
            self.downs[-1].append(at)

    def status(self) -> str:
        """In a word: requested, refused, open, down or closed."""
        if not self.routes:
            return "refused" if self.refused is not None else "requested"
        if self.closed is not None:
            return "closed"
        return "down" if self.downs and len(self.downs[-1]) == 1 else "open"

    def summary(self, truths: list[control.CircuitTruth], end_ps: int) -> dict[str, Any]:
        """All of it as JSON types, beside what the oracle saw; ``end_ps`` is the end of the run."""
        asked = self.requested or {}
        summary: dict[str, Any] = {
            "head": asked.get("node", ""),
            "tail": asked.get("remote", ""),
            "application": asked.get("application", ""),
            "pair_kind": asked.get("pair_kind", "K"),
            "priority": asked.get("priority", 0),
            "asked_fidelity": asked.get("minimum_fidelity", 0.0),
            "asked_rate_bpps": asked.get("rate_bpps", 0.0),
            "requested_at_s": asked.get("t_ps", 0) / PICOSECONDS,
            "status": self.status(),
        }
        if self.refused is not None:
            summary["refused"] = {key: self.refused.get(key, "") for key in ("code", "where", "reason")}
        if self.closed is not None:
            summary["closed"] = {key: self.closed.get(key, "") for key in ("code", "reason")}
            summary["closed_at_s"] = self.closed["t_ps"] / PICOSECONDS
        if self.routes:
            summary |= self._service(end_ps)
            for route, truth in itertools.product(summary["routes"], truths):
                if route["generation"] == truth.generation:
                    route |= _oracle([truth])
        if self.estimate is not None:
            summary["estimated_fidelity"] = {
                "value": self.estimate["fidelity"],
                "standard_error": self.estimate["standard_error"],
            }
            summary["tests"] = self.estimate["tests"]
        return summary | _oracle(truths)

    def _gap_ps(self, at: int, opened: int, until: int) -> int:
        """From the last delivery before ``at`` (or the opening) to the first one after it (or the end)."""
        before = max([opened, *(each for each in self.head_ps if each <= at)])
        return min([until, *(each for each in self.head_ps if each > at)]) - before

    def _service(self, end_ps: int) -> dict[str, Any]:
        """What an admitted circuit gave."""
        first, latest = self.routes[0], self.routes[-1]
        opened = first["t_ps"]
        until = self.closed["t_ps"] if self.closed is not None else end_ps
        down_ps = sum((down[1] if len(down) == 2 else until) - down[0] for down in self.downs)
        service: dict[str, Any] = {
            "opened_at_s": opened / PICOSECONDS,
            "path": latest["path"],
            "links": latest["links"],
            "expected_fidelity": latest["expected_fidelity"],
            "expected_rate_bpps": latest["expected_rate_bpps"],
            "routes": [
                {"at_s": route["t_ps"] / PICOSECONDS}
                | {key: value for key, value in route.items() if key not in ("t_ps", "kind", "node", "circuit")}
                for route in self.routes
            ],
            "reroutes": len(self.routes) - 1,
            "down_s": down_ps / PICOSECONDS,
            "downs": [
                {
                    "at_s": down[0] / PICOSECONDS,
                    "for_s": ((down[1] if len(down) == 2 else until) - down[0]) / PICOSECONDS,
                    "without_pairs_s": self._gap_ps(down[0], opened, until) / PICOSECONDS,
                    "reason": reason,
                }
                for down, reason in zip(self.downs, self.down_reasons, strict=True)
            ],
            "delivered": len(self.head_ps),
            "delivered_at_one_end_only": sum(count != 2 for count in self.ends.values()),
            "swaps": self.swaps,
            "swaps_failed": self.swaps_failed,
            "discards": dict(Counter(self.died.values()).most_common()),
            "distillations": {"kept": self.distilled[True], "failed": self.distilled[False]},
        }
        if self.requested is not None:
            service["setup_s"] = (opened - self.requested["t_ps"]) / PICOSECONDS
        if self.head_ps:
            service["first_pair_after_s"] = (self.head_ps[0] - opened) / PICOSECONDS
        return service | _pace(self.head_ps)


def _oracle(truths: list[control.CircuitTruth]) -> dict[str, Any]:
    """What the oracle saw of delivered pairs, all paths of ``truths`` together; nothing if there were none."""
    if not truths:
        return {}
    seen = sum(truth.seen for truth in truths)
    found: dict[str, Any] = {"seen_by_oracle": seen, "mismatched_pairs": sum(truth.mismatched for truth in truths)}
    if seen:
        state = np.zeros((4, 4), dtype=np.complex128)
        for truth in truths:
            if truth.mean_state:
                rows = [[complex(*value) for value in row] for row in truth.mean_state]
                state += truth.seen / seen * np.array(rows)
        found["oracle_fidelity"] = predictions.fidelity(state)
        found["oracle_qber_z"], found["oracle_qber_x"] = predictions.qber(state)
    return found


def _pace(delivered_ps: list[int]) -> dict[str, Any]:
    """Rate and waiting times between deliveries; nothing for fewer than two.

    The rate's standard error is that of the mean of waiting times that are independent of each other.
    """
    gaps = [(later - earlier) / PICOSECONDS for earlier, later in itertools.pairwise(delivered_ps)]
    span_s = sum(gaps)
    if not gaps or span_s <= 0:
        return {}
    mean_s, count = span_s / len(gaps), len(gaps)
    variance = sum((gap - mean_s) ** 2 for gap in gaps) / max(1, count - 1)
    ordered = sorted(gaps)
    return {
        "rate_bpps": {
            "value": 1.0 / mean_s,
            "standard_error": math.sqrt(variance / count) / mean_s**2 if count > 1 else 1.0 / mean_s,
        },
        "waiting_s": {
            "mean": mean_s,
            "p50": ordered[count // 2],
            "p90": ordered[count * 9 // 10],
            "p99": ordered[count * 99 // 100],
            "max": ordered[-1],
        },
    }


class NetworkStory:
    """All circuits, and how routing took what happened."""

    def __init__(self) -> None:
        self.circuits: dict[str, Circuit] = {}
        self._disturbances: list[tuple[int, str]] = [(0, "start")]
        self._last_change_ps: dict[int, int] = {}
        """By number of the disturbance before it."""
        self.faults: list[Line] = []

    def add(self, line: Line) -> None:
        """Take in a line of the event log."""
        kind = line["kind"]
        if kind in ABOUT_ROUTES:
            self._last_change_ps[len(self._disturbances) - 1] = line["t_ps"]
        elif kind in ("fault", "healed"):
            self.faults.append(line)
            name = f"{line['name']}{' healed' if kind == 'healed' else ''}"
            if self._disturbances[-1][0] == line["t_ps"]:
                name = f"{self._disturbances.pop()[1]}, {name}"
            self._disturbances.append((line["t_ps"], name))
        elif "circuit" in line and "node" in line:
            self.circuits.setdefault(line["circuit"], Circuit()).add(line)

    def summary(self, finished: control.Finished) -> dict[str, Any]:
        """Circuits, and the convergence of routing after the start and after each fault: JSON types."""
        circuits = {
            name: circuit.summary([truth for truth in finished.circuits if truth.circuit == name], finished.now_ps)
            for name, circuit in self.circuits.items()
        }
        convergence: list[dict[str, Any]] = [
            {"after": name, "at_s": at / PICOSECONDS, "for_s": (self._last_change_ps[number] - at) / PICOSECONDS}
            for number, (at, name) in enumerate(self._disturbances)
            if number in self._last_change_ps
        ]
        faults = [
            {key: value for key, value in line.items() if key != "t_ps"} | {"at_s": line["t_ps"] / PICOSECONDS}
            for line in self.faults
        ]
        routing: dict[str, Any] = {"convergence": convergence}
        if convergence:
            routing["slowest_convergence_s"] = max(each["for_s"] for each in convergence)
        return {"circuits": circuits, "routing": routing, "faults": faults}


def memory(finished: control.Finished, slots: dict[str, dict[str, int]]) -> dict[str, dict[str, dict[str, float]]]:
    """Of each node and role: how many slots there are, and how many were occupied: mean over time and peak."""
    nodes: dict[str, dict[str, dict[str, float]]] = {
        node: {role: {"slots": count, "mean": 0.0, "peak": 0} for role, count in roles.items() if count}
        for node, roles in slots.items()
    }
    for use in finished.memory:
        nodes[use.node][use.role] |= {"mean": use.mean, "peak": use.peak}
    return nodes
