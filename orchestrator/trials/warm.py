"""What all runs of a sweep import, once; and the program that each of them is, forked from who has imported it."""

from __future__ import annotations

import importlib

from orchestrator.fabric.__main__ import warm_up
from orchestrator.launch.local import LocalAgent

MODULES = ("networkx", "orchestrator.cli.commands", "orchestrator.launch.agent", "orchestrator.supervisor")

warm_up()
for module in MODULES:
    importlib.import_module(module)


def main() -> None:
    """``qloom``, whose arguments are in ``sys.argv``."""
    LocalAgent.is_warm = True
    importlib.import_module("orchestrator.__main__").main()
