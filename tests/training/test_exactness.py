"""A run that was cut and resumed is the straight one, whatever it is made of: pairwise.

`benchmarks/exactness.py` goes through the whole product.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runner.run.journal import read_journal
from tests.ranks import results_of
from tests.training.exactness import (
    FACTORS,
    Case,
    covering,
    differences,
    newest_step,
    run_case,
    run_cases,
    run_differences,
    whole_product,
)

CASES = covering(whole_product())


def with_ranks(count: int) -> list[Case]:
    return [case for case in CASES if case.ranks == count]


def name_of(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", with_ranks(1), ids=name_of)
def test_a_resumed_run_equals_a_straight_one(tmp_path: Path, case: Case) -> None:
    assert run_case(case, tmp_path) == []


@pytest.fixture(scope="module")
def of_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    worker = partial(run_cases, cases=with_ranks(2))
    return results_of(worker, count=2, folder=tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("case", with_ranks(2), ids=name_of)
def test_resumed_ranks_equal_straight_ones(of_two_ranks: list[dict[str, Any]], case: Case) -> None:
    assert [result[case.name] for result in of_two_ranks] == [[], []]


def test_every_two_factors_meet_in_every_way() -> None:
    for one in FACTORS:
        for other in set(FACTORS) - {one}:
            met = {(getattr(case, one), getattr(case, other)) for case in CASES}
            assert len(met) == len(FACTORS[one]) * len(FACTORS[other])


def test_the_comparison_sees_a_single_value(tmp_path: Path) -> None:
    case = next(case for case in with_ranks(1) if not case.workers)
    assert run_case(case, tmp_path) == []
    straight, resumed = tmp_path / case.training, tmp_path / case.name
    training = resumed / "checkpoints" / f"step_{newest_step(resumed):08d}" / "training.pt"
    state = torch.load(training, weights_only=True)
    state["optimizer"]["state"][0]["exp_avg"].view(-1)[3] *= 1 + 1e-6
    torch.save(state, training)
    (found,) = run_differences(straight, resumed)
    assert found.startswith("/training.pt/optimizer/state/0/exp_avg: ")
    journal = resumed / "metrics.jsonl"
    *lines, last = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines))
    assert any(d.startswith("/journal: ") for d in run_differences(straight, resumed)), last
    assert read_journal(journal)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 1.0),
        ({"a": 1}, {"b": 1}),
        ([1, 2], [1, 2, 3]),
        (torch.zeros(2), torch.zeros(2, 1)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (np.zeros(2), np.ones(2)),
    ],
)
def test_unequal_things_differ(first: Any, second: Any) -> None:
    assert list(differences({"x": [first]}, {"x": [second]}))
    assert not list(differences({"x": [first]}, {"x": [first]}))
