"""The commands on runs that exist, by what they are for."""

from collections.abc import Sequence

import click

from runner.cli.commands import begin, keep, look, use  # noqa: F401 - each adds its commands
from runner.cli.commands.group import commands
from runner.config.locate import make_user_code_importable
from runner.errors import ConfigError


def run_command(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name and return the exit code."""
    make_user_code_importable()
    try:
        code = commands.main(list(arguments), prog_name="python -m runner", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.Abort as stop:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from stop
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from error
    return code or 0
