"""`data.json`: by what the data of a run are recognised again, for readers without torch."""

import json
from collections.abc import Mapping
from pathlib import Path

from runner.files import write_json_atomically

FORMAT_VERSION = 1


def write_data_note(path: Path, fingerprint: Mapping[str, str]) -> None:
    """Write the fingerprint of each split (see data/fingerprint.py), unless it stands there."""
    if read_data_note(path) != dict(fingerprint):
        write_json_atomically(path, {"format_version": FORMAT_VERSION, "splits": fingerprint})


def read_data_note(path: Path) -> dict[str, str]:
    """Return the fingerprints by split; of a run that has none, as one of before, nothing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["splits"]) if content["format_version"] <= FORMAT_VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):  # it is told, never relied on
        return {}
