"""A run in a process of its own: the very command that repeats it, given one directory for what it writes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path
from types import TracebackType

from orchestrator.exit_codes import BAD_INPUT, EXPECTATION_FAILED, OK, TESTBED_FAILED
from orchestrator.launch import protocol
from orchestrator.launch.local import LaunchError, LocalAgent
from orchestrator.launch.nursery import Nursery
from orchestrator.run_directory import SocketDirectory
from orchestrator.trials.trial import Failure, Trial, of_failed_testbed, of_report

END_DEADLINE_S = 30.0
"""How long a run may take to end after it was told to."""
AGENT_LOG = "agent.log"
PROGRAM = "orchestrator.cli.swept_run"
NURSERY = "QLOOM_SWEEP_NURSERY"
"""The variable in which a run finds the descriptor of the way to the nursery."""


class BadInput(Exception):
    """The command line or the scenario cannot be run, with any seed."""


class Runs:
    """Runs ``qloom run`` with the same options again and again, as a context manager.

    An agent forks them, and theirs are born in a nursery: none imports again what the one before has imported.
    """

    def __init__(self, directory: Path, options: tuple[str, ...], timeout_s: float) -> None:
        """
        Args:
            directory: where the log of what starts them is kept if that fails.
            options: of the command line, beside scenario, seed and directory.
            timeout_s: wall seconds after which a run is ended and has failed.
        """
        self._directory = directory
        self._options = options
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._ends: dict[str, asyncio.Future[int]] = {}

    async def __aenter__(self) -> Runs:
        """Raises: LaunchError, RunDirectoryError: there is no agent."""
        self._sockets = SocketDirectory.create()
        self._nursery = Nursery()
        log = self._directory / AGENT_LOG
        try:
            way = self._nursery.fileno()
            self._agent = await LocalAgent.start(self._sockets.path, log, lock=self._sockets.lock, descriptors=(way,))
            await self._agent.send(protocol.Orphans(grace_s=END_DEADLINE_S))
            await self._agent.send(protocol.WarmUp(modules=(PROGRAM,)))
        except BaseException:
            self._nursery.close()
            self._sockets.remove()
            raise
        self._environment = {**os.environ, NURSERY: str(way)}
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._agent.send_shutdown(grace_s=END_DEADLINE_S)
        await asyncio.wait({self._reader}, timeout=2 * END_DEADLINE_S)
        self._reader.cancel()
        if await self._agent.wait_gone(END_DEADLINE_S):
            (self._directory / AGENT_LOG).unlink(missing_ok=True)
        self._nursery.close()
        self._sockets.remove()

    async def _read(self) -> None:
        """Hear of ends until the agent is gone."""
        while (message := await self._agent.receive()) is not None:
            if isinstance(message, protocol.Ended) and message.name in self._ends:
                self._ends[message.name].set_result(message.code)
            elif isinstance(message, protocol.NotStarted):
                self._ends[message.name].set_exception(LaunchError(f"a run could not be started: {message.reason}"))
        for end in self._ends.values():
            if not end.done():
                end.set_exception(
                    LaunchError(f"the agent that starts the runs is gone; its log: {self._directory / AGENT_LOG}")
                )

    async def __call__(self, scenario: Path, *, seed: int, out: Path) -> Trial:
        """One run. If it is cancelled, its processes are ended first.

        Raises:
            BadInput: there is no use in trying other seeds.
            LaunchError: the agent is gone, or cannot start it.
        """
        name = f"run {next(self._numbers)}"
        output, errors = (self._sockets.path / f"{name}.{suffix}" for suffix in ("out", "err"))
        command = ("qloom", "run", str(scenario), *self._options, "--seed", str(seed), "--json", "--out", str(out))
        began_s = time.monotonic()
        end = self._ends[name] = asyncio.get_running_loop().create_future()
        start = protocol.StartCommand(
            name=name,
            command=command,
            module=PROGRAM,
            environment=self._environment,
            directory=os.getcwd(),
            log=str(errors),
            output=str(output),
        )
        try:
            await self._agent.send(start)
            async with asyncio.timeout(self._timeout_s):
                code = await asyncio.shield(end)
            told = output.read_bytes(), errors.read_text(errors="replace")
        except TimeoutError:
            story = f"expected the run to end within {self._timeout_s:g} s of wall time, found it running"
            return Trial(seed, (Failure("timeout", story),), wall_s=time.monotonic() - began_s, run_directory=str(out))
        finally:
            await self._ended(name)
            for file in (output, errors):
                file.unlink(missing_ok=True)
        return trial_of(code, *told, seed, time.monotonic() - began_s, out)

    async def _ended(self, name: str) -> None:
        """Interrupt the run if it goes on, and wait for its end, whatever happens to us."""
        end = self._ends[name]
        for number in (signal.SIGINT, signal.SIGKILL):
            if not end.done():
                with contextlib.suppress(LaunchError):
                    await self._agent.send(protocol.Signal(name=name, number=number))
                await asyncio.wait({end}, timeout=END_DEADLINE_S)
        del self._ends[name]


def trial_of(code: int, text: bytes, errors: str, seed: int, wall_s: float, out: Path) -> Trial:
    """What a run's exit code and its standard output and error say of it.

    Raises:
        BadInput: no seed can be run.
    """
    try:
        told = json.loads(text) if text else {}
    except ValueError:
        told = {}  # the disk had no room for all of it
    if code in (OK, EXPECTATION_FAILED) and told:
        return of_report(told, seed=seed, wall_s=wall_s)
    story = errors.strip().removeprefix("qloom: ")
    if code == BAD_INPUT:
        raise BadInput(story)
    if code == TESTBED_FAILED:
        story = told.get("error", story)
        return of_failed_testbed(story, seed=seed, wall_s=wall_s, run_directory=str(out))
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    if code in (OK, EXPECTATION_FAILED):
        ended += " and without a whole report; is the disk of its sockets full?"
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
