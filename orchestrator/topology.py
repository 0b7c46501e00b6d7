"""Who can talk to whom, and how long a classical message takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.scenario import ClassicalLink, Link, Scenario

if TYPE_CHECKING:
    import networkx

LIGHT_SPEED_KM_PER_S = 299_792.458
PICOSECONDS_PER_SECOND = 10**12


def travel_time_ps(length_km: float, *, refractive_index: float) -> int:
    """How long light travels through a fibre, in whole picoseconds."""
    return round(length_km * refractive_index / LIGHT_SPEED_KM_PER_S * PICOSECONDS_PER_SECOND)


@dataclass(frozen=True, slots=True)
class Hop:
    """One channel of a route, in the direction in which it is used."""

    channel: str
    """The name of its link."""
    forward: bool
    """From the link's first end to its second."""
    latency_ps: int


@dataclass(frozen=True, slots=True)
class Route:
    """The channels that a message takes, in order."""

    hops: tuple[Hop, ...]
    latency_ps: int


class Topology:
    """The classical network of a scenario: the channels beside its quantum links, and its classical links.

    Messages take the path of least latency; of two channels between the same nodes the faster counts. Channels may be
    taken down and brought up again, both directions or one.
    """

    def __init__(self, scenario: Scenario) -> None:
        import networkx  # takes 0.2 s, which `qloom --help` and the checks of a file need not wait for

        self._graph: networkx.DiGraph[str] = networkx.DiGraph()
        self.channels: dict[str, Link | ClassicalLink] = {**scenario.links, **scenario.classical_links}
        self._nodes = tuple(scenario.nodes)
        self._down: set[tuple[str, bool]] = set()
        self._searched: dict[str, tuple[dict[str, list[str]], dict[str, int]]] = {}
        """Of each source: the nodes before each node on its way, and the latencies."""
        self._routes: dict[tuple[str, str], Route | None] = {}
        self._build()

    def _build(self) -> None:
        """The graph of the channels that are up."""
        self._graph.clear()
        self._searched.clear()
        self._routes.clear()
        self._graph.add_nodes_from(self._nodes)
        for name in self.channels:
            for forward in (True, False):
                source, destination = self._from_to(name, forward)
                hop = self._hop(name, forward)
                known = self._graph.get_edge_data(source, destination)
                if self.is_up(name, forward=forward) and (known is None or hop.latency_ps < known["latency_ps"]):
                    self._graph.add_edge(source, destination, latency_ps=hop.latency_ps, hop=hop)

    def _from_to(self, channel: str, forward: bool) -> tuple[str, str]:
        first, second = self.channels[channel].ends
        return (first, second) if forward else (second, first)

    def _hop(self, channel: str, forward: bool) -> Hop:
        return Hop(channel, forward, channel_latency_ps(self.channels[channel]))

    def take_down(self, channel: str, /, *, forward: bool) -> None:
        """A channel, by its link's name, carries nothing in that direction from now on."""
        self._down.add((channel, forward))
        self._build()

    def bring_up(self, channel: str, /, *, forward: bool) -> None:
        """A channel carries messages in that direction again."""
        self._down.discard((channel, forward))
        self._build()

    def is_up(self, channel: str, /, *, forward: bool) -> bool:
        """Whether a channel carries messages in that direction."""
        return (channel, forward) not in self._down

    def route(self, source: str, destination: str, /) -> Route | None:
        """The way from one node to another, ``None`` if there is none. KeyError: no such node."""
        key = (source, destination)
        try:
            return self._routes[key]
        except KeyError:
            route = self._routes[key] = self._find_route(source, destination)
            return route

    def route_over(self, channel: str, /, *, source: str) -> Route | None:
        """The way over one channel from one of its ends, ``None`` while it is down."""
        forward = self.channels[channel].ends[0] == source
        if not self.is_up(channel, forward=forward):
            return None
        hop = self._hop(channel, forward)
        return Route((hop,), hop.latency_ps)

    def classical_latency_ps(self, source: str, destination: str, /) -> int | None:
        """Picoseconds from one node to another, 0 to itself, ``None`` if there is no path. KeyError: no such node."""
        if destination not in self._graph:
            raise KeyError(destination)
        return self._search(source)[1].get(destination)

    def neighbours(self, node: str) -> frozenset[str]:
        """The nodes that share a channel with this one. KeyError: no such node."""
        if node not in self._graph:
            raise KeyError(node)
        return frozenset(self._graph.successors(node)) | frozenset(self._graph.predecessors(node))

    def min_classical_latency_ps(self) -> int | None:
        """The smallest latency of one channel, which bounds every message's from below; ``None`` without any."""
        return min((latency for _, _, latency in self._graph.edges(data="latency_ps")), default=None)

    def classical_components(self) -> list[tuple[str, ...]]:
        """The sets of nodes between which messages can pass, nodes and sets in the order of the scenario."""
        import networkx

        position = {node: index for index, node in enumerate(self._graph)}
        groups = networkx.strongly_connected_components(self._graph)
        return sorted(
            (tuple(sorted(group, key=position.__getitem__)) for group in groups), key=lambda g: position[g[0]]
        )

    def _find_route(self, source: str, destination: str) -> Route | None:
        latency_ps = self.classical_latency_ps(source, destination)
        if latency_ps is None:
            return None
        before, _ = self._search(source)
        hops: list[Hop] = []
        node = destination
        while node != source:
            previous = before[node][0]
            hops.append(self._graph.edges[previous, node]["hop"])
            node = previous
        return Route(tuple(reversed(hops)), latency_ps)

    def _search(self, source: str) -> tuple[dict[str, list[str]], dict[str, int]]:
        found = self._searched.get(source)
        if found is None:
            import networkx

            if source not in self._graph:
                raise KeyError(source)
            before, latencies = networkx.dijkstra_predecessor_and_distance(self._graph, source, weight="latency_ps")
            found = self._searched[source] = (dict(before), dict(latencies))
        return found


def channel_latency_ps(link: Link | ClassicalLink) -> int:
    """How long a message takes over one channel."""
    if isinstance(link, ClassicalLink) and link.latency_s is not None:
        return round(link.latency_s * PICOSECONDS_PER_SECOND)
    assert link.length_km is not None
    return travel_time_ps(link.length_km, refractive_index=link.refractive_index)
