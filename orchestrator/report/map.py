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
LINE_DISTANCE = 0.008
"""Between the lines of circuits over the same link, as a share of the map's extent."""
LABEL_PT = 7.5
PLACES = [(1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1)]
"""Of a name beside its node, in the order in which they are tried."""
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
    import numpy

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "qloom"  # so that the same run gives the same file
    from matplotlib import colormaps, pyplot
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    where = places(scenario)
    extent = max(
        max(place[axis] for place in where.values()) - min(place[axis] for place in where.values()) for axis in (0, 1)
    )
    figure, axes = pyplot.subplots(figsize=(12.0, 8.5), layout="constrained")
    loads = {name: float(link.get("load", 0.0)) for name, link in report.get("links", {}).items()}
    scale = Normalize(0.0, max([*loads.values(), 0.01]))
    colours = LinearSegmentedColormap.from_list("load", colormaps["YlOrRd"](numpy.linspace(0.05, 0.75, 64)))
    for link in scenario.classical_links.values():
        axes.plot(*zip(*(where[end] for end in link.ends), strict=True), color="0.8", lw=0.8, ls=":", zorder=1)
    for name, quantum in scenario.links.items():
        colour = colours(scale(loads[name])) if loads.get(name) else "0.88"
        axes.plot(
            *zip(*(where[end] for end in quantum.ends), strict=True),
            color=colour,
            lw=9,
            zorder=2,
            solid_capstyle="round",
        )
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
            axes.plot(*zip(*segment, strict=True), color="white", lw=3.6, zorder=3)
            axes.plot(*zip(*segment, strict=True), color=colour, ls=style, lw=2.2, zorder=3.5)
        axes.plot([], [], color=colour, ls=style, lw=2.0, label=_described(name, circuit))
    for name, node in where.items():
        role = role_of(scenario, name)
        axes.plot(*node, marker=MARKERS[role], ms=9 if role == "router" else 7, color="white", mec="0.2", zorder=4)
    failed = {where[fault["node"]] for fault in report.get("faults", ()) if "node" in fault}
    for fault in report.get("faults", ()):
        cut = scenario.links.get(fault.get("link", ""))
        if cut is not None:
            (ax, ay), (bx, by) = (where[end] for end in cut.ends)
            failed.add(((ax + bx) / 2, (ay + by) / 2))
    for place in sorted(failed):
        axes.plot(*place, marker="x", ms=12, mew=3.0, color="black", zorder=6)
    roles = sorted({role_of(scenario, name) for name in scenario.nodes})
    for role in roles:
        axes.plot([], [], ls="", marker=MARKERS[role], color="white", mec="0.2", label=role)
    if failed:
        axes.plot([], [], ls="", marker="x", ms=9, mew=2.5, color="black", label="failed during the run")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    if loads:
        bar = figure.colorbar(ScalarMappable(scale, colours), ax=axes, shrink=0.4, location="right", anchor=(0.0, 0.0))
        bar.set_label("share of time that the link was making pairs", fontsize=8)
    axes.set_aspect("equal")
    axes.margins(0.06)
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
    figure.supxlabel("\n".join(told), fontsize=8, x=0.01, ha="left")
    figure.canvas.draw()  # places everything, so that points can be reckoned with
    _label(axes, where, [link.ends for link in scenario.links.values()], 72.0 / figure.dpi)
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    pyplot.close(figure)


def _label(axes: Any, where: dict[str, Place], links: list[tuple[str, str]], points: float) -> None:
    """Write the nodes' names, each where it hides least: other names, then nodes, then links."""
    spots = {name: tuple(axes.transData.transform(place) * points) for name, place in where.items()}
    edge = axes.transAxes.transform((0.0, 0.0))[0] * points
    boxes: list[tuple[float, float, float, float]] = []
    on_links = [
        (ax + k / 40 * (bx - ax), ay + k / 40 * (by - ay))
        for (ax, ay), (bx, by) in ((spots[a], spots[b]) for a, b in links)
        for k in range(41)
    ]
    for name, (x, y) in spots.items():
        width, height = 0.7 * LABEL_PT * len(name), 1.3 * LABEL_PT
        best: tuple[float, tuple[float, float, float, float]] | None = None
        for right, up in PLACES:
            away = 7.0 if right == 0 or up == 0 else 4.5
            left = x + right * away - (1 - right) / 2 * width
            low = y + up * away - (1 - up) / 2 * height
            box = (left, low, left + width, low + height)
            cost = 100.0 * sum(_overlap(box, other) for other in boxes)
            cost += 100.0 * (left < edge)
            cost += 30.0 * sum(_within(box, spot, 5.0) for other, spot in spots.items() if other != name)
            cost += sum(_within(box, spot, 2.0) for spot in on_links)
            if best is None or cost < best[0]:
                best = (cost, box)
        assert best is not None
        boxes.append(best[1])
        offset = (best[1][0] - x, best[1][1] - y)
        axes.annotate(
            name,
            where[name],
            xytext=offset,
            textcoords="offset points",
            fontsize=LABEL_PT,
            va="bottom",
            zorder=5,
            bbox={"boxstyle": "square,pad=0.02", "color": "white", "alpha": 0.7, "lw": 0},
        )


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _within(box: tuple[float, float, float, float], spot: Place, margin: float) -> bool:
    return box[0] - margin < spot[0] < box[2] + margin and box[1] - margin < spot[1] < box[3] + margin


def _described(name: str, circuit: dict[str, Any]) -> str:
    given = circuit.get("oracle_fidelity")
    rate = circuit.get("rate_bpps")
    parts = [f"{name} {circuit['head']} to {circuit['tail']}"]
    if rate is not None:
        value = rate["value"]
        parts.append(f"{value:,.0f} pairs/s" if value >= 100.0 else f"{value:.3g} pairs/s")
    if given is not None:
        parts.append(f"F {given:.3f}")
    return ", ".join(parts)
