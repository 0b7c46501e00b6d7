"""The event log of a run as checks read it: one line after the other, each knowing its place and its instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.fabric.clock import PICOSECONDS


@dataclass(slots=True, frozen=True)
class Event:
    """A line of ``events.jsonl``."""

    line: int
    """Counted from 1."""
    kind: str
    t_ps: int
    """Virtual time."""
    details: dict[str, Any]
    """All that the line says, ``kind`` and ``t_ps`` included."""

    @property
    def t_s(self) -> float:
        """Virtual time in seconds."""
        return self.t_ps / PICOSECONDS

    def __getitem__(self, name: str) -> Any:
        return self.details[name]

    def get(self, name: str, default: Any = None) -> Any:
        """What the line says under ``name``, if it does."""
        return self.details.get(name, default)


def read(path: Path) -> Iterator[Event]:
    """Every line of an event log, in its order.

    Raises:
        ValueError: a line is not one of an event log; says which.
    """
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as lines:
        for number, text in enumerate(lines, start=1):
            try:
                details = decode(text)
                yield Event(number, details["kind"], details["t_ps"], details)
            except (msgspec.MsgspecError, KeyError) as error:
                raise ValueError(
                    f"{path}, line {number}: expected an event (a map with kind and t_ps): {error}"
                ) from error


@dataclass(slots=True, frozen=True)
class Problem:
    """One thing that does not hold: what was expected and found, and where the event log shows it."""

    message: str
    event: Event | None = None


@dataclass(slots=True, frozen=True)
class Step:
    """A step of a circuit as the event log tells it: ``measure_bell r1#3 r1#4``."""

    name: str
    qubits: tuple[str, ...]

    @property
    def ends(self) -> bool:
        """Whether its qubits are no more afterwards."""
        return self.name in ("measure", "measure_bell", "discard")


def steps(event: Event) -> Iterator[Step]:
    """What was done to qubits, of a line that tells it."""
    for text in event.get("steps", ()):
        name, *qubits = text.split(" ")
        yield Step(name, tuple(qubits))


def counted(number: int, noun: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
