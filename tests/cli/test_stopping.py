"""`evaluate`, `predict` and `export` that a signal stops leave nothing half done, and say so."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from runner.build.trained import evaluating, exporting
from runner.cli.stopping import stoppable
from runner.errors import Interrupted
from runner.inference import predict as predicting
from tests.commands.command import call
from tests.trained import pictures, plate_run

__all__ = ["pictures", "plate_run"]  # fixtures

# What is called when a part of the result is there already, and what the command says at last.
STOPPED_IN = {
    "evaluate": (evaluating, "evaluate_split", "stopped: no results are kept"),
    "export": (exporting, "write_readme", "stopped: nothing is exported"),
    "predict": (predicting, "load_source", "stopped: readings.csv is not written"),
}
MORE = {"predict": ("../pictures", "--output", "readings.csv"), "export": ("--to", "plates")}


@pytest.fixture(autouse=True)
def signals():
    """Whatever does not catch a signal here goes on, as if it had not come."""
    stops = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in stops}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("command", STOPPED_IN)
def test_a_signal_ends_the_command_and_leaves_nothing(
    command: str, number: int, plate_run: Path, pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(plate_run, folder / "RUN_DIR")
    before = sorted(folder.rglob("*"))
    module, name, told = STOPPED_IN[command]

    def stop(*_arguments, **_options):
        os.kill(os.getpid(), number)
        raise AssertionError("it was not stopped")

    monkeypatch.setattr(module, name, stop)
    done = call(command, "RUN_DIR", *MORE.get(command, ()), cwd=folder)
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr.splitlines()[-1] == told
    assert "" not in done.stderr.splitlines() and "Traceback" not in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_the_echo_of_a_signal_does_not_cut_the_cleaning_short() -> None:
    cleaned = []
    with pytest.raises(Interrupted, match="15"), stoppable("nothing"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # as `timeout` does: to the process and its group
            cleaned.append(True)
    assert cleaned


def test_the_handlers_that_were_there_are_back_and_nohup_is_obeyed() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    was = signal.getsignal(signal.SIGTERM)
    with stoppable("nothing"):
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) is not was
    assert signal.getsignal(signal.SIGTERM) is was
