"""A node process on its own: ``python -m qnode CONFIGURATION.json``."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import msgspec
from setproctitle import setproctitle

from qnode.config import NodeConfiguration
from qnode.recording import RecordingTransport
from qnode.runtime import Shell
from qnode.transport import Transport

COLLECT_SELDOM = (50_000, 20, 100)
"""Thousands of qubits in memory are no garbage, and need not be looked through again and again."""


def serve(configuration: NodeConfiguration, *, listener: int | None = None) -> None:
    """Be the node until the fabric halts it; ``listener``: see ``Transport``."""
    os.umask(0o077)
    setproctitle(f"qloom: node {configuration.name}")
    gc.set_threshold(*COLLECT_SELDOM)
    configuration = msgspec.structs.replace(configuration, process_id=os.getpid())
    kind = RecordingTransport if configuration.inputs_directory else Transport
    transport = kind(configuration, listener=listener)
    try:
        Shell(configuration, transport).run()
    finally:
        transport.close()


def main() -> None:
    """Read the configuration named on the command line and serve."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m qnode CONFIGURATION.json")
    serve(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=NodeConfiguration))


if __name__ == "__main__":
    main()
