"""docs/slurm.md: its commands run on a real Slurm, its tables are those of the code."""

import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from hydra_plugins.runner_launchers import SlurmLauncherConf
from runner.config.cluster import SlurmOptions
from runner.config.compose import compose
from runner.config.validate import validate
from runner.sweeps.slurm import reasons
from runner.sweeps.slurm.book import JobBook
from tests.commands.command import BARE, call, only_run, run
from tests.commands.test_sweep import only_sweep, states
from tests.slurm.cluster import SlurmCluster

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "slurm.md").read_text(encoding="utf-8")
RUNNER = "python -m runner "
COMMANDS = [
    shlex.split(line.partition(" #")[0].removeprefix(RUNNER))
    for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
FILES = re.findall(r"^```yaml\n(# (\S+)\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
OWN = "hydra/launcher=my_cluster"
ON_DIRECTORIES = ("status", "resume", "cancel", "sync")
# What the test cluster has, and little to do; the last occurrence of a key counts.
HERE = ("hardware.device=cpu", "hardware.slurm.partition=low", "hardware.slurm.memory_gb=1")
SHORT = ("hardware.threads=1", "trainer.max_steps=2", "debug.limit_batches=1", *BARE)
QUICK = (*HERE, *SHORT, "sweep.check=none")
EVENTS = {  # what holds each row
    "its time limit": "endings::test_time_that_is_up_many_times_costs_no_step",
    "preemption with a grace time": "requeue::test_a_job_that_is_warned_loses_no_step",
    "preemption without one": "requeue::test_a_job_that_is_ended_goes_on",
    "`scontrol requeue`": "requeue::test_a_job_that_is_ended_goes_on",
    "`scancel --signal=USR2`, or TERM, USR1, INT, HUP": (
        "endings::test_every_other_signal_is_obeyed_as_well"
    ),
    "`scancel`, `python -m runner cancel`": "requeue::test_a_cancelled_job_saves_and_stays_away",
    "its node is lost": "endings::test_a_run_outlives_its_node",
    "a fault of the node: a GPU that fell off the bus, an ECC error, a disk that is gone": (
        "endings::test_a_node_that_is_at_fault_is_left"
    ),
    "a process is killed: segfault, no memory left": "requeue::test_a_job_that_is_ended_goes_on",
    "the same, `hydra.launcher.retries` times more without a step gained": (
        "endings::test_a_job_that_gets_nowhere_is_given_up_with_the_reason"
    ),
    "an error in the code": "requeue::test_an_error_of_the_code_is_a_failure_for_slurm_too",
    "one rank of several fails": "nodes::test_the_failure_of_any_rank_is_the_failure_of_the_run",
}


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first column is called so."""
    (rows,) = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[- |]+\n((?:\|.*\n)+)", PAGE, re.M)
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in rows.splitlines()]


def words(heading: str) -> dict[str, str]:
    return {row[0].strip("`"): row[1] for row in table(heading)}


def test_the_page_knows_every_key_and_its_default() -> None:
    told = {
        key: yaml.safe_load(row[1])
        for row in table("key of `hardware.slurm`")
        for key in re.findall("[a-z_]+", row[0])
    }
    options = SlurmOptions()
    assert told == {field.name: getattr(options, field.name) for field in fields(options)}


def test_the_page_knows_every_key_of_the_launcher() -> None:
    told = {row[0].strip("`"): yaml.safe_load(row[1]) for row in table("key")}
    node = SlurmLauncherConf()
    known = [field.name for field in fields(node) if field.name != "_target_"]
    assert told == {f"hydra.launcher.{name}": getattr(node, name) for name in known}


def test_the_page_says_what_status_says() -> None:
    waiting = words("Slurm's word for a job that waits")
    families = {f"...{part}...": text for part, text in reasons._FAMILIES}
    assert waiting == {key: text for key, text in reasons.WAITING.items() if key} | families
    assert words("Slurm's state of a job that is over") == reasons.ENDED
    failed = words("Slurm's word for why it failed")
    assert failed == {key: text for key, text in reasons.ENDED_BY.items() if text}


def test_every_event_of_the_page_has_a_test() -> None:
    assert [row[0] for row in table("event")] == list(EVENTS)
    for test in EVENTS.values():
        file, _, name = test.partition("::")
        assert f"\ndef {name}(" in (ROOT / f"tests/slurm/test_{file}.py").read_text()


def test_every_command_of_the_page_is_known_here() -> None:
    assert {c[0] for c in COMMANDS if "SWEEP_DIR" in c} == set(ON_DIRECTORIES)
    assert len([c for c in COMMANDS if c[0] == "check"]) == 3
    assert len([c for c in COMMANDS if c[0] == "-m"]) == 2
    assert len([c for c in COMMANDS if c[0] == "+experiment=digits"]) == 3
    assert len([c for c in COMMANDS if "--cfg" in c]) == 1
    assert len(COMMANDS) == 3 + 2 + 3 + 1 + len(ON_DIRECTORIES)


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c[0] in ("check", "-m") and OWN not in c], ids=" ".join
)
def test_a_command_composes_a_valid_config(command: list[str]) -> None:
    overrides = [word for word in command[1:] if "," not in word]
    slurm = validate(compose(overrides)).hardware.slurm
    assert command[0] == "-m" or slurm != SlurmOptions()


def test_the_keys_of_the_launcher_are_shown(tmp_path: Path) -> None:
    (command,) = (c for c in COMMANDS if "--cfg" in c)
    shown = run(*command, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    node = yaml.safe_load(shown.stdout)
    assert node == {field.name: field.default for field in fields(SlurmLauncherConf)}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a repository with the files of the page."""
    assert len(FILES) == 2
    for text, name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for words_ in ("init -q", "add -A", "-c user.name=me -c user.email=me@here commit -qm all"):
        subprocess.run(["git", *words_.split()], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.slurm
@pytest.mark.timeout(300)
def test_files_of_ones_own_say_how_the_cluster_is(
    new_jobs: Callable[[], list[str]], project: Path
) -> None:
    check, train, _ = (command for command in COMMANDS if OWN in command)
    refused = run(*check, *SHORT, "sweep.check=config", cwd=project)
    assert refused.returncode == 2 and "invalid partition specified: gpu" in refused.stderr
    checked = run(*check, *HERE, *SHORT, cwd=project)
    assert checked.returncode == 0, checked.stderr
    assert new_jobs() == []
    done = run(*train, *QUICK, cwd=project)
    assert done.returncode == 0, done.stderr
    directory = only_run(project, "digits")
    assert (directory / "slurm" / "code" / "files" / FILES[0][1]).is_file()
    assert new_jobs() == ["COMPLETED"]


@pytest.mark.slurm
@pytest.mark.timeout(300)
def test_one_leaves_and_comes_back(
    slurm_cluster: SlurmCluster, new_jobs: Callable[[], list[str]], project: Path
) -> None:
    own, submit = (command for command in COMMANDS if command[0] == "-m")
    few = (*QUICK, "seed=1", "hardware.slurm.time_limit=null")
    more = ("+hardware.slurm.sbatch.hold=true", "hydra.launcher.array_parallelism=1")
    left = call(*submit, *few, *more, cwd=project)
    assert left.returncode == 0, left.stderr
    assert "2 runs" in left.stderr and "runner resume" in left.stderr
    assert new_jobs() == ["PENDING"] * 2
    array = slurm_cluster.job(JobBook(only_sweep(project).slurm).last_ids[0].partition("_")[0])
    assert array["ArrayTaskThrottle"] == "1" and array["JobName"].startswith("digits.lr_")
    (project / "SWEEP_DIR").symlink_to(only_sweep(project).path)

    def do(name: str, *more: str) -> str:
        (command,) = (c for c in COMMANDS if c[0] == name)
        done = call(*command, *more, cwd=project)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "it is held: scontrol release" in do("status")
    assert "2 cancelled" in do("cancel")
    assert set(new_jobs()) <= {"CANCELLED"}
    watched = do("resume", "hydra.launcher.wait=true", "hardware.slurm.sbatch=null")
    assert "2 completed" in watched
    assert states(only_sweep(project)) == ["completed"] * 2
    assert "2 completed" in do("status")
    assert "has none that is fed later" in do("sync")
    again = call(*own, *few, cwd=project)
    assert again.returncode == 0 and "2 done, to be skipped" in again.stderr


@pytest.mark.slurm
@pytest.mark.slow  # four ranks on few cores
@pytest.mark.timeout(300)
def test_one_run_on_several_nodes_and_one_without_files(
    new_jobs: Callable[[], list[str]], tmp_path: Path
) -> None:
    plain, nodes = (c for c in COMMANDS if c[0] == "+experiment=digits" and OWN not in c)
    for name, command in (("plain", plain), ("nodes", nodes)):
        done = call(*command, *QUICK, f"name={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert new_jobs() == ["COMPLETED"] * 2
    logs = {path.name for path in (only_run(tmp_path, "nodes") / "logs").iterdir()}
    assert logs == {"console.log", *(f"rank_{rank}.log" for rank in range(4))}
