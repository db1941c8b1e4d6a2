"""The commands on runs that exist."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from runner.cli.catalogue import COMMANDS
from runner.config.locate import make_user_code_importable, put_config_dir_first
from runner.errors import ConfigError


@click.group(name="runner")
def _commands() -> None:
    """The commands of runner."""


def run_command(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name and return the exit code."""
    make_user_code_importable()
    try:
        code = _commands.main(list(arguments), prog_name="python -m runner", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.Abort as stop:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from stop
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from error
    return code or 0


@_commands.command(short_help=COMMANDS["new"])
@click.argument("name")
def new(name: str) -> None:
    """Make the folder NAME: a package with model, data and task, its configs, a test.

    It trains as it stands; NAME must be a Python identifier, such as my_project.
    """
    from runner.cli.new import new_project

    folder = new_project(name, Path())
    print(f"made {folder}/; to train: cd {folder} && python -m runner +experiment={name}")


@_commands.command(short_help=COMMANDS["resume"])
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--step",
    type=click.IntRange(min=0),
    help="Go on from the checkpoint of this step, in a new run beside the old one.",
)
def resume(directory: Path, overrides: tuple[str, ...], step: int | None) -> int:
    """Continue the run or the sweep in DIRECTORY.

    OVERRIDES change layout keys: trainer.max_epochs=20.
    """
    from runner.sweeps.directory import is_sweep

    if is_sweep(directory):
        if step is not None:
            raise ConfigError("--step goes back in one run: give the folder of one, not a sweep's")
        from runner.cli.sweeps.resume import resume_sweep

        return resume_sweep(directory, overrides)
    from runner.cli.resume import resume_run

    resume_run(directory, overrides, step=step)
    return 0


@_commands.command(
    short_help=COMMANDS["check"],
    context_settings={"ignore_unknown_options": True},  # -m and the flags of a sweep
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--config-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a conf of your own, as in training.",
)
@click.pass_context
def check(context: click.Context, arguments: tuple[str, ...], config_dir: Path | None) -> None:
    """Check the run that ARGUMENTS, overrides as in training, describe; with -m a whole sweep.

    Builds everything and does each kind of work once: a step, a batch of each evaluation. Exit code
    0 when nothing is wrong, 2 when something is, told in a sentence each. Nothing is written.
    """
    if config_dir is not None:
        put_config_dir_first(str(config_dir))
        make_user_code_importable()
    if {"-m", "--multirun"} & set(arguments):
        from runner.cli.sweeps.start import check_sweep

        context.exit(check_sweep(arguments))
    from runner.cli.check import check_run

    context.exit(check_run(arguments))


@_commands.command("verify-resume", short_help=COMMANDS["verify-resume"])
@click.argument("overrides", nargs=-1)
@click.option("--steps", default=8, show_default=True, help="How many steps each run takes.")
@click.option("--keep", is_flag=True, help="Keep the runs also when all is equal.")
@click.option(
    "--config-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a conf of your own, as in training.",
)
@click.pass_context
def verify_resume(
    context: click.Context,
    overrides: tuple[str, ...],
    steps: int,
    keep: bool,
    config_dir: Path | None,
) -> None:
    """Train the experiment that OVERRIDES name a few steps, kill it, resume it, compare the bits.

    Exit code 0 when it resumes exactly; 1 when not, naming what differs first and why.
    """
    from runner.cli.verify import verify_resume as verify

    if config_dir is not None:
        put_config_dir_first(str(config_dir))
        make_user_code_importable()
    context.exit(verify(overrides, steps=steps, keep=keep))


_CONFIG_DIR = click.option(
    "--config-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a conf of your own, as in training.",
)


@_commands.command("find-lr", short_help=COMMANDS["find-lr"])
@click.argument("overrides", nargs=-1)
@click.option("--steps", default=200, show_default=True, help="How many steps to make.")
@click.option("--from", "start", default=1e-7, show_default=True, help="The first learning rate.")
@click.option("--to", "end", default=10.0, show_default=True, help="The last learning rate.")
@_CONFIG_DIR
def find_lr(
    overrides: tuple[str, ...], steps: int, start: float, end: float, config_dir: Path | None
) -> None:
    """Raise the learning rate of the experiment that OVERRIDES name until its loss explodes.

    Suggests the one at which the loss falls most steeply (Smith 2017), and writes a picture and a
    table under OUTPUT_DIR/NAME/find_lr. No run is left behind.
    """
    from runner.cli.tuning import find_lr as find

    _use(config_dir)
    find(overrides, num_steps=steps, start=start, end=end)


@_commands.command("find-batch-size", short_help=COMMANDS["find-batch-size"])
@click.argument("overrides", nargs=-1)
@click.option("--memory-gib", type=float, help="On a CPU; default: 80% of what is free.")
@click.option("--largest", default=1 << 16, show_default=True, help="Try no larger one.")
@_CONFIG_DIR
def find_batch_size(
    overrides: tuple[str, ...], memory_gib: float | None, largest: int, config_dir: Path | None
) -> None:
    """Make real steps of the experiment that OVERRIDES name with batches of ever more samples.

    Each size is tried in a process of its own; nothing is left behind.
    """
    from runner.cli.tuning import find_largest_batch

    _use(config_dir)
    find_largest_batch(overrides, memory_gib=memory_gib, largest=largest)


def _use(config_dir: Path | None) -> None:
    if config_dir is not None:
        put_config_dir_first(str(config_dir))
        make_user_code_importable()


@_commands.command(short_help=COMMANDS["predict"])
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--format", "form", default="table", type=click.Choice(["table", "csv", "jsonl"]))
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--step", type=int, help="Take the checkpoint of this step; default: the best.")
def predict(
    directory: Path, files: tuple[Path, ...], form: str, device: str, step: int | None
) -> None:
    """Read FILES, pictures or folders of them, with the best weights of the run in DIRECTORY."""
    from runner.build.inference import load_reader
    from runner.inference.rows import write_rows

    reader = load_reader(directory, device=device, step=step)
    click.echo(f"confidence: {reader.calibration}", err=True)
    write_rows(reader.read(files), form, sys.stdout)


@_commands.command(short_help=COMMANDS["status"])
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
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


@_commands.command(short_help=COMMANDS["sync"])
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
def sync(paths: tuple[Path, ...], to: str | None) -> None:
    """Deliver to the trackers what the runs and sweeps in PATH have logged and not delivered.

    PATH is a run, a sweep, or a folder above them. Each value arrives once, however often this is
    called. Exit code 1 when a server did not take all: another call goes on from there.
    """
    from runner.cli.sync import sync as deliver

    deliver(paths, to=to)


@_commands.command(short_help=COMMANDS["report"])
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(directory: Path) -> None:
    """Write what came of the sweep or run in DIRECTORY: report/report.html, the same as .md."""
    from runner.cli.report import report as write

    write(directory)


@_commands.command(short_help=COMMANDS["cancel"])
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def cancel(directory: Path) -> None:
    """End the jobs of the sweep or the run in DIRECTORY; they save first where they can.

    On a cluster those that wait are taken out of the queue. What was done stays, and `resume` goes
    on from there.
    """
    from runner.cli.cancel import cancel as end

    end(directory)


@_commands.command(short_help=COMMANDS["clean"])
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
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
