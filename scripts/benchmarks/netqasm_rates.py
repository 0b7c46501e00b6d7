"""What programs for the NetQASM SDK get done on nodes, in processes of their own, at pace max."""

from __future__ import annotations

from typing import Any

import scenarios
import simulaqron_runs

from orchestrator.netqasm import programs, results
from orchestrator.scenario import Application, NetqasmProgram
from orchestrator.testbed import Testbed


def measured(*, quick: bool) -> dict[str, Any]:
    """Rates in a second of wall time, SimulaQron's beside them if it is there; or what to install."""
    if not programs.are_possible():
        return {"not_measured": programs.MISSING}
    scale = 1 if quick else 5
    alone = {"alice": {"count": 300 * scale, "batched": 5000 * scale, "turns": 50_000 * scale}}
    both = {"pairs": 300 * scale, "directly": 500 * scale, "teleports": 200 * scale}
    figures: dict[str, float] = _run("netqasm_gates", alone) | _run("netqasm", {"alice": both, "bob": both})
    right = figures.pop("teleported_right")
    assert right == both["teleports"], f"{right} of {both['teleports']} qubits were teleported right"
    other = simulaqron_runs.rates()
    return {
        name: {"per_second": rate, **({"simulaqron": other[name]} if other and name in other else {})}
        for name, rate in figures.items()
    }


def _run(name: str, inputs: dict[str, dict[str, int]]) -> dict[str, float]:
    """What the programs of one run return, together."""
    applications = []
    for node, each in inputs.items():
        role = name if len(inputs) == 1 else f"{name}_{node}"
        applications.append(Application(name=role, node=node, netqasm=NetqasmProgram(file=f"{role}.py", inputs=each)))
    scenario = scenarios.two_nodes(*applications)

    async def work(testbed: Testbed) -> dict[str, float]:
        outcome = await testbed.run()
        runs = results.gathered(scenario, testbed.run_directory)
        if len(runs) != 1:
            logs = "".join(process.log.read_text() for process in outcome.applications.values())
            raise RuntimeError(f"a program has failed:\n{logs}")
        return {name: rate for role in runs[0].values() for name, rate in role.items()}

    return scenarios.on_testbed(scenario, work)
