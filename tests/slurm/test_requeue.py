"""What happens to jobs of a real Slurm: they come back, and end as if nothing had happened.

All of them are at work at once, since each waits most of its time; then each is looked at.
"""

from collections.abc import Callable, Iterator

import pytest

from runner.run.directory import RunDirectory
from tests.slurm.cluster import SlurmCluster
from tests.slurm.runs import SAVE_EVERY, RunOnCluster, assert_same_end, undisturbed

pytestmark = pytest.mark.slurm

SIGNALS = ("USR2", "USR1", "TERM", "INT")
DIE = ("+callbacks.pace.mischief=die",)


def signalled(name: str) -> Callable[[RunOnCluster], object]:
    return lambda run: run.cluster.call("scancel", f"--signal={name}", run.id)


def requeued(run: RunOnCluster) -> None:
    run.cluster.call("scontrol", "requeue", run.id)


EVENTS: dict[str, Callable[[RunOnCluster], object]] = {
    **{name: signalled(name) for name in SIGNALS},
    "requeue": requeued,
    "cancel": lambda run: run.cluster.call("scancel", run.id),
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return undisturbed(tmp_path_factory.mktemp("straight") / "run")


@pytest.fixture(scope="module")
def runs(
    slurm_cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, RunOnCluster]]:
    """Start all runs, let happen to each what its name says, and wait for them."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(slurm_cluster.conf))

        def start(name: str, *overrides: str, **parameters: object) -> RunOnCluster:
            run = RunOnCluster(slurm_cluster, folder / name / "run")
            return run.submit(*overrides, **parameters)

        begun = {name: start(name, nodelist="node1") for name in EVENTS}
        begun["die"] = start("die", *DIE, nodelist="node1")
        begun["raise"] = start("raise", "+callbacks.pace.mischief=raise", nodelist="node1")
        begun["preempt"] = start("preempt", nodelist="node2")
        begun["grace"] = start("grace", nodelist="node2", partition="grace")
        for name, happen in EVENTS.items():
            begun[name].wait_for_checkpoint()
            happen(begun[name])
        for name in ("preempt", "grace"):
            begun[name].wait_for_checkpoint()
        slurm_cluster.submit("sleep 1", "-p", "high", "-w", "node2", "--exclusive")
        for run in begun.values():
            run.wait_for("COMPLETED", "FAILED", "CANCELLED")
        yield begun


@pytest.mark.parametrize("name", [*SIGNALS, "grace"])
def test_a_job_that_is_warned_loses_no_step(
    runs: dict[str, RunOnCluster], straight: RunDirectory, name: str
) -> None:
    run = runs[name]
    assert_same_end(run, straight)
    assert run.restarts == 1
    first, second = run.from_steps
    assert first == 0 and second is not None
    assert second % SAVE_EVERY, "it did not save because of the signal"


@pytest.mark.parametrize("name", ["requeue", "preempt", "die"])
def test_a_job_that_is_ended_goes_on(
    runs: dict[str, RunOnCluster], straight: RunDirectory, name: str
) -> None:
    run = runs[name]
    assert_same_end(run, straight)
    assert run.restarts == 1
    assert run.from_steps[1], "nothing was saved"


def test_a_cancelled_job_saves_and_stays_away(runs: dict[str, RunOnCluster]) -> None:
    run = runs["cancel"]
    assert run.slurm_state == "CANCELLED" and run.restarts == 0, run.words
    assert run.status.state == "cancelled", run.words
    weights = run.directory.checkpoints / f"step_{run.status.step:08d}" / "manifest.json"
    assert weights.exists() and run.status.step % SAVE_EVERY


def test_an_error_of_the_code_is_a_failure_for_slurm_too(runs: dict[str, RunOnCluster]) -> None:
    run = runs["raise"]
    assert run.slurm_state == "FAILED" and run.restarts == 0
    assert run.cluster.job(run.id)["ExitCode"] == "1:0"
    assert run.status.state == "failed" and run.status.error == "ValueError: no luck"
    assert "no luck" in run.directory.console.read_text()
