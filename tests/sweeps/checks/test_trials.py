"""Which combinations are tried: one of a kind, and of very many kinds the extremes."""

from copy import deepcopy
from itertools import product
from typing import Any

from runner.sweeps.checks.trials import MOST_TRIALS, choose_trials
from runner.sweeps.ledger import Combination

BASE: dict[str, Any] = {
    "seed": 0,
    "model": {"_target_": "a.Net", "hidden": 8},
    "data": {"_target_": "a.data", "batch_size": 4, "num_workers": 0},
    "task": {"_target_": "a.Task"},
    "optimizer": {"_target_": "a.Adam", "lr": 0.1},
    "scheduler": None,
    "trainer": {"max_steps": 9, "ema_decay": None},
}


def combination(**values: Any) -> Combination:
    """Return the combination with `values`, of keys such as model__hidden."""
    config = deepcopy(BASE)
    for key, value in values.items():
        *owners, name = key.split("__")
        node = config
        for owner in owners:
            node = node[owner]
        node[name] = value
    overrides = tuple(f"{key.replace('__', '.')}={value}" for key, value in values.items())
    return Combination(key=" ".join(overrides), overrides=overrides, config=config)


def grid(**keys: list[Any]) -> list[Combination]:
    return [
        combination(**dict(zip(keys, values, strict=True))) for values in product(*keys.values())
    ]


def test_seeds_need_one_trial_and_rates_one_plan_each() -> None:
    trials = choose_trials(grid(optimizer__lr=[0.1, 0.2, 0.3], seed=[1, 2]))
    (trial,) = trials.chosen
    assert trials.num_kinds == 1
    assert trial.variants == [[0, 1], [2, 3], [4, 5]]
    assert trial.looked_at == [0, 2, 4]


def test_models_and_batch_sizes_are_tried_each_and_workers_are_not() -> None:
    combinations = grid(model__hidden=[8, 9], data__batch_size=[1, 2], data__num_workers=[0, 4])
    trials = choose_trials(combinations)
    assert [trial.variants for trial in trials.chosen] == [[[0, 1]], [[2, 3]], [[4, 5]], [[6, 7]]]


def test_where_a_job_waits_is_no_reason_for_a_trial() -> None:
    nodes = [{"partition": name, "nodes": 1} for name in ("low", "high")]
    waiting = [combination(hardware={"device": "cpu", "slurm": node}) for node in nodes]
    assert choose_trials(waiting).num_kinds == 1
    shared = [combination(hardware={"slurm": {"nodes": count}}) for count in (1, 2)]
    assert choose_trials(shared).num_kinds == 2


def test_another_kind_of_optimizer_is_tried() -> None:
    assert len(choose_trials(grid(optimizer___target_=["a.Adam", "a.SGD"])).chosen) == 2


def test_of_several_optimizers_each_kind_counts() -> None:
    def optimizers(second: str, rate: float) -> dict[str, Any]:
        return {
            "first": {"_target_": "a.Adam", "lr": rate},
            "second": {"_target_": second, "lr": 1.0},
        }

    same = grid(optimizer=[optimizers("a.Adam", 0.1), optimizers("a.Adam", 0.2)])
    assert [trial.variants for trial in choose_trials(same).chosen] == [[[0], [1]]]
    others = grid(optimizer=[optimizers("a.Adam", 0.1), optimizers("a.SGD", 0.1)])
    assert len(choose_trials(others).chosen) == 2


def test_of_many_kinds_the_largest_and_the_smallest_of_all_keys_are_tried() -> None:
    combinations = grid(model__hidden=[8, 16, 32, 64, 128], data__batch_size=[4, 64, 8, 16])
    trials = choose_trials(combinations)
    tried = [combinations[trial.looked_at[0]].overrides for trial in trials.chosen]
    assert trials.num_kinds == 20
    assert ("model.hidden=128", "data.batch_size=64") in tried  # what needs most memory
    assert ("model.hidden=8", "data.batch_size=4") in tried
    assert len(tried) == 2


def test_every_name_is_tried_however_many() -> None:
    combinations = grid(model___target_=[f"a.Net{i}" for i in range(20)], data__batch_size=[1, 2])
    trials = choose_trials(combinations)
    tried = {text for t in trials.chosen for text in combinations[t.looked_at[0]].overrides}
    assert tried == {text for c in combinations for text in c.overrides}
    assert len(trials.chosen) == 20


def test_a_random_search_is_tried_at_its_extremes() -> None:
    values = [(i * 37 % 101, 0.001 * (i * 53 % 97)) for i in range(100)]
    combinations = [combination(model__hidden=h, optimizer__lr=lr) for h, lr in values]
    trials = choose_trials(combinations)
    assert trials.num_kinds == 100
    assert len(trials.chosen) <= 4 < MOST_TRIALS
