"""Commands that use what was trained."""

import sys
from pathlib import Path

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import CONFIG_DIR, RUN_OR_SWEEP, commands, use_config_dir
from runner.config.trust import Trust


@commands.command(short_help=COMMANDS["evaluate"])
@RUN_OR_SWEEP
@click.argument("overrides", nargs=-1)
@click.option("--split", help="train, evaluation, test or evaluation.NAME; default: test.")
@click.option("--step", type=int, help="Take the checkpoint of this step; default: the best.")
@click.option("--name", help="What the results are called; default: by the split and OVERRIDES.")
@click.option("--device", help="auto, cpu, cuda, cuda:1 or mps; default: that of the run.")
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as one JSON object.")
@CONFIG_DIR
@click.pass_obj
def evaluate(
    trust: Trust,
    directory: Path,
    overrides: tuple[str, ...],
    split: str | None,
    step: int | None,
    name: str | None,
    device: str | None,
    as_json: bool,
    config_dir: Path | None,
) -> None:
    """Measure the run in DIRECTORY on a split of its data, as its training did.

    OVERRIDES name other data, or another way to read them: data.root=FOLDER task.beam_width=8. The
    results lie in DIRECTORY/evaluations/NAME, with every prediction, and in the run's MLflow. For a
    run from elsewhere whose config names code of others: trust=true, or trust=PACKAGE.
    """
    from runner.cli.evaluate import evaluate as measure

    use_config_dir(config_dir)
    measure(
        directory,
        overrides,
        split=split,
        step=step,
        name=name,
        device=device,
        as_json=as_json,
        trust=trust,
    )


@commands.command(short_help=COMMANDS["predict"])
@RUN_OR_SWEEP
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--format", "form", default="table", type=click.Choice(["table", "csv", "jsonl"]))
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--step", type=int, help="Take the checkpoint of this step; default: the best.")
@click.pass_obj
def predict(
    trust: Trust,
    directory: Path,
    files: tuple[Path, ...],
    form: str,
    device: str,
    step: int | None,
) -> None:
    """Read FILES, pictures or folders of them, with the best weights of the run in DIRECTORY.

    For a run from elsewhere whose config names code of others: trust=true, or trust=PACKAGE.
    """
    from runner.build.inference import load_reader
    from runner.inference.rows import write_rows

    reader = load_reader(directory, device=device, step=step, trust=trust)
    click.echo(f"confidence: {reader.calibration}", err=True)
    write_rows(reader.read(files), form, sys.stdout)
