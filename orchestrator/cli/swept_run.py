"""The program of a sweep's runs: ``qloom``, imported once and forked for each of them."""

from __future__ import annotations

import os

import orchestrator.deployment
import orchestrator.report.build
import orchestrator.report.text
import orchestrator.supervisor  # noqa: F401 - all that the command imports late
from orchestrator.cli import main as qloom
from orchestrator.launch.local import LocalAgent
from orchestrator.launch.nursery import Nursery
from orchestrator.trials.child import NURSERY


def main() -> None:
    """Do what ``sys.argv`` says, with testbeds from the sweep's nursery."""
    LocalAgent.nursery = Nursery(int(os.environ.pop(NURSERY)))
    qloom()
