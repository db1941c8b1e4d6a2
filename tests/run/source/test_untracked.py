"""Which untracked files are kept with a run."""

import json
import time
from pathlib import Path

import pytest

from runner.run.source import untracked as module
from runner.run.source.state import code_and_source, code_state
from tests.sweeps.codebase.repositories import make_repository, write

WORD = "Xy7pQ9zLm2Rt5Vw8Kd3N"
PLANTED = {
    "kaggle.json": json.dumps({"username": "me", "key": WORD}),
    "aws.ini": f"[default]\naws_secret_access_key = {WORD}\n",
    "settings.toml": f'password = "{WORD}"\n',
    "service.yaml": f"password: {WORD}\n",
    "conf/deep/login.yaml": f"host: there\npassword: {WORD}\n",
    "conf/secrets.yaml": f"anything: {WORD}\n",
    "login.py": f'API_KEY = "{WORD}"\n',
    "called.py": f'connect(host, password="{WORD}")\n',
    "mapped.py": f'KEYS = {{"aws_secret_access_key": "{WORD}"}}\n',
    "hub.py": f'GITHUB_TOKEN: str = "{WORD}"\n',
    "amazon.py": f'boto("AKIA{WORD[:16].upper()}")\n',
    "start.sh": f"export WANDB_API_KEY={WORD}\n",
    "sign.py": f'KEY = """-----BEGIN RSA PRIVATE KEY-----\n{WORD}\n"""\n',
    ".env.sh": f"ANYTHING={WORD}\n",
}
KEPT = {
    "net.py": 'pad_token = "[PADDING]"\npassword = os.environ["DATABASE_PASSWORD"]\n',
    "words.py": 'TOKENIZER = "bert-base-uncased"\ndef f(api_key: str | None = None): ...\n',
    "kernel.cu": "int x;\n",
    "start_all.sh": 'export TOKEN="$(cat token)"\nPASSWORD=${PASSWORD:?}\n',
    "conf/model/own.yaml": "_target_: own.Net\npassword: ${oc.env:DATABASE_PASSWORD}\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = make_repository(tmp_path / "own", {"first.py": "x = 1\n"})
    monkeypatch.chdir(root)
    return root


def test_no_file_with_a_secret_is_kept_and_each_is_named(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in (PLANTED | KEPT).items():
        write(root / name, text)
    state, source = code_and_source()
    diff = state["diff"] or ""
    assert WORD.lower() not in (diff + json.dumps(source)).lower()
    assert set(source["left_out"]) == set(PLANTED)
    assert all(facts["sha256"] for facts in source["left_out"].values())
    assert source["left_out"]["login.py"]["code"] == "secret"
    assert ".env.sh" in caplog.text and "seem to hold a secret" in caplog.text
    for name, text in KEPT.items():
        assert f"+++ b/{name}" in diff and text.splitlines()[-1] in diff


def test_what_runner_and_trackers_write_changes_no_code(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_and_source()
    for name in (
        *("outputs/loss.py", "results/own/1/lease.json", "results/own/1/plots/draw.py"),
        *("results/mlflow.db", "results/mlflow.db-wal", "results/mlflow_artifacts/1/a/own.py"),
        *("mlruns/0/own.py", "results/own/sweeps/x/sweep.json", "results/own/sweeps/x/0/a.sh"),
    ):
        write(root / name)
    assert code_and_source() == before
    write(root / "elsewhere/0/own.py", "x = 2\n")
    assert code_and_source() != before
    monkeypatch.setenv("RUNNER_OUTPUT_DIR", "elsewhere")
    assert code_and_source() == before


def test_only_so_many_files_are_kept_and_the_others_are_told(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 3)
    for number in range(5):
        write(root / f"deep/{number}.py", "x = 1\n")
    write(root / "near.py", "x = 1\n")
    diff = code_state(root)["diff"] or ""
    assert diff.count("+++ b/") == 3 and "near.py" in diff
    assert "3 untracked files of code are not written" in caplog.text
    monkeypatch.setattr(module, "_LARGEST_SUM", 12)
    assert (code_state(root)["diff"] or "").count("+++ b/") == 2


def test_many_files_of_data_cost_little(root: Path) -> None:
    for number in range(500):
        write(root / f"data/{number}.json", "{}")
    state, source = code_and_source()
    assert state["diff"] == ""
    assert len(source["left_out"]) == 101 and source["left_out"]["..."].startswith("400 more")


def test_looking_for_secrets_takes_no_time(root: Path) -> None:
    for number, text in enumerate(("a", " ", "\n", "a: ", "x=", '"', "key: x ")):
        write(root / f"{number}.sh", text * (140_000 // len(text)))
    started = time.perf_counter()
    assert (code_state(root)["diff"] or "").count("+++ b/") == 7
    assert time.perf_counter() - started < 10.0
