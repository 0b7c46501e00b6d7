"""A sweep: one run for each seed, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from orchestrator.trials.trial import Trial

T = TypeVar("T")


async def sweep(
    seeds: Iterable[int],
    run: Callable[[int], Awaitable[Trial]],
    *,
    jobs: int,
    heard: Callable[[Trial], None],
    until_failure: bool = False,
) -> None:
    """Run every seed, at most ``jobs`` at a time, begun in their order; ``heard`` is told of each run that is over.

    With ``until_failure`` the first one that fails ends the sweep, and what still runs is broken off. An error of
    ``run``, or a cancellation, likewise breaks off everything and is raised.
    """
    upcoming = iter(seeds)
    stopped = False

    async def work() -> None:
        nonlocal stopped
        for seed in upcoming:
            trial = await run(seed)
            if stopped:
                return
            heard(trial)
            if until_failure and not trial.passed:
                stopped = True
                return

    workers = {asyncio.create_task(work()) for _ in range(jobs)}
    try:
        pending = workers
        while pending and not stopped:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for worker in done:
                worker.result()
    finally:
        await _broken_off(workers)


async def first(candidates: Iterable[Callable[[], Awaitable[bool]]], *, jobs: int) -> int | None:
    """The index of the first candidate that comes true, in their order, or None; at most ``jobs`` are tried at a time.

    Which one it is does not depend on which is tried fastest: those before it have been tried to their end.
    """
    waiting = list(enumerate(candidates))
    running: dict[asyncio.Task[bool], int] = {}
    best: int | None = None
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                index, candidate = waiting.pop(0)
                running[asyncio.ensure_future(candidate())] = index
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                index = running.pop(task)
                if task.result() and (best is None or index < best):
                    best = index
            if best is not None:
                waiting.clear()
                later = {task for task, index in running.items() if index > best}
                running = {task: index for task, index in running.items() if index < best}
                await _broken_off(later)
    finally:
        await _broken_off(set(running))
    return best


async def _broken_off(tasks: set[asyncio.Task[T]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
