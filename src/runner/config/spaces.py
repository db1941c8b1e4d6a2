"""Read what a search may vary from overrides as a user types them.

    optimizer.lr=tag(log, interval(1e-4, 3e-2))     data.batch_size=16,32,64
    model.hidden_size=int(interval(32, 96))         model=mlp,convnet
    model.hidden_size=range(32, 97, step=16)        seed=choice(1, 2, 3)

An override that names a single value is fixed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
    Sweep,
    Transformer,
    ValueType,
)

from runner.config.overrides import parse_override
from runner.config.space import Choices, Interval, Space
from runner.errors import ConfigError

LOG = "log"


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a command searches, by the key as it is typed ("+model.width"), and what it fixes."""

    spaces: Mapping[str, Space]
    fixed: tuple[str, ...]  # overrides


def read_search(overrides: Sequence[str], params: Mapping[str, object] | None = None) -> Search:
    """Return what `overrides` and hydra.sweeper.params say; the command line wins.

    Raises ConfigError with a sentence for each that makes no sense.
    """
    written = [parse_override(f"{key}={value}") for key, value in (params or {}).items()]
    typed = [parse_override(text) for text in overrides]
    chosen = {override.key_or_group for override in typed}
    written = [override for override in written if override.key_or_group not in chosen]
    spaces: dict[str, Space] = {}
    fixed: list[str] = []
    problems: list[str] = []
    for override in [*written, *typed]:
        if not override.is_sweep_override():
            fixed.append(override.input_line or "")
            continue
        try:
            key = override.get_key_element()
            if key in spaces:
                raise ConfigError(f"{key} is searched twice: give it once")
            spaces[key] = _space(override)
        except ConfigError as error:
            problems += error.problems
    if not spaces and not problems:
        problems.append(
            "there is nothing to search: give at least one key several values, such as "
            "'optimizer.lr=tag(log, interval(1e-4, 1e-2))' or seed=1,2,3"
        )
    if problems:
        raise ConfigError(*problems)
    return Search(spaces=spaces, fixed=tuple(fixed))


def _space(override: Override) -> Space:
    line = override.input_line or ""
    if override.is_hydra_override():
        raise ConfigError(f"{line}: what belongs to Hydra cannot be searched, give it one value")
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        raise ConfigError(f"{line}: a search takes no glob, name its members: a,b,c")
    value = override.value()
    assert isinstance(value, Sweep)
    is_log = _is_log(value, line)
    match value:
        case IntervalSweep():
            return _interval(value, line, is_log=is_log)
        case RangeSweep():
            return _lattice(value, line, is_log=is_log)
        case ChoiceSweep() if is_log:
            raise ConfigError(f"{line}: tag(log, ...) is for an interval, not for single values")
        case ChoiceSweep():
            texts = (str(Transformer.str(element)) for element in value.list)
            return Choices(values=tuple(dict.fromkeys(texts)))
    raise ConfigError(f"{line} cannot be searched: use interval, range or choice")


def _is_log(sweep: Sweep, line: str) -> bool:
    if unknown := sorted(sweep.tags - {LOG}):
        raise ConfigError(f"{line}: there is no tag '{unknown[0]}', only tag(log, ...)")
    return LOG in sweep.tags


def _interval(sweep: IntervalSweep, line: str, *, is_log: bool) -> Interval:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{line}: an interval has two finite ends")
    if not low < high:
        raise ConfigError(f"{line}: an interval goes from a smaller number to a larger one")
    if is_log and low <= 0:
        raise ConfigError(f"{line}: a logarithmic interval begins above 0, not at {low:g}")
    is_int = isinstance(low, int) and isinstance(high, int)
    return Interval(low=low, high=high, log=is_log, is_int=is_int, step=1 if is_int else None)


def _lattice(sweep: RangeSweep, line: str, *, is_log: bool) -> Interval:
    """Return what a range holds, from its smallest number to its largest."""
    ends = (sweep.start, sweep.stop, sweep.step)
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
        raise ConfigError(f"{line}: a range has finite ends and a finite step")
    start, stop, step = (Decimal(str(end)) for end in ends)
    if not step or (count := math.ceil((stop - start) / step)) < 1:
        raise ConfigError(f"{line}: this range holds no number")
    is_int = all(isinstance(end, int) for end in ends)
    if is_log and not (is_int and abs(step) == 1):
        raise ConfigError(
            f"{line}: a logarithmic range takes whole numbers in steps of 1, or use "
            "tag(log, interval(...))"
        )
    number = int if is_int else float
    low, high = sorted((start, start + (count - 1) * step))
    if is_log and low <= 0:
        raise ConfigError(f"{line}: a logarithmic range begins above 0, not at {low:g}")
    return Interval(
        low=number(low), high=number(high), log=is_log, is_int=is_int, step=number(abs(step))
    )
