import platform
from importlib import metadata

import pytest
import torch

from runner.run.machine import (
    environment_facts,
    installed_packages,
    machine_facts,
    named_versions,
)


def test_the_versions_are_those_that_python_itself_tells() -> None:
    packages = installed_packages()
    for name in ("torch", "hydra-core", "pyyaml", "typing-extensions"):
        assert packages[name] == metadata.version(name)
    assert named_versions(packages)["python"] == platform.python_version()


def test_no_secret_of_the_environment_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    secret = (
        "RUNNER_TOKEN",
        "TORCH_API_KEY",
        "HF_DATASETS_PASSWORD",
        "RUNNER_PAT",
        "RUNNER_DB_PWD",
    )
    for name in (*secret, "RUNNER_HTTP_AUTH", "HF_TOKEN", "HOME_X"):
        monkeypatch.setenv(name, "hunter2")
    facts = environment_facts()
    assert facts["OMP_NUM_THREADS"] == "3"
    assert "hunter2" not in facts.values()


def test_what_computes_is_told() -> None:
    facts = machine_facts()
    assert facts["cpu"]["name"] and facts["ranks"] == 1
    assert facts["torch"]["instructions"] == torch.backends.cpu.get_cpu_capability()
