"""The commands of docs/recipes.md, and that it has a section for each recipe."""

import re
import shlex
from pathlib import Path

import pytest

from runner.config.compose import compose
from runner.config.validate import validate
from tests.commands.command import BARE, call
from tests.commands.test_recipes import RECIPES

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.partition(" #")[0])[3:]
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
# Other ways than those that tests/commands/test_recipes.py trains, three steps of each.
VARIANTS = [
    command
    for command in COMMANDS
    if len(command) > 1 and not any("FOLDER" in word or "RUN_DIR" in word for word in command)
]


def test_each_recipe_has_its_section() -> None:
    titles = re.findall(r"^## .*`(\w+)`$", PAGE, re.MULTILINE)
    assert {recipe.experiment for recipe in RECIPES} <= set(titles)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_is_a_valid_config(command: list[str]) -> None:
    pytest.importorskip("transformers")
    assert command[0].startswith("+experiment=")
    validate(compose(command))


@pytest.mark.parametrize("command", VARIANTS, ids=" ".join)
def test_each_variant_trains(command: list[str], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "TEXT_FILE").write_text("one more word and then the end. " * 60, encoding="utf-8")
    done = call(*command, "debug=fast_dev_run", "hardware.device=cpu", *BARE, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
