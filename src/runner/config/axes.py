"""The axes of a sweep: which keys it varies, through which values, and which of them together.

`zip` names keys whose values go together, the first with the first and so on. `exclude` lists
combinations to leave out; one that names some of the keys leaves out all that agree with it.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from runner.config.overrides import parse_override
from runner.errors import ConfigError, did_you_mean

Choice = tuple[str, ...]  # one override for each axis: ("optimizer.lr=0.001", "seed=2")


@dataclass(frozen=True)
class Axis:
    """One key that a sweep varies."""

    key: str  # as typed, with + or ++
    values: tuple[str, ...]  # as typed

    @property
    def name(self) -> str:
        """The key as it stands in the config."""
        return name_of(self.key)

    def choices(self) -> list[str]:
        """Return one override for each value."""
        return [f"{self.key}={value}" for value in self.values]


def name_of(key: str) -> str:
    """Return a key as it stands in the config of one as it is typed: "+model.x" is "model.x"."""
    return key.lstrip("+").partition("@")[0]


def read_axes(
    arguments: Sequence[str], params: Mapping[str, Any] | None = None
) -> tuple[list[str], list[Axis]]:
    """Return the overrides that hold for all runs, and the axes.

    `params` are axes from the config, key by key, which `arguments` may replace. Raises ConfigError
    for what is no override, or cannot be enumerated.
    """
    fixed: dict[str, str] = {}
    axes: dict[str, Axis] = {}
    problems: list[str] = []
    for text in [*(f"{key}={value}" for key, value in (params or {}).items()), *arguments]:
        try:
            override = _parse(text)
            key = override.get_key_element()
            fixed.pop(key, None)
            axes.pop(key, None)
            if override.is_sweep_override():
                axes[key] = _axis(key, override)
            else:
                fixed[key] = text
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return list(fixed.values()), list(axes.values())


def combine(
    axes: Sequence[Axis],
    *,
    zip: Sequence[Sequence[str]] = (),
    exclude: Sequence[Mapping[str, Any]] = (),
) -> list[Choice]:
    """Return every combination, the last axis varying fastest; ConfigError for unknown keys.

    Each combination lists its overrides in the order of the axes.
    """
    known = {axis.name: axis for axis in axes}
    zipped = [key.lstrip("+") for keys in zip for key in keys]
    _check_keys(zipped, known, "hydra.sweeper.zip")
    if len(zipped) != len(set(zipped)) or any(len(keys) < 2 for keys in zip):
        raise ConfigError(
            f"hydra.sweeper.zip={[list(keys) for keys in zip]}: each list names two keys or more "
            "that go together, and a key stands in one list alone"
        )
    _check_keys([key for pattern in exclude for key in pattern], known, "hydra.sweeper.exclude")
    bundles = _bundles(axes, zip)
    order = {axis.key: position for position, axis in enumerate(axes)}
    found = []
    for parts in itertools.product(*bundles):
        pairs = sorted((pair for part in parts for pair in part), key=lambda pair: order[pair[0]])
        if not any(_matches(pairs, pattern) for pattern in exclude):
            found.append(tuple(f"{key}={value}" for key, value in pairs))
    return list(dict.fromkeys(found))


def _bundles(
    axes: Sequence[Axis], zip: Sequence[Sequence[str]]
) -> list[list[tuple[tuple[str, str], ...]]]:
    """Return what varies independently: each a list of (key, value) pairs that go together."""
    groups = [[key.lstrip("+") for key in keys] for keys in zip]
    bundled: set[str] = set()
    bundles = []
    for axis in axes:
        if axis.name in bundled:
            continue
        group = next((keys for keys in groups if axis.name in keys), [axis.name])
        members = [other for other in axes if other.name in group]
        lengths = {len(member.values) for member in members}
        if len(lengths) > 1:
            raise ConfigError(
                "hydra.sweeper.zip: keys that go together need equally many values: "
                + ", ".join(f"{member.key} has {len(member.values)}" for member in members)
            )
        bundled |= {member.name for member in members}
        bundles.append(
            [
                tuple((member.key, member.values[i]) for member in members)
                for i in range(lengths.pop())
            ]
        )
    return bundles


def _matches(pairs: Iterable[tuple[str, str]], pattern: Mapping[str, Any]) -> bool:
    values = {key.lstrip("+"): _value(value) for key, value in pairs}
    return all(_is_same(values[key.lstrip("+")], _value(wanted)) for key, wanted in pattern.items())


def _is_same(first: Any, second: Any) -> bool:
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def _value(value: Any) -> Any:
    """Return what the text of an override stands for, so that 1e-3 equals 0.001."""
    return parse_override(f"x={value}").value() if isinstance(value, str) else value


def _check_keys(keys: Iterable[str], known: Iterable[str], where: str) -> None:
    known = list(known)
    for key in keys:
        if key.lstrip("+") not in known:
            raise ConfigError(
                f"{where}: this sweep does not vary '{key}'{did_you_mean(key, known)} "
                f"(it varies {', '.join(known) or 'nothing'})"
            )


def _parse(text: str) -> Override:
    """Parse `text`; with Hydra at work, which knows the members of a group for glob(*)."""
    hydra = GlobalHydra.instance()
    if not hydra.is_initialized():
        return parse_override(text)
    try:
        parser = OverridesParser.create(config_loader=hydra.config_loader())
        return parser.parse_overrides([text])[0]  # unlike parse_override it hands the loader on
    except HydraException:
        return parse_override(text)  # which says how an override is written


def _axis(key: str, override: Override) -> Axis:
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.input_line} has no list of values: use hydra/sweeper=random or "
            f"hydra/sweeper=optuna, or name values: {key}=..,.."
        )
    values = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not values:
        raise ConfigError(f"{override.input_line} names no value at all")
    return Axis(key, values)
