"""Faults: when each strikes, what is broken now, and what that does to links, messages, memories and nodes."""

from orchestrator.fabric.faults.active import Faults
from orchestrator.fabric.faults.schedule import Heal, Occurrence, Strike

__all__ = ["Faults", "Heal", "Occurrence", "Strike"]
