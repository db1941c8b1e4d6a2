"""Evaluations that were asked for after the training: a folder each, in the run's directory.

    evaluations/NAME/evaluation.json    what was measured on what, with which weights
                     predictions.csv    every sample, if the task predicts

A folder comes whole or not at all, and none is ever replaced: the same evaluation again that finds
the same leaves the one that is there, and one that finds something else gets a name of its own.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

from runner.errors import ConfigError, RunError
from runner.files import sync_directory, write_json_atomically
from runner.run.whole import new_folder

RECORD = "evaluation.json"
PREDICTIONS = "predictions.csv"
_VERSION = 1
_LONGEST = 60  # of a name that is made of overrides
_ROUNDING = 1e-4  # relative; between devices, batches and compiled models
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One evaluation; `values` are the task's metrics, those of several sets called "SET.loss".

    `num_samples` and `num_wrong` are None where the task does not tell of single samples, or knows
    no right and wrong. `data` is the fingerprint of each dataset. `how` has the overrides that ask
    for nothing else but where and how fast it is computed: what was found is the same but for
    rounding.
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
    how: list[str] = field(default_factory=list)

    def asks_the_same_as(self, other: "Evaluation") -> bool:
        """Return whether both measure the same weights on the same split in the same way."""
        return _question(self) == _question(other)

    def finds_the_same_as(self, other: "Evaluation") -> bool:
        """Return whether both were asked the same and found the same."""
        if _question(self) != _question(other) or self.values.keys() != other.values.keys():
            return False
        if (self.data, self.num_samples) != (other.data, other.num_samples):
            return False
        if self.how == other.how and self.num_wrong != other.num_wrong:
            return False
        allowed = 0.0 if self.how == other.how else _ROUNDING
        return all(_is_close(self.values[n], other.values[n], allowed) for n in self.values)


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


def refuse_taken(folder: Path, evaluation: Evaluation) -> None:
    """Raise ConfigError if the name of `evaluation` is that of another question in `folder`."""
    taken = folder / evaluation.name
    if taken.exists() and not read_evaluation(taken).asks_the_same_as(evaluation):
        raise _taken(taken)


@contextmanager
def new_evaluation(folder: Path) -> Iterator[Path]:
    """Give a hidden folder to write into; what was not committed is gone afterwards."""
    was_there = folder.exists()
    try:
        with new_folder(folder) as partial:
            yield partial
    finally:
        with suppress(OSError):  # it holds others
            if not was_there:
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
                raise _taken(final)
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


def _taken(folder: Path) -> ConfigError:
    return ConfigError(
        f"{folder} is there already, with other results: give another --name, or delete it"
    )


def _question(evaluation: Evaluation) -> tuple[str, int, list[str]]:
    return evaluation.split, evaluation.step, sorted(evaluation.overrides)


def _is_close(one: float, other: float, allowed: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=allowed, abs_tol=allowed / 100)


def _checked(evaluation: Evaluation) -> Evaluation:
    """Return it; TypeError for what a file may hold and an evaluation does not."""
    facts = {"step": evaluation.step, "time": evaluation.time}
    for name, value in {**facts, **evaluation.values}.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r} and no number")
    return evaluation
