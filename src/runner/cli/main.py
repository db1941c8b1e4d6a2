"""The command `runner`: `python -m runner` does the same.

    runner                    what there is to run
    runner WORD ...           a command on runs that exist: resume, predict, ...
    runner [overrides]        train; Hydra's own flags work

Exit codes: 0 done, 1 the run failed, 2 the config is wrong, 128 + signal stopped.
"""

import gc
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.cli.catalogue import COMMANDS
from runner.cli.ranks import print_error
from runner.errors import ConfigError, Interrupted, RunnerError, did_you_mean


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.excepthook = tell_crash
    code = run(sys.argv[1:])
    gc.freeze()  # else the interpreter looks for garbage in all of torch before it ends
    sys.exit(code)


def tell_crash(_: object, error: BaseException, __: object) -> None:
    """Print what ends the process as Python does, without secrets."""
    from runner.run.secrets import print_traceback

    print_traceback(error)


def run(arguments: Sequence[str]) -> int:
    """Run `arguments` and return the exit code; mistakes are told in a sentence on stderr.

    With HYDRA_FULL_ERROR=1 in the environment they keep their traceback.
    """
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        return _dispatch(arguments)
    except RunnerError as error:
        if wants_traceback:
            raise
        print_error(_message(error))
        return error.exit_code
    except Interrupted as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        print_error("stopped")
        return 130
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments:
        from runner.cli.overview import print_overview

        print_overview()
        return 0
    if arguments[0] in COMMANDS:
        from runner.cli.commands import run_command

        return run_command(arguments)
    _check_first_word(arguments[0])
    from runner.cli.train import train

    return train(arguments)


def _check_first_word(word: str) -> None:
    """Raise ConfigError for a word that is neither a command nor an override."""
    if word == "train":
        raise ConfigError(
            "to train, leave out the word 'train': python -m runner [overrides] (python -m runner "
            "alone shows what there is)"
        )
    if Path(word).is_dir():
        folder = shlex.quote(word)
        raise ConfigError(
            f"{folder} is a folder: python -m runner resume {folder} goes on with a run or a sweep "
            f"in it, python -m runner report {folder} shows what came of it (python -m runner "
            "alone shows what there is)"
        )
    if "=" not in word and not word.startswith(("-", "+", "~")):
        raise ConfigError(
            f"'{word}' is neither a command nor an override such as key=value"
            f"{did_you_mean(word, COMMANDS)} (python -m runner alone shows what there is)"
        )


def _message(error: RunnerError) -> str:
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        return f"error: {len(error.problems)} mistakes in the config\n{lines}"
    return f"error: {error}"
