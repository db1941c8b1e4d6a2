from pathlib import Path
from typing import Any

import pytest
from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

from runner.config.compose import compose
from runner.config.frozen import freeze_open
from runner.errors import ConfigError
from runner.sweeps.slurm.resources import Resources, resources_of


@pytest.fixture(autouse=True)
def an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of all partitions but one have an hour."""

    def time_limit(partition: str | None) -> int | None:
        return None if partition == "endless" else 60

    monkeypatch.setattr("runner.sweeps.slurm.resources.time_limit_minutes", time_limit)


def asked(*overrides: str) -> Resources:
    return resources_of(freeze_open(compose(overrides)))


def script(resources: Resources) -> str:
    return _make_sbatch_string("python job.py", "logs", **resources.parameters())


def test_by_default_a_job_asks_for_a_task_with_one_cpu() -> None:
    assert asked() == Resources()
    assert resources_of({"hardware": {"device": "auto"}}) == Resources()  # of an older run
    assert resources_of({}) == Resources()


def test_where_jobs_go_is_the_users_default_unless_they_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PARTITION", "ACCOUNT", "QOS", "CONSTRAINT", "RESERVATION", "WCKEY"):
        monkeypatch.setenv(f"SBATCH_{name}", f"my_{name.lower()}")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    lines = script(asked()).splitlines()
    for name in ("partition", "account", "qos", "constraint", "reservation", "wckey"):
        assert f"#SBATCH --{name}=my_{name}" in lines
    assert "#SBATCH --time=60" in lines
    other = script(asked("hardware.slurm.partition=p", "hardware.slurm.sbatch={reservation: r}"))
    assert "--partition=p" in other and "--reservation=r" in other
    assert "my_partition" not in other and "my_reservation" not in other


def test_the_time_limit_is_that_of_the_users_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "endless")
    assert Resources().parameters()["time"] == 365 * 24 * 60
    assert Resources(partition="low").parameters()["time"] == 60


def test_equal_resources_are_one_key_of_a_mapping() -> None:
    same = [
        asked("hardware.slurm.sbatch={nice: 3, exclude: [a, b]}", "hardware.slurm.setup=[x]"),
        asked("hardware.slurm.sbatch={exclude: [a, b], nice: 3}", "hardware.slurm.setup=[x]"),
    ]
    assert len(set(same)) == 1
    assert len({*same, asked("hardware.slurm.memory_gb=3")}) == 2


def test_cpus_are_those_of_threads_and_workers() -> None:
    assert asked("data.num_workers=3").cpus_per_task == 4
    assert asked("data.num_workers=3", "hardware.threads=2").cpus_per_task == 5
    assert asked("data.num_workers=3", "hardware.slurm.cpus_per_task=7").cpus_per_task == 7


def test_ranks_are_shared_by_the_nodes() -> None:
    fsdp = asked("hardware=fsdp", "hardware.num_processes=4", "hardware.slurm.nodes=2")
    assert (fsdp.tasks_per_node, fsdp.num_tasks) == (2, 4)
    spread = asked("hardware.slurm.nodes=2", "hardware.slurm.tasks_per_node=3")
    assert (spread.nodes, spread.num_tasks) == (2, 6)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["hardware.slurm.nodes=2"],
            "hardware.num_processes=1 cannot be shared evenly by hardware.slurm.nodes=2: give "
            "hardware.slurm.tasks_per_node, or a multiple of 2",
        ),
        (
            ["hardware.num_processes=3", "hardware.slurm.tasks_per_node=2"],
            "hardware.num_processes=3, and hardware.slurm.nodes=1 with "
            "hardware.slurm.tasks_per_node=2 makes 2: leave one out",
        ),
        (
            ["hardware=cuda", "hardware.num_processes=2", "hardware.slurm.gpus_per_node=a100"],
            "hardware.slurm.gpus_per_node=a100, and hardware.device=cuda takes one for each of the "
            "2 ranks on a node: give more of them, or hardware=cpu",
        ),
        (
            ["hardware.device=cuda:1"],
            "hardware.device=cuda:1 names a GPU, and the cluster gives one of its own choice: use "
            "hardware.device=cuda, or give hardware.slurm.gpus_per_node",
        ),
    ],
)
def test_contradictions_are_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        asked(*overrides)
    assert str(error.value) == said


def test_ranks_on_cuda_have_a_gpu_each() -> None:
    assert asked("hardware=cuda").gpus_per_node == 1
    two = ("hardware=cuda", "hardware.slurm.nodes=2", "hardware.num_processes=4")
    assert asked(*two).gpus_per_node == 2
    assert asked(*two, "hardware.slurm.gpus_per_node=a100:2").gpus_per_node == "a100:2"
    assert asked("hardware=cuda", "hardware.slurm.sbatch={gres: gpu}").gpus_per_node is None
    assert asked("hardware=auto").gpus_per_node is None
    assert asked("hardware=cpu", "hardware.slurm.gpus_per_node=0").gpus_per_node is None


def test_the_script_says_all_that_is_asked(tmp_path: Path) -> None:
    resources = asked(
        "hardware.slurm.memory_gb=1.5",
        "hardware.slurm.gpus_per_node=a100:2",
        "hardware.slurm.time_limit=1-12:00:00",
        "hardware.slurm.partition=high",
        "hardware.slurm.account=12345",
        "hardware.slurm.qos=fast",
        "hardware.slurm.constraint='a|b'",
        "hardware.slurm.sbatch={exclude: [node3, node4], mail_type: FAIL, exclusive: true, x11: null, hold: false}",  # noqa: E501
        "hardware.slurm.srun=['--mpi=pmix']",
        "hardware.slurm.setup=['module load cuda']",
        "hardware.threads=4",
    )
    lines = script(resources).splitlines()
    for line in (
        *("--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=4", "--mem=1536M", "--time=2160"),
        *("--gpus-per-node=a100:2", "--partition=high", "--account=12345", "--qos=fast"),
        *("--constraint='a|b'", "--exclude=node3,node4", "--mail-type=FAIL", "--exclusive"),
        *("--requeue", "--signal=USR2@120"),
    ):
        assert f"#SBATCH {line}" in lines
    text = "\n".join(lines)
    assert not any(word in text for word in ("x11", "hold", "wckey"))
    assert "module load cuda" in lines[lines.index("# setup") + 1]
    (srun,) = [line for line in lines if line.startswith("srun")]
    assert "--kill-on-bad-exit=1 --wait=0 --cpus-per-task=4 --mpi=pmix" in srun


def test_submitit_takes_the_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submitit.slurm.slurm.SlurmExecutor.affinity", lambda *_: 2)
    executor = SlurmExecutor(tmp_path)
    executor.update_parameters(**asked("hardware.num_processes=2").parameters())
    assert executor._num_tasks() == 2


@pytest.mark.parametrize(
    ("overrides", "minutes", "warning"),
    [
        (["hardware.slurm.time_limit='3 hours'"], 180, 120),
        ([], 60, 120),  # of the partition
        (["hardware.slurm.partition=endless"], 525_600, 120),
        (["hardware.slurm.time_limit='2 minutes'"], 2, 60),  # half of the time is for work
    ],
)
def test_the_time_is_known_to_submitit(overrides: list[str], minutes: int, warning: int) -> None:
    parameters = asked(*overrides).parameters()
    assert (parameters["time"], parameters["signal_delay_s"]) == (minutes, warning)


def test_the_warning_may_be_another() -> None:
    assert asked().parameters(warning_seconds=30)["signal_delay_s"] == 30


def test_a_job_that_must_not_come_back_says_so() -> None:
    options: dict[str, Any] = asked("hardware.slurm.sbatch={no-requeue: true}").parameters()
    assert options["additional_parameters"] == {"no-requeue": True}
