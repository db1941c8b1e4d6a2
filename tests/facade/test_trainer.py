from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from runner.cli.commands import run_command
from runner.config.options import CheckpointOptions, HardwareOptions, LoaderOptions, Options
from runner.config.written import read_config
from runner.errors import ConfigError, Interrupted, RunError
from runner.facade.trainer import Trainer
from runner.run.directory import RunDirectory
from runner.run.signature import sign
from runner.run.status import read_status
from runner.tasks.classification import Classification
from tests.training.harness import (
    StopAt,
    final_state,
    fixed_split,
    journal_of,
    same,
    tiny_data,
    tiny_options,
)


def trainer(directory: Path | None, options: Options | None = None, **changes: Any) -> Trainer:
    torch.manual_seed(0)
    pieces: dict[str, Any] = {
        "model": nn.Linear(8, 3),
        "task": Classification(num_classes=3),
        "data": tiny_data(),
        "optimizer": partial(torch.optim.SGD, lr=0.1),
        "options": options or tiny_options(),
        "callbacks": {},
        "trackers": {},
        "directory": directory,
    }
    return Trainer(**{**pieces, **changes})


def begin(path: Path, options: Options | None = None) -> None:
    with pytest.raises(Interrupted):
        trainer(path, options, callbacks={"stop": StopAt(5)}).fit()


def test_every_fit_without_a_directory_is_a_new_run(tmp_path: Path) -> None:
    tiny = trainer(None, tiny_options(max_epochs=1), output_dir=tmp_path, name="tiny")
    assert tiny.directory is None
    tiny.fit()
    first = tiny.directory
    tiny.fit()
    assert first is not None and tiny.directory is not None
    assert first != tiny.directory
    assert set((tmp_path / "tiny").iterdir()) == {first, tiny.directory}
    for path in (first, tiny.directory):
        status = read_status(RunDirectory(path))
        assert status is not None and (status.state, status.jobs) == ("completed", 1)


def test_an_unfinished_run_is_continued(tmp_path: Path) -> None:
    straight = trainer(tmp_path / "straight").fit()
    begin(tmp_path / "resumed")
    resumed = trainer(tmp_path / "resumed").fit()
    assert (resumed.step, resumed.score, resumed.test) == (18, straight.score, straight.test)
    assert journal_of(tmp_path / "resumed") == journal_of(tmp_path / "straight")


def test_other_options_are_refused_by_the_names_that_a_user_types(tmp_path: Path) -> None:
    begin(tmp_path)
    options = tiny_options(max_grad_norm=1.0, seed=3, batch_size=8)
    with pytest.raises(RunError, match=r"differs in data\.batch_size, seed, trainer\.max_grad_n"):
        trainer(tmp_path, options).fit()


def test_options_that_do_not_change_the_result_may_differ(tmp_path: Path) -> None:
    begin(tmp_path)
    changes = {
        "checkpoint": CheckpointOptions(keep_last=1),
        "hardware": HardwareOptions(device="cpu"),
    }
    assert trainer(tmp_path, replace(tiny_options(max_epochs=4), **changes)).fit().step == 24


def test_the_number_of_workers_does_not_change_the_result(tmp_path: Path) -> None:
    """Neither from the start nor when a run goes on; each batch shows in the loss of its row."""
    alone, two = (
        replace(
            tiny_options(max_epochs=2, log_every_steps=1),
            loader=LoaderOptions(batch_size=4, num_workers=number),
        )
        for number in (0, 2)
    )
    trainer(tmp_path / "alone", alone).fit()
    trainer(tmp_path / "two", two).fit()
    begin(tmp_path / "changed", alone)
    trainer(tmp_path / "changed", two).fit()
    rows = journal_of(tmp_path / "alone")
    assert sum(split == "train" for _, _, split, _ in rows) == 12
    for other in ("two", "changed"):
        assert journal_of(tmp_path / other) == rows
        assert same(final_state(tmp_path / other), final_state(tmp_path / "alone"))


def test_a_finished_run_gives_its_result_or_is_trained_longer(tmp_path: Path) -> None:
    first = trainer(tmp_path).fit()
    rows, weights = journal_of(tmp_path), (tmp_path / "checkpoints").stat().st_mtime_ns
    again = trainer(tmp_path).fit()
    assert (again.step, again.score, again.test) == (first.step, first.score, first.test)
    assert journal_of(tmp_path) == rows
    assert (tmp_path / "checkpoints").stat().st_mtime_ns == weights
    assert trainer(tmp_path, tiny_options(max_epochs=4)).fit().step == 24


def test_a_run_keeps_its_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        begin(tmp_path)
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        trainer(tmp_path).fit()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert read_config(tmp_path / "config.yaml")["hardware"]["threads"] == 1


def test_the_config_is_plain_and_named_as_a_user_types_it(tmp_path: Path) -> None:
    trainer(tmp_path, tiny_options(max_epochs=1)).fit()
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["data"]["batch_size"] == 4
    assert "loader" not in config


def test_ranks_are_started_by_torchrun_and_not_by_a_script(tmp_path: Path) -> None:
    options = replace(tiny_options(), hardware=HardwareOptions(num_processes=2))
    with pytest.raises(ConfigError, match="start this script .* torchrun --nproc-per-node 2"):
        trainer(tmp_path / "run", options).fit()
    assert not (tmp_path / "run").exists()


def test_impossible_combinations_are_refused_as_by_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="would depend on the clock"):
        trainer(tmp_path / "run", tiny_options(on_nonfinite="rollback")).fit()
    assert not (tmp_path / "run").exists()


def test_the_command_line_cannot_resume_a_run_started_from_python(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    text = "name: run\nseed: 0\n"
    sign(RunDirectory(tmp_path), text)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RunError, match="was started from Python.*Trainer"):
        run_command(["resume", str(tmp_path)])


def test_the_head_first_and_then_everything(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))

    def moved(**changes: Any) -> list[bool]:
        before = [value.clone() for value in model.state_dict().values()]
        Trainer(
            model=model,
            loss="cross_entropy",
            data=fixed_split(24),
            options={"trainer.max_epochs": 1, "data.batch_size": 4, **changes},
            callbacks={},
            trackers=[],
            output_dir=tmp_path,
        ).fit()
        after = model.state_dict().values()
        return [not torch.equal(*both) for both in zip(before, after, strict=True)]

    frozen = {"parameters": {"freeze": ["0", "1"]}, "trainer.gradient_checkpointing": True}
    assert moved(**frozen) == [False] * 7 + [True] * 2
    assert moved() == [True] * 9
    assert not any("forward" in vars(module) for module in model.modules())
