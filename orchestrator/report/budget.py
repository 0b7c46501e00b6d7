"""What a scenario would run, before it does: processes, link budgets, expected rates and fidelities."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from orchestrator.deployment import role_of
from orchestrator.fabric import predictions
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.heralding import link_model
from orchestrator.scenario import Application, Scenario
from orchestrator.scenario.faults import named
from orchestrator.topology import Topology


def of(scenario: Scenario) -> dict[str, Any]:
    """The plan of a run, as JSON types."""
    topology = Topology(scenario)
    links = {}
    for name, link in scenario.links.items():
        model = link_model(link)
        fidelity = model.fidelity
        links[name] = {
            "ends": list(link.ends),
            "scheme": type(link.heralding).__struct_config__.tag,
            "length_km": link.length_km,
            "loss_db": link.length_km * link.attenuation_db_per_km,
            "success_probability": model.success_probability,
            "attempt_cycle_s": model.attempt_cycle_ps / PICOSECONDS,
            "expected_rate_hz": model.rate_hz,
            "fidelity_at_herald": fidelity,
            "teleportation_fidelity": (2.0 * fidelity + 1.0) / 3.0,
            "chsh_value": sum(
                outcome.weight * predictions.chsh_value(predictions.to_phi_plus(outcome.state, outcome.bell_index))
                for outcome in model.outcomes
            ),
            "classical_latency_s": (topology.classical_latency_ps(*link.ends) or 0) / PICOSECONDS,
        }
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "pace": scenario.time.pace,
        "processes": [
            "supervisor",
            "agent",
            "fabric",
            *(f"node {name}" for name in scenario.nodes),
            *(f"application {each.name} on {each.node}: {_what(each)}" for each in scenario.applications),
        ],
        "links": links,
        "network": msgspec.to_builtins(scenario.network),
        "roles": {name: role_of(scenario, name) for name in scenario.nodes},
        "faults": [f"{fault.name} at {fault.at_s:g} s" for fault in named(scenario.faults)],
        "stop_at_s": scenario.stop.at_s,
        "expectations": [each.name for each in scenario.expectations],
    }


def _what(application: Application) -> str:
    netqasm = application.netqasm
    return " ".join(application.command) if netqasm is None else f"NetQASM {netqasm.file}"


def as_text(plan: dict[str, Any]) -> str:
    """The plan as a person reads it."""
    lines = [f"{plan['scenario']}: valid; seed {plan['seed']}, pace {plan['pace']}", "processes:"]
    shown = plan["processes"][:30]
    lines += [f"  {name}" for name in shown]
    if len(plan["processes"]) > len(shown):
        lines.append(f"  ... and {len(plan['processes']) - len(shown)} more")
    if plan["links"]:
        lines.append("links:")
    for name, link in plan["links"].items():
        lines += [
            f"  {name}: {link['scheme']}, {link['length_km']:g} km, {link['loss_db']:.3g} dB",
            f"    success probability {link['success_probability']:.4g} every {link['attempt_cycle_s'] * 1e6:.6g} µs: "
            f"{link['expected_rate_hz']:.5g} pairs/s",
            f"    fidelity at the herald {link['fidelity_at_herald']:.4f}: CHSH {link['chsh_value']:.3f}, "
            f"teleportation {link['teleportation_fidelity']:.4f}; classical latency "
            f"{link['classical_latency_s'] * 1e6:.6g} µs",
        ]
    if plan["network"] is not None:
        roles = Counter(plan["roles"].values())
        counted = ", ".join(f"{count} {role}" for role, count in roles.items())
        lines.append(f"network: {plan['network']['routing']} routing, least {plan['network']['metric']}; {counted}")
    if plan["faults"]:
        lines.append("faults: " + "; ".join(plan["faults"]))
    if plan["expectations"]:
        lines.append("expectations: " + "; ".join(plan["expectations"]))
    return "\n".join(lines)
