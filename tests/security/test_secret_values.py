"""Which values are secret, and what of a config that is changed later is looked at."""

from pathlib import Path

import pytest

from runner.config.evaluating import apply_evaluation_overrides
from runner.config.frozen import from_frozen, with_layout
from runner.config.secrets import redacted, secrets_here, secrets_in
from runner.errors import ConfigError
from runner.facade.settings import check_options, read_settings
from tests.commands.command import BARE, call

FROZEN = {"trackers": {"mlflow": {"tracking_uri": "sqlite:///a.db", "tags": {}}}, "seed": 0}


def test_plain_words_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "postgres")
    monkeypatch.setenv("DB_PASSWORD", "regression")
    monkeypatch.setenv("STORE", "postgresql://postgres:postgres@host/db")
    assert "POSTGRES_PASSWORD" not in secrets_here() and "STORE" not in secrets_here()
    node = {"uri": "postgresql://me@localhost", "_target_": "runner.tasks.regression.Regression"}
    assert secrets_in({"task": node, "name": "regression"}) == []
    text = "postgresql://me@host: regression, postgres"
    assert redacted(text) == text


def test_what_is_like_a_word_is_one_as_a_whole_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "Regression")
    monkeypatch.setenv("PIN_TOKEN", "12345678")
    node = {"_target_": "my.Regression", "name": "Regression", "kind": "LinearRegressions"}
    assert secrets_in(node) == []
    assert len(secrets_in({"note": "it is Regression"})) == 1
    assert redacted("LinearRegression, Regression. Regression://host") == (
        "LinearRegression, ***. Regression://host"
    )
    assert redacted("0123456789 is 12345678") == "0123456789 is ***"


def test_what_is_like_no_word_is_found_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hf_Abc123xyz")
    assert redacted(r"\nhf_Abc123xyzand%20hf_Abc123xyz") == r"\n***and%20***"
    assert len(secrets_in({"name": "run_hf_Abc123xyz"})) == 1


def test_the_names_of_secrets_are_those_that_stores_use(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("MYSQL_PWD", "DB_PWD", "HTTP_AUTH", "PROXY_AUTHORIZATION", "MY_PAT", "KAGGLE_KEY")
    for name in (*names, "PWD", "OLDPWD", "GIT_AUTHOR_NAME"):
        monkeypatch.setenv(name, "Jane Doe 1")
    assert set(names) <= secrets_here().keys()
    assert not {"PWD", "OLDPWD", "GIT_AUTHOR_NAME"} & secrets_here().keys()


@pytest.mark.parametrize(
    "override",
    [
        "trackers.mlflow.tracking_uri=http://me:hunter22@host",
        "+trackers.mlflow.tags.api_key=hunter22",
    ],
)
def test_what_a_resume_changes_is_looked_at(override: str) -> None:
    with pytest.raises(ConfigError, match=r"trackers\.mlflow\.[a-z_.]+: a .*oc\.env:NAME") as error:
        with_layout(FROZEN, [override])
    assert "hunter22" not in str(error.value)


def test_what_is_written_already_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "hf_Abc123xyz")
    frozen = {**FROZEN, "task": {"note": "hf_Abc123xyz"}}
    assert with_layout(frozen, ["trackers.mlflow.tracking_uri=sqlite:///b.db"]) != frozen
    assert from_frozen(frozen).task.note == "hf_Abc123xyz"


def test_the_command_writes_none_down(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert (
        call(*BARE, "trainer.max_steps=2", f"hydra.run.dir={folder}", cwd=tmp_path).returncode == 0
    )
    before = (folder / "config.yaml").read_text()
    done = call(
        *("resume", str(folder), "trainer.max_steps=3", "trackers=mlflow"),
        "trackers.mlflow.tracking_uri=http://me:hunter22@host",
        cwd=tmp_path,
    )
    assert done.returncode == 2 and "${oc.env:NAME}" in done.stderr
    assert (folder / "config.yaml").read_text() == before


def test_a_trainer_takes_none_either() -> None:
    slurm = {"sbatch": {"comment": "at http://me:hunter22@host"}}
    options = read_settings({"hardware": {"slurm": slurm}}).options
    with pytest.raises(ConfigError, match=r"hardware\.slurm\.sbatch\.comment: a password"):
        check_options(options)


def test_what_an_evaluation_changes_is_looked_at() -> None:
    cfg = from_frozen({"data": {"_target_": "x.y"}, "model": {"_target_": "x.z"}})
    with pytest.raises(ConfigError, match=r"data\.api_key: a secret stands in the config"):
        apply_evaluation_overrides(cfg, ["+data.api_key=hunter22"])
