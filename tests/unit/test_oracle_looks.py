"""The oracle's view, as an application asks for it: what is true is seen, nothing is changed, and it can be forbidden."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec
import numpy as np
import pytest
from in_process import InProcess

from orchestrator.scenario import Limits, Link, Node, Scenario, Source
from orchestrator.scenario.hardware import Hardware, Memory
from qnode.config import ApplicationLimits
from qnode.sdk import calls
from qnode.wire.application import Detach, Failed, OracleState, RequestPairs, Run, Sleep, TrueState
from qnode.wire.quantum import Gate, Measure, Prepare

FIDELITY = 0.9
T2_S = 0.5
Program = Generator[Any, Any, None]


def pair_of_nodes(*, oracle: bool = True) -> InProcess:
    memory = Memory(slots=2, t2_s=T2_S)
    node = Node(hardware=Hardware(communication=memory, storage=memory))
    link = Link(ends=("alice", "bob"), length_km=1.0, heralding=Source(fidelity=FIDELITY))
    limits = Limits(applications=ApplicationLimits(oracle=oracle))
    return InProcess(
        Scenario(version=1, name="pair", nodes={"alice": node, "bob": node}, links={"ab": link}, limits=limits)
    )


def matrix(seen: TrueState) -> np.ndarray:
    """As the SDK gives it."""
    return np.array(calls.oracle_state("any").meaning(seen).density_matrix)


def looks(answers: list[Any], *, wait_s: float = 0.0, entangled: bool = True) -> Program:
    pair = yield RequestPairs(call=0, remote="bob")
    if wait_s:
        yield Sleep(call=0, duration_ps=round(wait_s * 1e12))
    for _ in range(2):
        answers.append((yield OracleState(call=0, qubits=(pair.pair.qubit,), entangled=entangled)))
    answers.append((yield Run(call=0, steps=(Measure(qubit=pair.pair.qubit),))))
    yield Detach(call=0)


def keeps(answers: list[Any]) -> Program:
    answers.append((yield RequestPairs(call=0, remote="alice")))
    yield Sleep(call=0, duration_ps=10**12)
    yield Detach(call=0)


def seen_by_alice(run: InProcess, **how: Any) -> list[Any]:
    answers: list[Any] = []
    run.start("alice", looks(answers, **how))
    run.start("bob", keeps([]))
    run.run()
    return answers


def test_a_pair_is_seen_as_it_is_and_twice_the_same() -> None:
    first, second, _ = seen_by_alice(pair_of_nodes())
    assert first.qubits == ("alice#0", "bob#0")
    phi_plus = np.array([1, 0, 0, 1]) / np.sqrt(2)
    fidelity = (phi_plus @ matrix(first) @ phi_plus).real
    assert fidelity == pytest.approx(FIDELITY, abs=1e-4), "within the decay of a few microseconds"
    assert np.allclose(matrix(first), matrix(second), atol=1e-4)


def test_one_half_alone_is_mixed() -> None:
    seen = seen_by_alice(pair_of_nodes(), entangled=False)[0]
    assert seen.qubits == ("alice#0",)
    assert np.allclose(matrix(seen), np.eye(2) / 2)


def test_what_memory_did_until_now_is_seen() -> None:
    """Both halves dephase: the coherence of the Werner pair falls by exp(-2 t / T2)."""
    wait_s = 0.1
    seen = seen_by_alice(pair_of_nodes(), wait_s=wait_s)[0]
    werner = (4 * FIDELITY - 1) / 3
    assert matrix(seen)[0, 3].real == pytest.approx(werner / 2 * np.exp(-2 * wait_s / T2_S), rel=1e-3)


def test_a_look_changes_nothing_but_the_time() -> None:
    """What is measured afterwards is the same as without it, for every seed."""

    def bits(*, look: bool) -> list[int]:
        read: list[int] = []

        def program() -> Program:
            for _ in range(40):
                qubit = (yield Run(call=0, steps=(Prepare(), Gate(name="H", qubits=("$0",))))).qubits[0]
                if look:
                    yield OracleState(call=0, qubits=(qubit,))
                read.append((yield Run(call=0, steps=(Measure(qubit=qubit),))).bits[0])
            yield Sleep(call=0, duration_ps=1)
            yield Detach(call=0)

        run = pair_of_nodes()
        run.start("alice", program())
        run.run()
        return read

    assert bits(look=True) == bits(look=False)


def test_a_scenario_can_forbid_it() -> None:
    first, _, measured = seen_by_alice(pair_of_nodes(oracle=False))
    assert isinstance(first, Failed)
    assert first.code == "denied"
    assert "limits.applications.oracle" in first.reason
    assert measured.bits, "the qubit is as it was"


@pytest.mark.parametrize(
    ("qubits", "code"),
    [(("alice#9",), "gone"), (("bob#0",), "gone"), ((), "limit"), (("alice#0", "alice#0"), "limit")],
)
def test_only_own_living_qubits_are_shown(qubits: tuple[str, ...], code: str) -> None:
    answers: list[Any] = []

    def program() -> Program:
        yield RequestPairs(call=0, remote="bob")
        answers.append((yield OracleState(call=0, qubits=qubits)))
        yield Detach(call=0)

    run = pair_of_nodes()
    run.start("alice", program())
    run.start("bob", keeps([]))
    run.run()
    assert (answers[0].code if isinstance(answers[0], Failed) else "") == code


def test_the_log_names_the_look_and_not_the_state() -> None:
    run = pair_of_nodes()
    lines: list[dict[str, Any]] = []
    write = run.log.write
    run.log.write = lambda at, kind, **details: (lines.append({"kind": kind, **details}), write(at, kind, **details))  # type: ignore[method-assign,assignment,func-returns-value]
    seen_by_alice(run)
    looked = [line for line in lines if line["kind"] == "oracle_looked"]
    assert looked == [{"kind": "oracle_looked", "node": "alice", "qubits": ("alice#0", "bob#0")}] * 2
    assert msgspec.json.encode(looked)


def test_too_many_are_not_shown() -> None:
    answers: list[Any] = []

    def program() -> Program:
        gates = tuple(Gate(name="CX", qubits=("$0", f"${number}")) for number in range(1, 9))
        made = yield Run(call=0, steps=(*(Prepare() for _ in range(9)), *gates))
        answers.append((yield OracleState(call=0, qubits=made.qubits[:1], entangled=True)))
        answers.append((yield OracleState(call=0, qubits=made.qubits[:8])))
        yield Sleep(call=0, duration_ps=1)
        yield Detach(call=0)

    node = Node(hardware=Hardware(communication=Memory(slots=1), storage=Memory(slots=9)))
    run = InProcess(Scenario(version=1, name="one", nodes={"alice": node}))
    run.start("alice", program())
    run.run()
    assert (answers[0].code, "expected 1 to 8" in answers[0].reason) == ("limit", True)
    assert matrix(answers[1])[0, 0] == pytest.approx(1.0)
