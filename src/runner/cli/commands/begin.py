"""Commands before and for a training: begin, go on, check, prove, tune."""

from pathlib import Path

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import CONFIG_DIR, RUN_OR_SWEEP, commands, use_config_dir
from runner.config.trust import Trust
from runner.errors import ConfigError


@commands.command(short_help=COMMANDS["new"])
@click.argument("name")
def new(name: str) -> None:
    """Make the folder NAME: a package with model, data and task, its configs, a test.

    It trains as it stands; NAME must be a Python identifier, such as my_project.
    """
    from runner.cli.new import new_project

    folder = new_project(name, Path())
    print(f"made {folder}/; to train: cd {folder} && python -m runner +experiment={name}")


@commands.command(short_help=COMMANDS["resume"])
@RUN_OR_SWEEP
@click.argument("overrides", nargs=-1)
@click.option(
    "--step",
    type=click.IntRange(min=0),
    help="Go on from the checkpoint of this step, in a new run beside the old one.",
)
@click.pass_obj
def resume(trust: Trust, directory: Path, overrides: tuple[str, ...], step: int | None) -> int:
    """Continue the run or the sweep in DIRECTORY.

    OVERRIDES change layout keys: trainer.max_epochs=20. One that was made elsewhere and could do
    more than train needs trust=true: it runs what its config names.
    """
    from runner.sweeps.directory import is_sweep

    if is_sweep(directory):
        if step is not None:
            raise ConfigError("--step goes back in one run: give the folder of one, not a sweep's")
        from runner.cli.sweeps.resume import resume_sweep

        return resume_sweep(directory, overrides, trust=trust)
    from runner.cli.resume import resume_run

    resume_run(directory, overrides, step=step, trust=trust)
    return 0


@commands.command(
    short_help=COMMANDS["check"],
    context_settings={"ignore_unknown_options": True},  # -m and the flags of a sweep
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@CONFIG_DIR
@click.pass_context
def check(context: click.Context, arguments: tuple[str, ...], config_dir: Path | None) -> None:
    """Check the run that ARGUMENTS, overrides as in training, describe; with -m a whole sweep.

    Builds everything and does each kind of work once: a step, a batch of each evaluation. Exit code
    0 when nothing is wrong, 2 when something is, told in a sentence each. Nothing is written.
    """
    use_config_dir(config_dir)
    if {"-m", "--multirun"} & set(arguments):
        from runner.cli.sweeps.start import check_sweep

        context.exit(check_sweep(arguments))
    from runner.cli.check import check_run

    context.exit(check_run(arguments))


@commands.command("verify-resume", short_help=COMMANDS["verify-resume"])
@click.argument("overrides", nargs=-1)
@click.option("--steps", default=8, show_default=True, help="How many steps each run takes.")
@click.option("--keep", is_flag=True, help="Keep the runs also when all is equal.")
@CONFIG_DIR
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

    use_config_dir(config_dir)
    context.exit(verify(overrides, steps=steps, keep=keep))


@commands.command("find-lr", short_help=COMMANDS["find-lr"])
@click.argument("overrides", nargs=-1)
@click.option("--steps", default=200, show_default=True, help="How many steps to make.")
@click.option("--from", "start", default=1e-7, show_default=True, help="The first learning rate.")
@click.option("--to", "end", default=10.0, show_default=True, help="The last learning rate.")
@CONFIG_DIR
def find_lr(
    overrides: tuple[str, ...], steps: int, start: float, end: float, config_dir: Path | None
) -> None:
    """Raise the learning rate of the experiment that OVERRIDES name until its loss explodes.

    Suggests the one at which the loss falls most steeply (Smith 2017), and writes a picture and a
    table under OUTPUT_DIR/NAME/find_lr. No run is left behind.
    """
    from runner.cli.tuning import find_lr as find

    use_config_dir(config_dir)
    find(overrides, num_steps=steps, start=start, end=end)


@commands.command("find-batch-size", short_help=COMMANDS["find-batch-size"])
@click.argument("overrides", nargs=-1)
@click.option("--memory-gib", type=float, help="On a CPU; default: 80% of what is free.")
@click.option("--largest", default=1 << 16, show_default=True, help="Try no larger one.")
@CONFIG_DIR
def find_batch_size(
    overrides: tuple[str, ...], memory_gib: float | None, largest: int, config_dir: Path | None
) -> None:
    """Make real steps of the experiment that OVERRIDES name with batches of ever more samples.

    Each size is tried in a process of its own; nothing is left behind.
    """
    from runner.cli.tuning import find_largest_batch

    use_config_dir(config_dir)
    find_largest_batch(overrides, memory_gib=memory_gib, largest=largest)
