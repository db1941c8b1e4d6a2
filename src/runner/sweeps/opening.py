"""Find the directory of a sweep, and tell whether what is there is the same sweep."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.config.layout import leaves
from runner.errors import ConfigError, RunError
from runner.run.source.state import CodeState
from runner.sweeps.directory import SweepDirectory, is_sweep
from runner.sweeps.identity import deciding_leaves
from runner.sweeps.record import SweepRecord, read_record

# Layout keys that change the score all the same: a sweep does not mix runs of different lengths.
LENGTH_KEYS = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_duration")
_LONGEST_NAME = 48
_ABSENT = object()


def sweep_name(key: str, swept: Sequence[str]) -> str:
    """Return the folder's name of a sweep without a name of its own: "lr-seed_0123abcd"."""
    words = "-".join(dict.fromkeys(name.rpartition(".")[2] for name in swept)) or "sweep"
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '-', words)[:_LONGEST_NAME]}_{key[:8]}"


def place_of(folder: Path, name: str, *, fresh: bool) -> SweepDirectory:
    """Return where the sweep `name` in `folder` goes on: the newest of NAME, NAME_2, NAME_3, ...

    With `fresh` the next that is not there.
    """
    number, newest = 1, folder / name
    while is_sweep(candidate := folder / (name if number == 1 else f"{name}_{number}")):
        newest, number = candidate, number + 1
    return SweepDirectory(candidate if fresh else newest)


def check_same_sweep(directory: SweepDirectory, new: SweepRecord) -> None:
    """Raise ConfigError when the directory holds a sweep that `new` does not continue."""
    if not is_sweep(directory.path):
        return
    old = read_record(directory)
    differing = _changes(old, new)
    if old.key != new.key:
        raise ConfigError(
            f"{directory.path} holds another sweep ({'; '.join(differing)}): use another "
            "sweep.name, or fresh=true to start over beside it"
        )
    if longer := change_of_length(directory, old.base, new.base, swept=new.swept):
        raise ConfigError(longer)
    if new.kind != old.kind:
        raise ConfigError(
            f"{directory.path} holds a sweep of hydra/sweeper={old.kind}, not {new.kind}: use "
            "another sweep.name, or fresh=true"
        )


def change_of_length(
    directory: SweepDirectory,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    swept: Sequence[str] = (),
) -> str | None:
    """Return what to tell of configs that train for different lengths, or None."""
    differing = _differences(_lengths(old, swept), _lengths(new, swept))
    if not differing:
        return None
    changed = " ".join(f"{key}={_typed(value)}" for key, (_, value) in differing.items())
    return (
        f"{directory.path} holds this sweep with {_told(differing)}: to give its runs the new "
        f"length: python -m runner resume {directory.path} {changed}; to start over beside it: "
        "fresh=true"
    )


def changed_since(folder: Path, directory: SweepDirectory, new: SweepRecord) -> str | None:
    """Return what to tell of a sweep whose overrides are those of an older one, or None.

    The config behind the same overrides may have been edited: that makes another sweep.
    """
    if is_sweep(directory.path) or not folder.is_dir():
        return None
    for path in sorted(folder.iterdir(), reverse=True):
        if not is_sweep(path):
            continue
        try:
            old = read_record(SweepDirectory(path))
        except RunError:  # a damaged one says so when it is looked at
            continue
        if old.arguments == new.arguments and old.kind == new.kind and old.key != new.key:
            return (
                f"THE CONFIG BEHIND THESE OVERRIDES HAS CHANGED since {path} "
                f"({'; '.join(_changes(old, new))}): this is a new sweep, the old one stays"
            )
    return None


def change_of_code(old: SweepRecord, now: CodeState) -> str | None:
    """Return what to tell when the code is not that of the sweep's last start, or None."""
    if not old.starts or old.starts[-1]["code"] == now:
        return None
    queued = (
        ", jobs in the queue keep the code they have" if old.launcher.get("snapshot_code") else ""
    )
    return (
        "THE CODE HAS CHANGED since the last start of this sweep: runs that are done stay as they "
        f"are{queued}, the others go on with the new code; to do all again: fresh=true"
    )


def _changes(old: SweepRecord, new: SweepRecord) -> list[str]:
    swept = set(old.swept) | set(new.swept)
    told = [] if old.swept == new.swept else [f"it varies {', '.join(old.swept)}"]
    differing = _differences(
        deciding_leaves(old.base, swept=swept), deciding_leaves(new.base, swept=swept)
    )
    return told + ([_told(differing)] if differing else [])


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs, key by key, as (old, new); None for what is absent."""
    return {
        key: (old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key, _ABSENT) != new.get(key, _ABSENT)
    }


def _told(differing: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{key}={old} there, {new} here" for key, (old, new) in differing.items())


def _typed(value: Any) -> str:
    return "null" if value is None else str(value)


def _lengths(config: Mapping[str, Any], swept: Sequence[str]) -> dict[str, Any]:
    found = leaves(config)
    return {
        key: found.get(key)
        for key in LENGTH_KEYS
        if not any(key == name or key.startswith(f"{name}.") for name in swept)
    }
