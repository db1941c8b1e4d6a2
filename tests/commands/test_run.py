"""A run from the command line: trained, stopped, continued, swept."""

import json
import signal
import time
from pathlib import Path

import pytest
import yaml

from tests.commands.command import BARE, call, only_run, run, start

LONG = ("trainer.max_epochs=60", "trainer.evaluate_every=10 epochs", "model.dropout=0.1", *BARE)


def status(directory: Path) -> dict[str, object]:
    return json.loads((directory / "status.json").read_text())


def rows(directory: Path) -> list[dict[str, object]]:
    """The rows of the journal without what depends on the clock."""
    lines = (json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines())
    return [
        {key: value for key, value in row.items() if key != "time"}
        for row in lines
        if row["split"] != "speed"
    ]


def newest_weights(directory: Path) -> bytes:
    return max((directory / "checkpoints").glob("step_*/model.safetensors")).read_bytes()


def wait_for(path: Path, pattern: str, seconds: float = 60) -> Path:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = sorted(path.glob(pattern))
        if found:
            return found[0]
        time.sleep(0.02)
    raise TimeoutError(pattern)


def test_the_default_run_needs_no_argument_but_a_shorter_one(tmp_path: Path) -> None:
    done = call("trainer.max_epochs=1", "name=short", *BARE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    directory = only_run(tmp_path, "short")
    assert status(directory)["state"] == "completed"
    config = yaml.safe_load((directory / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 1
    assert config["output_dir"] == "${oc.env:RUNNER_OUTPUT_DIR,outputs}"


def test_a_run_that_is_stopped_and_continued_is_the_same_run(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    for folder in (straight, stopped):
        folder.mkdir()
    assert run(*LONG, cwd=straight).returncode == 0

    process = start(*LONG, cwd=stopped)
    wait_for(stopped, "outputs/run/*/metrics.jsonl")
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    directory = only_run(stopped)
    if process.returncode != 0:  # else it was faster than the signal
        assert process.returncode == 128 + signal.SIGTERM
        assert status(directory)["state"] == "preempted"
        done = run("resume", str(directory), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert status(directory)["state"] == "completed"
    assert rows(directory) == rows(only_run(straight))
    assert newest_weights(directory) == newest_weights(only_run(straight))


def test_a_finished_run_may_be_trained_longer_and_nothing_else(tmp_path: Path) -> None:
    assert call("trainer.max_epochs=1", *BARE, cwd=tmp_path).returncode == 0
    directory = only_run(tmp_path)
    other = call("resume", str(directory), "+experiment=plate_ocr", cwd=tmp_path)
    assert other.returncode == 2 and "another experiment is another run" in other.stderr
    refused = call("resume", str(directory), "optimizer.lr=1", cwd=tmp_path)
    assert refused.returncode == 2
    assert "optimizer.lr would change the result" in refused.stderr
    step = status(directory)["step"]
    longer = call("resume", str(directory), "trainer.max_epochs=2", cwd=tmp_path)
    assert longer.returncode == 0, longer.stderr
    assert status(directory)["step"] == 2 * step  # type: ignore[operator]


def test_the_same_command_goes_on_where_there_are_other_processors(tmp_path: Path) -> None:
    """Each number of threads stands for the processors of a machine."""
    command = ("trainer.max_epochs=1", "hydra.run.dir=here", *BARE)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        assert call(*command, cwd=tmp_path).returncode == 0
        file = tmp_path / "here" / "status.json"
        file.write_text(file.read_text().replace("completed", "preempted"))
        environment.setenv("OMP_NUM_THREADS", "2")
        done = call(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        file.write_text(file.read_text().replace("completed", "preempted"))
        refused = call(*command, "hardware.threads=2", cwd=tmp_path)
    assert refused.returncode == 1
    assert "differs in hardware.threads" in refused.stderr


def test_jobs_of_hydras_own_sweeper_have_a_directory_each_and_do_not_harm_each_other(
    tmp_path: Path,
) -> None:
    by_hydra = ("-m", "hydra/sweeper=basic", "hydra/launcher=basic")
    axis = ("data.batch_size=64,0,32", "trainer.max_epochs=1", "name=s")
    done = call(*by_hydra, *axis, *BARE, cwd=tmp_path)
    assert done.returncode == 2
    (sweep,) = (tmp_path / "outputs/s/sweeps").iterdir()
    jobs = {path.name for path in sweep.iterdir() if path.is_dir()}
    assert jobs == {"0", "2"}
    assert {status(sweep / job)["state"] for job in jobs} == {"completed"}
    assert "data.batch_size must be >= 1, got 0" in done.stderr
    assert "1 of 3 jobs failed" in done.stderr


def test_an_exception_that_nobody_foresaw_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("def broken():\n    return {}['absent']\n")
    done = call("model={_target_: nets.broken}", *BARE, cwd=tmp_path)
    # A mapping is merged into the chosen model, so its arguments are told to be wrong.
    assert done.returncode == 2
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/broken.yaml").write_text("_target_: nets.broken\n")
    done = call("model=broken", *BARE, cwd=tmp_path)
    assert done.returncode == 1
    assert "KeyError: 'absent'" in done.stderr
    assert "while building model (nets.broken)" in done.stderr


@pytest.mark.parametrize("arguments", [["resume"], ["resume", "nowhere"], ["predict", "."]])
def test_a_command_used_wrongly_is_told(arguments: list[str], tmp_path: Path) -> None:
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    done = call("resume", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert "is no run" in done.stderr
