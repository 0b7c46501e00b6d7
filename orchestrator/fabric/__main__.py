"""The fabric process: ``python -m orchestrator.fabric CONFIGURATION.json``."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import msgspec
from setproctitle import setproctitle

from orchestrator.fabric.images import Bedside

COLLECT_SELDOM = (50_000, 20, 100)
"""Thousands of qubits alive are no garbage: looking through them again and again would cost each pair its share."""
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Small matrix products are a thousand times slower with BLAS threads on a busy machine."""


def serve(
    configuration: Path,
    *,
    listeners: dict[str, int] | None = None,
    recover: bool = False,
    bedside: Bedside | None = None,
) -> None:
    """Be the fabric until the run is over. QuTiP is imported here and nowhere else.

    Args:
        configuration: a file of what it is told.
        listeners: by place, descriptors of TCP sockets that listen already.
        recover: whether this is in the place of one that was killed.
        bedside: where images of this process sleep, to be woken in its place.
    """
    os.umask(0o077)
    setproctitle("qloom: fabric")
    gc.set_threshold(*COLLECT_SELDOM)
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    from orchestrator.fabric.configuration import FabricConfiguration
    from orchestrator.fabric.server import Server

    told = msgspec.msgpack.decode(configuration.read_bytes(), type=FabricConfiguration)
    Server(told, listeners=listeners or {}, recover=recover, bedside=bedside).run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
