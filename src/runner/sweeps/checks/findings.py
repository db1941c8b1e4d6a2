"""What a look at configs has found, in a file that outlives the process that looks.

One JSON object a line, in the order of the configs: where the process stands, so that its death can
be told ({"stage": ...}), and what it has found of a config. A kill leaves a torn line at worst.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is wrong with a config, what is odd, and what is good to know, of one config."""

    problems: Sequence[str] = ()
    warnings: Sequence[str] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What a process has written down."""

    findings: list[Findings]
    stage: str | None = None  # the last one that was begun


def note_stage(path: Path, stage: str) -> None:
    """Write that the process is at `stage`, a noun such as "the forward pass"."""
    _append(path, {"stage": stage})


def note_findings(path: Path, findings: Findings) -> None:
    """Write what was found of one more config."""
    _append(path, asdict(findings))


def read_notes(path: Path) -> Notes:
    """Return what stands in `path`, nothing if there is no such file."""
    findings, stage = [], None
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        entry = json.loads(line)
        if "stage" in entry:
            stage = entry["stage"]
        else:
            findings.append(Findings(**entry))
    return Notes(findings=findings, stage=stage)


def _append(path: Path, entry: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")
