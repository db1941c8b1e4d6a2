"""What a comparison of runs is made of: runs, and the sides on which they stand."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.config.layout import is_layout
from runner.reports.sweep.statistics import SEED, Estimate, estimate
from runner.run.journal import Row
from runner.run.source.state import CodeState

ABSENT = "(absent)"
SEVERAL = "(several)"
# How far a run is trained: keys of the layout, but runs of other lengths are not the same runs.
_LENGTH = (
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.max_duration",
    "trainer.target_score",
)
# The words with which a metric ends whose config does not tell which is better.
_LESS_IS_BETTER = re.compile(r"(^|[^a-z])(loss|cer|wer|mae|mse|rmse|error|fid|perplexity)$")
_MORE_IS_BETTER = re.compile(r"(^|[^a-z])(accuracy|f1|precision|recall|exact_match|r2|whole)$")


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run with all that two may differ in."""

    name: str
    path: str  # as a user types it
    state: str
    step: int
    config: Mapping[str, Any]  # by dotted keys
    overrides: Sequence[str]
    code: CodeState
    surroundings: Mapping[str, str]  # versions of packages, and the machine
    metric: str
    mode: str  # min | max
    score: float | None
    best_step: int | None
    rows: Sequence[Row] = field(repr=False)
    origin: str = ""  # the sweep it was given with

    @property
    def seed(self) -> Any:
        return self.config.get(SEED)

    def series(self, metric: str) -> list[tuple[int, float]]:
        """Return the (step, value) pairs of a metric, by steps."""
        split, _, name = metric.partition(".")
        found = {row.step: row.values[name] for row in self.rows if _has(row, split, name)}
        return sorted(found.items())

    def kept_value(self, metric: str) -> float | None:
        """Return the value of the weights that are kept, those of the best step; else the last."""
        series = self.series(metric)
        early = [value for step, value in series if step == self.best_step]
        return early[0] if early else self.last_value(metric)

    def has_kept(self, metric: str) -> bool:
        """Return whether `metric` was measured with the weights that are kept, as a test is."""
        is_test = metric.startswith("test.")
        return is_test or any(step == self.best_step for step, _ in self.series(metric))

    def last_value(self, metric: str) -> float | None:
        series = self.series(metric)
        return series[-1][1] if series else None


@dataclass(frozen=True, kw_only=True)
class Side:
    """Runs that differ in nothing but their seed, or one run; `label` is A, B, ..."""

    label: str
    runs: Sequence[ComparedRun]

    @property
    def first(self) -> ComparedRun:
        return self.runs[0]

    def values(self, metric: str) -> list[tuple[Any, float]]:
        """Return seed and kept value of each run that was trained to its end.

        Runs of one seed are no independent ones: they count once, with their mean.
        """
        found: dict[object, list[tuple[Any, float]]] = {}
        for run in self.runs:
            value = run.kept_value(metric)
            if run.state == "completed" and value is not None and math.isfinite(value):
                key = run.path if run.seed is None else run.seed
                found.setdefault(key, []).append((run.seed, value))
        return [
            (pairs[0][0], estimate([value for _, value in pairs]).mean) for pairs in found.values()
        ]

    @property
    def repeats_seeds(self) -> bool:
        seeds = [run.seed for run in self.runs if run.seed is not None]
        return len(set(seeds)) < len(seeds)

    def estimate(self, metric: str) -> Estimate | None:
        values = [value for _, value in self.values(metric)]
        return estimate(values) if values else None


def sides_of(runs: Iterable[ComparedRun]) -> list[Side]:
    """Return the runs grouped by all that makes their result but the seed, and by their length.

    Runs of different sweeps are on different sides, and so are single runs of different code. Where
    all would be one group, each run has a side of its own.
    """
    runs = list(runs)
    groups: dict[str, list[ComparedRun]] = {}
    for run in runs:
        groups.setdefault(_key(run), []).append(run)
    members = list(groups.values()) if len(groups) > 1 else [[run] for run in runs]
    return [Side(label=_letters(at), runs=group) for at, group in enumerate(members)]


def group_of(sides: Sequence[Side]) -> Side | None:
    """Return all runs as one side if they differ in nothing but their seed, each in its own."""
    runs = [run for side in sides for run in side.runs]
    is_one = len({_key(run) for run in runs}) == 1 and len({run.seed for run in runs}) == len(runs)
    return Side(label="all", runs=runs) if is_one else None


def measured_alike(sides: Sequence[Side]) -> bool:
    """Return whether figures can be ranked: those of other tasks or kinds of data cannot."""
    runs = [run for side in sides for run in side.runs]
    kinds = ("task._target_", "data._target_")
    return len({tuple(str(run.config.get(key)) for key in kinds) for run in runs}) == 1


def differing(sides: Sequence[Side], *, layout: bool) -> dict[str, list[str]]:
    """Return the config keys at which sides differ, with the value of each side as text.

    `layout` chooses the keys that do not change the result, or else those that do. Where a side has
    several seeds, the seed tells nothing.
    """
    has_groups = any(len(side.runs) > 1 for side in sides)
    keys = sorted({key for side in sides for run in side.runs for key in run.config})
    rows = {
        key: [_one({_text(run.config, key) for run in side.runs}) for side in sides]
        for key in keys
        if is_layout(key) is layout and not (has_groups and key == SEED)
    }
    found = {key: texts for key, texts in rows.items() if len(set(texts)) > 1 or SEVERAL in texts}
    return _in_short(found) if layout else found


def surroundings(sides: Sequence[Side]) -> dict[str, list[str]]:
    """Return what of packages and machines differs, with the value of each side."""
    names = dict.fromkeys(n for side in sides for run in side.runs for n in run.surroundings)
    rows = {
        name: [_one({run.surroundings.get(name, ABSENT) for run in side.runs}) for side in sides]
        for name in names
    }
    return {name: texts for name, texts in rows.items() if len(set(texts)) > 1 or SEVERAL in texts}


def metrics_of(sides: Sequence[Side]) -> list[str]:
    """Return what runs were judged by, the score first: evaluations, tests, the training's loss."""
    names = {
        f"{row.split}.{n}" for s in sides for r in s.runs for row in r.rows for n in row.values
    }
    kept = [n for n in names if not n.startswith(("train.", "speed.", "system."))]
    kept += ["train.loss"] if "train.loss" in names else []
    scores = {run.metric for side in sides for run in side.runs}
    return sorted(kept, key=lambda name: (name not in scores, name.startswith("train."), name))


def mode_of(metric: str, sides: Sequence[Side]) -> str | None:
    """Return min or max, which is better; None if neither a config nor the name tells."""
    modes = {run.mode for side in sides for run in side.runs if run.metric == metric}
    if len(modes) == 1:
        return modes.pop()
    name = metric.rpartition(".")[2]
    if _LESS_IS_BETTER.search(name):
        return "min"
    return "max" if _MORE_IS_BETTER.search(name) else None


def best_index(values: Sequence[float | None], mode: str | None) -> int | None:
    """Return which value is the best; None for a tie, less than two, or an unknown mode."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if mode is None or len(known) < 2:
        return None
    best = min(known) if mode == "min" else max(known)
    return values.index(best) if known.count(best) == 1 else None


def _key(run: ComparedRun) -> str:
    keys = (k for k in run.config if k != SEED and (k in _LENGTH or not is_layout(k)))
    config = {key: run.config[key] for key in keys}
    code = None if run.origin else run.code
    return json.dumps([run.origin, code, config], sort_keys=True, default=str)


def _in_short(rows: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the rows, but of a tracker or callback that a side lacks what it is, no details."""
    found: dict[str, list[str]] = {}
    for key, texts in rows.items():
        node = ".".join(key.split(".")[:2])
        target = rows.get(f"{node}._target_", [])
        if ABSENT in target and len({*texts} - {ABSENT}) == 1:
            found[node] = target
        elif not any(other.startswith(f"{key}.") for other in rows):
            found[key] = texts
    return found


def _has(row: Row, split: str, name: str) -> bool:
    return row.split == split and name in row.values


def _text(config: Mapping[str, Any], key: str) -> str:
    if key not in config:
        return ABSENT
    value = config[key]
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _one(texts: set[str]) -> str:
    return texts.pop() if len(texts) == 1 else SEVERAL


def _letters(number: int) -> str:
    """Return A to Z, then AA, AB, ..."""
    letter = chr(ord("A") + number % 26)
    return letter if number < 26 else f"{_letters(number // 26 - 1)}{letter}"
