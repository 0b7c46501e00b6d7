"""How a command that cannot go on ends: one line on standard error, and an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from orchestrator.exit_codes import BAD_INPUT, TESTBED_FAILED


def fail(code: int, message: str) -> NoReturn:
    """End the program."""
    click.echo(f"qloom: {message}", err=True)
    sys.exit(code)


def guarded(work: Callable[[], Any], *, tell: Callable[[dict[str, Any]], None] | None = None) -> Any:
    """Do something with a testbed; its failures are messages and exit codes, which ``tell`` hears of, too."""
    from orchestrator import supervisor

    try:
        return work()
    except supervisor.RunDirectoryError as error:
        code, story = BAD_INPUT, str(error)
    except (supervisor.TestbedError, supervisor.LaunchError) as error:
        code, story = TESTBED_FAILED, str(error)
    except (supervisor.Interrupted, KeyboardInterrupt) as error:
        code, story = TESTBED_FAILED, str(error) or "interrupted"
    if tell is not None:
        with contextlib.suppress(BrokenPipeError):
            tell({"error": story})
    fail(code, story)
