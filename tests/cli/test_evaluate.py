"""`evaluate` of runs that were trained a little: the numbers of their training, and all around."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner import Run
from runner.build.trained import evaluating
from runner.build.trained.evaluating import Asked, evaluate_run
from runner.checkpoint.store import CheckpointStore
from runner.cli.evaluate import _Hurried
from runner.errors import CheckpointError, ConfigError, RunError
from runner.run.directory import RunDirectory
from runner.run.evaluations import read_evaluations
from runner.run.journal import read_journal
from runner.trackers.mlflow.tracker import MLflowTracker
from tests.commands.command import BARE, call, only_run

QUICK = (
    *BARE,
    "hardware.threads=1",
    "hardware.device=cpu",
    "trainer.max_epochs=null",
    "trainer.evaluate_every=4 steps",
    "checkpoint.every=4 steps",
    "checkpoint.keep_last=9",
)


def train(folder: Path, experiment: str, *overrides: str) -> Path:
    done = call(f"+experiment={experiment}", *QUICK, "name=run", *overrides, cwd=folder)
    assert done.returncode == 0, done.stderr
    return only_run(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with averaged weights, which are those to be evaluated: never change it, copy it."""
    sizes = ("model.hidden_size=8", "trainer.max_steps=12", "trainer.ema_decay=0.5")
    return train(tmp_path_factory.mktemp("trained"), "digits", *sizes)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "own"))


def measured(run: Path) -> dict[tuple[str, int], dict[str, float]]:
    rows = read_journal(RunDirectory(run).journal)
    return {(row.split, row.step): row.values for row in rows}


def test_the_numbers_are_those_of_the_training_to_the_last_bit(run: Path) -> None:
    rows = measured(run)
    for step in (4, 8, 12):
        done = evaluate_run(Asked(path=run, split="evaluation", step=step))
        assert done.evaluation.values == rows["evaluation", step]
    done = evaluate_run(Asked(path=run))  # the test, of the best weights
    assert (done.evaluation.split, done.evaluation.values) == ("test", rows["test", 12])


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["regression", "vae", "gan", "sequence_to_sequence"])
def test_every_kind_of_task_measures_again_what_it_measured(
    experiment: str, tmp_path: Path
) -> None:
    run = train(tmp_path, experiment, "trainer.max_steps=8")
    rows = measured(run)
    for step in (4, 8):
        done = evaluate_run(Asked(path=run, split="evaluation", step=step))
        assert done.evaluation.values == rows["evaluation", step]


def test_what_is_kept_holds_every_sample(run: Path) -> None:
    done = call("evaluate", str(run), cwd=run.parent)
    assert done.returncode == 0, done.stderr
    folder = run / "evaluations" / "test"
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    (kept,) = read_evaluations(run / "evaluations")
    assert len(rows) == kept.num_samples == 180
    right = [row["target"] == row["text"] for row in rows]
    assert kept.num_wrong == right.count(False)
    assert kept.values["accuracy"] == pytest.approx(sum(right) / 180)
    wrong = [row for row in rows if row["target"] != row["text"]]
    worst = max(wrong, key=lambda row: float(row["confidence"]))
    lines = done.stdout.splitlines()
    assert lines[0].startswith("test: 180 samples, weights of step ")
    assert lines[1].split() == ["metric", "value", "in", "training"]
    assert all(line.split()[1] == line.split()[2] for line in lines[2:5])
    (first,) = (number for number, line in enumerate(lines) if line.startswith("sample"))
    cells = lines[first + 1].split()
    assert cells[:3] == [worst["sample"], worst["target"], worst["text"]]
    assert lines[-1] == f"results: {folder}/predictions.csv"


def test_the_same_again_keeps_nothing_and_says_so(run: Path) -> None:
    first, second = (call("evaluate", str(run), cwd=run.parent) for _ in range(2))
    assert second.stdout == f"{first.stdout.rstrip()} (the same as before)\n"
    assert [path.name for path in (run / "evaluations").iterdir()] == ["test"]


def test_json_is_the_values_alone(run: Path) -> None:
    done = call("evaluate", str(run), "--split", "train", "--json", cwd=run.parent)
    values = json.loads(done.stdout)
    assert set(values) == {"loss", "accuracy", "macro_f1"}
    (kept,) = read_evaluations(run / "evaluations")
    assert (kept.split, kept.values) == ("train", values)


def test_other_data_and_batches_by_overrides(run: Path) -> None:
    own = evaluate_run(Asked(path=run)).evaluation
    batches = evaluate_run(Asked(path=run, overrides=["data.batch_size=7"])).evaluation
    assert batches.values == pytest.approx(own.values)
    other = evaluate_run(Asked(path=run, overrides=["data.split_seed=3"])).evaluation
    assert other.data != own.data
    few = evaluate_run(Asked(path=run, overrides=["debug.limit_batches=1"], name="few")).evaluation
    assert few.num_samples == 64
    names = [(run / "evaluations" / name).is_dir() for name in ("test_split_seed_3", "few")]
    assert names == [True, True]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--split", "tets"], "no split tets; there are train, evaluation, test - did you mean"),
        (["data.batchsize=4"], "did you mean 'batch_size'?"),
        (["model.hidden_size=16"], "takes what was trained as it is; only data, task"),
        (["task.num_classes=12"], "model.num_classes would become 12"),
        (["--name", "../test"], "the name of an evaluation is made of"),
        (["--step", "5"], "no checkpoint of step 5; there are 4, 8, 12"),
        (["--device", "cuda:77"], "hardware.device=cuda:77: this machine has"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_leaves_nothing(
    run: Path, arguments: list[str], expected: str
) -> None:
    done = call("evaluate", str(run), *arguments, cwd=run.parent)
    assert done.returncode in (1, 2) and expected in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (run / "evaluations").exists()


def test_data_that_are_not_those_of_the_training_are_told(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluate_run(Asked(path=run))
    assert caplog.text == ""
    config = run / "config.yaml"
    text = config.read_text(encoding="utf-8")
    assert "split_seed: 0" in text
    config.write_text(text.replace("split_seed: 0", "split_seed: 1"), encoding="utf-8")
    evaluate_run(Asked(path=run))
    assert "the test split is not the one that the run was trained with" in caplog.text
    caplog.clear()
    evaluate_run(Asked(path=run, overrides=["data.split_seed=2"]))
    assert caplog.text == ""  # these were asked for


def test_a_training_may_delete_the_checkpoint_meanwhile(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(run)
    read, gone = CheckpointStore.read_weights, []

    def read_late(store: CheckpointStore, step: int, model) -> None:
        if not gone:
            gone.append(step)
            store.delete(step)
            raise CheckpointError(f"no checkpoint of step {step}")
        read(store, step, model)

    monkeypatch.setattr(CheckpointStore, "read_weights", read_late)
    done = evaluate_run(Asked(path=run, split="evaluation"))
    assert done.evaluation.step not in gone
    assert done.evaluation.values == measured(directory.path)["evaluation", done.evaluation.step]


def test_one_that_is_stopped_leaves_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluating, "evaluate_split", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(Asked(path=run))
    assert not (run / "evaluations").exists()


def test_a_run_from_python_says_what_to_do_there(run: Path) -> None:
    (run / "config.yaml").write_text("name: run\nseed: 0\n", encoding="utf-8")
    done = call("evaluate", str(run), cwd=run.parent)
    assert done.returncode == 1
    assert "was started from Python" in done.stderr and "evaluate(split)" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_several_sets_are_measured_at_once_or_one_of_them(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = evaluating.instantiate

    def with_sets(node, path):
        made = built(node, path)
        if path != "data":
            return made
        return replace(made, evaluation={"day": made.evaluation, "night": made.test})

    monkeypatch.setattr(evaluating, "instantiate", with_sets)
    both = evaluate_run(Asked(path=run, split="evaluation"))
    assert {"day.loss", "night.loss"} < set(both.evaluation.values)
    assert both.evaluation.num_samples == 360
    rows = (both.folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1].startswith("day/0,") and rows[181].startswith("night/0,")
    night = evaluate_run(Asked(path=run, split="evaluation.night")).evaluation
    assert night.values["loss"] == both.evaluation.values["night.loss"]


def test_a_folder_that_cannot_be_written_costs_no_results(run: Path, tmp_path: Path) -> None:
    (run / "evaluations").touch()  # no folder can be there; root may write anywhere
    done = call("evaluate", str(run), "--json", cwd=tmp_path)
    assert done.returncode == 1 and "evaluations cannot be written" in done.stderr
    assert "--to FOLDER" in done.stderr and len(done.stderr.splitlines()) == 1
    assert set(json.loads(done.stdout)) == {"loss", "accuracy", "macro_f1"}
    kept = call("evaluate", str(run), "--to", "kept", cwd=tmp_path)
    assert kept.returncode == 0 and kept.stdout.endswith("results: kept/test/predictions.csv\n")
    refused = call("evaluate", str(run), "--to", str(run / "evaluations/x"), cwd=tmp_path)
    assert refused.returncode == 1 and not refused.stdout


def test_a_name_that_another_question_has_is_refused_before_computing(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate_run(Asked(path=run, name="mine"))
    monkeypatch.setattr(evaluating, "evaluate_split", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(ConfigError, match="mine is there already"):
        evaluate_run(Asked(path=run, name="mine", split="train"))


def test_results_under_a_name_that_is_taken_are_told_all_the_same(run: Path) -> None:
    evaluate_run(Asked(path=run, name="mine"))
    record = run / "evaluations/mine/evaluation.json"
    record.write_text(record.read_text().replace('"loss": ', '"loss": 1'), encoding="utf-8")
    done = call("evaluate", str(run), "--name", "mine", "--json", cwd=run.parent)
    assert done.returncode == 1 and "mine is there already, with other results" in done.stderr
    assert set(json.loads(done.stdout)) == {"loss", "accuracy", "macro_f1"}


def test_how_it_is_computed_makes_no_new_evaluation(run: Path) -> None:
    first = evaluate_run(Asked(path=run))
    how = ["data.evaluation_batch_size=7", "hardware.device=cpu"]
    again = evaluate_run(Asked(path=run, overrides=how))
    assert not again.is_new and again.folder == first.folder
    assert again.evaluation.how == how and again.evaluation.overrides == []


def test_data_that_the_model_cannot_take_are_a_sentence(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misfit(*_arguments, **_options):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (64x9 and 64x8)\nat ...")

    monkeypatch.setattr(evaluating, "evaluate_split", misfit)
    with pytest.raises(RuntimeError, match="^mat1"):  # without overrides it is a bug
        evaluate_run(Asked(path=run))
    with pytest.raises(RunError, match=r"cannot take test with data.split_seed=2.*multiplied") as e:
        evaluate_run(Asked(path=run, overrides=["data.split_seed=2"]))
    assert len(str(e.value).splitlines()) == 1


def test_only_what_the_training_asked_too_stands_beside_its_values(run: Path) -> None:
    same = call("evaluate", str(run), "data.evaluation_batch_size=60", cwd=run.parent)
    assert "in training" in same.stdout
    for override in ("debug.limit_batches=1", "data.split_seed=3"):
        other = call("evaluate", str(run), override, cwd=run.parent)
        assert other.returncode == 0 and "in training" not in other.stdout


def test_samples_without_what_the_task_reads_are_a_sentence(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misfit(*_arguments, **_options):
        return {"image": 1}["target"]

    monkeypatch.setattr(evaluating, "evaluate_split", misfit)
    expected = r"with data.split_seed=2, as it was trained with others: there is no 'target'$"
    with pytest.raises(RunError, match=expected):
        evaluate_run(Asked(path=run, overrides=["data.split_seed=2"]))


def test_a_server_that_is_down_is_waited_for_10_seconds_at_most() -> None:
    tracker = MLflowTracker(tracking_uri="http://127.0.0.1:9", experiment="mine")
    (hurried,) = _Hurried(None).mlflow({"mlflow": tracker}).values()
    assert hurried.finish_timeout_seconds == 10.0 and tracker.finish_timeout_seconds == 60.0
    assert tracker.within(90.0).finish_timeout_seconds == 60.0


def test_in_python_results_that_cannot_be_kept_are_a_warning(run: Path) -> None:
    (run / "evaluations").touch()
    with pytest.warns(UserWarning, match="the results are not kept: .* cannot be written"):
        assert Run(run).evaluate().values["loss"] > 0
