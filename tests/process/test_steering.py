"""Virtual time that stands still and goes on as somebody says, and faults that are added and removed by hand."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from program import World

from orchestrator import control
from orchestrator.steering_port import SteeringRefused
from qnode.sdk import attach

S = 10**12


def steered(ideal: Any, testbed_of: Any, directory: Path) -> dict[str, Any]:
    """One run: a fault at an instant that was waited for, and two programs that were let in while time stood still."""
    seen: dict[str, Any] = {}
    with testbed_of(ideal("alice", "bob", length_km=10.0), directory, held=True) as live:

        def steer(request: control.Steering) -> control.Steered:
            answer: control.Steered = live.do(live.testbed.steer(request))
            return answer

        assert steer(control.Hold()).now_ps == 0
        reached = steer(control.Go(until_ps=S))
        assert (reached.why, reached.now_ps) == ("time", S)
        with pytest.raises(SteeringRefused, match="already 1000000000000 ps, it cannot go on until 5 ps"):
            steer(control.Go(until_ps=5))
        with pytest.raises(SteeringRefused, match="expected the name of a link, found 'alice-bop'; did you mean"):
            steer(control.AddFault(fault={"kind": "link_down", "link": "alice-bop"}))
        with pytest.raises(SteeringRefused, match="expected the name of a fault, found 'x'; there is none"):
            steer(control.RemoveFault(name="x"))
        name = steer(control.AddFault(fault={"kind": "link_down", "link": "alice-bob", "for_s": 0.5})).name
        assert name == "link_down alice-bob"
        pairs: dict[str, float] = {}

        def program(node: str, other: str) -> None:
            with attach(socket=live.endpoint(node), application=f"on-{node}") as session:
                pairs[node] = session.now_s
                session.measure(session.request_pair(other, timeout_s=5.0))
                pairs[f"{node} has"] = session.now_s

        threads = []
        for node, other in (("bob", "alice"), ("alice", "bob")):
            thread = threading.Thread(target=program, args=(node, other))
            thread.start()
            threads.append(thread)
            assert steer(control.LetIn(node=node)).why == "let_in"
        ended = steer(control.Go(ended=True))
        assert ended.why == "ended"
        for thread in threads:
            thread.join(30.0)
        assert pairs["alice"] == pytest.approx(1.0, abs=1e-9)
        assert pairs["alice has"] > 1.5
        (fault,) = steer(control.ListFaults()).faults
        assert (fault.name, fault.cause, fault.active) == (name, "control", False)
        steer(control.ResetFaults())
        assert steer(control.ListFaults()).faults == ()
        jump = steer(control.AddFault(fault={"kind": "clock_jump", "node": "bob", "jump_s": 1.0, "at_s": 3.0})).name
        heard = steer(control.Go(line={"kind": "fault", "name": jump}))
        assert (heard.why, heard.line["t_ps"], heard.line["fault"]) == ("line", 3 * S, "clock_jump")
        assert steer(control.Go(line={"kind": "never"})).why == "idle"
        seen["finished"] = live.do(live.testbed.stop("done"))
    return seen


@pytest.mark.slow
def test_a_steered_run_is_repeatable_to_the_event(ideal: Any, testbed_of: Any, tmp_path: Path) -> None:
    first = steered(ideal, testbed_of, tmp_path / "first")["finished"]
    second = steered(ideal, testbed_of, tmp_path / "second")["finished"]
    assert first.outside == second.outside == ()
    assert first.digest == second.digest
    assert (tmp_path / "first" / "events.jsonl").read_bytes() == (tmp_path / "second" / "events.jsonl").read_bytes()


@pytest.mark.slow
def test_faults_by_hand_from_the_command_line(world: World) -> None:
    path = world.scenario(
        {}, nodes=("a", "b"), faults=[{"kind": "link_down", "link": "a-b", "at_s": 1e5, "name": "later"}]
    )
    assert world.qloom("up", path, "-d").code == 0
    added = world.qloom("fault", "add", "link_down", "a-b", "name=digger")
    assert (added.code, added.out) == (0, "digger\n"), added
    assert world.qloom("fault", "add", "node_slow", "a", "late_s=1e-3").out == "node_slow a\n"
    listed = json.loads(world.qloom("fault", "list", "--json").out)
    assert [(each["name"], each["cause"]) for each in listed["faults"]] == [
        ("later", "scenario"),
        ("digger", "control"),
        ("node_slow a", "control"),
    ]
    assert "(link_down, by control)" in world.qloom("fault", "list").out
    for words, complaint in [
        (("link_down", "a-c"), "link: expected the name of a link, found 'a-c'; did you mean 'a-b'?"),
        (("link_dwon", "a-b"), "did you mean 'link_down'?"),
        (("link_down", "a-b", "name=digger"), "expected a new name, found 'digger'"),
        (("node_slow", "a"), "late_s: expected a finite number"),
        (("fabric_pause", "a", "wall_s=1"), "strikes no single link or node"),
        (("link_down", "a-b", "for"), "expected NAME=VALUE, found 'for'"),
    ]:
        ended = world.qloom("fault", "add", *words)
        assert ended.code == 2, ended
        assert complaint in ended.err
    assert world.qloom("fault", "rm", "digger").code == 0
    assert "expected the name of a fault, found 'digger'" in world.qloom("fault", "rm", "digger").err
    assert world.qloom("fault", "reset").code == 0
    assert world.qloom("fault", "list").out == "no fault is known\n"
    assert world.qloom("down").code == 0
    world.wait_until_clean()
