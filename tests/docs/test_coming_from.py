"""docs/coming_from.md: its scripts and commands run, its tables are complete and true."""

import contextlib
import dataclasses
import inspect
import io
import re
import shlex
import shutil
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import runner
from hydra_plugins.runner_launchers import SlurmLauncherConf
from runner.cli.catalogue import COMMANDS
from runner.config.cluster import SlurmOptions
from runner.config.locate import shipped_conf
from runner.config.targets import locate
from runner.config.validate import LOADER_KEYS, OPTION_NODES, TOP_LEVEL_KEYS
from runner.facade.run import Run
from runner.tasks import task as tasks
from runner.training.callback import Fit
from runner.training.result import Result
from tests.commands.command import call, only_run
from tests.docs.test_readme import PERSIAN, write_picture

datasets = pytest.importorskip("datasets")  # of the command for hezar
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "coming_from.md").read_text(encoding="utf-8")
ROWS: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("coming_from_rows.toml").read_text(encoding="utf-8")
)
SCRIPTS = {
    name: code
    for code, name in re.findall(r"^```python\n(# (\S+\.py)\n.*?)^```$", PAGE, re.M | re.S)
}
FILES = [
    (name, text) for text, name in re.findall(r"^```yaml\n(# (\S+)\n.*?)^```$", PAGE, re.M | re.S)
]
PROJECTS = ("hezar", "accmt", "lernomatic", "qurious")
TABLES = (*PROJECTS, "hydra-submitit-launcher")  # the last has neither script nor command
SECTIONS = {name: PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0] for name in TABLES}
COMMAND_OF = {
    name: re.findall(r"^```bash\n(.*?)^```$", SECTIONS[name], re.M | re.S)[0].strip()
    for name in PROJECTS
}
TABLE_OF = {
    name: [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| in "))
    ]
    for name, text in SECTIONS.items()
}
NAMES: dict[str, Any] = {
    **{name: getattr(runner, name) for name in dir(runner) if not name.startswith("_")},
    **{name: value for name, value in vars(tasks).items() if inspect.isclass(value)},
    "Result": Result,
    "Fit": Fit,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the page speaks of: plates, a run to begin with, a file of settings."""
    folder = tmp_path_factory.mktemp("world")
    patch = pytest.MonkeyPatch()
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    datasets.disable_progress_bars()
    _write_plates(folder / "PLATES_DIR")
    for name, text in FILES:
        (folder / name).write_text(text, encoding="utf-8")
    threads = torch.get_num_threads()
    base = COMMAND_OF["hezar"].replace("init_weights_from=BASE_RUN_DIR", "trainer.max_steps=1")
    _run_command(base.replace("name=plates", "name=base"), folder)
    shutil.move(only_run(folder, "base"), folder / "BASE_RUN_DIR")
    yield folder
    patch.undo()
    torch.set_num_threads(threads)


def _write_plates(folder: Path) -> None:
    """Write plates as a data set lies on the Hub."""
    picture = folder / "picture.png"
    kinds = {"image_path": datasets.Image(), "label": datasets.Value("string")}
    (folder / "data").mkdir(parents=True)
    write_picture(picture)
    for split, count in (("train", 8), ("validation", 2), ("test", 2)):
        columns = {
            "image_path": [{"bytes": picture.read_bytes(), "path": None}] * count,
            "label": [f"12ب345{number + 11}".translate(PERSIAN) for number in range(count)],
        }
        table = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    picture.unlink()


def _run_command(command: str, folder: Path) -> None:
    words = shlex.split(command.removeprefix("python -m runner "))
    trackers = [] if "trackers=tensorboard" in words else ["trackers=none"]
    done = call(*words, "callbacks=none", *trackers, "hardware.threads=1", cwd=folder)
    assert done.returncode == 0, done.stderr


def _run_script(name: str, folder: Path) -> str:
    """Run a script of the page as it stands, but that nothing is sent to MLflow."""
    code = SCRIPTS[name]
    if "trackers=" not in code:
        code = re.sub(r"^trainer = Trainer\(", "trainer = Trainer(trackers=[],", code, flags=re.M)
    out, names = io.StringIO(), {"__name__": "__main__"}
    torch.manual_seed(0)
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        exec(compile(code, name, "exec"), names)
    return out.getvalue()


def test_scripts_are_short() -> None:
    for name in PROJECTS:
        assert len(SCRIPTS[f"from_{name}.py"].splitlines()) < 25, name


@pytest.mark.parametrize("project", PROJECTS)
def test_the_script_of_the_page_trains(project: str, world: Path) -> None:
    printed = _run_script(f"from_{project}.py", world)
    assert re.search(r"\d\.\d+", printed)
    if project in ("accmt", "lernomatic"):
        assert float(printed.split()[-1]) > 0.9
    if project == "qurious":
        assert float(printed.split()[-1].strip(")")) < 0.5


@pytest.mark.parametrize("project", PROJECTS)
def test_the_command_of_the_page_trains(project: str, world: Path) -> None:
    before = set((world / "outputs").rglob("status.json"))
    _run_command(COMMAND_OF[project], world)
    (status,) = set((world / "outputs").rglob("status.json")) - before
    run = Run(status.parent)
    assert run.status.state == "completed"
    if project in ("accmt", "lernomatic"):
        assert run.series("test.accuracy")[-1][1] > 0.9


def test_what_the_page_lets_one_override_is_overridden(world: Path) -> None:
    code = SCRIPTS["own_parts.py"]
    assert not hasattr(runner.Supervised, "step")
    called: set[str] = set()

    def spy(name: str, method: Any) -> Any:
        def spied(self: Any, *arguments: Any) -> Any:
            called.add(name)
            return method(self, *arguments)

        return spied

    methods = ("prepare", "forward", "loss_of", "training_step", "evaluation_step")
    names: dict[str, Any] = {}
    before, after = code.split("trainer = Trainer(")
    exec(before, names)
    mine = names["Mine"]
    for name in methods:
        setattr(mine, name, spy(name, getattr(mine, name)))
    with contextlib.chdir(world):
        exec("trainer = Trainer(trackers=[], callbacks={}," + after, names)
    assert called == set(methods)


@pytest.mark.parametrize("project", TABLES)
def test_every_row_has_a_test_and_every_test_a_row(project: str) -> None:
    assert [row[0] for row in TABLE_OF[project]] == list(ROWS[project])


@pytest.mark.parametrize("project", TABLES)
def test_the_test_of_every_row_is_there(project: str) -> None:
    for theirs, test in ROWS[project].items():
        file, _, name = test.partition("::")
        assert (ROOT / file).is_file(), f"{theirs}: {file}"
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), f"{theirs}: {test}"


@pytest.mark.parametrize("project", TABLES)
def test_what_stands_here_exists_or_is_fixed_with_a_reason(project: str) -> None:
    for theirs, ours in TABLE_OF[project]:
        if ours.startswith("fixed"):
            assert re.match(r"fixed, because \w+", ours), theirs
        found = [_exists(code) for code in re.findall(r"`([^`]+)`", ours)]
        assert ours.startswith("fixed") or any(found), f"{theirs}: {ours}"


LITERALS = {  # values, files, metrics, names of others
    *("auto", "500 steps", "2 epochs", "logs/", "model.safetensors", "huggingface-cli upload"),
    *("train.loss", "evaluation.loss", "train.grad_norm", "state_dict()", "fit"),
    "CosineAnnealingWarmRestarts",
    *("plots/", "slurm/", "logs/console.log"),
    *("4 hours", "{comment: mine, exclude: [node3]}", "{gres: gpu:2}"),
    "transformers.AutoModelForCausalLM.from_pretrained",
    "optimizer: {name: adamw, lr: 1e-3}",
}


def _exists(code: str) -> bool:
    """Return whether `code` names a thing of ours; fail if it looks like one and is none."""
    if code in LITERALS:
        return False
    if code.startswith("python -m runner"):
        assert code.split()[3] in COMMANDS, code
    elif code.startswith("runner."):
        locate(code)
    elif code[0].isupper():
        _check_python(code)
    else:
        _check_key(code)
    return True


def _check_python(code: str) -> None:
    name, _, rest = code.partition("(")
    thing: Any = NAMES
    for part in name.split("."):
        if thing is NAMES:
            assert part in NAMES, code
            thing = NAMES[part]
        else:
            fields = (
                {field.name for field in dataclasses.fields(thing)}
                if (dataclasses.is_dataclass(thing))
                else set()
            )
            assert part in fields or hasattr(thing, part), code
            thing = getattr(thing, part, None)
    for argument in re.findall(r"(\w+)=", rest):
        assert argument in inspect.signature(thing).parameters, code


def _check_key(code: str) -> None:
    key, _, value = code.lstrip("+").partition("=")
    if value and (shipped_conf() / key).is_dir():
        assert (shipped_conf() / key / f"{value}.yaml").is_file(), code
        return
    if key.startswith(("hydra.launcher.", "hardware.slurm.")):
        options = SlurmLauncherConf if key.startswith("hydra") else SlurmOptions
        assert key.split(".")[2] in {field.name for field in dataclasses.fields(options)}, code
        return
    node, _, rest = key.partition(".")
    if not rest:
        assert key in TOP_LEVEL_KEYS, code
        return
    known = set(typing.get_type_hints(OPTION_NODES[node])) if node in OPTION_NODES else set()
    files = (shipped_conf() / node).glob("*.yaml")
    is_of_loader = node == "data" and rest in LOADER_KEYS
    assert rest in known or is_of_loader or any(_has(file, key) for file in files), code


def _has(file: Path, key: str) -> bool:
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    for path in (key.split("."), key.split(".")[1:]):
        node: Any = content
        for part in path:
            node = node.get(part, ...) if isinstance(node, dict) else ...
        if node is not ...:
            return True
    return False
