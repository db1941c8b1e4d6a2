import pytest
from hydra.errors import ConfigCompositionException

from runner.config.compose import compose
from runner.config.overrides import diagnose, is_group, parse_override
from runner.errors import ConfigError

HYDRA_ERROR = ConfigCompositionException("something long")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_stepz=3", "trainer has no key 'max_stepz' - did you mean 'max_steps'?"),
        ("trainr.max_steps=3", "there is no key 'trainr' - did you mean 'trainer'?"),
        ("optimzer=sgd", "did you mean 'optimizer'?"),
        ("optimizer=adamm", "there is no such optimizer - did you mean 'adam'?"),
        ("optimizer.lrr=1", "(to add an argument: +optimizer.lrr=1)"),
        ("seed.value=1", "seed is a single value"),
        ("experiment=digits", "write +experiment=digits"),
        ("+experiment=digitz", "did you mean 'digits'?"),
        ("a=[1", "is no override"),
    ],
)
def test_an_override_that_does_not_fit_is_told(override: str, message: str) -> None:
    (problem,) = diagnose(["seed=1", override], HYDRA_ERROR).problems
    assert message in problem


def test_every_override_that_does_not_fit_is_told() -> None:
    assert len(diagnose(["sed=1", "optimizer=adamm", "x=]"], HYDRA_ERROR).problems) == 3


def test_several_values_without_m_are_told() -> None:
    error = ConfigCompositionException("To sweep over it, add --multirun to your command line")
    (problem,) = diagnose(["seed=1,2"], error).problems
    assert "add -m for a sweep" in problem


def test_keys_are_judged_by_the_chosen_groups() -> None:
    assert diagnose(["optimizer=sgd", "optimizer.momentum=0"], HYDRA_ERROR).problems == (
        "something long",
    )


def test_a_mapping_is_a_value_and_no_choice() -> None:
    assert is_group(parse_override("callbacks=none"))
    assert not is_group(parse_override("callbacks={}"))
    assert compose(["callbacks={}"]).seed == 0


def test_parse_override_shows_how_one_is_written() -> None:
    with pytest.raises(ConfigError, match="write key=value"):
        parse_override("seed")
