"""`slurm.jsonl`: which job of the cluster does which run, so that another process can go on.

One JSON object a line, append-only. The intent to submit is written before the cluster hears of it:
of a process that dies in between, the jobs are found by their name.

    {"event": "opened", "launcher": {"_target_": ...}, "config": {...}}    of a single run
    {"event": "submitting", "name": "plate_ocr-3fa2c1", "numbers": [0, 1], "user": 1000}
    {"event": "submitted", "name": "plate_ocr-3fa2c1", "ids": {"0": "123_0", "1": "123_1"}}
    {"event": "ended", "id": "123_0"}
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.files import drop_torn_line, sync_directory
from runner.run.signature import is_text_ours, text_signature


class JobBook:
    """The book at `path`; reading takes nothing for granted, writing is for the sweep's holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = False  # a torn last line was dropped

    def opened(self, launcher: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        """Write what a single run goes on with when it is resumed: launcher node, frozen config."""
        line = {"event": "opened", "launcher": dict(launcher), "config": dict(config)}
        self._append({**line, "signature": text_signature(_signed_text(line))})

    def submitting(self, name: str, numbers: Sequence[int]) -> None:
        """Write that jobs for the runs `numbers` are about to be submitted under `name`."""
        line = {"name": name, "numbers": list(numbers), "user": os.getuid()}
        self._append({"event": "submitting", **line})

    def submitted(self, name: str, ids: Mapping[int, str]) -> None:
        """Write which job does which run: `ids` maps their numbers to "123" or "123_4"."""
        plain = {str(number): id for number, id in ids.items()}
        self._append({"event": "submitted", "name": name, "ids": plain})

    def not_submitted(self, name: str) -> None:
        """Write that nothing of `name` is on the cluster: it was refused, or is cancelled."""
        self._append({"event": "submitted", "name": name, "ids": {}})

    def ended(self, *ids: str) -> None:
        """Write that these jobs are over, and known to be; a run may have another one by now."""
        self._append(*({"event": "ended", "id": id} for id in ids))

    @property
    def opening(self) -> dict[str, Any] | None:
        """Return what `opened` has written last: "launcher" and "config"; None for a sweep."""
        return next(
            (line for line in reversed([*self._lines()]) if line["event"] == "opened"), None
        )

    @property
    def is_ours(self) -> bool:
        """Return whether what `opened` has written last is this user's."""
        line = self.opening
        return line is not None and is_text_ours(_signed_text(line), line.get("signature"))

    @property
    def last_ids(self) -> dict[int, str]:
        """Return the job of each run whose last one is not known to have ended."""
        ids: dict[int, str] = {}
        over: set[str] = set()
        for line in self._lines():
            if line["event"] == "submitted":
                ids |= {int(number): id for number, id in line["ids"].items()}
            elif line["event"] == "ended":
                over.add(line["id"])
        return {number: id for number, id in ids.items() if id not in over}

    @property
    def users(self) -> list[int]:
        """Return the users (their ids) who may have jobs of it, each once."""
        lines = (line for line in self._lines() if line["event"] == "submitting")
        return list(dict.fromkeys(self._user_of(line) for line in lines))

    @property
    def is_unused(self) -> bool:
        """Return whether the cluster has never had a job of it, nor may have one."""
        has_had = any(line["event"] == "submitted" and line["ids"] for line in self._lines())
        return not (has_had or self.unconfirmed)

    @property
    def unconfirmed(self) -> dict[str, int]:
        """Return the names under which jobs may be there whose ids are not known, and their user's.

        A sweep may be shared: one goes on with what another has begun.
        """
        names: dict[str, int] = {}
        for line in self._lines():
            if line["event"] == "submitting":
                names[line["name"]] = self._user_of(line)
            elif line["event"] == "submitted":
                names.pop(line["name"], None)
        return names

    def _user_of(self, line: Mapping[str, Any]) -> int:
        return line.get("user", self._path.stat().st_uid)  # older ones are the owner's

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):  # else its writer was killed, or is in the middle of it
                    yield json.loads(line)

    def _append(self, *contents: dict[str, Any]) -> None:
        if not contents:
            return
        is_new = not self._path.exists()
        if not self._is_whole:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            drop_torn_line(self._path)
            self._is_whole = True
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{json.dumps(content)}\n" for content in contents))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_directory(self._path.parent)


def _signed_text(line: Mapping[str, Any]) -> str:
    return json.dumps([line["launcher"], line["config"]], sort_keys=True)


def ids_in_words(ids: Collection[str]) -> str:
    """Return ids as a person reads them, array tasks together: "jobs 12_[0-3], 13"; "" for none."""
    tasks: dict[str, list[int]] = {}
    for id in ids:
        base, _, task = id.partition("_")
        tasks.setdefault(base, []).extend([int(task)] if task else [])
    words = [f"{base}_{_ranges(numbers)}" if numbers else base for base, numbers in tasks.items()]
    return f"job{'s' if len(ids) > 1 else ''} {', '.join(words)}" if words else ""


def _ranges(numbers: Collection[int]) -> str:
    """Return "3" or, of several, "[0-2,5]" as Slurm writes them."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return text if len(numbers) == 1 else f"[{text}]"
