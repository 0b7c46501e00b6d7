"""A process that ends with the one that started it, however that ended."""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def end_with(parent: int, number: signal.Signals) -> None:
    """Have this process signalled when the process that started it, ``parent``, is gone; now, if it is already."""
    _prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)
