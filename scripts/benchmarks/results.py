"""docs/results.md, written from the figures that the scripts measured and kept under docs/results/."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
    }


def keep(name: str, figures: dict[str, Any]) -> None:
    """Keep one script's figures (parts that were not measured this time stay) and write the page again."""
    directory = DOCS / "results"
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    dates = {**before.get("dates", {}), **figures.get("dates", {})}
    path.write_text(json.dumps({**before, **figures, **({"dates": dates} if dates else {})}, indent=2) + "\n")
    (DOCS / "results.md").write_text(page())


def page() -> str:
    """The whole page."""
    lines = [
        "# Results",
        "",
        "Written by the scripts named below; nothing here is typed by hand. Ratios compare with a bare baseline that",
        "was measured in the same run on the same machine.",
        "",
    ]
    for path in sorted((DOCS / "results").glob("*.json")):
        figures = json.loads(path.read_text())
        writer = {"bench": _bench, "netqasm": _netqasm_applications, "siege": _siege, "soak": _soak}[path.stem]
        lines += writer(figures)
    return "\n".join(lines) + "\n"


def _heading(title: str, figures: dict[str, Any]) -> list[str]:
    machine = figures["machine"]
    return [
        f"## {title}",
        "",
        f"`{figures['command']}`, {figures['date']}: {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"Python {machine['python']}, {machine['system']}.",
        "",
    ]


def _netqasm(rates: dict[str, Any]) -> list[str]:
    if "not_measured" in rates:
        return [rates["not_measured"], ""]
    rows: list[list[Any]] = []
    for name, rate in rates.items():
        other = rate.get("simulaqron")
        ratio = ["", ""] if other is None else [f"{other:.3g}", f"{rate['per_second'] / other:,.0f}"]
        rows.append([name.replace("_", " "), rate["per_second"], *ratio])
    told = "SimulaQron 4.1.2 ran the same two programs in the same run: stabiliser backend, else its stock settings."
    compared = any("simulaqron" in rate for rate in rates.values())
    table = _table(["", "a second", "SimulaQron, a second", "times"], rows)
    return [told, "", *table] if compared else table


def _table(columns: list[str], rows: list[list[Any]]) -> list[str]:
    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        return str(value)

    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*head, *("| " + " | ".join(map(cell, row)) + " |" for row in rows), ""]


def _bench(figures: dict[str, Any]) -> list[str]:
    lines = _heading("Speed", figures)
    days = sorted(set(figures["dates"].values()))
    if len(days) > 1:
        parts = {day: ", ".join(part for part, date in figures["dates"].items() if date == day) for day in days}
        lines += ["Measured on " + "; on ".join(f"{day}: {names}" for day, names in parts.items()) + ".", ""]
    if "startup" in figures:
        lines += ["### Node processes up and connected", ""]
        lines += ["A testbed's own start, which is mostly the import of QuTiP in the fabric, is in every row.", ""]
        lines += _table(
            ["nodes", "seconds", "bare ZeroMQ children, s", "ratio", "MB a node (PSS)", "MB bare"],
            [
                [
                    count,
                    row["seconds"],
                    row["bare_seconds"],
                    row["ratio_to_bare"],
                    row["pss_mb_per_node"],
                    row["bare_pss_mb"],
                ]
                for count, row in figures["startup"].items()
            ],
        )
    if "runs" in figures:
        part = figures["runs"]
        lines += ["### Whole runs, from the command to its end", ""]
        lines += [f"`qloom run {part['scenario']}`; a sweep has {part['seeds']} seeds. Bare: `import qutip`.", ""]
        alone, bare = part["alone_seconds"], part["bare_import_seconds"]
        rows = [["alone", alone, alone / bare]]
        for jobs, seconds in part["swept_seconds"].items():
            rows.append([f"one of a sweep's, `--jobs {jobs}`", seconds, seconds / bare])
        lines += _table(["run", "seconds", "ratio to bare"], [*rows, ["bare interpreter", bare, 1.0]])
    if "rates" in figures:
        rates = dict(figures["rates"])
        bare = rates.pop("bare_round_trips_per_second")
        one_core = rates.pop("bare_round_trips_per_second_on_one_core", 0.0)
        lines += ["### Two application processes on two nodes, pace max", ""]
        lines += [
            f"Bare ZeroMQ request and reply in the same run: {bare:,.0f} a second across cores, {one_core:,.0f} on one",
            "core (where networks of up to four nodes run, see `placement`).",
            "",
        ]
        lines += _table(
            ["", "a second", "ratio to bare request-reply"],
            [[name.replace("_", " "), row["per_second"], row["ratio_to_bare"]] for name, row in rates.items()],
        )
    if "netqasm" in figures:
        lines += ["### Programs for the NetQASM SDK on one and two nodes, pace max", ""]
        lines += _netqasm(figures["netqasm"])
    if "activations" in figures:
        part = figures["activations"]
        lines += ["### Empty node activations (GRANT and BLOCK)", ""]
        lines += [f"Bare request and reply in the same run: {part['bare_round_trips_per_second']:,.0f} a second.", ""]
        rows = [[count, row["per_second"], row["ratio_to_bare"]] for count, row in part["nodes"].items()]
        lines += _table(["nodes", "a second", "ratio to bare"], rows)
    if "crowd" in figures:
        part = figures["crowd"]
        lines += ["### One pair's life among others", ""]
        lines += _table(
            ["other pairs alive", "µs of wall time a pair"],
            [list(row) for row in part["microseconds_per_pair"].items()],
        )
        lines += [f"Medians of runs in turn; largest over least: {part['largest_over_least']:.2f}.", ""]
    if "ghz" in figures:
        lines += ["### GHZ states over n nodes, every qubit held", ""]
        rows = [
            [kind.replace("_", " "), size, row["held_s"], row["seconds"], "yes" if row["agreeing"] else "NO"]
            for kind, sizes in figures["ghz"].items()
            for size, row in sizes.items()
        ]
        lines += _table(["state", "nodes", "s until all hold", "s until all measured", "all bits agree"], rows)
    if "chains" in figures:
        part = figures["chains"]
        lines += ["### 100 end-to-end pairs over a chain of repeaters", ""]
        lines += [
            "20 km links, 10 memories a node, swap as soon as possible, pace max; every node is a process. From the",
            "request to the last pair, and in all, from an empty machine to the report. SeQUeNCe 1.3.1 (Wu et al.,",
            "Quantum Sci. Technol. 6 045027, 2021) ran in turn on the same machine, bell_diagonal and single_heralded:",
            "building and running, and with its import.",
            "",
        ]
        columns = {
            "seconds": "qloom, s",
            "sequence_s": "SeQUeNCe, s",
            "times_faster": "times faster",
            "in_all_s": "qloom in all, s",
            "sequence_in_all_s": "SeQUeNCe in all, s",
            "times_faster_in_all": "times faster",
        }
        rows = [[count, *(row.get(name, "-") for name in columns)] for count, row in part["nodes"].items()]
        lines += _table(["nodes", *columns.values()], rows)
        ratio = part["cost_per_pair_and_link_last_over_first"]
        lines += [f"Cost of a pair and link on the longest chain over that on the shortest: {ratio:.2f}.", ""]
    if "metropolitan" in figures:
        part = figures["metropolitan"]
        lines += ["### The Beijing metropolitan network", ""]
        lines += _table(["", "value"], [[name.replace("_", " "), value] for name, value in part.items()])
    if "pace" in figures:
        part = figures["pace"]
        lines += ["### Pace 1.0", ""]
        lines += _table(["", "value"], [[name.replace("_", " "), value] for name, value in part.items()])
    return lines


def _netqasm_applications(figures: dict[str, Any]) -> list[str]:
    lines = [
        "## NetQASM applications",
        "",
        "`scripts/netqasm`: the thirteen applications bundled with the package netqasm, unmodified. Ideal: a link",
        "between any two roles. Noisy: two repeaters, two end nodes at each, Werner pairs of fidelity "
        f"{figures['fidelity']} on every link.",
        "Where theory gives no distribution but a value, the deviation is what was found, and must be below 0.002. All",
        "runs have the same seed, so that rows are not independent.",
        "",
        "| application | network | check | n | found | theory | deviation |",
        "|---|---|---|---|---|---|---|",
    ]
    for study in figures["studies"]:
        network = "noisy" if study["noisy"] else "ideal"
        for check in study["checks"]:
            off = f"{check['sigmas']:.1f} sigma" if check["sigma"] else f"{abs(check['found'] - check['expected']):.1g}"
            lines.append(
                f"| {study['application']} | {network} | {check['what']} | {check['n']} | {check['found']:.4g} "
                f"| {check['expected']:.4g} | {off} |"
            )
    return [*lines, ""]


def _siege(figures: dict[str, Any]) -> list[str]:
    lines = _heading("Hostile clients", figures)
    lines += [
        "Real frames, bent, torn, spliced and blown up, from strangers (by Unix sockets and by TCP), from holders of",
        "keys that are good elsewhere or belong to somebody else, and from attached applications, while two honest",
        "programs make and measure pairs. Same: the honest programs' run has the digest that it has in peace; beside",
        "attached ones, who share its links, both ends of each pair read the same. Rate: of honest work, beside peace.",
        "Growth: of memory, the most of any process.",
        "",
    ]
    rows = [
        [
            mode,
            each["frames"],
            each["frames_per_s"],
            sum(each["refused"].values()),
            "yes" if each["same"] else "NO",
            each["rate"],
            max(each["growth_mebibytes"].values()),
        ]
        for mode, each in figures.items()
        if mode in ("ipc", "tcp", "attached")
    ]
    columns = ["clients", "frames", "frames/s", "refusals counted", "same", "rate", "growth, MiB"]
    return [*lines, *_table(columns, rows)]


def _soak(figures: dict[str, Any]) -> list[str]:
    lines = [
        "## Survival",
        "",
        "`scripts/soak` runs all parts; each part says how much of it was run, and how busy the machine was (load: the",
        "average of five minutes at its end). Wall times on a machine with other things to do are upper bounds.",
        "",
    ]
    writers = {
        "kills": _kills,
        "fabric": _fabric,
        "seeds-chain": _seeds,
        "seeds-metropolitan": _seeds,
        "example": _example,
    }
    for name, writer in writers.items():
        if name in figures:
            lines += writer(figures[name])
    return lines


def _part(title: str, part: dict[str, Any]) -> list[str]:
    _, _, *where = _heading(title, part)
    took = f"{part['wall_s']:,.0f} s, load {part['load']:.1f}, {len(part['failures'])} failures."
    return [f"### {title}", "", *where[:-1], took, ""]


def _kills(part: dict[str, Any]) -> list[str]:
    lines = _part("Sudden deaths", part)
    if "victims" not in part:
        return lines
    lines += [
        "One process is killed (SIGKILL), or the command interrupted, at a random moment of a run. Told: until the",
        "command that was waiting has said what died. Clean: until no process, socket or file of the run is left.",
        "",
    ]
    rows = [[kind, row["rounds"], row["worst_told_s"], row["worst_clean_s"]] for kind, row in part["victims"].items()]
    return lines + _table(["victim", "rounds", "told within, s", "clean within, s"], rows)


def _fabric(part: dict[str, Any]) -> list[str]:
    lines = _part("The fabric, killed at random moments", part)
    if "kills" not in part:
        return lines
    return [
        *lines,
        f"{part['kills']} kills in {part['runs']} runs: every digest and every event log as undisturbed. From",
        f"a death to the return of the last node: median {part['recovery_p50_s']:.3g} s, at most",
        f"{part['recovery_max_s']:.3g} s.",
        "",
    ]


def _seeds(part: dict[str, Any]) -> list[str]:
    network = "metropolitan network of 35 nodes" if "metropolitan" in part["command"] else "chain of ten nodes"
    lines = _part(f"Random faults on the {network}", part)
    if "seeds" not in part:
        return lines
    totals = {name: f"{value:,.0f}" for name, value in part["totals"].items()}
    broken = sorted({failure["kind"] for each in part["failures"] for failure in each["failures"]})
    verdict = f"broken: {', '.join(broken)}" if broken else "every invariant held, every digest was the same again"
    return [
        *lines,
        f"{part['seeds']} seeds from {part['first_seed']} on, each run twice, the second time with random pauses in",
        f"every node: {verdict}. Nothing was left behind.",
        f"In all {totals['faults']} faults, {totals['circuits']} circuits asked for, {totals['circuit pairs']} pairs",
        f"delivered, {totals['events']} events (each seed counted once); median {part['run_wall_p50_s']:.3g} s a run.",
        "",
    ]


def _example(part: dict[str, Any]) -> list[str]:
    rows = [[name, row["faults"], row["left"], row["runs"]] for name, row in part.get("bugs", {}).items()]
    lines = _part("Planted bugs, found by the example suite", part)
    return lines + _table(["bug", "faults drawn", "left after shrinking", "runs"], rows)
