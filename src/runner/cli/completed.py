"""`resume` of a run that is completed and is not to train longer: nothing is changed, and told."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.cli.ranks import is_terminal_mine
from runner.config.frozen import with_layout
from runner.config.trust import Trust
from runner.config.written import read_config
from runner.errors import ConfigError, RunnerError
from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.run.signature import is_ours
from runner.run.status import read_raw_status

_OTHER_ENDS = ("max_duration", "target_score")  # that a resume may change
_OF_LAUNCHERS = ("hydra.", "hydra/")


def is_over(path: Path, overrides: Sequence[str], trust: Trust) -> bool:
    """Return whether nothing is left to train of the run at `path`, changed by `overrides`.

    If so, its trackers are given what they lack, and it is told what would let it train longer.
    A tracker that comes to it or changes is fed by a job: then False. Raises ConfigError for a
    limit that is lower than what is done.
    """
    directory = RunDirectory(path)
    status = read_raw_status(directory.status)
    if status is None or status.state != "completed" or not directory.config.is_file():
        return False
    before = read_config(directory.config)
    if "model" not in before:  # begun from Python, where it goes on
        return False
    now = with_layout(before, [text for text in overrides if not text.startswith(_OF_LAUNCHERS)])
    done = {"max_steps": status.step, "max_epochs": _epochs_of(directory)}
    limits, old = now["trainer"], before["trainer"]
    _refuse_less(path, done, limits, old)
    reached = [key for key, value in done.items() if _is_at_most(limits.get(key), value)]
    is_longer = any(limits.get(key) != old.get(key) for key in (*done, *_OTHER_ENDS))
    if (is_longer and not reached) or now.get("trackers") != before.get("trackers"):
        return False
    if is_terminal_mine():
        if trust.everything or is_ours(directory):
            _feed_trackers(directory)
        ends = reached or [key for key in _OTHER_ENDS if limits.get(key) is not None]
        print(_sentence(path, status.step, ends))
    return True


def _epochs_of(directory: RunDirectory) -> float:
    return max((row.epoch for row in read_journal(directory.journal)), default=0.0)


def _refuse_less(
    path: Path, done: Mapping[str, float], limits: Mapping[str, Any], old: Mapping[str, Any]
) -> None:
    for key, value in done.items():
        limit = limits.get(key)
        if limit != old.get(key) and _is_at_most(limit, value) and limit != value:
            raise ConfigError(
                f"trainer.{key}={limit} is less than is done: {path} is completed with {value:g} "
                f"{key.removeprefix('max_')}, and nothing was changed; to train longer give more"
            )


def _is_at_most(limit: object, value: float) -> bool:
    return isinstance(limit, int) and limit <= value


def _sentence(path: Path, step: int, ends: Sequence[str]) -> str:
    words = f"{path} is completed at step={step}, and nothing was changed; "
    if not ends:
        return f"{words}it ended for want of a better score (trainer.patience)"
    longer = " ".join(f"trainer.{key}=..." for key in ends)
    return f"{words}to train longer: python -m runner resume {shlex.quote(str(path))} {longer}"


def _feed_trackers(directory: RunDirectory) -> None:
    """Deliver what a job that was killed at the very end has left; where all is there, nothing."""
    from runner.cli.syncing.runs import Feeding, sync_run

    try:
        for synced in sync_run(directory, Feeding(None)):
            if synced.new or synced.has_told or synced.problem:
                rows = f"{synced.new} rows delivered, {synced.there} were there"
                print(f"{synced.place}: {synced.problem or rows}")
    except (RunnerError, OSError, ValueError, LookupError) as error:
        print(f"not delivered to the trackers: {error} (later: sync)")
