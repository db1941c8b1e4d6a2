"""What queued jobs run, on a real Slurm, when files are edited before they start."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.run.source.state import code_state
from runner.sweeps.codebase.snapshot import take_snapshot
from runner.sweeps.codebase.submitted import SubmittedCode, leave_code
from tests.slurm.cluster import SlurmCluster, wait_until
from tests.sweeps.codebase.repositories import make_repository, write

pytestmark = pytest.mark.slurm


def reporting(path: tuple[str, ...], run: Path) -> Callable[[], None]:
    """Return a job on `run` that reports what it has imported and read; pickled by value."""

    def work() -> None:
        sys.path[:] = path
        import net  # type: ignore # the user's own
        from own_package import loss  # type: ignore

        from runner.run.directory import RunDirectory
        from runner.run.session import JobDescription, open_session

        job = JobDescription(name="tiny", config={}, overrides=[], command=[])
        with open_session(RunDirectory(run), job) as session:
            warnings = session.warnings
        report = {
            "code": [net.layers, loss.weight],
            "data": Path("data.txt").read_text(),
            "warnings": warnings,
        }
        (run / "report.json").write_text(json.dumps(report))

    return work


def submit_held(code: SubmittedCode, path: list[str], run: Path) -> str:
    """Submit a job that waits until it is released; return its id."""
    from submitit import SlurmExecutor

    executor = SlurmExecutor(run.parent / "submitit", python=code.python)
    executor.update_parameters(
        time=5,
        setup=code.setup_lines(path),
        additional_parameters={"hold": True},
        stderr_to_stdout=True,
    )
    return executor.submit(reporting(code.path_for(path), run)).job_id


def test_edits_after_the_submission_change_nothing_with_a_snapshot_and_are_told_without(
    slurm_cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository(
        tmp_path / "own",
        {
            "net.py": "layers = 1\n",  # where the job will stand: the first place Python looks
            "src/own_package/__init__.py": "",
            "src/own_package/loss.py": "weight = 0\n",
            "data.txt": "old",
        },
    )
    write(root / "src" / "own_package" / "loss.py", "weight = 1\n")
    monkeypatch.chdir(root)
    path = ["", str(root / "src"), *sys.path]
    folder, runs = tmp_path / "sweep" / "slurm", (tmp_path / "frozen", tmp_path / "live")
    codes = (take_snapshot(folder), leave_code(folder))
    before = code_state(root)
    ids = [submit_held(code, path, run) for code, run in zip(codes, runs, strict=True)]

    write(root / "net.py", "layers = 2\n")
    write(root / "src" / "own_package" / "loss.py", "weight = 2\n")
    write(root / "data.txt", "new")
    slurm_cluster.call("scontrol", "release", ",".join(ids))
    reports: list[dict[str, Any]] = []
    for run in runs:
        report = run / "report.json"
        wait_until(report.exists, seconds=60)
        wait_until(lambda report=report: report.read_text().endswith("}"), seconds=5)
        reports.append(json.loads(report.read_text()))

    frozen, live = reports
    assert frozen == {"code": [1, 1], "data": "new", "warnings": []}
    assert live["code"] == [2, 2]
    assert "THE CODE HAS CHANGED since this job was submitted" in live["warnings"][0]
    recorded = [json.loads((run / "run.json").read_text())["code"] for run in runs]
    assert recorded[0] == before and recorded[1] == code_state(root) != before


def test_a_repository_that_is_runners_own_is_run_from_the_snapshot(
    slurm_cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is held while runner is broken in the folder where it starts."""
    import runner

    home = make_repository(tmp_path / "own", {"README.md": ""})
    source = Path(runner.__file__).parent
    for file in ("__init__.py", "errors.py"):
        write(home / "src" / "runner" / file, (source / file).read_text())
    monkeypatch.chdir(home)
    monkeypatch.setattr(runner, "__file__", str(home / "src" / "runner" / "__init__.py"))
    monkeypatch.setenv("PYTHONPATH", str(home / "src"))
    code = take_snapshot(tmp_path / "slurm")
    told = tmp_path / "told.txt"
    command = f"import runner.errors; open({str(told)!r}, 'w').write(runner.errors.__file__)"
    script = "\n".join([*code.setup_lines(["", str(home / "src")]), code.python])
    job = slurm_cluster.submit(f"{script} -c {shlex.quote(command)}", "--hold")
    write(home / "src" / "runner" / "errors.py", "raise Exception")
    slurm_cluster.call("scontrol", "release", job)
    slurm_cluster.wait_for(job, "COMPLETED", "FAILED")
    assert told.read_text() == f"{code.files}/src/runner/errors.py"
