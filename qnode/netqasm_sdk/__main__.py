"""One NetQASM program in its own process: ``python -m qnode.netqasm_sdk CONFIGURATION.json``."""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: threads cost small matrices more than they gain
os.environ["NETQASM_SIMULATOR"] = "netsquid"  # programs keep their checks of true states for it

import netqasm.sdk
import netqasm.sdk.toolbox
import numpy as np
from netqasm.logging.glob import set_log_level
from netqasm.logging.output import save_all_struct_loggers
from netqasm.runtime.app_config import AppConfig
from netqasm.sdk.config import LogConfig

from qnode.config import NetqasmProgram
from qnode.netqasm_sdk import external, host, results, sim_states, sockets
from qnode.sdk.blocking import attach

OURS = {"netqasm.sdk.external": external, "netqasm.sdk.toolbox.sim_states": sim_states}
"""Modules that stand in for the package's own."""


def main() -> None:
    """Run the program that the configuration names, as often as it says."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m qnode.netqasm_sdk CONFIGURATION.json")
    program = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=NetqasmProgram)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.modules.update(OURS)
    netqasm.sdk.external = external
    netqasm.sdk.toolbox.sim_states = sim_states
    set_log_level(program.log_level)
    _results_of(program).unlink(missing_ok=True)  # of a process before, if its node was started again
    with attach() as session:
        here = host.Host(program, session)
        host.begin(here)
        entry = _entry(program)
        for run in range(program.runs):
            here.run = run
            _once(here, entry)
            if run + 1 < program.runs:
                _meet(here)


def _entry(program: NetqasmProgram) -> Callable[..., Any]:
    """The function ``main`` of the program's file."""
    path = Path(program.file)
    if not path.is_file():
        sys.exit(f"{path}: expected the Python file of a NetQASM program, found none")
    sys.path.insert(0, str(path.parent))
    module = importlib.import_module(path.stem)
    entry = getattr(module, "main", None)
    if not callable(entry):
        sys.exit(f"{program.file}: expected a function main, which a NetQASM program has; found none")
    return entry  # type: ignore[no-any-return]


def _once(here: host.Host, entry: Callable[..., Any]) -> None:
    """One call of ``main``, with its own randomness and log files."""
    program = here.program
    seed = f"{program.seed} {program.role} {here.run}"
    random.seed(seed)
    np.random.seed(random.getrandbits(32))
    logs = Path(program.directory)
    if program.runs > 1:
        logs /= f"run-{here.run}"
    logs.mkdir(exist_ok=True)
    inputs = copy.deepcopy(program.inputs)
    if _takes(entry, "app_config"):
        inputs["app_config"] = AppConfig(
            app_name=program.role,
            node_name=program.node,
            main_func=entry,
            log_config=LogConfig(
                app_dir=str(Path(program.file).parent),
                log_dir=str(logs),
                log_subroutines_dir=str(logs),
                comm_log_dir=str(logs),
            ),
            inputs=program.inputs,
        )
    try:
        returned = entry(**inputs)
    finally:
        save_all_struct_loggers()
    for connection in tuple(here.connections):
        connection.close(exception=True)  # one that the program has left open must not meet the next run
    results.add(_results_of(program), here.run, returned)


def _results_of(program: NetqasmProgram) -> Path:
    return Path(program.directory) / f"{program.role}.jsonl"


def _takes(entry: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(entry).parameters
    return name in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def _meet(here: host.Host) -> None:
    """Wait until every role has ended this run, so that the next one begins for all."""
    roles = [role for role in sorted(here.program.roles) if role != here.program.role]
    meeting = [sockets.Socket(here.program.role, role, socket_id=MEETING) for role in roles]
    for each in meeting:
        each.send_silent("")
    for each in meeting:
        each.recv_silent()


MEETING = -1
"""The socket on which roles meet between runs."""

if __name__ == "__main__":
    main()
