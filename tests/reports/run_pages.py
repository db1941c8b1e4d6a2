"""Run directories with all that a page can show, made with the real writers, without training."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from runner.checkpoint.manifest import write_manifest
from runner.config.written import to_yaml
from runner.files import write_json_atomically, write_text_atomically
from runner.reports.samples import Sample, sample_sheet
from runner.run.directory import RunDirectory
from runner.run.journal import Journal, Row
from runner.run.provenance import write_provenance
from runner.run.status import Status, write_status

START = 1_790_000_000.0
COMMIT = "abc1234abc1234abc1234abc1234abc1234abc12"
DIFF = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new"
EVIL = "</script><img src=x onerror=\"document.title='bad'\"><script>document.title='bad'</script>"
CONFIG: dict[str, Any] = {
    "name": "run",
    "model": {"hidden_size": 64},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.002},
    "trainer": {"max_steps": 200, "best_metric": "evaluation.loss", "best_mode": "min"},
}


def rows(num: int = 40) -> list[Row]:
    """Return a journal of two jobs, the second from step 80, with a value that is no number."""
    found = []
    for step in range(5, 5 * num + 1, 5):
        loss = 2 * math.exp(-step / 60) + 0.02
        values = {"loss": math.nan if step == 50 else loss, "lr": 1e-3}
        found.append(_row(step, "train", **values))
        found.append(_row(step, "speed", samples_per_second=900.0, data_wait_share=0.05))
        found.append(_row(step, "system", cpu_percent=95.0, memory_gib=1.2, gpu_percent=80.0))
        if step % 20 == 0:
            found.append(_row(step, "evaluation", loss=1.2 * loss + 0.05, accuracy=1 - loss / 3))
    return found


def full_run(
    path: Path, *, state: str = "completed", text: str = "text", **status: Any
) -> RunDirectory:
    """Make the directory of a run; `text` stands wherever a run can write one."""
    run = RunDirectory(path)
    config = {**CONFIG, "note": text}
    write_text_atomically(run.config, to_yaml(config))
    write_provenance(run.provenance, _provenance(text))
    status = {"step": 200, "jobs": 2, "score": 0.2, "best_step": 180, **status}
    write_status(run.status, Status(state=state, **status))
    journal = Journal(run.journal)
    for row in rows():
        journal.append(row)
    journal.close()
    for step in (180, 200):
        folder = run.checkpoints / f"step_{step:08d}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"w" * 2_400_000)
        write_manifest(folder, step=step, tied={})
    write_log(run, text)
    write_samples(run, text)
    write_evaluation(run, text)
    return run


def write_log(run: RunDirectory, text: str) -> None:
    lines = [
        "2026-09-21 10:00:00,000 INFO runner.job.fit: run outputs/run/1",
        f"2026-09-21 10:01:00,000 WARNING runner.job.fit: {text}",
        "2026-09-21 10:02:00,000 INFO runner.job.fit: stopped; to go on: python -m runner resume x",
        "2026-09-21 10:03:00,000 INFO runner.job.fit: run outputs/run/1",
        "2026-09-21 10:04:00,000 INFO runner.job.fit: done score=0.2 best_step=180",
    ]
    write_text_atomically(run.log_of_rank(0), "\n".join(lines) + "\n")


def write_samples(run: RunDirectory, text: str) -> None:
    picture = np.full((32, 128), 128, dtype=np.uint8)
    said = [("۱۲ب۳۴۵۶۷", "۱۲ب۳۴۵۶۷"), ("کتاب خوب", "کتاب بد"), (text, "other"), ("", "x")]
    samples = [Sample(picture, read, 0.9, target) for read, target in said]
    sample_sheet(samples, run.plots / "samples.png", title=f"{run.path.name}, step 200: samples")


def write_evaluation(run: RunDirectory, text: str) -> None:
    content = {
        "format_version": 1,
        "name": text,
        "split": "test",
        "step": 180,
        "time": START,
        "overrides": [f"data.root={text}"],
        "values": {"loss": 0.25, "accuracy": 0.93},
        "num_samples": 500,
    }
    write_json_atomically(run.evaluations / "test" / "evaluation.json", content)


def _row(step: int, split: str, **values: float) -> Row:
    return Row(step, step / 50, START + step, split, values)


def _provenance(text: str) -> dict[str, Any]:
    job = {
        "command": ["python", "-m", "runner", "optimizer.lr=0.002", f"name={text}"],
        "overrides": ["optimizer.lr=0.002", "+experiment=digits"],
        "host": "node1",
        "pid": 1,
        "time": START,
        "slurm_job": None,
        "slurm_restart": 0,
        "from_step": 0,
    }
    return {
        "format_version": 1,
        "id": "abc123",
        "name": text.replace("/", "-"),  # a name with a way elsewhere is refused
        "code": {"commit": COMMIT, "diff": f"{DIFF}\n+{text}"},
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "machine": {"host": "node1", "system": f"Linux {text}", "processors": 8},
        "jobs": [job, {**job, "host": "node2", "time": START + 100, "from_step": 80}],
    }


def damage(path: Path) -> None:
    """Put a line that is none into a journal."""
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], '{"step": 5, "ep', *lines[2:]]) + "\n", "utf-8")
