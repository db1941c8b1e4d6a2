"""Options that other trainers have too do in a run what docs/coming_from.md says of them."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from runner.build import loaders
from runner.config.compose import compose
from runner.config.instantiate import instantiate
from runner.config.locate import shipped_conf
from runner.config.options import Options
from runner.config.validate import validate
from runner.data.data import Data
from runner.errors import Interrupted
from runner.facade.run import Run
from runner.facade.settings import read_settings
from runner.facade.trainer import Trainer
from runner.runtime import device
from runner.runtime.ranks import ALONE
from runner.training.callback import Callback, Fit
from tests.training.harness import fixed_split, same, tiny_data

SIX_STEPS = {"data.batch_size": 4, "trainer.max_epochs": 1, "trainer.log_every_steps": 1}


class Recorder(Callback):
    """Notes every event, and what the model was handed."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.samples: list[tuple[bool, int]] = []  # training?, count
        self.devices: set[str] = set()
        self.with_gradients: list[int] = []

    def on_fit_start(self, fit: Fit) -> None:
        self.events.append(f"fit_start {fit.progress.step}")
        self.devices = {parameter.device.type for parameter in fit.model.parameters()}
        fit.model.register_forward_pre_hook(
            lambda model, inputs: self.samples.append((model.training, len(inputs[0])))
        )

    def on_step_end(self, fit: Fit) -> None:
        self.events.append("step_end")
        gradients = [parameter.grad for parameter in fit.model.parameters()]
        self.with_gradients.append(sum(each is not None for each in gradients))

    def on_evaluation_start(self, fit: Fit, split: str, num_batches: int) -> None:
        self.events.append("evaluation_start")

    def on_evaluation_batch(self, fit: Fit, split: str, batch: Any, predictions: Any) -> None:
        self.events.append("evaluation_batch")

    def on_evaluation_end(self, fit: Fit, split: str, values: Any) -> None:
        self.events.append("evaluation_end")

    def on_epoch_end(self, fit: Fit, values: Any) -> None:
        self.events.append("epoch_end")

    def on_checkpoint(self, fit: Fit, step: int) -> None:
        self.events.append("checkpoint")

    def on_fit_end(self, fit: Fit, outcome: str) -> None:
        self.events.append(f"fit_end {outcome}")


def trained(path: Path, options: dict[str, Any], **changes: Any) -> Trainer:
    torch.manual_seed(0)
    pieces: dict[str, Any] = {
        "model": nn.Linear(8, 3),
        "loss": "cross_entropy",
        "data": tiny_data(test=None),
        "optimizer": {"name": "sgd", "lr": 0.1},
        "options": {**SIX_STEPS, **options},
        "callbacks": {},
        "trackers": {},
        "directory": path,
    }
    trainer = Trainer(**{**pieces, **changes})
    trainer.fit()
    return trainer


def watched(path: Path, options: dict[str, Any], **changes: Any) -> Recorder:
    recorder = Recorder()
    trained(path, options, callbacks={"recorder": recorder}, **changes)
    return recorder


def saved(path: Path) -> list[str]:
    return sorted(folder.name for folder in (path / "checkpoints").glob("step_*"))


@pytest.mark.parametrize(
    ("every", "steps"),
    [(None, [12]), ("5 steps", [5, 10, 12]), ("1 epochs", [6, 12]), ("1 evaluations", [4, 8, 12])],
)
def test_checkpoints_come_as_often_as_asked_for(
    tmp_path: Path, every: str | None, steps: list[int]
) -> None:
    options = {
        "trainer.max_epochs": 2,
        "trainer.evaluate_every": "4 steps" if every == "1 evaluations" else None,
        "checkpoint.every": every,
        "checkpoint.keep_last": 9,
        "checkpoint.keep_best": 0,
    }
    trained(tmp_path, options)
    assert saved(tmp_path) == [f"step_{step:08}" for step in steps]


def test_a_checkpoint_is_a_folder_with_plain_weights(tmp_path: Path) -> None:
    trainer = trained(tmp_path, {"checkpoint.keep_last": 1, "checkpoint.keep_best": 0})
    (name,) = saved(tmp_path)
    assert name == "step_00000006"
    weights = load_file(tmp_path / "checkpoints" / name / "model.safetensors")
    assert same(weights, dict(trainer.model.state_dict()))


def test_nothing_is_saved_with_checkpoint_off(tmp_path: Path) -> None:
    written = yaml.safe_load((shipped_conf() / "checkpoint" / "off.yaml").read_text())
    trained(tmp_path, {"checkpoint.enabled": written["enabled"], "checkpoint.every": "1 steps"})
    assert saved(tmp_path) == []


def test_batches_have_the_size_of_their_split(tmp_path: Path) -> None:
    options = {"data.batch_size": 8, "data.evaluation_batch_size": 3}
    seen = watched(tmp_path / "own", options).samples
    assert seen == [(True, 8)] * 3 + [(False, 3)] * 3
    seen = watched(tmp_path / "same", {"data.batch_size": 8}).samples
    assert seen == [(True, 8)] * 3 + [(False, 8), (False, 1)]


def test_a_run_computes_where_it_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_count", lambda kind: 0 if kind == "mps" else 2)  # two GPUs
    assert watched(tmp_path, {"hardware.device": "cpu"}).devices == {"cpu"}
    for name, wanted in (("auto", "cuda"), ("cuda:1", "cuda:1")):
        hardware = read_settings({"hardware.device": name}).options.hardware
        assert device.prepare_hardware(hardware) == torch.device(wanted)


@pytest.mark.parametrize(
    ("every", "rates"),
    [("step", [0.5, 0.25, 0.125, 0.0625]), ("epoch", [1.0, 0.5, 0.5, 0.25])],
)
def test_a_schedule_moves_as_often_as_asked_for(
    tmp_path: Path, every: str, rates: list[float]
) -> None:
    options = {"trainer.schedule_every": every, "trainer.max_epochs": 2, "data.batch_size": 12}
    schedule = {"name": "step", "step_size": 1, "gamma": 0.5}
    trained(tmp_path, options, optimizer={"name": "sgd", "lr": 1.0}, scheduler=schedule)
    seen = [rate for _, rate in Run(tmp_path).series("train.lr")]
    assert seen == rates, "of the next step"


def test_gradients_are_clipped_in_a_run(tmp_path: Path) -> None:
    def way(name: str, **options: Any) -> float:
        torch.manual_seed(0)
        before = nn.Linear(8, 3).weight.detach()
        options = {"trainer.max_steps": 1, **options}
        after = trained(tmp_path / name, options, optimizer={"name": "sgd", "lr": 1.0}).model
        return float((after.get_parameter("weight").detach() - before).norm())

    assert way("free") > 0.1
    assert 0 < way("clipped", **{"trainer.max_grad_norm": 0.01}) <= 0.0101


@pytest.mark.parametrize("name", ["optimizer.lr", "optimizer.momentum", "optimizer.weight_decay"])
def test_what_the_optimizer_is_given_counts(tmp_path: Path, name: str) -> None:
    """A run ends where a plain loop of torch does, and elsewhere without the option."""
    asked = {"optimizer.lr": 0.3, "optimizer.momentum": 0.0, name: 0.2}
    words = [f"{key}={value}" for key, value in asked.items()]
    config = validate(compose(["optimizer=sgd", *words]))
    make = instantiate(config.optimizer, "optimizer")
    split = fixed_split()
    settings = {key.removeprefix("optimizer."): value for key, value in asked.items()}
    options = {"data.batch_size": 9, "data.shuffle": False, "trainer.max_epochs": 4}
    run = trained(tmp_path, options, optimizer=make, data=Data(train=split, evaluation=split))
    plain = _plain_loop(split, settings)
    other = _plain_loop(split, {"lr": 0.3})
    assert torch.allclose(run.model.get_parameter("weight"), plain, atol=1e-6)
    assert not torch.allclose(plain, other, atol=1e-4)


def _plain_loop(split: TensorDataset, settings: dict[str, Any]) -> Tensor:
    torch.manual_seed(0)
    model = nn.Linear(8, 3)
    optimizer = torch.optim.SGD(model.parameters(), **settings)
    x, y = split.tensors
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.weight.detach()


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
@pytest.mark.parametrize("wanted", [True, False])
def test_memory_is_pinned_for_a_gpu_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, kind: str, wanted: bool
) -> None:
    asked: list[bool] = []
    for name in ("train_loader", "evaluation_loader"):
        monkeypatch.setattr(loaders, name, lambda *_, pin_memory, **__: asked.append(pin_memory))
    options: Options = read_settings({"data.pin_memory": wanted}).options
    loaders.build_loaders(tiny_data(), options, torch.device(kind), ALONE)
    assert asked == [wanted and kind == "cuda"] * 3


def test_tensors_at_the_top_of_a_batch_are_moved_and_lists_stay() -> None:
    batch = {"input": torch.zeros(2), "texts": ["a", "b"], "boxes": [torch.zeros(1)]}
    moved = device.move(batch, torch.device("meta"))
    assert moved["input"].device.type == "meta"
    assert moved["texts"] == ["a", "b"]
    assert moved["boxes"][0].device.type == "cpu"


def test_no_gradient_is_left_after_a_step(tmp_path: Path) -> None:
    assert watched(tmp_path, {}).with_gradients == [0] * 6


def test_callbacks_hear_of_all_in_order(tmp_path: Path) -> None:
    options = {"data.batch_size": 12, "checkpoint.every": "1 epochs", "trainer.max_epochs": 1}
    rest = ["step_end", "step_end", "evaluation_start", "evaluation_batch", "evaluation_end"]
    rest += ["epoch_end", "checkpoint", "fit_end completed"]
    assert watched(tmp_path, options).events == ["fit_start 0", *rest]
    longer = {**options, "trainer.max_epochs": 2}
    assert watched(tmp_path, longer).events == ["fit_start 2", *rest], "resumed"


@pytest.mark.parametrize(
    ("raised", "outcome"), [(RuntimeError, "failed"), (signal.SIGINT, "preempted")]
)
def test_a_callback_is_told_how_a_fit_ended(tmp_path: Path, raised: Any, outcome: str) -> None:
    def loss(output: Tensor, target: Tensor) -> Tensor:
        if raised is RuntimeError:
            raise RuntimeError("no luck")
        signal.raise_signal(raised)
        return output.sum()

    recorder = Recorder()
    with pytest.raises((RuntimeError, Interrupted)):
        trained(tmp_path, {}, loss=loss, callbacks={"recorder": recorder})
    assert recorder.events[-1] == f"fit_end {outcome}"


def test_an_evaluation_by_hand_has_batches_of_its_own_size() -> None:
    model, sizes = nn.Linear(8, 3), []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    by_hand(model, {"data.evaluation_batch_size": 4}).evaluate(fixed_split())
    assert sizes == [4, 4, 1]


def test_a_compiled_model_is_evaluated_as_it_is() -> None:
    model, calls = nn.Linear(8, 3), []
    compiled = torch.compile(model, backend=lambda graph, _: calls.append(graph) or graph.forward)
    assert isinstance(compiled, nn.Module)
    values = by_hand(compiled, {}).evaluate(fixed_split())
    assert values == by_hand(model, {}).evaluate(fixed_split())
    assert calls


def by_hand(model: nn.Module, options: dict[str, Any]) -> Trainer:
    return Trainer(model=model, loss="cross_entropy", options=options, callbacks={}, trackers={})
