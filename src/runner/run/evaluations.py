"""Evaluations that were asked for after the training: a folder each, in the run's directory.

    evaluations/NAME/evaluation.json    what was measured on what, with which weights
                     predictions.csv    every sample, if the task predicts

A folder comes whole or not at all, and none is ever replaced: the same evaluation again that finds
the same leaves the one that is there, and one that finds something else gets a name of its own.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

from runner.errors import ConfigError, RunError
from runner.files import sync_directory, write_json_atomically

RECORD = "evaluation.json"
PREDICTIONS = "predictions.csv"
_VERSION = 1
_LONGEST = 60  # of a name that is made of overrides
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluation; `values` are the task's metrics, those of several sets called "SET.loss".

    `num_samples` and `num_wrong` are None where the task does not tell of single samples, or knows
    no right and wrong. `data` is the fingerprint of each dataset.
    """

    name: str
    split: str
    step: int
    time: float
    overrides: list[str]
    values: dict[str, float]
    num_samples: int | None
    num_wrong: int | None = None
    data: dict[str, str] = field(default_factory=dict)

    def finds_the_same_as(self, other: "Evaluation") -> bool:
        """Return whether both were asked the same and found the same."""
        return _essence(self) == _essence(other)


def read_evaluations(folder: Path) -> list[Evaluation]:
    """Return the evaluations in a run's `folder` of them, oldest first; RunError for a bad one."""
    found = [read_evaluation(path.parent) for path in folder.glob(f"[!.]*/{RECORD}")]
    return sorted(found, key=lambda evaluation: (evaluation.time, evaluation.name))


def read_evaluation(folder: Path) -> Evaluation:
    """Return the evaluation in `folder`; RunError if it cannot be read."""
    path = folder / RECORD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("format_version")
        if version > _VERSION:
            raise RunError(f"{path} has format {version}, and this runner knows {_VERSION}")
        return _checked(Evaluation(**content))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RunError(f"{path} cannot be read ({error}): delete its folder") from error


def check_name(name: str) -> None:
    """Raise ConfigError for what cannot be the name of an evaluation."""
    if _NOT_IN_NAMES.search(name) or not name.strip(".") or name.startswith("."):
        raise ConfigError(
            f"--name {name!r}: the name of an evaluation is made of letters, digits, _, - and ."
        )


def default_name(split: str, *, step: int | None = None, overrides: Sequence[str] = ()) -> str:
    """Return what an evaluation is called unless it is given a name: by what is special to it."""
    parts = [split, *([] if step is None else [f"step_{step}"])]
    for override in overrides:
        key, _, value = override.lstrip("+~").partition("=")
        parts.append(f"{key.rpartition('.')[2]}_{value}".rstrip("_"))
    plain = _NOT_IN_NAMES.sub("_", "_".join(parts))
    return re.sub("__+", "_", plain)[:_LONGEST].strip("_.")


@contextmanager
def new_evaluation(folder: Path) -> Iterator[Path]:
    """Give a hidden folder to write into; what was not committed is gone afterwards."""
    partial = folder / f".{os.getpid()}.tmp"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def commit(partial: Path, evaluation: Evaluation, *, is_name_given: bool) -> tuple[Path, bool]:
    """Give what was written in `partial` its place; return that, and whether it is new.

    A name that is taken becomes NAME_2 and so on; one that the user gave is refused (ConfigError).
    """
    for number in count(1):
        name = evaluation.name if number == 1 else f"{evaluation.name}_{number}"
        final = partial.parent / name
        if final.exists():
            if evaluation.finds_the_same_as(read_evaluation(final)):
                return final, False
            if is_name_given:
                raise ConfigError(
                    f"{final} is there already, with other results: give another --name, or delete "
                    "it"
                )
            continue
        content = {"format_version": _VERSION, **asdict(evaluation), "name": name}
        write_json_atomically(partial / RECORD, content)
        sync_directory(partial)
        try:
            partial.rename(final)
        except OSError:  # another one was faster with this name
            if not final.exists():
                raise
            continue
        sync_directory(final.parent)
        return final, True
    raise AssertionError("numbers do not end")


def _checked(evaluation: Evaluation) -> Evaluation:
    """Return it; TypeError for what a file may hold and an evaluation does not."""
    facts = {"step": evaluation.step, "time": evaluation.time}
    for name, value in {**facts, **evaluation.values}.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r} and no number")
    return evaluation


def _essence(evaluation: Evaluation) -> str:
    content = asdict(evaluation)
    return json.dumps({key: content[key] for key in content if key not in ("name", "time")})
