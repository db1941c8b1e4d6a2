"""Twelve kinds of wrong config: one clear message, exit code 2, and nothing trained."""

import sys
from pathlib import Path

import pytest
import torch

from runner.cli.main import run
from runner.run.directory import RunDirectory
from runner.run.status import read_status

PICTURES = ("data=ocr_folder", "task=ctc", "model=crnn", "trackers=none", "callbacks=none")

WRONG = {
    "typo in a key": (
        ["trainer.max_stepz=3"],
        "trainer.max_stepz: trainer has no key 'max_stepz' - did you mean 'max_steps'?",
    ),
    "typo in a new key": (
        ["+trainer.max_stepz=3"],
        "trainer.max_stepz is no known key - did you mean 'max_steps'?",
    ),
    "typo in a group": (
        ["optimzer=sgd"],
        "optimzer: there is no key 'optimzer' - did you mean 'optimizer'?",
    ),
    "typo in a member of a group": (
        ["optimizer=adamm"],
        "optimizer=adamm: there is no such optimizer - did you mean 'adam'? "
        "(there are adadelta, adafactor, adagrad, adam, adamax, adamw, gan, nadam, radam, "
        "rmsprop, sgd)",
    ),
    "wrong type": (
        ["trainer.max_epochs=many"],
        "trainer.max_epochs must be int or null, got 'many'",
    ),
    "unknown argument of a target": (
        ["+optimizer.weight_decoy=0.1"],
        "optimizer.weight_decoy: torch.optim.AdamW has no parameter 'weight_decoy' "
        "- did you mean 'weight_decay'?",
    ),
    "missing argument": (
        ["~model.num_inputs"],
        "model.num_inputs is missing: runner.models.mlp.MLP needs it",
    ),
    "unimportable target": (
        ["model._target_=runner.models.mpl.MLP"],
        "model._target_: runner.models has no 'mpl' - did you mean 'mlp'?",
    ),
    "impossible combination": (
        ["trainer.max_epochs=null"],
        "training would never end: give trainer.max_epochs, trainer.max_steps or "
        "trainer.max_duration",
    ),
    "components that do not fit": (
        ["task=ctc", "model=crnn"],
        "task.alphabet needs data.alphabet, which data=digits does not have",
    ),
    "missing data folder": (
        [*PICTURES, "data.root=nowhere"],
        "data.root=nowhere: there is no such folder",
    ),
    "empty dataset": (
        [*PICTURES, "data.root=empty"],
        "empty/labels.csv is empty: it has a header and no rows",
    ),
    "batch size 0": (["data.batch_size=0"], "data.batch_size must be >= 1, got 0"),
    "bad duration": (
        ["trainer.evaluate_every='2 epoks'"],
        "trainer.evaluate_every: '2 epoks' has no known unit - did you mean 'epochs'?",
    ),
    "a device that is not there": (
        ["hardware.device=cuda:7"],
        "hardware.device=cuda:7: this machine has",
    ),
    "a sweep without -m": (
        ["optimizer.lr=1,2"],
        "optimizer.lr=1,2 names several values: add -m for a sweep over them",
    ),
    "a launcher that is not there": (
        ["-m", "hydra/launcher=slurmm", "seed=1,2"],
        "hydra/launcher=slurmm: there is no such hydra/launcher",
    ),
    "flags that exclude each other": (["--run", "-m"], "Only one of --run, --multirun"),
    "a config name that is not there": (["-cn", "nope"], "there is no config file 'nope'"),
    "no override at all": (["trian"], "'trian' is neither a command nor an override"),
}


@pytest.fixture(autouse=True)
def in_a_folder_with_an_empty_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/labels.csv").write_text("file,text,split\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize("kind", WRONG)
def test_one_clear_message_before_any_training(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, message = WRONG[kind]
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sum("error:" in line for line in error.splitlines()) == 1
    assert not list(tmp_path.glob("outputs/*"))  # no run directory


@pytest.mark.parametrize(
    "mistake",
    [
        "optimizer.lr=-1",  # found while building, as the next one is
        "trainer.best_metric=evaluation.acuracy",
        "checkpoint.dir=empty/labels.csv",
    ],
)
def test_a_mistake_found_while_building_leaves_no_directory(mistake: str, tmp_path: Path) -> None:
    assert run(["trackers=none", "callbacks=none", mistake]) == 2
    assert not list(tmp_path.glob("outputs/*"))


def test_nor_do_several_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["hardware=cpu", "hardware.num_processes=2", "optimizer.lr=-1"]) == 2
    assert "Invalid learning rate" in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs/*"))


def test_a_file_that_somebody_else_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine/logs").mkdir(parents=True)
    (tmp_path / "mine/notes.txt").write_text("not yours")
    assert run(["hydra.run.dir=mine", "optimizer.lr=-1"]) == 2
    assert (tmp_path / "mine/notes.txt").read_text() == "not yours"
    assert read_status(RunDirectory(tmp_path / "mine")).state == "failed"  # type: ignore[union-attr]


def test_a_sweep_with_a_typo_is_refused_before_its_first_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["-m", "seed=1,2", "trainer.max_stepz=3"]) == 2
    assert "did you mean 'max_steps'?" in capsys.readouterr().err
    assert not list(tmp_path.rglob("status.json"))


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run([f"output_dir={tmp_path}/file/runs"]) == 2
    assert "the folder of the run cannot be made" in capsys.readouterr().err


def test_a_missing_config_dir_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config-dir", "absent"]) == 2
    assert "--config-dir absent: there is no such folder" in capsys.readouterr().err


def test_the_traceback_is_shown_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(Exception, match="batch_size"):
        run(["data.batch_size=0"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_kind_of_device_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["hardware=cuda"]) == 2
    assert "use hardware=auto to take what there is" in capsys.readouterr().err
