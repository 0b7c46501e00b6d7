"""Who can talk to whom, and how long a classical message takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.scenario import ClassicalLink, Link, Scenario

if TYPE_CHECKING:
    import networkx

LIGHT_SPEED_KM_PER_S = 299_792.458
PICOSECONDS_PER_SECOND = 10**12


def travel_time_ps(length_km: float, *, refractive_index: float) -> int:
    """How long light travels through a fibre, in whole picoseconds."""
    return round(length_km * refractive_index / LIGHT_SPEED_KM_PER_S * PICOSECONDS_PER_SECOND)


class Topology:
    """The classical network of a scenario: the channels beside its quantum links, and its classical links.

    Messages take the path of least latency; of two channels between the same nodes the faster counts. Channels may be
    taken down and brought up again.
    """

    def __init__(self, scenario: Scenario) -> None:
        import networkx  # takes 0.2 s, which `qloom --help` and the checks of a file need not wait for

        self._graph: networkx.Graph[str] = networkx.Graph()
        self._channels: list[tuple[str, Link | ClassicalLink]] = [
            *scenario.links.items(),
            *scenario.classical_links.items(),
        ]
        self._nodes = tuple(scenario.nodes)
        self._down: set[str] = set()
        self._latencies_ps: dict[str, dict[str, int]] = {}
        self._build()

    def _build(self) -> None:
        """The graph of the channels that are up."""
        self._graph.clear()
        self._latencies_ps.clear()
        self._graph.add_nodes_from(self._nodes)
        for name, link in self._channels:
            first, second = link.ends
            latency_ps = channel_latency_ps(link)
            known = self._graph.get_edge_data(first, second)
            if name not in self._down and (known is None or latency_ps < known["latency_ps"]):
                self._graph.add_edge(first, second, latency_ps=latency_ps)

    def take_down(self, channel: str, /) -> None:
        """A channel, by its link's name, carries nothing from now on."""
        self._down.add(channel)
        self._build()

    def bring_up(self, channel: str, /) -> None:
        """A channel carries messages again."""
        self._down.discard(channel)
        self._build()

    def is_up(self, channel: str, /) -> bool:
        """Whether a channel carries messages."""
        return channel not in self._down

    def classical_latency_ps(self, source: str, destination: str, /) -> int | None:
        """Picoseconds from one node to another, 0 to itself, ``None`` if there is no path. KeyError: no such node."""
        if destination not in self._graph:
            raise KeyError(destination)
        if source not in self._latencies_ps:
            self._latencies_ps[source] = self._from(source)
        return self._latencies_ps[source].get(destination)

    def neighbours(self, node: str) -> frozenset[str]:
        """The nodes that share a channel with this one. KeyError: no such node."""
        if node not in self._graph:
            raise KeyError(node)
        return frozenset(self._graph[node])

    def min_classical_latency_ps(self) -> int | None:
        """The smallest latency of one channel, which bounds every message's from below; ``None`` without any."""
        return min((latency for _, _, latency in self._graph.edges(data="latency_ps")), default=None)

    def classical_components(self) -> list[tuple[str, ...]]:
        """The sets of nodes between which messages can pass, nodes and sets in the order of the scenario."""
        import networkx

        position = {node: index for index, node in enumerate(self._graph)}
        groups = networkx.connected_components(self._graph)
        return sorted(
            (tuple(sorted(group, key=position.__getitem__)) for group in groups), key=lambda g: position[g[0]]
        )

    def _from(self, source: str) -> dict[str, int]:
        import networkx

        if source not in self._graph:
            raise KeyError(source)
        lengths = networkx.single_source_dijkstra_path_length(self._graph, source, weight="latency_ps")
        return dict(lengths)


def channel_latency_ps(link: Link | ClassicalLink) -> int:
    """How long a message takes over one channel."""
    if isinstance(link, ClassicalLink) and link.latency_s is not None:
        return round(link.latency_s * PICOSECONDS_PER_SECOND)
    assert link.length_km is not None
    return travel_time_ps(link.length_km, refractive_index=link.refractive_index)
