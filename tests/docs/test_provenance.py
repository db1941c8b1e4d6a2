"""Each command of docs/provenance.md does what the page says."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from runner.cli import reproduce
from runner.cli.reproducing import rerun
from runner.cli.reproducing.retraining import train_again
from runner.facade.run import Run
from runner.run.provenance import FACTS, facts_of_process
from tests.commands.command import BARE, call, only_run
from tests.sweeps.codebase.repositories import make_repository

PAGE = (Path(__file__).parents[2] / "docs" / "provenance.md").read_text(encoding="utf-8")
PAGE = PAGE[: PAGE.index("## Runs from elsewhere")]  # the rest: test_provenance_of_others.py
COMMANDS = [
    shlex.split(line.partition(" #")[0].removeprefix("python -m runner "))
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_repository(tmp_path, {".gitignore": "/*/\n"})
    done = call(
        *("+experiment=digits", "trainer.max_epochs=null", "trainer.max_steps=40"),
        *("trainer.log_every_steps=5", f"checkpoint.dir={tmp_path}/disk", *BARE),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    shutil.move(only_run(tmp_path, "digits"), tmp_path / "RUN_DIR")
    shutil.move(tmp_path / "disk", tmp_path / "FOLDER")
    # What the checkout of a developer has to say of itself is no matter here.
    monkeypatch.setattr(reproduce, "_changes", lambda *_: [])
    monkeypatch.setattr(rerun, "_note_of_runner", lambda _: [])
    return tmp_path


def test_the_commands_do_what_the_page_says(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int | None] = []

    def train(*arguments: object, until: int | None, **options: object) -> None:
        trained.append(until)
        if len(trained) == 1:  # each is a process: the first stands for all
            train_again(*arguments, until=until, **options)  # type: ignore[arg-type]
            return
        shutil.copy(world / "RUN_DIR/metrics.jsonl", arguments[0].journal)  # type: ignore[attr-defined]

    monkeypatch.setattr(reproduce, "train_again", train)
    again = [command for command in COMMANDS if command[0] == "reproduce"]
    assert len(again) >= 4
    for command in again:
        words = [word.replace("REPOSITORY", str(world)) for word in command]
        words = [word.replace("FOLDER", "elsewhere") for word in words]
        done = call(*words, cwd=world)
        assert done.returncode == 0, done.stdout + done.stderr
    assert trained == [None, 20, None]
    assert (world / "elsewhere/code/.gitignore").is_file()


def test_a_moved_run_finds_its_checkpoints_when_it_is_told_where(world: Path) -> None:
    (command,) = (command for command in COMMANDS if "checkpoint.dir=FOLDER" in command)
    lost = call("resume", "RUN_DIR", "trainer.max_steps=41", cwd=world)
    assert lost.returncode == 1
    assert "give checkpoint.dir=FOLDER if digits_" in lost.stderr
    done = call(*command, "trainer.max_steps=41", cwd=world)
    assert done.returncode == 0, done.stderr
    run = Run(world / "RUN_DIR")
    assert run.status.step == 41
    assert run.load_model() is not None
    assert run.directory.checkpoints.resolve().parent == world / "FOLDER"


def test_the_table_knows_every_key() -> None:
    table = PAGE.split("| key | holds |")[1].split("\n\n")[0]
    assert set(FACTS) == set(facts_of_process())
    for name in FACTS:
        assert f"`{name}`" in table, name
