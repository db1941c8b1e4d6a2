"""`reproduce`: make a run again from what run.json says of it, and compare what comes of it.

compare the machine and its software to those of then
bring the code back, in a folder of its own
train the frozen config with it, in a process and a directory of its own
compare the two journals, value by value
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.cli.columns import table, width_of
from runner.cli.reproducing.rerun import code_of_then, config_of_then, link_data
from runner.cli.reproducing.retraining import train_again
from runner.config.trust import NOBODY_ELSE, Trust
from runner.config.written import to_yaml
from runner.errors import RunError
from runner.files import write_text_atomically
from runner.run.directory import RunDirectory
from runner.run.journal import Row, read_journal
from runner.run.parting import OF_THE_MACHINE, RowComparison, compare_rows
from runner.run.provenance import facts_of_process, read_provenance, signed_text
from runner.run.signature import StrangerError, are_facts_ours, refuse_stranger, sign
from runner.run.status import read_status
from runner.run.surroundings import Change, changed_data, changes, pip_command
from runner.sweeps.directory import is_sweep


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the command line asks of `reproduce`."""

    overrides: Sequence[str] = ()  # of layout keys
    to: Path | None = None
    repository: Path | None = None
    steps: int | None = None
    check_only: bool = False


def reproduce(path: Path, wishes: Wishes, *, trust: Trust = NOBODY_ELSE) -> int:
    """Make the run in `path` again and return 0 if every value is the same, else 1.

    With `check_only` nothing is trained: 0 if the code can be brought back and nothing has changed.
    Raises RunError when the run cannot be made again at all, and for one from elsewhere without
    `trust`.
    """
    original = RunDirectory(path.absolute())
    if is_sweep(path):
        raise RunError(f"{path} is a sweep: give the folder of one of its runs, such as {path}/0")
    provenance = read_provenance(original.provenance)
    _refuse_stranger(original, provenance, trust)
    found = _changes(provenance, wishes.repository)
    _tell(found)
    for note in _history(provenance):
        print(f"note: {note}")
    if wishes.check_only:
        return _check(original, provenance, wishes, found)
    folder = _new_folder(original, wishes.to)
    code = code_of_then(provenance, folder, repository=wishes.repository)
    for note in code.notes:
        print(f"note: {note}")
    print(f"code: {code.description}" + (f", in {code.copy}" if code.copy else ""))
    rows, until = _rows_to_compare(original, wishes.steps)
    again = RunDirectory(folder / "run")
    config = config_of_then(original, provenance)
    link_data(config, code)
    text = to_yaml(config)
    sign(again, text)  # looked at above; as the runner of then knows it
    write_text_atomically(again.config, text)
    train_again(
        again,
        code,
        provenance,
        overrides=wishes.overrides,
        until=until,
        after_step=_after_step(rows, until),
    )
    return _judge(original, again, rows, until, found)


def _refuse_stranger(original: RunDirectory, provenance: dict[str, Any], trust: Trust) -> None:
    """Refuse a config, or code and variables in run.json, that this user has not written."""
    refuse_stranger(original, trust, to="reproduce")
    if not (trust.everything or are_facts_ours(original, signed_text(provenance))):
        raise StrangerError(
            original.path,
            trust,
            to="reproduce",
            found=[f"code and variables in {original.provenance.name}, which you have not signed"],
        )


def _changes(provenance: dict[str, Any], repository: Path | None) -> list[Change]:
    import torch  # noqa: F401 - how it was built is among the facts

    source = provenance.get("source", {})
    data = []
    root = repository or Path(source.get("repository", "."))
    if source.get("left_out") and root.is_dir():
        data = changed_data(root, source["left_out"])
    return [*changes(provenance, facts_of_process()), *data]


def _tell(found: Sequence[Change]) -> None:
    if not found:
        print("software, machine and environment: as they were")
        return
    rows = [[one.kind, one.name, one.then or "-", one.now or "-"] for one in found]
    header = ["what", "name", "then", "now"]
    print("\n".join(table(header, rows, left=header, width=width_of())))
    if command := pip_command(list(found)):
        print(f"the packages of then: {command}")


def _history(provenance: dict[str, Any]) -> list[str]:
    """Return what a run has behind it that one training from the start has not."""
    jobs, notes = provenance["jobs"], []
    if "forked_from" in provenance:
        step = provenance["forked_from"]["step"]
        notes.append(f"the run went on from step {step} of another: it is trained from the start")
    for number, job in enumerate(jobs[1:], start=2):
        at = f"job {number} of {len(jobs)} (from step {job.get('from_step')})"
        if "code" in job:
            notes.append(f"{at} had other code: that of the first job is used")
        if names := sorted(job.get("config_before", {})):
            notes.append(f"{at} changed {', '.join(names)}: the config of the first job is used")
        if {"machine", "packages"} & job.keys():
            notes.append(f"{at} ran on another machine or with other packages")
    return notes


def _check(
    original: RunDirectory, provenance: dict[str, Any], wishes: Wishes, found: Sequence[Change]
) -> int:
    """Bring the code back where it is thrown away again; 1 where anything is another one."""
    with tempfile.TemporaryDirectory(prefix="runner_reproduce_") as folder:
        code = code_of_then(provenance, Path(folder), repository=wishes.repository)
        config_of_then(original, provenance)
    for note in code.notes:
        print(f"note: {note}")
    print(f"code: {code.description}; it can be brought back")
    return 1 if found or code.notes else 0


def _new_folder(original: RunDirectory, to: Path | None) -> Path:
    if to is not None:
        if to.exists() and (not to.is_dir() or any(to.iterdir())):
            raise RunError(f"{to} is there and not empty: {_way_out(to)}")
        return to.absolute()
    number, folder = 2, original.reproduced
    while folder.exists():
        folder = original.reproduced.with_name(f"{original.reproduced.name}_{number}")
        number += 1
    return folder


def _way_out(to: Path) -> str:
    if RunDirectory(to / "run").config.is_file():  # of one that was stopped, or is done
        return f"it holds what reproduce made before; delete {to}, or give another folder --to"
    return "give another folder --to"


def _rows_to_compare(original: RunDirectory, steps: int | None) -> tuple[list[Row], int | None]:
    """Return what the run has logged, and the step to which it is made again; None is its end."""
    rows = read_journal(original.journal)
    if not rows:
        raise RunError(f"{original.path} has logged nothing: there is nothing to compare")
    status, last = read_status(original), max(row.step for row in rows)
    if steps is not None and steps < last:
        return rows, max(steps, _first_step(rows, steps))
    return rows, None if status is not None and status.state == "completed" else last


def _first_step(rows: Sequence[Row], steps: int) -> int:
    """Return the step of the first row that can be compared; tell of it if that is too late."""
    first = min((row.step for row in rows if row.split not in OF_THE_MACHINE), default=0)
    if first > steps:
        print(f"note: nothing is logged up to step {steps}, and the first row is at {first}")
    return first


def _after_step(rows: Sequence[Row], until: int | None) -> int | None:
    """Return after which step training is to stop; None where it goes on to its own end.

    The last of a run that was stopped may be its end, where there is more to log.
    """
    if until is None:
        return None
    return until + 1 if until == max(row.step for row in rows) else until


def _judge(
    original: RunDirectory,
    again: RunDirectory,
    rows: Sequence[Row],
    until: int | None,
    found: Sequence[Change],
) -> int:
    last = max(row.step for row in rows)
    of_last = {row.split for row in rows if row.step == last}
    # A run that was stopped may lack what its last step would have logged.
    made = [row for row in read_journal(again.journal) if row.step < last or row.split in of_last]
    compared = compare_rows(rows, made, until=until)
    print(f"run: {again.path}")
    if compared.is_exact:
        print(
            f"reproduced: all {compared.compared} values up to step {compared.last_step} are the "
            f"same to the bit as those of {original.path}"
        )
        return 0
    print(_difference(compared))
    for reason in _reasons(again, found):
        print(f"perhaps: {reason}")
    return 1


def _difference(compared: RowComparison) -> str:
    parting = compared.parting
    if parting is None:
        return "NOT REPRODUCED: the two have no logged step in common"
    head = f"NOT REPRODUCED: they part at step {parting.step}, {parting.metric}: "
    if parting.difference is None:
        lacks = "the run of then" if parting.first is None else "the new one"
        return f"{head}{lacks} has not logged it ({compared.compared} values are in both)"
    size = abs(parting.first or 0.0)
    relative = f", {abs(parting.difference) / size:.1e} of it" if size else ""
    return (
        f"{head}{parting.first!r} then, {parting.second!r} now{relative}; {compared.differing} of "
        f"{compared.compared} values up to step {compared.last_step} differ"
    )


def _reasons(again: RunDirectory, found: Sequence[Change]) -> list[str]:
    kinds = {
        "version": "another version of Python",
        "package": "other versions of packages",
        "machine": "another machine, or a torch that was built otherwise",
        "environment": "other environment variables",
        "data": "files that have changed",
    }
    reasons = [
        f"{text}: {', '.join(one.name for one in found if one.kind == kind)}"
        for kind, text in kinds.items()
        if any(one.kind == kind for one in found)
    ]
    facts = read_provenance(again.provenance)
    if facts["machine"].get("gpus"):
        reasons.append("a GPU computes sums in an order of its own without trainer.deterministic")
    return reasons or [
        "nothing that is written down has changed: data outside of the repository, the clock or "
        "the network, or a random number that no seed decides (python -m runner verify-resume)"
    ]
