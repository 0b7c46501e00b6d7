"""Circuits over chains, beside SeQUeNCe where it is installed, and the metropolitan network with ten circuits."""

from __future__ import annotations

import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import scenarios
import sequence_runs

from orchestrator.report.build import build
from orchestrator.scenario import DoubleClick, Link, Network, Node, Scenario
from orchestrator.scenario import file as scenario_file
from orchestrator.scenario.hardware import Hardware, Memory
from orchestrator.testbed import Testbed

PAIRS = 100
REPETITIONS = 3
QMAN = Path(__file__).resolve().parents[2] / "topologies" / "beijing_qman.yaml"


def chain_with_circuit(nodes: int) -> Scenario:
    """20 km links, 10 memories a node, five to either side; a station in the middle of each link."""
    quantum = Hardware(communication=Memory(slots=10), storage=Memory(slots=0))
    names = [f"n{number:02d}" for number in range(nodes)]
    heralding = DoubleClick(coupling_efficiency=0.9, detector_efficiency=0.8, modes=5)
    return Scenario(
        version=1,
        name="chain",
        seed=1,
        network=Network(),
        nodes={name: Node(hardware=quantum) for name in names},
        links={
            f"l{number:02d}": Link(ends=(one, other), length_km=20, attenuation_db_per_km=0.2, heralding=heralding)
            for number, (one, other) in enumerate(itertools.pairwise(names))
        },
        applications=(
            scenarios.program("circuit_head", names[0], names[-1], PAIRS),
            scenarios.program("circuit_tail", names[-1], PAIRS),
        ),
    )


def chains(*, quick: bool) -> dict[str, Any]:
    """Wall seconds for 100 end-to-end pairs: the applications' own, from the request to the last pair, and in all."""
    figures: dict[str, Any] = {}
    for nodes in (3, 5) if quick else (3, 5, 10, 20):
        ours: list[dict[str, float]] = []
        for _ in range(1 if quick else REPETITIONS):
            started = time.perf_counter()
            _, reported = scenarios.run(chain_with_circuit(nodes))
            in_all_s = time.perf_counter() - started
            ours.append({**reported["circuit_head-n00"], "in_all_s": in_all_s})
        row = {name: statistics.median(each[name] for each in ours) for name in ours[0]}
        theirs = sequence_runs.chain(nodes, pairs=PAIRS, repetitions=1 if quick else REPETITIONS)
        if theirs is not None:
            row["sequence_s"] = theirs["seconds"]
            row["sequence_in_all_s"] = theirs["seconds"] + theirs["import_seconds"]
            row["times_faster"] = row["sequence_s"] / row["seconds"]
            row["times_faster_in_all"] = row["sequence_in_all_s"] / row["in_all_s"]
        figures[str(nodes)] = row
    last = list(figures.values())[-1]
    first = next(iter(figures.values()))
    links = [int(count) - 1 for count in (next(iter(figures)), list(figures)[-1])]
    return {
        "nodes": figures,
        "cost_per_pair_and_link_last_over_first": (last["seconds"] / links[1]) / (first["seconds"] / links[0]),
    }


def metropolitan(*, quick: bool) -> dict[str, Any]:
    """The topology that ships, as `qloom run` runs it."""
    scenario = scenario_file.load(QMAN)

    async def work(testbed: Testbed) -> dict[str, Any]:
        outcome = await testbed.run()
        return build(scenario, outcome, testbed.run_directory / "events.jsonl")

    report = scenarios.on_testbed(scenario, work, programs=QMAN.parent)
    circuits = report["circuits"].values()
    opened = [circuit for circuit in circuits if "path" in circuit]
    return {
        "nodes": len(scenario.nodes),
        "circuits opened": len(opened),
        "circuits refused": sum(circuit["status"] == "refused" for circuit in circuits),
        "pairs delivered": sum(circuit["delivered"] for circuit in opened),
        "pairs with mismatched ends": sum(circuit["mismatched_pairs"] for circuit in opened),
        "virtual seconds": report["virtual_s"],
        "wall seconds": report["wall_s"],
        "virtual over wall": report["virtual_s"] / report["wall_s"],
        "events": report["events"],
        **{f"routing converged after {each['after']}, s": each["for_s"] for each in report["routing"]["convergence"]},
        "times a circuit took another way": sum(circuit["reroutes"] for circuit in opened),
        "longest that a re-routed circuit gave no pair, s": max(
            down["without_pairs_s"] for circuit in opened for down in circuit["downs"]
        ),
    }
