"""Whole trainings on data that have a place of their own: a sampler, ready-made loaders."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset, WeightedRandomSampler

from runner.build.plan import plan_training
from runner.build.pruning import planned_evaluations
from runner.config.options import LoaderOptions, Options
from runner.data.curriculum import Curriculum
from runner.data.data import Data
from runner.data.ready_made import from_loaders
from runner.errors import DataError, Interrupted
from tests.data.test_sampler import Counted, OfEpoch
from tests.training.harness import (
    Noisy,
    StopAt,
    final_state,
    fixed_split,
    journal_of,
    same,
    tiny_data,
    tiny_options,
    tiny_parts,
    train,
)


class Shuffling:
    """Batches of three in an order of its own, which goes on from epoch to epoch."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(7)
        self.left: list[int] = []

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self.left:
            self.left = torch.randperm(12, generator=self.generator).tolist()
        while self.left:
            wanted, self.left = self.left[:3], self.left[3:]
            samples = [Noisy()[number] for number in wanted]
            yield torch.stack([x for x, _ in samples]), torch.stack([y for _, y in samples])

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state(), "left": list(self.left)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.left = list(state["left"])


def weighted() -> Data:
    return tiny_data(sampler=WeightedRandomSampler(torch.arange(24.0).tolist(), 14))


def data_by_name(name: str) -> Data:
    """Return new data, as a new process has them."""
    match name:
        case "weighted":
            return weighted()
        case "of_epoch":
            return tiny_data(sampler=OfEpoch())
        case "counted":
            return tiny_data(sampler=Counted())
        case "curriculum":
            easy: Any = Subset(Noisy(), range(6))  # type: ignore[arg-type]
            return tiny_data(train=Curriculum([(easy, 1), (easy, "1 steps"), (Noisy(), None)]))
        case "dataloader":
            loader = DataLoader(Noisy(), batch_size=4, shuffle=True)  # type: ignore[arg-type]
            return from_loaders(loader, evaluation=DataLoader(fixed_split(), batch_size=3))[0]
        case _:
            return from_loaders(Shuffling(), evaluation=DataLoader(fixed_split()))[0]


STEPS = {"weighted": 4, "of_epoch": 2, "counted": 2, "dataloader": 6, "shuffling": 4}  # an epoch


@pytest.mark.parametrize("place", ["within", "at_the_end"])
@pytest.mark.parametrize("name", STEPS)
def test_a_resumed_run_equals_a_straight_one(tmp_path: Path, name: str, place: str) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options, steps = tiny_options(log_every_steps=1, max_epochs=3), STEPS[name]
    result = train(straight, options, data=data_by_name(name))
    assert result.step == 3 * steps
    cut = {"stop": StopAt(steps + (1 if place == "within" else steps))}
    with pytest.raises(Interrupted):
        train(resumed, options, data=data_by_name(name), callbacks=cut)
    train(resumed, options, data=data_by_name(name))
    assert journal_of(straight) == journal_of(resumed)
    assert same(final_state(straight), final_state(resumed))


def test_epochs_of_a_sampler_differ(tmp_path: Path) -> None:
    """What the test above compares would be the same also if every epoch were."""
    train(tmp_path, tiny_options(max_epochs=3), data=data_by_name("counted"))
    _, _, rest = final_state(tmp_path)
    state = rest["rank_0.pt"]["state"]["data"]["stream"]
    assert state["first"] == {"at": 21, "stride": 1}


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_curriculum_resumes_at_and_inside_its_stages(
    tmp_path: Path, cut: int, workers: int
) -> None:
    """Stages of two steps, one step and then epochs of six."""
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options = tiny_options(max_epochs=3, log_every_steps=1)
    result = train(straight, options, data=data_by_name("curriculum"))
    assert result.step == 2 + 1 + 6
    epochs = [epoch for _, epoch, split, _ in journal_of(straight) if split == "train"]
    assert epochs == [0.5, 1.0, 2.0, 2.1667, 2.3333, 2.5, 2.6667, 2.8333, 3.0]
    options = replace(options, loader=replace(options.loader, num_workers=workers))
    with pytest.raises(Interrupted):
        stop = {"stop": StopAt(cut)}
        train(resumed, options, data=data_by_name("curriculum"), callbacks=stop)
    train(resumed, options, data=data_by_name("curriculum"))
    assert journal_of(straight) == journal_of(resumed)
    assert same(final_state(straight), final_state(resumed))


def test_the_plan_counts_the_steps_of_every_stage() -> None:
    data = data_by_name("curriculum")
    assert tiny_parts(tiny_options(max_epochs=2), data=data).planned_steps == 3
    parts = tiny_parts(tiny_options(max_epochs=4, gradient_accumulation_steps=2), data=data)
    assert parts.planned_steps == 1 + 1 + 3 + 3
    assert planned_evaluations(parts) == 4
    every_second = tiny_options(max_epochs=5, evaluate_every="2 epochs")
    assert planned_evaluations(tiny_parts(every_second, data=data)) == 3
    by_epoch = tiny_options(max_steps=10, max_epochs=None, schedule_every="epoch")
    loader = tiny_parts(by_epoch, data=data).loaders["train"]
    assert plan_training(loader, [], by_epoch).schedule_steps == 4


def test_workers_may_change_at_a_resume(tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options = tiny_options(max_epochs=2)
    train(straight, options, data=data_by_name("counted"))
    with_workers = replace(options, loader=replace(options.loader, num_workers=2))
    cut = {"stop": StopAt(3)}
    with pytest.raises(Interrupted):
        train(resumed, with_workers, data=data_by_name("counted"), callbacks=cut)
    train(resumed, options, data=data_by_name("counted"))
    assert journal_of(straight) == journal_of(resumed)
    assert same(final_state(straight), final_state(resumed))


def test_a_loader_without_a_state_needs_a_word(tmp_path: Path) -> None:
    class Plain:
        def __iter__(self) -> Iterator[Any]:
            return iter(Shuffling())

    refused, _ = from_loaders(Plain())
    with pytest.raises(DataError, match="inexact=True"):
        tiny_parts(tiny_options(), data=refused)
    options = tiny_options(max_epochs=2, log_every_steps=1, best_metric="train.loss")
    # Without a length there is no schedule that needs one.
    pieces: Any = {"scheduler": None, "data": from_loaders(Plain(), inexact=True)[0]}
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    train(straight, options, **pieces)
    with pytest.raises(Interrupted):
        train(resumed, options, callbacks={"stop": StopAt(6)}, **pieces)
    train(resumed, options, **pieces)
    said = (resumed / "logs" / "rank_0.log").read_text()
    assert said.count("read again from the start of the epoch, 2 of them passed over") == 1
    assert same(final_state(straight), final_state(resumed)), "this one gives the same again"


def test_a_sampler_needs_random_access() -> None:
    data = replace(data_by_name("shuffling"), sampler=OfEpoch())
    with pytest.raises(DataError, match="a train dataset with a length and random access"):
        tiny_parts(Options(loader=LoaderOptions(batch_size=4)), data=data)
