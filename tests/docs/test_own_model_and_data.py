import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own_model_and_data.md"
BLOCK = re.compile(
    r"^```(?:python|yaml)\n((?:# @package _global_\n)?# (\S+\.(?:py|yaml))\n.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture
def project(tmp_path):
    """Write the files that the page shows; blocks of one name follow one another."""
    for content, name in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as text:
            text.write(content)
    return tmp_path


def run(project, *arguments):
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    environment.pop("RUNNER_CONFIG_DIR", None)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def last_values(project, split):
    (journal,) = (project / "outputs" / "waves").glob("*/metrics.jsonl")
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [row["values"] for row in rows if row["split"] == split][-1]


def test_the_page_shows_the_files_it_lists(project):
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert files == {
        "waves.py",
        "endless_waves.py",
        "varied_waves.py",
        "without_hydra.py",
        "smooth.py",
        "conf/task/smooth.yaml",
        "turns.py",
        "own_epoch.py",
        "conf/model/waves_parts.yaml",
        "conf/optimizer/by_part.yaml",
        "conf/task/turns.yaml",
        "conf/task/own_epoch.yaml",
        "conf/experiment/waves_in_turns.yaml",
        "conf/data/waves.yaml",
        "conf/data/endless_waves.yaml",
        "conf/data/varied_waves.yaml",
        "conf/model/waves_net.yaml",
        "conf/task/regression.yaml",
        "conf/experiment/waves.yaml",
    }


def test_the_experiment_of_the_page_learns_its_curve(project):
    run(project, "-m", "runner", "+experiment=waves", "trackers=none", "output_dir=outputs")
    assert last_values(project, "test")["error"] < 0.2


def test_the_iterable_dataset_of_the_page_is_learned_from(project):
    choices = ["data=endless_waves", "data.num_workers=2", "trainer.max_epochs=15"]
    more = ["scheduler=constant", "trackers=none", "output_dir=outputs"]
    run(project, "-m", "runner", "+experiment=waves", *choices, *more)
    assert last_values(project, "evaluation")["error"] < 0.25


def test_the_loss_of_the_page_is_learned_from_and_logs_one_more_value(project):
    choices = ["+experiment=waves", "task=smooth", "trainer.best_metric=evaluation.mae"]
    run(project, "-m", "runner", *choices, "trackers=none", "output_dir=outputs")
    assert last_values(project, "test")["mae"] < 0.2
    assert last_values(project, "train")["size"] > 0


def test_the_optimizers_of_the_page_take_turns(project):
    choices = ["+experiment=waves_in_turns", "scheduler=cosine"]
    run(project, "-m", "runner", *choices, "trackers=none", "output_dir=outputs")
    assert last_values(project, "test")["error"] < 0.2
    assert {"lr.body", "lr.head", "body_loss", "head_loss"} < last_values(project, "train").keys()


def test_the_own_epoch_of_the_page_learns_its_curve(project):
    choices = ["+experiment=waves", "task=own_epoch", "trainer.max_epochs=25"]
    run(project, "-m", "runner", *choices, "trackers=none", "output_dir=outputs")
    assert last_values(project, "test")["error"] < 0.2


VARIED = ("+experiment=waves", "data=varied_waves", "trainer.best_metric=evaluation.noisy.error")


def test_the_varied_data_of_the_page_are_learned_from(project):
    run(project, "-m", "runner", *VARIED, "trackers=none", "output_dir=outputs")
    values = last_values(project, "evaluation")
    assert values["clean.error"] < 0.2
    assert values["clean.error"] < values["noisy.error"]


@pytest.mark.slow
def test_a_curriculum_with_several_evaluation_sets_is_verified(project):
    # Three steps an epoch: the second stage begins at step 30.
    few = ["data.num_points=60", "data.batch_size=16", "trackers=none"]
    run(project, "-m", "runner", "verify-resume", *VARIED, *few, "--steps=40")


def test_the_page_works_without_config_files(project):
    script = project / "without_hydra.py"
    code = script.read_text(encoding="utf-8")
    script.write_text(code.replace('name="waves",', 'name="waves", trackers={},'), encoding="utf-8")
    run(project, str(script))
    assert last_values(project, "evaluation")["loss"] < 1.0
