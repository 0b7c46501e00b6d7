"""The networks that the benchmarks run on, and how they are run."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from orchestrator.scenario import Application, Limits, Link, Node, Scenario, Source, Time
from orchestrator.scenario.hardware import Hardware, Memory
from orchestrator.testbed import RunOutcome, Testbed

T = TypeVar("T")
PROGRAMS = Path(__file__).resolve().parent / "programs"


def hardware(*, slots: int = 16, noisy: bool = False) -> Hardware:
    """Ideal, or a microsecond for each operation and coherence times of seconds."""
    memory = Memory(slots=slots, t1_s=10.0, t2_s=1.0) if noisy else Memory(slots=slots)
    if not noisy:
        return Hardware(communication=memory, storage=memory)
    return Hardware(
        communication=memory,
        storage=memory,
        initialise_duration_s=1e-6,
        single_qubit_gate_duration_s=1e-6,
        two_qubit_gate_duration_s=1e-6,
        measure_duration_s=1e-6,
        move_duration_s=1e-6,
    )


def program(name: str, node: str, *arguments: object) -> Application:
    """An application of this folder."""
    command = (sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments))
    return Application(name=f"{name}-{node}", node=node, command=command)


def two_nodes(*applications: Application, noisy: bool = False, slots: int = 16, pace: Any = "max") -> Scenario:
    """alice and bob, 10 km apart, a pair at each attempt."""
    quantum = hardware(slots=slots, noisy=noisy)
    fidelity = 0.95 if noisy else 1.0
    return Scenario(
        version=1,
        name="two_nodes",
        seed=1,
        time=Time(pace=pace, stall_after_s=120.0),
        nodes={"alice": Node(hardware=quantum), "bob": Node(hardware=quantum)},
        links={
            "alice-bob": Link(ends=("alice", "bob"), length_km=10, heralding=Source(fidelity=fidelity)),
        },
        applications=applications,
    )


def star(leaves: int, *applications: Application, noisy: bool) -> Scenario:
    """A hub and its leaves."""
    quantum = hardware(slots=leaves + 2, noisy=noisy)
    names = [f"leaf{number}" for number in range(leaves)]
    return Scenario(
        version=1,
        name="star",
        seed=1,
        time=Time(stall_after_s=300.0),
        limits=Limits(register_bytes=1 << 31),
        nodes={"hub": Node(hardware=quantum), **{name: Node(hardware=quantum) for name in names}},
        links={f"hub-{name}": Link(ends=("hub", name), length_km=1, attenuation_db_per_km=0.0) for name in names},
        applications=applications,
    )


def chain(count: int) -> Scenario:
    """``count`` nodes in a line."""
    quantum = hardware()
    names = [f"n{number}" for number in range(count)]
    return Scenario(
        version=1,
        name="chain",
        nodes={name: Node(hardware=quantum) for name in names},
        links={f"{one}-{other}": Link(ends=(one, other), length_km=10) for one, other in itertools.pairwise(names)},
    )


def run(scenario: Scenario, *, directory: Path = PROGRAMS) -> tuple[RunOutcome, dict[str, dict[str, Any]]]:
    """Run a scenario whose programs lie in ``directory``; gives its outcome and what its applications reported."""

    async def work(testbed: Testbed) -> tuple[RunOutcome, dict[str, dict[str, Any]]]:
        outcome = await testbed.run()
        failed = {
            name: process.status for name, process in outcome.applications.items() if process.code not in (0, None)
        }
        if failed:
            logs = "".join(process.log.read_text() for process in outcome.applications.values())
            raise RuntimeError(f"applications failed: {failed}\n{logs}")
        results: dict[str, dict[str, Any]] = {}
        with (testbed.run_directory / "events.jsonl").open("rb") as lines:
            for text in lines:
                if b'"application_reported"' in text:
                    line = msgspec.json.decode(text)
                    results.setdefault(line["application"], {}).update(line["values"])
        return outcome, results

    return on_testbed(scenario, work, programs=directory)


def on_testbed(
    scenario: Scenario,
    work: Callable[[Testbed], Coroutine[Any, Any, T]],
    *,
    serves: bool = False,
    programs: Path = PROGRAMS,
) -> T:
    """Bring a testbed up in a temporary run directory, do ``work``, take it down."""
    directory = Path(tempfile.mkdtemp(prefix="qloom-bench-"))
    (directory / "logs").mkdir()

    async def main() -> T:
        async with Testbed(scenario, programs, directory, serves_until_stopped=serves) as testbed:
            return await work(testbed)

    try:
        return asyncio.run(main())
    finally:
        shutil.rmtree(directory)
