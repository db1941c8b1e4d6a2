from pathlib import Path

import pytest

from runner.sweeps.local.gpus import visible_gpus


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("", []),
        ("-1", []),
        ("0", ["0"]),
        ("2, 0", ["2", "0"]),
        ("1,-1,0", ["1"]),
        ("GPU-4f2a,MIG-77", ["GPU-4f2a", "MIG-77"]),
    ],
)
def test_those_that_the_environment_names(named: str, found: list[str]) -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}) == found


def test_else_those_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n[ $1 = -L ] || exit 3\n"
        'echo "GPU 0: NVIDIA H200 (UUID: GPU-1)"\necho "  MIG 1g: (UUID: MIG-9)"\n'
        'echo "GPU 1: NVIDIA H200 (UUID: GPU-2)"\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert visible_gpus({}) == ["0", "1"]


def test_none_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}) == []
