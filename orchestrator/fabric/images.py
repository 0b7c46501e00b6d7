"""Frozen images of the fabric: copies of the process, forked now and then; the latest can be woken in its place.

An image has all that the fabric had when it was forked, QuTiP imported and the states in memory, so one that is woken
has only to repeat what the journal holds since. It shares the fabric's memory as far as that has not changed, and has
none of its sockets: a peer must see the end of a fabric that is killed, whoever sleeps beside it.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Collection

from setproctitle import setproctitle

from orchestrator.lifeline import end_with

EVERY_S = 2.0
"""Wall seconds between images: a fork takes about 10 ms, and what has to be repeated goes faster than it went."""
WAKE = b"wake"
PROCESS_ID = "=q"
LARGEST_DESCRIPTOR = 1 << 20


class Bedside:
    """Between the agent, which made it and can wake the latest image, and the fabric and its images."""

    def __init__(self) -> None:
        self._agent, self.fabric = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._latest = mmap.mmap(-1, struct.calcsize(PROCESS_ID))  # shared by all that are forked

    @property
    def latest(self) -> int:
        """The process id of the latest image; 0: there is none."""
        found: int = struct.unpack(PROCESS_ID, self._latest[:])[0]
        return found

    @latest.setter
    def latest(self, process_id: int) -> None:
        self._latest[:] = struct.pack(PROCESS_ID, process_id)

    def wake(self) -> None:
        """Of the agent: wake the latest image."""
        self.latest = 0
        self._agent.send(WAKE)

    def leave(self) -> None:
        """Of everybody but the agent: only it can wake, and when it is gone, nobody can."""
        self._agent.close()

    def close(self) -> None:
        """No image will be woken any more: they end."""
        self._agent.close()
        self.fabric.close()


class Images:
    """The images of this process; at most one at a time."""

    def __init__(self, bedside: Bedside, keep: Collection[int] = ()) -> None:
        """``keep``: descriptors that an image needs."""
        self._bedside = bedside
        self._keep = keep
        self._agent = os.getppid()
        self._due_at_s = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() >= self._due_at_s

    def take(self, wake: Callable[[], None]) -> None:
        """Put another in the place of the latest; ``wake`` is what one does that is woken, and then it ends."""
        self.close()
        self._due_at_s = time.monotonic() + EVERY_S
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # other threads are libzmq's, not used in an image
                process_id = os.fork()
        except OSError as error:  # the journal alone has to do
            print(f"no image of the fabric could be made: {error}", file=sys.stderr, flush=True)
            return
        if process_id == 0:
            self._sleep(wake)
        self._bedside.latest = process_id

    def close(self) -> None:
        """End the latest."""
        latest, self._bedside.latest = self._bedside.latest, 0
        if latest:
            os.kill(latest, signal.SIGKILL)
            os.waitpid(latest, 0)

    def _sleep(self, wake: Callable[[], None]) -> None:
        """In the image: be nothing but memory until it is woken, or nobody can wake it any more."""
        code = 1
        try:
            os.setsid()  # who kills the fabric kills its group
            setproctitle("qloom: image")
            kept = sorted({0, 1, 2, self._bedside.fabric.fileno(), *self._keep})
            for first, after in zip(kept, [*kept[1:], LARGEST_DESCRIPTOR], strict=True):
                os.closerange(first + 1, after)
            if self._bedside.fabric.recv(len(WAKE)) == WAKE:
                end_with(self._agent, signal.SIGKILL)
                setproctitle("qloom: fabric")
                print("an image wakes in the place of the fabric", file=sys.stderr, flush=True)
                wake()
            code = 0
        except BaseException:  # noqa: BLE001 - the process boundary: the whole story goes into the process's log
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
