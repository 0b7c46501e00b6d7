"""Faulty and hostile channels between real nodes: what is damaged is never believed, what is forged is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drive import Lines
from in_process import InProcess, Program

from orchestrator.scenario import DoubleClick, Link, Network, Node, Scenario, Source
from orchestrator.scenario.faults import Fault, FibreCut, ManInTheMiddle, MessageCorrupt
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.stack.events import SendTo
from qnode.wire.application import (
    AcceptCircuit,
    BellPair,
    CircuitOpened,
    Detach,
    Failed,
    NextPair,
    OpenCircuit,
    Outcomes,
    Received,
    ReceiveMessage,
    RequestPairs,
    Run,
    SendMessage,
    Sleep,
)
from qnode.wire.circuits import Hop, Path
from qnode.wire.quantum import Measure

S = 10**12


def made_of(*faults: Fault, network: bool = False, **more: Any) -> InProcess:
    hardware = Hardware(communication=Memory(slots=4), storage=Memory(slots=0))
    heralding = more.pop("heralding", Source(success_probability=0.1))
    scenario = Scenario(
        version=1,
        name="hostile",
        seed=3,
        nodes={name: Node(hardware=hardware) for name in "ab"},
        links={"ab": Link(ends=("a", "b"), length_km=10.0, heralding=heralding)},
        network=Network() if network else None,
        faults=faults,
    )
    return InProcess(scenario, **more)


def talks(contents: list[bytes]) -> Program:
    for number, content in enumerate(contents):
        yield SendMessage(call=0, peer="b", payload=content, tag=str(number))
        yield Sleep(call=0, duration_ps=S // 1000)
    yield Detach(call=0)


def listens(count: int, heard: dict[int, bytes]) -> Iterator[Any]:
    for number in range(count):
        answer = yield ReceiveMessage(call=0, peer="a", tag=str(number), timeout_ps=S)
        if isinstance(answer, Received):
            heard[number] = answer.payload
    yield Detach(call=0)


def spoken(*faults: Fault, count: int = 60, **more: Any) -> tuple[InProcess, dict[int, bytes]]:
    run, heard = made_of(*faults, **more), dict[int, bytes]()
    run.start("a", talks([b"message %d" % number for number in range(count)]))
    run.start("b", listens(count, heard))
    run.run()
    return run, heard


def test_a_damaged_message_is_dropped_and_noted_by_the_node_and_never_believed() -> None:
    run, heard = spoken(MessageCorrupt(name="noise", link="ab", probability=0.4))
    damaged = run.engine.faults.effects["noise"]["message_corrupted"]
    assert 0 < damaged < 60
    assert len(heard) == 60 - damaged
    assert all(content == b"message %d" % number for number, content in heard.items())
    dropped = run.of_kind("message_dropped")
    assert len(dropped) == damaged and all("changed on the way" in line["reason"] for line in dropped)


def test_a_man_in_the_middle_forges_and_the_application_believes_it() -> None:
    eve = ManInTheMiddle(name="eve", link="ab", action="change", payload="forged", tag="7")
    run, heard = spoken(eve)
    assert heard[7] == b"forged"
    assert all(content == b"message %d" % number for number, content in heard.items() if number != 7)
    assert not run.of_kind("message_dropped")


def test_circuits_open_through_noise_that_drops_every_third_message() -> None:
    """The reliable channel repeats what the checksum has shown to be damaged."""
    run, opened = made_of(MessageCorrupt(name="noise", link="ab", probability=0.33), network=True), []

    def head() -> Program:
        opened.append((yield OpenCircuit(call=0, remote="b", rate_bpps=1.0, minimum_fidelity=0.5, timeout_ps=60 * S)))
        yield Detach(call=0)

    def tail() -> Program:
        opened.append((yield AcceptCircuit(call=0, timeout_ps=60 * S)))
        yield Detach(call=0)

    run.start("a", head())
    run.start("b", tail())
    run.run()
    assert [type(each) for each in opened] == [CircuitOpened, CircuitOpened]
    assert run.of_kind("message_dropped")


def test_half_a_pair_is_thrown_away_when_the_next_herald_skips_its_number() -> None:
    """Without a control plane, so that no hello tells of it."""

    def wants(remote: str, number: int, pairs: list[BellPair], measured: list[Any]) -> Program:
        first = yield RequestPairs(call=0, remote=remote, number=number)
        pairs.append(first.pair)
        while len(pairs) < number:
            answer = yield NextPair(call=0, request=1)
            pairs.append(answer.pair)
        yield Sleep(call=0, duration_ps=S)
        for pair in pairs:
            measured.append((yield Run(call=0, steps=(Measure(qubit=pair.qubit),))))
        yield Detach(call=0)

    def run(*faults: Fault, wanted: dict[str, int]) -> tuple[InProcess, Lines, dict[str, list[str]], list[Any]]:
        log = Lines()
        made = made_of(*faults, heralding=DoubleClick(coupling_efficiency=0.3), log=log)
        pairs: dict[str, list[BellPair]] = {"a": [], "b": []}
        measured: dict[str, list[Any]] = {"a": [], "b": []}
        for node, remote in ("ab", "ba"):
            made.start(node, wants(remote, wanted[node], pairs[node], measured[node]))
        made.run()
        return made, log, {node: [pair.pair_id for pair in got] for node, got in pairs.items()}, measured["b"]

    _, quiet, pairs, _ = run(wanted={"a": 2, "b": 2})
    assert pairs["a"] == pairs["b"] == ["ab/0", "ab/1"]
    first = next(line for line in quiet.written if line["kind"] == "heralded")
    cut = FibreCut(name="cut", link="ab", at_km=2.0, at_s=(first["heralded_ps"][0] - 12_000_000) / S, for_s=1e-3)
    struck, log, pairs, measured = run(cut, wanted={"a": 2, "b": 3})
    (lost,) = (line for line in log.written if line["kind"] == "herald_lost")
    assert (lost["node"], lost["pair"]) == ("a", "ab/0")
    assert pairs == {"a": ["ab/1", "ab/2"], "b": ["ab/0", "ab/1", "ab/2"]}, "b had it at once, when nobody knew"
    assert (
        isinstance(measured[0], Failed)
        and measured[0].code == "discarded"
        and "its herald was lost" in measured[0].reason
    )
    assert all(isinstance(each, Outcomes) for each in measured[1:])
    missed = struck.of_kind("herald_missed")
    assert {(line["pair"], line["unheard_by"]) for line in missed} == {("ab/0", "a")}


def test_a_path_with_an_operating_point_that_a_link_does_not_have_is_refused() -> None:
    """As a man in the middle may make it: asked for at the fabric, it would be asked for again and again."""
    run, opened = made_of(network=True), []
    signalling = run.seats["b"].node.circuits.signalling
    hop = Hop(link="ab", upstream="a", downstream="b", operating_point=16)

    def tail() -> Program:
        opened.append((yield AcceptCircuit(call=0, timeout_ps=S)))
        yield Detach(call=0)

    run.start("b", tail())
    run.run_for(0.3)
    path = Path(
        circuit="a:0",
        generation=0,
        hops=(hop,),
        kind="K",
        minimum_fidelity=0.5,
        rate_bpps=1.0,
        expected_fidelity=1.0,
        expected_rate_bpps=1.0,
        priority=0,
        purpose="",
        slots=1,
        swapping="asap",
        cutoff_ps=None,
    )
    signalling.path("a", path)
    assert not signalling.transits
    (refused,) = (action for action in signalling.core.actions if isinstance(action, SendTo))
    assert "operating points 0 to 0, not 16" in refused.message.message.reason  # type: ignore[union-attr]
