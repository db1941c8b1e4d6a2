"""The commands that a page offers to copy: the run's own, and what can be done with it."""

import shlex

from runner.reports.run.facts import RunFacts

_RUNNER = "python -m runner"


def commands(facts: RunFacts) -> list[tuple[str, str]]:
    """Return what each command does, and the command."""
    path = shlex.quote(facts.path)
    found = [("Started by", facts.command)] if facts.command else []
    if facts.state not in ("completed", "running"):
        is_lost = facts.step > 0 and not facts.checkpoints
        way = "Begin again (no checkpoint was saved)" if is_lost else "Go on with it"
        found.append((way, f"{_RUNNER} resume {path}"))
    if any(checkpoint.problem is None for checkpoint in facts.checkpoints):
        found.append(("Evaluate it", f"{_RUNNER} evaluate {path}"))
        if facts.reads_pictures:
            found.append(("Read pictures", f"{_RUNNER} predict {path} FILES"))
    return found
