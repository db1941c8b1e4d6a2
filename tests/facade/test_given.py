"""A trainer made of what a user has in hand."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from runner.config.options import LoaderOptions, Options
from runner.data.curriculum import Curriculum
from runner.data.data import Data
from runner.errors import ConfigError
from runner.facade.datasets import read_data
from runner.facade.trainer import Trainer
from runner.facade.watchers import read_callbacks, read_trackers
from runner.training.callback import Callback, Fit
from runner.training.callbacks.defaults import default_callbacks
from tests.training.harness import fixed_split, tiny_options


def trainer(path: Path, **changes: Any) -> Trainer:
    torch.manual_seed(0)
    pieces: dict[str, Any] = {
        "model": nn.Linear(8, 3),
        "loss": "cross_entropy",
        "data": {"train": fixed_split(24), "evaluation": fixed_split(9)},
        "options": {"trainer.max_epochs": 2, "data.batch_size": 4, "trainer.log_every_steps": 4},
        "callbacks": {},
        "trackers": [],
        "output_dir": path,
    }
    return Trainer(**{**pieces, **changes})


def test_a_loss_and_metrics_make_a_task(tmp_path: Path) -> None:
    by_name = trainer(tmp_path, metrics=["accuracy"]).fit()
    assert set(by_name.evaluation) == {"loss", "accuracy"}
    by_function = trainer(tmp_path, loss=functional.cross_entropy, metrics=["accuracy"]).fit()
    assert by_function.evaluation == by_name.evaluation


def test_datasets_come_by_split(tmp_path: Path) -> None:
    split = fixed_split(9)
    assert trainer(tmp_path, data=split).fit().evaluation == {}
    data = {"train": split, "evaluation": {"here": split, "there": fixed_split(6)}, "test": split}
    made = trainer(
        tmp_path,
        data=data,
        options={"trainer.max_epochs": 1, "trainer.best_metric": "evaluation.there.loss"},
    )
    result = made.fit()
    assert set(result.evaluation) == {"here.loss", "there.loss"}
    assert set(result.test) == {"loss"}
    assert set(made.evaluate()) == {"here.loss", "there.loss"}
    assert made.evaluate("test") == {"loss": made.evaluate()["here.loss"]}


def test_dataloaders_bring_their_settings(tmp_path: Path) -> None:
    data, options = read_data(
        {
            "train": DataLoader(fixed_split(24), batch_size=6, shuffle=True, drop_last=True),
            "evaluation": DataLoader(fixed_split(9), batch_size=3),
        },
        Options(),
    )
    assert isinstance(data, Data)
    assert options.loader == LoaderOptions(batch_size=6, evaluation_batch_size=3, drop_last=True)
    given = {"train": DataLoader(fixed_split(24), batch_size=6)}
    result = trainer(tmp_path, data=given, options={"trainer.max_epochs": 1}).fit()
    assert result.step == 4


def test_a_dataloader_is_evaluated_like_its_dataset(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    loader = DataLoader(fixed_split(9), batch_size=2, shuffle=True)
    assert made.evaluate(loader)["loss"] == pytest.approx(made.evaluate()["loss"])
    assert len(made.predict(loader).texts) == 9


@pytest.mark.parametrize(
    ("data", "options", "sentence"),
    [
        ({"train": [1], "validation": [1]}, {}, "'validation' is no split.*did you mean 'eval"),
        ({"evaluation": [1]}, {}, "give 'train'"),
        ((fixed_split(), fixed_split()), {}, "of a tuple nobody can tell what is what"),
        (3, {}, "data.train must be a dataset or a DataLoader, got int"),
        (
            {"train": DataLoader(fixed_split()), "evaluation": fixed_split()},
            {},
            "train is a DataLoader and evaluation is none",
        ),
        (
            DataLoader(fixed_split(), batch_size=2),
            {"data.batch_size": 8},
            "data.batch_size=8, and the DataLoader says 2",
        ),
        (
            DataLoader(fixed_split(), batch_size=2, shuffle=True),
            {"data": {"batch_size": LoaderOptions().batch_size}},
            "data.batch_size=64, and the DataLoader says 2",
        ),
        (
            DataLoader(fixed_split(), batch_size=2),
            {"data.shuffle": True},
            "data.shuffle=True, and the DataLoader says False",
        ),
    ],
)
def test_data_that_cannot_be_are_refused(
    data: Any, options: Any, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        trainer(tmp_path, data=data, options={"trainer.max_epochs": 1, **options})


def test_a_curriculum_is_data_to_train_on(tmp_path: Path) -> None:
    easy_first = Curriculum([(fixed_split(8), "1 epochs"), (fixed_split(16), None)])
    options = {"trainer.max_epochs": 2, "data.batch_size": 4}
    for data in (easy_first, {"train": easy_first}):
        assert trainer(tmp_path, data=data, options=options).fit().step == 2 + 4


def test_the_task_must_be_told_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Linear computes no loss of its own"):
        trainer(tmp_path, loss=None)
    made = trainer(tmp_path)
    with pytest.raises(ConfigError, match="it has its loss and its metrics"):
        trainer(tmp_path, task=made.task)


def test_optimizer_and_scheduler_are_given_once(tmp_path: Path) -> None:
    options = {"trainer.max_epochs": 1, "optimizer": {"name": "sgd", "lr": 0.5}}
    options["scheduler"] = {"name": "step", "step_size": 1}
    result = trainer(tmp_path, options=options).fit()
    assert result.step == 1
    with pytest.raises(ConfigError, match="optimizer is given twice"):
        trainer(tmp_path, options=options, optimizer="adam")


def test_a_list_of_callbacks_joins_the_defaults_and_a_mapping_replaces_them() -> None:
    class StopWatch(Callback):
        pass

    watch = StopWatch()
    names = list(default_callbacks())
    assert list(read_callbacks(None)) == names
    assert list(read_callbacks([watch, StopWatch()])) == [*names, "stop_watch", "stop_watch_2"]
    assert read_callbacks(watch)["stop_watch"] is watch
    assert read_callbacks({"mine": watch}) == {"mine": watch}
    with pytest.raises(ConfigError, match="5 is no Callback"):
        read_callbacks([5])


def test_functions_are_callbacks(tmp_path: Path) -> None:
    told = []

    def report(fit: Fit, values: dict[str, float]) -> None:
        told.append((fit.progress.epoch, values["evaluation.loss"]))

    result = trainer(tmp_path, callbacks=[report]).fit()
    assert [epoch for epoch, _ in told] == [1, 2]
    assert told[-1][1] == result.evaluation["loss"]
    assert "report" in read_callbacks(report)
    with pytest.raises(ConfigError, match="is no Callback"):
        trainer(tmp_path, callbacks=[Callback])


def test_trackers_come_by_name(tmp_path: Path) -> None:
    made = trainer(tmp_path, trackers=["csv"])
    made.fit()
    assert made.directory is not None
    with (made.directory / "metrics.csv").open() as file:
        assert len(list(csv.DictReader(file))) > 2
    assert list(read_trackers(None, name="run", output_dir=tmp_path)) == ["mlflow"]
    with pytest.raises(ConfigError, match="none called 'cvs' - did you mean 'csv'"):
        trainer(tmp_path, trackers="cvs")
    with pytest.raises(ConfigError, match="3 is no tracker"):
        trainer(tmp_path, trackers=[3])


def test_a_model_of_transformers_needs_no_task(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    tokens = [{"input_ids": torch.arange(6) + number % 5} for number in range(8)]
    made = trainer(
        tmp_path,
        model=transformers.GPT2LMHeadModel(config),
        loss=None,
        data=tokens,
        options=tiny_options(max_epochs=1, best_metric="train.loss", log_every_steps=1),
    )
    assert made.fit().history["train.loss"]
    assert set(made.evaluate(tokens)) >= {"loss", "perplexity"}


class OwnLoss(nn.Module):
    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return (x - labels).square().mean()


def test_what_the_labels_of_another_model_are_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be told by its name: give task=.*HuggingFace"):
        trainer(tmp_path, model=OwnLoss(), loss=None)
    with pytest.raises(ConfigError, match="measured by its own metrics"):
        trainer(tmp_path, model=OwnLoss(), loss=None, metrics=["accuracy"])


def test_a_class_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"make one: Linear\(\.\.\.\)"):
        Trainer(model=nn.Linear, loss="mse", output_dir=tmp_path)  # type: ignore[arg-type]
