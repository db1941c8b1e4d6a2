"""Packages that a tracker needs and runner does not."""

import sys
from importlib.util import find_spec

from runner.errors import ConfigError


def require(package: str, *, needed_by: str, install: str) -> None:
    """Raise ConfigError, with the command that helps, if `package` cannot be imported."""
    if package not in sys.modules and find_spec(package) is None:
        raise ConfigError(f"{needed_by} needs {package}, which is not there: pip install {install}")
