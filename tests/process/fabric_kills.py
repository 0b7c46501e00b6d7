"""Runs whose fabric is killed again and again: each must end as if nothing had happened."""

from __future__ import annotations

import os
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
    world: World, scenario: Path, at_bytes: Iterable[int] = (), *, out: str, arguments: tuple[str, ...] = ()
) -> Disturbed:
    """Run a scenario; its fabric is killed when the journal has grown to each of ``at_bytes``.

    So kills lie where the run is, however fast the machine; 0 is right after the start. What lies after the end of the
    run is not killed.
    """
    running = world.start("run", scenario, "--json", "--out", out, *arguments)
    journal = world.directory / out / "journal"
    kills, last = 0, None
    for wanted in at_bytes:
        fabric = None
        while running.poll() is None and (fabric in (None, last) or _size(journal) < wanted):
            time.sleep(LOOK_EVERY_S)
            fabric = world.process(FABRIC) if fabric in (None, last) else fabric
        if fabric is None or running.poll() is not None:
            break
        try:
            os.kill(fabric, signal.SIGKILL)
        except ProcessLookupError:
            break  # the run is over
        kills, last = kills + 1, fabric
    ended = world.ended(running, deadline_s=COMMAND_DEADLINE_S + 10 * (kills + 1))
    assert ended.code == 0, ended
    return Disturbed(kills, ended.report, _size(journal), (world.directory / out / "events.jsonl").read_bytes())
