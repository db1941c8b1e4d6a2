"""`verify-resume` as a user types it; what it finds is tested in tests/verify/."""

import tempfile
from pathlib import Path

import pytest

from tests.commands.command import call, run, start
from tests.commands.test_run import status

README_COMMAND = "verify-resume +experiment=digits"


def test_the_digits_resume_exactly(tmp_path: Path) -> None:
    done = run(
        *README_COMMAND.split(),
        "model.dropout=0.2",
        cwd=tmp_path,
        TMPDIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resumes exactly (killed by SIGKILL, resumed at step" in done.stdout
    assert "DIFFER" not in done.stdout
    for kind in ("augmented batches", "losses", "checkpoint: optimizer", "journal rows"):
        assert kind in done.stdout
    assert not list(tmp_path.glob("runner_verify_*")), "the runs are left behind"


@pytest.mark.slow
def test_the_runs_are_kept_when_asked_for(tmp_path: Path) -> None:
    more = ("--steps", "12", "--keep")
    done = run(*README_COMMAND.split(), *more, cwd=tmp_path, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.glob("runner_verify_*")
    assert str(folder) in done.stdout
    assert status(folder / "interrupted")["step"] == 12


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("hardware", ["cpu", "fsdp"])
def test_two_ranks_resume_exactly(tmp_path: Path, hardware: str) -> None:
    more = (f"hardware={hardware}", "hardware.num_processes=2", "--steps", "5")
    process = start(*README_COMMAND.split(), *more, cwd=tmp_path, TMPDIR=str(tmp_path))
    stdout, stderr = process.communicate(timeout=280)
    assert process.returncode == 0, stdout + stderr
    for kind in ("own to rank 1", "checkpoint: weights", "checkpoint: optimizer"):
        assert kind in stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["optimizer.lrr=1"], "did you mean 'lr'"),
        (["modle=mlp"], "modle"),
        (["model=mpl"], "did you mean 'mlp'"),
        (["seed=1,2"], "several values"),
        (["--steps", "2"], "--steps must be >= 3"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = call("verify-resume", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_is_told_with_its_last_words_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = call("verify-resume", "+experiment=plate_ocr_real", "data.root=nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert "the straight run failed with exit code 2" in done.stderr
    assert "nowhere" in done.stderr
    assert str(tmp_path) in done.stdout


def test_what_differs_is_told_by_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.cli.verify._verify", lambda *_: False)
    assert call("verify-resume", "+experiment=digits", cwd=tmp_path).returncode == 1
    monkeypatch.setattr("runner.cli.verify._verify", lambda *_: True)
    assert call("verify-resume", "+experiment=digits", cwd=tmp_path).returncode == 0


def test_nothing_to_resume_from_is_told(tmp_path: Path) -> None:
    done = call("verify-resume", "+experiment=digits", "checkpoint=off", cwd=tmp_path)
    assert done.returncode == 2 and "checkpoint=off saves nothing" in done.stderr
