"""What a page reads of a run, whole, damaged or moved."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from runner.cli.pages.facts import facts_of
from runner.cli.pages.jobs import jobs_of
from runner.cli.pages.samples import samples_of
from runner.files import write_json_atomically, write_text_atomically
from runner.run.directory import RunDirectory
from tests.reports.run_pages import damage, full_run

JOB = {"host": "node1", "time": 1.0, "overrides": []}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return full_run(tmp_path / "run")


def predictions(run: RunDirectory, *rows: tuple[str, str, str, float]) -> None:
    table = run.evaluations / "test" / "predictions.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", "target", "text", "confidence"])
        writer.writerows(rows)


def log(run: RunDirectory, *parts: str) -> None:
    begin = "2026-01-01 10:00:00,000 INFO runner.job.fit: run x\n"
    text = "".join(begin + (f"2026-01-01 10:00:01,000 {part}\n" if part else "") for part in parts)
    write_text_atomically(run.log_of_rank(0), text)


def test_jobs_times_code_and_what_was_given(run: RunDirectory) -> None:
    facts = facts_of(run)
    assert [(job.host, job.from_step, job.end) for job in facts.jobs] == [
        ("node1", 0, "stopped when asked, and saved"),
        ("node2", 80, "completed"),
    ]
    assert facts.seconds == 200.0 and facts.planned_steps == 200
    assert facts.given == ["optimizer.lr=0.002", "+experiment=digits"]
    assert facts.code.diff[-2:] == ["+new", "+text"]
    assert facts.problems == [] and facts.log == []


def test_how_each_job_ended_is_read_from_the_log(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    log(run, "ERROR runner.job.fit: RuntimeError: boom", "", "INFO runner.job.fit: done score=1")
    ends = [job.end for job in jobs_of(run, [JOB] * 3, state="lost")]
    assert ends == [
        "failed: RuntimeError: boom",
        "without a word: killed, or its machine was lost",
        "completed",
    ]
    assert jobs_of(run, [JOB] * 3, state="running")[-1].end == "running"
    assert [job.end for job in jobs_of(run, [JOB] * 2, state="failed")] == ["", "failed"]


def test_a_failed_run_shows_the_end_of_its_log(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run", state="failed", error="RuntimeError: boom")
    write_text_atomically(run.log_of_rank(0), "".join(f"line {n}\n" for n in range(20_000)))
    assert facts_of(run).log[-1] == "line 19999" and len(facts_of(run).log) == 60


def test_a_damaged_line_of_the_journal_hides_no_other(run: RunDirectory) -> None:
    whole = len(facts_of(run).rows)
    damage(run.journal)
    facts = facts_of(run)
    assert len(facts.rows) == whole
    assert facts.problems == ["metrics.jsonl: line 3 cannot be read; the curves are without."]


def test_a_checkpoint_that_is_cut_off_is_told(run: RunDirectory) -> None:
    (run.checkpoints / "step_00000180" / "model.safetensors").write_bytes(b"w")
    (run.checkpoints / "step_00000200" / "manifest.json").write_text("{")
    cut_off, torn = facts_of(run).checkpoints
    assert cut_off.problem == "model.safetensors missing or cut off"
    assert cut_off.score == pytest.approx(0.1935, abs=1e-3)
    assert torn.problem is not None and "cannot be read" in torn.problem


def test_an_evaluation_that_cannot_be_read_is_told(run: RunDirectory) -> None:
    write_json_atomically(run.evaluations / "bad" / "evaluation.json", {"name": "bad"})
    facts = facts_of(run)
    assert [one.name for one in facts.evaluations] == ["text"]
    assert facts.problems == ["bad/evaluation.json cannot be read: 'values'"]


def test_samples_come_from_the_sheet_of_the_run(run: RunDirectory) -> None:
    facts = samples_of(run, {})
    assert facts is not None
    assert facts.told == "Samples: 3 of 4 wrong; these come first."
    assert [sample.is_wrong for sample in facts.samples] == [True, True, True, False]


def test_predictions_of_an_evaluation_come_first_with_their_pictures(
    run: RunDirectory, tmp_path: Path
) -> None:
    Image.new("L", (900, 300)).save(tmp_path / "plate.png")
    predictions(
        run,
        ("1", "b", "b", 0.9),
        ("2", "b", "b", 0.6),
        ("plate.png", "a", "b", 0.5),
        ("gone.png", "a", "c", 0.8),
    )
    facts = samples_of(run, {"data": {"root": str(tmp_path)}})
    assert facts is not None and facts.told.startswith("test: 2 of 4 wrong.")
    found = [(sample.name, sample.picture is not None) for sample in facts.samples]
    assert found == [("gone.png", False), ("plate.png", True), ("2", False), ("1", False)]


def test_a_table_of_something_else_is_passed_over(run: RunDirectory) -> None:
    (run.evaluations / "test" / "predictions.csv").write_text("file\nx\n")
    facts = samples_of(run, {})
    assert facts is not None and facts.told.startswith("Samples")


def test_a_moved_run_is_read_the_same(run: RunDirectory, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(run.path, moved)
    before, after = facts_of(run), facts_of(RunDirectory(moved))
    assert after.jobs == before.jobs and after.checkpoints[0].step == before.checkpoints[0].step
    assert after.path == str(moved)
