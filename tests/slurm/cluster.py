"""A Slurm cluster of its own for each test process: scripts/slurm_dev, as a test sees it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm_dev"
NODES = ("node1", "node2")


class SlurmCluster:
    """Two nodes of 8 processors and two GPUs; the partitions low, grace and high."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.conf = home / "slurm.conf"

    def start(self, *options: str) -> str:
        """Start it with the options of `slurm_dev start`; return what a shell would evaluate."""
        return self._script("start", *options)

    def stop(self) -> None:
        self._script("stop")

    def node_down(self, name: str, *, quietly: bool = False) -> None:
        """Lose a node; quietly, and Slurm notices it by itself only, after 20 s and more."""
        self._script("node-down", name, *(["--quietly"] if quietly else []))

    def node_up(self, name: str) -> None:
        self._script("node-up", name)
        wait_until(lambda: self.node_states()[name] in ("idle", "mixed", "allocated"), seconds=60)

    def call(self, *command: str) -> str:
        """Run a command of Slurm's on this cluster and return what it printed."""
        return _output(self._run(*command))

    def submit(self, script: str, *options: str) -> str:
        """Submit lines of shell as a batch job and return its id; its output is dropped."""
        return self.call(
            "sbatch", "--parsable", "-o", "/dev/null", *options, "--wrap", script
        ).strip()

    def squeue(self) -> dict[str, str]:
        """Every job that Slurm knows, those that ended too, and its state."""
        lines = self.call("squeue", "-h", "-r", "-t", "all", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def job(self, job_id: str) -> dict[str, str]:
        """What scontrol shows of a job, by its own names: JobState, Restarts, NodeList, ..."""
        words = self.call("scontrol", "show", "job", "-o", job_id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def node_states(self) -> dict[str, str]:
        lines = self.call("sinfo", "-h", "-N", "-p", "low", "-o", "%N %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_for(self, job_id: str, *states: str, seconds: float = 60) -> None:
        wait_until(lambda: self.squeue().get(job_id) in states, seconds=seconds)

    def clear(self) -> None:
        """End every job and bring back every node, so that the next test finds it idle."""
        jobs = self.call("squeue", "-h", "-o", "%A").split()
        # SIGKILL first: a job that ignores SIGTERM would be waited for. Some end meanwhile.
        for options in (["-s", "KILL", "-f"], []) if jobs else ():
            self._run("scancel", *options, *jobs)
        for name, state in self.node_states().items():
            if state not in ("idle", "mixed", "allocated", "completing"):
                self.node_up(name)
        wait_until(lambda: set(self.node_states().values()) == {"idle"}, seconds=60)

    def _script(self, *arguments: str) -> str:
        return _output(self._run(str(SCRIPT), *arguments, "--home", str(self.home)))

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = dict(os.environ, SLURM_CONF=str(self.conf))
        return subprocess.run(command, env=env, capture_output=True, text=True)


def wait_until(is_true: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def require_slurm() -> None:
    if shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("Slurm is not installed: scripts/slurm_dev install")


@contextmanager
def running_cluster(*options: str) -> Iterator[SlurmCluster]:
    """Give a cluster that lives in a folder of its own and leaves nothing behind."""
    require_slurm()
    # Not below tmp_path: the sockets in it have names of 107 characters at most.
    home = Path(tempfile.mkdtemp(prefix="slurm_"))
    cluster = SlurmCluster(home)
    try:
        cluster.start(*options)
        yield cluster
    finally:
        if any(home.iterdir()):
            cluster.stop()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """A cluster of this test process: SLURM_CONF names it, and each test finds it idle."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def slurm_cluster_with_accounting() -> Iterator[SlurmCluster]:
    """The same with a database, so that sacct works."""
    with running_cluster("--accounting") as cluster:
        yield cluster


@pytest.fixture
def new_jobs(slurm_cluster: SlurmCluster) -> Callable[[], list[str]]:
    """Tell the states of the jobs that were submitted since the test began."""
    before = slurm_cluster.squeue()
    return lambda: [state for job, state in slurm_cluster.squeue().items() if job not in before]


@pytest.fixture(autouse=True)
def slurm_conf(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SlurmCluster | None]:
    """Name the cluster that a test uses in SLURM_CONF, and clear it afterwards."""
    monkeypatch.delenv("SLURM_CONF", raising=False)
    for name in ("slurm_cluster", "slurm_cluster_with_accounting"):
        if name in request.fixturenames:
            cluster = request.getfixturevalue(name)
            monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
            yield cluster
            cluster.clear()
            return
    yield None


def _output(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{' '.join(done.args)}: {done.stdout}{done.stderr}"
    return done.stdout
