"""Rounds of sudden death: a run in which one process is killed at a random moment, and what must be true after it."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass

from program import COMMAND_DEADLINE_S, Ended, World, wait_until

VICTIMS = {
    "supervisor": "qloom: supervisor",
    "agent": "qloom: agent",
    "node": "qloom: node bob",
    "application": "qloom: application one",
}
"""Titles by kind of victim; a killed fabric is no end, see ``fabric_kills``."""
LATEST_KILL_S = 1.5
ONE = """\
import os, time
from qnode.sdk import attach
if os.fork() == 0:
    time.sleep(600)
with attach() as session:
    print("attached")
    while True:
        session.send("bob", bytes([session.measure(session.request_pair("bob"))]))
"""
TWO = """\
import subprocess, sys
from qnode.sdk import attach
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session={session})
with attach() as session:
    while True:
        session.measure(session.request_pair("alice"))
        session.receive("alice")
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One kill and its aftermath."""

    victim: str
    delay_s: float
    told_s: float
    """From the kill to the end of the command that was waiting."""
    clean_s: float
    """From the kill until nothing was left."""


def endless(world: World, *, own_session: bool = True) -> str:
    """A scenario that never ends, whose programs have children of their own, one in a session of its own if wished."""
    programs = {"one": ("alice", ONE), "two": ("bob", TWO.format(session=own_session))}
    return str(world.scenario(programs))


def kill_round(world: World, victim: str, random_numbers: random.Random, *, attached: bool = False) -> Round:
    """Start a run, kill ``victim`` at a random moment, and see that it is told and that nothing is left.

    The moment is one after the start, or one after a program has ``attached``.

    Raises:
        AssertionError: the command did not say what died, or something is left.
    """
    # who leaves its session can be found by a living agent only
    running = world.start("run", endless(world, own_session=victim != "agent"), "--out", "out")
    if attached:
        log = world.directory / "out" / "logs" / "application-one.log"
        wait_until(lambda: log.exists() and log.read_text(), "the application to attach")
    delay_s = random_numbers.uniform(0, LATEST_KILL_S / (4 if attached else 1))
    time.sleep(delay_s)  # the random moment itself, not a wait for anything
    process = running.pid if victim == "supervisor" else None
    if process is None:
        process = wait_until(lambda: world.process(VICTIMS[victim]), f"the {victim} to be there")
    os.kill(process, signal.SIGKILL)
    killed = time.monotonic()
    ended = world.ended(running, deadline_s=COMMAND_DEADLINE_S)
    told_s = time.monotonic() - killed
    world.wait_until_clean()
    clean_s = time.monotonic() - killed
    check(victim, process, ended)
    return Round(victim, delay_s, told_s, clean_s)


def check(victim: str, process: int, ended: Ended) -> None:
    """The command that was waiting says what died."""
    if victim == "supervisor":
        assert ended.code == -signal.SIGKILL, ended
        return
    stories = {
        "agent": (f"the agent (process {process}) died", f"the agent (process {process}) is gone", "the agent did not"),
        "node": (f"node bob (process {process}) died: killed by SIGKILL",),
        "application": ("application one had ended: killed by SIGKILL",),
    }
    assert ended.code == 3, ended
    assert any(story in ended.err for story in stories[victim]), ended
    assert "Traceback" not in ended.err, ended


def interrupt_round(world: World, delay_s: float) -> Round:
    """Start a run and press Ctrl-C after ``delay_s``: the terminal signals the whole process group.

    Raises:
        AssertionError: it ended with a traceback of ours, or something is left.
    """
    running = world.start("run", endless(world))
    time.sleep(delay_s)  # the moment itself
    os.killpg(running.pid, signal.SIGINT)
    pressed = time.monotonic()
    ended = world.ended(running)
    told_s = time.monotonic() - pressed
    world.wait_until_clean()
    clean_s = time.monotonic() - pressed
    if ended.code == 3:
        assert ended.err == "qloom: ended by SIGINT\n", ended
    else:  # before the program's first line, the interpreter says in its own way that it was interrupted
        assert ended.code == (1 if "Fatal Python error: init_" in ended.err else -signal.SIGINT), ended
        assert "orchestrator/" not in ended.err.replace("orchestrator/__main__.py", ""), ended
    return Round("Ctrl-C", delay_s, told_s, clean_s)
