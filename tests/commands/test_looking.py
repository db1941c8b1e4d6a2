"""A sweep of runs that were really trained, looked at while it runs and afterwards."""

import json
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from runner.checkpoint.manifest import committed_steps
from runner.checkpoint.strip import strip
from runner.config.compose import compose
from runner.config.frozen import freeze
from runner.job.ordered import OrderedJob
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.identity import run_key, sweep_key
from runner.sweeps.ledger import Combination, Ledger
from runner.sweeps.record import SweepRecord, start_entry, write_record
from runner.sweeps.retention import strip_runs
from tests.commands.command import BARE, call
from tests.verify.jobs import PRELOADED

BASE = (
    *BARE,
    "model.hidden_size=8",
    "trainer.max_epochs=2",
    "trainer.log_every_steps=5",
    "hardware.threads=1",
    "hardware.device=cpu",
)
SWEPT = ["optimizer.lr", "trainer.max_epochs"]
LONG = "trainer.max_epochs=5000"


def ordered(path: Path) -> tuple[SweepDirectory, list[OrderedJob]]:
    """Return a sweep of three runs, the last of them endless, that nobody has begun."""
    sweep = SweepDirectory(path)
    swept = [("optimizer.lr=0.01",), ("optimizer.lr=0.0001",), ("optimizer.lr=0.001", LONG)]
    configs = [freeze(compose([*BASE, *overrides])) for overrides in swept]
    base = freeze(compose(BASE))
    command = ["python", "-m", "runner", "-m", *BASE]
    record = SweepRecord(
        key=sweep_key(base, swept=SWEPT),
        name="run",
        swept=SWEPT,
        base=base,
        total=len(swept),
        starts=[start_entry(command=command, code={"commit": None, "diff": None})],
    )
    write_record(sweep, record)
    runs = Ledger(sweep.ledger).add(
        Combination(key=run_key(config, swept=SWEPT), overrides=overrides, config=config)
        for overrides, config in zip(swept, configs, strict=True)
    )
    jobs = [
        OrderedJob(
            config=run.config,
            path=sweep.job(run.number).path,
            overrides=run.overrides,
            command=tuple(command),
        )
        for run in runs
    ]
    return sweep, jobs


def begin(job: OrderedJob) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_do, args=(job,))
    process.start()
    return process


def _do(job: OrderedJob) -> None:
    raise SystemExit(job())


def rows(sweep: SweepDirectory) -> list[dict[str, object]]:
    shown = call("status", str(sweep.path), "--json", cwd=sweep.path)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> SweepDirectory:
    """A sweep with two completed runs and one that was killed while `status` looked at it."""
    sweep, jobs = ordered(tmp_path_factory.mktemp("looking") / "sweep")
    for job in jobs[:2]:
        process = begin(job)
        process.join(60)
        assert process.exitcode == 0
    endless = begin(jobs[2])
    try:
        deadline = time.monotonic() + 60
        while (last := rows(sweep)[2])["seconds_left"] is None:
            assert time.monotonic() < deadline and endless.is_alive(), last
            time.sleep(0.05)
        assert last["state"] == "running"
        assert isinstance(last["planned_steps"], int) and last["planned_steps"] > 5000
    finally:
        assert endless.pid is not None
        os.kill(endless.pid, signal.SIGKILL)
        endless.join(30)
    return sweep


def test_status_tells_what_came_of_each(swept: SweepDirectory) -> None:
    first, second, third = rows(swept)
    assert [row["state"] for row in (first, second, third)] == ["completed", "completed", "lost"]
    for row in (first, second):
        truth = json.loads(Path(str(row["path"]), "status.json").read_text())
        assert (row["step"], row["score"]) == (truth["step"], truth["score"])
    shown = call("status", str(swept.path), cwd=swept.path).stdout
    assert "3 runs: 2 completed, 1 lost; best evaluation.loss=" in shown
    assert "is run 0 (optimizer.lr=0.01)" in shown


def test_the_report_has_their_curves_scores_and_limits(swept: SweepDirectory) -> None:
    made = call("report", str(swept.path), cwd=swept.path)
    assert made.returncode == 0, made.stderr
    text = (swept.report / "report.md").read_text()
    best, second = (f"{row['score']:.4g}" for row in rows(swept)[:2])  # type: ignore[str-format]
    assert f"| 1 | 0 | {best} |" in text and f"| 2 | 1 | {second} |" in text
    assert (swept.report / "curves.png").is_file()
    assert "optimizer.lr: the means differ by up to" in text


def test_clean_leaves_the_best_and_what_can_still_go_on(swept: SweepDirectory) -> None:
    def kept() -> list[bool]:
        return [bool(committed_steps(swept.job(number).checkpoints)) for number in range(3)]

    before = kept()
    assert before[:2] == [True, True]
    assert strip_runs(swept, keep_best=2, strip=strip) == []
    cleaned = call("clean", str(swept.path), "--yes", cwd=swept.path)
    assert cleaned.returncode == 0, cleaned.stderr
    assert kept() == [True, False, before[2]]
    # The journal, the status and the log of a stripped run are as they were.
    assert rows(swept)[1]["state"] == "completed"
    assert swept.job(1).journal.read_text()
    assert swept.job(1).log_of_rank(0).read_text()
