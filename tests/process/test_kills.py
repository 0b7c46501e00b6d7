"""Whatever is killed, and whenever: nothing is left, and the command that was waiting says what died."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest
from kill_rounds import LATEST_KILL_S, VICTIMS, endless, interrupt_round, kill_round
from program import CLEAN_DEADLINE_S, World, wait_until

SEED = 20240807
ROUNDS = 8


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_kill_at_a_random_moment(world: World, number: int) -> None:
    victim = list(VICTIMS)[number % len(VICTIMS)]
    done = kill_round(world, victim, random.Random(f"{SEED} {number}"), attached=number < len(VICTIMS))
    assert done.told_s < 30


@pytest.mark.parametrize("number", range(3))
def test_ctrl_c_while_the_program_is_starting(world: World, number: int) -> None:
    for part in range(3):
        interrupt_round(world, random.Random(f"{SEED} {number} {part}").uniform(0, 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
def test_ctrl_c_at_a_random_moment(world: World, number: int) -> None:
    interrupt_round(world, random.Random(f"{SEED} {number}").uniform(0.3, LATEST_KILL_S))


@pytest.mark.slow
def test_pressing_ctrl_c_again_and_again_changes_nothing(world: World) -> None:
    running = world.start("run", endless(world), "--out", "out")
    log = world.directory / "out" / "logs" / "application-one.log"
    wait_until(lambda: log.exists() and log.read_text(), "the application to attach")

    def interrupted() -> bool:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGINT)
        return running.poll() is not None

    wait_until(interrupted, "the run to end of being interrupted", deadline_s=CLEAN_DEADLINE_S)
    ended = world.ended(running)
    world.wait_until_clean()
    assert "Traceback" not in ended.err
    assert ended.code in (3, -signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.4, 0.9])
def test_ctrl_c_while_waiting_for_a_detached_testbed(world: World, delay_s: float) -> None:
    starting = world.start("up", world.scenario({}), "-d")
    time.sleep(delay_s)  # the moment itself
    os.killpg(starting.pid, signal.SIGINT)
    ended = world.ended(starting)
    assert "Traceback" not in ended.err
    if ended.code == 0:
        assert len(json.loads(world.qloom("ps", "--json").out)["testbeds"]) == 1
        assert world.qloom("down").code == 0


@pytest.mark.slow
def test_supervisor_and_agent_killed_together_leave_no_process_and_the_next_testbed_removes_the_sockets(
    world: World,
) -> None:
    assert world.qloom("up", world.scenario({}), "-d").code == 0
    [record] = json.loads(world.qloom("ps", "--json").out)["testbeds"]
    for name in ("supervisor", "agent"):
        os.kill(record["processes"][name], signal.SIGSTOP)  # so that neither sees the other's end
    for name in ("supervisor", "agent"):
        os.kill(record["processes"][name], signal.SIGKILL)
    wait_until(lambda: not world.processes(), "every process to end", deadline_s=CLEAN_DEADLINE_S)
    [left] = world.socket_directories()
    os.utime(left, (0, 0))  # a younger one may be a testbed that is just coming up
    assert world.qloom("up", world.scenario({}), "-d").code == 0
    assert left not in world.socket_directories()
    assert world.qloom("down").code == 0
