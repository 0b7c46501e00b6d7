"""Circuits of whole testbeds in one process: each test is one way in which news can come at a bad moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from disorder import CLEAN_AFTER_S, PS, CircuitPlan, Disordered, Plan, carry_out

from orchestrator.scenario import Node, Scenario
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.stack.circuits.endpoint import EndpointState
from qnode.wire.application import (
    AcceptCircuit,
    CircuitEvent,
    CircuitOpened,
    CloseCircuit,
    Detach,
    Failed,
    NextCircuitEvent,
    NextCircuitPair,
    OpenCircuit,
    RequestPairs,
    Run,
    Sleep,
)
from qnode.wire.circuits import (
    DistilPairs,
    Hop,
    PairComplete,
    PairDied,
    PairKept,
    Path,
    SegmentGrew,
    SwapOutcome,
    Teardown,
)
from qnode.wire.peer import PairDiscarded, Sequenced, unsealed
from qnode.wire.quantum import Discard

MS = 10**9


def disturbed(plan: Plan, fate: Callable[[str, str, Any], int | None] = lambda *_: 0) -> Disordered:
    """A testbed; ``fate`` gives the extra delay (ps) of each message of the channel, None to lose it."""
    made = Disordered(plan)

    def disturb(sender: str, recipient: str, payload: bytes) -> tuple[int, ...]:
        framed = unsealed(payload)
        if not isinstance(framed, Sequenced):
            return (0,)
        delay = fate(sender, recipient, framed.message)
        return () if delay is None else (delay,)

    made.tamper = disturb
    return made


def settle(made: Disordered) -> None:
    """Let all programs end, and see that nothing is left."""
    made.run(at_most_s=90.0)
    end = made.now / PS + CLEAN_AFTER_S
    while made.left() and made.now / PS < end:
        made.run_for(0.5)
    assert not made.left()


def takes(number: int, answers: list[Any], *, circuit: str, uses: bool = True) -> Any:
    """Take so many pairs of a circuit."""
    for _ in range(number):
        answer = yield NextCircuitPair(call=0, circuit=circuit, timeout_ps=20 * PS)
        answers.append(answer)
        if isinstance(answer, Failed):
            return
        if uses and answer.pair is not None:
            yield Run(call=0, steps=(Discard(qubit=answer.pair.qubit),))


def head(remote: str, number: int, answers: list[Any], *, closes: bool = True, **asked: Any) -> Any:
    """Open a circuit, take pairs, close it."""
    opened = yield OpenCircuit(call=0, remote=remote, timeout_ps=10 * PS, **asked)
    answers.append(opened)
    if isinstance(opened, CircuitOpened):
        yield from takes(number, answers, circuit=opened.circuit)
        if closes:
            yield CloseCircuit(call=0, circuit=opened.circuit)
    yield Detach(call=0)


def tail(answers: list[Any], number: int = 10**6, **asked: Any) -> Any:
    """Accept a circuit, and take pairs until it is closed."""
    opened = yield AcceptCircuit(call=0, timeout_ps=30 * PS, **asked)
    answers.append(opened)
    if isinstance(opened, CircuitOpened):
        yield from takes(number, answers, circuit=opened.circuit)
    yield Detach(call=0)


RING = Plan(shape="ring", nodes=4, communication=8, faults=(("link:1", 1.0, 0.0),))
CHAIN = Plan(nodes=3, communication=8)


@pytest.mark.parametrize("late", [Teardown, Path, PairKept, PairComplete, SwapOutcome, PairDied])
def test_a_new_path_stands_whichever_news_of_the_old_one_is_late(late: type) -> None:
    made = disturbed(RING, lambda _, __, message: 300 * MS if isinstance(message, late) else 0)
    heads: list[Any] = []

    def lasts() -> Any:
        opened = yield OpenCircuit(call=0, remote="n2", rate_bpps=5.0)
        while made.now < 3 * PS:
            yield from takes(1, heads, circuit=opened.circuit)
            yield Sleep(call=0, duration_ps=20 * MS)
        yield CloseCircuit(call=0, circuit=opened.circuit)
        yield Detach(call=0)

    made.start("n1", lasts())
    made.start("n2", tail([]))
    settle(made)
    restored = [record["path"] for record in made.of_kind("circuit_restored")]
    assert restored == [["n1", "n0", "n3", "n2"]]
    assert len(heads) > 5
    assert not any(isinstance(each, Failed) for each in heads)


@pytest.mark.parametrize("nodes", [4, 5, 6])
@pytest.mark.parametrize("slow", range(6))
def test_in_nested_swapping_news_of_growth_may_overtake_older_news(nodes: int, slow: int) -> None:
    def fate(sender: str, _: str, message: Any) -> int:
        return 8 * MS if isinstance(message, SegmentGrew) and sender == f"n{slow}" else 0

    made = disturbed(Plan(nodes=nodes, communication=4), fate)
    heads: list[Any] = []
    made.start("n0", head(f"n{nodes - 1}", 8, heads, swapping="nested"))
    made.start(f"n{nodes - 1}", tail([]))
    settle(made)
    assert len(heads) == 9
    assert not any(isinstance(each, Failed) for each in heads)


@pytest.mark.parametrize(
    "slow",
    [
        {("n3", "n4"): 30, ("n6", "n4"): 60},
        {("n5", "n4"): 30, ("n2", "n4"): 60},
        {("n3", "n4"): 60, ("n6", "n4"): 30},
        {("n1", "n2"): 30, ("n3", "n2"): 60},
    ],
    ids=str,
)
def test_in_nested_swapping_old_news_of_growth_does_not_undo_newer_news(slow: dict[tuple[str, str], int]) -> None:
    def fate(sender: str, recipient: str, message: Any) -> int:
        return slow.get((sender, recipient), 0) * MS if isinstance(message, SegmentGrew) else 0

    made = disturbed(Plan(nodes=9, communication=4), fate)
    heads: list[Any] = []
    made.start("n0", head("n8", 8, heads, swapping="nested", slots=1))
    made.start("n8", tail([]))
    settle(made)
    assert len(heads) == 9
    assert not any(isinstance(each, Failed) for each in heads)


class OneSlowNode(Plan):
    """Node n2 moves pairs into storage, and takes its time; all others do what they do at once."""

    def scenario(self) -> Scenario:
        """As of any plan, but for that node."""
        made = super().scenario()
        slow = Hardware(communication=Memory(slots=1), storage=Memory(slots=8), move_duration_s=0.005)
        return msgspec.structs.replace(made, nodes={**made.nodes, "n2": Node(hardware=slow)})


def test_in_nested_swapping_news_of_growth_may_come_before_the_pair_is_in_storage() -> None:
    made = disturbed(OneSlowNode(nodes=5, communication=4))
    heads: list[Any] = []
    made.start("n0", head("n4", 8, heads, swapping="nested", slots=1))
    made.start("n4", tail([]))
    settle(made)
    assert len(heads) == 9
    assert not any(isinstance(each, Failed) for each in heads)


def test_a_new_path_may_reach_the_tail_before_the_end_of_the_old_one() -> None:
    plan = Plan(shape="ring", nodes=5, communication=8, faults=(("link:0", 1.0, 0.0),))
    made = disturbed(plan, lambda _, __, message: 900 * MS if isinstance(message, Teardown) else 0)
    heads: list[Any] = []
    events: list[str] = []

    def lasts() -> Any:
        opened = yield OpenCircuit(call=0, remote="n2", rate_bpps=5.0)
        while made.now < 3 * PS:
            yield from takes(1, heads, circuit=opened.circuit)
            yield Sleep(call=0, duration_ps=20 * MS)
        yield CloseCircuit(call=0, circuit=opened.circuit)
        yield Detach(call=0)

    def watches() -> Any:
        opened = yield AcceptCircuit(call=0)
        while made.now < 2 * PS:
            yield from takes(1, [], circuit=opened.circuit)
        for _ in range(2):
            events.append((yield NextCircuitEvent(call=0, circuit=opened.circuit, timeout_ps=PS)).kind)
        yield from takes(10**6, [], circuit=opened.circuit)
        yield Detach(call=0)

    made.start("n0", lasts())
    made.start("n2", watches())
    settle(made)
    assert events == ["down", "rerouted"]
    assert [record["path"] for record in made.of_kind("circuit_restored")] == [["n0", "n4", "n3", "n2"]]
    assert not any(isinstance(each, Failed) for each in heads)
    removed = [record for record in made.records if record["node"] == "n1" and record["kind"] == "rules_installed"]
    assert len(removed) == 1


@pytest.mark.parametrize("ends", ["detaches", "closes", "is closed"])
def test_a_head_that_ends_takes_back_what_it_promised(ends: str) -> None:
    made = disturbed(CHAIN, lambda _, __, message: 500 * MS if isinstance(message, PairKept) else 0)
    tails: list[Any] = []

    def promises() -> Any:
        opened = yield OpenCircuit(call=0, remote="n2")
        yield Sleep(call=0, duration_ps=100 * MS)
        assert made.seats["n0"].node.circuits.endpoints[opened.circuit].committed
        if ends == "closes":
            yield CloseCircuit(call=0, circuit=opened.circuit)
            yield Sleep(call=0, duration_ps=100 * MS)
        elif ends == "is closed":
            answer = None
            while not isinstance(answer, CircuitEvent):
                answer = yield NextCircuitEvent(call=0, circuit=opened.circuit, timeout_ps=9 * PS)
        if ends != "closes":
            yield Detach(call=0)
            return
        assert not made.seats["n0"].node.core.memory.qubits
        yield Detach(call=0)

    made.start("n0", promises())
    made.start("n2", tail(tails, 1 if ends == "is closed" else 10**6))
    settle(made)
    assert made.delivered["n0:0"].tail
    if ends != "is closed":
        assert tails[-1].code == "closed"


def test_what_a_dead_tail_was_promised_is_taken_back() -> None:
    plan = Plan(nodes=3, communication=4, faults=(("node:2", 0.3, 0.0),))
    made = disturbed(plan, lambda _, __, message: 250 * MS if isinstance(message, PairKept) else 0)
    heads: list[Any] = []
    made.start("n0", head("n2", 1000, heads))
    made.start("n2", tail([]))
    settle(made)
    assert heads[-1].code == "closed"
    assert "no other path" in heads[-1].reason


def test_a_circuit_whose_application_has_left_is_not_offered_to_another() -> None:
    def fate(sender: str, _: str, message: Any) -> int:
        if isinstance(message, Teardown) and sender == "n2":
            return PS
        return 300 * MS if isinstance(message, Path) and message.generation > 0 else 0

    made = disturbed(RING, fate)
    heads: list[Any] = []
    others: list[Any] = []

    def leaves() -> Any:
        opened = yield AcceptCircuit(call=0)
        yield from takes(3, [], circuit=opened.circuit)
        yield Sleep(call=0, duration_ps=round(1.5 * PS) - made.now)
        yield Detach(call=0)

    def waits() -> Any:
        yield Sleep(call=0, duration_ps=PS // 2)
        others.append((yield AcceptCircuit(call=0, timeout_ps=20 * PS)))
        yield Detach(call=0)

    made.start("n1", head("n2", 10**6, heads))
    made.start("n2", leaves())
    made.start("n2", waits())
    settle(made)
    assert heads[-1].code == "closed"
    assert "application has left it" in heads[-1].reason
    assert others[0].code == "timeout"


def test_a_more_important_circuit_takes_the_place_of_another_which_is_told() -> None:
    made = disturbed(Plan(nodes=3, communication=4))
    heads: list[Any] = []
    events: list[Any] = []

    def humble() -> Any:
        opened = yield OpenCircuit(call=0, remote="n2", slots=2, purpose="humble")
        for _ in range(2):
            events.append((yield NextCircuitEvent(call=0, circuit=opened.circuit, timeout_ps=30 * PS)))
        yield CloseCircuit(call=0, circuit=opened.circuit)
        yield Detach(call=0)

    def proud() -> Any:
        yield Sleep(call=0, duration_ps=500 * MS)
        yield from head("n2", 20, heads, slots=2, priority=1, purpose="proud")

    made.start("n0", humble())
    made.start("n2", tail([], purpose="humble"))
    made.start("n0", proud())
    made.start("n2", tail([], purpose="proud"))
    settle(made)
    assert len(heads) == 21
    assert [each.kind for each in events] == ["preempted", "rerouted"]
    assert "priority 1 took its place" in events[0].reason


def test_whoever_waits_for_an_event_or_a_pair_hears_of_the_end() -> None:
    made = disturbed(CHAIN)
    seats = made.seats
    answers: list[Any] = []

    def closes() -> Any:
        opened = yield OpenCircuit(call=0, remote="n2")
        yield Sleep(call=0, duration_ps=PS)
        yield CloseCircuit(call=0, circuit=opened.circuit)
        yield Detach(call=0)

    def waits() -> Any:
        opened = yield AcceptCircuit(call=0)
        endpoint = seats["n2"].node.circuits.endpoints[opened.circuit]
        core = seats["n2"].node.core
        for call in (900, 901):
            core.sessions[endpoint.session].open_calls.add(call)
            endpoint.event_calls.append(call)
        answers.append((yield NextCircuitEvent(call=0, circuit=opened.circuit)))
        assert endpoint.state is EndpointState.CLOSED
        assert not endpoint.event_calls
        assert not core.sessions[endpoint.session].open_calls
        answers.append((yield NextCircuitEvent(call=0, circuit=opened.circuit)))
        yield Detach(call=0)

    made.start("n0", closes())
    made.start("n2", waits())
    settle(made)
    assert [type(each) for each in answers] == [Failed, Failed]
    assert all(each.code == "closed" for each in answers)


def test_distillation_gets_the_slots_that_it_needs_though_fewer_were_asked_for() -> None:
    carry_out(Plan(nodes=3, communication=8, circuits=(CircuitPlan(0, 2, slots=1, end_rounds=2, head_takes=4),)))
    linked = CircuitPlan(0, 2, slots=1, fidelity=0.9, end_rounds=1, head_takes=4)
    made = carry_out(Plan(nodes=3, communication=12, told_fidelity=0.9, circuits=(linked,)))
    assert made.of_kind("distilled")


def test_a_distillation_between_ends_and_one_of_a_link_of_the_same_two_nodes_are_kept_apart() -> None:
    circuit = CircuitPlan(0, 1, slots=6, fidelity=0.9, end_rounds=1, head_takes=10, tail_takes=10)
    made = carry_out(Plan(nodes=2, communication=12, told_fidelity=0.85, circuits=(circuit,)))
    assert len(made.delivered["n0:0"].head) >= 10


HOPS = (Hop(link="l0", upstream="n0", downstream="n1"), Hop(link="l1", upstream="n1", downstream="n2"))


def _path(*hops: Hop, circuit: str = "n0:77", generation: int = 0) -> Path:
    return Path(
        circuit=circuit,
        generation=generation,
        hops=hops,
        kind="K",
        minimum_fidelity=0.0,
        rate_bpps=1.0,
        expected_fidelity=1.0,
        expected_rate_bpps=1.0,
        priority=0,
        purpose="",
        slots=1,
        swapping="asap",
        cutoff_ps=None,
    )


@pytest.mark.parametrize(
    "message",
    [
        _path(),
        _path(Hop(link="none", upstream="n0", downstream="n1")),
        _path(Hop(link="l1", upstream="n0", downstream="n1")),
        _path(HOPS[0], Hop(link="l0", upstream="n1", downstream="n0")),
        _path(HOPS[0], Hop(link="none", upstream="n1", downstream="n2")),
        _path(HOPS[0], Hop(link="l1", upstream="n0", downstream="n2")),
        Teardown(circuit="n0:0", generation=99, code="closed", where="n0", reason="a lie"),
        Teardown(circuit="nobody's", generation=0, code="closed", where="n0", reason="a lie"),
        PairDied(circuit="n0:0", pair_id="l0/x", reason="none"),
        PairDied(circuit="n0:0", pair_id="", reason="none"),
        PairDied(circuit="n0:0", pair_id="l0/99999999999999999999999999", reason="none"),
        SegmentGrew(circuit="n0:0", generation=0, pair_id="l0/x", far_node="n9", far_pair="l9/0"),
        SwapOutcome(circuit="n0:0", generation=0, upstream_pair="l0/0", downstream_pair="l9/0", frame=(0, 0)),
        PairKept(circuit="n0:0", number=999, kept=True),
        PairComplete(circuit="n0:0", generation=0, number=5, downstream_pair="l1/x", qubit="", frame=(0, 0), swaps=0),
        DistilPairs(circuit="n0:0", kept="l0/1", sacrificed="l0/x", protocol="dejmps", bit=0, frames=((0, 0), (0, 0))),
        DistilPairs(
            circuit="n0:0",
            kept="l1/1",
            sacrificed="l1/2",
            protocol="dejmps",
            bit=0,
            frames=((0, 0), (0, 0)),
            between_ends=True,
        ),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_that_no_honest_node_sends_do_no_harm(message: Any) -> None:
    made = disturbed(CHAIN)
    heads: list[Any] = []
    made.start("n0", head("n2", 60, heads))
    made.start("n2", tail([]))
    made.run(lambda: len(heads) > 10)
    liar = made.seats["n0"].node
    for to in ("n1", "n2"):
        liar.channel.conversations[to]  # they have spoken
        made.seats[to].node.core.now = made.now
        for sender in ("n0", "n1"):
            if sender != to:
                made.seats[to].node._from_channel(sender, message)
    settle(made)
    assert len(heads) == 61


def test_no_application_may_use_a_circuits_purpose() -> None:
    made = disturbed(CHAIN)
    answers: list[Any] = []

    def cheats() -> Any:
        request = RequestPairs(call=0, remote="n1", number=1, purpose="circuit n0:0 0", timeout_ps=PS)
        answers.append((yield request))
        yield Detach(call=0)

    made.start("n0", cheats())
    settle(made)
    assert answers[0].code == "bad_request"


def test_an_event_of_each_kind_is_an_event() -> None:
    made = disturbed(RING)
    events: list[CircuitEvent] = []

    def watches() -> Any:
        opened = yield OpenCircuit(call=0, remote="n2", rate_bpps=5.0)
        for _ in range(2):
            events.append((yield NextCircuitEvent(call=0, circuit=opened.circuit, timeout_ps=30 * PS)))
        yield CloseCircuit(call=0, circuit=opened.circuit)
        events.append((yield NextCircuitEvent(call=0, circuit=opened.circuit, timeout_ps=30 * PS)))
        yield Detach(call=0)

    made.start("n1", watches())
    made.start("n2", tail([]))
    settle(made)
    assert [each.kind for each in events] == ["down", "rerouted", "closed"]


@pytest.mark.parametrize("who", [("n1", "n0"), ("n0", "n1"), ("n1", "n2"), ("n0", "n2"), ("n2", "n0")])
def test_nodes_that_gave_each_other_up_begin_anew_once(who: tuple[str, str]) -> None:
    one, other = who
    made = disturbed(Plan(nodes=3, communication=8))
    heads: list[Any] = []
    made.start("n0", head("n2", 300, heads))
    made.start("n2", tail([]))
    made.run(lambda: len(heads) > 10)
    for node, peer in (who, (other, one)):
        core = made.seats[node].node.core
        core.now = made.now
        made.seats[node].node.channel.give_up(peer)
    settle(made)
    assert not any(isinstance(each, Failed) for each in heads)
    assert len(made.of_kind("peer_began_anew")) <= 2
    assert made.of_kind("circuit_restored"), "what was under way between them may be lost, so the circuit begins anew"


@pytest.mark.parametrize("seed", [157, 1, 2, 3])
def test_no_circle_of_nodes_with_one_communication_slot_each_waits_for_ever(seed: int) -> None:
    circuits = (
        CircuitPlan(2, 0, kind="M", slots=1, head_takes=6, tail_takes=5, tail_ends="leave"),
        CircuitPlan(2, 0, kind="K", slots=3, head_takes=6, tail_takes=5, tail_ends="leave"),
        CircuitPlan(3, 1, kind="M", slots=1, head_takes=6, tail_takes=5, tail_ends="leave"),
        CircuitPlan(1, 3, kind="K", slots=1, head_takes=6, tail_takes=5, tail_ends="leave"),
    )
    plan = Plan(
        shape="ring", nodes=4, communication=1, storage=8, swap_success=0.5, duration_s=1e-5, seed=seed, loss=0.1
    )
    carry_out(replace(plan, circuits=circuits[:2]))
    carry_out(replace(plan, circuits=circuits))


class OneHastyNode(Plan):
    """Node n0 discards what is older than 4 ms; n1 takes 3 ms for a swap."""

    def scenario(self) -> Scenario:
        """As of any plan, but for those nodes."""
        made = super().scenario()
        hasty = Hardware(communication=Memory(slots=2, cutoff_s=0.004), storage=Memory(slots=0))
        slow = Hardware(communication=Memory(slots=4), storage=Memory(slots=0), measure_duration_s=0.003)
        nodes = {**made.nodes, "n0": Node(hardware=hasty), "n1": Node(hardware=slow)}
        return msgspec.structs.replace(made, nodes=nodes)


def test_the_far_end_hears_of_a_pair_that_died_while_it_was_swapped() -> None:
    made = disturbed(OneHastyNode(nodes=3, communication=2))
    heads: list[Any] = []
    made.start("n0", head("n2", 20, heads, slots=2))
    made.start("n2", tail([]))
    settle(made)
    assert len(heads) == 21
    assert not any(isinstance(each, Failed) for each in heads)
    assert [each for each in made.of_kind("pair_died") if "cutoff" in each["reason"] and each["node"] == "n0"]


def test_a_tail_that_closes_answers_for_pairs_that_it_was_about_to_have() -> None:
    made = disturbed(OneSlowNode(nodes=3, communication=4))
    heads: list[Any] = []
    closed_at: list[int] = []

    def closes() -> Any:
        opened = yield AcceptCircuit(call=0)
        while True:
            end = made.seats["n2"].node.circuits.endpoints[opened.circuit].end
            if getattr(end, "told", None):
                break
            yield Sleep(call=0, duration_ps=MS // 2)
        yield CloseCircuit(call=0, circuit=opened.circuit)
        closed_at.append(made.now)
        yield Detach(call=0)

    made.start("n0", head("n2", 10**6, heads))
    made.start("n2", closes())
    settle(made)
    assert heads[-1].code == "closed"
    assert heads[-1].now_ps - closed_at[0] < 20 * MS


def test_a_discarded_half_is_told_though_the_first_message_is_lost() -> None:
    made = disturbed(CHAIN)
    lost: list[str] = []

    def fate(_: str, __: str, payload: bytes) -> tuple[int, ...]:
        decoded = unsealed(payload)
        message = decoded.message if isinstance(decoded, Sequenced) else decoded
        if isinstance(message, PairDiscarded) and not lost:
            lost.append(message.pair_id)
            return ()
        return (0,)

    made.tamper = fate
    answers: list[Any] = []

    def leaves() -> Any:
        opened = yield OpenCircuit(call=0, remote="n2")
        yield NextCircuitPair(call=0, circuit=opened.circuit)
        yield Detach(call=0)

    def stays() -> Any:
        opened = yield AcceptCircuit(call=0)
        pair = yield NextCircuitPair(call=0, circuit=opened.circuit)
        yield Sleep(call=0, duration_ps=PS)
        answers.append((yield Run(call=0, steps=(Discard(qubit=pair.pair.qubit),))))
        yield Detach(call=0)

    made.start("n0", leaves())
    made.start("n2", stays())
    settle(made)
    assert lost
    assert answers[0].code == "discarded"


def test_news_that_a_link_pair_is_discarded_reaches_the_circuit_that_has_it() -> None:
    made = disturbed(CHAIN)
    heads: list[Any] = []
    made.start("n0", head("n2", 60, heads))
    made.start("n2", tail([]))
    told = 0
    for _ in range(40):
        taken = len(heads)
        made.run(lambda taken=taken: len(heads) > taken)  # type: ignore[misc]
        for name, sender in (("n0", "n1"), ("n2", "n1"), ("n1", "n0"), ("n1", "n2")):
            node = made.seats[name].node
            node.core.now = made.now
            for transit in node.circuits.signalling.transits.values():
                for side in transit.installed.sides.values() if transit.installed else ():
                    for pair_id in [each for each in side.pairs if side.link.remote == sender]:
                        node._from_channel(sender, PairDiscarded(pair_id=pair_id, reason="a test"))
                        assert pair_id not in side.pairs, "no rule may choose it"
                        told += 1
        if told:
            break
    assert told
