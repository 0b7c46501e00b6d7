"""The program: ``qloom`` and ``python -m orchestrator``."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line; an interrupt ends it without a traceback, even while modules are being imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from orchestrator.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
