"""End a training early whose scores fall behind those of other runs.

Who knows the others is a `Judge`, which is handed in; with a search it asks the study. Rank 0 asks,
and all ranks hear the answer. Without one nothing is asked.
"""

from typing import Protocol

from runner.config.duration import Duration
from runner.runtime.ranks import ALONE, Ranks
from runner.training.cadence import has_passed
from runner.training.progress import Progress


class Judge(Protocol):
    """Knows how other runs fared; it never raises, and has no say where it cannot know."""

    def report(self, evaluation: int, score: float) -> None:
        """Take the score of an evaluation, the first being 1; maybe of one reported before."""
        ...

    def is_hopeless(self, evaluation: int) -> bool:
        """Return whether the scores up to this evaluation fall behind those of others."""
        ...


class Pruning(Protocol):
    """What the loop asks after an evaluation."""

    def is_due(self, progress: Progress, score: float, *, is_last: bool) -> bool:
        """Take a score; return whether training is to end here. All ranks call this."""
        ...


class NoPruning:
    """Every training goes on to its own end."""

    def is_due(self, progress: Progress, score: float, *, is_last: bool) -> bool:  # noqa: ARG002
        return False


class JudgedPruning:
    """Ends a training that `judge` calls hopeless, once the warm-up is over."""

    def __init__(
        self, judge: Judge | None, *, warmup: Duration | None = None, ranks: Ranks = ALONE
    ) -> None:
        self._judge = judge  # of rank 0
        self._warmup = warmup
        self._ranks = ranks

    def is_due(self, progress: Progress, score: float, *, is_last: bool) -> bool:
        """A training that is over anyway is reported and not judged."""
        verdict = False
        if self._judge is not None:
            self._judge.report(progress.evaluations, score)
            has_trained = progress.step > 0 and has_passed(self._warmup, progress)
            if has_trained and not is_last:
                verdict = self._judge.is_hopeless(progress.evaluations)
        return self._ranks.share(verdict)
