"""Commands that look at runs and sweeps."""

from pathlib import Path
from typing import Any

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import RUN_OR_SWEEP, commands

_PATHS = click.Path(exists=True, file_okay=False, path_type=Path)


@commands.command(short_help=COMMANDS["ls"])
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=_PATHS)
@click.option("--runs", "opens_sweeps", is_flag=True, help="Each run of a sweep in its own row.")
@click.option("--state", "states", multiple=True, help="Only these: failed,lost.")
@click.option("--name", "names", multiple=True, help="Only runs and folders so called: 'plate*'.")
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="On a key of the config, or score or step: 'optimizer.lr=0.001', 'score<0.05'. Several "
    "must all hold.",
)
@click.option("--since", help="Only what gave a sign of life since: '2 days', '2026-11-20'.")
@click.option("--sort", default="age", help="age, score, name, step or duration.")
@click.option("--reverse", is_flag=True, help="The last first.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, a line for a row.")
def ls(
    paths: tuple[Path, ...],
    states: tuple[str, ...],
    names: tuple[str, ...],
    where: tuple[str, ...],
    since: str | None,
    **view: Any,
) -> None:
    """List the runs and sweeps in PATH, the newest first; without PATH where runs go: outputs.

    A sweep is one row, with the score of its best run. Of a sweep those runs are counted that are
    asked for.
    """
    from runner.cli.listing.choice import choice_from
    from runner.cli.ls import View
    from runner.cli.ls import ls as show

    choice = choice_from(states=states, names=names, where=where, since=since)
    show(paths, choice, View(**view))


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


@commands.command(short_help=COMMANDS["compare"])
@click.argument("paths", nargs=-1, required=True, metavar="RUN_OR_SWEEP...", type=_PATHS)
@click.option("--metric", "metrics", multiple=True, help="Judge groups by it; default: the score.")
@click.option(
    "--rtol",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Runs part where values differ by more than this share; default 0: by any bit.",
)
@click.option("--code", "shows_code", is_flag=True, help="Show how uncommitted changes differ.")
@click.option("--page", type=click.Path(path_type=Path), help="Write an HTML file, with curves.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def compare(paths: tuple[Path, ...], **options: Any) -> None:
    """Tell how runs differ: config, code, versions, figures, and the first value that differs.

    Runs that differ in nothing but their seed are one side: told is their mean with its interval,
    and of two or more sides whether their difference is real. A sweep stands for its runs, a folder
    for all that lie in it.
    """
    from runner.cli.compare import compare as tell

    tell(paths, **options)


@commands.command(short_help=COMMANDS["report"])
@RUN_OR_SWEEP
def report(directory: Path) -> None:
    """Write what came of the sweep or run in DIRECTORY: report/report.html, the same as .md."""
    from runner.cli.report import report as write

    write(directory)
