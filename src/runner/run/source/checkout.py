"""Bring the code of a run back: its commit and its uncommitted changes, in a folder of their own.

The copy borrows what it needs from the repository (git's alternates) and writes nothing into it:
no branch, no worktree, no index. It is whole for as long as that repository is there.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.errors import RunError
from runner.run.source.repository import DIFF, Git, look_at_repository, patch_of

_PATIENCE_SECONDS = 600.0
_SUBMODULE = "160000"  # git's mode of one
_KEPT = ("core.autocrlf", "core.eol", "core.symlinks", "core.fileMode", "core.longPaths")
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")


def has_commit(repository: Path, commit: str) -> bool:
    """Return whether the repository around the folder `repository` knows `commit`."""
    try:
        Git(repository)("cat-file", "-e", f"{commit}^{{commit}}")
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def copy_code(
    repository: Path,
    target: Path,
    *,
    code: Mapping[str, str | None],
    edited: Sequence[str] = (),
    redacted: Sequence[str] = (),
) -> list[str]:
    """Write the code that `code` describes into `target`; return what is not as it was.

    `repository` is a folder of the repository that has the commit, `edited` names submodules that
    had changes of their own, and `redacted` files in whose changes stars are written for secrets.
    Raises RunError if the commit or the changes cannot be brought back.
    """
    root = look_at_root(repository)
    commit, diff = code["commit"], code["diff"]
    assert commit is not None
    _check_out(root, target, commit)
    notes = [f"{name} had a secret, and has stars in its place" for name in redacted]
    notes += [] if diff is None else _apply(target, diff, redacted)
    if diff is None:
        notes.append("the uncommitted changes of then were not written down")
    notes += _copy_submodules(root, target)
    notes += [f"the submodule {name} had uncommitted changes, which are lost" for name in edited]
    return notes


def look_at_root(folder: Path) -> Path:
    """Return the root of the repository around `folder`; RunError without one."""
    return Path(os.fsdecode(_asked(folder, "rev-parse", "--show-toplevel")).rstrip("\n"))


def changes_now(folder: Path) -> str:
    """Return the uncommitted diff of the repository around `folder`; RunError without one."""
    found = look_at_repository(folder)
    if found is None or found.diff is None:
        raise RunError(f"the state of the code in {folder} is not known: git cannot tell it")
    return found.diff


def _check_out(root: Path, target: Path, commit: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    borrowing = ("clone", "--quiet", "--shared", "--no-checkout", "--", str(root), str(target))
    _asked(target.parent, *_QUIET, *borrowing)
    for key in _KEPT:  # they decide what a checkout writes
        if value := _setting(root, key):
            _asked(target, "config", key, value)
    _asked(target, *_QUIET, "checkout", "--quiet", "--detach", commit)


def _apply(target: Path, diff: str, redacted: Sequence[str]) -> list[str]:
    """Apply the uncommitted changes; return what came out otherwise."""
    patch = patch_of(diff)
    if patch is None:
        return [f"the uncommitted changes were too large to be kept: {diff.strip()}"]
    if not patch:
        return []
    try:
        _asked(target, *_QUIET, "apply", "--index", "--whitespace=nowarn", "-", given=patch)
    except RunError as error:
        stars = f" (stars in the place of a secret, in {', '.join(redacted)})" if redacted else ""
        raise RunError(
            f"the uncommitted changes in run.json do not apply to their commit{stars}: {error}"
        ) from error
    if not redacted and _asked(target, *DIFF) != patch:  # stars are other content
        return ["the uncommitted changes applied, but not byte for byte (line endings?)"]
    return []


def _copy_submodules(root: Path, target: Path) -> list[str]:
    notes = []
    for entry in os.fsdecode(_asked(target, "ls-files", "--stage", "-z")).split("\0"):
        about, _, name = entry.partition("\t")
        if not about.startswith(_SUBMODULE):
            continue
        commit = about.split(" ")[1]
        if (root / name / ".git").exists() and has_commit(root / name, commit):
            if (target / name).is_dir():
                (target / name).rmdir()
            _check_out(look_at_root(root / name), target / name, commit)
            notes += [f"{name}/{note}" for note in _copy_submodules(root / name, target / name)]
        else:
            notes.append(f"the submodule {name} is not there with its commit {commit[:12]}")
    return notes


def _setting(root: Path, key: str) -> str | None:
    try:
        return os.fsdecode(Git(root)("config", "--local", "--get", key)).strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _asked(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """Return what git answers; RunError with its own words if it fails."""
    try:
        return Git(folder, seconds=_PATIENCE_SECONDS)(*arguments, given=given)
    except FileNotFoundError as error:
        raise RunError("there is no git on this machine") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().splitlines()
        raise RunError(f"git in {folder}: {reason[-1] if reason else error}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise RunError(f"git in {folder}: {error}") from error
