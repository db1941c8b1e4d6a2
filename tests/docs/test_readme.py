"""Every command of the README does what it says; the long ones are made short."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from runner.config.options import LAYOUT_KEYS
from tests.commands.command import BARE, call, only_run
from tests.commands.test_ranks import TORCHRUN
from tests.commands.test_verify import README_COMMAND

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
RUNNER = "python -m runner"
SMALL = ("trainer.max_steps=2", "debug.limit_batches=1", *BARE)
RUNS_OF_SWEEPS = {3: 6, 4: 8}  # by the commas of the command
PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
FEW_PLATES = ("data.train_size=64", "data.evaluation_size=8", "data.test_size=8")
LOOKING = [c for c in COMMANDS if c == RUNNER or "--help" in c or "--cfg" in c]
# Tested below, or with other pages.
OTHERS = r" ls |compare|resume|reproduce|predict|find-|check|status|report|cancel|sync|slurm|_real"
TRAINING = [
    c for c in COMMANDS if c.startswith(RUNNER) and c not in LOOKING and not re.search(OTHERS, c)
]


def arguments_of(command: str) -> list[str]:
    return shlex.split(command.removeprefix(RUNNER))


def test_the_readme_names_the_keys_that_may_change_on_resume() -> None:
    (sentence,) = re.findall(r"These are the keys.*?`output_dir`", README, re.DOTALL)
    assert re.findall(r"`([a-z_.]+)`", sentence) == list(LAYOUT_KEYS)


def test_the_readme_shows_each_kind_of_command() -> None:
    assert COMMANDS[:2] == ["scripts/run +experiment=plate_ocr", "scripts/test"]
    assert len(LOOKING) == 3
    assert len(TRAINING) == 9
    assert len([c for c in COMMANDS if "slurm" in c]) == 1


def test_the_launcher_of_the_readme_is_a_tested_one() -> None:
    (command,) = (c for c in COMMANDS if c.startswith("torchrun"))
    assert command.startswith(f"{' '.join(TORCHRUN)} -m runner ")


@pytest.mark.parametrize("command", COMMANDS[:2])
def test_the_two_commands_are_there_and_executable(command: str) -> None:
    script = ROOT / command.split()[0]
    assert script.stat().st_mode & 0o111
    assert command in (ROOT / ".ci/run").read_text()


@pytest.mark.parametrize("command", LOOKING)
def test_looking_runs_nothing(command: str, tmp_path: Path) -> None:
    done = call(*arguments_of(command), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not list(tmp_path.iterdir())


def test_checking_leaves_nothing(tmp_path: Path) -> None:
    (command,) = (c for c in COMMANDS if c.startswith(f"{RUNNER} check"))
    done = call(*arguments_of(command), *SMALL, *FEW_PLATES, "data.batch_size=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "parameters" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_trains_on_a_cluster(new_jobs: Callable[[], list[str]], tmp_path: Path) -> None:
    (command,) = (c for c in COMMANDS if "slurm" in c)
    less = (*SMALL, *FEW_PLATES, "hardware=cpu", "hardware.threads=1", "sweep.check=config")
    done = call(*arguments_of(command), *less, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert new_jobs() == ["COMPLETED"] * 2


def test_what_is_missing_is_delivered(tmp_path: Path) -> None:
    assert call("+experiment=digits", *SMALL, "trackers=csv", cwd=tmp_path).returncode == 0
    (table,) = tmp_path.rglob("metrics.csv")
    rows = table.read_text()
    table.unlink()
    shutil.rmtree(table.parent / "trackers")
    (command,) = (c for c in COMMANDS if c.startswith(f"{RUNNER} sync"))
    done = call(*arguments_of(command), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rows delivered" in done.stdout
    assert table.read_text() == rows


@pytest.mark.parametrize("command", TRAINING)
def test_training_trains(command: str, tmp_path: Path) -> None:
    few = FEW_PLATES if "plate_ocr" in command else ()
    done = call(*arguments_of(command), *SMALL, *few, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = list(tmp_path.rglob("status.json"))
    assert len(runs) == RUNS_OF_SWEEPS.get(command.count(","), 1)


def test_a_run_is_continued_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("+experiment=plate_ocr", *SMALL, *FEW_PLATES, cwd=tmp_path).returncode == 0
    shutil.move(only_run(tmp_path, "plate_ocr"), tmp_path / "RUN_DIR")
    (tmp_path / "PICTURES").mkdir()
    write_picture(tmp_path / "PICTURES/a.png")
    commands = [
        c for c in COMMANDS if re.search(r" resume| predict| report", c) and "SWEEP" not in c
    ]
    assert len(commands) == 5
    for command in commands:
        short = [a.replace("=2000", "=4").replace("500", "2") for a in arguments_of(command)]
        done = call(*short, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        if "predict" in command:
            assert done.stdout.splitlines()[0] == "file,text,confidence"
            assert "PICTURES/a.png" in done.stdout
    assert (tmp_path / "RUN_DIR/report/report.html").is_file()
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(snippet, names)
    assert isinstance(names["model"], nn.Module)


def test_the_proof_of_the_readme_is_the_tested_one() -> None:
    assert f"{RUNNER} {README_COMMAND}" in COMMANDS


def test_real_plates_are_read_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "PLATES_DIR"
    folder.mkdir()
    rows = ["file,text,split,region"]
    for number in range(20):
        write_picture(folder / f"{number}.png")
        text = f"12ب345{number + 11}".translate(PERSIAN)
        rows.append(f"{number}.png,{text},{'train' if number < 12 else 'val'},IR")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (command,) = (c for c in COMMANDS if "plate_ocr_real" in c)
    done = call(*arguments_of(command), *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_mlflow_ui_takes_the_store_of_the_runs() -> None:
    (command,) = (c for c in COMMANDS if c.startswith("mlflow"))
    assert Path(sys.executable).with_name("mlflow").exists()
    assert command.endswith("--backend-store-uri sqlite:///outputs/mlflow.db")
    conf = (ROOT / "conf/trackers/mlflow.yaml").read_text(encoding="utf-8")
    assert "tracking_uri: sqlite:///${output_dir}/mlflow.db" in conf


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) > 15
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_benchmark_that_is_named_is_there() -> None:
    for script in re.findall(r"python (benchmarks/\S+\.py)", README):
        assert (ROOT / script).is_file()


def write_picture(path: Path) -> None:
    Image.new("L", (128, 32), 200).save(path)


def test_looking_at_a_sweep_and_resuming_it_are_tested_with_its_page() -> None:
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    commands = [c for c in COMMANDS if "SWEEP_DIR" in c]
    assert len(commands) == 3
    assert [c for c in commands if c not in page] == []
