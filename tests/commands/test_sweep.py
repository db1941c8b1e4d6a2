"""Sweeps by the whole command, with real jobs in the local pool."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from runner.run.journal import read_journal
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import read_ledger
from runner.sweeps.record import read_record
from tests.commands.command import BARE, call, start

SHORT = ("-m", "+experiment=digits", "trainer.max_epochs=1", *BARE)
UNCHECKED = (*SHORT, "sweep.check=none")


def only_sweep(folder: Path, name: str = "digits") -> SweepDirectory:
    (path,) = (folder / "outputs" / name / "sweeps").iterdir()
    return SweepDirectory(path)


def status(directory: SweepDirectory, number: int) -> dict[str, Any]:
    return json.loads(directory.job(number).status.read_text())


def states(directory: SweepDirectory) -> list[str]:
    return [status(directory, run.number)["state"] for run in read_ledger(directory.ledger)]


def jobs(directory: SweepDirectory) -> list[int]:
    return [status(directory, run.number)["jobs"] for run in read_ledger(directory.ledger)]


def test_the_same_command_continues_and_a_wider_one_runs_what_is_new(tmp_path: Path) -> None:
    done = call(*SHORT, "seed=1,2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 runs: 2 completed" in done.stdout
    assert "checked 2 configs, 1 of 1 kinds tried" in done.stderr
    directory = only_sweep(tmp_path)
    again = call(*SHORT, "seed=1,2", cwd=tmp_path)
    assert again.returncode == 0 and "2 done, to be skipped" in again.stderr
    wider = call(*SHORT, "seed=3,2,1", cwd=tmp_path)
    assert wider.returncode == 0, wider.stderr
    assert [run.label for run in read_ledger(directory.ledger)] == ["seed=1", "seed=2", "seed=3"]
    assert (states(directory), jobs(directory)) == (["completed"] * 3, [1, 1, 1])
    assert len(read_record(directory).starts) == 2  # the one with nothing to do started nothing

    longer = call("resume", str(directory.path), "trainer.max_epochs=2", cwd=tmp_path)
    assert longer.returncode == 0, longer.stderr
    assert (states(directory), jobs(directory)) == (["completed"] * 3, [2, 2, 2])
    assert {status(directory, number)["step"] for number in range(3)} == {46}
    shorter = call(*SHORT, "seed=1,2", cwd=tmp_path)
    assert shorter.returncode == 2 and "trainer.max_epochs=2 there, 1 here" in shorter.stderr


def test_failed_runs_are_told_and_tried_again_and_harm_no_other(tmp_path: Path) -> None:
    (tmp_path / "trouble.py").write_text(
        "from pathlib import Path\n"
        "from runner.models.mlp import MLP\n"
        "class Net(MLP):\n"
        "    def __init__(self, number, **sizes):\n"
        "        super().__init__(**sizes)\n"
        "        self.number = number\n"
        "    def forward(self, inputs):\n"
        "        if self.number == 1 and not Path('mended').exists():\n"
        "            raise KeyError('bug')\n"
        "        return super().forward(inputs)\n"
    )
    sweep = (*UNCHECKED, "model._target_=trouble.Net", "+model.number=0,1,2")
    done = call(*sweep, cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 3 runs did not complete" in done.stderr
    assert "run 1 failed: KeyError: 'bug'" in done.stdout
    directory = only_sweep(tmp_path)
    assert states(directory) == ["completed", "failed", "completed"]
    assert "raise KeyError('bug')" in directory.job(1).console.read_text()
    left = call(*sweep, "sweep.retry=none", cwd=tmp_path)
    assert left.returncode == 1 and jobs(directory) == [1, 1, 1]
    (tmp_path / "mended").touch()
    mended = call("resume", str(directory.path), cwd=tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert (states(directory), jobs(directory)) == (["completed"] * 3, [1, 2, 1])


def test_mistakes_are_told_at_once_and_leave_nothing(tmp_path: Path) -> None:
    axes = ("optimizer.lr=1e-3,-1", "model=mlp,mlpp", "trainer.max_step=1,2")
    typos = call(*SHORT, *axes, cwd=tmp_path)
    assert typos.returncode == 2
    assert "did you mean 'mlp'" in typos.stderr and "did you mean 'max_steps'" in typos.stderr
    wrong = call("check", *SHORT, "optimizer.lr=1e-3,-1", "seed=1,2", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "Invalid learning rate: -1 (with optimizer.lr=-1)" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    right = call("check", *SHORT, "seed=1,2", cwd=tmp_path)
    assert right.returncode == 0, right.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("sweep.retry=none,all",), "sweep.retry says how the sweep goes, so it cannot be swept"),
        (("seed=1,2", "hydra.sweep.subdir=x"), "runner numbers the runs of a sweep itself"),
        (("seed=1,2", "sweep.retry=maybe"), "sweep.retry must be failed or none or all"),
        (("seed=1,2", "sweep.nam=x"), "did you mean 'name'"),
        (("seed=1,2", "fresh=7"), "fresh must be true or false"),
        (("seed=1,2", "hydra.launcher.slots=0"), "hydra.launcher.slots must be >= 1"),
        (("seed=1,2", "hydra.sweeper.zip=[[seed,lr]]"), "does not vary 'lr'"),
        (("seed=1,2", "hydra/sweeper=optuna", "hydra.sweeper.pruner=x"), "hydra.sweeper.pruner"),
        (("optimizer.lr=interval(0,1)",), "use hydra/sweeper=random"),
    ],
)
def test_a_mistake_of_the_sweep_itself_is_a_sentence(
    tmp_path: Path, overrides: tuple[str, ...], words: str
) -> None:
    done = call(*UNCHECKED, *overrides, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_every_job_and_the_same_command_goes_on(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = (*UNCHECKED, "trainer.max_epochs=null", "trainer.max_steps=4000", "seed=1,2,3")
    process = start(*command, "hydra.launcher.slots=2", cwd=tmp_path)
    _wait_for_rows(tmp_path, process, count=2)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    assert "to go on, the same command or: python -m runner resume" in stderr
    directory = only_sweep(tmp_path)
    saved = [status(directory, n) for n in (0, 1)]
    assert [entry["state"] for entry in saved] == ["preempted", "preempted"]
    assert not directory.job(2).status.exists()
    short = call("resume", str(directory.path), "trainer.max_steps=100", cwd=tmp_path)
    assert short.returncode == 0, short.stderr
    assert states(directory) == ["completed"] * 3


def test_a_killed_sweep_takes_its_jobs_along_and_goes_on(tmp_path: Path) -> None:
    command = (*UNCHECKED, "trainer.max_epochs=null", "trainer.max_steps=300", "seed=1,2,3")
    process = start(*command, "hydra.launcher.slots=2", cwd=tmp_path)
    _wait_for_rows(tmp_path, process, count=1)
    process.kill()
    process.communicate()
    done = call(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    directory = only_sweep(tmp_path)
    assert states(directory) == ["completed"] * 3
    for run in range(3):
        rows = [(row.step, row.split) for row in read_journal(directory.job(run).journal)]
        assert len(rows) == len(set(rows))


def _wait_for_rows(folder: Path, process: Any, *, count: int) -> None:
    """Wait until `count` runs have logged something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        journals = list(folder.glob("outputs/*/sweeps/*/*/metrics.jsonl"))
        if sum(os.path.getsize(path) > 0 for path in journals) >= count:  # noqa: PTH202
            return
        time.sleep(0.02)
    raise AssertionError(f"no rows: {process.communicate()}")


def test_a_fresh_sweep_stands_beside_the_old_one(tmp_path: Path) -> None:
    command = (*UNCHECKED, "seed=1", "sweep.name=mine")
    for extra in ((), ("fresh=true",), ()):
        done = call(*command, *extra, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    sweeps = tmp_path / "outputs" / "digits" / "sweeps"
    assert sorted(path.name for path in sweeps.iterdir()) == ["mine", "mine_2"]
    assert len(read_record(SweepDirectory(sweeps / "mine")).starts) == 1
    other = call(*command, "optimizer.lr=0.5", cwd=tmp_path)
    assert other.returncode == 2 and "optimizer.lr=" in other.stderr


def test_a_config_edited_behind_the_same_overrides_is_told(tmp_path: Path) -> None:
    preset = tmp_path / "conf" / "experiment" / "mine.yaml"
    preset.parent.mkdir(parents=True)
    text = "# @package _global_\ndefaults: [digits]\nname: mine\noptimizer: {lr: LR}\n"
    command = (
        "-m",
        "+experiment=mine",
        "trainer.max_epochs=1",
        *BARE,
        "sweep.check=none",
        "seed=1",
    )
    preset.write_text(text.replace("LR", "0.001"))
    assert call(*command, cwd=tmp_path).returncode == 0
    preset.write_text(text.replace("LR", "0.002"))
    edited = call(*command, cwd=tmp_path)
    assert edited.returncode == 0, edited.stderr
    assert "HAS CHANGED" in edited.stderr
    assert "optimizer.lr=0.001 there, 0.002 here" in edited.stderr
    assert len(list((tmp_path / "outputs" / "mine" / "sweeps").iterdir())) == 2


def test_zipped_axes_weights_of_the_best_alone_and_a_launcher_of_hydra(tmp_path: Path) -> None:
    done = call(
        *UNCHECKED,
        "hydra/launcher=basic",
        "sweep.keep_best=1",
        "seed=1,2",
        "optimizer.lr=1e-2,1e-3",
        "hydra.sweeper.zip=[[seed,optimizer.lr]]",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    directory = only_sweep(tmp_path)
    labels = [run.label for run in read_ledger(directory.ledger)]
    assert labels == ["seed=1 optimizer.lr=0.01", "seed=2 optimizer.lr=0.001"]
    assert states(directory) == ["completed"] * 2
    assert [directory.job(number).checkpoints.exists() for number in (0, 1)] == [True, False]


def test_presets_are_runs_of_their_own_and_judged_by_their_own_metric(tmp_path: Path) -> None:
    for name, metric, mode in (
        ("a", "accuracy", "max"),
        ("b", "loss", "min"),
        ("c", "loss", "min"),
    ):
        preset = tmp_path / "conf" / "experiment" / f"{name}.yaml"
        preset.parent.mkdir(parents=True, exist_ok=True)
        preset.write_text(
            "# @package _global_\ndefaults: [digits]\n"
            f"trainer: {{best_metric: evaluation.{metric}, best_mode: {mode}}}\n"
        )
    base = ("-m", "trainer.max_epochs=1", *BARE, "sweep.check=none", "sweep.name=s")
    mixed = call(*base, "+experiment=a,b", "sweep.keep_best=1", cwd=tmp_path)
    assert mixed.returncode == 2 and "sweep.keep_best needs one score" in mixed.stderr
    done = call(*base, "+experiment=a,b,c", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "best " not in done.stdout.splitlines()[-2], "scores of two kinds are not compared"
    directory = only_sweep(tmp_path, "run")
    assert states(directory) == ["completed"] * 3, "b and c differ in nothing but their names"
    longer = call(*base, "+experiment=a,b", "trainer.max_epochs=2", cwd=tmp_path)
    assert longer.returncode == 2 and "trainer.max_epochs=1 there, 2 here" in longer.stderr


def test_what_lies_in_the_way_is_nobodys_run(tmp_path: Path) -> None:
    (tmp_path / "place" / "0").mkdir(parents=True)
    (tmp_path / "place" / "0" / "status.json").write_text(json.dumps({"state": "completed"}))
    done = call(*UNCHECKED, "seed=1,2", "hydra.sweep.dir=place", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = read_ledger(SweepDirectory(tmp_path / "place").ledger)
    assert [run.number for run in runs] == [1, 2]


def test_a_repeated_command_may_change_the_layout_of_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "plainfile").touch()
    command = (*SHORT, "seed=1,2", "sweep.check=config")
    failed = call(*command, "checkpoint.dir=plainfile/x", cwd=tmp_path)
    assert failed.returncode == 1
    mended = call(*command, "checkpoint.dir=null", cwd=tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert states(only_sweep(tmp_path)) == ["completed"] * 2


def test_one_value_that_explodes_is_blamed_alone(tmp_path: Path) -> None:
    first = call("check", *SHORT, "optimizer.lr=1e30,1e-3", cwd=tmp_path)
    assert first.returncode == 2 and "(with optimizer.lr=1e+30)" in first.stderr, first.stderr
    # What a later value does to a step that the first one trains well is the run's to find out.
    later = call("check", *SHORT, "optimizer.lr=1e-3,1e30", cwd=tmp_path)
    assert later.returncode == 0, later.stderr


def test_a_resume_changes_neither_what_is_swept_nor_makes_runs_shorter(tmp_path: Path) -> None:
    base = ("-m", "+experiment=digits", *BARE, "sweep.check=none", "trainer.max_epochs=1,2")
    assert call(*base, cwd=tmp_path).returncode == 0
    directory = only_sweep(tmp_path)
    before = {path: path.read_bytes() for path in directory.path.rglob("*.json*")}
    for override, words in (
        ("trainer.max_epochs=3", "this sweep varies trainer.max_epochs"),
        ("trainer.max_steps=0", "trainer.max_steps must be >= 1"),
        ("optimizer.lr=1", "optimizer.lr"),
        ("hydra.launcher.slots=foo", "slots"),
    ):
        refused = call("resume", str(directory.path), override, cwd=tmp_path)
        assert refused.returncode == 2 and words in refused.stderr, refused.stderr
    assert {path: path.read_bytes() for path in directory.path.rglob("*.json*")} == before


def test_a_search_is_resumed_longer_with_several_goals(tmp_path: Path) -> None:
    begin = (
        *(word for word in UNCHECKED if word != "-m"),
        "hydra/sweeper=random",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.objectives={evaluation.loss: min, evaluation.accuracy: max}",
        "model=glob([m*,c*],exclude=crnn)",
        "seed=1,2",
        "-m",  # anywhere
    )
    globbed = call(*(w for w in begin if not w.startswith("hydra")), "fresh=true", cwd=tmp_path)
    assert globbed.returncode == 0, globbed.stderr
    begin = tuple(w.replace("glob([m*,c*],exclude=crnn)", "mlp,convnet") for w in begin)
    done = call(*begin, "sweep.name=found", "fresh=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    directory = SweepDirectory(tmp_path / "outputs" / "digits" / "sweeps" / "found")
    longer = call("resume", str(directory.path), "trainer.max_epochs=2", cwd=tmp_path)
    assert longer.returncode == 0, longer.stderr
    more = call("resume", str(directory.path), "hydra.sweeper.n_trials=9", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert states(directory) == ["completed"] * 4, "there are four combinations"
    assert {status(directory, number)["step"] for number in range(4)} == {46}
