"""Which runs a list shows, and in which order."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase

from runner.cli.listing.conditions import FIGURES, Condition, condition_from
from runner.config.duration import SECONDS_PER_UNIT, parse
from runner.errors import ConfigError, RunError, did_you_mean
from runner.run.status import STATES
from runner.sweeps.listing import Damaged, Listed, ListedRun, ListedSweep

_TIMES = tuple(SECONDS_PER_UNIT)
_OPTIONS = {  # for what stands in no config
    "state": "--state, such as --state failed",
    "began": "--since, such as --since '2 days'",
    "age": "--since, such as --since '2 days'",
}
_MOST_CONFIGS = 20  # are read for the keys that a mistyped one may have meant

Row = ListedRun | ListedSweep


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a user asks for; nothing asked for leaves everything."""

    states: Sequence[str] = ()
    names: Sequence[str] = ()
    conditions: Sequence[Condition] = ()
    since: float | None = None  # seconds since 1970
    damaged: list[Damaged] = field(default_factory=list)  # configs that could not be read
    _told: list[ListedRun] = field(default_factory=list)

    def among(self, found: Iterable[Listed]) -> list[Row]:
        """Return what is asked for; of a sweep those of its runs.

        Raises ConfigError for a key that none of the runs has.
        """
        rows = [row for each in found if (row := self._of(each)) is not None]
        for condition in self.conditions:
            if self._told and not condition.was_found:
                known = {key for run in self._told for key in run.config.keys}
                if (better := _OPTIONS.get(condition.key)) is not None:
                    raise ConfigError(
                        f"--where is about keys of the config; for '{condition.key}' there is "
                        f"{better}"
                    )
                raise ConfigError(
                    f"--where: no run has '{condition.key}' in its config"
                    f"{did_you_mean(condition.key, {*known, *FIGURES})}"
                )
        return rows

    def _of(self, listed: Listed) -> Row | None:
        match listed:
            case ListedRun():
                return listed if self._keeps(listed) else None
            case ListedSweep():
                if not (self.states or self.names or self.conditions or self.since):
                    return listed
                runs = [run for run in listed.runs if self._keeps(run, in_sweep=listed)]
                is_whole = len(runs) == len(listed.runs)
                return replace(listed, runs=runs, is_whole=is_whole) if runs else None
            case Damaged():
                return None

    def _keeps(self, run: ListedRun, in_sweep: ListedSweep | None = None) -> bool:
        if self.states and run.state not in self.states:
            return False
        paths = (run.path, *(() if in_sweep is None else (in_sweep.path,)))
        words = [run.name, *(path.name for path in paths)]
        if self.names and not any(fnmatchcase(w, name) for w in words for name in self.names):
            return False
        if self.since is not None and (run.last_seen or run.now) < self.since:
            return False
        if self.conditions and len(self._told) < _MOST_CONFIGS:
            self._told.append(run)
        try:  # each is asked, so that each knows whether its key is to be found
            return sum(not condition.holds(run) for condition in self.conditions) == 0
        except RunError as error:
            self.damaged.append(Damaged(path=run.path, problem=f"cannot be read: {error}"))
            return False


def choice_from(
    *, states: Iterable[str], names: Iterable[str], where: Iterable[str], since: str | None
) -> Choice:
    """Return the choice that the options of the command mean; ConfigError for a mistake."""
    return Choice(
        states=[_state(word) for word in _words(states)],
        names=_words(names),
        conditions=[condition_from(text) for text in where],
        since=None if since is None else _moment(since),
    )


def in_order(rows: Iterable[Row], *, by: str, reverse: bool) -> list[Row]:
    """Return the rows by one of ORDERS; those that lack it come last either way."""
    rank = ORDERS.get(by)
    if rank is None:
        raise ConfigError(f"--sort takes {', '.join(ORDERS)}; got '{by}'{did_you_mean(by, ORDERS)}")
    keyed = [(rank(row), row) for row in rows]
    ranked = [(key, row) for key, row in keyed if key is not None]
    ranked.sort(key=lambda pair: pair[0], reverse=reverse)
    return [*(row for _, row in ranked), *(row for key, row in keyed if key is None)]


def best_run(row: Row) -> ListedRun | None:
    """Return the run whose score a row tells: itself, or the best of a sweep."""
    return row.best if isinstance(row, ListedSweep) else row


def _by_score(row: Row) -> tuple | None:
    """Rank the better score first, those of each metric together."""
    best = best_run(row)
    score = None if best is None else best.row.score
    if best is None or score is None or not math.isfinite(score):
        return None
    return (best.metric, -score if best.mode == "max" else score)


def _by_step(row: Row) -> tuple | None:
    runs = row.runs if isinstance(row, ListedSweep) else [row]
    return (-max((run.row.step for run in runs), default=0),)


def _by_age(row: Row) -> tuple | None:
    return None if row.began is None else (-row.began,)


def _by_duration(row: Row) -> tuple | None:
    return None if row.seconds is None else (-row.seconds,)


def _by_name(row: Row) -> tuple | None:
    return (row.name, str(row.path))


ORDERS: dict[str, Callable[[Row], tuple | None]] = {
    "age": _by_age,
    "score": _by_score,
    "name": _by_name,
    "step": _by_step,
    "duration": _by_duration,
}


def _words(texts: Iterable[str]) -> list[str]:
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


def _state(word: str) -> str:
    if word not in STATES:
        raise ConfigError(
            f"--state takes {', '.join(STATES)}; got '{word}'{did_you_mean(word, STATES)}"
        )
    return word


def _moment(text: str) -> float:
    """Return the moment that "2 days" (ago) or "2026-11-20 18:00" means."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        pass
    try:
        return time.time() - parse(text, units=_TIMES).seconds
    except ConfigError as error:
        raise ConfigError(f"--since: {error} (or a date, as 2026-11-20)") from error
