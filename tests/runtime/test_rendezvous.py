import concurrent.futures
import itertools
import pickle
import time

import pytest
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from runner.errors import ConfigError, DataError, Interrupted, RunError
from runner.runtime import rendezvous
from runner.runtime.launch import Launch
from runner.runtime.ranks import ALONE, Ranks, tells_of_another_rank
from runner.runtime.rendezvous import (
    Failure,
    FailureReports,
    agreed,
    failure_of,
    host_store,
    reports_of_run,
    wait_for_all,
)
from runner.runtime.signals import StopRequests


def launch_at(store: TCPStore, rank: int, count: int = 2) -> Launch:
    return Launch(
        rank=rank,
        count=count,
        local_rank=rank,
        host="127.0.0.1",
        port=store.port,
        hosts_store=False,
    )


def test_the_first_report_stands_and_all_read_it() -> None:
    store, reports = host_store()
    ranks = [reports_of_run(launch_at(store, number), 0) for number in (0, 1)]
    assert ranks[0].first() is None
    ranks[1].report(failure_of(1, ValueError("no luck")))
    ranks[0].report(failure_of(0, RunError("what it led to")))
    for reader in (reports, *ranks):
        assert reader.first() == Failure(1, "ValueError: no luck", 1, False)


def test_a_failure_is_told_as_a_sentence() -> None:
    assert failure_of(2, KeyError("x")).sentence == (
        "rank 2 failed: KeyError: 'x'; its traceback is in logs/rank_2.log"
    )
    assert failure_of(0, DataError("no such picture")).sentence == "no such picture"
    assert failure_of(0, DataError("no such picture")).exit_code == 2


def test_a_store_that_is_gone_tells_nothing_and_hurts_nobody(
    capfd: pytest.CaptureFixture[str],
) -> None:
    store, mine = host_store()
    reports = reports_of_run(launch_at(store, 0), 0)
    del store, mine
    reports.report(Failure(0, "too late"))
    assert reports.first() is None


def test_who_waits_hears_at_once_that_another_failed_before_it_came() -> None:
    store, reports = host_store()
    reports.report(Failure(1, "rank 1 was killed by signal 9", is_told=True))
    started = time.monotonic()
    with pytest.raises(RunError, match="killed by signal 9"):
        wait_for_all(PrefixStore("x", store), reports, launch_at(store, 0), None)
    assert time.monotonic() - started < 5


def test_a_stop_ends_the_waiting_for_others() -> None:
    store, reports = host_store()
    stop = StopRequests()
    stop.received = 15  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        wait_for_all(PrefixStore("x", store), reports, launch_at(store, 0), stop)


def test_all_ranks_agree_on_what_rank_0_made(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = host_store()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        # What is agreed on is counted in each process; here both ranks are in one.
        monkeypatch.setattr(rendezvous, "_stamps", itertools.repeat(0))
        waiting = pool.submit(agreed, launch_at(store, 1), lambda: "mine")
        assert agreed(launch_at(store, 0), lambda: "from rank 0") == "from rank 0"
        assert waiting.result(10) == "from rank 0"
    assert agreed(None, lambda: "alone") == "alone"


def test_the_failure_of_a_collective_is_not_the_reason_if_another_rank_told_one() -> None:
    store, _ = host_store()
    first, second = (
        Ranks(rank=number, count=2, reports=reports_of_run(launch_at(store, number), 0))
        for number in (0, 1)
    )
    second.report_failure(ValueError("no luck"))
    broken = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    told = first.failure_behind(broken)
    assert told is not None and (told.rank, told.error) == (1, "ValueError: no luck")
    assert first.failure_behind(ValueError("my own")) is None
    assert second.failure_behind(broken) is None, "a rank is not told of itself"
    assert ALONE.failure_behind(broken) is None


def test_a_collective_is_found_behind_what_it_led_to() -> None:
    wrapped = RunError("callbacks.mine failed")
    wrapped.__cause__ = RuntimeError("NCCL error: remote process exited")
    assert tells_of_another_rank(wrapped)
    assert not tells_of_another_rank(RuntimeError("CUDA out of memory"))


def test_errors_travel_between_ranks() -> None:
    config = pickle.loads(pickle.dumps(ConfigError("one", "two")))
    assert config.problems == ("one", "two")
    assert pickle.loads(pickle.dumps(Interrupted(15))).exit_code == 143


def test_reports_are_those_of_one_run() -> None:
    store, _ = host_store()
    reports_of_run(launch_at(store, 0), 0).report(Failure(0, "of the first run"))
    assert reports_of_run(launch_at(store, 0), 1).first() is None
    assert isinstance(reports_of_run(launch_at(store, 0), 1), FailureReports)
