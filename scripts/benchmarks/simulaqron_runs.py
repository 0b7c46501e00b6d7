"""SimulaQron in its own environment, if there is one.

It runs the very programs that qloom's nodes run: programs/netqasm_alice.py and netqasm_bob.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import others

PROGRAMS = Path(__file__).with_name("programs")
ROLES = ("netqasm_alice", "netqasm_bob")
SETTINGS = {
    "max_qubits": 20,
    "max_registers": 1000,
    "conn_retry_time": 0.5,
    "recv_timeout": 100,
    "recv_retry_time": 0.1,
    "log_level": 30,
    "sim_backend": "stabilizer",
    "noisy_qubits": False,
    "t1": 1.0,
}
"""Those that it has by itself, but for the backend: its default, QuTiP, is slower, and not in its base install."""
SOCKETS = ("app_socket", "qnodeos_socket", "vnode_socket")
DEADLINE_S = 60.0
"""Of one try, which takes about ten seconds; now and then one hangs."""
TRIES = 3


def _network() -> str:
    """A network of the two roles at ports that are free now."""
    with ExitStack() as held:
        ports = iter([held.enter_context(socket.create_server(("localhost", 0))) for _ in range(6)])
        nodes = [{role: {name: ["localhost", next(ports).getsockname()[1]] for name in SOCKETS}} for role in ROLES]
    return json.dumps([{"name": "default", "nodes": nodes, "topology": None}])


def rates(*, pairs: int = 10, teleports: int = 10) -> dict[str, float] | None:
    """Pairs and teleportations a second; None, and a line that says so, without SimulaQron.

    It has no pairs that are measured directly.
    """
    python = others.interpreter("simulaqron")
    if python is None:
        return None
    for _ in range(TRIES):
        with suppress(subprocess.TimeoutExpired):
            return _measured(python, pairs, teleports)
        print(f"SimulaQron did not end within {DEADLINE_S:g} s; once more", file=sys.stderr)
    raise TimeoutError(f"SimulaQron did not end within {DEADLINE_S:g} s, {TRIES} times")


def _measured(python: str, pairs: int, teleports: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        inputs = json.dumps({"pairs": pairs, "directly": 0, "teleports": teleports})
        for role in ROLES:
            shutil.copyfile(PROGRAMS / f"{role}.py", directory / f"app_{role}.py")
            (directory / f"{role}.yaml").write_text(inputs)
        (directory / "simulaqron_network.json").write_text(_network())
        (directory / "simulaqron_settings.json").write_text(json.dumps(SETTINGS))
        command = [python, "-m", "netqasm.runtime.cli", "simulate", "--simulator", "simulaqron", "--formalism", "stab"]
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, "HOME": place},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=DEADLINE_S)
        finally:
            with suppress(ProcessLookupError):  # all of its processes have ended
                os.killpg(process.pid, signal.SIGKILL)
        results = directory / "log" / "LAST" / "results.yaml"
        if process.returncode != 0 or not results.exists():
            raise RuntimeError(f"SimulaQron ended with exit code {process.returncode}:\n{said[-2000:]}")
        found = dict(re.findall(r"^  (\w+): ([\d.e+-]+)$", results.read_text(), re.MULTILINE))
    return {name: float(found[name]) for name in ("pairs_kept_and_measured", "teleportations")}


if __name__ == "__main__":
    measured: dict[str, Any] | None = rates()
    json.dump(measured, sys.stdout, indent=2)
    print()
