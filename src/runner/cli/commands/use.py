"""Commands that use what was trained."""

from pathlib import Path
from typing import Any

import click

from runner.cli.catalogue import COMMANDS
from runner.cli.commands.group import CONFIG_DIR, RUN_OR_SWEEP, commands, use_config_dir
from runner.config.trust import Trust

STEP = click.option("--step", type=int, help="Take the checkpoint of this step; default: the best.")


@commands.command(short_help=COMMANDS["evaluate"])
@RUN_OR_SWEEP
@click.argument("overrides", nargs=-1)
@click.option("--split", help="train, evaluation, test or evaluation.NAME; default: test.")
@STEP
@click.option("--name", help="What the results are called; default: by the split and OVERRIDES.")
@click.option("--device", help="auto, cpu, cuda, cuda:1 or mps; default: that of the run.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the results below this folder; default: DIRECTORY/evaluations.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as one JSON object.")
@CONFIG_DIR
@click.pass_obj
def evaluate(
    trust: Trust,
    directory: Path,
    overrides: tuple[str, ...],
    config_dir: Path | None,
    **options: Any,
) -> None:
    """Measure the run in DIRECTORY on a split of its data, as its training did.

    OVERRIDES name other data, or another way to read them: data.root=FOLDER task.beam_width=8. The
    results lie in DIRECTORY/evaluations/NAME, with every prediction, and in the run's MLflow. For a
    run from elsewhere whose config names code of others: trust=true, or trust=PACKAGE.
    """
    from runner.cli.evaluate import evaluate as measure

    use_config_dir(config_dir)
    measure(directory, overrides, trust=trust, **options)


@commands.command(short_help=COMMANDS["predict"])
@RUN_OR_SWEEP
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "jsonl"]),
    help="Default: by the suffix of --output (.csv, .jsonl, .txt), else table.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write here.")
@click.option(
    "--batch-size",
    default=64,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many pictures are read at once.",
)
@click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps.")
@STEP
@click.option(
    "--engine",
    default="torch",
    type=click.Choice(["torch", "onnx"]),
    help="What computes; onnx: the model.onnx of an exported model, or of RUN_DIR/export.",
)
@click.pass_obj
def predict(trust: Trust, directory: Path, files: tuple[str, ...], **options: Any) -> int:
    """Read FILES, pictures or folders of them, with the best weights of the run in DIRECTORY.

    DIRECTORY may also be a model that `export` wrote. FILES may be -: then standard input names
    them, one a line or apart by NUL bytes (find -print0). CSV and JSON lines come as they are read.
    Exit code 1 when a picture could not be read; each is told on stderr, and the others are read.
    For a run from elsewhere whose config names code of others: trust=true, or trust=PACKAGE.
    """
    from runner.cli.predict import predict as read

    return read(directory, files, trust=trust, **options)


@commands.command(short_help=COMMANDS["export"])
@RUN_OR_SWEEP
@click.option(
    "--to", type=click.Path(path_type=Path), help="The folder to make; default: DIRECTORY/export."
)
@click.option("--onnx", is_flag=True, help="Also as ONNX: model.onnx.")
@click.option("--torch-export", is_flag=True, help="Also as a program of torch.export: model.pt2.")
@STEP
@click.option("--force", is_flag=True, help="Replace another model, and other files in its folder.")
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
    For a run from elsewhere whose config names code of others: trust=true, or trust=PACKAGE.
    """
    from runner.build.trained.exporting import ONNX, TORCH_EXPORT
    from runner.cli.export import export as write

    programs = [name for name, asked in ((TORCH_EXPORT, torch_export), (ONNX, onnx)) if asked]
    context.exit(
        write(directory, to=to, step=step, programs=tuple(programs), force=force, trust=context.obj)
    )
