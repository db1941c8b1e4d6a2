"""What MLflow has of a run, against the run's journal: for tests and benchmarks."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from runner.run.directory import RunDirectory
from runner.run.journal import read_journal
from runner.trackers.mlflow.limits import clean_key
from runner.trackers.mlflow.mark import MarkFile

LARGEST = 1.7976931348623157e308  # what MLflow stores for infinity

Ask = Callable[[str], list[tuple]]  # a question to the tables of the store, and its answer


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """How many values a journal has, and how the store differs from it."""

    values: int
    missing: int
    doubled: int
    different: int  # another value, or one that the journal does not have
    state: str

    @property
    def is_exact(self) -> bool:
        """Tell whether every value is there, once and the same, and the run FINISHED."""
        harm = self.missing + self.doubled + self.different
        return harm == 0 and self.values > 0 and self.state == "FINISHED"


def compare(directory: RunDirectory, address: str, ask: Ask) -> Mirrored:
    """Compare a run's journal with its run in the store that `ask` reads."""
    run_id = MarkFile(directory.tracker("mlflow")).load(address).run_id
    states = ask(f"SELECT status FROM runs WHERE run_uuid = '{run_id}'")
    rows = ask(f"SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = '{run_id}'")
    rows = [row for row in rows if not row[0].startswith("best/")]  # no values of the journal
    stored = {(key, step): (value, bool(is_nan)) for key, step, value, is_nan in rows}
    wanted = _wanted(directory)
    counts = Counter((key, step) for key, step, _, _ in rows)
    return Mirrored(
        values=len(wanted),
        missing=sum(place not in stored for place in wanted),
        doubled=sum(count - 1 for count in counts.values()),
        different=sum(wanted.get(place) != value for place, value in stored.items()),
        state=states[0][0] if states else "none",
    )


def num_runs(ask: Ask) -> int:
    """Return how many runs the store has that nobody deleted."""
    return ask("SELECT COUNT(*) FROM runs WHERE lifecycle_stage = 'active'")[0][0]


def _wanted(directory: RunDirectory) -> dict[tuple[str, int], tuple[float, bool]]:
    return {
        (clean_key(f"{row.split}/{name}"), row.step): _as_stored(value)
        for row in read_journal(directory.journal)
        for name, value in row.values.items()
    }


def _as_stored(value: float) -> tuple[float, bool]:
    if math.isnan(value):
        return 0.0, True
    return max(-LARGEST, min(LARGEST, float(value))), False
