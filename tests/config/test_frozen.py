from pathlib import Path

import pytest
import yaml

from runner.config.compose import compose
from runner.config.frozen import freeze, load_frozen
from runner.config.threads import available_threads
from runner.config.validate import validate
from runner.config.written import to_yaml
from runner.errors import ConfigError, RunError


@pytest.fixture
def frozen_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(freeze(compose())), encoding="utf-8")
    return path


def test_what_an_environment_variable_stands_for_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_URI", "http://user:password@server")
    frozen = freeze(compose(["trackers.mlflow.tracking_uri=${oc.env:SECRET_URI}"]))
    assert "password" not in to_yaml(frozen)
    assert frozen["trackers"]["mlflow"]["tracking_uri"] == "${oc.env:SECRET_URI}"


def test_the_number_of_threads_is_frozen() -> None:
    assert freeze(compose())["hardware"]["threads"] == available_threads()
    assert freeze(compose(["hardware.threads=3"]))["hardware"]["threads"] == 3


def test_a_run_that_is_continued_keeps_its_threads_unless_others_are_asked_for() -> None:
    kept = validate(compose(), threads=13)
    assert kept.hardware.threads == kept.frozen["hardware"]["threads"] == 13
    assert validate(compose(["hardware.threads=3"]), threads=13).hardware.threads == 3


def test_what_would_be_another_value_tomorrow_is_resolved() -> None:
    frozen = freeze(compose(["+task.when=${start:}", "+task.mark=[${now:%Y}]"]))
    assert frozen["task"]["when"].startswith("20")
    assert frozen["task"]["mark"][0].isdigit()


def test_a_frozen_config_is_the_same_run(frozen_file: Path) -> None:
    assert validate(load_frozen(frozen_file)).frozen == yaml.safe_load(frozen_file.read_text())


def test_layout_keys_may_be_overridden(frozen_file: Path) -> None:
    config = validate(load_frozen(frozen_file, ["trainer.max_epochs=30", "data.num_workers=1"]))
    assert config.trainer.max_epochs == 30
    assert config.loader.num_workers == 1


def test_groups_may_be_chosen_as_far_as_they_are_layout(frozen_file: Path) -> None:
    threads = yaml.safe_load(frozen_file.read_text())["hardware"]["threads"]
    overrides = ["hardware=cpu", "checkpoint=off", "trackers=none", "callbacks=none"]
    config = validate(load_frozen(frozen_file, overrides))
    assert (config.hardware.device, config.hardware.threads) == ("cpu", threads)
    assert not config.checkpoint.enabled
    assert config.trackers == config.callbacks == {}


def test_keys_that_change_the_result_are_refused_by_name(frozen_file: Path) -> None:
    overrides = ["optimizer.lr=1", "trainer.max_epochs=30", "precision=bf16", "~model.dropout"]
    with pytest.raises(ConfigError) as error:
        load_frozen(frozen_file, overrides)
    refused = error.value.problems
    assert [problem.split()[0] for problem in refused] == [
        "optimizer.lr",
        "precision.autocast",
        "model.dropout",
    ]
    assert "only these keys may change" in refused[-1] and "trainer.max_epochs" in refused[-1]


def test_a_typo_is_a_typo_on_resume_too(frozen_file: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'max_steps'"):
        load_frozen(frozen_file, ["trainer.max_stepz=1"])
    with pytest.raises(ConfigError, match="did you mean 'cpu'"):
        load_frozen(frozen_file, ["hardware=cpux"])


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run"):
        load_frozen(tmp_path / "config.yaml")
