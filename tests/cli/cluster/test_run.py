"""A single run on a cluster: who else is at it, and what is said of it."""

import io
from dataclasses import asdict
from pathlib import Path

import pytest

from hydra_plugins.runner_launchers import SlurmLauncherConf
from runner.cli.cluster.console import RunConsole
from runner.cli.cluster.run import ClusterRun, resume_there
from runner.cli.sweeps.console import SweepConsole
from runner.config.options import SweepOptions
from runner.errors import RunError
from runner.run.directory import RunDirectory
from runner.run.status import Status, write_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import PlannedRun
from runner.sweeps.outcomes import Outcome
from runner.sweeps.pool import Whereabouts
from runner.sweeps.slurm.book import JobBook
from runner.sweeps.watcher import JobAtWork
from tests.cli.test_cancel import holder
from tests.sweeps.slurm.programs import Commands, calls_in

NODE = asdict(SlurmLauncherConf())


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(tmp_path, monkeypatch)


def test_who_comes_second_leaves_what_the_first_has_begun_alone(
    tmp_path: Path, commands: Commands
) -> None:
    calls = commands("sbatch", code=1)
    run = RunDirectory(tmp_path / "here")
    run.slurm_folder.mkdir(parents=True)
    with holder(run.slurm_lease) as first:
        second = ClusterRun(directory=run.path, config={}, launcher=NODE)
        with pytest.raises(RunError, match=f"is in use by process {first.pid}"):
            second.submit({}, SweepOptions(check="none"))
        assert run.slurm_lease.exists() and not run.slurm.exists()
    assert calls_in(calls) == []


def test_a_second_resume_changes_nothing(tmp_path: Path, commands: Commands) -> None:
    commands("squeue")
    run = RunDirectory(tmp_path / "here")
    JobBook(run.slurm).opened(NODE, {"seed": 1})
    run.slurm_folder.mkdir()
    before = run.slurm.read_text()
    with holder(run.slurm_lease), pytest.raises(RunError, match="is in use"):
        resume_there(run.path, ["hydra.launcher.retries=7"])
    assert run.slurm.read_text() == before


RUN = PlannedRun(number=0, key="", overrides=("seed=1",), config={})
DOWN = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Whereabouts(text="JobHeldUser", is_waiting=True), "the job waits: JobHeldUser\n"),
        (Whereabouts(text="pending", is_waiting=True), "the job waits: no reason given yet\n"),
        (
            Whereabouts(text="ReqNodeNotAvail, UnavailableNodes:node1", is_waiting=True),
            "the job waits: ReqNodeNotAvail\n",
        ),
        (
            Whereabouts(text=DOWN, is_waiting=True),
            "the job waits: the nodes that it could use are down, drained or reserved\n",
        ),
        (Whereabouts(text="node1"), "the job on node1\n"),
        (Whereabouts(), ""),
    ],
)
def test_where_the_job_is(tmp_path: Path, where: Whereabouts, said: str) -> None:
    shown = io.StringIO()
    RunConsole(RunDirectory(tmp_path), shown).look([JobAtWork(run=RUN, whereabouts=where)], 0)
    assert shown.getvalue() == said


@pytest.mark.parametrize(
    ("state", "outcome", "said"),
    [
        ("cancelled", Outcome.CANCELLED, "the run was cancelled"),
        ("queued", Outcome.ERROR, "the run is queued"),
        ("failed", Outcome.ERROR, "the run failed: KeyError: 'bug'; more in .*console.log"),
    ],
)
def test_an_end_is_a_sentence(tmp_path: Path, state: str, outcome: Outcome, said: str) -> None:
    run = RunDirectory(tmp_path)
    run.logs.mkdir()
    run.console.write_text("words")
    status = Status(state=state, error="KeyError: 'bug'" if state == "failed" else None)
    write_status(run.status, status)
    console = RunConsole(run, io.StringIO())
    console.ended(RUN, outcome, status)
    with pytest.raises(RunError, match=f"^{said}$"):
        console.result()


def test_what_waits_on_a_cluster_has_not_begun(tmp_path: Path) -> None:
    shown = io.StringIO()
    console = SweepConsole(SweepDirectory(tmp_path), shown, is_of_cluster=True)
    console.began(RUN, None)
    console.began(RUN, Status(state="running", step=4))
    assert shown.getvalue() == "run 0 queued: seed=1\nrun 0 at work at step 4: seed=1\n"
