"""Long runs of every application beside theory, and pictures of what noise does to them.

scripts/applications [--trials N] [--processes] [--write] [--pictures] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "physics"), str(ROOT / "tests" / "applications")]

from faulted import FAULTED  # noqa: E402
from shares import Share, deviation  # noqa: E402
from theory import BOUNDS, SHARES  # noqa: E402
from unmodified import play  # noqa: E402
from variants import DIRECTORY, NAMES, Variant, read  # noqa: E402

PAGES = ROOT / "docs" / "applications"
COST = {"anonymous_transmission": 4, "blind_computing": 3, "distributed_circuit": 4, "verified_blind_computing": 3}
"""How many times fewer rounds, for those of which each is long."""
RUN_DEADLINE_S = 1800
FIDELITIES = (0.7, 0.8, 0.9, 1.0)
PICTURE_TRIALS = 300


def run(variant: Variant) -> dict[str, float]:
    """What the programs of a run of real processes report; its checks hold."""
    with tempfile.TemporaryDirectory(prefix="qloom-") as place:
        file = Path(place) / "scenario.json"
        file.write_text(json.dumps({**variant.document, "directory": str(DIRECTORY)}))
        command = [sys.executable, "-m", "orchestrator", "run", str(file), "--json", "--out", f"{place}/run"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_DEADLINE_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{variant.document['name']} ended with {done.returncode}: {done.stdout}{done.stderr}")
    reported = json.loads(done.stdout)["results"]
    return {f"{program}.{name}": value for program, values in reported.items() for name, value in values.items()}


def rows(name: str, trials: int, *, processes: bool) -> Iterator[str]:
    """Lines of the table: every share of every variant."""
    asked = read(name).of_length(trials // COST.get(name, 1))
    faulted = FAULTED[name]
    for title, variant, theory in (
        ("ideal", asked.ideal(), SHARES[name]),
        ("noisy", asked.with_seed(2), SHARES[name]),
        ("over repeaters", asked.over_repeaters().with_seed(3), SHARES[name]),
        ("with faults", faulted.of(asked).with_seed(4), faulted.theory or SHARES[name]),
    ):
        if title == "over repeaters" and not asked.can_have_repeaters:
            continue
        results = run(variant) if processes else play(variant.scenario, DIRECTORY).results
        for share in theory(variant.noise):
            found, of = results[share.value], int(results[share.of])
            sigmas = deviation(share, found, of)
            yield f"| {name} | {title} | `{share.value}` | {of} | {found:.4f} | {share.probability:.4f} | {sigmas:+.1f} |"


def picture(name: str) -> None:
    """Shares against the links' fidelity, measured and in theory, over a link and over a repeater."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.4, 3.8), layout="constrained")
    asked = read(name).of_length(max(60, PICTURE_TRIALS // COST.get(name, 1)))
    shares = _moved_by_noise(asked, name)
    for marker, variant in (("o", asked), ("s", asked.over_repeaters()))[: 1 + asked.can_have_repeaters]:
        way = "a link" if variant is asked else "a repeater"
        found: dict[str, list[tuple[float, float, float]]] = {share.value: [] for share in shares}
        for fidelity in FIDELITIES:
            at = variant.with_noise(replace(variant.noise, fidelity=fidelity))
            results = play(at.scenario, DIRECTORY).results
            for share in SHARES[name](at.noise):
                if share.value in found:
                    value, of = results[share.value], results[share.of]
                    found[share.value].append((fidelity, value, (value * (1 - value) / max(of, 1)) ** 0.5))
        for number, share in enumerate(shares):
            colour = f"C{number}"
            line = [0.7 + 0.02 * i for i in range(16)]
            in_theory = [_probability(name, variant, fidelity, share) for fidelity in line]
            style = "-" if variant is asked else "--"
            axes.plot(line, in_theory, style, color=colour, linewidth=1.2)
            x, y, error = zip(*found[share.value], strict=True)
            label = f"{share.value.partition('.')[2].replace('_', ' ')}, over {way}"
            axes.errorbar(
                x,
                y,
                error,
                fmt=marker,
                color=colour,
                markersize=4,
                capsize=2,
                label=label,
                mfc="white" if way != "a link" else None,
            )
    if name in BOUNDS:
        bound, meaning = BOUNDS[name]
        axes.axhline(bound, color="0.6", linewidth=0.8)
        axes.annotate(meaning, (1.0, bound), ha="right", va="bottom", color="0.4", fontsize=8)
    axes.set_xlabel("fidelity of each link")
    axes.set_ylabel("share; lines: theory")
    figure.legend(loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    (PAGES / "pictures").mkdir(exist_ok=True)
    figure.savefig(PAGES / "pictures" / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def _probability(name: str, variant: Variant, fidelity: float, share: Share) -> float:
    theory = SHARES[name](replace(variant.noise, fidelity=fidelity))
    return next(each.probability for each in theory if each.value == share.value)


def _moved_by_noise(variant: Variant, name: str) -> list[Share]:
    shares = SHARES[name](variant.noise)
    moved = [share for share in shares if abs(share.probability - _probability(name, variant, 0.7, share)) > 1e-3]
    return (moved or shares)[:3]


HEAD = """# Measured

Written by `scripts/applications --trials {trials} --write`. *Ideal*: no noise, so the share is the protocol's own. *Noisy*: the
scenario as it comes. *Over repeaters*: a router in the middle of every link, the program unchanged. *With faults*: what
`tests/applications/faulted.py` lists. Theory: `tests/applications/theory.py`. The last column is the distance from theory
in standard deviations of the binomial distribution. Programs, nodes and fabric run in one process, which gives the same numbers
as `--processes` (a test compares them) in less time.

| application | run | share | of | measured | theory | sigmas |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES)
    parser.add_argument("--trials", type=int, default=2000, help="rounds of each run")
    parser.add_argument("--processes", action="store_true", help="as real processes: the same numbers, slower")
    parser.add_argument("--write", action="store_true", help="into docs/applications/results.md")
    parser.add_argument("--pictures", action="store_true", help="draw docs/applications/pictures instead")
    asked = parser.parse_args()
    if asked.pictures:
        for name in asked.names:
            picture(name)
        return
    text = HEAD.format(trials=asked.trials)
    print(text, end="")
    for name in asked.names:
        for row in rows(name, asked.trials, processes=asked.processes):
            print(row, flush=True)
            text += row + "\n"
    if asked.write:
        (PAGES / "results.md").write_text(text)


if __name__ == "__main__":
    main()
