"""What differs between the code of two runs: commits, and the uncommitted diffs beside them."""

import difflib
import hashlib
import re
from collections.abc import Mapping

from runner.run.source.state import CodeState

_FILE = re.compile(r"^diff --git a/.*? b/(.*)$")


def describe_code(code: Mapping[str, str | None]) -> str:
    """Return a state of the code in a few words, another for another diff."""
    commit, diff = code.get("commit"), code.get("diff")
    if not commit:
        return "in no git repository"
    if not diff:
        return f"commit {commit[:12]}"
    mark = hashlib.sha256(diff.encode()).hexdigest()[:6]
    return f"commit {commit[:12]} with uncommitted changes ({mark})"


def files_of(diff: str | None) -> dict[str, list[str]]:
    """Return the part of each file in a diff as git writes it."""
    parts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (diff or "").splitlines():
        if match := _FILE.match(line):
            lines = parts.setdefault(match[1], [])
        lines.append(line)
    return parts


def differing_files(first: CodeState, second: CodeState) -> list[str]:
    """Return the files whose uncommitted changes differ."""
    one, other = files_of(first["diff"]), files_of(second["diff"])
    return sorted(
        name for name in one.keys() | other.keys() if _core(one, name) != _core(other, name)
    )


def difference_in(name: str, first: CodeState, second: CodeState) -> list[str]:
    """Return how the changes of a file differ: those of the one that has any, else a diff of both.

    In that a line begins with - or + twice: whose it is, and what it does to the file.
    """
    one, other = files_of(first["diff"]).get(name), files_of(second["diff"]).get(name)
    if one is None or other is None:
        return one or other or []
    return list(difflib.unified_diff(one, other, lineterm="", n=3))[2:]


def _core(parts: Mapping[str, list[str]], name: str) -> list[str] | None:
    """Return the changes without what depends on the commit below them."""
    lines = parts.get(name)
    return lines and [re.sub(r"^@@ .*? @@.*", "@@", x) for x in lines if not x.startswith("index ")]
