import re

from omegaconf import OmegaConf

from runner.config.compose import compose
from runner.config.resolvers import register


def test_a_config_has_one_start_and_another_config_another() -> None:
    register()
    first, second = (OmegaConf.create({"a": "${start:}", "b": "${start:}"}) for _ in range(2))
    assert first.a == first.b != second.a
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_[0-9a-z]{6}", first.a)


def test_two_runs_of_the_same_second_have_two_directories() -> None:
    directories = {compose(with_hydra=True).hydra.run.dir for _ in range(5)}
    assert len(directories) == 5


def test_ctc_needs_one_class_more_than_symbols() -> None:
    register()
    cfg = OmegaConf.create({"alphabet": "۰۱ب", "classes": "${ctc_classes:${alphabet}}"})
    assert cfg.classes == 4
