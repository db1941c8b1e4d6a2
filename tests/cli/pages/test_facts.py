"""What a page reads of a run, whole, damaged or moved."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runner.cli.pages.facts import facts_of
from runner.cli.pages.jobs import jobs_of
from runner.cli.pages.samples import samples_of
from runner.errors import RunError
from runner.files import write_json_atomically, write_text_atomically
from runner.reports.samples import Sample, sample_sheet
from runner.run.data_note import write_data_note
from runner.run.directory import RunDirectory
from runner.run.provenance import read_provenance, write_provenance
from runner.run.signature import sign
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


def own(run: RunDirectory) -> None:
    """Make the run this user's."""
    sign(run, run.config.read_text(encoding="utf-8"))


def shown(run: RunDirectory, config: dict[str, object]) -> set[str]:
    """Return the names of the samples that have their picture."""
    facts = samples_of(run, config)
    assert facts is not None
    return {sample.name for sample in facts.samples if sample.picture is not None}


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


def test_the_data_are_told_with_what_recognises_them(run: RunDirectory) -> None:
    write_data_note(run.data, {"train": "abc", "test": "def"})
    assert ("Data fingerprint", "train abc, test def") in facts_of(run).data


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
    assert facts.told == (
        "Samples: 3 of 4 wrong; these come first. Green is right; red is wrong, with the truth "
        "below it. The percentages are the model's own confidence, not calibrated."
    )
    assert [sample.is_wrong for sample in facts.samples] == [True, True, True, False]


def test_predictions_of_an_evaluation_come_first_with_their_pictures(
    run: RunDirectory, tmp_path: Path
) -> None:
    Image.new("L", (900, 300)).save(tmp_path / "plate.png")
    own(run)
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


def test_an_evaluation_without_pictures_does_not_take_theirs_from_the_page(
    run: RunDirectory,
) -> None:
    predictions(run, ("0", "b", "b", 0.9))
    facts = samples_of(run, {})
    assert facts is not None and facts.told.startswith("Samples")
    assert all(sample.picture for sample in facts.samples)
    (run.plots / "samples.png").unlink()
    facts = samples_of(run, {})
    assert facts is not None and facts.told.startswith("test: none of 1 wrong.")


def test_an_evaluation_of_some_batches_is_not_taken_for_samples(
    run: RunDirectory, tmp_path: Path
) -> None:
    Image.new("L", (900, 300)).save(run.path / "plate.png")
    predictions(run, ("plate.png", "b", "b", 0.9))
    assert shown(run, {}) == {"plate.png"}
    file = run.evaluations / "test" / "evaluation.json"
    told = json.loads(file.read_text())
    write_json_atomically(file, {**told, "overrides": ["debug.limit_batches=1"]})
    facts = samples_of(run, {})
    assert facts is not None and facts.told.startswith("Samples")


def test_a_moved_run_is_read_the_same(run: RunDirectory, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(run.path, moved)
    before, after = facts_of(run), facts_of(RunDirectory(moved))
    assert after.jobs == before.jobs and after.checkpoints[0].step == before.checkpoints[0].step
    assert after.path == str(moved)


def test_a_page_holds_no_picture_from_outside_of_the_run_and_its_data(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, private = tmp_path / "data", tmp_path / "private.png"
    data.mkdir()
    monkeypatch.chdir(tmp_path)
    for path in (private, data / "plate.png", run.path / "inside.png"):
        Image.new("L", (9, 9)).save(path)
    (data / "link.png").symlink_to(private)
    names = ("private.png", str(private), "../private.png", "link.png", "plate.png", "inside.png")
    predictions(run, *((name, "a", "b", 0.5) for name in names))
    config: dict[str, object] = {"data": {"root": str(data)}}
    assert shown(run, config) == {"inside.png"}  # of a stranger's run
    own(run)
    assert shown(run, config) == {"inside.png", "plate.png"}


def test_links_of_a_stranger_that_lead_out_of_the_run_are_refused(
    run: RunDirectory, tmp_path: Path
) -> None:
    private = tmp_path / "private.txt"
    private.write_text("secret")
    run.log_of_rank(0).unlink()
    run.log_of_rank(0).symlink_to(private)
    with pytest.raises(RunError, match="leads out of the run"):
        facts_of(run)
    own(run)
    assert facts_of(run).path == str(run.path)


def test_a_sheet_and_a_reliability_that_are_damaged_are_told_among_the_problems(
    run: RunDirectory,
) -> None:
    told = PngInfo()
    sample = {"box": [0, 0, 10**6, 10**6], "text": "a", "confidence": 0.5, "target": None}
    told.add_itxt("runner samples", json.dumps({"title": "x", "samples": [sample]}))
    Image.new("L", (9, 9)).save(run.plots / "samples.png", pnginfo=told)
    bins = [{"low": 0, "high": 1, "count": 0, "confidence": 1, "right": 0}]
    reliability = {"bins": bins, "ece": 0.1, "brier": 0.1}
    plain = {"split": "test", "step": 1, "own": reliability, "calibrated": None}
    write_json_atomically(run.reliability, plain)
    facts = facts_of(run)
    assert facts.samples is None and facts.reliability is None
    sheet, table = facts.problems
    assert sheet.startswith("samples.png cannot be read: a sample of 1000000")
    assert table.startswith("reliability.json cannot be read: 0 of 0")


@pytest.mark.parametrize(
    "content", ["[]", '{"samples": 1}', '{"title": "x", "samples": [{}]}', "nothing", '"x"']
)
def test_whatever_a_sheet_says_ends_no_report(run: RunDirectory, content: str) -> None:
    told = PngInfo()
    told.add_itxt("runner samples", content)
    Image.new("L", (9, 9)).save(run.plots / "samples.png", pnginfo=told)
    assert facts_of(run).problems[0].startswith("samples.png cannot be read")


def test_without_a_mistake_the_least_sure_come_first(run: RunDirectory) -> None:
    picture = np.full((32, 128), 128, dtype=np.uint8)
    samples = [Sample(picture, "a", sure, "a") for sure in (0.9, 0.6)]
    sample_sheet(samples, run.plots / "samples.png", title="run, step 1: samples")
    facts = samples_of(run, {})
    assert facts is not None and [sample.confidence for sample in facts.samples] == [0.6, 0.9]
    assert facts.told.startswith("Samples: none of 2 wrong; the least sure come first.")


def test_what_provenance_leaves_empty_is_not_told(run: RunDirectory) -> None:
    provenance = read_provenance(run.provenance)
    write_provenance(run.provenance, {**provenance, "source": {"folder": "", "branch": "main"}})
    facts = facts_of(run)
    assert "folder" not in facts.machine and facts.machine["branch"] == "main"
