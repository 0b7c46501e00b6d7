"""The fabric process: ``python -m orchestrator.fabric CONFIGURATION.json``."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec
from setproctitle import setproctitle

from orchestrator.fabric.images import Bedside

COLLECT_SELDOM = (50_000, 20, 100)
"""Thousands of qubits alive are no garbage: looking through them again and again would cost each pair its share."""
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Small matrix products are a thousand times slower with BLAS threads on a busy machine."""

UNUSED = ("matplotlib", "setuptools")
"""What QuTiP takes, where it is installed, to draw and to compile; the fabric does neither."""


def serve(
    configuration: Path,
    *,
    listeners: dict[str, int] | None = None,
    recover: bool = False,
    bedside: Bedside | None = None,
) -> None:
    """Be the fabric until the run is over.

    Args:
        configuration: a file of what it is told.
        listeners: by place, descriptors of TCP sockets that listen already.
        recover: whether this is in the place of one that was killed.
        bedside: where images of this process sleep, to be woken in its place.
    """
    os.umask(0o077)
    setproctitle("qloom: fabric")
    gc.set_threshold(*COLLECT_SELDOM)
    warm_up()
    from orchestrator.fabric.configuration import FabricConfiguration
    from orchestrator.fabric.server import Server

    told = msgspec.msgpack.decode(configuration.read_bytes(), type=FabricConfiguration)
    Server(told, listeners=listeners or {}, recover=recover, bedside=bedside).run()


def warm_up() -> None:
    """Import all that the fabric needs. QuTiP is imported here and nowhere else."""
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    with _as_if_missing(*UNUSED):  # a third of the time that QuTiP's import takes
        importlib.import_module("orchestrator.fabric.server")


@contextlib.contextmanager
def _as_if_missing(*modules: str) -> Iterator[None]:
    """Whoever tries to import these finds them not installed, but for those that are imported already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is the documented mark
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            yield
    finally:
        for name in hidden:
            del sys.modules[name]


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
