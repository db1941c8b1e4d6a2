"""`report` of one run, as it stands."""

import shutil
import subprocess
import sys
from pathlib import Path

from runner.files import write_json_atomically
from runner.reports.reliability import ReliabilityReport, reliability_of
from runner.run.directory import RunDirectory
from runner.run.status import Status
from tests.commands.command import call
from tests.reports.run_pages import full_run
from tests.sweeps.sweep_directories import begin, done, failed, plan

CURVE = [(50, 0.9), (90, 0.4), (100, 0.5)]
RELIABILITY = ReliabilityReport(
    split="test",
    step=90,
    own=reliability_of([0.2, 0.9], [False, True]),
    calibrated=reliability_of([0.1, 0.95], [False, True]),
    calibrated_on=40,
)


def run_of(tmp_path: Path, status: Status, **details: object) -> RunDirectory:
    return begin(plan(tmp_path / "sweep", [["seed=1"]]), 0, status, **details)


def reported(run: RunDirectory) -> str:
    made = call("report", str(run.path), cwd=run.path)
    assert made.returncode == 0, made.stderr
    assert made.stdout == f"{run.report / 'report.html'}\n"
    return (run.report / "report.md").read_text(encoding="utf-8")


def test_a_completed_run_has_score_figures_curves_and_reliability(tmp_path: Path) -> None:
    run = run_of(tmp_path, done(0.4), curve=CURVE, values={"accuracy": 0.75})
    write_json_atomically(run.reliability, RELIABILITY.to_plain())
    text = reported(run)
    assert "- **State**: completed\n" in text and "- **Step**: 100\n" in text
    assert "- **Score**: 0.4 (evaluation.loss at step 90; lower is better)" in text
    assert "| loss | 0.4 |" in text and "| accuracy | 0.75 |" in text
    assert "calibrated on 40 evaluated samples" in text and "| 90% to 95% | 1 |" in text
    assert {file.name for file in run.report.iterdir()} == {
        "report.md",
        "report.html",
        "curves.png",
        "reliability.png",
    }


def test_a_run_that_has_hardly_begun_has_a_page_too(tmp_path: Path) -> None:
    run = run_of(tmp_path, Status(state="queued"))
    run.journal.unlink(missing_ok=True)
    text = reported(run)
    assert "- **State**: queued\n" in text
    assert "## Learning curves" not in text and "## Figures" not in text


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    text = reported(run_of(tmp_path, failed("RuntimeError: boom"), curve=CURVE))
    assert "> **RuntimeError: boom**" in text and "## Learning curves" in text


def test_damage_and_a_full_disk_are_told(tmp_path: Path) -> None:
    run = run_of(tmp_path, done(0.4), curve=CURVE)
    run.reliability.write_text('{"split": 1}')
    told = call("report", str(run.path), cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "reliability.json cannot be read" in (run.report / "report.md").read_text()
    shutil.rmtree(run.report)
    run.report.write_text("a file in the way")
    told = call("report", str(run.path), cwd=tmp_path)
    assert told.returncode == 1 and "the report cannot be written to" in told.stderr


def test_it_needs_no_torch(tmp_path: Path) -> None:
    """The page is made where a run was copied to: pictures of samples included."""
    run = full_run(tmp_path / "run")
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from runner.cli.main import run\n"
        f"sys.exit(run(['report', {str(run.path)!r}]))"
    )
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert (run.report / "report.html").read_text(encoding="utf-8").count('class="sample ') == 4
