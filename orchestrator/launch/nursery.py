"""A nursery of agents: a process that has imported all that a testbed's processes need, and forks an agent for whoever
asks.

Without one an agent is started anew, and its fabric imports QuTiP, for a second. What brings up one testbed after the
other has a nursery: a sweep, for its runs, and the pytest plugin.

The process is ``python -m orchestrator.launch.nursery FD``, with FD one end of a packet socket. It is single threaded
and opens no ZeroMQ context, so that forking is safe. It ends when nobody holds the other end; its agents go on.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from setproctitle import setproctitle

from orchestrator.launch import protocol
from qnode.wire.codec import Codec, Message

END_DEADLINE_S = 10.0
MODULES = ("networkx", "orchestrator.launch.agent")
"""What agents need, and nodes of a network with a control plane, beside what the fabric does."""


class Birth(Message, frozen=True, kw_only=True, tag="birth"):
    """An agent is wanted; with its end of the channel to its supervisor, and the lock of its directory."""

    socket_directory: str
    log: str
    directory: str
    """Where it works."""
    environment: dict[str, str]


_birth: Codec[Birth] = Codec(Birth, maximum_bytes=protocol.LARGEST_PACKET_BYTES)


class Nursery:
    """A nursery of this process, which starts when it is first needed, as a context manager; or an inherited one."""

    def __init__(self, inherited: int | None = None) -> None:
        """``inherited``: a descriptor of the way to a nursery that another process has started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        if inherited is not None:
            os.set_inheritable(inherited, False)
            self._channel = socket.socket(fileno=inherited)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor of the way there."""
        return self._open().fileno()

    def bear(self, socket_directory: Path, log: Path, *, channel: socket.socket, lock: int) -> None:
        """Have an agent forked, with its end of the channel to its supervisor and the lock of its directory.

        Raises:
            OSError: the nursery is gone.
        """
        birth = Birth(
            socket_directory=str(socket_directory),
            log=str(log),
            directory=os.getcwd(),
            environment=dict(os.environ),
        )
        socket.send_fds(self._open(), [_birth.encode(birth)], [channel.fileno(), lock])

    def close(self) -> None:
        """Ask no more. The process ends, if it is ours; what was born there goes on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_DEADLINE_S)
            self._process = None

    def _open(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._channel is None:
            self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "orchestrator.launch.nursery", str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
        return self._channel


def _serve(channel: socket.socket) -> None:
    """Fork agents until nobody can ask for one any more."""
    from orchestrator.fabric.__main__ import warm_up

    warm_up()
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps who was born here
    while True:
        packet, descriptors, _, _ = socket.recv_fds(channel, protocol.LARGEST_PACKET_BYTES, 2)
        if not packet:
            return
        try:
            process_id = os.fork()
        except OSError:
            traceback.print_exc()  # who asked hears nothing, and gives up
            process_id = -1
        if process_id == 0:
            channel.close()
            _be_agent(_birth.decode(packet), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _be_agent(birth: Birth, channel: int, lock: int) -> NoReturn:
    """In the new process, whose output goes into the agent's log."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(birth.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.close(log)
        os.chdir(birth.directory)
        os.environ.clear()
        os.environ.update(birth.environment)
        from orchestrator.launch import agent

        agent.serve(channel, Path(birth.socket_directory), lock)
        code = 0
    except BaseException:  # noqa: BLE001 - the process boundary: the whole story goes into the log
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    setproctitle("qloom: nursery")
    with contextlib.suppress(KeyboardInterrupt), socket.socket(fileno=int(sys.argv[1])) as ours:
        _serve(ours)
