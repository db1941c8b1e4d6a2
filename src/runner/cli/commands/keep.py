"""Commands that tidy up: deliver to trackers, end jobs, free the disk; and train once more."""

from pathlib import Path

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import RUN_OR_SWEEP, commands
from runner.config.trust import Trust


@commands.command(short_help=COMMANDS["sync"])
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--to",
    metavar="URI",
    help="Another MLflow server or store, such as http://server:5000 or sqlite:///all.db.",
)
@click.pass_obj
def sync(trust: Trust, paths: tuple[Path, ...], to: str | None) -> None:
    """Deliver to the trackers what the runs and sweeps in PATH have logged and not delivered.

    PATH is a run, a sweep, or a folder above them. Each value arrives once, however often this is
    called. Exit code 1 when a server did not take all: another call goes on from there. What was
    made elsewhere needs trust=true: it is sent to where its config says.
    """
    from runner.cli.sync import sync as deliver

    deliver(paths, to=to, trust=trust)


@commands.command(short_help=COMMANDS["cancel"])
@RUN_OR_SWEEP
def cancel(directory: Path) -> None:
    """End the jobs of the sweep or the run in DIRECTORY; they save first where they can.

    On a cluster those that wait are taken out of the queue. What was done stays, and `resume` goes
    on from there.
    """
    from runner.cli.cancel import cancel as end

    end(directory)


@commands.command(short_help=COMMANDS["clean"])
@RUN_OR_SWEEP
@click.option(
    "--keep-best",
    default=1,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many of the completed runs keep their checkpoints: the best.",
)
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
def clean(directory: Path, keep_best: int, is_agreed: bool) -> None:
    """Delete checkpoints of the sweep in DIRECTORY, or leftovers of the run in it.

    Those of completed runs go but for the best ones, those of pruned runs, and what torn writes
    have left. Runs that are unfinished or failed keep theirs. Config, figures and logs stay.
    """
    from runner.cli.clean import clean as delete

    delete(directory, keep_best=keep_best, is_agreed=is_agreed)


@commands.command(short_help=COMMANDS["reproduce"])
@RUN_OR_SWEEP
@click.argument("overrides", nargs=-1)
@click.option(
    "--to",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where code and run go; default: reproduced/ in the run's own directory.",
)
@click.option(
    "--repository",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The repository with the commit, if it is not where it was.",
)
@click.option("--steps", type=click.IntRange(min=1), help="Train and compare only so many steps.")
@click.option(
    "--check-only",
    is_flag=True,
    help="Train nothing: tell what is another one now, and whether the code can be brought back; "
    "exit code 1 when anything is, be it a package.",
)
@click.pass_context
def reproduce(
    context: click.Context,
    directory: Path,
    overrides: tuple[str, ...],
    to: Path | None,
    repository: Path | None,
    steps: int | None,
    check_only: bool,
) -> None:
    """Train the run in DIRECTORY again, with the code it was made with, and compare the values.

    The commit is checked out and the uncommitted changes are applied in a folder of their own; what
    is another one now (versions, machine) is told. OVERRIDES change layout keys. Exit code 0 when
    every value is the same to the bit; 1 when not, telling the first that is another one. A run
    from elsewhere needs trust=true: its code is run.
    """
    from runner.cli.reproduce import Wishes
    from runner.cli.reproduce import reproduce as do

    wishes = Wishes(
        overrides=overrides, to=to, repository=repository, steps=steps, check_only=check_only
    )
    context.exit(do(directory, wishes, trust=context.obj))
