"""Runs whose fabric is killed again and again: each must end as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from program import COMMAND_DEADLINE_S, World

FABRIC = "qloom: fabric"
LOOK_EVERY_S = 0.001
"""How often to look how far a run is: the kernel has no event for it."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A run and the kills that its fabric got."""

    kills: int
    report: dict[str, Any]
    journal_bytes: int
    events: bytes

    @property
    def recovery_s(self) -> list[float]:
        """Wall seconds from each death to the return of the last node."""
        return [each["took_s"] for each in self.report["recoveries"]]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def run_with_kills(
    world: World,
    scenario: Path,
    at_bytes: Iterable[int] = (),
    *,
    out: str,
    arguments: tuple[str, ...] = (),
    victims: tuple[str, ...] = (FABRIC,),
) -> Disturbed:
    """Run a scenario; its fabric is killed when the journal has grown to each of ``at_bytes``.

    ``victims``: who is killed, in this order, the fabric last.

    So kills lie where the run is, however fast the machine; 0 is right after the start. What lies after the end of the
    run is not killed.
    """
    running = world.start("run", scenario, "--json", "--out", out, *arguments)
    journal = world.directory / out / "journal"
    kills, last = 0, None
    for wanted in at_bytes:
        fabric = None
        while running.poll() is None and (fabric in (None, last) or _size(journal) < wanted):
            time.sleep(LOOK_EVERY_S)  # between looks; the timeout of the test is the deadline
            fabric = world.process(FABRIC) if fabric in (None, last) else fabric
        if fabric is None or running.poll() is not None:
            break
        try:
            for victim in map(world.process, victims):
                if victim is not None:
                    os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            break  # the run is over
        kills, last = kills + 1, fabric
    ended = world.ended(running, deadline_s=COMMAND_DEADLINE_S + 10 * (kills + 1))
    assert ended.code == 0, ended
    return Disturbed(kills, ended.report, _size(journal), (world.directory / out / "events.jsonl").read_bytes())


def random_kills(
    world: World, scenario: Path, count: int, random_numbers: random.Random, *, at_most_a_run: int = 3
) -> dict[str, Any]:
    """Kill fabrics at ``count`` random moments, one to ``at_most_a_run`` of them in each run of a scenario.

    Returns how it went, with the wall seconds from each death to the return of the last node.

    Raises:
        AssertionError: a run ended in another way than undisturbed.
    """
    undisturbed = run_with_kills(world, scenario, out="undisturbed")
    done: list[Disturbed] = []
    while (left := count - sum(each.kills for each in done)) > 0:
        kills = random_numbers.randint(1, min(left, at_most_a_run))
        moments = sorted(random_numbers.randrange(undisturbed.journal_bytes) for _ in range(kills))
        disturbed = run_with_kills(world, scenario, moments, out=f"disturbed-{len(done)}")
        assert disturbed.report["digest"] == undisturbed.report["digest"], moments
        assert disturbed.events == undisturbed.events, moments
        done.append(disturbed)
    took_s = sorted(seconds for each in done for seconds in each.recovery_s)
    return {
        "kills": sum(each.kills for each in done),
        "runs": len(done),
        "recoveries": len(took_s),
        "recovery_p50_s": took_s[len(took_s) // 2],
        "recovery_max_s": took_s[-1],
        "undisturbed_wall_s": undisturbed.report["wall_s"],
    }
