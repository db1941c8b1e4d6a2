"""Commands that use what was trained."""

import sys
from pathlib import Path

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import RUN_OR_SWEEP, commands


@commands.command(short_help=COMMANDS["predict"])
@RUN_OR_SWEEP
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--format", "form", default="table", type=click.Choice(["table", "csv", "jsonl"]))
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--step", type=int, help="Take the checkpoint of this step; default: the best.")
@click.option(
    "--engine",
    default="torch",
    type=click.Choice(["torch", "onnx"]),
    help="What computes; onnx: the model.onnx of an exported model.",
)
def predict(
    directory: Path,
    files: tuple[Path, ...],
    form: str,
    device: str,
    step: int | None,
    engine: str,
) -> None:
    """Read FILES, pictures or folders of them, with the best weights of the run in DIRECTORY.

    DIRECTORY may also be a model that `export` wrote.
    """
    from runner.build.inference import load_reader
    from runner.inference.rows import write_rows

    reader = load_reader(directory, device=device, step=step, engine=engine)
    click.echo(f"confidence: {reader.calibration}", err=True)
    write_rows(reader.read(files), form, sys.stdout)


@commands.command(short_help=COMMANDS["export"])
@RUN_OR_SWEEP
@click.option(
    "--to", type=click.Path(path_type=Path), help="The folder to make; default: DIRECTORY/export."
)
@click.option("--onnx", is_flag=True, help="Also as ONNX: model.onnx.")
@click.option("--torch-export", is_flag=True, help="Also as a program of torch.export: model.pt2.")
@click.option("--step", type=int, help="Take the checkpoint of this step; default: the best.")
@click.option("--force", is_flag=True, help="Replace another model that is in the folder.")
@click.pass_context
def export(
    context: click.Context,
    directory: Path,
    to: Path | None,
    onnx: bool,
    torch_export: bool,
    step: int | None,
    force: bool,
) -> None:
    """Write the model that the run in DIRECTORY has trained into a folder of its own.

    Weights, config, preprocessor and a page about them: all that is needed to use it anywhere.
    model.onnx and model.pt2 are compared with the original on the run's own data: the same
    predictions, and outputs that differ by rounding alone. Exit code 1 if one of them cannot be.
    """
    from runner.build.exporting import ONNX, TORCH_EXPORT
    from runner.cli.export import export as write

    programs = [name for name, asked in ((TORCH_EXPORT, torch_export), (ONNX, onnx)) if asked]
    context.exit(write(directory, to=to, step=step, programs=tuple(programs), force=force))
