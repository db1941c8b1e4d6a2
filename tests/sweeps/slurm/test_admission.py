import os
from pathlib import Path
from typing import Any

import pytest

from runner.errors import ConfigError, RunError
from runner.sweeps.ledger import Combination
from runner.sweeps.slurm.admission import check_admission, refusal_of
from runner.sweeps.slurm.commands import submitting
from runner.sweeps.slurm.queue import QueueUnavailable
from runner.sweeps.slurm.resources import Resources
from runner.sweeps.slurm.submission import QueueFullError, Submission
from runner.sweeps.slurm.work import SlurmWork
from tests.sweeps.slurm.commands import say

NO_GPU = "hardware.device=auto asks for no GPU: hardware=cuda does"


def combination(*overrides: str, device: str = "cpu", **slurm: Any) -> Combination:
    hardware = {"device": device, "slurm": slurm}
    return Combination(key="", overrides=overrides, config={"hardware": hardware})


def test_what_sbatch_refuses_is_told_with_its_key(tools: Path) -> None:
    say(
        tools,
        "sbatch",
        "echo 'sbatch: error: invalid partition specified: lwo' >&2",
        "echo 'allocation failure: Invalid partition name specified' >&2",
        "exit 1",
    )
    assert refusal_of(Resources(partition="lwo")) == (
        "the cluster would refuse the job: invalid partition specified: lwo; Invalid partition "
        "name specified (hardware.slurm.partition - did you mean 'low'?; there are low, day, "
        "endless)"
    )


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("Invalid account or account/partition combination specified", "account"),
        ("Invalid qos specification", "qos"),
        ("Invalid feature specification", "constraint"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "time_limit"),
    ],
)
def test_the_words_of_sbatch_are_told_with_the_key(tools: Path, words: str, key: str) -> None:
    say(tools, "sbatch", f"echo 'allocation failure: {words}' >&2; exit 1")
    refusal = refusal_of(Resources())
    assert refusal == f"the cluster would refuse the job: {words} (hardware.slurm.{key})"


def test_sbatch_is_asked_for_what_the_job_will_ask(tools: Path) -> None:
    say(tools, "sbatch", f'echo "$@" >{tools}/options')
    resources = Resources(nodes=2, gpus_per_node="a100:2", sbatch=(("exclusive", True),))
    assert refusal_of(resources) is None
    options = (tools / "options").read_text().split()
    wanted = "--test-only --nodes=2 --ntasks-per-node=1 --cpus-per-task=1 --time=61"
    assert options[:5] == wanted.split()
    assert {"--gpus-per-node=a100:2", "--exclusive", "--requeue", "--wrap=true"} <= set(options)
    assert not any("wckey" in option or "srun" in option for option in options)


def test_sbatch_is_asked_in_the_environment_of_a_submission(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(tools, "sbatch", f'echo "$@" $SBATCH_TIMELIMIT $SLURM_NTASKS $SLURM_CONF >{tools}/told')
    for name, value in (("SLURM_NTASKS", "in_a_job"), ("SLURM_CONF", "where"), ("USER_S", "own")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SBATCH_TIMELIMIT", "of_another")
    monkeypatch.setenv("SBATCH_PARTITION", "low")
    assert refusal_of(Resources()) is None
    asked = (tools / "told").read_text()
    assert "--partition=low" in asked and asked.split()[-1] == "where"
    assert "in_a_job" not in asked and "of_another" not in asked
    with submitting():
        names = {name for name in os.environ if name.startswith(("SLURM_", "SBATCH_", "USER_S"))}
        assert names == {"SLURM_CONF", "USER_S"}
    assert os.environ["SBATCH_TIMELIMIT"] == "of_another"


def test_a_cluster_that_does_not_answer_refuses_nothing(tools: Path) -> None:
    say(tools, "sbatch", "echo 'sbatch: error: Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(RunError, match="the cluster does not answer"):
        refusal_of(Resources())


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Batch job submission failed: Resource temporarily unavailable", QueueFullError),
        ("Slurm temporarily unable to accept job, sleeping and retrying", QueueFullError),
        ("Job violates accounting/QOS policy (job submit limit, ...)", QueueFullError),
        ("Unable to contact slurm controller (connect failure)", QueueUnavailable),
        ("Socket timed out on send/recv operation", QueueUnavailable),
        ("Unable to establish configuration source: process configuration", QueueUnavailable),
    ],
)
def test_the_check_and_the_submission_take_the_words_of_sbatch_alike(
    tools: Path, words: str, kind: type[RunError]
) -> None:
    say(tools, "srun")
    say(tools, "sbatch", f"echo 'sbatch: error: {words}' >&2; exit 1")
    with pytest.raises(RunError, match="takes no more jobs now|does not answer") as caught:
        refusal_of(Resources())
    assert ("takes no more" in str(caught.value)) == (kind is QueueFullError)
    submission = Submission(folder=tools, name="x", parameters={})
    work = SlurmWork(work=b"", path=(), log=tools / "log", run=None, retries=1)
    with pytest.raises(kind):
        submission.submit([work])


def test_each_kind_of_resources_is_asked_for_once(tools: Path) -> None:
    say(tools, "sbatch", f"echo asked >>{tools}/calls")
    wanted = [
        combination(f"seed={seed}", nodes=1 + seed % 2, tasks_per_node=1) for seed in range(6)
    ]
    assert check_admission(wanted) == []
    assert (tools / "calls").read_text().count("asked") == 2


def test_what_is_refused_is_told_with_the_overrides_that_cause_it(tools: Path) -> None:
    say(
        tools,
        "sbatch",
        'case "$*" in *--mem=*)',
        "echo 'sbatch: error: Memory specification can not be satisfied' >&2; exit 1 ;; esac",
    )
    wanted = [
        combination("seed=1", "hardware.slurm.memory_gb=null"),
        combination("seed=1", "hardware.slurm.memory_gb=999", memory_gb=999),
        combination("seed=2", "hardware.slurm.memory_gb=999", memory_gb=999),
        combination("seed=2", "hardware.slurm.nodes=2", nodes=2),
    ]
    with pytest.raises(ConfigError) as error:
        check_admission(wanted)
    refused, nonsense = error.value.problems
    assert nonsense.endswith("or a multiple of 2 (with hardware.slurm.nodes=2)")
    assert refused == (
        "the cluster would refuse the job: Memory specification can not be satisfied (asked for: "
        "1 node(s), 1 task(s) a node with 1 CPU(s) each, 999 GB a node) "
        "(with hardware.slurm.memory_gb=999)"
    )


def test_without_sbatch_it_is_noted(tools: Path) -> None:
    assert check_admission([combination(), combination(nodes=1, memory_gb=3)]) == [
        "the cluster was not asked: there is no sbatch on this machine: log in to the cluster"
    ]


def test_a_device_that_is_found_asks_for_no_gpu(tools: Path) -> None:
    say(tools, "sbatch", "exit 0")
    say(tools, "sinfo", "echo gpu:2")
    assert check_admission([combination(device="auto")]) == [NO_GPU]
    assert check_admission([combination(device="auto", gpus_per_node=1)]) == []
    assert check_admission([combination(device="auto", sbatch={"gres": "gpu:1"})]) == []
    assert check_admission([combination(device="cpu")]) == []


def test_a_cluster_without_gpus_is_asked_for_none(tools: Path) -> None:
    say(tools, "sbatch", "exit 0")
    say(tools, "sinfo", "echo '(null)'")
    assert check_admission([combination(device="auto")]) == []
