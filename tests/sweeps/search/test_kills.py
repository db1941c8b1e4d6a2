import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import optuna
import pytest

from runner.run.status import read_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import read_ledger
from tests.sweeps.search.searches import toy_score
from tests.sweeps.search.storm import NUM_TRIALS

STATES = {"completed": "COMPLETE", "pruned": "PRUNED"}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_kills_at_any_instant_lose_no_trial_and_double_none(tmp_path: Path, sampler: str) -> None:
    path = tmp_path / "sweep"
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.sweeps.search.storm", str(path), sampler, "7"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=root)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= 10, "kills"
    assert not (path / "TWICE").exists(), "a run that had ended was given out again"
    assert not (path / "AT_ONCE").exists(), "a run was given out while it was under way"
    _check_all(path)


def _check_all(path: Path) -> None:
    """Every trial has one run, every run a trial, and the study says what the runs say."""
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(path / "study.log"))
    )
    [study] = storage.get_all_studies()
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    runs = {run.number: run for run in read_ledger(path / "ledger.jsonl")}
    first = [trial for trial in trials if not trial.user_attrs.get("again")]
    assert len(first) == NUM_TRIALS
    assert Counter(trial.user_attrs["run"] for trial in first) == Counter(list(runs))
    assert list(runs) == list(range(NUM_TRIALS))
    last = {trial.user_attrs["run"]: trial for trial in trials}
    for number, run in runs.items():
        status = read_status(SweepDirectory(path).job(number))
        assert status is not None
        assert last[number].state.name == STATES[status.state]
        if status.state == "completed":
            assert last[number].value == toy_score(run.config)
        shown = json.loads(run.config["optimizer.lr"])  # with four digits that matter
        assert shown == pytest.approx(last[number].params["optimizer.lr"], rel=1e-3)
