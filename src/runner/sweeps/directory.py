"""Where everything of a sweep lies: the only file that knows a file name inside its directory."""

from dataclasses import dataclass
from pathlib import Path

from runner.run.directory import RunDirectory

FORMAT_VERSION = 1  # written into sweep.json; a directory of a newer format is refused


@dataclass(frozen=True)
class SweepDirectory:
    """The paths of one sweep; nothing is created by naming them."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "sweep.json"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def lease(self) -> Path:
        return self.path / "lease.json"

    @property
    def study(self) -> Path:
        return self.path / "study.log"  # Optuna's journal

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def slurm(self) -> Path:
        return self.path / "slurm.jsonl"  # which job of the cluster does which run

    @property
    def slurm_folder(self) -> Path:
        return self.path / "slurm"  # batch scripts, what jobs do, their first words

    def job(self, number: int) -> RunDirectory:
        """Return the directory of the run with this number."""
        return RunDirectory(self.path / str(number))


def sweep_around(directory: RunDirectory) -> RunDirectory | None:
    """Return the directory of the sweep that a run belongs to, None for a run of its own."""
    above = directory.path.absolute().parent
    return RunDirectory(above) if is_sweep(above) else None


def is_sweep(path: Path) -> bool:
    """Return whether `path` is the directory of a sweep."""
    return SweepDirectory(path).record.is_file()
