"""Which files of a git repository are its code: what a copy must hold for jobs to run from it."""

import subprocess
from collections.abc import Collection, Iterator
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path, PurePath

from runner.errors import ConfigError
from runner.run.directory import RunDirectory
from runner.sweeps.directory import is_sweep

_SUBMODULE = "160000"  # git's mode of one
_MODULES = (".py", *EXTENSION_SUFFIXES)


def repository_around(folder: Path) -> Path:
    """Return the root of the git repository around `folder`; ConfigError without one."""
    try:
        return Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
    except ConfigError as error:
        raise ConfigError(
            f"hydra.launcher.snapshot_code=true takes the code from the git repository around "
            f"{folder}: {error}; commit it to one (git init), or leave snapshot_code out"
        ) from error


def files_of_code(root: Path, *, without: Collection[Path] = ()) -> list[str]:
    """Return the names, relative to `root` and sorted, of the files that are the code there.

    These are the tracked files that exist, untracked ones that git does not ignore, those of
    submodules and of repositories inside, and modules that git ignores beside other modules (a
    compiled extension, a generated version.py). Runs, sweeps, virtual environments and what lies in
    the folders `without` are no code, unless it is tracked.
    """
    apart = {folder.resolve() for folder in without}
    return sorted(set(_files(root, apart)))


def _files(root: Path, apart: Collection[Path]) -> Iterator[str]:
    found: set[str] = set()
    inside: list[str] = []  # repositories in this one
    for entry in _names(root, "--stage"):
        mode, _, name = entry.partition(" ")[0], *entry.partition("\t")[1:]
        (inside.append if mode == _SUBMODULE else found.add)(name)

    @cache
    def is_apart(folder: PurePath) -> bool:
        if folder == PurePath():
            return False
        return _is_no_code(root / folder, apart) or is_apart(folder.parent)

    for name in _names(root, "--others", "--exclude-standard"):
        is_repository = name.endswith("/")
        if not is_apart(PurePath(name) if is_repository else PurePath(name).parent):
            (inside.append if is_repository else found.add)(name.rstrip("/"))
    yield from (name for name in found if _is_file(root / name))
    yield from _ignored_modules(root, found)
    for name in inside:
        if (root / name / ".git").exists():  # else nobody has checked it out
            yield from (f"{name}/{file}" for file in _files(root / name, apart))


def _ignored_modules(root: Path, found: Collection[str]) -> Iterator[str]:
    """Yield what an import beside the modules among `found` would find though git ignores it."""
    folders = {PurePath(name).parent for name in found if name.endswith(".py")}
    for name in _names(root, "--others", "--ignored", "--exclude-standard", "--directory"):
        if name.endswith(_MODULES) and PurePath(name).parent in folders:
            yield name


def _is_no_code(folder: Path, apart: Collection[Path]) -> bool:
    run = RunDirectory(folder)
    return (
        folder.resolve() in apart
        or is_sweep(folder)
        or (run.config.is_file() and run.provenance.is_file())
        or (folder / "pyvenv.cfg").is_file()
    )


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _names(root: Path, *options: str) -> list[str]:
    """Return what `git ls-files` says with `options`."""
    return [name for name in _git(root, "ls-files", "-z", *options).split("\0") if name]


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise ConfigError("there is no git on this machine") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(f"git: {reason[0] if reason else error}") from error
    return done.stdout.decode(errors="surrogateescape")
