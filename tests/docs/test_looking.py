"""Each command of docs/looking.md does what the page says, and the page knows every option."""

import re
import shlex
from pathlib import Path

import pytest

from runner.cli.commands.look import compare, ls
from tests.cli.test_compare import sweep_of
from tests.commands.command import call
from tests.sweeps.runs import config_of, done, make_run

PAGE = (Path(__file__).parents[2] / "docs" / "looking.md").read_text(encoding="utf-8")
RUNNER = "python -m runner "
LINES = [
    line.partition(" #")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
OWN = ("ls", "compare")  # other commands of the page have a test of their own
COMMANDS = [line.removeprefix(RUNNER) for line in LINES if line.split()[3] in OWN]
ANSWERS = {  # what stands in the output of each
    "ls": "8 runs, 1 sweep: 8 completed",
    "ls FOLDER RUN_DIR": "2 runs: 2 completed",
    "ls --runs": "outputs/sweep/5",
    "ls --state failed,lost": "none of 8 runs matches",
    "ls --name 'plate*' --since \"2 days\"": "none of 8 runs matches",
    "ls --where 'optimizer.lr=0.001' --where 'score<0.05'": "1 run: 1 completed",
    "ls --sort score --limit 10": "8 runs, 1 sweep",
    "ls --json": '"kind": "sweep"',
    "compare RUN_A RUN_B": "A and B part at step 20: evaluation.loss is",
    "compare RUN_A RUN_B --rtol 1e-6": "differ, compared within a tolerance",
    "compare RUN_A RUN_B --code": "The same: commit",
    "compare SWEEP_DIR": "Is the difference real?",
    "compare SWEEP_DIR --metric test.loss --metric evaluation.loss": "adjusted for 2 differences",
    "compare SWEEP_DIR RUN_A --page page.html": "page.html",
    "compare RUN_A RUN_B --json": '"partings": [',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs and a sweep, in outputs and under the names of the page."""
    folder = tmp_path_factory.mktemp("looking")
    outputs = folder / "outputs"
    for name, lr, score in (("one", 0.001, 0.04), ("two", 0.002, 0.06)):
        make_run(
            outputs / name,
            status=done(score, best_step=20),
            config=config_of(lr=lr),
            evaluations={10: {"loss": 0.5}, 20: {"loss": score}},
        )
    sweep_of(outputs / "sweep", ["0.1", "0.2"], [0.0, 0.1], with_test=True)
    links = {"RUN_A": "one", "RUN_B": "two", "RUN_DIR": "two", "SWEEP_DIR": "sweep"}
    for link, name in links.items():
        (folder / link).symlink_to(outputs / name)
    (folder / "FOLDER").mkdir()
    (folder / "FOLDER" / "deep").symlink_to(outputs / "one")
    return folder


def test_every_command_of_the_page_is_known_here() -> None:
    assert set(COMMANDS) == set(ANSWERS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_does_what_it_says(command: str, folder: Path) -> None:
    ran = call(*shlex.split(command), cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert ANSWERS[command] in ran.stdout


@pytest.mark.parametrize("command", [ls, compare], ids=lambda command: command.name)
def test_every_option_is_on_the_page(command: object) -> None:
    options = [name for each in command.params for name in each.opts if name.startswith("--")]  # type: ignore[attr-defined]
    assert options and all(name in PAGE for name in options)
