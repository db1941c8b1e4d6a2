"""The axes of a sweep."""

import pytest

from runner.config.axes import Axis, combine, read_axes
from runner.errors import ConfigError


def test_overrides_are_parted_into_fixed_ones_and_axes() -> None:
    fixed, axes = read_axes(["seed=range(1,4)", "+experiment=digits", "optimizer.lr=1e-3,3e-4"])
    assert fixed == ["+experiment=digits"]
    assert axes == [Axis("seed", ("1", "2", "3")), Axis("optimizer.lr", ("0.001", "0.0003"))]


def test_the_command_line_replaces_an_axis_of_the_config() -> None:
    fixed, axes = read_axes(["seed=7"], {"seed": "1,2", "model": "choice(mlp,convnet)"})
    assert fixed == ["seed=7"]
    assert axes == [Axis("model", ("mlp", "convnet"))]


def test_every_combination_comes_once_the_last_axis_fastest() -> None:
    axes = [Axis("a", ("1", "2")), Axis("+b", ("x", "y"))]
    assert combine(axes) == [("a=1", "+b=x"), ("a=1", "+b=y"), ("a=2", "+b=x"), ("a=2", "+b=y")]
    assert combine([]) == [()]


def test_zipped_keys_go_together_in_the_order_of_the_axes() -> None:
    axes = [Axis("a", ("1", "2")), Axis("s", ("7", "8")), Axis("+b", ("x", "y"))]
    found = combine(axes, zip=[["+b", "a"]])
    assert found == [
        ("a=1", "s=7", "+b=x"),
        ("a=1", "s=8", "+b=x"),
        ("a=2", "s=7", "+b=y"),
        ("a=2", "s=8", "+b=y"),
    ]


def test_an_excluded_pattern_leaves_out_all_that_agree_with_it() -> None:
    axes = [Axis("model", ("mlp", "convnet")), Axis("lr", ("0.001", "0.1")), Axis("s", ("1", "2"))]
    found = combine(axes, exclude=[{"model": "mlp", "lr": "1e-1"}, {"lr": 0.001, "s": 2}])
    assert found == [
        ("model=mlp", "lr=0.001", "s=1"),
        ("model=convnet", "lr=0.001", "s=1"),
        ("model=convnet", "lr=0.1", "s=1"),
        ("model=convnet", "lr=0.1", "s=2"),
    ]


@pytest.mark.parametrize(
    ("zip", "exclude", "words"),
    [
        ([["a", "c"]], [], "a has 2, c has 3"),
        ([["a", "bb"]], [], "hydra.sweeper.zip: this sweep does not vary 'bb'"),
        ([], [{"d": 1}], "hydra.sweeper.exclude: this sweep does not vary 'd' (it varies a, c)"),
    ],
)
def test_a_mistake_is_told(zip: list[list[str]], exclude: list[dict], words: str) -> None:
    axes = [Axis("a", ("1", "2")), Axis("c", ("1", "2", "3"))]
    with pytest.raises(ConfigError) as error:
        combine(axes, zip=zip, exclude=exclude)
    assert words in str(error.value)


def test_all_that_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        read_axes(["optimizer.lr=interval(0,1)", "seed=1,2", "seed"])
    assert len(error.value.problems) == 2
    assert "use hydra/sweeper=random" in error.value.problems[0]
