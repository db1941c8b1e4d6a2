import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from runner.cli import reproduce as module
from runner.cli.reproducing.rerun import CodeOfThen, code_of_then, config_of_then, link_data
from runner.errors import RunError
from runner.facade.run import Run
from runner.run.directory import RunDirectory
from runner.run.journal import Row, read_journal
from runner.run.provenance import read_provenance, signed_text, write_provenance
from runner.run.signature import sign
from tests.commands.command import BARE, call, only_run, run
from tests.sweeps.codebase.repositories import git, make_repository, write

MODEL = """from runner.models.mlp import MLP

FACTOR = 1.0

class Net(MLP):
    def forward(self, inputs):
        return FACTOR * super().forward(inputs)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a run of its uncommitted code, made in a subfolder."""
    root = make_repository(
        tmp_path_factory.mktemp("again") / "repository",
        {"work/own.py": MODEL, ".gitignore": "outputs/\n"},
    )
    write(root / "work/own.py", MODEL.replace("FACTOR = 1.0", "FACTOR = 3.0"))
    done = call(
        *("+experiment=regression", "name=own", "model._target_=own.Net"),
        *("trainer.max_epochs=null", "trainer.max_steps=6", "trainer.log_every_steps=1", *BARE),
        cwd=root / "work",
    )
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def repository(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "repository", symlinks=True)
    return tmp_path / "repository"


@pytest.fixture
def path(repository: Path) -> Path:
    path = only_run(repository / "work", "own")
    change(path, lambda told: told["source"].update(repository=str(repository), runner={}))
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit run.json; what it says of the environment and the machine is that of now."""
    told = read_provenance(path / "run.json")
    edit(told)
    write_provenance(path / "run.json", told)
    directory = RunDirectory(path)
    sign(directory, directory.config.read_text(), facts=[signed_text(told)])


@pytest.fixture
def trains(monkeypatch: pytest.MonkeyPatch) -> list[RunDirectory]:
    """Let the training do what the run did."""
    done: list[RunDirectory] = []

    def train(again: RunDirectory, *_: object, **__: object) -> None:
        original = again.path.parents[1]
        shutil.copy(original / "metrics.jsonl", again.journal)
        shutil.copy(original / "run.json", again.provenance)
        done.append(again)

    monkeypatch.setattr(module, "train_again", train)
    return done


def test_a_run_is_made_again_from_code_that_is_gone(repository: Path, path: Path) -> None:
    write(repository / "work/own.py", MODEL.replace("FACTOR = 1.0", "FACTOR = 9.0"))
    before = git(repository, "status", "--porcelain")
    done = run("reproduce", str(path), cwd=repository.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "are the same to the bit" in done.stdout
    again = Run(path / "reproduced/run")
    assert again.status.state == "completed"
    assert "FACTOR = 3.0" in (path / "reproduced/code/work/own.py").read_text()
    assert git(repository, "status", "--porcelain") == before


def test_only_the_first_steps_are_trained_again(repository: Path, path: Path) -> None:
    done = run("reproduce", str(path), "--steps", "3", cwd=repository.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "up to step 3 are the same to the bit" in done.stdout
    assert "to go on" not in done.stdout + done.stderr
    again = Run(path / "reproduced/run")
    assert again.status.step == 3
    assert again.config["trainer"]["max_steps"] == 6


def test_fewer_steps_than_to_the_first_row_are_those_up_to_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (path / "metrics.jsonl").read_text().splitlines(keepends=True)
    rows = [line for line in lines if json.loads(line)["step"] > 2]
    (path / "metrics.jsonl").write_text("".join(rows))
    wanted = []

    def train(again: RunDirectory, *_: object, until: int, after_step: int, **__: object) -> None:
        wanted.append((until, after_step))
        again.journal.write_text("".join(rows))

    monkeypatch.setattr(module, "train_again", train)
    assert module.reproduce(path, module.Wishes(steps=2)) == 0
    assert "nothing is logged up to step 2, and the first row is at 3" in capsys.readouterr().out
    assert wanted == [(3, 3)]


def test_code_that_was_not_kept_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left_out = {"login.py": {"bytes": 9, "code": "secret"}, "...": "code and 3 more files"}
    change(path, lambda told: told["source"].update(left_out=left_out))
    assert module.reproduce(path, module.Wishes(check_only=True)) == 1
    assert "is not in run.json (large, many, or a secret): login.py" in capsys.readouterr().out


def test_a_difference_is_told_with_its_first_step_and_reasons(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_journal(path / "metrics.jsonl")
    changed = [
        Row(**{**asdict(row), "values": {k: v + 1.0 for k, v in row.values.items()}})
        if row.step >= 4
        else row
        for row in rows
    ]
    text = "".join(json.dumps(asdict(row)) + "\n" for row in changed)

    def train(again: RunDirectory, *_: object, **__: object) -> None:
        again.journal.write_text(text)
        shutil.copy(path / "run.json", again.provenance)

    monkeypatch.setattr(module, "train_again", train)
    change(path, lambda told: told["packages"].update(torch="0.1"))
    assert module.reproduce(path, module.Wishes()) == 1
    told = capsys.readouterr().out
    assert "NOT REPRODUCED: they part at step 4, train.loss" in told
    assert "perhaps: other versions of packages: torch" in told
    assert "pip install torch==0.1" in told


def test_a_run_that_was_stopped_is_made_again_as_far_as_it_came(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps({**status, "state": "preempted"}))
    lines = (path / "metrics.jsonl").read_text().splitlines(keepends=True)
    rows = [line for line in lines if json.loads(line)["step"] <= 3]
    full, wanted = "".join(lines), []
    (path / "metrics.jsonl").write_text("".join(rows))

    def train(again: RunDirectory, *_: object, until: int | None, **__: object) -> None:
        wanted.append(until)
        again.journal.write_text(full)
        shutil.copy(path / "run.json", again.provenance)

    monkeypatch.setattr(module, "train_again", train)
    assert module.reproduce(path, module.Wishes()) == 0
    assert module.reproduce(path, module.Wishes(steps=2)) == 0
    assert wanted == [3, 2]


def test_checking_alone_leaves_nothing(
    path: Path, trains: list[RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.iterdir())
    assert module.reproduce(path, module.Wishes(check_only=True)) == 0
    told = capsys.readouterr().out
    assert "lines of changes; it can be brought back" in told and "runner_reproduce_" not in told
    assert sorted(path.iterdir()) == before and not trains
    change(path, lambda told: told["versions"].update(python="3.0"))
    assert module.reproduce(path, module.Wishes(check_only=True)) == 1


def test_a_longer_run_is_made_again_with_the_config_it_began_with(
    repository: Path, path: Path, trains: list[RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    done = call("resume", str(path), "trainer.max_steps=8", cwd=repository / "work")
    assert done.returncode == 0, done.stderr
    assert Run(path).config["trainer"]["max_steps"] == 8
    module.reproduce(path, module.Wishes())
    assert "changed trainer.max_steps" in capsys.readouterr().out
    assert Run(trains[0].path).config["trainer"]["max_steps"] == 6


def test_a_file_that_somebody_else_has_changed_is_asked_about(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = read_provenance(path / "run.json")
    for change_of in (
        {"environment": {**told["environment"], "OMP_TOOL_LIBRARIES": "/evil.so"}},
        {"code": {**told["code"], "diff": None}},
        {"jobs": [{**told["jobs"][0], "config_before": {"model._target_": "evil.Net"}}]},
    ):
        write_provenance(path / "run.json", {**told, **change_of})
        with pytest.raises(RunError, match=r"in run\.json, which you have not signed.*trust=true"):
            module.reproduce(path, module.Wishes(check_only=True))
    write_provenance(path / "run.json", {**told, "more": "of a later step"})
    assert module.reproduce(path, module.Wishes(check_only=True)) == 0
    write_provenance(path / "run.json", {**told, "environment": {}})
    RunDirectory(path).signature.unlink()
    sign(RunDirectory(path), RunDirectory(path).config.read_text())  # as early versions did
    module.reproduce(path, module.Wishes(check_only=True))


def test_what_cannot_be_made_again_says_why(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**wishes: Any) -> str:
        with pytest.raises(RunError) as caught:
            module.reproduce(path, module.Wishes(**wishes))
        return str(caught.value)

    assert "not empty" in refused(to=path)
    (tmp_path / "stopped/run").mkdir(parents=True)
    (tmp_path / "stopped/run/config.yaml").touch()
    assert f"delete {tmp_path / 'stopped'}, or give another" in refused(to=tmp_path / "stopped")
    monkeypatch.chdir(tmp_path)
    change(path, lambda told: told["source"].update(repository="/nowhere", remote="https://a/b"))
    assert "--repository PATH; it was cloned from https://a/b" in refused()
    (path / "config.yaml").write_text("name: x\n")
    assert "trust=true" in refused(repository=tmp_path / "repository")
    sign(RunDirectory(path), "name: x\n")
    assert "started from Python" in refused(repository=tmp_path / "repository")
    (path / "metrics.jsonl").write_text("")
    (path / "sweep.json").write_text("{}")
    assert "is a sweep" in refused()


def test_a_run_of_an_early_version_is_made_again_as_far_as_it_knows(
    repository: Path, path: Path, trains: list[RunDirectory]
) -> None:
    def forget(told: dict[str, Any]) -> None:
        for name in ("source", "packages", "environment"):
            del told[name]
        told["machine"] = {"host": "x", "system": "y", "processors": 1, "executable": "z"}
        told["code"]["diff"] = told["code"]["diff"].strip()

    change(path, forget)
    change(path, lambda told: told["machine"].pop("processors"))
    wishes = module.Wishes(check_only=True, repository=repository)
    assert module.reproduce(path, wishes) == 0
    with pytest.raises(RunError, match="is not in a repository at"):
        module.reproduce(path, module.Wishes(repository=path.parents[4]))


def test_a_run_of_no_repository_trains_with_the_code_of_now(path: Path, tmp_path: Path) -> None:
    facts = {"code": {"commit": None, "diff": None}, "source": {"working_directory": "/nowhere"}}
    code = code_of_then(facts, tmp_path)
    assert code.working_directory == Path.cwd()
    assert "in no repository" in code.notes[0]


def test_trackers_and_other_disks_are_left_alone_and_ranks_are_as_many(path: Path) -> None:
    config = path / "config.yaml"
    config.write_text(
        config.read_text()
        .replace("trackers: {}", "trackers:\n  csv:\n    _target_: x.Y")
        .replace("  dir: null", "  dir: /elsewhere")
    )
    change(path, lambda told: told["machine"].update(ranks=3))
    made = config_of_then(RunDirectory(path), read_provenance(path / "run.json"))
    assert made["trackers"] == {}
    assert made["checkpoint"]["dir"] is None
    assert made["hardware"]["num_processes"] == 3


def test_data_beside_the_code_is_found_from_the_copy(tmp_path: Path) -> None:
    for name in ("repository/work/data", "shared/plates", "repository/work/kept"):
        (tmp_path / name).mkdir(parents=True)
    copy = tmp_path / "to/code"
    (copy / "work/kept").mkdir(parents=True)
    code = CodeOfThen(
        description="",
        working_directory=copy / "work",
        copy=copy,
        origin=tmp_path / "repository",
    )
    config = {"data": {"root": "data", "more": ["../../shared/plates", "kept", "../../../x"]}}
    link_data(config, code)
    assert (copy / "work/data").resolve() == tmp_path / "repository/work/data"
    assert (copy / "work/../../shared/plates").resolve() == tmp_path / "shared/plates"
    assert not (copy / "work/kept").is_symlink()
