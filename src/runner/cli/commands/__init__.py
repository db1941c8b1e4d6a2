"""The commands on runs that exist, by what they are for."""

from collections.abc import Sequence

import click

from runner.cli.commands import begin, keep, look, use  # noqa: F401 - each adds its commands
from runner.cli.commands.group import commands
from runner.config.locate import make_user_code_importable
from runner.config.trust import NOBODY_ELSE, taken_from
from runner.errors import ConfigError

# Of runs from elsewhere these use what their configs name: trust=true or trust=my_package among
# their words is given to them as click's object (@click.pass_obj), a Trust.
TRUSTING = ("predict", "evaluate", "export", "reproduce", "resume", "sync")


for _name in TRUSTING:
    commands.commands[_name].options_metavar = "[OPTIONS] [trust=true|PACKAGE]"


def run_command(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name and return the exit code."""
    make_user_code_importable()
    trust, words = NOBODY_ELSE, list(arguments)
    if words[0] in TRUSTING:
        trust, words = taken_from(words)
    try:
        code = commands.main(words, prog_name="python -m runner", standalone_mode=False, obj=trust)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.exceptions.Abort as stop:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from stop
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from error
    return code or 0
