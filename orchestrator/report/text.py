"""The report as a person reads it on a terminal or in ``report.txt``."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text


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


def rendered(report: dict[str, Any]) -> RenderableType:
    """The whole report as tables and lines."""
    parts: list[RenderableType] = [
        Text(
            f"{report['scenario']}  seed {report['seed']}  pace {report['pace']}: {_seconds(report['virtual_s'])} of "
            f"virtual time in {_seconds(report['wall_s'])} of wall time; {report['ended_because']}"
        )
    ]
    if report["links"]:
        for name, link in report["links"].items():
            parts.append(_link(name, link))
    if report["results"]:
        results = Table("application", "result", "value", title="What the applications report", title_justify="left")
        for application, values in report["results"].items():
            for name, value in values.items():
                results.add_row(application, name, _number(value))
        parts.append(results)
    if report["theory"]:
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
    return Group(*parts)


def as_text(report: dict[str, Any]) -> str:
    """The report without colours, for a file."""
    console = Console(width=160, no_color=True, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(rendered(report))
    return capture.get()
