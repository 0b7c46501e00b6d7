"""Bare machines to compare with: ZeroMQ children that do nothing, request and reply, a timer."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec  # noqa: F401 - the forked children have what a node has imported
import zmq

DEADLINE_S = 120.0


def proportional_set_mb(process_id: int) -> float:
    """Memory of a process, shared pages divided among those that share them."""
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss line for process {process_id}")


def _be_bare_child(endpoint: str) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(endpoint)
    socket.send(b"hello")
    while socket.recv() != b"end":
        socket.send(b"echo")
    socket.close()
    context.term()


@contextlib.contextmanager
def bare_children(count: int) -> Iterator[tuple[float, float, zmq.Socket[bytes], list[bytes]]]:
    """Fork ``count`` children from a warm server, each with one socket; gives the seconds until all have said hello,
    megabytes a child, the ROUTER and their identities."""
    with tempfile.TemporaryDirectory() as directory:
        endpoint = f"ipc://{directory}/s"
        ready_read, ready_write = os.pipe()
        start = time.perf_counter()
        server = os.fork()
        if server == 0:
            gc.freeze()
            children = []
            for _ in range(count):
                child = os.fork()
                if child == 0:
                    os.close(ready_write)
                    _be_bare_child(endpoint)
                    os._exit(0)
                children.append(child)
            os.write(ready_write, ",".join(map(str, children)).encode())
            os.close(ready_write)
            for child in children:
                os.waitpid(child, 0)
            os._exit(0)
        os.close(ready_write)
        context = zmq.Context()
        router = context.socket(zmq.ROUTER)
        router.set(zmq.RCVTIMEO, int(DEADLINE_S * 1000))
        router.bind(endpoint)
        try:
            identities = [router.recv_multipart()[0] for _ in range(count)]
            seconds = time.perf_counter() - start
            with os.fdopen(ready_read) as pipe:
                children = [int(text) for text in pipe.read().split(",")]
            sample = children[:: max(1, count // 50)]
            yield seconds, statistics.mean(map(proportional_set_mb, sample)), router, identities
            for identity in identities:
                router.send_multipart((identity, b"end"))
            os.waitpid(server, 0)
        except BaseException:
            os.kill(server, signal.SIGKILL)
            raise
        finally:
            router.close()
            context.term()


def round_trips_per_second(count: int = 20_000, *, one_core: bool = False) -> float:
    """Request and reply with one bare child, where the system likes or both on one core."""
    cores = os.sched_getaffinity(0)
    if one_core:
        os.sched_setaffinity(0, {min(cores)})
    try:
        with bare_children(1) as (_, _, router, (identity,)):
            start = time.perf_counter()
            for _ in range(count):
                router.send_multipart((identity, b"ping"))
                router.recv_multipart()
            return count / (time.perf_counter() - start)
    finally:
        os.sched_setaffinity(0, cores)


def timer_lateness_s(count: int = 2000, step_s: float = 0.0015) -> dict[str, float]:
    """How late this machine wakes a process that asks for nothing but a moment."""
    late = []
    zero = time.monotonic()
    for number in range(1, count + 1):
        due = zero + number * step_s
        remaining = due - time.monotonic()
        if remaining > 0:
            time.sleep(remaining)
        late.append(time.monotonic() - due)
    late.sort()
    return {"p50_s": late[count // 2], "p99_s": late[count * 99 // 100]}
