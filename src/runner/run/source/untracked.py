"""Which files that git does not know are kept with a run: source code, and no secrets.

A run directory is made to be shown around, so what is not clearly source code is only named, with
its size and hash: data, settings of other programs, and any file that seems to hold a secret.
"""

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from runner.files import sha256_of
from runner.run.source.literals import without_literals

_SOURCES = (".py", ".pyi", ".pyx", ".pxd", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".sh")
_CONFIGS = (".yaml", ".yml")  # of an experiment where they lie below one of these folders
_CONFIG_FOLDERS = frozenset({"conf", "confs", "config", "configs"})
# Not of code: what lies in or below a folder that holds one of these ...
_MARKS = ("pyvenv.cfg", "sweep.json", "run.json", "lease.json", "slurm.jsonl", "copy.json")
# ... or what trackers write beside the runs.
_OF_TRACKERS = re.compile(r"(^|/)(mlruns/|mlartifacts/|mlflow_artifacts/|mlflow\.db[^/]*$)")
_OUTPUTS = "RUNNER_OUTPUT_DIR"
_LARGEST_FILE = 1 << 20  # bytes of an untracked file that is kept ...
_LARGEST_SUM = 1 << 20  # ... and of all of them
_MOST_KEPT = 200
_LARGEST_HASHED = 64 << 20  # bytes of all files that are named with their hash
_MOST_NAMED = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Untracked:
    """The untracked files of a repository: what is kept, and all others with what tells of them."""

    code: Sequence[str] = ()
    left_out: Mapping[str, object] = field(default_factory=dict)
    not_kept: Mapping[str, str] = field(default_factory=dict)  # code among those, and why


def sorted_out(root: Path, names: Iterable[str], *, seen_from: Path) -> Untracked:
    """Tell code from all else among `names`, which are relative to `root`.

    What runs, sweeps, trackers and virtual environments have written is neither, nor what lies in
    the folder of the outputs, which is named as seen from `seen_from`.
    """
    others, sources = [], []
    outputs = [seen_from / name for name in ("outputs", os.environ.get(_OUTPUTS, "outputs"))]
    for name in _of_no_run(root, names, outputs):
        (sources if _is_source(name) else others).append(name)
    code, reasons = _kept(root, sources)
    named = [*reasons, *sorted(others)]  # what would have been code first
    return Untracked(code=code, left_out=_named(root, named, reasons), not_kept=reasons)


def tell_of_missing(not_kept: Mapping[str, str]) -> None:
    """Warn of code without which the run cannot be made again."""
    of_secrets = [name for name, reason in not_kept.items() if reason == "secret"]
    if of_secrets:
        _log.warning(
            "not written into run.json, since they seem to hold a secret: %s", _listed(of_secrets)
        )
    others = [name for name, reason in not_kept.items() if reason != "secret"]
    if others:
        _log.warning(
            "%d untracked files of code are not written into run.json (it takes %d, and %d MB of "
            "all together): %s; commit them, or let .gitignore name what is no code",
            *(len(others), _MOST_KEPT, _LARGEST_SUM >> 20, _listed(others)),
        )


def _is_source(name: str) -> bool:
    *folders, _ = name.split("/")
    return name.endswith(_SOURCES) or (
        name.endswith(_CONFIGS) and not _CONFIG_FOLDERS.isdisjoint(folders)
    )


def _kept(root: Path, sources: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the files that are kept, and why the others are not."""
    code: list[str] = []
    reasons: dict[str, str] = {}
    left = _LARGEST_SUM
    for name in sorted(sources, key=lambda name: (name.count("/"), name)):
        size = _size(root / name)
        if size > _LARGEST_FILE:
            reasons[name] = "large"
        elif size > left or len(code) == _MOST_KEPT:
            reasons[name] = "too many"
        elif _seems_secret(root, name):
            reasons[name] = "secret"
        else:
            left -= size
            code.append(name)
    return code, reasons


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _seems_secret(root: Path, name: str) -> bool:
    """Return whether a file of code or settings holds a secret, by its name or its text."""
    path = root / name
    if path.is_symlink():
        return False  # git keeps where it leads
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    return without_literals(name, text) != text


def _of_no_run(root: Path, names: Iterable[str], outputs: Iterable[Path]) -> Iterable[str]:
    """Yield the names that lie in no run, sweep or virtual environment, nor in a repository."""
    own = {os.path.relpath(place.resolve(), root.resolve()) for place in outputs}

    @cache
    def is_apart(folder: str) -> bool:
        if not folder:
            return False
        return (
            folder in own
            or is_apart(folder.rpartition("/")[0])
            or any((root / folder / mark).exists() for mark in _MARKS)
        )

    for name in names:  # with plain texts: there may be a hundred thousand
        is_file = name[-1] != "/"
        if is_file and not is_apart(name.rpartition("/")[0]) and not _OF_TRACKERS.search(name):
            yield name


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_size
    return _LARGEST_FILE + 1  # gone meanwhile


def _named(root: Path, names: Sequence[str], reasons: Mapping[str, str]) -> dict[str, object]:
    """Return what tells whether the files are still what they were: size, and hash if cheap."""
    found: dict[str, object] = {}
    left = _LARGEST_HASHED
    for name in names[:_MOST_NAMED]:
        path = root / name
        with suppress(OSError):  # gone meanwhile
            size = path.lstat().st_size
            facts: dict[str, object] = {"bytes": size}
            if size <= left and path.is_file():
                left -= size
                facts["sha256"] = sha256_of(path)
            found[name] = facts | ({"code": reasons[name]} if name in reasons else {})
    if len(names) > _MOST_NAMED:
        found["..."] = f"{len(names) - _MOST_NAMED} more untracked files"
    return found
