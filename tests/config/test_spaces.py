import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config.overrides import parse_override
from runner.config.space import Choices, Interval, Space, size_of
from runner.config.spaces import read_search
from runner.errors import ConfigError


def space_of(value: str) -> Space:
    (space,) = read_search([f"x={value}"]).spaces.values()
    return space


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("tag(log, interval(1e-4,3e-2))", Interval(low=1e-4, high=3e-2, log=True)),
        ("interval(0.0,0.3)", Interval(low=0.0, high=0.3)),
        ("interval(1,5)", Interval(low=1.0, high=5.0)),
        ("int(interval(32,96))", Interval(low=32, high=96, is_int=True, step=1)),
        (
            "tag(log, int(interval(1,512)))",
            Interval(low=1, high=512, is_int=True, log=True, step=1),
        ),
        ("range(32,97,step=16)", Interval(low=32, high=96, is_int=True, step=16)),
        ("range(32,96,step=16)", Interval(low=32, high=80, is_int=True, step=16)),
        ("range(10,0,step=-5)", Interval(low=5, high=10, is_int=True, step=5)),
        ("range(0,0.35,step=0.1)", Interval(low=0.0, high=0.3, step=0.1)),
        ("choice(a,b,c)", Choices(values=("a", "b", "c"))),
        ("a,b,a", Choices(values=("a", "b"))),
        ("16,32", Choices(values=("16", "32"))),
        ("shuffle(3,1,2)", Choices(values=("3", "1", "2"))),
        ("1e-3,null,true", Choices(values=("0.001", "null", "True"))),
        ("'a, b',[1,2],{k:1}", Choices(values=("'a, b'", "[1,2]", "{k:1}"))),
    ],
)
def test_what_a_user_types_is_understood(text: str, space: Space) -> None:
    found = space_of(text)
    assert found == space
    if isinstance(found, Interval):
        assert type(found.low) is type(found.high) is (int if found.is_int else float)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("x=tag(log, interval(0,1))", "begins above 0"),
        ("x=tag(log, range(0,9))", "begins above 0"),
        ("x=tag(log, range(1,9,2))", "whole numbers in steps of 1"),
        ("x=tag(log, choice(1,2))", "for an interval"),
        ("x=tag(fast, interval(0,1))", "no tag 'fast'"),
        ("x=interval(1,0)", "from a smaller number to a larger one"),
        ("x=interval(1,1)", "from a smaller number to a larger one"),
        ("x=interval(0,inf)", "two finite ends"),
        ("x=range(1,1)", "holds no number"),
        ("x=range(1,9,0)", "holds no number"),
        ("x=range(0,1,0.0)", "holds no number"),
        ("model=glob(*)", "takes no glob"),
        ("hydra.job.name=a,b", "belongs to Hydra"),
        ("x=interval(1)", "is no override"),
    ],
)
def test_what_makes_no_sense_is_told(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_search([override, "seed=1,2"])


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        read_search(["x=tag(log, interval(0,1))", "model=glob(*)", "seed=1,2", "seed=3,4"])
    assert len(error.value.problems) == 3
    assert "seed is searched twice" in str(error.value)


def test_fixed_overrides_are_told_apart_and_the_command_line_wins() -> None:
    params = {"optimizer.lr": "interval(0,1)", "seed": 3, "model": "mlp,convnet", "x": "1,2"}
    search = read_search(["seed=1,2", "x=5", "+model.width=1,2", "~callbacks"], params)
    assert search.spaces == {
        "optimizer.lr": Interval(low=0.0, high=1.0),
        "model": Choices(values=("mlp", "convnet")),
        "seed": Choices(values=("1", "2")),
        "+model.width": Choices(values=("1", "2")),
    }
    assert search.fixed == ("x=5", "~callbacks")


def test_a_command_that_varies_nothing_is_no_search() -> None:
    with pytest.raises(ConfigError, match="nothing to search"):
        read_search(["seed=1"], {"x": "2"})


def test_the_size_of_a_space_is_known_when_it_is_finite() -> None:
    finite = {"x": space_of("range(32,97,step=16)"), "y": space_of("a,b,c")}
    assert size_of(finite) == 15
    assert size_of({**finite, "z": space_of("int(interval(1,4))")}) == 60
    assert size_of({**finite, "z": space_of("interval(1,4)")}) is None


@given(st.floats(min_value=-1.0, max_value=1.0))
def test_a_float_is_typed_with_four_digits_within_its_interval(value: float) -> None:
    space = Interval(low=-1.0, high=1.0)
    text = space.text_of(value)
    read = parse_override(f"x={text}").value()
    assert isinstance(read, float) and repr(read) == text, "it is read back as it stands"
    assert read == pytest.approx(value, rel=1e-3) and space.value_of(text) == read


def test_a_lattice_has_the_numbers_of_hydras_range() -> None:
    space = space_of("range(0,1,step=0.1)")
    assert isinstance(space, Interval)
    override = parse_override("x=range(0,1,step=0.1)")
    typed = list(override.sweep_string_iterator())
    own = [space.text_of(0.1 * count) for count in range(10)]
    assert own == [f"0.{count}" for count in range(10)], "and no 0.7000000000000001"
    assert [float(text) for text in own] == pytest.approx([float(text) for text in typed])
    assert [space.value_of(text) for text in typed] == [float(text) for text in typed]
    assert space.value_of("0.15") is space.value_of("1.0") is space.value_of("x") is None
