"""A run in a process of its own: the very command that repeats it, given one directory for what it writes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.exit_codes import BAD_INPUT, EXPECTATION_FAILED, OK, TESTBED_FAILED
from orchestrator.trials.trial import Failure, Trial, of_failed_testbed, of_report

END_DEADLINE_S = 30.0
"""How long a run may take to end after it was told to."""


class BadInput(Exception):
    """The command line or the scenario cannot be run, with any seed."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs ``qloom run`` with the same options again and again."""

    options: tuple[str, ...]
    """Of the command line, beside scenario, seed and directory."""
    timeout_s: float
    """Wall seconds after which a run is ended and has failed."""

    async def __call__(self, scenario: Path, *, seed: int, out: Path) -> Trial:
        """One run. If it is cancelled, its processes are ended first.

        Raises:
            BadInput: there is no use in trying other seeds.
        """
        command = [sys.executable, "-P", "-m", "orchestrator", "run", str(scenario), *self.options]
        command += ["--seed", str(seed), "--json", "--out", str(out), "--ends-with", str(os.getpid())]
        began_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,  # an interrupt from the terminal is for the sweep, which passes it on
        )
        told = asyncio.create_task(process.communicate())
        try:
            async with asyncio.timeout(self.timeout_s):
                text, errors = await asyncio.shield(told)
        except TimeoutError:
            await _end(process, told)
            story = f"expected the run to end within {self.timeout_s:g} s of wall time, found it running"
            return Trial(seed, (Failure("timeout", story),), wall_s=time.monotonic() - began_s, run_directory=str(out))
        finally:
            await _end(process, told)
        return trial_of(
            process.returncode, text, errors.decode(errors="replace"), seed, time.monotonic() - began_s, out
        )


async def _end(process: asyncio.subprocess.Process, told: asyncio.Task[tuple[bytes, bytes]]) -> None:
    """Interrupt the process if it runs, and wait for its end, whatever happens to us."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    ended, _ = await asyncio.wait({told}, timeout=END_DEADLINE_S)
    if not ended:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.wait({told}, timeout=END_DEADLINE_S)


def trial_of(code: int | None, text: bytes, errors: str, seed: int, wall_s: float, out: Path) -> Trial:
    """What a run's exit code and its standard output and error say of it.

    Raises:
        BadInput: no seed can be run.
    """
    if code in (OK, EXPECTATION_FAILED):
        return of_report(json.loads(text), seed=seed, wall_s=wall_s)
    story = errors.strip().removeprefix("qloom: ")
    if code == BAD_INPUT:
        raise BadInput(story)
    if code == TESTBED_FAILED:
        if text:
            story = json.loads(text)["error"]
        return of_failed_testbed(story, seed=seed, wall_s=wall_s, run_directory=str(out))
    ended = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    return Trial(
        seed, (Failure("died", f"the run ended by {ended}: {story[-400:]}"),), wall_s=wall_s, run_directory=str(out)
    )


def forget(trial: Trial) -> Trial:
    """Remove what a run wrote."""
    if trial.run_directory:
        directory = Path(trial.run_directory)
        for each in (directory, directory.with_name(f"{directory.name}-again")):
            shutil.rmtree(each, ignore_errors=True)
    return dataclasses.replace(trial, run_directory="")
