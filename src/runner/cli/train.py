"""Train: hand the overrides to Hydra, which composes a config for every job."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from runner.cli.jobs import Jobs
from runner.cli.ranks import agreed_stamp
from runner.config import resolvers
from runner.config.compose import CONFIG_NAME, HYDRA_VERSION_BASE
from runner.config.locate import make_user_code_importable, put_config_dir_first, shipped_conf
from runner.config.overrides import diagnose
from runner.errors import ConfigError, did_you_mean

FULL_ERROR = "HYDRA_FULL_ERROR"
_MULTIRUN = ("-m", "--multirun")
_full_error_of_user: ContextVar[str | None] = ContextVar("full_error_of_user", default=None)


def train(arguments: Sequence[str]) -> int:
    """Run `arguments`, Hydra's flags and overrides, and return the exit code."""
    flags = [word for word in arguments if word in _MULTIRUN]  # Hydra wants them first
    arguments = [*flags, *(word for word in arguments if word not in _MULTIRUN)]
    resolvers.register(stamp=agreed_stamp)
    _put_config_dir_first(arguments)
    make_user_code_importable()
    jobs = Jobs(command=["python", "-m", "runner", *arguments])
    application = hydra.main(
        version_base=HYDRA_VERSION_BASE, config_path=str(shipped_conf()), config_name=CONFIG_NAME
    )(jobs.run)
    with _hydra_raises(), _arguments(arguments):
        try:
            application()
        except (HydraException, OmegaConfBaseException) as error:
            if not jobs.failures:
                raise diagnose(_overrides(arguments), error) from error
        except (ValueError, OSError) as error:  # flags that exclude each other; the run's folder
            if not jobs.started:
                raise ConfigError(_sentence(error)) from error
            if not jobs.failures:
                raise
        except Exception as error:
            if not any(error is failure for failure in jobs.failures):
                raise
    return jobs.exit_code()


def _sentence(error: ValueError | OSError) -> str:
    if isinstance(error, OSError):
        return f"the folder of the run cannot be made: {error}; give another output_dir"
    return str(error)


def _overrides(arguments: Sequence[str]) -> list[str]:
    parsed = _parsed(arguments)
    return [] if parsed.shell_completion else list(parsed.overrides)


def _parsed(arguments: Sequence[str]) -> Namespace:
    """Return what Hydra reads in `arguments`; ConfigError for a flag that it does not know."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        close = did_you_mean(message.rpartition(" ")[2], flags) if "unrecognized" in message else ""
        raise ConfigError(f"{message}{close} (python -m runner --help tells the flags)")

    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_args(list(arguments))


def _put_config_dir_first(arguments: Sequence[str]) -> None:
    """Let `--config-dir DIR` count as the user's own conf, which comes before ours."""
    folder = _parsed(arguments).config_dir
    if folder is None:
        return
    if not Path(folder).is_dir():
        raise ConfigError(f"--config-dir {folder}: there is no such folder")
    put_config_dir_first(folder)


@contextmanager
def environment_of_user() -> Iterator[None]:
    """Undo within what `train` sets for Hydra alone: for child processes."""
    with _full_error(_full_error_of_user.get()):
        yield


@contextmanager
def _hydra_raises() -> Iterator[None]:
    """Make Hydra raise its errors instead of printing them and leaving with exit code 1."""
    token = _full_error_of_user.set(os.environ.get(FULL_ERROR))
    try:
        with _full_error("1"):
            yield
    finally:
        _full_error_of_user.reset(token)


@contextmanager
def _full_error(value: str | None) -> Iterator[None]:
    before = os.environ.pop(FULL_ERROR, None)
    if value is not None:
        os.environ[FULL_ERROR] = value
    try:
        yield
    finally:
        os.environ.pop(FULL_ERROR, None)
        if before is not None:
            os.environ[FULL_ERROR] = before


@contextmanager
def _arguments(arguments: Sequence[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        yield
    finally:
        sys.argv = before
