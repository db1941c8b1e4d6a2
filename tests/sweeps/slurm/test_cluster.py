"""With a few lines of shell in the place of Slurm; tests/slurm/ asks the real one."""

from pathlib import Path

import pytest

from runner.errors import RunError
from runner.sweeps.slurm import cluster
from tests.sweeps.slurm.commands import say


def test_the_size_of_arrays_is_asked_for_once(tools: Path) -> None:
    assert [cluster.max_array_size() for _ in range(3)] == [1001] * 3
    assert (tools / "asked").read_text().count("once") == 1


@pytest.mark.parametrize(
    ("partition", "minutes"),
    [
        ("low", 1830),
        ("day", 61),
        (None, 61),
        ("endless", None),
        ("endless,low", 1830),
        ("low,day", 61),
        ("nowhere", None),
    ],
)
def test_a_job_without_a_limit_has_that_of_its_partition(
    tools: Path, partition: str | None, minutes: int | None
) -> None:
    assert cluster.time_limit_minutes(partition) == minutes


def test_without_slurm_it_is_told_where_to_go(tools: Path) -> None:
    (tools / "scontrol").unlink()
    with pytest.raises(RunError, match="there is no scontrol on this machine"):
        cluster.max_array_size()


def test_whether_there_are_gpus(tools: Path) -> None:
    say(tools, "sinfo", "echo '(null)'")
    assert not cluster.has_gpus()


def test_a_gpu_of_any_node_counts(tools: Path) -> None:
    say(tools, "sinfo", "echo '(null)'; echo gpu:2")
    assert cluster.has_gpus()
