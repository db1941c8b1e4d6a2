import argparse
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.config.options import LoaderOptions, Options, TrainerOptions
from runner.errors import ConfigError
from runner.facade.settings import read_settings

WANTED = Options(
    seed=3,
    trainer=TrainerOptions(max_epochs=2, max_grad_norm=1e-3),
    loader=LoaderOptions(batch_size=8),
)


@dataclass
class Training:
    max_epochs: int = 2
    max_grad_norm: float = 1e-3


@dataclass
class Mine:
    seed: int = 3
    trainer: Training = field(default_factory=Training)
    data: Any = field(default_factory=lambda: SimpleNamespace(batch_size=8))


FLAT = {
    "seed": 3,
    "trainer.max_epochs": 2,
    "trainer.max_grad_norm": 1e-3,
    "data.batch_size": 8,
}


@pytest.mark.parametrize(
    "given",
    [
        WANTED,
        {
            "seed": 3,
            "trainer": {"max_epochs": 2, "max_grad_norm": 1e-3},
            "data": {"batch_size": 8},
        },
        {"seed": 3, "trainer": {"max_epochs": 2}, "trainer.max_grad_norm": 1e-3}
        | {"data": LoaderOptions(batch_size=8)},
        FLAT,
        argparse.Namespace(**FLAT),
        Mine(),
    ],
)
def test_options_are_read_from_whatever_holds_them(given: object) -> None:
    assert read_settings(given).options == WANTED


def test_a_file_holds_options_with_optimizer_and_scheduler(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(
        "seed: 3\ntrainer:\n  max_epochs: 2\n  max_grad_norm: 1e-3\ndata.batch_size: 8\n"
        "optimizer:\n  name: sgd\n  lr: 1e-2\nscheduler: one_cycle\n"
    )
    settings = read_settings(str(file))
    assert settings.options == WANTED
    assert settings.optimizer == {"name": "sgd", "lr": 0.01}
    assert settings.scheduler == "one_cycle"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"trainer": {"max_epoch": 2}}, "trainer.max_epoch is no known key.*'max_epochs'"),
        ({"trainer.max_epochs": "two"}, "trainer.max_epochs must be int or null, got 'two'"),
        ({"trainer.max_epochs": 0}, "trainer.max_epochs must be >= 1"),
        ({"triner": {}}, "options: triner is no known key.*'trainer'"),
        ({"loader": {"batch_size": 8}}, "options: loader is no known key"),
        ({"trainer": 5}, "trainer must be a group of keys, got 5"),
        ({"seed": "one"}, "seed must be int, got 'one'"),
        ({"seed": -1}, "seed must be >= 0"),
        (5, "options must be Options, a mapping, a YAML file or an object .*, got 5"),
        ("nowhere.yaml", "nowhere.yaml cannot be read"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(given: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as raised:
        read_settings(given)
    assert len(raised.value.problems) == 1


def test_what_was_written_is_known_whatever_it_says(tmp_path: Path) -> None:
    given = {"data.batch_size": 64, "trainer": {"schedule_every": "step"}, "seed": 0}
    written = {"data.batch_size", "trainer.schedule_every", "seed"}
    assert read_settings(given).written == written
    (tmp_path / "settings.yaml").write_text("data:\n  batch_size: 64\n")
    assert read_settings(tmp_path / "settings.yaml").written == {"data.batch_size"}
    assert read_settings(Options(seed=3)).written == frozenset()


@pytest.mark.parametrize("keys", [("optimizer", "optimizer.lr"), ("optimizer.lr", "optimizer")])
def test_an_argument_beside_an_optimizer_joins_it_and_changes_no_mapping(
    keys: tuple[str, str],
) -> None:
    for optimizer in ("sgd", {"name": "sgd"}):
        values = {"optimizer": optimizer, "optimizer.lr": 0.5}
        read = read_settings({key: values[key] for key in keys})
        assert read.optimizer == {"name": "sgd", "lr": 0.5}
        assert optimizer in ("sgd", {"name": "sgd"})
    with pytest.raises(ConfigError, match="optimizer must be a group of keys, since one is given"):
        read_settings({"optimizer": print, "optimizer.lr": 0.5})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        read_settings({"trainer": {"max_epoch": 2, "max_step": 1}, "sed": 1})
    assert len(raised.value.problems) == 3


def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("- 1\n")
    with pytest.raises(ConfigError, match="must hold keys and values"):
        read_settings(file)
