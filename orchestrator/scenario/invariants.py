"""What must hold of a run: the section ``check`` of a scenario."""

from __future__ import annotations

from typing import Literal

from orchestrator.scenario.section import Name, Positive, Section


class Check(Section, frozen=True, kw_only=True):
    """What is checked when a run is over: on its event log, its report, its exit codes. All of it is on by default."""

    matched_pairs: bool = True
    """The two ends that a circuit delivers as a pair are entangled with each other alone."""
    one_owner: bool = True
    """No qubit has two owners, is used after its end, or is handed over twice."""
    equal_keys: bool = True
    """A key that both of its ends delivered (``session.report_key``) is the same at both."""
    circuits_end: bool = True
    """Every circuit that was asked for was delivered, refused, or closed with a reason; none hangs."""
    processes: bool = True
    """Every process ended as it should: nodes well or by a fault, applications as ``applications`` says."""
    applications: dict[Name, int | Literal["any", "killed"]] = {}
    """How each application ends: an exit code, ``killed``, or ``any``. Default: 0, or killed by a fault; one that the
    end of the run interrupted may say so by another code."""
    hook: str = ""
    """A check of one's own, ``path/to/file.py:function``; the path is relative to where the applications are run."""
    hook_deadline_s: Positive = 60.0
    """Wall seconds that it may take."""
