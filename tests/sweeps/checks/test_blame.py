"""Each problem is told once, with the fewest overrides that explain it."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from runner.sweeps.checks.blame import blame, causes

Grid = dict[int, frozenset[str]]


def grid(*keys: list[str]) -> Grid:
    return {number: frozenset(texts) for number, texts in enumerate(product(*keys))}


MODELS = [f"model={name}" for name in ("mlp", "crnn", "convnet")]
SEEDS = [f"seed={seed}" for seed in range(3)]
RATES = [f"optimizer.lr={lr}" for lr in ("0.1", "0.2")]
GRID = grid(MODELS, RATES, SEEDS)


def those_with(*overrides: str) -> set[int]:
    return {number for number, texts in GRID.items() if texts.issuperset(overrides)}


def told(*groups: set[int]) -> list[str]:
    """Return what is told of problem 0, 1, ..., each had by one group."""
    problems = {
        number: [f"p{i}" for i, group in enumerate(groups) if number in group] for number in GRID
    }
    return blame(problems, {number: sorted(texts) for number, texts in GRID.items()})


def test_what_all_have_is_told_without_an_override() -> None:
    assert told(set(GRID)) == ["p0"]


def test_one_override_is_named_alone() -> None:
    assert told(those_with("model=crnn")) == ["p0 (with model=crnn)"]


def test_two_that_are_needed_together_are_both_named() -> None:
    assert told(those_with("model=crnn", "seed=2")) == ["p0 (with model=crnn seed=2)"]


def test_two_causes_of_one_problem_are_told_together() -> None:
    both = those_with("model=crnn") | those_with("model=mlp")
    assert told(both) == ["p0 (with model=mlp, or model=crnn)"]


def test_a_cause_may_be_one_override_or_two_others() -> None:
    both = those_with("model=crnn") | those_with("model=mlp", "seed=1")
    assert told(both) == ["p0 (with model=mlp seed=1, or model=crnn)"]


def test_two_problems_are_told_in_the_order_they_are_met() -> None:
    assert told(those_with("seed=1"), those_with("seed=0")) == [
        "p1 (with seed=0)",
        "p0 (with seed=1)",
    ]


def test_many_causes_are_counted() -> None:
    many = {number: [f"x={number}"] for number in range(40)}
    (sentence,) = blame({n: ["p"] for n in range(30)}, many)
    assert sentence == "p (with x=0, or x=1, or x=2, or x=3, or 26 more)"


def test_a_traceback_stays_below_its_sentence() -> None:
    problems = {0: ["bad\nTraceback\n  x"], 1: []}
    assert blame(problems, {0: ["a=1"], 1: ["a=2"]}) == ["bad (with a=1)\nTraceback\n  x"]


def test_a_sweep_of_one_has_nothing_to_blame() -> None:
    assert blame({0: ["p"]}, {0: []}) == ["p"]


@st.composite
def sweeps(draw: st.DrawFn) -> tuple[Grid, set[int]]:
    """Draw the combinations of a sweep, not always a whole grid, and those with a problem."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    whole = grid(*([f"k{i}={value}" for value in range(size)] for i, size in enumerate(sizes)))
    kept = draw(st.sets(st.sampled_from(sorted(whole)), min_size=1))
    having = draw(st.sets(st.sampled_from(sorted(kept))))
    return {number: whole[number] for number in sorted(kept)}, having


@given(sweeps())
def test_causes_explain_exactly_those_that_have_the_problem(sweep: tuple[Grid, set[int]]) -> None:
    overrides, having = sweep
    found = causes(having, overrides)
    if not having or len(having) == len(overrides):
        assert found == []
        return
    explained = {n for n, texts in overrides.items() for cause in found if texts.issuperset(cause)}
    assert explained == having


@given(sweeps())
def test_no_cause_names_an_override_too_many(sweep: tuple[Grid, set[int]]) -> None:
    overrides, having = sweep
    for cause in (found for found in causes(having, overrides) if len(found) <= 3):
        for spare in cause:
            fewer = set(cause) - {spare}
            assert any(texts >= fewer for n, texts in overrides.items() if n not in having)


@given(sweeps(), sweeps())
def test_every_problem_is_told_exactly_once(
    first: tuple[Grid, set[int]], second: tuple[Grid, set[int]]
) -> None:
    overrides, having = first
    also = second[1] & overrides.keys()
    problems = {n: ["one"] * (n in having) + ["two"] * (n in also) for n in overrides}
    sentences = blame(problems, {n: sorted(texts) for n, texts in overrides.items()})
    begun = sorted(sentence.split(" (")[0] for sentence in sentences)
    assert begun == ["one"] * bool(having) + ["two"] * bool(also)
