"""A testbed in the hands of a test: steered, broken and looked at; and the pytest plugin that hands it out."""

from orchestrator.testing.handles import CircuitHandle, FaultHandle, Faults, LinkHandle, NodeHandle
from orchestrator.testing.programs import Program
from orchestrator.testing.steered import NothingLeft, SteeredTestbed

__all__ = [
    "CircuitHandle",
    "FaultHandle",
    "Faults",
    "LinkHandle",
    "NodeHandle",
    "NothingLeft",
    "Program",
    "SteeredTestbed",
]
