"""What must be exact besides the matrix: failures of one rank, other numbers of ranks, streams."""

import gc
import json
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runner.config.options import CheckpointOptions, LoaderOptions, Options
from runner.data.data import Batch, Data
from runner.errors import Interrupted
from runner.run.journal import read_journal
from runner.runtime.ranks import ALONE, Ranks
from runner.tasks.classification import Classification
from runner.tasks.task import StepOutput
from runner.training.callback import Callback, Fit
from runner.training.events import CallbackError
from runner.training.health import NonfiniteError
from tests.data.streams import Samples
from tests.ranks import results_of
from tests.training.exactness import run_differences, train_as_rank
from tests.training.harness import (
    Noisy,
    StopAt,
    final_state,
    fixed_split,
    journal_of,
    tiny_data,
    tiny_options,
    train,
)


def plain_model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


class NanOnRank1(Classification):
    """The loss of the fourth step is no number on rank 1 alone."""

    def __init__(self, rank: int) -> None:
        super().__init__(num_classes=3)
        self._rank = rank
        self._num_steps = 0

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        self._num_steps += 1
        output = super().training_step(model, batch)
        is_bad = self._rank == 1 and self._num_steps == 4
        return replace(output, loss=output.loss * float("nan")) if is_bad else output


def meet_nan(ranks: Ranks, folder: Path) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    for policy in ("stop", "skip", "rollback"):
        options = tiny_options(
            on_nonfinite=policy, log_every_steps=3, evaluate_every=None, max_epochs=2
        )
        options = replace(options, checkpoint=CheckpointOptions(every="2 steps"))
        model = plain_model()
        try:
            result = train_as_rank(
                ranks, folder / policy, options, model=model, task=NanOnRank1(ranks.rank)
            )
            outcomes[policy] = result.step
        except NonfiniteError as error:
            outcomes[policy] = str(error)
        outcomes[f"{policy} weights"] = model[0].weight.detach().clone()
        ranks.meet()
    return outcomes


def test_both_ranks_do_the_same_when_one_meets_no_number(tmp_path: Path) -> None:
    one, other = results_of(meet_nan, count=2, folder=tmp_path)
    assert one["stop"] == other["stop"] and "between step 3 and step 4" in one["stop"]
    assert one["skip"] == other["skip"] == one["rollback"] == other["rollback"] == 12
    for policy in ("skip", "rollback"):
        assert torch.equal(one[f"{policy} weights"], other[f"{policy} weights"])
        assert one[f"{policy} weights"].isfinite().all()
    for policy in ("stop", "skip", "rollback"):
        rows = read_journal(tmp_path / policy / "metrics.jsonl")
        values = [v for row in rows for v in row.values.values()]
        assert values and all(v == v for v in values), policy
        assert all(t.isfinite().all() for t in final_state(tmp_path / policy)[0].values()), policy
    rows = [r for r in read_journal(tmp_path / "skip" / "metrics.jsonl") if r.split == "train"]
    assert sum(row.values["skipped_share"] for row in rows) * 3 == pytest.approx(1)


class HungryOnRank1(Classification):
    """Runs out of memory on rank 1 alone, with more than one sample."""

    def __init__(self, rank: int) -> None:
        super().__init__(num_classes=3)
        self._rank = rank

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        output = super().training_step(model, batch)
        if self._rank == 1 and len(batch["input"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory, as torch says it")
        return output


def run_out_of_memory(ranks: Ranks, folder: Path) -> dict[str, Any]:
    for name, task in (
        ("whole", Classification(num_classes=3)),
        ("split", HungryOnRank1(ranks.rank)),
    ):
        options = tiny_options(on_out_of_memory="split", gradient_accumulation_steps=2)
        train_as_rank(ranks, folder / name, options, model=plain_model(), task=task)
        ranks.meet()
    return {}


def test_both_ranks_split_when_one_runs_out_of_memory(tmp_path: Path) -> None:
    results_of(run_out_of_memory, count=2, folder=tmp_path)
    whole, of_whole, *_ = final_state(tmp_path / "whole")
    split, of_split, *_ = final_state(tmp_path / "split")
    assert of_whole["splitting"] == {"num_pieces": 1}
    assert of_split["splitting"] == {"num_pieces": 2}
    for name, tensor in whole.items():
        assert torch.allclose(tensor, split[name], atol=1e-5), name
    own, theirs = journal_of(tmp_path / "whole"), journal_of(tmp_path / "split")
    for (*place, values), (*same_place, others) in zip(own, theirs, strict=True):
        assert place == same_place and values == pytest.approx(others, rel=1e-4)


class Numbered(Noisy):
    """Noisy samples that know their number."""

    def __len__(self) -> int:
        return 22

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        return *super().__getitem__(index), torch.tensor(index)


class Recording(Classification):
    """Writes the numbers of each rank's samples to a file of the rank."""

    def __init__(self, path: Path) -> None:
        super().__init__(num_classes=3)
        self._path = path

    def prepare(self, content: Any) -> Batch:
        if len(content) == 3:
            *content, numbers = content
            with self._path.open("a") as file:
                file.write(json.dumps(numbers.tolist()) + "\n")
        return super().prepare(content)


def elastic_options(num_workers: int) -> Options:
    options = tiny_options(log_every_steps=1, gradient_accumulation_steps=2)
    return replace(options, loader=replace(options.loader, num_workers=num_workers))


def elastic_parts(record: Path) -> dict[str, Any]:
    return {
        "model": plain_model(),
        "task": Recording(record),
        "data": tiny_data(train=Numbered()),
    }


def begin_on_two(ranks: Ranks, folder: Path) -> dict[str, Any]:
    callbacks = {"stop": StopAt(4)} if ranks.rank else {}
    with suppress(Interrupted):
        train_as_rank(
            ranks,
            folder / "run",
            elastic_options(2),
            callbacks=callbacks,
            **elastic_parts(folder / f"rank_{ranks.rank}"),
        )
        return {"interrupted": False}
    return {"interrupted": True}


def recorded(path: Path) -> list[list[int]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_fewer_ranks_and_other_workers_see_the_same_samples(tmp_path: Path) -> None:
    """22 samples in batches of 4, two a step: the fourth step is in the second epoch."""
    train_as_rank(ALONE, tmp_path / "straight", elastic_options(0), **elastic_parts(tmp_path / "s"))
    started = results_of(begin_on_two, count=2, folder=tmp_path)
    assert started == [{"interrupted": True}] * 2
    train_as_rank(ALONE, tmp_path / "run", elastic_options(0), **elastic_parts(tmp_path / "one"))
    shares = zip(recorded(tmp_path / "rank_0"), recorded(tmp_path / "rank_1"), strict=True)
    together = [own + other for own, other in shares]
    assert len(together) == 8
    assert together + recorded(tmp_path / "one") == recorded(tmp_path / "s")
    rows, straight = journal_of(tmp_path / "run"), journal_of(tmp_path / "straight")
    assert [row[:3] for row in rows] == [row[:3] for row in straight]
    for (*_, own), (*_, other) in zip(rows, straight, strict=True):
        assert own == pytest.approx(other, rel=1e-4)


class Breaks(Classification):
    """Fails in the middle of its seventh step on every rank, if it is to."""

    def __init__(self, *, is_broken: bool) -> None:
        super().__init__(num_classes=3)
        self._left = 7 if is_broken else -1

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        output = super().training_step(model, batch)
        self._left -= 1
        if self._left == 0:
            raise ZeroDivisionError("in the middle of a step")
        return output


def stream_run(ranks: Ranks, path: Path, *, stop: int = 0, is_broken: bool = False) -> str:
    """Train on two shards and say how it ended; several ranks save every second step."""
    options = tiny_options(max_epochs=2, max_grad_norm=1.0, ema_decay=0.9)
    options = replace(options, checkpoint=CheckpointOptions(every="2 steps"))
    last = ranks.rank == ranks.count - 1
    try:
        train_as_rank(
            ranks,
            path,
            options,
            data=tiny_data(train=Samples(15, 8)),
            scheduler=None,
            task=Breaks(is_broken=is_broken),
            callbacks={"stop": StopAt(stop)} if stop and last else {},
        )
        return "completed"
    except Interrupted:
        return "interrupted"
    except ZeroDivisionError:
        return "failed"
    finally:
        ranks.meet()


def train_streams(ranks: Ranks, folder: Path) -> dict[str, Any]:
    ended: dict[str, Any] = {}
    ended["straight"] = stream_run(ranks, folder / "straight")
    for name, how in {
        "in-a-shard": {"stop": 3},
        "epoch-end": {"stop": 6},
        "exception": {"is_broken": True},
    }.items():
        path = folder / name
        ended[name] = [stream_run(ranks, path, **how), stream_run(ranks, path)]
        ended[f"{name} differences"] = run_differences(folder / "straight", path)
    return ended


@pytest.mark.parametrize("count", [1, 2])
def test_a_stream_of_two_shards_is_resumed_exactly(tmp_path: Path, count: int) -> None:
    """After a stop in a shard and at an epoch's end, and after an exception inside a step."""
    results = [train_streams(ALONE, tmp_path)] if count == 1 else []
    results = results or results_of(train_streams, count=2, folder=tmp_path)
    for ended in results:
        assert ended["straight"] == "completed"
        for name, first in {
            "in-a-shard": "interrupted",
            "epoch-end": "interrupted",
            "exception": "failed",
        }.items():
            assert ended[name] == [first, "completed"], name
            assert ended[f"{name} differences"] == [], name


class FailsAfterEvaluation(Callback):
    """Ends the run between an evaluation, which is in the journal, and what follows from it."""

    def on_evaluation_end(self, fit: Fit, split: str, values: dict[str, float]) -> None:
        if fit.progress.step == 12:
            raise ZeroDivisionError("after the evaluation")


def test_an_error_between_an_evaluation_and_its_save_changes_nothing(tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options = tiny_options(ema_decay=0.9, patience=3)
    train(straight, options)
    with pytest.raises(CallbackError, match="after the evaluation"):
        train(resumed, options, callbacks={"fails": FailsAfterEvaluation()})
    assert final_state(resumed)[1]["progress"]["step"] == 12
    train(resumed, options)
    assert run_differences(straight, resumed) == []


class IsDeterministic(Callback):
    """Remembers what torch was told."""

    def __init__(self) -> None:
        self.told: set[bool] = set()

    def on_step_end(self, fit: Fit) -> None:
        self.told.add(torch.are_deterministic_algorithms_enabled())


def test_deterministic_holds_for_its_run_alone_and_is_resumed_exactly(tmp_path: Path) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    options = tiny_options(deterministic=True)
    watch = IsDeterministic()
    train(straight, options, callbacks={"watch": watch})
    with pytest.raises(Interrupted):
        train(resumed, options, callbacks={"watch": watch, "stop": StopAt(7)})
    train(resumed, options, callbacks={"watch": watch})
    assert watch.told == {True}
    # The callbacks have no state: nothing else differs.
    assert run_differences(straight, resumed) == []
    free = IsDeterministic()
    train(tmp_path / "free", tiny_options(), callbacks={"watch": free})
    assert free.told == {False}


class Undetermined(Classification):
    """Uses `put_`, which has no deterministic form without accumulation, on any device."""

    def training_step(self, model: nn.Module, batch: Batch) -> StepOutput:
        torch.zeros(4).put_(torch.tensor([1, 1]), torch.tensor([1.0, 2.0]))
        return super().training_step(model, batch)


def test_an_operation_without_a_deterministic_form_is_refused(tmp_path: Path) -> None:
    task = Undetermined(num_classes=3)
    with pytest.raises(RuntimeError, match="put_ does not have a deterministic implementation"):
        train(tmp_path / "refused", tiny_options(deterministic=True), task=task)
    assert train(tmp_path / "free", tiny_options(max_epochs=1), task=task).step == 6


def test_loader_workers_end_with_the_training(tmp_path: Path) -> None:
    options = replace(tiny_options(max_epochs=1), loader=LoaderOptions(batch_size=4, num_workers=1))
    data = Data(train=fixed_split(24))
    train(tmp_path, options, data=data)
    start = time.perf_counter()
    gc.collect()
    assert time.perf_counter() - start < 3
