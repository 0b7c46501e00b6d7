"""Neighbours, floods, ageing and a controller, on a network of `Routing` objects in memory."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnode.config import LinkConfiguration, NetworkConfiguration, NodeConfiguration, OperatingPoint
from qnode.stack.core import Core
from qnode.stack.events import CancelTimer, Record, SendTo, SetTimer
from qnode.stack.memory import Memory
from qnode.stack.paths import NoPath
from qnode.stack.routing import Routing
from qnode.wire.peer import sealed, unsealed
from qnode.wire.routing import Hello, LinkState, PathAnswer, PathQuestion, PathRequirement, RoutedPath

MS = 10**9
LATENCY = MS // 10
INTERVAL = 100 * MS
LOST_AFTER = 4 * INTERVAL
TELL_AGAIN = 1000 * MS
FORGET = 3 * TELL_AGAIN
ANYTHING = PathRequirement()


def link_name(a: str, b: str) -> str:
    return "-".join(sorted((a, b)))


@dataclass
class Network:
    """Nodes, wires between them, and one queue of what is to happen. Reliable messages need a classical path."""

    edges: tuple[tuple[str, str], ...]
    roles: dict[str, str] = field(default_factory=dict)
    controller: str = ""
    hello_loss: float = 0.0
    seed: int = 1
    now: int = 0
    nodes: dict[str, Routing] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    records: list[tuple[int, str, Record]] = field(default_factory=list)
    hooks: list[tuple[int, str, str]] = field(default_factory=list)
    sent: list[tuple[str, str, Any, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.timers: dict[tuple[str, Any], int] = {}
        self.draw = random.Random(self.seed)
        self.boots: dict[str, int] = {}
        names = dict.fromkeys(itertools.chain(*self.edges, [self.controller] if self.controller else []))
        for name in names:
            self.start(name)

    def start(self, name: str) -> None:
        """A node's process starts, knowing nothing."""
        self.boots[name] = self.boots.get(name, 0) + 1
        points = (OperatingPoint(rate_hz=100.0, spectrum=(0.97, 0.01, 0.01, 0.01)),)
        remotes = [b if a == name else a for a, b in self.edges if name in (a, b)]
        configuration = NodeConfiguration(
            name=name,
            role="controller" if name == self.controller else self.roles.get(name, "router"),
            communication_slots=4,
            storage_slots=0,
            links=tuple(
                LinkConfiguration(
                    name=link_name(name, remote),
                    remote=remote,
                    goodness=0.97,
                    corrects=False,
                    latency_ps=LATENCY,
                    operating_points=points,
                )
                for remote in remotes
            ),
            network=NetworkConfiguration(
                routing="controller" if self.controller else "link_state",
                controller=self.controller,
                hello_interval_ps=INTERVAL,
                link_state_interval_ps=TELL_AGAIN,
            ),
        )
        core = Core(configuration, Memory(name, 4, 0), now=self.now)
        self.nodes[name] = Routing(
            core,
            lambda to, message, housekeeping=False: core.send(to, message, housekeeping=housekeeping),
            link_lost=lambda link, _: self.hooks.append((self.now, f"{name} lost", link)),
            link_found=lambda link: self.hooks.append((self.now, f"{name} found", link)),
        )
        self.at(name, lambda node: node.start(), self.now)

    def kill(self, name: str) -> None:
        self.boots[name] += 1
        del self.nodes[name]

    def at(self, name: str, what: Callable[[Routing], None], when: int) -> None:
        """Have ``what`` happen to the node, if it has not died by then."""
        boot = self.boots[name]

        def happen() -> None:
            node = self.nodes.get(name)
            if node is None or self.boots[name] != boot:
                return
            node.core.now, node.core.actions = self.now, []
            what(node)
            for action in node.core.actions:
                self.act(name, action)

        heapq.heappush(self.queue, (when, next(self.order), happen))

    def do(self, name: str, what: Callable[[Routing], None]) -> None:
        self.at(name, what, self.now)
        self.run(0)

    def act(self, name: str, action: Any) -> None:
        if isinstance(action, Record):
            self.records.append((self.now, name, action))
        elif isinstance(action, CancelTimer):
            self.timers.pop((name, action.key), None)
        elif isinstance(action, SetTimer):
            assert action.at >= self.now
            assert action.housekeeping == (action.key[0] != "path_question")
            ticket = next(self.order)
            self.timers[name, action.key] = ticket
            self.at(name, lambda node: self.fire(node, action.key, ticket), action.at)
        elif isinstance(action, SendTo):
            self.deliver(name, action)

    def fire(self, node: Routing, key: Any, ticket: int) -> None:
        if self.timers.get((node.name, key)) == ticket:
            del self.timers[node.name, key]
            purpose, whose, number = key
            {
                "hello": lambda: node.hello_due(),
                "hello_lost": lambda: node.neighbour_quiet(whose),
                "link_state": lambda: node.link_state_due(),
                "age": lambda: node.age_due(),
                "path_question": lambda: node.question_expired(number),
            }[purpose]()

    def deliver(self, sender: str, action: SendTo) -> None:
        message = action.message
        assert unsealed(sealed(message)) == message if isinstance(message, Hello) else True
        self.sent.append((sender, action.to, message, action.housekeeping))
        if action.to not in self.nodes:
            return
        if isinstance(message, Hello):
            assert action.over == message.link
            if message.link in self.cut or self.draw.random() < self.hello_loss:
                return
            hops = 1
        elif self.controller in (sender, action.to):
            hops = 3
        elif networkx.has_path(self.alive(), sender, action.to):
            hops = networkx.shortest_path_length(self.alive(), sender, action.to)
        else:
            return
        handler = {
            Hello: lambda node: node.hello(sender, message),
            LinkState: lambda node: node.link_state(sender, message),
            PathQuestion: lambda node: node.path_question(sender, message),
            PathAnswer: lambda node: node.path_answer(sender, message),
        }[type(message)]
        self.at(action.to, handler, self.now + hops * LATENCY)

    def run(self, for_ps: int) -> None:
        until = self.now + for_ps
        while self.queue and self.queue[0][0] <= until:
            self.now, _, happen = heapq.heappop(self.queue)
            happen()
        self.now = until

    def alive(self) -> Any:
        graph = networkx.Graph()
        graph.add_nodes_from(name for name in self.nodes if name != self.controller)
        graph.add_edges_from(
            (a, b) for a, b in self.edges if a in self.nodes and b in self.nodes and link_name(a, b) not in self.cut
        )
        return graph

    def knows(self, name: str) -> dict[str, set[str]]:
        return {origin: {link.link for link in s.links} for origin, s in self.nodes[name].database().items()}

    def truth(self, members: Iterable[str]) -> dict[str, set[str]]:
        graph = self.alive()
        return {name: {link_name(name, other) for other in graph[name]} for name in members}

    def told(self, kind: str) -> list[tuple[int, str, dict[str, Any]]]:
        return [(when, name, record.details) for when, name, record in self.records if record.kind == kind]

    def path(self, source: str, destination: str, **options: Any) -> list[Any]:
        found: list[Any] = []
        self.do(source, lambda node: node.find_path(destination, ANYTHING, found.append, **options))
        return found


CHAIN = (("a", "b"), ("b", "c"), ("c", "d"))
RING = (("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"))


# Neighbours


def test_neighbours_find_each_other_in_a_round_trip_and_the_network_in_its_diameter() -> None:
    network = Network(CHAIN)
    network.run(2 * LATENCY)
    assert {(name, told["link"]) for _, name, told in network.told("neighbour_up")} == {
        (end, link_name(*edge)) for edge in CHAIN for end in edge
    }
    network.run(INTERVAL // 10 + 4 * LATENCY)
    for name in "abcd":
        assert network.knows(name) == network.truth("abcd")
    assert sorted(what for _, what, _ in network.hooks) == ["a found", *["b found"] * 2, *["c found"] * 2, "d found"]


def test_a_node_that_starts_late_is_found_and_told_in_round_trips() -> None:
    network = Network(CHAIN)
    network.kill("c")
    network.run(INTERVAL // 2)
    network.start("c")
    network.do("b", lambda node: node.advertise(free_slots=3))
    network.run(3 * LATENCY)
    assert network.nodes["b"].is_up("b-c")
    assert network.nodes["c"].is_up("b-c")
    network.run(LATENCY)
    assert set(network.knows("c")) == set("abcd")


def test_a_quiet_network_only_keeps_house() -> None:
    network = Network(RING)
    network.run(10 * TELL_AGAIN)
    assert all(housekeeping for *_, housekeeping in network.sent)
    late = [when for when, *_ in network.records if when > INTERVAL]
    assert late == []
    hellos = sum(isinstance(message, Hello) for _, _, message, _ in network.sent)
    assert hellos == pytest.approx(8 * 10 * TELL_AGAIN / INTERVAL, rel=0.1)
    states = sum(isinstance(message, LinkState) for _, _, message, _ in network.sent)
    assert states < 4 * 5 * 13


def test_lost_hellos_are_borne() -> None:
    network = Network(CHAIN, hello_loss=0.2, seed=3)
    network.run(50 * INTERVAL)
    assert network.knows("a") == network.truth("abcd")
    assert 0 < len(network.told("neighbour_down")) <= 3 * 6 * 50 * 0.2**3


def test_a_cut_link_is_noticed_and_told_within_the_bound() -> None:
    network = Network(RING)
    network.run(TELL_AGAIN // 2 + MS)
    cut_at = network.now
    network.cut.add("a-b")
    network.run(LOST_AFTER + LATENCY)
    assert {(name, told["remote"]) for _, name, told in network.told("neighbour_down")} == {("a", "b"), ("b", "a")}
    lost = sorted((what, link) for when, what, link in network.hooks if when > cut_at)
    assert lost == [("a lost", "a-b"), ("b lost", "a-b")]
    network.run(INTERVAL // 10 + 3 * LATENCY)
    for name in "abcd":
        assert network.knows(name) == network.truth("abcd")
    settled = max(when for when, _, _ in network.told("link_state_changed"))
    assert settled - cut_at <= LOST_AFTER + INTERVAL // 10 + 3 * LATENCY
    assert network.path("a", "b")[0].nodes == ("a", "d", "c", "b")

    network.cut.clear()
    healed_at = network.now
    network.run(INTERVAL + INTERVAL // 10 + 6 * LATENCY)
    assert network.path("a", "b")[0].nodes == ("a", "b")
    assert [when - healed_at <= INTERVAL + 3 * LATENCY for when, *_ in network.told("neighbour_up")[-2:]] == [True] * 2


def test_a_link_that_works_one_way_is_down_at_both_ends() -> None:
    network = Network((("a", "b"),))
    network.run(INTERVAL)
    network.nodes["b"].hello = lambda sender, message: None  # type: ignore[method-assign]
    network.run(LOST_AFTER - INTERVAL + MS)
    assert not network.nodes["a"].is_up("a-b")
    assert not network.nodes["b"].is_up("a-b")
    assert network.nodes["a"].adjacencies["a-b"].heard_at is not None


def test_a_hello_that_was_overtaken_or_came_over_the_wrong_link_tells_nothing() -> None:
    network = Network((("a", "b"), ("b", "c")))
    network.run(INTERVAL + MS)
    before = len(network.records)
    for link, sender, sent_ps in (("a-b", "b", 5), ("a-b", "c", network.now), ("b-c", "b", network.now)):
        late = Hello(link=link, sent_ps=sent_ps, hears=False)
        network.do("a", lambda node, sender=sender, late=late: node.hello(sender, late))
    assert network.nodes["a"].is_up("a-b")
    assert len(network.records) == before


# Link states


def test_a_dead_nodes_links_are_gone_at_once_and_itself_after_three_intervals() -> None:
    network = Network((*RING, ("d", "e")))
    network.run(TELL_AGAIN)
    network.kill("d")
    died_at = network.now
    network.run(LOST_AFTER + INTERVAL // 10 + 4 * LATENCY)
    assert network.path("a", "c")[0].nodes == ("a", "b", "c")
    assert isinstance(network.path("a", "e")[0], NoPath)
    assert "d" in network.knows("a")
    network.run(FORGET)
    assert network.knows("a") == network.truth("abc")
    forgotten = {name: when for when, name, told in network.told("link_state_forgotten") if told["origin"] == "d"}
    assert set(forgotten) == set("abce")
    assert all(when <= died_at + FORGET for when in forgotten.values())


def test_what_was_forgotten_is_not_learned_again_from_who_has_not_forgotten() -> None:
    network = Network(CHAIN)
    network.run(TELL_AGAIN)
    old = network.nodes["a"].database()["d"]
    for age_ps, known in ((FORGET, False), (FORGET - MS, True)):
        lone = Network((("a", "b"),))
        lone.run(INTERVAL)
        message = LinkState(**{**{f: getattr(old, f) for f in old.__struct_fields__}, "age_ps": age_ps})
        lone.do("a", lambda node, message=message: node.link_state("b", message))
        assert ("d" in lone.knows("a")) is known
        passed_on = [m.age_ps for s, to, m, _ in lone.sent if isinstance(m, LinkState) and m.origin == "d"]
        assert passed_on == []
        lone.run(2 * MS)
        assert "d" not in lone.knows("a")


def test_link_states_age_on_their_way() -> None:
    network = Network((("a", "b"), ("b", "c")))
    network.cut.add("b-c")
    network.run(INTERVAL * 5)
    network.cut.clear()
    network.run(INTERVAL + 3 * LATENCY)
    ages = [
        m.age_ps for s, to, m, _ in network.sent if isinstance(m, LinkState) and (s, to, m.origin) == ("b", "c", "a")
    ]
    assert ages[0] == pytest.approx(6 * INTERVAL, abs=INTERVAL // 5)


@pytest.mark.parametrize("controller", ["", "x"])
def test_a_node_that_starts_anew_jumps_over_what_it_told_before(controller: str) -> None:
    network = Network(CHAIN, controller=controller)
    network.run(20 * TELL_AGAIN)
    reached = network.nodes["b"].database()["b"].number
    assert reached > 15
    network.kill("b")
    network.run(LOST_AFTER // 8)
    network.start("b")
    network.run(2 * INTERVAL)
    assert network.nodes["b"].database()["b"].number > reached
    for name in controller or "abcd":
        assert network.nodes[name].database()["b"].number == network.nodes["b"].database()["b"].number
        assert network.knows(name) == network.truth("abcd")
    assert ("a lost", "a-b") in [(what, link) for _, what, link in network.hooks]


def test_a_restart_with_the_same_number_is_told_apart() -> None:
    network = Network((("a", "b"), ("b", "c")))
    network.run(INTERVAL)
    own = network.nodes["a"].database()["a"]
    other = LinkState(**{**{f: getattr(own, f) for f in own.__struct_fields__}, "free_slots": 99})
    network.do("a", lambda node: node.link_state("b", other))
    network.run(2 * LATENCY)
    assert network.nodes["c"].database()["a"].number == own.number + 1
    assert network.nodes["c"].database()["a"].free_slots == 4


def test_changes_are_told_at_once_but_not_too_often() -> None:
    network = Network(CHAIN)
    network.run(INTERVAL)
    number = network.nodes["d"].database()["a"].number
    for share in (0.9, 0.8, 0.7, 0.6):
        network.do("a", lambda node, share=share: node.advertise("a-b", free_share=share, free_slots=2))
        network.run(LATENCY)
    network.do("a", lambda node: node.advertise("a-b", estimated_fidelity=(0.95, 0.01)))
    network.run(3 * LATENCY)
    assert network.nodes["d"].database()["a"].links[0].free_share == 0.9
    network.run(INTERVAL // 10)
    told = network.nodes["d"].database()["a"]
    assert (told.number, told.free_slots) == (number + 2, 2)
    assert (told.links[0].free_share, told.links[0].estimated_fidelity) == (0.6, (0.95, 0.01))
    sent = len(network.sent)
    network.do("a", lambda node: node.advertise("a-b", free_share=0.6))
    assert len(network.sent) == sent


def test_a_silent_peer_is_lost_and_told_everything_when_it_is_back() -> None:
    network = Network(CHAIN)
    network.run(INTERVAL + MS)
    network.do("b", lambda node: node.silent("c"))
    assert not network.nodes["b"].is_up("b-c")
    assert "acknowledges nothing" in network.told("neighbour_down")[0][2]["reason"]
    before = len(network.sent)
    network.run(INTERVAL + 4 * LATENCY)
    assert network.nodes["b"].is_up("b-c")
    again = {m.origin for s, to, m, _ in network.sent[before:] if isinstance(m, LinkState) and (s, to) == ("b", "c")}
    assert "a" in again


# Paths


def test_a_path_is_found_at_once() -> None:
    network = Network(CHAIN)
    network.run(INTERVAL)
    [found] = network.path("a", "d")
    assert isinstance(found, RoutedPath)
    assert [hop.link for hop in found.hops] == ["a-b", "b-c", "c-d"]
    [refused] = network.path("a", "d", exclude_links=("b-c",))
    assert isinstance(refused, NoPath)


def test_an_automated_node_forwards_floods_and_circuits_but_computes_no_path() -> None:
    network = Network(CHAIN, roles={"b": "automated"})
    network.run(INTERVAL)
    assert network.path("a", "d")[0].nodes == ("a", "b", "c", "d")
    [refused] = network.path("b", "d")
    assert refused.reason == "b computes no paths for itself: its role is automated"


def test_a_controller_knows_all_and_answers() -> None:
    network = Network(CHAIN, controller="x", roles={"a": "end", "d": "end"})
    network.run(INTERVAL)
    assert network.knows("x") == network.truth("abcd")
    assert set(network.knows("a")) == {"a"}
    found = network.path("a", "d")
    assert found == []
    network.run(6 * LATENCY)
    assert found[0].nodes == ("a", "b", "c", "d")
    refused = network.path("a", "nobody")
    network.run(6 * LATENCY)
    assert refused[0].reason == "no route from a to nobody: nobody is not known"
    network.run(2 * TELL_AGAIN)
    assert len(found) == len(refused) == 1
    assert network.path("x", "a")[0].where == "x"


def test_a_controller_that_does_not_answer_is_given_up() -> None:
    network = Network(CHAIN, controller="x")
    network.run(INTERVAL)
    network.kill("x")
    late, silent = network.path("a", "d"), network.path("b", "d")
    network.do("b", lambda node: node.silent("x"))
    assert silent[0].reason == "the controller x acknowledges nothing"
    network.run(TELL_AGAIN + MS)
    assert late[0].reason == "the controller x did not answer in time"
    network.do("a", lambda node: node.path_answer("x", PathAnswer(question=0, path=None)))
    assert (len(late), len(silent)) == (1, 1)


def test_only_a_controllers_answer_counts_and_only_a_controller_answers() -> None:
    network = Network(CHAIN, controller="x")
    network.run(INTERVAL)
    found = network.path("a", "d")
    network.do("a", lambda node: node.path_answer("b", PathAnswer(question=0, path=None, reason="forged")))
    assert found == []
    question = PathQuestion(question=7, destination="d", requirement=ANYTHING)
    network.do("b", lambda node: node.path_question("a", question))
    assert network.sent[-1][2] == PathAnswer(question=7, path=None, where="b", reason="b is no controller")


def test_a_cut_reaches_the_controller() -> None:
    network = Network(RING, controller="x")
    network.run(TELL_AGAIN)
    network.cut.add("a-b")
    network.run(LOST_AFTER + INTERVAL // 10 + 4 * LATENCY)
    found = network.path("a", "b")
    network.run(6 * LATENCY)
    assert found[0].nodes == ("a", "d", "c", "b")


# Any sequence of failures


NAMES = "abcdef"
PAIRS = tuple(itertools.combinations(NAMES, 2))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(PAIRS), min_size=3, max_size=9, unique=True),
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0, 1, 60, 450, 1200])), max_size=10),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([0, 50, 700])), max_size=3),
)
def test_after_any_failures_all_agree_with_the_truth(
    edges: list[tuple[str, str]], toggles: list[tuple[int, int]], restarts: list[tuple[str, int]]
) -> None:
    """Links are cut and healed, nodes die and start anew; with time, each knows just its own component."""
    network = Network(tuple(edges))
    network.run(3 * MS)
    for which, wait_ms in toggles:
        network.cut ^= {link_name(*edges[which % len(edges)])}
        network.run(wait_ms * MS)
    for name, wait_ms in restarts:
        if name in network.nodes:
            network.kill(name)
            network.run(wait_ms * MS)
            network.start(name)
    network.run(FORGET + LOST_AFTER + 3 * INTERVAL)
    graph = network.alive()
    for component in networkx.connected_components(graph):
        for name in component:
            assert network.knows(name) == network.truth(component)
            for other in NAMES:
                [found] = network.path(name, other) if other in network.nodes else [NoPath("")]
                if other == name or other not in component:
                    assert isinstance(found, NoPath)
                else:
                    assert len(found.hops) == networkx.shortest_path_length(graph, name, other)
    assert set(network.timers) >= {(name, ("hello", "", 0)) for name in network.nodes}
