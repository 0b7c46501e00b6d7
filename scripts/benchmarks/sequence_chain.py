"""A chain of routers in SeQUeNCe, for comparison; run by the interpreter of an environment of its own (Python 3.12).

    python sequence_chain.py NODES [--pairs 100] [--repetitions 1]

SeQUeNCe simulates in one process and in virtual time only: N routers, 20 km links with a Bell measurement station in
the middle, Bell-diagonal states, heralding by two detectors. One request of the first router for pairs with the last
runs until enough pairs are delivered. Prints one JSON object on standard output.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from importlib.metadata import version
from typing import Any

LINK_M = 20_000
ATTENUATION_DB_PER_M = 0.0002
LIGHT_M_PER_PS = 2e-4
MEMORIES = 10
MEMORY_EFFICIENCY = 0.9
DETECTOR_EFFICIENCY = 0.8
RAW_FIDELITY = 0.99
MINIMUM_FIDELITY = 0.01
"""Accepts every pair, so that none is purified or thrown away."""
START_PS = 10**12
END_PS = 10**17


def chain(count: int, seed: int) -> dict[str, Any]:
    """The network as SeQUeNCe's configuration."""
    names = [f"r{number:03}" for number in range(count)]
    detector = {"efficiency": DETECTOR_EFFICIENCY, "dark_count": 0, "time_resolution": 6, "count_rate": 1e11}
    return {
        "templates": {
            "router": {"MemoryArray": {"efficiency": MEMORY_EFFICIENCY, "fidelity": RAW_FIDELITY, "frequency": 2e8}},
            "station": {"encoding_type": "single_heralded", "SingleHeraldedBSM": {"detectors": [detector, detector]}},
        },
        "formalism": "bell_diagonal",
        "nodes": [
            {
                "name": name,
                "type": "QuantumRouter",
                "seed": seed * count + number,
                "memo_size": MEMORIES,
                "template": "router",
            }
            for number, name in enumerate(names)
        ],
        "qconnections": [
            {
                "node1": one,
                "node2": other,
                "attenuation": ATTENUATION_DB_PER_M,
                "distance": LINK_M,
                "type": "meet_in_the_middle",
                "seed": seed * count + number,
                "template": "station",
            }
            for number, (one, other) in enumerate(itertools.pairwise(names))
        ],
        "cconnections": [
            {"node1": one, "node2": other, "delay": round((j - i) * LINK_M / LIGHT_M_PER_PS)}
            for i, one in enumerate(names)
            for j, other in enumerate(names)
            if i < j
        ],
    }


def simulate(count: int, *, pairs: int, seed: int) -> dict[str, Any]:
    """Build the chain, deliver that many pairs end to end; wall seconds of building and of running."""
    from sequence.app.request_app import RequestApp
    from sequence.entanglement_management.generation import EntanglementGenerationA, EntanglementGenerationB
    from sequence.entanglement_management.swapping import EntanglementSwappingA, EntanglementSwappingB
    from sequence.kernel.quantum_manager import QuantumManager
    from sequence.topology.router_net_topo import RouterNetTopo

    fidelities: list[float] = []

    class Initiator(RequestApp):
        """Counts what is delivered and ends the simulation."""

        def get_memory(self, info: Any) -> None:
            before = self.memory_counter
            fidelity = info.fidelity
            super().get_memory(info)
            if self.memory_counter > before:
                fidelities.append(float(fidelity))
                if self.memory_counter == pairs:
                    self.node.timeline.stop()

    start = time.perf_counter()
    EntanglementGenerationA.set_global_type("single_heralded")
    EntanglementGenerationB.set_global_type("single_heralded")
    EntanglementSwappingA.set_formalism("bell_diagonal")
    EntanglementSwappingB.set_formalism("bell_diagonal")
    QuantumManager.set_global_manager_formalism("bell_diagonal")
    network = RouterNetTopo(chain(count, seed))
    timeline = network.get_timeline()
    routers = sorted(network.get_nodes_by_type(RouterNetTopo.QUANTUM_ROUTER), key=lambda router: router.name)
    initiator = Initiator(routers[0])
    RequestApp(routers[-1])
    timeline.init()
    initiator.start(routers[-1].name, START_PS, END_PS, MEMORIES // 2, MINIMUM_FIDELITY)
    built = time.perf_counter()
    timeline.run()
    ended = time.perf_counter()
    if initiator.memory_counter != pairs:
        raise SystemExit(f"SeQUeNCe delivered {initiator.memory_counter} of {pairs} pairs over {count} nodes")
    return {
        "seconds": ended - start,
        "build_seconds": built - start,
        "run_seconds": ended - built,
        "pairs": initiator.memory_counter,
        "virtual_seconds": (timeline.now() - START_PS) / 1e12,
        "mean_fidelity": sum(fidelities) / len(fidelities),
    }


def main() -> None:
    """Time the import, then every repetition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nodes", type=int, help="routers in the chain, at least 2")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=1, help="with seeds 0, 1, ...")
    arguments = parser.parse_args()
    start = time.perf_counter()
    import sequence.app.request_app
    import sequence.topology.router_net_topo  # noqa: F401 - what is timed

    import_s = time.perf_counter() - start
    runs = [simulate(arguments.nodes, pairs=arguments.pairs, seed=seed) for seed in range(arguments.repetitions)]
    json.dump(
        {
            "sequence": version("sequence"),
            "python": sys.version.split()[0],
            "nodes": arguments.nodes,
            "import_seconds": import_s,
            "runs": runs,
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
