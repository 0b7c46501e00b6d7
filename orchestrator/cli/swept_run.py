"""The program of a sweep's runs: ``qloom``, imported once and forked for each of them."""

from __future__ import annotations

import os

import orchestrator.supervisor  # noqa: F401 - what the command imports late, to be quick with a wrong option
from orchestrator.cli import main as qloom
from orchestrator.launch.local import LocalAgent
from orchestrator.launch.nursery import Nursery
from orchestrator.trials.child import NURSERY


def main() -> None:
    """Do what ``sys.argv`` says, with testbeds from the sweep's nursery."""
    LocalAgent.nursery = Nursery(int(os.environ.pop(NURSERY)))
    qloom()
