"""The program and all of its commands."""

from __future__ import annotations

import click

from orchestrator.cli import faults, netqasm, pictures, replay, runs, scenarios, testbeds


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qloom")
def main() -> None:
    """qloom: a quantum network testbed made of real processes.

    Exit codes: 0 ok, 1 an expectation failed, 2 bad input, 3 the testbed failed.
    """


for command in (
    scenarios.check,
    runs.run,
    netqasm.netqasm,
    replay.replay,
    testbeds.up,
    testbeds.adopt,
    testbeds.ps,
    testbeds.logs,
    testbeds.execute,
    testbeds.keys,
    testbeds.down,
    faults.fault,
    scenarios.init,
    pictures.timeline,
    pictures.draw_map,
    pictures.sequence,
    scenarios.schema,
):
    main.add_command(command)
