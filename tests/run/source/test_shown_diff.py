"""A diff without secrets still applies, and it is told where it does not."""

from pathlib import Path

import pytest

from runner.errors import RunError
from runner.run.source.checkout import copy_code
from runner.run.source.state import code_and_source, code_state
from tests.sweeps.codebase.repositories import git, make_repository, write

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


SECRETS = (  # as an edit of a Python file may hold them
    f'API = "hf_{WORD}{WORD}"',
    f'aws_secret_access_key = "{WORD}/{WORD}"',
    f'client = Client("sk-proj-{WORD}{WORD}")',
    f'connect(host, password="S3cr3t-{WORD}")',
    f'HEADERS = {{"Authorization": "Bearer {WORD}"}}',
    f'KEY = """-----BEGIN RSA PRIVATE KEY-----\n{WORD}{WORD}{WORD}\n{WORD}==\n-----END RSA"""',
)


def kept(root: Path, name: str, text: str) -> str:
    """Return what run.json holds of an uncommitted edit, once it was tried on its commit."""
    write(root / name, text)
    state, source = code_and_source()
    assert source["redacted"] == [name]
    copy = root.parent / f"copy of {name}"
    notes = copy_code(root, copy, code=state, redacted=source["redacted"])
    assert notes == [f"{name} had a secret, and has stars in its place"]
    lines = (copy / name).read_text().splitlines()
    assert len(lines) == len(text.splitlines()), "stars take the place of a secret, not of a line"
    return "\n".join(lines)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_an_edit_of_a_tracked_file_holds_is_written_as_stars(
    root: Path, secret: str
) -> None:
    before = (root / "store.py").read_text()
    copied = kept(root, "store.py", f"import own\n{secret}\n{before}")
    edit = copied.removesuffix(before.rstrip("\n"))
    assert copied != edit and WORD not in edit and "***" in edit
    assert edit.startswith("import own\n")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("start.sh", f"export WANDB_API_KEY={WORD}\necho go\n"),
        ("login.ini", f"[hub]\nuser = me\npassword = {WORD}\n"),
        (".env", f"ANYTHING={WORD}\n"),
    ],
)
def test_settings_need_no_quotes(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    write(root / name, "first\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "second")
    copied = kept(root, name, text)
    assert WORD not in copied and "***" in copied


def test_what_only_speaks_of_secrets_is_kept_byte_for_byte(root: Path, tmp_path: Path) -> None:
    lines = 'password = os.environ["PW"]\npad_token = "[PADDING]"\n# hf_, Bearer, sk-\n'
    edit = f'{lines}class Net: token: str = ""\n{(root / "store.py").read_text()}'
    write(root / "store.py", edit)
    state, source = code_and_source()
    assert source["redacted"] == [] and copy_code(root, tmp_path / "copy", code=state) == []
    assert (tmp_path / "copy/store.py").read_text() == edit
