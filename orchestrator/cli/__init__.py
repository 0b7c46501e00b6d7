"""The command line. Exit codes: 0 ok, 1 an expectation failed, 2 bad input, 3 the testbed failed."""

from orchestrator.cli.commands import main

__all__ = ["main"]
