"""A picture of one pair's life, drawn from the event log of a run: space to the right, virtual time downwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.scenario import DoubleClick, Scenario, SingleClick

MILLISECOND_PS = 10**9


class NoSuchPair(Exception):
    """The event log does not have what was asked for."""


@dataclass(eq=False)
class PairLife:
    """What the event log says of one pair."""

    herald: dict[str, Any]
    delivered: list[dict[str, Any]] = field(default_factory=list)
    circuits: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ends_ps(self) -> int:
        """The last instant of the story."""
        times: list[int] = [line["t_ps"] for line in (self.herald, *self.delivered, *self.circuits)]
        return int(max(*times, *(message["arrives_ps"] for message in self.messages), *self.herald["heralded_ps"]))


def life_of(event_log: Path, pair_id: str | None) -> PairLife:
    """Gather the life of a pair (by default of the last one whose halves were both used).

    Raises:
        NoSuchPair: it is not in the log.
    """
    lives: dict[str, PairLife] = {}
    of_qubit: dict[str, PairLife] = {}
    latest: PairLife | None = None
    with event_log.open("rb") as lines:
        for text in lines:
            line = msgspec.json.decode(text)
            kind = line["kind"]
            if kind == "heralded" and pair_id in (None, line["pair"]):
                latest = lives[line["pair"]] = PairLife(line)
                of_qubit.update(dict.fromkeys(line["qubits"], latest))
            elif kind == "pair_delivered" and line["pair"] in lives:
                lives[line["pair"]].delivered.append(line)
            elif kind == "circuit":
                touched = {of_qubit[word] for step in line["steps"] for word in step.split()[1:] if word in of_qubit}
                for life in touched:
                    life.circuits.append(line)
            elif kind == "message" and latest is not None and latest.circuits and len(latest.messages) < 2:
                latest.messages.append(line)
    used = [life for life in lives.values() if len({line["node"] for line in life.circuits}) == 2]
    if not used:
        raise NoSuchPair(f"no pair{f' {pair_id}' if pair_id else ''} in {event_log} was used at both of its ends")
    life = used[-1]
    last_use_ps = max(line["t_ps"] for line in life.circuits)
    life.messages = [message for message in life.messages if message["t_ps"] < last_use_ps]
    return life


def draw(scenario: Scenario, life: PairLife, target: Path) -> None:
    """Draw the life of a pair into an SVG, PNG or PDF file; the last attempt only, those before it as a number."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "qloom"  # so that the same run gives the same file
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    herald = life.herald
    link = scenario.links[herald["link"]]
    if not isinstance(link.heralding, SingleClick | DoubleClick):
        raise NoSuchPair(f"link {herald['link']} has no station in its middle, which is what this picture shows")
    left, right = link.ends
    length = link.length_km
    station = length / 2 if link.midpoint_km is None else link.midpoint_km
    where = {left: 0.0, right: length}
    zero_ps = min(herald["emitted_ps"])

    def ms(at_ps: float) -> float:
        return float(at_ps - zero_ps) / MILLISECOND_PS

    figure, axes = pyplot.subplots(figsize=(8.0, 6.0), layout="constrained")
    end_ms = ms(life.ends_ps)
    margin_ms = 0.1 * end_ms
    for position in where.values():
        axes.plot([position] * 2, [-margin_ms, end_ms + margin_ms], color="0.55", lw=4, solid_capstyle="butt")
    axes.plot([station] * 2, [-margin_ms, end_ms + margin_ms], color="0.8", lw=2)
    for end, name in enumerate(link.ends):
        emitted, heralded = ms(herald["emitted_ps"][end]), ms(herald["heralded_ps"][end])
        clicked = (emitted + heralded) / 2
        axes.annotate("", (station, clicked), (where[name], emitted), arrowprops={"arrowstyle": "->", "color": "C3"})
        axes.annotate(
            "", (where[name], heralded), (station, clicked), arrowprops={"arrowstyle": "->", "color": "C0", "ls": "--"}
        )
        measured = [line["t_ps"] for line in life.circuits if line["node"] == name and line["bits"]]
        used = ms(measured[0]) if measured else end_ms
        axes.plot([where[name]] * 2, [emitted, used], color="C2", lw=4, solid_capstyle="butt")
    axes.annotate(
        f"click: {herald['bell_state'].replace('_', ' ').lower()}",
        (station, ms(sum(herald["emitted_ps"]) / 2 + sum(herald["heralded_ps"]) / 2) / 2),
        xytext=(0, -14),
        textcoords="offset points",
        ha="center",
        fontsize=9,
    )
    notes = [(line["node"], line["t_ps"], f"pair given to {line['application']}") for line in life.delivered]
    for line in life.circuits:
        bits = "".join(map(str, line["bits"]))
        words = ", ".join(step.split()[0].replace("_", " ") for step in line["steps"])
        notes.append((line["node"], line["t_ps"], words + (f": {bits}" if bits else "")))
    for message in life.messages:
        if {message["sender"], message["to"]} == set(link.ends):
            start = (where[message["sender"]], ms(message["t_ps"]))
            arrow = {"arrowstyle": "->", "color": "C1", "ls": ":"}
            axes.annotate("", (where[message["to"]], ms(message["arrives_ps"])), start, arrowprops=arrow)
    heights: dict[str, float] = {}
    for node, at_ps, words in sorted(notes, key=lambda note: note[1]):
        at = max(ms(at_ps), heights.get(node, -1e9) + 0.045 * (end_ms + 2 * margin_ms))
        heights[node] = at
        side = -1 if node == left else 1
        axes.annotate(
            words,
            (where[node], ms(at_ps)),
            (where[node] + side * 0.06 * length, at),
            ha="right" if side < 0 else "left",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": "0.7", "lw": 0.7},
        )
    axes.set_xlim(-0.75 * length, 1.75 * length)
    axes.set_ylim(end_ms + margin_ms, -margin_ms)
    axes.set_xticks([0.0, station, length], [left, "station", right])
    axes.xaxis.tick_top()
    axes.set_ylabel("virtual time since the photons left (ms)")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(
        f"Pair {herald['pair']}: attempt {herald['attempts']:,} succeeds after "
        f"{(zero_ps - herald['started_ps']) / MILLISECOND_PS:.4g} ms",
        fontsize=11,
    )
    handles = [
        Line2D([], [], color="C3", label="photon"),
        Line2D([], [], color="C0", ls="--", label="herald"),
        Line2D([], [], color="C1", ls=":", label="classical message"),
        Line2D([], [], color="C2", lw=4, label="qubit in memory, ageing"),
    ]
    axes.legend(handles=handles, loc="lower center", ncols=4, fontsize=8, frameon=False, bbox_to_anchor=(0.5, -0.06))
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    pyplot.close(figure)
