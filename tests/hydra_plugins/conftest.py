import pytest

from runner.cli.sweeps import launching


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no server import torch only because another test has."""
    monkeypatch.setattr(launching, "TORCH", ())
