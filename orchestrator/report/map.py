"""A picture of a network: nodes where they stand, links by how busy they were, circuits along their paths."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.deployment import role_of
from orchestrator.scenario import Scenario
from orchestrator.scenario.file import load

MARKERS = {"end": "o", "router": "s", "automated": "D", "switch": "P", "controller": "^"}
LINE_DISTANCE = 0.006
"""Between the lines of circuits over the same link, as a share of the map's extent."""
Place = tuple[float, float]


def read(source: Path) -> tuple[Scenario, dict[str, Any]]:
    """A scenario, and the report of its run: of a run directory, or of a scenario file with no run yet.

    Raises:
        OSError, ValueError, msgspec.MsgspecError: it cannot be read.
    """
    if not source.is_dir():
        return load(source), {}
    scenario = msgspec.json.decode((source / "scenario.json").read_bytes(), type=Scenario)
    report: dict[str, Any] = json.loads((source / "report.json").read_text())
    return scenario, report


def places(scenario: Scenario) -> dict[str, Place]:
    """Where each node is drawn: kilometres east and north where coordinates are given, the others near their peers."""
    import networkx

    known = {
        name: (node.longitude, node.latitude)
        for name, node in scenario.nodes.items()
        if node.longitude is not None and node.latitude is not None
    }
    north = math.cos(math.radians(sum(latitude for _, latitude in known.values()) / len(known))) if known else 1.0
    degree_km = 111.2
    fixed = {
        name: (longitude * north * degree_km, latitude * degree_km) for name, (longitude, latitude) in known.items()
    }
    if len(fixed) == len(scenario.nodes):
        return fixed
    graph: networkx.Graph[str] = networkx.Graph()
    graph.add_nodes_from(scenario.nodes)
    graph.add_edges_from(link.ends for link in scenario.links.values())
    graph.add_edges_from(link.ends for link in scenario.classical_links.values())
    spots = networkx.spring_layout(graph, pos=fixed or None, fixed=list(fixed) or None, seed=1, iterations=200)
    return {name: (float(x), float(y)) for name, (x, y) in spots.items()}


def shifted(first: Place, second: Place, by: float) -> tuple[Place, Place]:
    """A segment moved sideways; to the same side whichever way it is walked."""
    start, end = sorted((first, second))
    length = math.dist(start, end) or 1.0
    across = (-(end[1] - start[1]) / length * by, (end[0] - start[0]) / length * by)
    return (first[0] + across[0], first[1] + across[1]), (second[0] + across[0], second[1] + across[1])


def draw(scenario: Scenario, report: dict[str, Any], target: Path) -> None:
    """Draw the map into an SVG, PNG or PDF file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import colormaps, pyplot
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    where = places(scenario)
    extent = max(
        max(place[axis] for place in where.values()) - min(place[axis] for place in where.values()) for axis in (0, 1)
    )
    figure, axes = pyplot.subplots(figsize=(11.0, 8.5), layout="constrained")
    loads = {name: float(link.get("load", 0.0)) for name, link in report.get("links", {}).items()}
    scale = Normalize(0.0, max([*loads.values(), 0.01]))
    colours = colormaps["YlOrRd"]
    for link in scenario.classical_links.values():
        axes.plot(*zip(*(where[end] for end in link.ends), strict=True), color="0.8", lw=0.8, ls=":", zorder=1)
    for name, quantum in scenario.links.items():
        colour = colours(0.15 + 0.85 * scale(loads[name])) if loads.get(name) else "0.8"
        axes.plot(*zip(*(where[end] for end in quantum.ends), strict=True), color=colour, lw=6, zorder=2, alpha=0.8)
    circuits = report.get("circuits", {})
    admitted = {name: circuit for name, circuit in circuits.items() if "path" in circuit}
    on_link: dict[str, int] = {}
    for number, (name, circuit) in enumerate(admitted.items()):
        colour = f"C{number % 10}"
        style = ("-", "--", ":", "-.")[number // 10 % 4]
        for link_name, ends in zip(circuit["links"], itertools.pairwise(circuit["path"]), strict=True):
            lane = on_link.get(link_name, 0)
            on_link[link_name] = lane + 1
            by = (lane + 1) // 2 * (1 if lane % 2 else -1) * LINE_DISTANCE * extent
            segment = shifted(where[ends[0]], where[ends[1]], by)
            axes.plot(*zip(*segment, strict=True), color=colour, ls=style, lw=1.6, zorder=3)
        axes.plot([], [], color=colour, ls=style, label=_described(name, circuit))
    for name, node in where.items():
        role = role_of(scenario, name)
        axes.plot(*node, marker=MARKERS[role], ms=9 if role == "router" else 7, color="white", mec="0.2", zorder=4)
        axes.annotate(name, node, xytext=(6, 5), textcoords="offset points", fontsize=7, zorder=5)
    for name in {fault["node"] for fault in report.get("faults", ()) if "node" in fault}:
        axes.plot(*where[name], marker="x", ms=11, mew=2.5, color="C3", zorder=6)
    roles = sorted({role_of(scenario, name) for name in scenario.nodes})
    for role in roles:
        axes.plot([], [], ls="", marker=MARKERS[role], color="white", mec="0.2", label=role)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7, frameon=False)
    if loads:
        bar = figure.colorbar(ScalarMappable(scale, colours), ax=axes, shrink=0.4, location="right", anchor=(0.0, 0.0))
        bar.set_label("share of time that the link was making pairs", fontsize=8)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(f"{scenario.name}: {len(scenario.nodes)} nodes, {len(scenario.links)} quantum links")
    told = [
        f"{name} refused: {each['head']} to {each['tail']}, {each['refused']['reason']}"
        for name, each in circuits.items()
        if each["status"] == "refused"
    ]
    told += [
        f"{fault['name']} at {fault['at_s']:g} s" for fault in report.get("faults", ()) if fault["kind"] == "fault"
    ]
    figure.supxlabel("\n".join(told), fontsize=7, x=0.01, ha="left")
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    pyplot.close(figure)


def _described(name: str, circuit: dict[str, Any]) -> str:
    given = circuit.get("oracle_fidelity")
    rate = circuit.get("rate_bpps")
    parts = [f"{name} {circuit['head']} to {circuit['tail']}"]
    if rate is not None:
        parts.append(f"{rate['value']:.3g} pairs/s")
    if given is not None:
        parts.append(f"F {given:.3f}")
    return ", ".join(parts)
