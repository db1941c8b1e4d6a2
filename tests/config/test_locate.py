import os
import sys
from pathlib import Path

import pytest

from runner.config.compose import compose
from runner.config.groups import describe, groups, members
from runner.config.locate import make_user_code_importable, shipped_conf, user_confs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user with a conf/ of their own, as the current folder."""
    (tmp_path / "conf" / "optimizer").mkdir(parents=True)
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_conf_is_found_in_the_checkout() -> None:
    assert (shipped_conf() / "config.yaml").is_file()


def test_a_conf_of_the_current_folder_is_the_users(project: Path) -> None:
    assert user_confs() == [project / "conf"]


def test_a_conf_without_one_of_our_groups_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "nginx").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert user_confs() == []


def test_named_folders_come_first(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = [tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")]
    monkeypatch.setenv("RUNNER_CONFIG_DIR", os.pathsep.join(map(str, named)))
    assert user_confs() == [*named, project / "conf"]


def test_a_file_of_the_user_shadows_ours_and_others_are_added(project: Path) -> None:
    adamw = "# Mine.\n_target_: torch.optim.AdamW\n_partial_: true\nlr: 0.5\n"
    (project / "conf/optimizer/adamw.yaml").write_text(adamw)
    (project / "conf/optimizer/mine.yaml").write_text(adamw)
    assert compose().optimizer.lr == 0.5
    assert compose(["optimizer=sgd"]).optimizer.momentum == 0.9
    assert {"mine", "sgd", "adamw"} <= set(members("optimizer"))
    assert describe("optimizer", "adamw") == "Mine."


def test_a_group_of_the_users_own_is_listed(project: Path) -> None:
    (project / "conf" / "tokenizer").mkdir()
    assert groups()[-1] == "tokenizer"


def test_the_users_code_becomes_importable(project: Path) -> None:
    make_user_code_importable()
    assert str(project) in sys.path
    assert str(project / "src") in sys.path
