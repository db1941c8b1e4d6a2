"""Read what is remembered beside a run of its deliveries; a damaged file is one clear sentence."""

import json
from pathlib import Path
from typing import Any


def read_mark(path: Path) -> dict[str, Any] | None:
    """Return the JSON object at `path`, None if there is no file; ValueError if it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from error
    if not isinstance(content, dict):
        raise damaged(path, "it holds no JSON object")
    return content


def damaged(path: Path, reason: str) -> ValueError:
    """Return the error that says so, and what to do."""
    return ValueError(
        f"{path} is damaged ({reason}): bring it back, or remove it to deliver the run as a new one"
    )
