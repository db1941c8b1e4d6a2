"""Let a search end a training early."""

from dataclasses import replace

from runner.config.duration import parse_optional
from runner.data.data import in_split
from runner.errors import ConfigError
from runner.sweeps.search.judge import StudyJudge
from runner.sweeps.search.pruning import Pruning
from runner.training.parts import Parts
from runner.training.pruning import JudgedPruning


def with_pruning(parts: Parts, pruning: Pruning) -> Parts:
    """Return `parts` whose training asks the study of `pruning` after each evaluation."""
    metric = parts.options.trainer.best_metric
    if not (metric.startswith("evaluation.") and in_split(parts.loaders, "evaluation")):
        raise ConfigError(
            f"pruning judges a run at its evaluations, of which trainer.best_metric={metric} needs "
            "to be one: use evaluation.* and data with an evaluation split"
        )
    judge = None
    if parts.ranks.is_main:
        judge = StudyJudge(pruning, planned_evaluations=planned_evaluations(parts))
    warmup = parse_optional(pruning.warmup)
    return replace(parts, pruning=JudgedPruning(judge, warmup=warmup, ranks=parts.ranks))


def planned_evaluations(parts: Parts) -> int | None:
    """Return how many evaluations a whole training has; None where its length is not known."""
    trainer = parts.options.trainer
    every, steps = parse_optional(trainer.evaluate_every), parts.planned_steps
    if steps is None:
        return None
    on_the_way, rest = 0, steps
    lengths = parts.loaders["train"].lengths
    if every is not None and every.unit == "steps":
        on_the_way, rest = divmod(steps, int(every.value))
    elif every is not None and lengths is not None:
        epochs, behind = lengths.epochs_in(steps, trainer.gradient_accumulation_steps)
        on_the_way, rest = divmod(epochs, int(every.value))
        rest += behind
    at_end = trainer.evaluate_at_end and rest > 0
    return max(1, trainer.evaluate_at_start + on_the_way + at_end)
