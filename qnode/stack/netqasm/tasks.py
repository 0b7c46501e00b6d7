"""Tasks: what goes on at the same time for an application, its subroutine and the ends of its sockets."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


class Waiting:
    """What a task yields until something has changed for its application."""


WAIT = Waiting()
Task = Generator[Any, Any, Any]
"""Yields requests, with ``call=0``, and is sent their answers; or yields `WAIT`."""
