from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.config.asked import hardware_of
from runner.config.cluster import SlurmOptions, gpus_in, minutes_of
from runner.config.compose import compose
from runner.config.frozen import freeze_open, load_frozen
from runner.config.layout import is_layout
from runner.config.validate import validate
from runner.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("4 hours", 240),
        ("1.5 hours", 90),
        ("2 days", 2880),
        ("90 seconds", 2),
        ("1-12:00:00", 2160),
        ("1-12", 2160),
        ("1-12:30", 2190),
        ("12:00:00", 720),
        ("90:30", 91),
    ],
)
def test_a_time_is_whole_minutes(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"nodes": 0}, "hardware.slurm.nodes must be >= 1, got 0"),
        ({"tasks_per_node": 0}, "hardware.slurm.tasks_per_node must be >= 1"),
        ({"cpus_per_task": 0}, "hardware.slurm.cpus_per_task must be >= 1"),
        ({"gpus_per_node": -1}, "hardware.slurm.gpus_per_node must be >= 0"),
        ({"gpus_per_node": "a100:two"}, "hardware.slurm.gpus_per_node must be a number, or a kind"),
        ({"gpus_per_node": "a100:0"}, "hardware.slurm.gpus_per_node must be a number, or a kind"),
        ({"memory_gb": 0}, "hardware.slurm.memory_gb must be >= 0.001, got 0"),
        ({"memory_gb": 0.0004}, "hardware.slurm.memory_gb must be >= 0.001, got 0.0004"),
        ({"time_limit": "4 parsecs"}, "hardware.slurm.time_limit: '4 parsecs' has no known unit"),
        ({"time_limit": "2 epochs"}, "hardware.slurm.time_limit: '2 epochs' cannot be counted in"),
        ({"time_limit": "90"}, "hardware.slurm.time_limit: '90' is no duration"),
        ({"time_limit": "0-00:00:00"}, "must be more than nothing"),
        ({"time_limit": 43200}, "hardware.slurm.time_limit must be a text in quotes"),
        ({"partition": "a b"}, "hardware.slurm.partition must be a name without spaces"),
        ({"account": ""}, "hardware.slurm.account must be a name without spaces"),
        (
            {"sbatch": {"time": "3"}},
            "hardware.slurm.sbatch.time has a key of its own: .*time_limit",
        ),
        ({"sbatch": {"ntasks_per_node": 3}}, "has a key of its own: hardware.slurm.tasks_per_node"),
        ({"sbatch": {"array": "0-3"}}, "sbatch.array is what runner sets itself"),
        ({"sbatch": {"job_name": "x"}}, "sbatch.job_name is what runner sets itself"),
        ({"sbatch": {"clusters": "b"}}, "sbatch.clusters is what runner sets itself"),
        ({"sbatch": {"export": "NONE"}}, "sbatch.export is what runner sets itself"),
        ({"sbatch": {"export-file": "x"}}, "sbatch.export-file is what runner sets itself"),
        ({"sbatch": {"chdir": "/"}}, "sbatch.chdir is what runner sets itself"),
        ({"sbatch": {"--exclude": "a"}}, "is no long option of sbatch: write exclude"),
        ({"sbatch": {"exclude": {"a": 1}}}, "sbatch.exclude must be a text, a number"),
        ({"srun": ["--output=x"]}, "hardware.slurm.srun: --output=x is what runner sets itself"),
        ({"srun": ["-n4"]}, "hardware.slurm.srun: -n4 is what runner sets itself"),
        ({"srun": [""]}, "hardware.slurm.srun holds an empty argument"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        SlurmOptions(**values)
    assert len(error.value.problems) == 1


def test_gpus_may_have_a_kind() -> None:
    assert [gpus_in(asked) for asked in (3, "3", "a100", "a100:2")] == [3, 3, 1, 2]


def test_a_typo_in_the_node_is_told_by_its_whole_key() -> None:
    with pytest.raises(ConfigError) as error:
        validate(compose(["+hardware.slurm.partiton=high"]))
    assert str(error.value) == (
        "hardware.slurm.partiton is no known key - did you mean 'partition'?"
    )


def test_a_wrong_type_and_a_missing_value_are_told_by_their_whole_key() -> None:
    for override, said in (
        ("hardware.slurm.nodes=two", "hardware.slurm.nodes must be int, got 'two'"),
        ("hardware.slurm=null", "hardware.slurm must be a group of keys, got None"),
        ("hardware.slurm.partition=???", "hardware.slurm.partition has no value"),
    ):
        with pytest.raises(ConfigError, match=said) as error:
            validate(compose([override]))
        assert len(error.value.problems) == 1


def test_the_keys_can_be_overridden_one_by_one() -> None:
    slurm = validate(
        compose(
            [
                "hardware.slurm.time_limit=1-12:00:00",
                "hardware.slurm.account=12345",
                "hardware.slurm.sbatch={exclude: [node3, node4]}",
                "hardware.slurm.srun=['--mpi=pmix']",
            ]
        )
    ).hardware.slurm
    assert (slurm.time_minutes, slurm.account) == (2160, 12345)
    assert slurm.sbatch == {"exclude": ["node3", "node4"]}
    assert slurm.srun == ["--mpi=pmix"]


def test_the_node_changes_no_result() -> None:
    assert is_layout("hardware.slurm.partition")


def test_an_older_config_has_the_defaults(tmp_path: Path) -> None:
    frozen = freeze_open(compose(["hardware.device=cpu"]))
    del frozen["hardware"]["slurm"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(frozen), encoding="utf-8")
    assert validate(load_frozen(path)).hardware.slurm == SlurmOptions()
    assert hardware_of(frozen)[0].slurm == SlurmOptions()


def test_an_older_run_may_be_given_a_partition(tmp_path: Path) -> None:
    frozen = freeze_open(compose())
    del frozen["hardware"]["slurm"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(frozen), encoding="utf-8")
    cfg = load_frozen(path, ["hardware.slurm.partition=high"])
    assert validate(cfg).hardware.slurm == SlurmOptions(partition="high")


def test_interpolations_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_ACCOUNT", "group7")
    frozen = freeze_open(
        compose(["hardware.slurm.account='${oc.env:THE_ACCOUNT}'", "data.num_workers=3"])
    )
    hardware, workers = hardware_of(frozen)
    assert (hardware.slurm.account, workers) == ("group7", 3)
    assert "group7" not in str(frozen)  # what the environment says is not written down
