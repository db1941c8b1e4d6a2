"""The runs that no other beats in all objectives."""

import math
from dataclasses import replace
from itertools import product

from runner.reports.sweep.pareto import comparable, pareto_front
from runner.reports.sweep.table import RunResult
from tests.reports.sweeps import result, with_state

BOTH = {"evaluation.loss": "min", "evaluation.accuracy": "max"}


def run(number: int, loss: float, accuracy: float) -> RunResult:
    values = {"evaluation.loss": loss, "evaluation.accuracy": accuracy}
    return replace(result(number, loss), objectives=values)


def test_the_front_heeds_the_direction_of_each_objective() -> None:
    runs = [run(0, 0.1, 0.7), run(1, 0.2, 0.9), run(2, 0.3, 0.8), run(3, 0.05, 0.6)]
    assert [one.number for one in pareto_front(runs, BOTH)] == [3, 0, 1]
    lower = dict.fromkeys(BOTH, "min")
    assert [one.number for one in pareto_front(runs, lower)] == [3]


def test_equal_runs_are_both_on_the_front() -> None:
    assert len(pareto_front([run(0, 0.1, 0.9), run(1, 0.1, 0.9)], BOTH)) == 2


def test_no_run_of_the_front_is_dominated_and_every_other_is() -> None:
    runs = [run(number, (7 * number % 11) / 11, (5 * number % 13) / 13) for number in range(40)]
    front = {one.number for one in pareto_front(runs, BOTH)}

    def beats(a: RunResult, b: RunResult) -> bool:
        loss, accuracy = "evaluation.loss", "evaluation.accuracy"
        x, y = a.objectives, b.objectives
        return (
            x[loss] <= y[loss]
            and x[accuracy] >= y[accuracy]
            and (x[loss], x[accuracy]) != (y[loss], y[accuracy])
        )

    beaten = {b.number for a, b in product(runs, runs) if beats(a, b)}
    assert front == {one.number for one in runs} - beaten
    assert 0 < len(front) < 40


def test_what_has_no_number_or_is_not_completed_is_left_out() -> None:
    values = {"evaluation.loss": 0.0, "evaluation.accuracy": 1.0}
    pruned = replace(with_state(2, 0.1, "pruned"), objectives=values)
    runs = [run(0, 0.1, 0.9), run(1, math.nan, 1.0), pruned, result(3, 0.1)]
    assert [one.number for one in comparable(runs, BOTH)] == [0]
