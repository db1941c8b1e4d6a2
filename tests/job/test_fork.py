"""A run goes on from an older checkpoint in a new directory; the old one is not touched."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.config.options import CheckpointOptions
from runner.errors import CheckpointError
from runner.facade.run import Run
from runner.job.fork import fork_run
from tests.commands.command import BARE, call, only_run
from tests.training.harness import final_state, journal_of, same, tiny_options, train

OPTIONS = replace(tiny_options(), checkpoint=CheckpointOptions(every="4 steps", keep_last=9))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "2026-01-01_00-00-00_aaaaaa"
    train(path, OPTIONS)
    return path


def contents(path: Path) -> dict[str, Any]:
    files = [file for file in path.rglob("*") if file.is_file()]
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


def test_a_fork_ends_as_the_run_itself_which_is_not_touched(trained: Path) -> None:
    before = contents(trained)
    forked = fork_run(trained, step=8)
    assert forked.parent == trained.parent and forked != trained
    assert {row[0] for row in journal_of(forked)} == {4, 6, 8}
    assert Run(forked).checkpoints == [4, 6, 8]
    assert (Run(forked).status.state, Run(forked).status.step) == ("preempted", 8)
    train(forked, OPTIONS)
    assert same(final_state(forked), final_state(trained))
    assert journal_of(forked) == journal_of(trained)
    assert contents(trained) == before


def test_a_fork_names_its_parent_and_has_an_id_of_its_own(trained: Path) -> None:
    forked = Run(trained).fork(12)
    origin = forked.provenance["forked_from"]
    assert origin == {"id": Run(trained).id, "step": 12, "path": f"../{trained.name}"}
    assert forked.id != Run(trained).id
    assert forked.config == Run(trained).config


def test_a_step_without_a_checkpoint_is_told_and_leaves_nothing(trained: Path) -> None:
    before = sorted(trained.parent.iterdir())
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 5; there are 4, 6, 8, 12"):
        fork_run(trained, step=5)
    assert sorted(trained.parent.iterdir()) == before


def test_the_command_goes_on_from_a_step_in_a_new_run(tmp_path: Path) -> None:
    few = ["trainer.max_steps=6", "trainer.max_epochs=null", "trainer.evaluate_every=2 steps"]
    begun = call("+experiment=digits", *few, *BARE, "checkpoint.every=2 steps", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    old = only_run(tmp_path, "digits")
    done = call("resume", str(old), "--step", "4", "trainer.max_steps=5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (new,) = (path for path in old.parent.iterdir() if path != old)
    status = json.loads((new / "status.json").read_text())
    assert (status["state"], status["step"]) == ("completed", 5)
    assert json.loads((old / "status.json").read_text())["step"] == 6
    wrong = call("resume", str(old), "--step", "4", "optimizer.lr=1", cwd=tmp_path)
    assert wrong.returncode == 2
    assert len(list(old.parent.iterdir())) == 2, "nothing was forked for it"
