"""Begin a project of one's own: a folder with a package, its configs and a test, ready to train."""

import importlib.util
import keyword
import os
import shutil
from pathlib import Path

from runner.errors import ConfigError, RunError

_TEMPLATE = Path(__file__).parent / "template"
_PLACEHOLDER = "project_name"
_RENAMED = {"gitignore": ".gitignore"}  # a real one would hide files of the template
_TAKEN = ("conf", "outputs", "tests")  # folders of the project


def new_project(name: str, parent: Path) -> Path:
    """Make the folder `name` in `parent` and return it.

    Raises ConfigError for a name that no package can have, RunError for a folder that is there.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ConfigError(
            f"'{name}' cannot be the name of a Python package: use letters, digits and _, and no "
            "digit in front"
        )
    folder = parent / name
    if folder.exists():
        raise RunError(f"{folder} is there already: choose another name, or remove it")
    if name in _TAKEN or importlib.util.find_spec(name) is not None:
        raise ConfigError(
            f"'{name}' is the name of something else that Python can import, or of a folder of the "
            "project: choose another"
        )
    unfinished = parent / f".{name}.{os.getpid()}.partial"
    try:
        for file in sorted(_TEMPLATE.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                _write(file, unfinished, name)
        unfinished.rename(folder)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write(file: Path, target: Path, name: str) -> None:
    parts = file.relative_to(_TEMPLATE).as_posix().replace(_PLACEHOLDER, name)
    written = target / parts
    written = written.with_name(_RENAMED.get(written.name, written.name))
    written.parent.mkdir(parents=True, exist_ok=True)
    text = file.read_text(encoding="utf-8").replace(_PLACEHOLDER, name)
    written.write_text(text, encoding="utf-8")
