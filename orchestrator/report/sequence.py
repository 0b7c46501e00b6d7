"""A sequence picture of one pair of a circuit, from its photons to both ends, drawn from the event log of a run.

The log has no contents of messages. What a message says follows from its sender and instant: a router's to the head at
the instant of its swap is the `SwapOutcome`, the head's to the tail once it knows of all swaps the `PairComplete`, the
tail's answer at the instant of its delivery the `PairKept`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.scenario import DoubleClick, Scenario, SingleClick

MICROSECOND_PS = 10**6
LINE_SHARE = 0.028
"""Height of a line of text, as a share of the picture's."""
BAR_DISTANCE = 0.045
"""Of a qubit's bar from its node's life line, in hops."""
PAUSE_SHARE = 0.06
"""Height of a wait that was shortened, as a share of all others'."""
SIDE = 0.8
"""Room for the words beside the first and the last life line, in hops."""
LEAVES = {"measure", "measure_bell", "discard"}
"""Steps after which a qubit is no longer in its memory."""
BELL_STATES = {"PHI_PLUS": "Φ⁺", "PHI_MINUS": "Φ⁻", "PSI_PLUS": "Ψ⁺", "PSI_MINUS": "Ψ⁻"}
Line = dict[str, Any]


class NoSuchPair(Exception):
    """The event log does not have what was asked for."""


@dataclass(slots=True, frozen=True)
class Told:
    """A classical message of the story."""

    name: str
    sender: str
    to: str
    sent_ps: int
    arrives_ps: int


@dataclass(slots=True)
class Story:
    """What the event log says of one pair of a circuit."""

    pair: str
    path: tuple[str, ...]
    heralds: list[Line]
    """Of the pair's links, from the head on."""
    swaps: list[Line]
    """In the order of the path."""
    delivered: dict[str, Line]
    """At the head and the tail."""
    operations: list[Line]
    """On the pair's qubits, until both ends have used theirs."""
    messages: list[Told] = field(default_factory=list)

    @property
    def begins_ps(self) -> int:
        """When the first of its photons left."""
        return min(int(min(herald["emitted_ps"])) for herald in self.heralds)

    @property
    def delivered_ps(self) -> int:
        """When the later of its ends had it."""
        return max(int(line["t_ps"]) for line in self.delivered.values())

    @property
    def ends_ps(self) -> int:
        """The last instant of the story."""
        return max(self.delivered_ps, *(int(line["t_ps"]) for line in self.operations))


class EventLog:
    """What of an event log stories are made of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.routes: dict[tuple[str, int], Line] = {}
        """By circuit and generation."""
        self.nested: set[tuple[str, int]] = set()
        """Circuits and generations whose routers tell each other how far segments reach."""
        self.heralds: dict[str, Line] = {}
        """By each of its two qubits."""
        self.herald_of: dict[str, Line] = {}
        """By pair."""
        self.swaps: dict[tuple[str, str], Line] = {}
        """By circuit and upstream pair."""
        self.delivered: dict[str, dict[str, Line]] = defaultdict(dict)
        self.operations: dict[str, list[Line]] = defaultdict(list)
        """By qubit."""
        self.messages: dict[tuple[str, str], list[Line]] = defaultdict(list)
        """By sender and recipient."""
        with path.open("rb") as lines:
            for text in lines:
                self._add(msgspec.json.decode(text))

    def _add(self, line: Line) -> None:
        kind = line["kind"]
        if kind in ("circuit_opened", "circuit_restored"):
            self.routes[line["circuit"], line["generation"]] = line
        elif kind == "rules_installed" and any("that reaches" in rule for rule in line["rules"]):
            self.nested.add((line["circuit"], line["generation"]))
        elif kind == "heralded":
            self.heralds.update(dict.fromkeys(line["qubits"], line))
            self.herald_of[line["pair"]] = line
        elif kind == "swap":
            self.swaps[line["circuit"], line["upstream"]] = line
        elif kind == "circuit_pair_delivered":
            self.delivered[line["pair"]][line["end"]] = line
        elif kind == "circuit":
            for qubit in {word for step in line["steps"] for word in step.split()[1:]}:
                self.operations[qubit].append(line)
        elif kind == "message":
            self.messages[line["sender"], line["to"]].append(line)

    def stories(self) -> Iterator[Story]:
        """Of every pair that both ends were given."""
        for pair, delivered in self.delivered.items():
            if len(delivered) == 2:
                yield self.story(pair)

    def story(self, pair: str) -> Story:
        """Of one pair.

        Raises:
            NoSuchPair: the log does not have all of it.
        """
        delivered = self.delivered.get(pair, {})
        if len(delivered) != 2:
            ends = "at one end only" if delivered else "nowhere"
            known = sorted({name.rpartition("/")[0] for name in self.delivered})
            circuits = f"its circuits are {', '.join(known)}" if known else "it has no circuits' pairs"
            raise NoSuchPair(f"pair {pair} was delivered {ends} in {self.path}; {circuits}, a pair is CIRCUIT/NUMBER")
        head = delivered["head"]
        circuit = head["circuit"]
        route = self.routes.get((circuit, head["generation"]))
        first = self.heralds.get(delivered["tail"]["other_qubit"])
        if route is None or first is None:
            raise NoSuchPair(f"the log {self.path} does not tell how pair {pair} came to be")
        heralds, swaps = [first], []
        while (swap := self.swaps.get((circuit, heralds[-1]["pair"]))) is not None:
            swaps.append(swap)
            heralds.append(self.herald_of[swap["downstream"]])
        qubits = {qubit for herald in heralds for qubit in herald["qubits"]}
        used = {id(line): line for qubit in qubits for line in self.operations.get(qubit, ())}
        operations = sorted(used.values(), key=lambda line: int(line["t_ps"]))
        story = Story(pair, tuple(route["path"]), heralds, swaps, delivered, operations)
        story.messages = list(self._messages(story))
        return story

    def _messages(self, story: Story) -> Iterator[Told]:
        head, tail = story.path[0], story.path[-1]
        first = story.delivered["head"]
        nested = (first["circuit"], first["generation"]) in self.nested
        known_ps = max(_seen(story.heralds[0], head), 0)
        for swap in story.swaps:
            for line in self._sent(swap["node"], head, swap["t_ps"]):
                known_ps = max(known_ps, line["arrives_ps"])
                yield _told("SwapOutcome", line)
            for to in story.path[1:-1] if nested else ():
                for line in self._sent(swap["node"], to, swap["t_ps"]):
                    yield _told("SegmentGrew", line)
        yield from self._distilled(story)
        told_ps, kept_ps = story.delivered["tail"]["t_ps"], story.delivered["head"]["t_ps"]
        completes = [
            line for line in self.messages[head, tail] if line["t_ps"] >= known_ps and line["arrives_ps"] <= told_ps
        ]
        corrected_ps = {line["t_ps"] for line in story.operations if line["node"] == head and not line["bits"]}
        at_once = [line for line in completes if line["t_ps"] == known_ps or line["t_ps"] in corrected_ps]
        if completes:
            yield _told("PairComplete", (at_once or completes)[-1])
        for line in self._sent(tail, head, told_ps):
            if line["arrives_ps"] <= kept_ps:
                yield _told("PairKept", line)

    def _distilled(self, story: Story) -> Iterator[Told]:
        """Each end of a round tells the other its bit, a link's or the circuit's, the one nearer to the head first."""
        ends = (story.path[0], story.path[-1])
        for line in story.operations:
            if not distils(line, story):
                continue
            node = line["node"]
            touched = {word for step in line["steps"] for word in step.split()[1:]}
            partners = [_at(qubit) for herald in story.heralds for qubit in _other_halves(herald, touched, node)]
            if node in ends:
                partners.append(ends[1 - ends.index(node)])
            for to in dict.fromkeys(partners):
                name = "DistilPairs" if story.path.index(node) < story.path.index(to) else "PairDistilled"
                yield from (_told(name, sent) for sent in self._sent(node, to, line["t_ps"]))

    def _sent(self, sender: str, to: str, at_ps: int) -> list[Line]:
        """The first message from one to the other at an instant, if there is one."""
        return [line for line in self.messages[sender, to] if line["t_ps"] == at_ps][:1]


def distils(line: Line, story: Story) -> bool:
    """Whether an operation is a node's part in distilling: what applications do comes after the delivery."""
    given_ps = {each["node"]: int(each["t_ps"]) for each in story.delivered.values()}
    before = bool(line["t_ps"] < given_ps.get(line["node"], story.delivered_ps))
    return before and any(step.startswith("CX ") for step in line["steps"])


def _told(name: str, line: Line) -> Told:
    return Told(name, line["sender"], line["to"], line["t_ps"], line["arrives_ps"])


def _seen(herald: Line, node: str) -> int:
    """When a node heard of a pair."""
    (instant,) = (at for qubit, at in zip(herald["qubits"], herald["heralded_ps"], strict=True) if _at(qubit) == node)
    return int(instant)


def _other_halves(herald: Line, touched: set[str], node: str) -> Iterator[str]:
    """The other half of a link's pair, if the half at ``node`` was touched."""
    for mine, other in (herald["qubits"], herald["qubits"][::-1]):
        if mine in touched and _at(mine) == node:
            yield other


def _at(qubit: str) -> str:
    """The node that made a qubit."""
    return qubit.rpartition("#")[0].partition("+")[0]


def story_of(event_log: Path, pair: str | None) -> Story:
    """The story of a pair; by default the shortest of those with a swap, or of all, if none has one.

    Raises:
        NoSuchPair: there is none.
    """
    log = EventLog(event_log)
    if pair is not None:
        return log.story(pair)
    stories = list(log.stories())
    if not stories:
        raise NoSuchPair(f"no circuit has delivered a pair at both of its ends in {event_log}")
    return min(stories, key=lambda story: (not story.swaps, story.delivered_ps - story.begins_ps))


def _spans(story: Story) -> list[tuple[int, int]]:
    """The times (ps) in which something happens; what lies between them is longer than two messages take."""
    busy = [(told.sent_ps, told.arrives_ps) for told in story.messages]
    busy += [(min(herald["emitted_ps"]), max(herald["heralded_ps"])) for herald in story.heralds]
    longest = max(stop - start for start, stop in busy)
    busy += [(line["t_ps"], line["t_ps"]) for line in (*story.operations, *story.delivered.values())]
    spans: list[tuple[int, int]] = []
    for start, stop in sorted(busy):
        if spans and start - spans[-1][1] <= 2 * longest:
            spans[-1] = (spans[-1][0], max(spans[-1][1], stop))
        else:
            spans.append((start, stop))
    return spans


def draw(scenario: Scenario, story: Story, target: Path) -> None:
    """Draw a story into an SVG, PNG or PDF file: the path to the right, virtual time downwards."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "qloom"  # so that the same run gives the same file
    from matplotlib import pyplot

    hops = len(story.path) - 1
    figure, axes = pyplot.subplots(figsize=(min(19.0, 1.0 + 2.0 * (hops + 2 * SIDE)), 7.6), layout="constrained")
    picture = _Picture(axes, scenario, story)
    picture.waits()
    picture.life_lines()
    picture.photons()
    picture.memories()
    picture.messages()
    picture.notes()
    picture.frame()
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)
    pyplot.close(figure)


class _Picture:
    """The parts of the picture. A hop is one unit wide."""

    def __init__(self, axes: Any, scenario: Scenario, story: Story) -> None:
        self.axes, self.scenario, self.story = axes, scenario, story
        self.where = {node: float(i) for i, node in enumerate(story.path)}
        self.spans = _spans(story)
        self.pause = PAUSE_SHARE * sum(stop - start for start, stop in self.spans)
        self.end = self.us(story.ends_ps)
        self.line_height = LINE_SHARE * self.end
        self.margin = 2 * self.line_height
        self.taken: list[tuple[float, float]] = []
        """Where labels between life lines stand: hop's middle, and instant."""

    def us(self, at_ps: int) -> float:
        """Microseconds since the first photon, waits in which nothing happens shortened."""
        before = 0.0
        for i, (start, stop) in enumerate(self.spans):
            if at_ps <= stop or i == len(self.spans) - 1:
                return (before + at_ps - start) / MICROSECOND_PS
            before += stop - start + self.pause
        raise AssertionError("a story has a span")

    def waits(self) -> None:
        """Where time was shortened, and by how much."""
        for (_, stop), (start, _) in itertools.pairwise(self.spans):
            top, bottom = self.us(stop), self.us(start)
            self.axes.axhspan(top, bottom, facecolor="0.95", edgecolor="none", zorder=0)
            words = f"{(start - stop) / MICROSECOND_PS:,.0f} µs of waiting"
            at = len(self.story.path) - 1.04 + SIDE
            self.axes.text(
                at, (top + bottom) / 2, words, ha="right", va="center", fontsize=8, color="0.45", style="italic"
            )

    def life_lines(self) -> None:
        """One for each node."""
        for at in self.where.values():
            self.axes.plot([at, at], [-self.margin, self.end + self.margin], color="0.6", lw=1.0, zorder=1)

    def photons(self) -> None:
        """Of the attempts that succeeded, and their heralds."""
        for herald in self.story.heralds:
            link = self.scenario.links[herald["link"]]
            ends = [self.where[_at(qubit)] for qubit in herald["qubits"]]
            emitted, heralded = ([self.us(at) for at in herald[key]] for key in ("emitted_ps", "heralded_ps"))
            self.axes.fill(
                [ends[0], ends[0], ends[1], ends[1]],
                [emitted[0], heralded[0], heralded[1], emitted[1]],
                color="C0",
                alpha=0.08,
                lw=0,
                zorder=0,
            )
            if isinstance(link.heralding, SingleClick | DoubleClick):
                share = 0.5 if link.midpoint_km is None else link.midpoint_km / link.length_km
                first = self.where[link.ends[0]]
                station = first + share * (self.where[link.ends[1]] - first)
                for end, start, stop in zip(ends, emitted, heralded, strict=True):
                    click = (start + stop) / 2
                    self._arrow((end, start), (station, click), "C3", "-")
                    self._arrow((station, click), (end, stop), "C0", "--")
            above = (sum(ends) / 2, min(emitted) - 0.7 * self.line_height)
            below = (sum(ends) / 2, max(heralded) + 0.7 * self.line_height)
            words = f"{herald['pair']}  {BELL_STATES[herald['bell_state']]}"
            self._label(words, above if self._is_free(above) else below, "C0")

    def memories(self) -> None:
        """When each qubit lay in a memory, and in which."""
        for herald in self.story.heralds:
            for i, qubit in enumerate(herald["qubits"]):
                node = self.where[_at(qubit)]
                side = 1 if self.where[_at(herald["qubits"][1 - i])] > node else -1
                at = node + side * BAR_DISTANCE
                start, colour = self.us(herald["emitted_ps"][i]), "C2"
                for line in self.story.operations:
                    done = {step.split()[0] for step in line["steps"] if qubit in step.split()}
                    if done & LEAVES or "move" in done:
                        self._bar(at, start, self.us(line["t_ps"]), colour)
                        start, colour = self.us(line["t_ps"]), "C8"
                    if done & LEAVES:
                        break
                else:
                    self._bar(at, start, self.end, colour)

    def _bar(self, at: float, start: float, stop: float, colour: str) -> None:
        self.axes.plot([at, at], [start, stop], color=colour, lw=4.5, solid_capstyle="butt", zorder=2)

    def messages(self) -> None:
        """Slanted: they take their time."""
        for told in self.story.messages:
            start, stop = self.where[told.sender], self.where[told.to]
            sent, arrives = self.us(told.sent_ps), self.us(told.arrives_ps)
            self._arrow((start, sent), (stop, arrives), "C1", "-", width=1.5)
            hops = max(1, round(abs(stop - start)))
            middles = []
            for hop in range(hops):
                share = (hop + 0.5) / hops
                middles.append((start + share * (stop - start), sent + share * (arrives - sent)))
            free = [middle for middle in middles if self._is_free(middle)]
            self._label(told.name, (free or middles)[0], "C1")

    def notes(self) -> None:
        """What the nodes did."""
        notes: list[tuple[int, str, str]] = []
        for swap in self.story.swaps:
            (outcome,) = (
                line
                for line in self.story.operations
                if line["node"] == swap["node"] and line["t_ps"] == swap["t_ps"] and line["bits"]
            )
            notes.append((swap["t_ps"], swap["node"], f"swap: {''.join(map(str, outcome['bits']))}"))
            self.axes.plot(self.where[swap["node"]], self.us(swap["t_ps"]), marker="o", ms=8, color="C4", zorder=5)
        for line in self.story.delivered.values():
            state = {(0, 0): "Φ⁺", (0, 1): "Φ⁻", (1, 0): "Ψ⁺", (1, 1): "Ψ⁻"}[line["x"], line["z"]]
            notes.append((line["t_ps"], line["node"], f"pair delivered: {state}"))
            self.axes.plot(self.where[line["node"]], self.us(line["t_ps"]), marker="D", ms=8, color="C5", zorder=5)
        given_ps = {line["node"]: line["t_ps"] for line in self.story.delivered.values()}
        for line in self.story.operations:
            node, steps = line["node"], [step.split()[0] for step in line["steps"]]
            if distils(line, self.story):
                steps = ["distil"]
            elif node not in given_ps or steps == ["move"]:
                continue
            bits = "".join(map(str, line["bits"]))
            notes.append((line["t_ps"], node, ", ".join(steps) + (f": {bits}" if bits else "")))
        below: dict[str, float] = {}
        for at_ps, node, words in sorted(notes):
            raised = 0.45 * self.line_height if words.startswith("swap") else 0.0
            at = max(self.us(at_ps) - raised, below.get(node, -1e12) + self.line_height)
            below[node] = at
            side = -1 if node == self.story.path[0] else 1
            self.axes.annotate(
                words,
                (self.where[node], self.us(at_ps)),
                (self.where[node] + side * 2.4 * BAR_DISTANCE, at),
                ha="right" if side < 0 else "left",
                va="center",
                fontsize=9,
                zorder=6,
                bbox={"boxstyle": "round,pad=0.15", "color": "white", "alpha": 0.8, "lw": 0},
            )

    def frame(self) -> None:
        """Axes, title and legend."""
        from matplotlib.lines import Line2D

        axes, story = self.axes, self.story
        axes.set_xlim(-SIDE, len(story.path) - 1 + SIDE)
        axes.set_ylim(self.end + self.margin, -self.margin)
        axes.set_xticks(list(self.where.values()), list(self.where), fontsize=11, fontweight="bold")
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", length=0)
        ticks = list(self._ticks())
        axes.set_yticks([self.us(at_ps) for at_ps in ticks])
        axes.set_yticklabels([f"{(at_ps - story.begins_ps) / MICROSECOND_PS:,.0f}" for at_ps in ticks])
        axes.set_ylabel("virtual time since the first photon left (µs)")
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        swaps = f"{len(story.swaps)} swap{'' if len(story.swaps) == 1 else 's'}"
        took = (story.delivered_ps - story.begins_ps) / MICROSECOND_PS
        axes.set_title(f"{story.pair}: {len(story.heralds)} link pairs, {swaps}, {took:,.0f} µs", fontsize=11, pad=12)
        handles = [
            Line2D([], [], color="C3", label="photon"),
            Line2D([], [], color="C0", ls="--", label="herald"),
            Line2D([], [], color="C2", lw=4.5, label="communication qubit"),
            Line2D([], [], color="C8", lw=4.5, label="moved to storage"),
            Line2D([], [], color="C1", lw=1.5, label="classical message"),
            Line2D([], [], color="C4", ls="", marker="o", ms=8, label="Bell measurement"),
            Line2D([], [], color="C5", ls="", marker="D", ms=8, label="delivery"),
        ]
        axes.legend(
            handles=handles, loc="upper center", ncols=4, fontsize=9, frameon=False, bbox_to_anchor=(0.5, -0.01)
        )

    def _ticks(self) -> Iterator[int]:
        """Round instants (ps) within each span, or its beginning."""
        drawn = sum(stop - start for start, stop in self.spans)
        power = 10 ** (len(str(drawn // 8)) - 1)
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= drawn / 8)
        for start, stop in self.spans:
            first = -(-(start - self.story.begins_ps) // step) * step + self.story.begins_ps
            yield from range(first, stop + 1, step) if first <= stop else (start,)

    def _arrow(
        self, start: tuple[float, float], stop: tuple[float, float], colour: str, style: str, *, width: float = 1.0
    ) -> None:
        arrow = {"arrowstyle": "->", "color": colour, "ls": style, "lw": width, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", stop, start, arrowprops=arrow, zorder=3)

    def _is_free(self, place: tuple[float, float]) -> bool:
        return all(abs(x - place[0]) > 0.5 or abs(at - place[1]) > 1.5 * self.line_height for x, at in self.taken)

    def _label(self, words: str, place: tuple[float, float], colour: str) -> None:
        self.taken.append(place)
        self.axes.text(
            *place,
            words,
            ha="center",
            va="center",
            fontsize=9,
            color=colour,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.15", "color": "white", "alpha": 0.85, "lw": 0},
        )
