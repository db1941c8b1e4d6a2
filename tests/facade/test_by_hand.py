"""Steps, epochs and evaluations by hand, beside `fit`."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from runner.data.data import Data
from runner.errors import ConfigError
from runner.facade.trainer import Trainer
from runner.tasks.classification import Classification
from tests.training.harness import Noisy, fixed_split, same, tiny_data, tiny_options


def trainer(path: Path, options: Any = None, **changes: Any) -> Trainer:
    torch.manual_seed(0)
    pieces: dict[str, Any] = {
        "model": nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 3)),
        "task": Classification(num_classes=3),
        "data": tiny_data(),
        "optimizer": partial(torch.optim.SGD, lr=0.1),
        "options": options or tiny_options(),
        "callbacks": {},
        "trackers": {},
        "output_dir": path,
    }
    return Trainer(**{**pieces, **changes})


def a_batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(4, 8), torch.tensor([0, 1, 2, 0])


def test_epochs_by_hand_are_those_of_a_run(tmp_path: Path) -> None:
    options = tiny_options(
        max_epochs=2, test_at_end=False, gradient_accumulation_steps=2, max_grad_norm=1.0
    )
    scheduler = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1)
    run, hand = (trainer(tmp_path, options, scheduler=scheduler) for _ in range(2))
    run.fit()
    means = [hand.train_epoch() for _ in range(2)]
    assert same(hand.model.state_dict(), run.model.state_dict())
    assert set(means[0]) == {"loss", "grad_norm"}
    assert means[1]["loss"] < means[0]["loss"]


def test_a_schedule_of_epochs_goes_on_by_hand(tmp_path: Path) -> None:
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    hand = trainer(
        tmp_path,
        tiny_options(schedule_every="epoch"),
        model=model,
        optimizer=optimizer,
        scheduler={"name": "step", "step_size": 1, "gamma": 0.5},
    )
    hand.train_epoch()
    hand.train_epoch()
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_steps_by_hand_learn_a_batch(tmp_path: Path) -> None:
    hand, batch = trainer(tmp_path), a_batch()
    first = hand.evaluation_step(batch)
    losses = [hand.train_step(batch)["loss"] for _ in range(40)]
    last = hand.evaluation_step(batch)
    assert losses[-1] < losses[0]
    assert last["loss"] < first["loss"]
    assert last["accuracy"] == 1.0


def test_a_step_by_hand_trains_a_model_that_was_being_evaluated(tmp_path: Path) -> None:
    hand = trainer(tmp_path)
    hand.model.eval()
    hand.train_step(a_batch())
    assert hand.model.training


def test_an_evaluation_by_hand_is_that_of_the_run(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    result = run.fit()
    assert run.directory is not None
    before = sorted((path, path.stat().st_mtime_ns) for path in run.directory.rglob("*"))
    assert run.evaluate("test") == result.test
    assert run.evaluate(fixed_split(6)) == result.test
    assert set(run.evaluate()) == {"loss", "accuracy", "macro_f1"}
    assert before == sorted((path, path.stat().st_mtime_ns) for path in run.directory.rglob("*"))


def test_an_evaluation_leaves_training_as_it_was(tmp_path: Path) -> None:
    alone, watched = trainer(tmp_path), trainer(tmp_path)
    for _ in range(2):
        alone.train_epoch()
    for _ in range(2):
        watched.train_epoch()
        watched.evaluate()
    assert same(alone.model.state_dict(), watched.model.state_dict())


def test_predictions_come_in_the_order_of_the_data(tmp_path: Path) -> None:
    hand, split = trainer(tmp_path), fixed_split(9)
    said = hand.predict(split)
    hand.model.eval()
    wanted = hand.model(split.tensors[0]).argmax(dim=1).tolist()
    assert said.texts == [str(number) for number in wanted]
    assert len(said.confidences) == 9


def test_a_new_run_begins_with_the_optimizer_as_it_was_given(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(8, 3)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    adam = torch.optim.Adam(model.parameters(), lr=0.1)
    made = trainer(tmp_path, model=model, optimizer=adam, scheduler="cosine")
    results = []
    for _ in range(2):
        model.load_state_dict(first)
        results.append(made.fit().history["train.loss"])
    model.load_state_dict(first)
    made.train_step(a_batch())
    assert adam.state[model.weight]["step"] == 1
    assert results[0] == results[1]


def test_nothing_is_written_by_hand(tmp_path: Path) -> None:
    hand = trainer(tmp_path)
    hand.train_epoch()
    hand.evaluate()
    hand.predict("test")
    assert not list(tmp_path.iterdir())


def test_weights_are_loaded_from_a_run_and_training_begins_anew(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    result = run.fit()
    other = trainer(tmp_path, data=None)
    assert run.directory is not None
    assert other.load(run.directory) is other
    assert other.evaluate(fixed_split(6)) == result.test
    last = trainer(tmp_path, data=None).load(run.directory / "checkpoints" / "step_00000018")
    assert not same(last.model.state_dict(), trainer(tmp_path).model.state_dict())
    with pytest.raises(ConfigError, match="nowhere"):
        last.load(tmp_path / "nowhere")


def test_options_that_name_first_weights_count_by_hand_too(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit()
    options = replace(tiny_options(max_grad_norm=1e-9), init_weights_from=str(run.directory))
    hand = trainer(tmp_path, options)
    hand.train_step(a_batch())
    for own, first in zip(hand.model.parameters(), run.model.parameters(), strict=True):
        assert torch.allclose(own, first, atol=1e-6)


def test_first_weights_are_loaded_once_and_training_is_kept(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.fit()
    options = replace(tiny_options(max_steps=1), init_weights_from=str(run.directory))
    hand = trainer(tmp_path, options)
    hand.fit()
    trained = {name: value.clone() for name, value in hand.model.state_dict().items()}
    hand.find_lr(num_steps=20, start=1e-4, end=1.0)
    assert same(trained, dict(hand.model.state_dict()))
    loaded = trainer(tmp_path, options).load(Path(str(hand.directory)))
    loaded.find_lr(num_steps=20, start=1e-4, end=1.0)
    assert same(trained, dict(loaded.model.state_dict()))


def test_a_learning_rate_is_found_and_the_model_left_as_it_was(tmp_path: Path) -> None:
    hand = trainer(tmp_path)
    before = {name: value.clone() for name, value in hand.model.state_dict().items()}
    found = hand.find_lr(num_steps=20, start=1e-4, end=1.0)
    assert len(found.losses) == 20
    assert same(before, dict(hand.model.state_dict()))


def test_a_trainer_without_data_says_so(tmp_path: Path) -> None:
    hand = trainer(tmp_path, data=None)
    for call in (hand.fit, hand.train_epoch):
        with pytest.raises(ConfigError, match="data: there is nothing to train on"):
            call()
    with pytest.raises(ConfigError, match="'evaluation' is no split of this trainer's data"):
        hand.evaluate()


def test_a_schedule_that_follows_evaluations_is_for_runs(tmp_path: Path) -> None:
    options = tiny_options(schedule_every="evaluation")
    with pytest.raises(ConfigError, match="schedule_every=evaluation is for fit"):
        trainer(tmp_path, options, scheduler="plateau").train_epoch()


def test_a_plateau_that_would_never_step_is_refused(tmp_path: Path) -> None:
    options = {"trainer.schedule_every": "step", "trainer.max_epochs": 1}
    with pytest.raises(ConfigError, match="schedule_every must be evaluation, got step"):
        trainer(tmp_path, options, scheduler="plateau").fit()
    assert trainer(tmp_path, tiny_options(max_steps=1), scheduler="plateau").fit().step == 1


def test_a_plateau_without_evaluations_is_refused(tmp_path: Path) -> None:
    options = tiny_options(schedule_every="evaluation", evaluate_every=None)
    with pytest.raises(ConfigError, match="plateau follows evaluations, .*evaluate_every=null"):
        trainer(tmp_path, options, scheduler="plateau").fit()


def test_one_of_several_processes_takes_no_step_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match="one of 2, whose weights would go apart"):
        trainer(tmp_path).train_step(a_batch())


@pytest.mark.parametrize(("batch", "kind"), [(3, "int"), ([], "an empty list")])
def test_a_batch_that_is_none_is_refused(tmp_path: Path, batch: Any, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"a batch must be a tensor, .*got {kind}"):
        trainer(tmp_path).train_step(batch)


def test_a_run_after_steps_by_hand_begins_with_their_weights(tmp_path: Path) -> None:
    hand = trainer(tmp_path, tiny_options(max_steps=1, max_epochs=None))
    hand.train_step(a_batch())
    before = {name: value.clone() for name, value in hand.model.state_dict().items()}
    result = hand.fit()
    assert result.step == 1
    moved = [(before[name] - value).abs().max() for name, value in hand.model.state_dict().items()]
    assert 0 < max(moved) < 0.5


def test_the_history_of_a_result_is_the_journal(tmp_path: Path) -> None:
    result = trainer(tmp_path).fit()
    steps = [step for step, _ in result.history["train.loss"]]
    assert steps[:3] == [4, 8, 12]
    assert [value for _, value in result.history["evaluation.loss"]][-1] == (
        result.evaluation["loss"]
    )
    assert result.history["test.accuracy"] == [(18, result.test["accuracy"])]


def test_other_data_may_be_noisy(tmp_path: Path) -> None:
    hand = trainer(tmp_path)
    assert hand.evaluate(Noisy()) == hand.evaluate(Noisy())


def test_the_largest_batch_is_found_in_processes_of_their_own(tmp_path: Path) -> None:
    data = Data(train=fixed_split(64))
    found = trainer(tmp_path, data=data).find_batch_size(largest=16)
    assert found.largest == 16
    assert [tried.size for tried in found.tried] == [4, 8, 16]
