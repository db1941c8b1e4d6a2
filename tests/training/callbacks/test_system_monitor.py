import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from runner.run.journal import read_journal
from runner.training.callback import Callback
from runner.training.callbacks.system_monitor import SystemMonitor, _Machine
from tests.training.harness import tiny_options, train

NAMES = {"cpu_percent", "memory_gib", "machine_cpu_percent", "machine_memory_percent"}


class Slow(Callback):
    def on_step_end(self, fit):
        time.sleep(0.02)


def test_figures_come_as_rows_of_the_split_system_and_the_last_at_the_end(tmp_path: Path) -> None:
    monitor = SystemMonitor(every_seconds=0.05)
    train(tmp_path, tiny_options(), callbacks={"monitor": monitor, "slow": Slow()})
    rows = [row for row in read_journal(tmp_path / "metrics.jsonl") if row.split == "system"]
    assert 2 <= len(rows) <= 18
    for row in rows:
        assert set(row.values) == NAMES
        assert row.values["memory_gib"] > 0.05
        assert 0 <= row.values["machine_memory_percent"] <= 100
    assert any(row.values["cpu_percent"] > 1 for row in rows)
    assert monitor._thread is None


def test_processes_below_count_too() -> None:
    machine = _Machine(torch.device("cpu"))
    alone = machine.measure()["memory_gib"]
    code = "import time; block = bytearray(200_000_000); print('ready', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert machine.measure()["memory_gib"] > alone + 0.15
    finally:
        child.kill()
        child.communicate()


def test_a_gpu_that_tells_no_utilization_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def utilization(device):
        asked.append(device)
        raise ModuleNotFoundError("pynvml")

    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2**31)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    machine = _Machine(torch.device("cuda"))
    for _ in range(2):
        figures = machine.measure()
        assert figures["gpu_memory_gib"] == 2.0
        assert "gpu_percent" not in figures
    assert len(asked) == 1
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: 55)
    assert _Machine(torch.device("cuda")).measure()["gpu_percent"] == 55.0


def test_other_ranks_measure_nothing(tmp_path: Path) -> None:
    monitor = SystemMonitor(every_seconds=0.01)
    fit = type("Fit", (), {"is_main": False})
    monitor.on_fit_start(fit)  # type: ignore[arg-type]
    assert monitor._thread is None
