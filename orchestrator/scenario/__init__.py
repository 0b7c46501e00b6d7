"""Scenarios: their types, how files become them, and everything that can be wrong with one."""

from orchestrator.scenario.faults import Fault, LinkDown, NodeKill
from orchestrator.scenario.invariants import Check
from orchestrator.scenario.random_faults import RandomFaults
from orchestrator.scenario.sockets import Sockets
from orchestrator.scenario.types import (
    Application,
    ClassicalLink,
    DoubleClick,
    Efficiency,
    Expectation,
    Heralding,
    Limits,
    Link,
    MidpointSource,
    NetqasmProgram,
    Network,
    Node,
    Placement,
    Scenario,
    SenderReceiver,
    SingleClick,
    Source,
    Stop,
    Time,
    Transmission,
)

__all__ = [
    "Application",
    "Check",
    "ClassicalLink",
    "DoubleClick",
    "Efficiency",
    "Expectation",
    "Fault",
    "Heralding",
    "Limits",
    "Link",
    "LinkDown",
    "MidpointSource",
    "NetqasmProgram",
    "Network",
    "Node",
    "NodeKill",
    "Placement",
    "RandomFaults",
    "Scenario",
    "SenderReceiver",
    "SingleClick",
    "Sockets",
    "Source",
    "Stop",
    "Time",
    "Transmission",
]
