"""What must hold of a run: built-in invariants over its event log, and a hook for one's own."""

from orchestrator.checks.evaluation import evaluate, lines
from orchestrator.checks.log import Event, Problem
from orchestrator.checks.run import Run

__all__ = ["Event", "Problem", "Run", "evaluate", "lines"]
