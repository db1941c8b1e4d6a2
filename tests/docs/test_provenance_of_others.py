"""The commands of docs/provenance.md about runs from elsewhere do what the page says."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from runner.cli.commands import TRUSTING
from runner.config.trust import Trust
from runner.facade.run import Run
from tests.commands.command import call
from tests.security.strangers import from_elsewhere, own_run

PAGE = (Path(__file__).parents[2] / "docs" / "provenance.md").read_text(encoding="utf-8")
PART = PAGE[PAGE.index("## Runs from elsewhere") :]
COMMANDS = [
    shlex.split(line.partition(" #")[0])[3:]
    for block in re.findall(r"^```bash\n(.*?)^```$", PART, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
MODEL = "from torch import nn\n\n\nclass Mine(nn.Linear):\n    pass\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_run(tmp_path_factory.mktemp("own"))


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    """Where RUN_DIR is from elsewhere and names my_package."""
    (tmp_path / "my_package.py").write_text(MODEL)
    shutil.copy(Path(__file__).parents[2] / "docs" / "plates.png", tmp_path / "PICTURES")
    node = {"_target_": "my_package.Mine", "in_features": 64, "out_features": 10}
    path = from_elsewhere(run, tmp_path, model=node, trackers={})
    path.rename(tmp_path / "RUN_DIR")
    return tmp_path


def test_the_page_has_each_command_that_takes_trust() -> None:
    assert {words[0] for words in COMMANDS if words[0] in TRUSTING} == set(TRUSTING)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_is_let_past_by_trust_alone(words: list[str], folder: Path) -> None:
    if words[0] not in TRUSTING:
        done = call("--cfg", "job", *words, cwd=folder)
        assert done.returncode == 0 and "${oc.env:MLFLOW_PASSWORD}" in done.stdout
        return
    without = [word for word in words if not word.startswith("trust=")]
    refused = call(*without, cwd=folder)
    assert refused.returncode != 0
    assert "was made elsewhere" in refused.stdout + refused.stderr
    done = call(*words, cwd=folder)
    assert "was made elsewhere" not in done.stdout + done.stderr


def test_the_python_of_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert 'load_model(trust="my_package")' in PART
    assert Trust.of(["my_package", "other"]).packages == ("my_package", "other")
    with pytest.raises(Exception, match="made elsewhere"):
        Run("RUN_DIR").load_model()
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(Exception, match="does not fit the model"):
        Run("RUN_DIR").load_model(trust="my_package")
