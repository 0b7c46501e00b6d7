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


def rendered(report: dict[str, Any]) -> RenderableType:
    """The whole report as tables and lines."""
    parts: list[RenderableType] = [
        Text(
            f"{report['scenario']}  seed {report['seed']}  pace {report['pace']}: {_seconds(report['virtual_s'])} of "
            f"virtual time in {_seconds(report['wall_s'])} of wall time; {report['ended_because']}"
        )
    ]
    if report["links"]:
        links = Table(title="Links", title_justify="left")
        for column in ("link", "pairs", "attempts", "rate (Hz)", "in theory", "wait: mean", "in theory", "p90", "max"):
            links.add_column(column, justify="left" if column == "link" else "right")
        for column in ("F at herald, in theory", "F at use, oracle's view"):
            links.add_column(column, justify="right")
        for name, link in report["links"].items():
            waiting = link.get("waiting_s")
            links.add_row(
                name,
                str(link["pairs"]),
                str(link["attempts"]),
                _number(link["rate_hz"]) if waiting else "-",
                _number(link["expected_rate_hz"]),
                _seconds(waiting["mean"]) if waiting else "-",
                _seconds(link["expected_waiting_s"]) if waiting else "-",
                _seconds(waiting["p90"]) if waiting else "-",
                _seconds(waiting["max"]) if waiting else "-",
                f"{link['expected_fidelity_at_herald']:.5f}",
                f"{link['oracle_fidelity_at_use']:.5f}" if "oracle_fidelity_at_use" in link else "-",
            )
        parts.append(links)
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
