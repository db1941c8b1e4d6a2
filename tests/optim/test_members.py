"""Each optimizer and each schedule by its name in conf/: it trains, and resumes exactly."""

from pathlib import Path
from typing import Any

import pytest
from torch.optim import Optimizer

from runner.config.compose import compose
from runner.config.groups import members
from runner.config.instantiate import instantiate
from runner.config.validate import validate
from runner.errors import Interrupted
from runner.training.callback import Callback, Fit
from tests.training.harness import StopAt, final_state, journal_of, same, tiny_options, train


def pieces_of(*overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return optimizer and scheduler of a config, and what it says of the trainer."""
    config = validate(compose(overrides))
    scheduler = config.scheduler and instantiate(config.scheduler, "scheduler")
    pieces = {"optimizer": instantiate(config.optimizer, "optimizer"), "scheduler": scheduler}
    return pieces, {"schedule_every": config.trainer.schedule_every}


def learning_rates(path: Path) -> list[float]:
    return [row[3]["lr"] for row in journal_of(path) if row[2] == "train"]


def assert_resumes(tmp_path: Path, *overrides: str) -> list[float]:
    """Train straight, and stopped and resumed; return the learning rates on the way."""
    pieces, trainer = pieces_of(*overrides)
    options = tiny_options(log_every_steps=1, **trainer)
    train(tmp_path / "straight", options, **pieces)
    with pytest.raises(Interrupted):
        train(tmp_path / "resumed", options, **pieces, callbacks={"stop": StopAt(8)})
    train(tmp_path / "resumed", options, **pieces)
    assert same(final_state(tmp_path / "straight"), final_state(tmp_path / "resumed"))
    assert journal_of(tmp_path / "straight") == journal_of(tmp_path / "resumed")
    return learning_rates(tmp_path / "straight")


SHORT = {  # so that something happens within 18 steps and 3 epochs
    "step": ["scheduler.step_size=1"],
    "multi_step": ["scheduler.milestones=[1,2]"],
    "plateau": ["scheduler.patience=0", "scheduler.threshold=9"],
    "cosine_restarts": ["scheduler.T_0=5"],
    "cyclic": ["scheduler.step_size_up=4"],
    "constant_with_warmup": ["scheduler.warmup_steps=5"],
    "inverse_sqrt": ["scheduler.warmup_steps=5"],
}


@pytest.mark.parametrize("name", members("scheduler"))
def test_a_schedule_moves_the_learning_rate_and_resumes(name: str, tmp_path: Path) -> None:
    more = SHORT.get(name, [])
    more = [f"+{text}" if "threshold" in text else text for text in more]
    seen = assert_resumes(tmp_path, f"scheduler={name}", *more)
    assert len(seen) == 18
    assert (len(set(seen)) == 1) == (name == "constant")
    if name == "cosine_restarts":
        assert seen[3] < seen[4] == seen[9]  # a row has the rate of the step to come


@pytest.mark.parametrize("name", members("optimizer"))
def test_an_optimizer_trains_and_resumes(name: str, tmp_path: Path) -> None:
    assert_resumes(tmp_path, f"optimizer={name}")
    rows = [row[3]["loss"] for row in journal_of(tmp_path / "straight") if row[2] == "evaluation"]
    assert len(set(rows)) > 1, "the weights move"


class Momenta(Callback):
    """Writes down the momentum after each step of the one optimizer that was built."""

    def __init__(self, built: list[Optimizer]) -> None:
        self._built = built
        self.momenta: list[float] = []

    def on_step_end(self, fit: Fit) -> None:
        del fit
        self.momenta.append(self._built[0].param_groups[0]["momentum"])


@pytest.mark.parametrize("schedule", ["one_cycle", "cyclic"])
def test_momentum_moves_against_the_learning_rate_and_resumes(
    schedule: str, tmp_path: Path
) -> None:
    more = ["scheduler.step_size_up=3"] if schedule == "cyclic" else []
    overrides = ["optimizer=sgd", f"scheduler={schedule}", "scheduler.cycle_momentum=true", *more]
    pieces, _ = pieces_of(*overrides)
    assert_resumes(tmp_path, *overrides)
    built: list[Optimizer] = []
    factory = pieces.pop("optimizer")
    seen = Momenta(built)
    train(
        tmp_path / "watched",
        tiny_options(),
        **pieces,
        optimizer=lambda parameters: built.append(factory(parameters)) or built[-1],
        callbacks={"watch": seen},
    )
    assert max(seen.momenta) - min(seen.momenta) > 0.05
    assert all(0.8 <= momentum <= 0.95 for momentum in seen.momenta)
