"""The group that all commands belong to, and what several of them take."""

from pathlib import Path

import click

from runner.config.locate import make_user_code_importable, put_config_dir_first

CONFIG_DIR = click.option(
    "--config-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a conf of your own, as in training.",
)
RUN_OR_SWEEP = click.argument(
    "directory", type=click.Path(exists=True, file_okay=False, path_type=Path)
)


@click.group(name="runner")
def commands() -> None:
    """The commands of runner."""


def use_config_dir(config_dir: Path | None) -> None:
    """Let the conf in `config_dir` come first, and the code beside it be importable."""
    if config_dir is not None:
        put_config_dir_first(str(config_dir))
        make_user_code_importable()
