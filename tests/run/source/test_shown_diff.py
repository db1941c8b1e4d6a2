"""A diff without secrets still applies, and it is told where it does not."""

from pathlib import Path

import pytest

from runner.errors import RunError
from runner.run.source.checkout import copy_code
from runner.run.source.state import code_and_source, code_state
from tests.sweeps.codebase.repositories import make_repository, write

ADDRESS = "postgresql://user:password@localhost/runs"
WORD = "Xy7pQ9zLm2Rt5Vw8Kd3N"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    text = f'URL = "{ADDRESS}"\nOLD = "{ADDRESS}"\nWORD = "{WORD}"\nx = 1\n'
    root = make_repository(tmp_path / "own", {"store.py": text})
    monkeypatch.chdir(root)
    return root


def test_what_stood_in_the_commit_survives(root: Path, tmp_path: Path) -> None:
    before = (root / "store.py").read_text()
    now = before.replace(f'OLD = "{ADDRESS}"', 'OLD = "a://me:hunter2@there"')
    write(root / "store.py", now)
    state, source = code_and_source()
    assert "hunter2" not in (state["diff"] or "")
    assert source["redacted"] == ["store.py"]
    notes = copy_code(root, tmp_path / "copy", code=state, redacted=source["redacted"])
    assert notes == ["store.py had a secret, and has stars in its place"]
    copied = (tmp_path / "copy/store.py").read_text()
    assert copied == now.replace("hunter2", "***")


def test_a_secret_of_the_commit_is_told_when_the_run_starts_and_when_it_is_made_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", WORD)
    write(root / "store.py", (root / "store.py").read_text().replace("x = 1", "x = 2"))
    state = code_state(root)
    assert WORD not in (state["diff"] or "")
    assert "store.py" in caplog.text and "take the secret out of the code" in caplog.text
    with pytest.raises(RunError, match="stars in the place of a secret, in store.py"):
        copy_code(root, tmp_path / "copy", code=state, redacted=("store.py",))
