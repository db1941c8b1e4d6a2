"""An uncommitted diff as it is written down: without secrets, and as far as possible whole.

What a change adds is shown with stars for secrets, known ones and what looks like one, and still
applies. Removed lines and those around them are from the commit, and must stay as they are: they
too get stars only for what is known to be a secret, the value of an environment variable that is
called like one. Then the diff no longer applies.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from runner.config.secrets import secrets_here
from runner.run.secrets import redacted
from runner.run.source.literals import without_literals

_FILE = re.compile(r"diff --git a/.*? b/(.*)")


@dataclass(frozen=True, kw_only=True)
class ShownDiff:
    """A diff that others may see, and the files in which that changed something."""

    text: str
    files: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # those of `files` whose part does not apply


def without_secrets(diff: str) -> ShownDiff:
    """Return `diff` with stars for the secrets in it."""
    before = diff.split("\n")
    after = _without_literals(before)
    if redacted(diff) != diff:
        known = set(secrets_here().values())
        after = _each(
            after,
            lambda line: line.startswith("+") or any(value in line for value in known),
        )
    changed, broken = [], []
    for name, old, new in _with_files(before, after):
        if old != new:
            changed.append(name)
            if not old.startswith("+"):
                broken.append(name)
    return ShownDiff(
        text="\n".join(after),
        files=list(dict.fromkeys(changed)),
        broken=list(dict.fromkeys(broken)),
    )


def _without_literals(lines: list[str]) -> list[str]:
    """Return the lines, those that are added without secrets that stand there as such."""
    result = list(lines)
    for name, added in _added(lines).items():
        text = "\n".join(lines[index][1:] for index in added)
        shown = without_literals(name, text)
        if shown != text:
            for index, line in zip(added, shown.split("\n"), strict=True):
                result[index] = f"+{line}"
    return result


def _added(lines: list[str]) -> dict[str, list[int]]:
    """Return where the lines are that are added to each file."""
    found: dict[str, list[int]] = {}
    name, is_in_hunk = "", False
    for index, line in enumerate(lines):
        if line.startswith("diff --git "):
            match, is_in_hunk = _FILE.fullmatch(line), False
            name = match[1] if match else line
        elif line.startswith("@@"):
            is_in_hunk = True
        elif is_in_hunk and line.startswith("+"):
            found.setdefault(name, []).append(index)
    return found


def _each(lines: list[str], is_asked: Callable[[str], bool]) -> list[str]:
    """Redact those lines that are asked for, all at once: looking for secrets takes a while."""
    wanted = [index for index, line in enumerate(lines) if is_asked(line)]
    found = redacted("\n".join(lines[index] for index in wanted)).split("\n")
    if len(found) != len(wanted):  # a secret of several lines
        found = [redacted(lines[index]) for index in wanted]
    result = list(lines)
    for index, line in zip(wanted, found, strict=True):
        result[index] = line
    return result


def _with_files(before: list[str], after: list[str]) -> Iterator[tuple[str, str, str]]:
    name = ""
    for old, new in zip(before, after, strict=True):
        match = _FILE.fullmatch(old)
        name = match[1] if match else name
        yield name, old, new
