"""The real `qloom` program in a world of its own: its own directory and sockets, and every process of it findable."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND_DEADLINE_S = 200.0
"""Longest that a test waits for a command."""
CLEAN_DEADLINE_S = 60.0
"""Within this nothing may be left of a testbed, however it ended."""
POLL_S = 0.01
"""Between two looks at what the kernel has no event for: processes that are not our children."""


class NotInTime(AssertionError):
    """Something awaited did not come."""


def wait_until(condition: Callable[[], Any], what: str, *, deadline_s: float = 90.0) -> Any:
    """Look until ``condition`` is true; returns its value."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise NotInTime(f"waited {deadline_s:g} s for {what}")
        time.sleep(POLL_S)  # between looks, until the deadline
    return value


@dataclass(frozen=True, slots=True)
class Ended:
    """A command and what it did."""

    command: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """What ``--json`` printed: one JSON object and nothing else."""
        lines = self.out.splitlines()
        assert len(lines) == 1, f"expected one line on standard output of {self}"
        found = json.loads(lines[0])
        assert isinstance(found, dict)
        return found


class World:
    """A directory for scenarios and runs, a private place for sockets, and all processes that were started here."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.sockets = Path(tempfile.mkdtemp(prefix="qloom-"))  # short, because a Unix socket's path is
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.sockets)}
        self._started: list[subprocess.Popen[str]] = []
        self._mark = f"XDG_RUNTIME_DIR={self.sockets}".encode()

    def start(self, *arguments: str | Path, **popen: Any) -> subprocess.Popen[str]:
        """Start ``qloom`` in a process group of its own, as a shell does."""
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", *map(str, arguments)],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
            **popen,
        )
        self._started.append(process)
        return process

    def ended(self, process: subprocess.Popen[str], *, deadline_s: float = COMMAND_DEADLINE_S) -> Ended:
        """Wait for a started command's end."""
        command = tuple(map(str, process.args[3:]))  # type: ignore[index, union-attr]
        try:
            out, err = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise NotInTime(
                f"waited {deadline_s:g} s for the end of {command}; it said {out!r} and {err!r}; "
                f"running: {self.processes()}"
            ) from None
        return Ended(command, process.returncode, out, err)

    def qloom(self, *arguments: str | Path, **popen: Any) -> Ended:
        """Run ``qloom`` to its end."""
        return self.ended(self.start(*arguments, **popen))

    def run(self, *arguments: str | Path, code: int = 0, **popen: Any) -> dict[str, Any]:
        """``qloom run ... --json``; returns its report."""
        ended = self.qloom("run", *arguments, "--json", **popen)
        assert ended.code == code, ended
        return ended.report

    def scenario(
        self,
        programs: dict[str, tuple[str, str]],
        *,
        name: str = "net",
        nodes: Iterable[str] | dict[str, Any] = ("alice", "bob"),
        applications: Iterable[dict[str, Any]] = (),
        **sections: Any,
    ) -> Path:
        """Write a scenario: a chain of nodes, with programs by name, each its node and its source."""
        hardware = nodes if isinstance(nodes, dict) else dict.fromkeys(nodes, "ideal")
        chain = list(hardware)
        source = {"scheme": "source", "success_probability": 0.5, "fidelity": 0.95}
        for program, (_, text) in programs.items():
            (self.directory / f"{name}-{program}.py").write_text(text)
        tree = {
            "version": 1,
            "name": name,
            "seed": 1,
            "nodes": {node: {"hardware": each} for node, each in hardware.items()},
            "links": {
                f"{left}-{right}": {"ends": [left, right], "length_km": 10, "heralding": source}
                for left, right in itertools.pairwise(chain)
            },
            "applications": [
                {"name": program, "node": node, "command": ["python", f"{name}-{program}.py"]}
                for program, (node, _) in programs.items()
            ]
            + list(applications),
            **sections,
        }
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps(tree))
        return path

    def processes(self) -> dict[int, str]:
        """Every living process of this world and its title, as ``ps`` shows it."""
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                where = os.readlink(directory / "cwd")  # a zombie has none
                ours = Path(where).is_relative_to(self.directory) or self._mark in (
                    (directory / "environ").read_bytes().split(b"\0")
                )
                if ours:
                    title = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    found[int(directory.name)] = title
            except OSError:
                continue  # it ended while we looked
        return found

    def process(self, title: str) -> int | None:
        """The process whose title contains ``title``, if there is one."""
        return next((number for number, each in self.processes().items() if title in each), None)

    def socket_directories(self) -> list[Path]:
        """Every testbed's directory of sockets."""
        base = self.sockets / "qloom"
        return list(base.iterdir()) if base.is_dir() else []

    def left(self) -> str:
        """What is left of testbeds: processes and directories of sockets; empty if nothing is."""
        parts = [f"process {number} ({title})" for number, title in self.processes().items()]
        parts += [f"{path} with {[each.name for each in path.iterdir()]}" for path in self.socket_directories()]
        return ", ".join(parts)

    def wait_until_clean(self, *, deadline_s: float = CLEAN_DEADLINE_S) -> float:
        """Wait until nothing is left; returns the seconds that it took.

        Raises:
            NotInTime: something is.
        """
        began = time.monotonic()
        left = ""
        while time.monotonic() - began < deadline_s:
            try:
                left = self.left()
            except FileNotFoundError:
                continue  # it went while we looked
            if not left:
                return time.monotonic() - began
            time.sleep(POLL_S)  # between looks, until the deadline
        raise NotInTime(f"left after {deadline_s:g} s: {left}")

    def destroy(self) -> None:
        """End what a failed test left."""
        for number in self.processes():
            if number != os.getpid():
                try:
                    os.kill(number, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        for process in self._started:
            process.communicate()
        subprocess.run(["rm", "-rf", str(self.sockets)], check=True)
