"""Every recipe (conf/experiment) reaches a stated quality in seconds, and resumes exactly."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands.command import BARE, call, only_run

Bound = tuple[str, float]  # ("<=", 0.1)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An experiment; cut short by `overrides` it still reaches `bound` in `metric` of `split`.

    `teacher`: another recipe, the run of which it needs as `task.teacher.run`. `needs`: a package
    of an extra.
    """

    experiment: str
    metric: str
    bound: Bound
    overrides: tuple[str, ...] = ()
    split: str = "test"
    teacher: str | None = None
    needs: str | None = None


RECIPES = [
    Recipe(
        experiment="digits",
        overrides=("trainer.max_epochs=6",),
        metric="accuracy",
        bound=(">=", 0.95),
    ),
    Recipe(
        experiment="regression",
        overrides=("trainer.max_epochs=15",),
        metric="r2",
        bound=(">=", 0.95),
    ),
    Recipe(
        experiment="vae",
        overrides=("trainer.max_epochs=20",),
        metric="reconstruction",
        bound=("<=", 0.03),  # of the mean picture: 0.07
    ),
    Recipe(
        experiment="distillation",
        overrides=("trainer.max_epochs=20",),
        metric="accuracy",
        bound=(">=", 0.9),
        teacher="digits",
    ),
    Recipe(
        experiment="gan",
        metric="frechet_distance",
        bound=("<=", 10.0),  # of other real digits: 2.6; of noise: 67
        split="evaluation",
    ),
    Recipe(
        experiment="causal_lm",
        metric="perplexity",
        bound=("<=", 1.6),  # of characters; that of the grammar itself is about 1.35
        split="evaluation",
        needs="transformers",
    ),
    Recipe(
        experiment="sequence_classifier",
        metric="accuracy",
        bound=(">=", 0.97),
        split="evaluation",
        needs="transformers",
    ),
    Recipe(
        experiment="sequence_to_sequence",
        metric="exact_match",
        bound=(">=", 0.95),
        split="evaluation",
    ),
]
QUICK = "digits"  # the one that is also verified where time is short
NAMES = [recipe.experiment for recipe in RECIPES]
SMALL = (*BARE, "hardware.threads=1", "hardware=cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Train a recipe, once, and return the directory of its run."""
    folder = tmp_path_factory.mktemp("recipes")
    runs: dict[str, Path] = {}

    def train(name: str) -> Path:
        if name not in runs:
            done = call(*arguments(name, train), *SMALL, cwd=folder)
            assert done.returncode == 0, done.stdout + done.stderr
            runs[name] = only_run(folder, name)
        return runs[name]

    return train


def arguments(name: str, train: Callable[[str], Path]) -> list[str]:
    recipe = RECIPES[NAMES.index(name)]
    if recipe.needs is not None:
        pytest.importorskip(recipe.needs)
    teacher = [] if recipe.teacher is None else [f"task.teacher.run={train(recipe.teacher)}"]
    return [f"+experiment={name}", *recipe.overrides, *teacher]


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_the_recipe_learns(recipe: Recipe, trained: Callable[[str], Path]) -> None:
    journal = (trained(recipe.experiment) / "metrics.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in journal.splitlines()]
    values = [row["values"] for row in rows if row["split"] == recipe.split][-1]
    relation, limit = recipe.bound
    value = values[recipe.metric]
    assert math.isfinite(value)
    assert value >= limit if relation == ">=" else value <= limit, values


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
)
def test_the_recipe_resumes_exactly(
    name: str, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    words = [word for word in arguments(name, trained) if not word.startswith("trainer.max_")]
    done = call("verify-resume", *words, *SMALL, "--steps", "12", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resumes exactly" in done.stdout
