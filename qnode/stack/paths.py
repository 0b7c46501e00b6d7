"""Which path a circuit takes: constrained shortest path first over what the link states leave free.

Routers and controllers compute alike. Links and nodes that cannot serve in any case are left out; the shortest paths of
what remains (Yen 1971) are tried in rising cost, and the first that can be expected to meet the requirement is taken.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from qnode.config import BellDiagonal
from qnode.stack.bell_diagonal import dejmps, swap_error, werner_parameter
from qnode.stack.path_prediction import SECOND_PS, Prediction, Segment, predict, slots_needed
from qnode.wire.circuits import Hop
from qnode.wire.routing import LinkAdvertisement, LinkState, PathRequirement, RoutedPath

Metric = Literal["hops", "time", "fidelity"]
NoPathCode = Literal["no_route", "no_capacity"]

FORWARDING_ROLES = ("router", "automated", "switch")
ENDLESS_ROLES = ("automated", "controller")
"""Nodes at which no circuit ends."""
MOST_CANDIDATES = 50
MOST_UNFAITHFUL = 10
"""So many paths of too low fidelity are tried before those of the highest are."""
SLOTS_OF_OTHERS = 4
"""Memory slots that a node is believed to have if circuits of lower priority give way."""
MOST_ROUNDS = 2
"""Of distillation, at a link."""
TOLERANCE = 1e-9


class NoPath(Exception):
    """No path meets the requirement."""

    def __init__(self, reason: str, *, where: str = "", code: NoPathCode = "no_route") -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where
        """The link or node that falls short, if it is one."""
        self.code: NoPathCode = code


class _Unfaithful(NoPath):
    """The path's fidelity is too low, whatever its links do."""

    def __init__(self, reason: str, fidelity: float) -> None:
        super().__init__(reason)
        self.fidelity = fidelity


@dataclass(frozen=True, slots=True)
class Connection:
    """A link that both of its ends advertise."""

    link: str
    ends: tuple[str, str]
    """In alphabetical order."""
    points: tuple[tuple[float, BellDiagonal], ...]
    free_share: float
    latency_ps: int

    @property
    def fastest_hz(self) -> float:
        """The rate of the fastest operating point."""
        return max(rate for rate, _ in self.points)


def may_forward(state: LinkState) -> bool:
    """Whether circuits of others may go through this node (RFC 9340 section 5.3.2)."""
    return state.role in FORWARDING_ROLES


def connections(database: Mapping[str, LinkState]) -> list[Connection]:
    """The links that both ends advertise, in the order of their names."""
    told: dict[str, list[tuple[str, LinkAdvertisement]]] = {}
    for origin in sorted(database):
        for advertised in database[origin].links:
            told.setdefault(advertised.link, []).append((origin, advertised))
    found = []
    for link in sorted(told):
        if len(told[link]) != 2:
            continue
        (a, of_a), (b, of_b) = told[link]
        if of_a.remote != b or of_b.remote != a:
            continue
        points = tuple(zip(_believed(of_a), _believed(of_b), strict=False))
        worse = tuple(min(pair, key=lambda point: point[1][0]) for pair in points)
        if worse and all(rate > 0.0 for rate, _ in worse):
            free_share = min(of_a.free_share, of_b.free_share)
            found.append(Connection(link, (a, b), worse, free_share, max(of_a.latency_ps, of_b.latency_ps)))
    return found


def compute(
    database: Mapping[str, LinkState],
    source: str,
    destination: str,
    requirement: PathRequirement,
    *,
    metric: Metric,
    exclude_links: Collection[str] = (),
    exclude_nodes: Collection[str] = (),
) -> RoutedPath:
    """The path of least cost among those that can be expected to meet ``requirement``.

    Costs: a link is one hop; or the mean time until its fastest operating point yields a pair in the time it has free,
    over the probability that the swaps at its ends do not waste it, and its latency; or -log of the Werner parameter of
    its best operating point, and of each swap.

    Raises:
        NoPath: none does; it says which link or node is short of what.
    """
    route = f"from {source} to {destination}"
    if source == destination:
        raise NoPath(f"no route {route}: a circuit joins two nodes", where=source)
    for name in (source, destination):
        if name in exclude_nodes:
            raise NoPath(f"no route {route}: {name} is to be avoided", where=name)
        if name not in database:
            raise NoPath(f"no route {route}: {name} is not known", where=name)
    if database[destination].role in ENDLESS_ROLES:
        role = database[destination].role
        raise NoPath(f"no route {route}: {destination} is an {role} node, where no circuit ends", where=destination)
    if requirement.over_others:
        database = {name: _as_if_free(state) for name, state in database.items()}
    search = _Search(database, source, destination, requirement, exclude_links, exclude_nodes)
    unfaithful: list[_Unfaithful] = []
    short: list[NoPath] = []
    passes: tuple[Metric, ...] = (metric,) if metric == "fidelity" else (metric, "fidelity")
    for least in passes:
        if least != metric and not unfaithful:
            break
        tried = 0
        for candidate in search.candidates(least, able=True):
            try:
                return search.admit(candidate, metric)
            except _Unfaithful as shortage:
                unfaithful.append(shortage)
                tried += 1
                if tried >= MOST_UNFAITHFUL:
                    break
            except NoPath as shortage:
                short.append(shortage)
    if short:
        raise short[0]
    if unfaithful:
        raise max(unfaithful, key=lambda shortage: shortage.fidelity)
    for candidate in search.candidates(metric, able=False):
        search.admit(candidate, metric)
    besides = " besides those to be avoided" if exclude_links or exclude_nodes else ""
    raise NoPath(f"no route {route}: no working links through routers{besides} join them")


class _Search:
    """One computation: the graph, its costs, and what is asked."""

    def __init__(
        self,
        database: Mapping[str, LinkState],
        source: str,
        destination: str,
        requirement: PathRequirement,
        exclude_links: Collection[str],
        exclude_nodes: Collection[str],
    ) -> None:
        self.database = database
        self.ends = (source, destination)
        self.requirement = requirement
        self.connections = {
            each.link: each
            for each in connections(database)
            if each.link not in exclude_links
            and all(end not in exclude_nodes and (end in self.ends or may_forward(database[end])) for end in each.ends)
        }

    def candidates(self, metric: Metric, *, able: bool) -> Iterator[tuple[str, ...]]:
        """Nodes and links of simple paths, in turn, in rising cost; ``able``: without those that are full anyway."""
        import networkx  # takes 0.2 s, which a node that opens no circuit need not spend

        graph: Any = networkx.Graph()
        for connection in self.connections.values():
            if able and not self._able(connection):
                continue
            # A link is a vertex of its own, so that parallel links are different paths.
            half = 0.5 * self._link_cost(connection, metric)
            for end in connection.ends:
                swap = 0.5 * self._node_cost(end, metric)
                graph.add_edge((0, end), (1, connection.link), weight=half + swap)
        source, destination = ((0, end) for end in self.ends)
        if source not in graph or destination not in graph or not networkx.has_path(graph, source, destination):
            return
        paths = networkx.shortest_simple_paths(graph, source, destination, weight="weight")
        for _, path in zip(range(MOST_CANDIDATES), paths, strict=False):
            yield tuple(name for _, name in path)

    def admit(self, candidate: tuple[str, ...], metric: Metric) -> RoutedPath:
        """The path with its links' operating points and rounds of distillation chosen.

        Raises:
            NoPath: it does not meet the requirement; `_Unfaithful`: for its fidelity.
        """
        asked = self.requirement
        nodes, links = candidate[::2], candidate[1::2]
        states = [self.database[node] for node in nodes]
        used = [self.connections[link] for link in links]
        segments = [Segment(each.link, each.points, each.free_share, each.latency_ps / SECOND_PS) for each in used]
        for state, needed in zip(states, slots_needed(segments), strict=True):
            if state.free_slots < needed:
                where = state.origin
                reason = f"node {where} has {state.free_slots} memory slots free, {needed} needed"
                raise NoPath(reason, where=where, code="no_capacity")
        for segment in segments:
            if segment.free_share <= 0.0:
                reason = f"link {segment.link} has none of its time free"
                raise NoPath(reason, where=segment.link, code="no_capacity")
        prediction = predict(segments, states, asked)
        self._within(nodes, segments, prediction)
        prediction = self._improved(segments, states, prediction)
        if prediction.fidelity < asked.minimum_fidelity - TOLERANCE:
            swaps = f"{len(nodes) - 2} swap{'' if len(nodes) == 3 else 's'}"
            rate = f" at {asked.rate_bpps:g} pairs/s" if asked.rate_bpps else ""
            raise _Unfaithful(
                f"best path {'-'.join(nodes)} reaches fidelity {prediction.fidelity:.3g} after {swaps}{rate}, "
                f"asked for {asked.minimum_fidelity:g}",
                prediction.fidelity,
            )
        cost = sum(self._link_cost(each, metric) for each in used)
        cost += sum(self._node_cost(node, metric) for node in nodes[1:-1])
        return RoutedPath(
            nodes=nodes,
            hops=tuple(
                Hop(
                    link=segment.link,
                    upstream=nodes[i],
                    downstream=nodes[i + 1],
                    operating_point=segment.point,
                    distillation_rounds=segment.rounds,
                    share=prediction.shares[i],
                )
                for i, segment in enumerate(segments)
            ),
            expected_fidelity=prediction.fidelity,
            expected_rate_bpps=prediction.rate_bpps,
            cost=cost,
        )

    def _improved(self, segments: list[Segment], states: list[LinkState], prediction: Prediction) -> Prediction:
        """Move the worst link to its next better operating point, then let it distil, until the fidelity suffices."""
        asked = self.requirement
        for change in ("point", "rounds") if asked.distillation else ("point",):
            stuck: set[int] = set()
            while prediction.fidelity < asked.minimum_fidelity - TOLERANCE and len(stuck) < len(segments):
                fidelities = prediction.fidelities
                worst = min((i for i in range(len(segments)) if i not in stuck), key=lambda i: (fidelities[i], i))
                segment = segments[worst]
                before = segment.point, segment.rounds
                if not (_better_point(segment) if change == "point" else _one_more_round(segment)):
                    stuck.add(worst)
                    continue
                attempt = predict(segments, states, asked)
                if attempt.fidelity <= prediction.fidelity or not self._serves(segments, states, attempt):
                    segment.point, segment.rounds = before
                    stuck.add(worst)
                    continue
                prediction = attempt
        return prediction

    def _serves(self, segments: list[Segment], states: list[LinkState], prediction: Prediction) -> bool:
        shares = all(
            share <= segment.free_share + TOLERANCE for share, segment in zip(prediction.shares, segments, strict=True)
        )
        slots = all(state.free_slots >= n for state, n in zip(states, slots_needed(segments), strict=True))
        return shares and slots and prediction.rate_bpps >= self.requirement.rate_bpps * (1.0 - TOLERANCE)

    def _within(self, nodes: tuple[str, ...], segments: list[Segment], prediction: Prediction) -> None:
        """Raise `NoPath` if the rate is beyond what a link, or all together, can give."""
        rate = self.requirement.rate_bpps
        for share, segment in zip(prediction.shares, segments, strict=True):
            if share > segment.free_share + TOLERANCE:
                raise NoPath(
                    f"link {segment.link} has {segment.free_share:.3g} of its time free, "
                    f"{share:.3g} is needed for {rate:g} pairs/s",
                    where=segment.link,
                    code="no_capacity",
                )
        if prediction.rate_bpps < rate * (1.0 - TOLERANCE):
            slowest = min(segments, key=lambda segment: segment.free_share * segment.points[segment.point][0])
            raise NoPath(
                f"best path {'-'.join(nodes)} yields {prediction.rate_bpps:.3g} pairs/s, its slowest link being "
                f"{slowest.link}; asked for {rate:g}",
                where=slowest.link,
                code="no_capacity",
            )

    def _able(self, connection: Connection) -> bool:
        """Whether a path over this link could be admitted, were it alone; no path that could is lost by this."""
        if connection.free_share <= 0.0:
            return False
        if self.requirement.rate_bpps > connection.fastest_hz * connection.free_share + TOLERANCE:
            return False
        return all(self.database[end].free_slots >= (1 if end in self.ends else 2) for end in connection.ends)

    def _link_cost(self, connection: Connection, metric: Metric) -> float:
        if metric == "hops":
            return 1.0
        if metric == "fidelity":
            return -math.log(max(1e-9, werner_parameter(max(spectrum[0] for _, spectrum in connection.points))))
        swaps = 1.0
        for end in connection.ends:
            if end not in self.ends:
                swaps *= max(1e-9, self.database[end].swap_success_probability)
        free_hz = connection.fastest_hz * max(1e-9, connection.free_share)
        return 1.0 / (free_hz * swaps) + connection.latency_ps / SECOND_PS

    def _node_cost(self, node: str, metric: Metric) -> float:
        if metric != "fidelity" or node in self.ends:
            return 0.0
        state = self.database[node]
        error = swap_error(state.swap_depolarising_probability, state.swap_readout_error)
        return -math.log(max(1e-9, werner_parameter(error[0])))


def _better_point(segment: Segment) -> bool:
    """Move to the next operating point of a higher fidelity; whether there is one."""
    now = segment.points[segment.point][1][0]
    for point in range(segment.point + 1, len(segment.points)):
        if segment.points[point][1][0] > now:
            segment.point = point
            return True
    return False


def _one_more_round(segment: Segment) -> bool:
    """Add a round of distillation, unless it is the last or would not help even perfect nodes."""
    spectrum = segment.points[segment.point][1]
    if segment.rounds >= MOST_ROUNDS or dejmps(spectrum, spectrum)[0][0] <= spectrum[0]:
        return False
    segment.rounds += 1
    return True


def _as_if_free(state: LinkState) -> LinkState:
    """What the node could give to a circuit that may take the place of all others."""
    links = tuple(msgspec.structs.replace(link, free_share=1.0) for link in state.links)
    return msgspec.structs.replace(state, free_slots=max(state.free_slots, SLOTS_OF_OTHERS), links=links)


def _believed(advertised: LinkAdvertisement) -> tuple[tuple[float, BellDiagonal], ...]:
    """The operating points, with all errors scaled up if test rounds show clearly (two sigma) more than promised."""
    points = advertised.operating_points
    if advertised.estimated_fidelity is None or not points:
        return points
    fidelity, error = advertised.estimated_fidelity
    promised = points[0][1][0]
    if fidelity + 2.0 * error >= promised:
        return points
    if promised >= 1.0 - 1e-6:
        rest = (1.0 - fidelity) / 3.0
        return tuple((rate, (fidelity, rest, rest, rest)) for rate, _ in points)
    factor = (1.0 - fidelity) / (1.0 - promised)
    return tuple((rate, _with_errors(spectrum, factor)) for rate, spectrum in points)


def _with_errors(spectrum: BellDiagonal, factor: float) -> BellDiagonal:
    factor = min(factor, 1.0 / max(1e-12, 1.0 - spectrum[0]))
    x, y, z = (factor * error for error in spectrum[1:])
    return (1.0 - x - y - z, x, y, z)
