"""All benchmarks: one JSON object on standard output; ``--write`` also puts it into docs/results.md."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import activations
import baselines
import netqasm_rates
import network
import results
import scenarios
import whole_runs

from orchestrator.testbed import Testbed

ROUNDS = 5
"""The machine's speed drifts: what is compared is measured in turn, and the median counts."""


def startup(*, quick: bool) -> dict[str, Any]:
    """Node processes up and connected, beside bare children forked the same way."""
    figures = {}
    for count in (2, 20, 200) if quick else (2, 20, 200, 1000):
        with baselines.bare_children(count) as (bare_s, bare_mb, _, _):
            pass

        start = time.perf_counter()

        async def look(testbed: Testbed, start: float = start, count: int = count) -> tuple[float, float]:
            up_s = time.perf_counter() - start
            nodes = [each for name, each in testbed.processes.items() if name.startswith("node ")]
            sample = nodes[:: max(1, count // 50)]
            megabytes = statistics.mean(baselines.proportional_set_mb(each.process_id) for each in sample)
            await testbed.start_virtual_time()
            await testbed.stop("measured")
            return up_s, megabytes

        up_s, megabytes = scenarios.on_testbed(scenarios.chain(count), look, serves=True)
        figures[str(count)] = {
            "seconds": up_s,
            "bare_seconds": bare_s,
            "ratio_to_bare": up_s / bare_s,
            "pss_mb_per_node": megabytes,
            "bare_pss_mb": bare_mb,
        }
    return figures


def _rate(scenario: Any, name: str = "per_second") -> float:
    _, reported = scenarios.run(scenario)
    return float(min(values[name] for values in reported.values() if name in values))


def rates(*, quick: bool) -> dict[str, Any]:
    """What two application processes get done in a second at pace max, as ratios to bare round trips too."""
    scale = 1 if quick else 5
    bare = baselines.round_trips_per_second()
    program, two = scenarios.program, scenarios.two_nodes
    count = 1000 * scale
    ideal = _rate(two(program("pairs", "alice", "bob", count, 0), program("pairs", "bob", "alice", count, 0)))
    noisy = _rate(
        two(program("pairs", "alice", "bob", count, 0), program("pairs", "bob", "alice", count, 0), noisy=True)
    )
    directly = _rate(two(program("measured", "alice", "bob", count), program("measured", "bob", "alice", count)))
    sent = 500 * scale
    teleports = _rate(two(program("teleport_send", "alice", sent), program("teleport_receive", "bob", sent)))
    _, reported = scenarios.run(two(program("gates", "alice", 1000 * scale, 10_000 * scale)))
    gates = reported["gates-alice"]
    figures = {
        "pairs_kept_and_measured": ideal,
        "pairs_kept_and_measured_noisy": noisy,
        "pairs_measured_directly": directly,
        "teleportations": teleports,
        "single_gate_round_trips": gates["single"],
        "batched_gates": gates["batched"],
    }
    return {
        "bare_round_trips_per_second": bare,
        "bare_round_trips_per_second_on_one_core": baselines.round_trips_per_second(one_core=True),
        **{name: {"per_second": rate, "ratio_to_bare": rate / bare} for name, rate in figures.items()},
    }


def crowd(*, quick: bool) -> dict[str, Any]:
    """The cost of one pair's life while others are alive."""
    count = 500 if quick else 2000
    samples: dict[int, list[float]] = {held: [] for held in ((10, 1000) if quick else (10, 1000, 10_000))}
    for _ in range(1 if quick else ROUNDS):
        for held, found in samples.items():
            applications = (
                scenarios.program("pairs", "alice", "bob", count, held),
                scenarios.program("pairs", "bob", "alice", count, held),
            )
            found.append(1e6 / _rate(scenarios.two_nodes(*applications, noisy=True, slots=held + 4)))
    figures = {str(held): statistics.median(found) for held, found in samples.items()}
    least = min(figures.values())
    return {"microseconds_per_pair": figures, "largest_over_least": max(figures.values()) / least}


def pace() -> dict[str, Any]:
    """Three virtual seconds at pace 1, in steps of 1.5 ms on both nodes."""
    steps = 2000
    bare = baselines.timer_lateness_s()
    applications = tuple(scenarios.program("ticks", node, steps, 0.0015) for node in ("alice", "bob"))
    outcome, _ = scenarios.run(scenarios.two_nodes(*applications, pace=1.0))
    finished = outcome.finished
    virtual_s = finished.now_ps / 1e12
    return {
        "virtual_seconds": virtual_s,
        "wall_seconds": finished.wall_s,
        "wall_over_virtual": finished.wall_s / virtual_s,
        "lateness_p50_s": finished.lateness.p50_s,
        "lateness_p99_s": finished.lateness.p99_s,
        "bare_timer_p50_s": bare["p50_s"],
        "bare_timer_p99_s": bare["p99_s"],
    }


def ghz(*, quick: bool) -> dict[str, Any]:
    """GHZ states with one qubit on each node, all held at once."""
    figures: dict[str, Any] = {}
    for kind, sizes in (("kets", (8,) if quick else (8, 16, 20)), ("density_matrices", (6,) if quick else (6, 8, 10))):
        for size in sizes:
            leaves = size - 1
            applications = (
                scenarios.program("ghz_hub", "hub", leaves),
                *(scenarios.program("ghz_leaf", f"leaf{number}") for number in range(leaves)),
            )
            _, reported = scenarios.run(scenarios.star(leaves, *applications, noisy=kind != "kets"))
            figures.setdefault(kind, {})[str(size)] = reported["ghz_hub-hub"]
    return figures


def main() -> None:
    """Run what was asked for."""
    parts = {
        "startup": startup,
        "runs": whole_runs.measured,
        "rates": rates,
        "netqasm": netqasm_rates.measured,
        "activations": activations.measured,
        "crowd": crowd,
        "ghz": ghz,
        "chains": network.chains,
        "metropolitan": network.metropolitan,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*parts, "pace"], action="append")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument("--write", action="store_true", help="keep the figures and write docs/results.md")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        "machine": results.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "command": "scripts/bench" + (" --quick" if arguments.quick else ""),
    }
    chosen = arguments.only or [*parts, "pace"]
    figures["dates"] = dict.fromkeys(chosen, figures["date"])
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures[name] = pace() if name == "pace" else parts[name](quick=arguments.quick)
    json.dump(figures, sys.stdout, indent=2)
    print()
    if arguments.write:
        results.keep("bench", figures)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
