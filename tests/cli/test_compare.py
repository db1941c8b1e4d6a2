"""`compare`: what differs between runs, where they part, and whether it is real."""

import json
from pathlib import Path
from typing import Any

import pytest

from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.run.provenance import read_provenance, write_provenance
from tests.commands.command import call
from tests.sweeps import sweep_directories
from tests.sweeps.runs import config_of, done, make_run
from tests.sweeps.sweep_directories import CODE

DIFF = "diff --git a/model.py b/model.py\n--- a/model.py\n+++ b/model.py\n@@ -1 +1 @@\n+size = 3\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs that differ in all that two can differ in."""
    make_run(
        tmp_path / "one",
        status=done(0.25, best_step=20),
        config=config_of(lr=0.01),
        evaluations={
            10: {"loss": 0.5, "accuracy": 0.7},
            20: {"loss": 0.25, "accuracy": 0.8},
            30: {"loss": 0.3, "accuracy": 0.85},
        },
    )
    two = make_run(
        tmp_path / "two",
        status=done(0.2, best_step=30),
        config=config_of(lr=0.02, max_steps=500),
        evaluations={
            10: {"loss": 0.5, "accuracy": 0.7},
            20: {"loss": 0.26, "accuracy": 0.8},
            30: {"loss": 0.2, "accuracy": 0.79},
        },
        code={"commit": "d" * 40, "diff": DIFF},
    )
    provenance = read_provenance(two.provenance)
    provenance["versions"]["torch"] = "1.0"
    write_provenance(two.provenance, provenance)
    return tmp_path


def compared(folder: Path, *arguments: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)  # NaN is not JSON

    shown = call("compare", *arguments, "--json", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout, parse_constant=refuse)


def sweep_of(
    path: Path, lrs: list[str], shifts: list[float], *, salt: int = 7, with_test: bool = False
) -> None:
    """Make a sweep over learning rates and three seeds; a shift for each learning rate."""
    runs = [[f"optimizer.lr={lr}", f"seed={seed}"] for lr in lrs for seed in (1, 2, 3)]
    sweep = sweep_directories.plan(path, runs)
    for number, overrides in enumerate(runs):
        seed = int(overrides[1][-1])
        shift = shifts[lrs.index(overrides[0].partition("=")[2])]
        score = 0.5 + 0.01 * seed + shift + 0.001 * (number * number * salt % 5)
        config = config_of(lr=float(overrides[0].partition("=")[2]), seed=seed)
        run = sweep_directories.begin(
            sweep,
            number,
            done(score, best_step=100),
            config=config,
            curve=[(50, 0.9), (100, score)],
        )
        if with_test:
            journal = Journal(run.journal)
            row = Row(step=100, epoch=1.0, time=0.0, split="test", values={"loss": score})
            journal.append(row)
            journal.close()


def test_what_differs_is_told_layout_keys_apart(folder: Path) -> None:
    found = compared(folder, "one", "two")
    assert found["config"] == {"optimizer.lr": {"A": "0.01", "B": "0.02"}}
    assert found["layout"] == {"trainer.max_steps": {"A": "100", "B": "500"}}
    assert found["surroundings"]["torch"]["B"] == "1.0"
    assert list(found["surroundings"]) == ["torch"]


def test_the_first_value_that_differs_is_told(folder: Path) -> None:
    (pair,) = compared(folder, "one", "two")["partings"]
    assert (pair["compared"], pair["differing"], pair["last_step"]) == (6, 3, 30)
    parting = pair["parting"]
    assert (parting["step"], parting["metric"]) == (20, "evaluation.loss")
    assert (parting["first"], parting["second"]) == (0.25, 0.26)
    shown = call("compare", "one", "two", cwd=folder).stdout
    assert "A and B part at step 20: evaluation.loss is 0.25 and 0.26; of 6 values 3" in shown
    (tolerant,) = compared(folder, "one", "two", "--rtol", "0.05")["partings"]
    assert tolerant["parting"]["step"] == 30
    shown = call("compare", "one", "two", "--rtol", "0.5", cwd=folder).stdout
    assert "equal within a tolerance of 0.5 up to the end: 6 values, up to step 30" in shown


def test_the_better_figure_is_marked_at_the_step_that_is_kept(folder: Path) -> None:
    lines = call("compare", "one", "two", cwd=folder).stdout.splitlines()
    cells = {line.split("  ")[1]: line.split()[1:] for line in lines if "evaluation." in line}
    assert cells["evaluation.loss (lower)"] == ["(lower)", "0.25", "0.2", "*"]
    assert cells["evaluation.loss, last"] == ["last", "0.3", "0.2", "*"]
    assert cells["evaluation.accuracy (higher)"] == ["(higher)", "0.8", "*", "0.79"]


def test_code_is_shown_when_asked(folder: Path) -> None:
    shown = call("compare", "one", "two", cwd=folder).stdout
    assert "git diff abc1234abc12 dddddddddddd" in shown
    assert "differ in model.py (--code shows how)" in shown and "size = 3" not in shown
    shown = call("compare", "one", "two", "--code", cwd=folder).stdout
    assert "model.py, changed in B alone" in shown and "+size = 3" in shown


def test_runs_of_a_sweep_are_grouped_over_their_seeds(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", ["0.1", "0.2"], [0.0, 0.2])
    found = compared(tmp_path, "sweep")
    assert [len(side["runs"]) for side in found["sides"]] == [3, 3]
    assert found["config"] == {"optimizer.lr": {"A": "0.1", "B": "0.2"}}
    assert found["partings"] == []
    (difference,) = found["differences"]
    assert difference["mean"] == pytest.approx(0.2, abs=0.005) and difference["is_real"]
    assert "paired" in difference["method"]
    assert found["metrics"]["evaluation.loss"]["A"]["count"] == 3
    shown = call("compare", "sweep", cwd=tmp_path).stdout
    assert "B - A" in shown and " real" in shown and "Groups of 3 are small" in shown


def test_what_chance_makes_is_not_called_real(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", ["0.1", "0.2", "0.3"], [0.0, 0.0, 0.001])
    found = compared(tmp_path, "sweep")
    assert len(found["differences"]) == 3
    assert not any(each["is_real"] for each in found["differences"])
    assert "adjusted for 3 differences" in call("compare", "sweep", cwd=tmp_path).stdout


def test_the_same_config_in_two_sweeps_stays_on_two_sides(tmp_path: Path) -> None:
    for name, shift, salt in (("before", 0.0, 7), ("after", 0.3, 3)):
        sweep_of(tmp_path / name, ["0.1"], [shift], salt=salt)
    found = compared(tmp_path, "before", "after")
    assert [len(side["runs"]) for side in found["sides"]] == [3, 3]
    assert found["config"] == {} and found["differences"][0]["is_real"]


def test_runs_that_differ_in_their_seed_alone_are_told_with_their_mean(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", ["0.1"], [0.0])
    shown = call("compare", "sweep", cwd=tmp_path).stdout
    assert "Over their 3 seeds evaluation.loss is 0.5217 ±" in shown
    assert "A and B part at step 100" in shown


def test_single_runs_are_grouped_unless_their_code_differs(tmp_path: Path) -> None:
    other = {"commit": "e" * 40, "diff": ""}
    for name, seed, code in (("a", 1, CODE), ("b", 2, CODE), ("c", 1, other), ("d", 2, other)):
        values = {100: {"loss": 0.1 * seed}}
        make_run(tmp_path / name, config=config_of(seed=seed), code=code, evaluations=values)
    found = compared(tmp_path, "a", "b", "c", "d")
    assert [len(side["runs"]) for side in found["sides"]] == [2, 2]
    (difference,) = found["differences"]
    assert difference["mean"] == 0.0 and difference["p"] is None and not difference["is_real"]


def test_a_metric_may_be_chosen_and_a_typo_is_told(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", ["0.1", "0.2"], [0.0, 0.2])
    shown = call("compare", "sweep", "--metric", "evaluation.los", cwd=tmp_path)
    assert shown.returncode == 1 and "did you mean 'evaluation.loss'?" in shown.stderr
    assert compared(tmp_path, "sweep", "--metric", "evaluation.loss")["differences"]


def test_many_sides_are_rows(tmp_path: Path) -> None:
    lrs = [f"0.{number}" for number in range(1, 8)]
    sweep_of(tmp_path / "sweep", lrs, [0.0] * 7)
    lines = call("compare", "sweep", cwd=tmp_path).stdout.splitlines()
    assert ["G", "0.7"] in [line.split() for line in lines]


def test_the_page_holds_everything(folder: Path) -> None:
    shown = call("compare", "one", "two", "--page", "deep/page.html", cwd=folder)
    assert shown.stdout.splitlines()[-1] == "deep/page.html"
    page = (folder / "deep" / "page.html").read_text()
    for words in ("optimizer.lr", "part at step 20", "+size = 3", "<h2>Curves</h2>"):
        assert words in page
    assert "<script src" not in page and "<link" not in page


def test_what_cannot_be_compared_is_told(folder: Path) -> None:
    shown = call("compare", "one", cwd=folder)
    assert shown.returncode == 1 and "takes two runs" in shown.stderr
    (folder / "bad").mkdir()
    (folder / "bad" / "run.json").write_text("{")
    shown = call("compare", "one", "bad", "two", cwd=folder)
    assert shown.returncode == 0 and "bad cannot be read" in shown.stdout


def test_unequal_logs_have_nothing_in_common(tmp_path: Path) -> None:
    make_run(tmp_path / "one", evaluations={10: {"loss": 1.0}})
    make_run(tmp_path / "two", config=config_of(lr=1.0), evaluations={15: {"loss": float("nan")}})
    (pair,) = compared(tmp_path, "one", "two")["partings"]
    assert pair["compared"] == 0 and pair["parting"] is None
    assert "have logged nothing for the same step" in call("compare", ".", cwd=tmp_path).stdout


def test_a_value_of_the_last_step_is_not_called_that_of_the_kept_weights(folder: Path) -> None:
    for name, loss in (("one", 0.11), ("two", 0.12)):
        journal = Journal(RunDirectory(folder / name).journal)
        journal.append(Row(step=25, epoch=1.0, time=0.0, split="train", values={"loss": loss}))
        journal.close()
    shown = call("compare", "one", "two", cwd=folder).stdout
    assert "train.loss, last (lower)" in shown and "train.loss (lower)" not in shown
    figures = compared(folder, "one", "two")["metrics"]["train.loss"]["A"]
    assert figures == {"kept": None, "last": 0.11}


def test_a_run_that_is_named_twice_is_taken_once(folder: Path) -> None:
    shown = call("compare", "one", "one", cwd=folder)
    assert shown.returncode == 1 and "one was named twice" in shown.stderr
    sweep_of(folder / "sweep", ["0.1"], [0.0])
    for order in (("sweep", "sweep/1"), ("sweep/1", "sweep")):
        found = compared(folder, *order)
        assert sum(len(side["runs"]) for side in found["sides"]) == 3
        assert found["notes"] == [
            "sweep/1 is a run of sweep, which was named too, and is taken once."
        ]


def test_a_run_that_is_named_beside_its_folder_is_told(folder: Path) -> None:
    assert compared(folder, ".", "one")["notes"] == [
        "one lies in ., which was named too, and is taken once."
    ]
    sweep_of(folder / "deep" / "sweep", ["0.1"], [0.0])
    assert compared(folder, "deep", "deep/sweep", "deep/sweep/1")["notes"] == [
        "deep/sweep lies in deep, which was named too, and is taken once.",
        "deep/sweep/1 is a run of deep/sweep, which was named too, and is taken once.",
    ]


def test_one_run_is_too_few_to_compare(folder: Path) -> None:
    shown = call("compare", "one", cwd=folder)
    assert shown.returncode == 1 and "a sweep of two; found only one" in shown.stderr
    (folder / "empty").mkdir()
    assert "found none in empty" in call("compare", "empty", cwd=folder).stderr


def test_figures_of_different_tasks_are_not_ranked(folder: Path) -> None:
    other = config_of(task={"_target_": "other.Task"})
    make_run(folder / "two", status=done(0.2), config=other, evaluations={100: {"loss": 0.2}})
    shown = call("compare", "one", "two", cwd=folder).stdout
    assert "figures are not ranked" in shown and " *" not in shown


def test_runs_outside_of_git_are_not_said_to_have_the_same_code(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_run(tmp_path / name, code={"commit": None, "diff": None})
    shown = call("compare", "one", "two", cwd=tmp_path).stdout
    assert "whether the code is the same is not known" in shown


def test_the_curves_of_the_page_are_charts(folder: Path) -> None:
    call("compare", "one", "two", "--page", "page.html", cwd=folder)
    page = (folder / "page.html").read_text()
    assert page.count('<figure class="chart">') == 2 and "data:image/png" not in page
    assert '"name":"A","points":[[10,0.5],[20,0.25],[30,0.3]]' in page


def test_runs_of_different_lengths_are_no_side(tmp_path: Path) -> None:
    for name, lr, steps in (("a", 1, 10), ("b", 1, 60), ("c", 2, 10), ("d", 2, 60)):
        config = config_of(lr=lr, max_steps=steps)
        make_run(tmp_path / name, config=config, evaluations={steps: {"loss": 1 / steps}})
    found = compared(tmp_path, "a", "b", "c", "d")
    assert [len(side["runs"]) for side in found["sides"]] == [1, 1, 1, 1]
    assert found["layout"]["trainer.max_steps"]["B"] == "60" and found["differences"] == []


def test_runs_of_one_side_that_stopped_at_other_steps_are_told(tmp_path: Path) -> None:
    for name, lr, seed, step in (("a", 1, 1, 40), ("b", 1, 2, 90), ("c", 2, 1, 90)):
        config, status = config_of(lr=lr, seed=seed), done(0.5, step=step)
        make_run(tmp_path / name, config=config, status=status, evaluations={step: {"loss": 0.5}})
    assert "40 to 90" in call("compare", "a", "b", "c", cwd=tmp_path).stdout


def test_a_seed_that_was_run_twice_counts_once(tmp_path: Path) -> None:
    for number, (lr, seed) in enumerate((lr, seed) for lr in (1, 2) for seed in (1, 2, 3)):
        for again in "ab":
            values = {"loss": 0.5 + lr * 0.1 + seed * 0.01 + number % 4 * 0.001}
            config = config_of(lr=lr, seed=seed)
            make_run(tmp_path / f"{number}{again}", config=config, evaluations={100: values})
    both = compared(tmp_path, ".")
    once = compared(tmp_path, *(f"{number}a" for number in range(6)))
    assert [len(side["runs"]) for side in both["sides"]] == [6, 6]
    assert both["differences"] == once["differences"]
    assert both["metrics"]["evaluation.loss"] == once["metrics"]["evaluation.loss"]
    assert "runs of one seed count once" in call("compare", ".", cwd=tmp_path).stdout


def test_over_seeds_only_what_lies_apart_is_marked(tmp_path: Path) -> None:
    sweep_of(tmp_path / "apart", ["0.1", "0.2"], [0.0, 0.2])
    sweep_of(tmp_path / "near", ["0.1", "0.2"], [0.0, 0.001])
    for name, is_marked in (("apart", True), ("near", False)):
        lines = call("compare", name, cwd=tmp_path).stdout.splitlines()
        (line,) = (line for line in lines if line.strip().startswith("evaluation.loss (lower)"))
        assert ("*" in line) is is_marked


def test_one_run_beside_several_seeds_is_not_called_better(tmp_path: Path) -> None:
    for name, lr, seed, loss in (("a", 1, 1, 0.5), ("b", 1, 2, 0.51), ("c", 2, 1, 0.1)):
        config = config_of(lr=lr, seed=seed)
        make_run(tmp_path / name, config=config, evaluations={100: {"loss": loss}})
    shown = call("compare", "a", "b", "c", cwd=tmp_path).stdout
    assert "(n=2)" in shown and " *" not in shown.replace("is marked *", "")


def test_a_section_that_one_run_lacks_is_one_row(tmp_path: Path) -> None:
    trackers = {"mlflow": {"_target_": "x.MLflow", "uri": "sqlite:///x", "tags": {"a": "b"}}}
    make_run(tmp_path / "one", config=config_of(trackers=trackers))
    make_run(tmp_path / "two", config=config_of(trackers={}))
    layout = compared(tmp_path, "one", "two")["layout"]
    assert layout == {"trackers.mlflow": {"A": "x.MLflow", "B": "(absent)"}}
