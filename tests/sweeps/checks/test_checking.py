"""All combinations are looked at before any is started; what kills the look is told as well."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runner.config.options import SweepOptions
from runner.errors import ConfigError, Interrupted
from runner.runtime.signals import StopRequests
from runner.sweeps.checks.checking import Checker, Report
from runner.sweeps.ledger import Combination
from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots
from tests.sweeps.pools import own_children
from tests.sweeps.works import LightWorks

SEEDS = (1, 2)


def combinations(**models: dict[str, Any]) -> list[Combination]:
    """Return those of a sweep over models (by name) and seeds."""
    return [
        Combination(
            key=f"{name}{seed}",
            overrides=(f"model={name}", f"seed={seed}"),
            config={"model": {"_target_": f"a.{name}", **node}, "seed": seed, "trainer": {}},
        )
        for name, node in models.items()
        for seed in SEEDS
    ]


@pytest.fixture
def pool() -> Iterator[LocalPool]:
    pool = LocalPool(Slots(1, cores=1), preload=("tests.sweeps.works",), grace_seconds=2.0)
    yield pool
    pool.close()
    assert not own_children()


def check(pool: LocalPool, wanted: list[Combination], **options: Any) -> Report:
    return Checker(pool, LightWorks(), options=SweepOptions(**options)).check(wanted)


def problems(pool: LocalPool, wanted: list[Combination], **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(pool, wanted, **options)
    # Where in tests/sweeps/works.py a process died is of no matter here.
    return [re.sub(r", at tests/sweeps/works.py:\d+", "", p) for p in caught.value.problems]


def test_a_good_sweep_is_reported(pool: LocalPool) -> None:
    report = check(pool, combinations(mlp={}, crnn={}))
    assert (report.combinations, report.num_kinds) == (4, 2)
    assert report.facts == [{"tried": "a.mlp"}, {"tried": "a.crnn"}]
    assert report.seconds > 0


def test_all_mistakes_of_all_configs_are_told_before_any_trial(pool: LocalPool) -> None:
    wanted = combinations(mlp={"wrong": "mlp.x is no key"}, crnn={"wrong": "crnn.y is no key"})
    assert problems(pool, wanted) == [
        "mlp.x is no key (with model=mlp)",
        "crnn.y is no key (with model=crnn)",
    ]


def test_a_trial_that_fails_is_blamed_on_what_it_stands_for(pool: LocalPool) -> None:
    wanted = combinations(mlp={}, crnn={"wrong_trial": "the forward pass failed"})
    assert problems(pool, wanted) == ["the forward pass failed (with model=crnn)"]


def test_a_trial_that_dies_harms_no_other(pool: LocalPool) -> None:
    wanted = combinations(mlp={"deadly_trial": True}, crnn={"wrong_trial": "crnn is wrong"})
    died, wrong = problems(pool, wanted)
    assert died == "the trial killed its process (SIGSEGV) (with model=mlp)"
    assert wrong == "crnn is wrong (with model=crnn)"


def test_a_validation_that_dies_goes_on_behind_its_killer(pool: LocalPool) -> None:
    wanted = combinations(
        mlp={"wrong": "mlp is wrong"}, crnn={"deadly": True}, other={"wrong": "other is wrong"}
    )
    assert problems(pool, wanted) == [
        "mlp is wrong (with model=mlp)",
        "the reading killed its process (SIGSEGV) (with model=crnn)",
        "other is wrong (with model=other)",
    ]


def test_a_trial_that_hangs_is_told(pool: LocalPool) -> None:
    wanted = combinations(mlp={"hangs": True})
    assert problems(pool, wanted, check_timeout="1 seconds") == [
        "the trial did not end within 1 seconds (sweep.check_timeout)"
    ]


def test_only_as_much_is_done_as_is_asked_for(pool: LocalPool) -> None:
    wanted = combinations(mlp={"wrong_trial": "x"})
    assert check(pool, wanted, check="config").facts == []
    wanted = combinations(mlp={"wrong": "x"})
    assert check(pool, wanted, check="none").combinations == 2
    assert problems(pool, wanted, check="config") == ["x"]
    assert problems(pool, wanted[:1], check="config") == ["x"]


def test_a_stop_request_ends_it_and_its_processes(pool: LocalPool) -> None:
    stop = StopRequests()
    soon = threading.Timer(0.7, lambda: setattr(stop, "received", signal.SIGTERM))
    soon.start()
    start = time.monotonic()
    with pytest.raises(Interrupted):
        Checker(pool, LightWorks(), options=SweepOptions(), stop=stop).check(
            combinations(mlp={"hangs": True})
        )
    assert 0.7 <= time.monotonic() - start < 20
    assert pool.has_room()
