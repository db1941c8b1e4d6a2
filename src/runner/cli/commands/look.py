"""Commands that look at runs and sweeps."""

from pathlib import Path

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import RUN_OR_SWEEP, commands


@commands.command(short_help=COMMANDS["status"])
@RUN_OR_SWEEP
@click.option("--failed", "only_failed", is_flag=True, help="Only the runs that failed.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line, a line for each run."
)
def status(directory: Path, only_failed: bool, as_json: bool) -> None:
    """Show how the runs of the sweep in DIRECTORY stand, or the one run in it.

    It reads files: any machine that sees them will do, also while the sweep runs. Of jobs on a
    cluster it says in one call of squeue where they are and why they wait.
    """
    from runner.cli.status import status as show

    show(directory, as_json=as_json, only_failed=only_failed)


@commands.command(short_help=COMMANDS["report"])
@RUN_OR_SWEEP
def report(directory: Path) -> None:
    """Write what came of the sweep or run in DIRECTORY: report/report.html, the same as .md."""
    from runner.cli.report import report as write

    write(directory)
