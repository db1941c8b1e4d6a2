"""Which combinations of a sweep are worth a trial: those that compute something different."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.sweeps.ledger import Combination

MOST_TRIALS = 12

# What decides whether a step can be made, and what only how it is planned.
_NODES = (
    *("model", "task", "precision", "debug", "parameters"),
    *("init_weights_from", "init_weights_strict"),
)
_TRAINER_KEYS = (
    "compile",
    "deterministic",
    "ema_decay",
    "on_nonfinite",
    "on_out_of_memory",
    "max_grad_norm",
)
_SLURM_KEYS = ("nodes", "tasks_per_node", "gpus_per_node")  # of a node hardware.slurm
_PLANNED_NODES = ("optimizer", "scheduler", "trainer")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Combinations that one trial stands for: those of a variant differ in nothing that counts."""

    variants: list[list[int]]  # numbers of combinations; the first of each is looked at

    @property
    def looked_at(self) -> list[int]:
        return [numbers[0] for numbers in self.variants]


@dataclass(frozen=True, kw_only=True)
class Trials:
    """The trials to make; `num_kinds` of steps there are, of which they are some, or all."""

    chosen: list[Trial]
    num_kinds: int


def choose_trials(combinations: Sequence[Combination]) -> Trials:
    """Return the trials that are worth making.

    One for all that have the same model, data, task, precision and kind of optimizer. Where these
    are more than MOST_TRIALS, as few as have every override of the sweep among them: of numbers the
    least and the largest.
    """
    groups = _alike(range(len(combinations)), lambda number: _kind(combinations[number].config))
    num_kinds = len(groups)
    if num_kinds > MOST_TRIALS:
        groups = _covering(groups, combinations)
    chosen = [
        Trial(variants=_alike(group, lambda number: _plan(combinations[number].config)))
        for group in groups
    ]
    return Trials(chosen=chosen, num_kinds=num_kinds)


def _alike(numbers: Iterable[int], key: Callable[[int], str]) -> list[list[int]]:
    """Return `numbers` in groups that have the same key."""
    groups: dict[str, list[int]] = {}
    for number in numbers:
        groups.setdefault(key(number), []).append(number)
    return list(groups.values())


def _kind(config: Mapping[str, Any]) -> str:
    """Return what of a config decides whether a step of it can be made."""
    trainer = config.get("trainer") or {}
    deciding = {
        **{name: config.get(name) for name in _NODES},
        "data": {k: v for k, v in (config.get("data") or {}).items() if k != "num_workers"},
        "hardware": _of_hardware(config.get("hardware") or {}),
        "trainer": {key: trainer.get(key) for key in _TRAINER_KEYS},
        "optimizer": _targets(config.get("optimizer") or {}),
        "accumulates": (trainer.get("gradient_accumulation_steps") or 1) != 1,
    }
    return json.dumps(deciding, sort_keys=True, default=str)


def _of_hardware(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a node `hardware` decides it: where and for how long a job waits does not."""
    slurm = node.get("slurm") or {}
    return {**node, "slurm": {key: slurm.get(key) for key in _SLURM_KEYS}}


def _targets(node: Mapping[str, Any]) -> Any:
    """Return what an optimizer is, or each of several by name."""
    if "_target_" in node:
        return node["_target_"]
    return {name: _targets(each) for name, each in node.items() if isinstance(each, Mapping)}


def _plan(config: Mapping[str, Any]) -> str:
    """Return what of a config decides how training goes, given a model and its data."""
    return json.dumps(
        {name: config.get(name) for name in _PLANNED_NODES}, sort_keys=True, default=str
    )


def _covering(groups: list[list[int]], combinations: Sequence[Combination]) -> list[list[int]]:
    """Return groups that have all extreme overrides among them, chosen greedily.

    Of equals the one with most of the largest numbers: it needs most memory.
    """
    missing, largest = _extremes(combinations)
    own = [
        {text for number in group for text in combinations[number].overrides} for group in groups
    ]
    chosen: list[int] = []
    while missing:
        widest = max(
            range(len(groups)), key=lambda i: (len(own[i] & missing), len(own[i] & largest))
        )
        chosen.append(widest)
        missing = missing - own[widest]
    return [groups[i] for i in sorted(chosen)]


def _extremes(combinations: Sequence[Combination]) -> tuple[set[str], set[str]]:
    """Return the overrides that have to be tried, and those of them that are a largest number."""
    values: dict[str, dict[str, float | None]] = {}  # key -> override -> its number
    for combination in combinations:
        for text in combination.overrides:
            key, _, value = text.partition("=")
            values.setdefault(key, {})[text] = _number(value)
    wanted: set[str] = set()
    largest: set[str] = set()
    for texts in values.values():
        numbers = {text: number for text, number in texts.items() if number is not None}
        if len(numbers) < len(texts):
            wanted |= texts.keys()
            continue
        most = max(numbers, key=numbers.__getitem__)
        wanted |= {min(numbers, key=numbers.__getitem__), most}
        largest.add(most)
    return wanted, largest


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
