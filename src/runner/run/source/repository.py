"""What git knows of the code around a folder: the commit, and all that has been changed since.

The uncommitted changes are one patch that `git apply` takes byte for byte: binary files, rights,
links and renames included, and code that is not tracked yet (see untracked.py). Nothing in the
repository is touched, not even its index.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from runner.run.source.untracked import sorted_out

_LARGEST_PATCH = 10 << 20
_PATIENCE_SECONDS = 20.0  # of all calls of git together
_LATIN_1 = "# what follows is no UTF-8, and written as latin-1\n"
DIFF = (
    *("-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false", "diff", "HEAD"),
    *("--binary", "--full-index", "--find-renames", "--no-relative", "-O/dev/null"),
    *("--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty"),
    *("--submodule=short", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/"),
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """The state of a repository, seen from a folder in it."""

    root: Path
    folder: str  # the one it is seen from, relative to the root: "" is the root
    commit: str
    diff: str | None  # see `patch_of`; None if git could not tell
    remote: str | None = None
    left_out: Mapping[str, object] = field(default_factory=dict)  # untracked, and not in the diff
    not_kept: Mapping[str, str] = field(default_factory=dict)  # the code among that, and why
    edited_submodules: tuple[str, ...] = ()  # with changes of their own, which are not in the diff


def look_at_repository(folder: Path) -> Repository | None:
    """Return the repository around `folder`; None without one, without a commit, without git."""
    git = Git(folder)
    try:
        where = git("rev-parse", "--show-toplevel", "--absolute-git-dir", "--show-prefix", "HEAD")
        place = git("rev-parse", "--git-path", "objects")
    except (OSError, subprocess.SubprocessError):
        return None
    objects = folder / os.fsdecode(place).rstrip("\n")
    root, private, prefix, commit = os.fsdecode(where).split("\n")[:4]
    git = Git(Path(root), until=git.until)
    untracked = sorted_out(Path(root), git.untracked(), seen_from=folder)
    return Repository(
        root=Path(root),
        folder=prefix.rstrip("/"),
        commit=commit,
        diff=_diff(git, untracked.code, index=Path(private) / "index", objects=objects),
        remote=git.remote(),
        left_out=untracked.left_out,
        not_kept=untracked.not_kept,
        edited_submodules=git.edited_submodules(),
    )


def patch_of(diff: str) -> bytes | None:
    """Return the patch that a `diff` of `Repository` stands for; None if it was not kept."""
    if diff.startswith("# left out"):
        return None
    if diff.startswith(_LATIN_1):
        return diff.removeprefix(_LATIN_1).encode("latin-1")
    patch = diff.encode()
    # Runs of early versions were written without the last end of line.
    return patch if not patch or patch.endswith(b"\n") else patch + b"\n"


def text_of(patch: bytes) -> str:
    """Return a patch as text from which `patch_of` makes the same bytes again."""
    if len(patch) > _LARGEST_PATCH:
        _log.warning(
            "the uncommitted changes are %.0f MB: they are not written into run.json, and nobody "
            "will be able to reproduce this run; commit them, or let .gitignore name what is data",
            len(patch) / 1e6,
        )
        return f"# left out: {len(patch)} bytes, sha256 {hashlib.sha256(patch).hexdigest()}\n"
    try:
        return patch.decode()
    except UnicodeDecodeError:
        return _LATIN_1 + patch.decode("latin-1")


class Git:
    """Calls git in a folder, all calls together within `seconds`."""

    def __init__(
        self, folder: Path, *, seconds: float = _PATIENCE_SECONDS, until: float | None = None
    ) -> None:
        self._folder = folder
        self.until = until or time.monotonic() + seconds

    def __call__(
        self, *arguments: str, given: bytes = b"", settings: Mapping[str, str] | None = None
    ) -> bytes:
        """Return what git answers, with environment variables as in `settings`."""
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **(settings or {})}
        environment.pop("GIT_DIFF_OPTS", None)
        return subprocess.run(
            ["git", *arguments],
            cwd=self._folder,
            env=environment,
            input=given,
            capture_output=True,
            check=True,
            timeout=max(0.1, self.until - time.monotonic()),
        ).stdout

    def remote(self) -> str | None:
        """Return where the repository was cloned from, without anybody's password."""
        with suppress(OSError, subprocess.SubprocessError):
            url = os.fsdecode(self("config", "--get", "remote.origin.url")).strip()
            scheme, found, rest = url.partition("://")
            return f"{scheme}://{rest.rpartition('@')[2]}" if found else url
        return None

    def untracked(self) -> list[str]:
        """Return the untracked files, relative to the folder; without those that are ignored."""
        try:
            listed = self("ls-files", "--others", "--exclude-standard", "-z")
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning(
                "the untracked files of %s are not known: %s", self._folder, _reason(error)
            )
            return []
        return [name for name in os.fsdecode(listed).split("\0") if name]

    def edited_submodules(self) -> tuple[str, ...]:
        if not (self._folder / ".gitmodules").is_file():
            return ()
        try:
            listed = self(
                "status", "--porcelain=v2", "-z", "--untracked-files=no", "--ignore-submodules=none"
            )
        except (OSError, subprocess.SubprocessError):
            return ()
        entries = (entry.split(" ", 8) for entry in os.fsdecode(listed).split("\0"))
        return tuple(
            entry[8]
            for entry in entries
            if len(entry) == 9 and entry[2][0] == "S" and ("M" in entry[2] or "U" in entry[2])
        )


def _diff(git: Git, code: Sequence[str], *, index: Path, objects: Path) -> str | None:
    """Return the changes since the commit; with untracked code, by an index of our own."""
    try:
        if not code:
            return text_of(git(*DIFF))
        with tempfile.TemporaryDirectory(prefix="runner_index_") as folder:
            shutil.copyfile(index, Path(folder) / "index")
            settings = {
                "GIT_INDEX_FILE": f"{folder}/index",
                "GIT_OBJECT_DIRECTORY": folder,
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects.absolute()),
            }
            names = b"\0".join(os.fsencode(name) for name in code)
            adding = ("add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul")
            git("--literal-pathspecs", *adding, given=names, settings=settings)
            return text_of(git(*DIFF, settings=settings))
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("the uncommitted changes of the code are not known: %s", _reason(error))
        return None


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    words = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    return (words or b"").decode(errors="replace").strip() or str(error)
