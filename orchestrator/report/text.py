"""The report as a person reads it on a terminal or in ``report.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator import checks

MOST_LINKS_IN_FULL = 4
"""More than that are one table of a line each."""


def _number(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.5g} ± {value['standard_error']:.2g}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _seconds(value: float) -> str:
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return "0 s" if value == 0 else f"{value:.3g} s"


def _link(name: str, link: dict[str, Any]) -> Table:
    """One link: what was measured beside what theory says."""
    table = Table("", "measured", "in theory", title=f"Link {name}", title_justify="left")
    waiting = link.get("waiting_s")
    table.add_row("pairs heralded", str(link["pairs"]), "")
    table.add_row("attempts", str(link["attempts"]), f"one in {1 / link['success_probability']:.5g} succeeds")
    if waiting:
        table.add_row("pairs/s while trying", _number(link["rate_hz"]), _number(link["expected_rate_hz"]))
        table.add_row("pairs/s over the run", _number(link["delivered_rate_hz"]), "")
        table.add_row("waiting time, mean", _seconds(waiting["mean"]), _seconds(link["expected_waiting_s"]))
        quantiles = " / ".join(_seconds(waiting[name]) for name in ("p50", "p90", "p99", "max"))
        table.add_row("p50 / p90 / p99 / max", quantiles, "")
    table.add_row("fidelity at the herald", "", f"{link['expected_fidelity_at_herald']:.5f}")
    if "oracle_fidelity_at_use" in link:
        table.add_row("fidelity at use, the oracle's view", f"{link['oracle_fidelity_at_use']:.5f}", "")
    return table


def _links(links: dict[str, dict[str, Any]]) -> Table:
    """Many links: a line each, of those that were used."""
    table = Table("link", "pairs", "pairs/s", "busy", "F at herald", "F at use", title="Links", title_justify="left")
    for name, link in links.items():
        if link["pairs"]:
            use = f"{link['oracle_fidelity_at_use']:.4f}" if "oracle_fidelity_at_use" in link else ""
            rate, herald = f"{link['delivered_rate_hz']:.4g}", f"{link['expected_fidelity_at_herald']:.4f}"
            table.add_row(name, str(link["pairs"]), rate, f"{link['load']:.0%}", herald, use)
    table.caption = f"{sum(not link['pairs'] for link in links.values())} of {len(links)} links made no pair"
    return table


def _circuits(circuits: dict[str, dict[str, Any]]) -> list[RenderableType]:
    """What was asked for beside what was promised and given; then each circuit's story, in words."""
    table = Table(title="Circuits: asked > promised > given", title_justify="left")
    for heading in ("circuit", "to", "status", "pairs", "fidelity", "pairs/s"):
        table.add_column(heading, no_wrap=True, overflow="fold")
    stories: list[RenderableType] = []
    for name, each in circuits.items():
        fidelity, rate = [f"{each['asked_fidelity']:.3g}"], [f"{each['asked_rate_bpps']:.3g}"]
        if "path" in each:
            fidelity += [f"{each['expected_fidelity']:.3f}"]
            fidelity += [f"{each['oracle_fidelity']:.3f}" if "oracle_fidelity" in each else "?"]
            rate += [_short(each["expected_rate_bpps"])]
            rate += [_short(each["rate_bpps"]["value"]) if "rate_bpps" in each else "?"]
        table.add_row(
            name,
            each["tail"],
            each["status"],
            str(each.get("delivered", "")),
            " > ".join(fidelity),
            " > ".join(rate),
        )
        stories += [Text(line) for line in _story(name, each)]
    return [table, *stories]


def _short(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"


def _story(name: str, circuit: dict[str, Any]) -> Iterator[str]:
    """How a circuit went and what befell it, a line each."""
    if "path" in circuit:
        waiting = circuit.get("waiting_s")
        waited = f"; wait p50 {_seconds(waiting['p50'])}, p99 {_seconds(waiting['p99'])}" if waiting else ""
        estimate = circuit.get("estimated_fidelity")
        own = f"; own estimate {_number(estimate)} of {circuit['tests']} tests" if estimate else ""
        yield f"{name} over {' '.join(circuit['path'])}: {circuit['swaps']} swaps{waited}{own}"
    if "refused" in circuit and circuit["status"] == "refused":
        refused = circuit["refused"]
        where = f" at {refused['where']}" if refused["where"] else ""
        yield f"{name} refused{where} ({refused['code']}): {refused['reason']}"
    for down in circuit.get("downs", ()):
        lasted, gap = _seconds(down["for_s"]), _seconds(down["without_pairs_s"])
        yield f"{name} down at {_seconds(down['at_s'])} for {lasted}, without pairs for {gap}: {down['reason']}"
    if circuit.get("discards"):
        yield f"{name} discards: " + ", ".join(f"{count} {reason}" for reason, count in circuit["discards"].items())
    if circuit.get("mismatched_pairs"):
        yield f"{name}: {circuit['mismatched_pairs']} pairs whose ends were not entangled with each other alone"
    if circuit.get("delivered_at_one_end_only"):
        yield f"{name}: {circuit['delivered_at_one_end_only']} pairs were given to one end only"


def _memory(nodes: dict[str, dict[str, dict[str, Any]]]) -> Table:
    """Occupied slots of the nodes that held anything."""
    table = Table("node", "communication", "storage", title="Occupied slots: mean, peak of all", title_justify="left")
    for name, roles in nodes.items():
        if any(use["peak"] for use in roles.values()):
            cells = [roles.get(role) for role in ("communication", "storage")]
            table.add_row(
                name, *(f"{use['mean']:.2f}, {use['peak']} of {use['slots']}" if use else "" for use in cells)
            )
    return table


def rendered(report: dict[str, Any]) -> RenderableType:
    """The whole report as tables and lines."""
    parts: list[RenderableType] = [
        Text(
            f"{report['scenario']}  seed {report['seed']}  pace {report['pace']}: {_seconds(report['virtual_s'])} of "
            f"virtual time in {_seconds(report['wall_s'])} of wall time; {report['ended_because']}"
        )
    ]
    if len(report["links"]) > MOST_LINKS_IN_FULL:
        parts.append(_links(report["links"]) if any(link["pairs"] for link in report["links"].values()) else "")
    else:
        parts += [_link(name, link) for name, link in report["links"].items()]
    if report["circuits"]:
        parts += _circuits(report["circuits"])
        parts.append(_memory(report["nodes"]))
    for fault in report["faults"]:
        what = "is healed" if fault["kind"] == "healed" else fault["fault"].replace("_", " ")
        parts.append(Text(f"at {_seconds(fault['at_s'])}: {fault['name']} ({what})", style="yellow"))
    for name, effects in report["fault_effects"].items():
        did = ", ".join(f"{what.replace('_', ' ')} {count}" for what, count in effects.items())
        parts.append(Text(f"{name} did: {did}", style="yellow"))
    for each in report["routing"]["convergence"]:
        parts.append(Text(f"routes last changed {_seconds(each['for_s'])} after {each['after']}"))
    if report["results"]:
        results = Table("application", "result", "value", title="What the applications report", title_justify="left")
        for application, values in report["results"].items():
            for name, value in values.items():
                results.add_row(application, name, _number(value))
        parts.append(results)
    if report["theory"] and len(report["links"]) <= MOST_LINKS_IN_FULL:
        theory = Table(
            "link", "quantity", "value", title="In theory, for the pairs as they were used", title_justify="left"
        )
        for link_name, values in report["theory"].items():
            for name, value in values.items():
                theory.add_row(link_name, name.replace("_", " "), f"{value:.5f}")
        parts.append(theory)
    processes = Table("process", "id", "status", title="Processes", title_justify="left")
    for process in report["processes"][:40]:
        processes.add_row(process["name"], str(process["process_id"]), process["status"])
    if len(report["processes"]) > 40:
        processes.add_row(f"... {len(report['processes']) - 40} more", "", "")
    parts.append(processes)
    for recovery in report["recoveries"]:
        at, took = _seconds(recovery["at_s"]), _seconds(recovery["took_s"])
        text = f"the fabric was {recovery['cause']} and recovered at virtual time {at}; that took {took}"
        parts.append(Text(text, style="yellow"))
    late = report["lateness"]
    if late["grants"]:
        parts.append(
            Text(
                f"Lateness of {late['grants']} grants: p50 {_seconds(late['p50_s'])}, p99 {_seconds(late['p99_s'])}, "
                f"max {_seconds(late['max_s'])}"
            )
        )
    deterministic = "deterministic" if report["deterministic"] else "not deterministic (input from outside)"
    parts.append(
        Text(f"{report['events']} events, {report['messages']} messages, digest {report['digest']}, {deterministic}")
    )
    for expectation in report["expectations"]:
        mark = Text(
            "agrees  " if expectation["holds"] else "DIFFERS ", style="green" if expectation["holds"] else "red"
        )
        parts.append(Text.assemble(mark, f"{expectation['name']}: {expectation['line']}"))
    for verdict in report.get("checks", ()):
        word, style = ("holds   ", "green") if verdict["holds"] else ("BROKEN  ", "red")
        parts += [Text.assemble((word, style), line) for line in checks.lines(verdict)]
    return Group(*parts)


def as_text(report: dict[str, Any]) -> str:
    """The report without colours, for a file."""
    console = Console(width=160, no_color=True, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(rendered(report))
    return capture.get()
