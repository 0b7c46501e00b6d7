"""What follows an operation at the fabric, as two functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Then:
    """One function for the operation that was done, one for that which was refused."""

    done: Callable[[tuple[int, ...]], None]
    not_done: Callable[[str, str], None]
    """Gets the code and the reason."""

    def completed(self, bits: tuple[int, ...]) -> None:
        """It was done."""
        self.done(bits)

    def refused(self, code: str, reason: str, done: int) -> None:
        """It was not."""
        self.not_done(code, reason)
