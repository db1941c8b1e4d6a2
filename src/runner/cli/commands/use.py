"""Commands that use what was trained."""

import sys
from pathlib import Path

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import RUN_OR_SWEEP, commands
from runner.config.trust import Trust


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
