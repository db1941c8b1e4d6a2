"""The jobs of a run for its page: when each began, and how it ended."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.reports.run.facts import JobFacts
from runner.run.directory import RunDirectory

_BEGIN = " runner.job.fit: run "  # the first line of each job in its log
_UNSEEN = "without a word: killed, or its machine was lost"
_LINE = re.compile(r"^\S+ \S+ (?P<level>[A-Z]+) (?P<logger>[\w.]+): (?P<text>.*)")
_MOST_BYTES = 20_000_000  # of a log that is read whole


def jobs_of(
    directory: RunDirectory, jobs: Sequence[Mapping[str, Any]], *, state: str
) -> list[JobFacts]:
    """Return the jobs in run.json; what ended each comes from the log of rank 0."""
    ends = _ends(directory.log_of_rank(0), len(jobs))
    if jobs and state != "lost":
        ends[-1] = state
    return [
        JobFacts(
            number=number,
            host=str(job.get("host") or ""),
            started=job["time"],
            from_step=job.get("from_step"),
            end=end,
            overrides=job.get("overrides", []),
            slurm_job=job.get("slurm_job"),
        )
        for number, (job, end) in enumerate(zip(jobs, ends, strict=True), start=1)
    ]


def _ends(log: Path, num_jobs: int) -> list[str]:
    """Return how each job ended; "" where the log does not tell the jobs apart."""
    if not log.is_file() or log.stat().st_size > _MOST_BYTES:
        return [""] * num_jobs
    parts: list[list[str]] = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if _BEGIN in line:
            parts.append([])
        if parts:
            parts[-1].append(line)
    return [_end(part) for part in parts] if len(parts) == num_jobs else [""] * num_jobs


def _end(lines: Sequence[str]) -> str:
    """Return the last thing that a job said of its end."""
    for line in reversed(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        if match["level"] == "ERROR":
            return f"failed: {match['text']}"
        if match["text"].startswith("stopped; to go on"):
            return "stopped when asked, and saved"
        if match["text"].startswith("done "):
            return "completed"
    return _UNSEEN
