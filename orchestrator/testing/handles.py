"""What a test holds of a testbed's parts: nodes and links to break, faults to heal, circuits to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from orchestrator import control
from orchestrator.fabric.clock import PICOSECONDS

Steer = Callable[[control.Steering], control.Steered]
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FaultHandle:
    """A fault that a test added; as a context manager it is healed at the end of the block."""

    name: str
    _steer: Steer

    def heal(self) -> None:
        """Mend what it broke, and have it strike no more.

        Raises:
            SteeringRefused: it was removed already.
        """
        self._steer(control.RemoveFault(name=self.name))

    def __enter__(self) -> FaultHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if any(each.name == self.name for each in self._steer(control.ListFaults()).faults):
            self.heal()


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults of a testbed, the scenario's too."""

    _steer: Steer

    def add(self, kind: str, **fields: Any) -> FaultHandle:
        """Break something now (or ``at_s``), with the fields of that kind in a scenario's ``faults:``.

        Raises:
            SteeringRefused: it is no fault of this network; says why.
        """
        return FaultHandle(self._steer(control.AddFault(fault={"kind": kind, **fields})).name, self._steer)

    def listed(self) -> tuple[control.FaultState, ...]:
        """Which are known, and which are at work."""
        return self._steer(control.ListFaults()).faults

    def reset(self) -> None:
        """Remove and heal all."""
        self._steer(control.ResetFaults())


@dataclass(frozen=True, slots=True)
class NodeHandle:
    """A node."""

    name: str
    faults: Faults

    def fault(self, kind: str, **fields: Any) -> FaultHandle:
        """Let something befall this node: any kind of fault that strikes nodes."""
        return self.faults.add(kind, node=self.name, **fields)

    def kill(self, **fields: Any) -> FaultHandle:
        """Kill its process; healed (or after ``for_s``) it is started again, without what it had and knew."""
        return self.fault("node_kill", **fields)

    def restart(self, **fields: Any) -> FaultHandle:
        """A power cut of ``for_s``."""
        return self.fault("node_restart", **fields)

    def pause(self, **fields: Any) -> FaultHandle:
        """Stop its process; healed (or after ``for_s``) it goes on."""
        return self.fault("node_pause", **fields)


@dataclass(frozen=True, slots=True)
class LinkHandle:
    """A quantum or classical link."""

    name: str
    faults: Faults

    def fault(self, kind: str, **fields: Any) -> FaultHandle:
        """Let something befall this link: any kind of fault that strikes links."""
        return self.faults.add(kind, link=self.name, **fields)

    def down(self, **fields: Any) -> FaultHandle:
        """Take it down, for ``for_s`` or until it is healed."""
        return self.fault("link_down", **fields)


@dataclass(frozen=True, slots=True)
class CircuitHandle:
    """A virtual circuit, as the event log tells of it."""

    name: str
    events: tuple[Line, ...]

    def of(self, kind: str) -> list[Line]:
        """Its lines of one kind, such as ``circuit_down``."""
        return [line for line in self.events if line["kind"] == kind]

    @property
    def delivered(self) -> int:
        """Pairs that its head has."""
        return len({line["number"] for line in self.of("circuit_pair_delivered") if line["end"] == "head"})

    def delivered_between(self, from_s: float, until_s: float) -> int:
        """Pairs that its head got in ``[from_s, until_s)``."""
        return sum(
            from_s <= line["t_ps"] / PICOSECONDS < until_s and line["end"] == "head"
            for line in self.of("circuit_pair_delivered")
        )
