"""What is secret reaches no file, log, parameter or tag: everything that is written is searched."""

import base64
import subprocess
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from runner.cli.main import tell_crash
from runner.config.secrets import redacted, secrets_in
from tests.commands.command import call

TOKEN = "tok-3Zk81-of-nobody"
PASSWORD = "pa55 w/rd+of=nobody"
BARE = ("callbacks=none", "trainer.max_steps=2")
# A tracking server that is not there, with a password from the environment.
URI = "trackers.mlflow.tracking_uri=http://me:${oc.env:MY_PASSWORD}@127.0.0.1:9"
IN_TAG = "+trackers.mlflow.tags.note=${oc.env:MY_TOKEN}"

MODEL = f"""
import logging, os
from torch import nn

KEY = {TOKEN!r}  # uncommitted


class Failing(nn.Module):
    def __init__(self, note: str = "", **others):
        super().__init__()
        self.note, self.one = note, nn.Linear(1, 1)

    def forward(self, images):
        note = self.note
        logging.getLogger("runner.model").warning("my note is %s", note)
        raise KeyError("no login at http://me:" + os.environ["MY_PASSWORD"] + "@host " + note)
"""


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    monkeypatch.setenv("MY_PASSWORD", quote(PASSWORD, safe=""))


def found_in(folder: Path) -> list[str]:
    """Return the files below `folder` that hold a secret, in any form it is easily read in."""
    forms = {
        form.encode()
        for word in (TOKEN, PASSWORD, quote(PASSWORD, safe=""))
        for form in (word, quote(word, safe=""), base64.b64encode(word.encode()).decode())
    }
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        path.relative_to(folder).as_posix()
        for path in files
        if any(form in content for content in _contents(path) for form in forms)
    ]


def _contents(path: Path) -> list[bytes]:
    contents = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            contents += [archive.read(name) for name in archive.namelist()]
    return contents


def repository(folder: Path) -> Path:
    """Make a repository whose uncommitted change holds the token."""
    work = folder / "work"
    work.mkdir()
    (work / "mine.py").write_text("KEY = None\n")
    (work / ".gitignore").write_text("outputs\n")
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run([*git, *words], cwd=work, check=True)
    (work / "mine.py").write_text(MODEL)
    return work


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("secret")
def test_no_secret_is_written_or_printed(tmp_path: Path) -> None:
    work = repository(tmp_path)
    store = f"sqlite:///{tmp_path}/outputs/mlflow.db"
    note = "+model.note=${oc.env:MY_TOKEN}"
    quick = "trackers.mlflow.finish_timeout_seconds=1"
    commands = [
        (*BARE, "name=tracked", f"trackers.mlflow.tracking_uri={store}", IN_TAG),
        ("-m", *BARE, "name=many", "seed=1,2", URI, quick, IN_TAG, "sweep.check=config"),
        (*BARE, "name=failing", note, "model._target_=mine.Failing", "trackers=none"),
    ]
    where = ("hydra.run.dir", "hydra.sweep.dir", "hydra.run.dir")
    said = [
        call(*words, f"{key}={tmp_path}/outputs/{number}", cwd=work)
        for number, (words, key) in enumerate(zip(commands, where, strict=True))
    ]
    lookers = ("sync outputs", "status outputs/2", "status outputs/1", "report outputs/0")
    said += [call(*words.split(), cwd=tmp_path) for words in (*lookers, "report outputs/1")]
    assert [done.returncode for done in said[:3]] == [0, 0, 1], [d.stderr for d in said]
    log = (tmp_path / "outputs" / "2" / "logs" / "rank_0.log").read_text()
    assert "no login at http://me:***@host ***" in log, "it was told, without the secret"
    assert "my note is ***" in log
    assert "KEY = '***'" in (tmp_path / "outputs" / "2" / "run.json").read_text()
    assert (tmp_path / "outputs" / "mlflow.db").is_file()
    assert found_in(tmp_path / "outputs") == []
    printed = tmp_path / "printed"
    printed.mkdir()
    for number, done in enumerate([*said[:2], *said[3:]]):  # `call` prints what fails by itself
        (printed / str(number)).write_text(done.stdout + done.stderr)
    assert found_in(printed) == []


@pytest.mark.usefixtures("secret")
def test_a_crash_is_printed_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    tell_crash(ValueError, ValueError(f"no login with {TOKEN}"), None)
    assert "ValueError: no login with ***" in capsys.readouterr().err


@pytest.mark.usefixtures("secret")
def test_a_secret_in_the_config_itself_is_refused_and_nothing_written(tmp_path: Path) -> None:
    for override, place in (
        ("trackers.mlflow.tracking_uri=http://me:hunter22@host", "trackers.mlflow.tracking_uri"),
        (f"+trackers.mlflow.tags.note={TOKEN}", "trackers.mlflow.tags.note"),
        (f"+trackers.mlflow.tags.note=x_{quote(TOKEN)}", "trackers.mlflow.tags.note"),
        ("+trackers.mlflow.tags.api_key=abcdefgh", "trackers.mlflow.tags.api_key"),
        ("trackers.mlflow.artifact_location=ftp://me:hunter22@host/x", "artifact_location"),
    ):
        done = call(*BARE, override, cwd=tmp_path)
        assert done.returncode == 2, override
        assert place in done.stderr and "${oc.env:" in done.stderr
        assert "hunter22" not in done.stderr and "abcdefgh" not in done.stderr
        assert TOKEN not in done.stderr
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_words_that_are_no_secrets_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT_TOKEN", "plates")
    monkeypatch.setenv("SSH_KEY", "/home/me/.ssh/id_rsa")
    text = "plates in /home/me/.ssh/id_rsa, postgresql://me:${oc.env:PW}@host, http://host:80/a@b"
    assert redacted(text) == text
    node = {"pad_token": "<padding>", "token": "${oc.env:T}", "max_tokens": "many many", "key": 1}
    assert secrets_in({"model": node, "seed": 0}) == []


def test_passwords_of_addresses_in_the_environment_are_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORE", "postgresql://me:long%20word@host/db")
    assert redacted("long word, long%20word, long+word") == "***, ***, ***"
    assert redacted("at http://you:short@host") == "at http://you:***@host"
