"""A run whose signature fits no key here is resumed unasked if it can do no more than train."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.build.trained.harmless import what_acts
from runner.build.trained.model import trained_model
from runner.build.trained.trusted import is_trusted
from runner.cli.reproduce import Wishes, reproduce
from runner.cli.sync import sync
from runner.config.trust import NOBODY_ELSE, Trust, taken_from
from runner.errors import ConfigError, RunError
from runner.facade.run import Run
from runner.run.directory import RunDirectory
from runner.run.signature import is_ours
from tests.commands.command import call
from tests.security.strangers import from_elsewhere, own_run

MLFLOW = "runner.trackers.mlflow.tracker.MLflowTracker"
CALLBACKS = "runner.training.callbacks"
ACCELERATE = "runner.trackers.accelerate.tracker.AccelerateTracker"
STORE = "sqlite:///outputs/mlflow.db"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_run(tmp_path_factory.mktemp("own"))


def acts(run: Path, folder: Path, trust: Trust = NOBODY_ELSE, **nodes: Any) -> list[str]:
    return what_acts(RunDirectory(from_elsewhere(run, folder, **nodes)), trust)


def test_a_run_of_another_home_is_resumed_and_then_ours(run: Path, tmp_path: Path) -> None:
    path = from_elsewhere(run, tmp_path)
    assert not is_ours(RunDirectory(path))
    done = call("resume", str(path), "trainer.max_steps=3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert is_ours(RunDirectory(path))
    with pytest.raises(RunError, match="which you have not signed"):
        reproduce(path, Wishes(check_only=True))


@pytest.mark.parametrize(
    "nodes",
    [
        {"trackers": {"csv": {"_target_": "runner.trackers.csv_file.CSVTracker"}}},
        {"trackers": {"m": {"_target_": MLFLOW, "tracking_uri": "sqlite:///${output_dir}/m.db"}}},
        {"callbacks": {"m": {"_target_": f"{CALLBACKS}.system_monitor.SystemMonitor"}}},
        {"output_dir": "${oc.env:RUNNER_OUTPUT_DIR,outputs}"},
    ],
)
def test_what_trains_and_writes_files_is_harmless(
    nodes: dict[str, Any], run: Path, tmp_path: Path
) -> None:
    assert acts(run, tmp_path, **nodes) == []


def partial(target: str) -> dict[str, Any]:
    return {"_target_": target, "_partial_": True}


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ({"model": {"_target_": "guard.Model"}}, "guard.Model (model._target_)"),
        ({"optimizer": partial("guard.SGD")}, "guard.SGD (optimizer._target_)"),
        ({"scheduler": partial("os.system")}, "os.system (scheduler._target_)"),
        ({"callbacks": {"x": partial("os.system")}}, "os.system (callbacks.x._target_)"),
        (
            {"callbacks": {"x": {"_target_": f"{CALLBACKS}.function.FunctionCallback",
                                 "on_epoch_end": partial("os.system")}}},
            "os.system (callbacks.x.on_epoch_end._target_)",
        ),
        (
            {"trackers": {"x": {"_target_": ACCELERATE}}},
            "AccelerateTracker (trackers.x._target_)",
        ),
        ({"trackers": {"m": {"_target_": MLFLOW, "tracking_uri": "http://host"}}}, "tracking_uri"),
        ({"trackers": {"m": {"_target_": MLFLOW, "tracking_uri": "sqlite:///x.pth"}}}, "_uri"),
        (
            {"trackers": {"m": {"_target_": MLFLOW, "artifact_location": "s3://a"}}},
            "artifact_location",
        ),
        ({"hardware": {"slurm": {"setup": ["touch x"]}}}, "hardware.slurm.setup"),
        ({"hardware": {"slurm": {"sbatch": {"exclude": "a"}}}}, "hardware.slurm.sbatch"),
        ({"init_weights_from": "somebody/model"}, "a name on the Hub (init_weights_from)"),
        ({"trackers": {"m": {"_target_": MLFLOW, "tracking_uri": "sqlite:////x/y.db"}}}, "/x/y.db"),
        (
            {"trackers": {"m": {"_target_": MLFLOW, "tags": {"a": "${oc.env:MY_API_TOKEN}"}}}},
            "a secret of your environment (trackers.m.tags.a)",
        ),
        ({"model": {"_target_": "${oc.env:LOCAL_RANK,runner.models.mlp.MLP}"}}, "LOCAL_RANK"),
        ({"seed": "${oc.create:{_target_: os.system}}"}, "oc.create"),
        ({"evil": partial("os.system"), "model": "${pick.${oc.env:LOCAL_RANK,x}}"}, "LOCAL_RANK"),
    ],
)  # fmt: skip
def test_what_acts_is_told(
    nodes: dict[str, Any],
    told: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "sekret-value-12345")
    found = acts(run, tmp_path, **nodes)
    assert len(found) == 1 and told in found[0], found
    done = call("resume", str(tmp_path / "from_elsewhere"), cwd=tmp_path)
    assert done.returncode == 1
    assert found[0] in done.stderr and "RUNNER_TRUST=true" in done.stderr


def test_packages_are_trusted_for_their_own_code(run: Path, tmp_path: Path) -> None:
    node = {"_target_": f"{__name__}.Mine"}
    assert acts(run, tmp_path, model=node) != []
    directory = RunDirectory(tmp_path / "from_elsewhere")
    assert what_acts(directory, Trust.of("tests")) == []


def test_files_of_a_run_that_lead_elsewhere_are_told(run: Path, tmp_path: Path) -> None:
    directory = RunDirectory(from_elsewhere(run, tmp_path))
    for content, told in (
        ({"servers": {"http://evil": {"written": STORE}}}, "a server"),
        ({"order": {"uri": "databricks://x"}}, "a server"),
        ({"state": {"name": "../../.bashrc", "size": 0}}, "a file elsewhere"),
        ({"servers": {STORE: {"written": STORE}}, "order": {"name": "a"}}, None),
    ):
        mark = directory.tracker("mlflow")
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(json.dumps(content))
        found = what_acts(directory, NOBODY_ELSE)
        assert [text.partition(" (")[0] for text in found] == ([told] if told else [])
    log = directory.log_of_rank(0)
    log.rename(tmp_path / "log")
    log.symlink_to(tmp_path / "log")
    assert what_acts(directory, NOBODY_ELSE) == [f"a link ({log})"]


def test_a_database_that_is_not_mlflows_is_left_alone(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.sqlite"
    node = {"_target_": MLFLOW, "tracking_uri": f"sqlite:///{file}"}
    directory = RunDirectory(
        from_elsewhere(run, tmp_path, trackers={"m": node}, output_dir=str(tmp_path))
    )
    assert what_acts(directory, NOBODY_ELSE) == [], "a new one"
    mark = directory.tracker("mlflow")
    for tables, acting in (
        (
            ("diary",),
            [f"{file} (trackers.m.tracking_uri)", f"a database that is not MLflow's ({mark})"],
        ),
        (("experiments", "runs", "alembic_version"), []),
    ):
        with closing(sqlite3.connect(file)) as database:
            for name in tables:
                database.execute(f"CREATE TABLE {name} (x)")
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(json.dumps({"servers": {node["tracking_uri"]: {}}}))
        assert what_acts(directory, NOBODY_ELSE) == acting


def test_a_folder_of_checkpoints_elsewhere_is_told_where_it_would_be_made(
    run: Path, tmp_path: Path
) -> None:
    options = {**Run(run).config["checkpoint"], "dir": str(tmp_path / "elsewhere")}
    directory = RunDirectory(from_elsewhere(run, tmp_path, checkpoint=options))
    assert what_acts(directory, NOBODY_ELSE) == [], "its own stay where they are"
    directory.checkpoints.rename(tmp_path / "brought")
    assert what_acts(directory, NOBODY_ELSE) == [f"{options['dir']} (checkpoint.dir)"]
    own = [f"checkpoint.dir={tmp_path}"]
    assert what_acts(directory, NOBODY_ELSE, overrides=own) == []
    directory.checkpoints.symlink_to(tmp_path / "brought")
    assert what_acts(directory, NOBODY_ELSE) == []


@pytest.mark.parametrize(
    ("value", "trust"),
    [
        ("true", Trust(everything=True)),
        ("a,b", Trust(packages=("a", "b"))),
        ("false", NOBODY_ELSE),
        ("", NOBODY_ELSE),
    ],
)
def test_a_standing_word(value: str, trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_TRUST", value)
    assert taken_from(["predict"]) == (trust, ["predict"])
    assert Trust.of(False) == Trust.of(()) == trust
    assert taken_from(["trust=false"]) == (NOBODY_ELSE, [])
    assert Trust.of("c") == taken_from(["trust=c"])[0] == Trust(packages=("c",))


def test_a_bad_standing_word_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNNER_TRUST", "../x")
    with pytest.raises(ConfigError, match="RUNNER_TRUST must be true, or names"):
        Trust.of(False)


def test_the_standing_word_holds_in_commands_and_in_python(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = from_elsewhere(run, tmp_path, model={"_target_": f"{__name__}.Mine"})
    for value in ("true", "tests"):
        monkeypatch.setenv("RUNNER_TRUST", value)
        for use in (trained_model, lambda path: Run(path).load_model()):
            with pytest.raises(ArithmeticError, match="built"):
                use(path)
        done = call("resume", str(path), "trainer.max_steps=3", cwd=tmp_path)
        assert "built" in done.stderr and "made elsewhere" not in done.stderr


def test_each_is_told_in_its_own_words(run: Path, tmp_path: Path) -> None:
    path = from_elsewhere(run, tmp_path, model={"_target_": f"{__name__}.Mine"})
    with pytest.raises(RunError) as python:
        trained_model(path)
    assert 'give trust="tests" or trust=True, or set RUNNER_TRUST=tests' in str(python.value)
    with pytest.raises(RunError, match=r"\(trust=typo is not enough\)"):
        trained_model(path, trust="typo")
    said = call("evaluate", str(path), "trust=typo", cwd=tmp_path).stderr
    assert "add trust=tests or trust=true (trust=typo is not enough)" in said
    assert "True" not in said and "in Python" not in said


def test_sync_tells_it_once(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = from_elsewhere(run, tmp_path)
    with pytest.raises(RunError, match=rf"sync {path} trust=true") as error:
        sync([path])
    assert capsys.readouterr().out == ""
    path.rename(tmp_path / "one")
    from_elsewhere(run, tmp_path)
    with pytest.raises(RunError, match="each of 2 runs or sweeps") as error:
        sync([tmp_path])
    assert str(error.value).count("made elsewhere") == 1
    assert capsys.readouterr().out.count("not delivered, since it was made elsewhere") == 2


def test_only_what_the_package_defines() -> None:
    assert is_trusted(f"{__name__}.Mine", Trust.of("tests"))


class Mine:
    def __init__(self) -> None:
        raise ArithmeticError("built")


def test_that_a_run_is_not_signed_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    directory = RunDirectory(own_run(tmp_path))
    said = directory.log_of_rank(0).read_text()
    assert said.count("not signed as this user's own") == 1 and "/dev/null/state" in said
    assert call("resume", str(directory.path), "trainer.max_steps=3", cwd=tmp_path).returncode == 0
