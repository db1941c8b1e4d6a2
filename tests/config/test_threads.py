from pathlib import Path

import pytest

from runner.config.threads import available_threads, threads_of_run


def test_omp_num_threads_decides_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert available_threads() == 7


def test_a_task_of_slurm_has_what_it_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    assert available_threads() == 64
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    assert available_threads() == 6
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert available_threads() == 7


def test_a_run_tells_its_threads(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert threads_of_run(path) is None
    path.write_text("seed: 1\n")
    assert threads_of_run(path) is None
    path.write_text("hardware:\n  threads: 5\n")
    assert threads_of_run(path) == 5


def test_the_ranks_of_a_machine_share_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert available_threads(2) == 3
    assert available_threads(8) == 1
