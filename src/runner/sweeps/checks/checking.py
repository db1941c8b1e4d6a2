"""Check all combinations of a sweep before any of them is started.

    validate every config               in one process, which need not survive it
    one trial step of each kind         each in a process of its own, with limits
    tell every problem once             with the overrides that cause it

This file knows no job: what validates and what rehearses is handed in, as works of a pool.
"""

import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

from runner.config.duration import parse
from runner.config.options import SweepOptions
from runner.errors import ConfigError, Interrupted
from runner.runtime.signals import StopRequests
from runner.sweeps.checks.blame import blame
from runner.sweeps.checks.deaths import sentence_of_death
from runner.sweeps.checks.findings import Findings, read_notes
from runner.sweeps.checks.trials import Trial, Trials, choose_trials
from runner.sweeps.ledger import Combination
from runner.sweeps.pool import Ended, Limits, Pool, Work

_POLL_SECONDS = 0.2
_SECONDS_PER_CONFIG = 0.1  # allowed to a validation, besides the time of a trial; it takes 6 ms


class Works(Protocol):
    """Makes what a pool is to do; each writes what it finds into the file `notes`."""

    def validate(
        self,
        configs: Sequence[Mapping[str, Any]],
        choices: Sequence[Mapping[str, str]],
        notes: Path,
    ) -> Work:
        """Return what validates `configs`."""
        ...

    def rehearse(
        self,
        configs: Sequence[Mapping[str, Any]],
        choices: Sequence[Mapping[str, str]],
        notes: Path,
    ) -> Work:
        """Return what validates and rehearses `configs`, which differ in how they train alone."""
        ...


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was looked at, and found to be without a mistake."""

    combinations: int
    facts: list[dict[str, Any]] = field(default_factory=list)  # of each trial
    num_kinds: int = 0  # so many kinds of steps there are, of which some or all were tried
    warnings: list[str] = field(default_factory=list)  # each once, with what causes it
    seconds: float = 0.0


class Checker:
    """Checks combinations in `pool`, which is left to its owner; `stop` may end it at any time."""

    def __init__(
        self, pool: Pool, works: Works, *, options: SweepOptions, stop: StopRequests | None = None
    ) -> None:
        self._pool = pool
        self._works = works
        self._options = options
        self._stop = stop or StopRequests()

    def check(
        self,
        combinations: Sequence[Combination],
        *,
        choices: Sequence[Mapping[str, str]] | None = None,
    ) -> Report:
        """Return what was looked at; ConfigError with every problem once, and what causes it.

        `choices` are the members of groups that each combination was made of, for the sentences.
        """
        start = time.monotonic()
        wants = self._options.check
        if wants == "none" or not combinations:
            return Report(combinations=len(combinations))
        choices = choices or [{} for _ in combinations]
        trials, found = Trials(chosen=[], num_kinds=0), {}
        with tempfile.TemporaryDirectory(prefix="runner_check_") as name:
            # A trial validates its own config: one needs no look before.
            if len(combinations) > 1 or wants == "config":
                self._validate(combinations, choices, _subfolder(name, "validation"))
            if wants == "full":
                trials = choose_trials(combinations)
                found = self._rehearse(combinations, choices, trials, _subfolder(name, "trials"))
        overrides = {number: combinations[number].overrides for number in sorted(found)}
        if problems := blame({n: found[n].problems for n in found}, overrides):
            raise ConfigError(*problems)
        return Report(
            combinations=len(combinations),
            facts=[found[trial.looked_at[0]].facts for trial in trials.chosen],
            num_kinds=trials.num_kinds,
            warnings=blame({n: found[n].warnings for n in found}, overrides),
            seconds=time.monotonic() - start,
        )

    def _validate(
        self,
        combinations: Sequence[Combination],
        choices: Sequence[Mapping[str, str]],
        folder: Path,
    ) -> None:
        """Raise ConfigError with what is wrong with the configs.

        A process that dies of one goes no further: those that name the same targets would kill the
        next one too, and the others are looked at by it.
        """
        problems: dict[int, Sequence[str]] = {}
        left = list(range(len(combinations)))
        while left:
            notes, log = folder / f"from_{left[0]}.jsonl", folder / f"from_{left[0]}.log"
            configs = [combinations[number].config for number in left]
            work = self._works.validate(configs, [choices[number] for number in left], notes)
            limits = self._limits(_SECONDS_PER_CONFIG * len(left))
            (ended,) = self._run({left[0]: work}, folder, limits).values()
            seen = read_notes(notes)
            problems |= {n: f.problems for n, f in zip(left, seen.findings, strict=False)}
            left = left[len(seen.findings) :]
            if not left:
                break
            death = sentence_of_death(ended, seen, limits=limits, log=log)
            targets = targets_of(combinations[left[0]].config)
            deadly = {n for n in left if targets_of(combinations[n].config) == targets}
            problems |= {number: [death] for number in deadly}
            left = [number for number in left if number not in deadly]
        overrides = {n: combination.overrides for n, combination in enumerate(combinations)}
        if told := blame(problems, overrides):
            raise ConfigError(*told)

    def _rehearse(
        self,
        combinations: Sequence[Combination],
        choices: Sequence[Mapping[str, str]],
        trials: Trials,
        folder: Path,
    ) -> dict[int, Findings]:
        """Return what was found of each combination that the trials stand for."""
        notes = [folder / f"trial_{number}.jsonl" for number in range(len(trials.chosen))]
        works = {}
        for number, trial in enumerate(trials.chosen):
            configs = [combinations[n].config for n in trial.looked_at]
            members = [choices[n] for n in trial.looked_at]
            works[number] = self._works.rehearse(configs, members, notes[number])
        limits = self._limits()
        found: dict[int, Findings] = {}
        for number, ended in self._run(works, folder, limits).items():
            seen, log = read_notes(notes[number]), folder / f"from_{number}.log"
            if not seen.findings:
                death = sentence_of_death(ended, seen, limits=limits, log=log)
                seen.findings.append(Findings(problems=[death]))
            found |= _of_each(trials.chosen[number], seen.findings)
        return found

    def _limits(self, more_seconds: float = 0.0) -> Limits:
        seconds = parse(self._options.check_timeout).seconds
        return Limits(seconds=seconds + more_seconds, memory_gib=self._options.check_memory_gib)

    def _run(self, works: Mapping[int, Work], folder: Path, limits: Limits) -> dict[int, Ended]:
        """Do all of `works`, side by side as there is room, and return how each has ended."""
        waiting, running = deque(works), set[int]()
        ended: dict[int, Ended] = {}
        try:
            while waiting or running:
                if self._stop.received is not None:
                    raise Interrupted(self._stop.received)
                while waiting and self._pool.has_room():
                    number = waiting.popleft()
                    log = folder / f"from_{number}.log"
                    self._pool.submit(number, works[number], log=log, limits=limits)
                    running.add(number)
                for end in self._pool.poll(_POLL_SECONDS):
                    ended[end.number] = end
                    running.discard(end.number)
        finally:
            for number in running:
                self._pool.kill(number)
            while running:
                running -= {end.number for end in self._pool.poll(_POLL_SECONDS)}
        return ended


def _subfolder(parent: str, name: str) -> Path:
    folder = Path(parent) / name
    folder.mkdir()
    return folder


def _of_each(trial: Trial, findings: Sequence[Findings]) -> dict[int, Findings]:
    """Return what was found of all that `trial` stands for; of a process that died, one for all."""
    return {
        number: own
        for numbers, own in zip(trial.variants, cycle(findings), strict=False)
        for number in numbers
    }


def targets_of(node: Any) -> frozenset[str]:
    """Return all that a frozen config names to be imported."""
    if isinstance(node, Mapping):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return frozenset(own.union(*(targets_of(child) for child in node.values())))
    if isinstance(node, list):
        return frozenset().union(*(targets_of(child) for child in node))
    return frozenset()
