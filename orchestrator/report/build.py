"""What a run says of itself: one tree of numbers from the event log, what theory expects, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from orchestrator.fabric import predictions
from orchestrator.fabric.clock import PICOSECONDS
from orchestrator.fabric.heralding import LinkModel, link_model
from orchestrator.report import circuits
from orchestrator.run_directory import REFUSED_SUFFIX, last_lines
from orchestrator.scenario import Expectation, Link, Scenario
from orchestrator.testbed import RunOutcome

Estimate = dict[str, float]
"""``value`` and ``standard_error``."""


def estimate(value: float, standard_error: float) -> Estimate:
    """A number known by statistics."""
    return {"value": value, "standard_error": standard_error}


class _Heralds:
    """What the event log says of one link."""

    def __init__(self) -> None:
        self.attempts: list[int] = []
        self.waiting_s: list[float] = []

    def add(self, line: dict[str, Any]) -> None:
        self.attempts.append(line["attempts"])
        self.waiting_s.append((max(line["heralded_ps"]) - line["started_ps"]) / PICOSECONDS)


def build(scenario: Scenario, outcome: RunOutcome, event_log: Path) -> dict[str, Any]:
    """The report of a run, all of it as JSON types."""
    heralds = {name: _Heralds() for name in scenario.links}
    results: dict[str, dict[str, Any]] = {}
    messages = 0
    gone: set[str] = set()
    network = circuits.NetworkStory()
    with event_log.open("rb") as lines:
        for text in lines:
            line = msgspec.json.decode(text)
            kind = line["kind"]
            if kind == "heralded":
                heralds[line["link"]].add(line)
            elif kind == "message":
                messages += 1
            elif kind in ("application_detached", "application_never_attached"):
                gone.add(line["application"])
            elif kind == "application_reported":
                results.setdefault(line["application"], {}).update(
                    {
                        name: estimate(*value) if isinstance(value, list) else value
                        for name, value in line["values"].items()
                    }
                )
            else:
                network.add(line)
    finished = outcome.finished
    virtual_s = finished.now_ps / PICOSECONDS
    models = {name: link_model(link) for name, link in scenario.links.items()}
    report: dict[str, Any] = {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "pace": scenario.time.pace,
        "ended_because": finished.reason,
        "virtual_s": virtual_s,
        "wall_s": finished.wall_s,
        "digest": finished.digest,
        "deterministic": not finished.outside,
        "from_outside": list(finished.outside),
        "events": finished.log_lines,
        "messages": messages,
        "housekeeping_messages": finished.housekeeping_messages,
        "links": {
            name: _link(models[name], heralds[name], finished.mean_states.get(name), virtual_s)
            for name in scenario.links
        },
        "theory": {
            name: _theory(scenario, scenario.links[name], _state(finished.mean_states[name][1]))
            for name in scenario.links
            if name in finished.mean_states
        },
        **network.summary(finished),
        "fault_effects": finished.fault_effects,
        "nodes": circuits.memory(
            finished,
            {
                name: {"communication": node.hardware.communication.slots, "storage": node.hardware.storage.slots}
                for name, node in scenario.nodes.items()
            },
        ),
        "results": results,
        "lateness": msgspec.structs.asdict(finished.lateness),
        "processes": [
            {
                "name": each.name,
                "process_id": each.process_id,
                "status": each.status,
                "exit_code": each.code,
                "fault": each.fault,
            }
            for each in outcome.processes
        ],
        "applications": {name: each.status for name, each in outcome.applications.items()},
        "refused": _refused(event_log.parent),
        "recoveries": [
            {"cause": each.cause, "at_s": each.now_ps / PICOSECONDS, "took_s": each.took_s}
            for each in outcome.recoveries
        ],
    }
    report["expectations"] = [
        *(_exit_codes(outcome, gone) if scenario.check is None else ()),
        *(_expectation(each, report) for each in scenario.expectations),
    ]
    report["ok"] = all(each["holds"] for each in report["expectations"])
    return report


def _refused(run_directory: Path) -> dict[str, dict[str, int]]:
    """What each process turned away, by kind: connections and frames."""
    files = sorted((run_directory / "logs").glob(f"*{REFUSED_SUFFIX}"))
    return {file.name.removesuffix(REFUSED_SUFFIX): msgspec.json.decode(file.read_bytes()) for file in files}


def _state(rows: list[list[tuple[float, float]]]) -> predictions.PairState:
    return np.array([[complex(*value) for value in row] for row in rows], dtype=np.complex128)


def _link(model: LinkModel, heralds: _Heralds, oracle: Any, virtual_s: float) -> dict[str, Any]:
    """Budget and statistics of one link."""
    cycle_s = model.attempt_cycle_ps / PICOSECONDS
    pairs, attempts = len(heralds.attempts), sum(heralds.attempts)
    link: dict[str, Any] = {
        "pairs": pairs,
        "attempts": attempts,
        "success_probability": model.success_probability,
        "attempt_cycle_s": cycle_s,
        "expected_rate_hz": model.rate_hz,
        "expected_fidelity_at_herald": model.fidelity,
    }
    if pairs:
        rate_hz = pairs / (attempts * cycle_s)
        relative_error = math.sqrt(1.0 - model.success_probability) / math.sqrt(pairs)
        link["rate_hz"] = estimate(rate_hz, rate_hz * relative_error)
        link["load"] = sum(heralds.waiting_s) / virtual_s if virtual_s else 0.0
        link["delivered_rate_hz"] = pairs / virtual_s if virtual_s else 0.0
        waiting_s = sorted(heralds.waiting_s)
        link["waiting_s"] = {
            "mean": sum(waiting_s) / pairs,
            "p50": waiting_s[pairs // 2],
            "p90": waiting_s[pairs * 9 // 10],
            "p99": waiting_s[pairs * 99 // 100],
            "max": waiting_s[-1],
        }
        link["expected_waiting_s"] = (
            (1.0 / model.success_probability - 1.0) * model.attempt_cycle_ps + max(model.herald_delay_ps)
        ) / PICOSECONDS
    if oracle is not None:
        link["oracle_fidelity_at_use"] = predictions.fidelity(_state(oracle[1]))
    return link


def _theory(scenario: Scenario, link: Link, state: predictions.PairState) -> dict[str, float]:
    """What the oracle's mean pair, as it was when first used, lets applications expect.

    Included: the pair's state, readout errors of both ends, and the noise of the Bell measurement's gates. Not
    included: errors of preparing what is teleported, and of correction gates.
    """
    hardware = [scenario.nodes[end].hardware for end in link.ends]
    readout = (
        predictions.Readout(hardware[0].readout_error_0, hardware[0].readout_error_1),
        predictions.Readout(hardware[1].readout_error_0, hardware[1].readout_error_1),
    )
    chsh = predictions.chsh_value(state, readout=readout)
    fidelity = predictions.fidelity(state)
    teleported = predictions.teleportation_fidelity(state, bell_readout=readout[0], verification_readout=readout[1])
    scrambled = hardware[0].two_qubit_gate_depolarising_probability
    error_z, error_x = predictions.qber(state, readout=readout)
    return {
        "fidelity": fidelity,
        "chsh_value": chsh,
        "chsh_winning_probability": predictions.chsh_winning_probability(chsh),
        "teleportation_fidelity": (1.0 - scrambled) * teleported + scrambled / 2.0,
        "teleportation_fidelity_without_hardware_errors": (2.0 * fidelity + 1.0) / 3.0,
        "qber_z": error_z,
        "qber_x": error_x,
    }


def _exit_codes(outcome: RunOutcome, gone: set[str]) -> Iterable[dict[str, Any]]:
    """Every application ends well; one that the end of the run interrupted may say so by its exit code, unless it was
    ``gone`` by then."""
    ended_early = outcome.finished.reason != "every application has ended"
    for name, process in outcome.applications.items():
        if process.fault:
            line = f"application {name}: ended by the fault {process.fault!r}"
            yield {"name": f"{name} ends by its fault", "holds": True, "line": line}
            continue
        interrupted = ended_early and name not in gone and process.code is not None and process.code > 0
        holds = process.code == 0 or interrupted
        story = "" if holds else f" (log: {process.log}){last_lines(process.log)}"
        yield {"name": f"{name} ends well", "holds": holds, "line": f"application {name}: {process.status}{story}"}


def _expectation(expectation: Expectation, report: dict[str, Any]) -> dict[str, Any]:
    """Whether an expectation holds, and one line that says why."""
    found = _find(report, expectation.value)
    if found is None:
        line = f"{expectation.value} is not in the report"
        return {"name": expectation.name, "holds": False, "line": line}
    value, error = (found["value"], found["standard_error"]) if isinstance(found, dict) else (float(found), 0.0)
    holds = True
    parts = [f"{expectation.value} = {value:.6g}" + (f" ± {error:.2g}" if error else "")]
    if expectation.at_least is not None:
        holds = holds and value >= expectation.at_least
        parts.append(f"at least {expectation.at_least:g}")
    if expectation.at_most is not None:
        holds = holds and value <= expectation.at_most
        parts.append(f"at most {expectation.at_most:g}")
    if expectation.agrees_with is not None:
        theory = _find(report, expectation.agrees_with)
        if theory is None:
            return {"name": expectation.name, "holds": False, "line": f"{expectation.agrees_with} is not in the report"}
        expected = theory["value"] if isinstance(theory, dict) else float(theory)
        away = abs(value - expected)
        holds = holds and away <= expectation.within_sigmas * error + 1e-9 * abs(expected)
        sigmas = f"{away / error:.2f} sigma away" if error else f"{away:.3g} away, without an error bar"
        parts.append(f"theory {expected:.6g}, {sigmas}, {expectation.within_sigmas:g} allowed")
    return {"name": expectation.name, "holds": holds, "line": "; ".join(parts)}


def _find(tree: Any, path: str) -> Any:
    """A number or estimate by its dotted path; names in it may themselves contain dots. None if there is none."""
    if isinstance(tree, dict):
        if path in tree:
            found = tree[path]
            is_estimate = isinstance(found, dict) and "value" in found
            return found if is_estimate or isinstance(found, int | float) else None
        for name, below in tree.items():
            if path.startswith(f"{name}."):
                found = _find(below, path[len(name) + 1 :])
                if found is not None:
                    return found
    return None
