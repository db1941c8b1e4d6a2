"""One run on two nodes with two ranks each, on a real Slurm."""

from pathlib import Path

import pytest

from runner.run.directory import RunDirectory
from tests.slurm.cluster import SlurmCluster
from tests.slurm.runs import SAVED, RunOnCluster, assert_same_end, rows, undisturbed

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(300)]

RANKS = "hardware.num_processes=4"
EXACT = "model.dropout=0"  # each rank draws its own otherwise
FOUR = {"nodes": 2, "ntasks_per_node": 2}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return undisturbed(tmp_path_factory.mktemp("straight") / "run", RANKS)


def submitted(cluster: SlurmCluster, path: Path, *overrides: str, **knobs: object) -> RunOnCluster:
    return RunOnCluster(cluster, path / "run").submit(RANKS, *overrides, **FOUR, **knobs)


@pytest.mark.parametrize("event", ["requeue", "USR2"])
def test_four_ranks_are_one_run_and_go_on_together(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory, event: str
) -> None:
    run = submitted(slurm_cluster, tmp_path)
    command = ("scontrol", "requeue") if event == "requeue" else ("scancel", f"--signal={event}")
    run.strike(*command, run.id)
    run.wait_until(lambda: run.restarts == 1, seconds=30)
    run.wait_for("COMPLETED", "FAILED", seconds=200)
    assert_same_end(run, straight)
    logs = sorted(path.name for path in run.directory.logs.iterdir())
    assert logs == ["console.log", *(f"rank_{rank}.log" for rank in range(4))]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["run", "slurm"]


def test_metrics_of_four_ranks_are_those_of_one_process(
    straight: RunDirectory, tmp_path: Path
) -> None:
    """Dropout aside, of which each rank draws its own; sums are in another order."""
    four = undisturbed(tmp_path / "four", RANKS, EXACT)
    one = undisturbed(tmp_path / "one", EXACT)
    assert len(rows(four)) == len(rows(one))
    for ours, alone in zip(rows(four), rows(one), strict=True):
        assert (ours["split"], ours["step"]) == (alone["split"], alone["step"])
        assert ours["values"] == pytest.approx(alone["values"], rel=1e-3)


@pytest.mark.parametrize("rank", [0, 3])
def test_the_failure_of_any_rank_is_the_failure_of_the_run(
    slurm_cluster: SlurmCluster, tmp_path: Path, rank: int
) -> None:
    run = submitted(
        slurm_cluster,
        tmp_path,
        "+callbacks.pace.mischief=raise",
        f"+callbacks.pace.rank={rank}",
        "+callbacks.pace.at=3",
    )
    run.wait_for("FAILED", "COMPLETED", seconds=120)
    assert run.cluster.job(run.id)["ExitCode"] == "1:0"
    assert run.slurm_state == "FAILED" and run.restarts == 0, run.words
    assert run.status.state == "failed" and "no luck" in (run.status.error or "")
    assert "no luck" in run.directory.log_of_rank(rank).read_text()


@pytest.mark.parametrize("rank", [0, 3])
def test_a_rank_that_is_killed_brings_the_whole_job_back(
    slurm_cluster: SlurmCluster, tmp_path: Path, straight: RunDirectory, rank: int
) -> None:
    run = submitted(
        slurm_cluster, tmp_path, "+callbacks.pace.mischief=die", f"+callbacks.pace.rank={rank}"
    )
    run.wait_until(lambda: run.restarts == 1, seconds=90)
    run.wait_for("COMPLETED", "FAILED", seconds=200)
    assert_same_end(run, straight)
    assert run.from_steps == [0, SAVED]
