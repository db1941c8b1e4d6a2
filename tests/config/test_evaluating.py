import pytest
from omegaconf import DictConfig

from runner.config.compose import compose
from runner.config.evaluating import apply_evaluation_overrides
from runner.config.frozen import freeze, from_frozen
from runner.config.validate import validate
from runner.errors import ConfigError


@pytest.fixture
def trained() -> DictConfig:
    """What a run of plate_ocr has frozen."""
    return from_frozen(freeze(compose(["+experiment=plate_ocr", "data.batch_size=16"])))


def problems(cfg: DictConfig, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        apply_evaluation_overrides(cfg, overrides)
    return list(caught.value.problems)


def test_data_and_how_they_are_read_may_change(trained: DictConfig) -> None:
    overrides = ["data.test_size=5", "task.beam_width=4", "precision=fp32", "+data.fonts=[a.ttf]"]
    apply_evaluation_overrides(trained, overrides)
    config = validate(trained)
    assert (config.data["test_size"], config.task["beam_width"]) == (5, 4)
    assert config.precision.autocast is None


def test_every_mistake_is_told_with_its_reason(trained: DictConfig) -> None:
    told = problems(
        trained,
        "data.test_sise=5",
        "model.width=32",
        "optimizer.lr=1",
        "data=ocr_foldr",
        "seed=1,2",
    )
    assert "did you mean 'test_size'" in told[0]
    assert all("takes what was trained as it is; only data, task" in text for text in told[1:3])
    assert told[3] == "data=ocr_foldr: there is no such data - did you mean 'ocr_folder'?"
    assert told[4].endswith("one value, not several")


def test_what_would_change_the_model_from_afar_is_refused(trained: DictConfig) -> None:
    (told,) = problems(trained, "data.height=64")
    assert told.startswith("model.height would become 64, and the weights were trained with 32")


def test_other_data_give_the_model_the_input_it_takes(trained: DictConfig) -> None:
    before = validate(trained)
    apply_evaluation_overrides(trained, ["data=ocr_folder", "data.root=plates"])
    after = validate(trained)
    assert after.data["_target_"].endswith("ocr_folder") and after.data["root"] == "plates"
    assert after.data["preprocessor"] == before.data["preprocessor"]  # the group says 64 x 256
    assert (after.model, after.task) == (before.model, before.task)  # the group has no `format`
    assert after.loader == before.loader
