"""Where everything of a run lies: the only file that knows a file name inside a run directory."""

from dataclasses import dataclass
from pathlib import Path

FORMAT_VERSION = 1  # written into run.json; a directory of a newer format is refused


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run; nothing is created by naming them."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def signature(self) -> Path:
        return self.path / "signature"  # of the config, by the user who ran it

    @property
    def provenance(self) -> Path:
        return self.path / "run.json"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    @property
    def lease(self) -> Path:
        return self.path / "lease.json"

    @property
    def journal(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def table(self) -> Path:
        return self.path / "metrics.csv"  # with trackers=csv

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"  # with trackers=tensorboard

    @property
    def init_weights(self) -> Path:
        return self.path / "init_weights.json"  # what was taken from init_weights_from

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def plots(self) -> Path:
        return self.path / "plots"

    @property
    def preprocessor(self) -> Path:
        return self.path / "preprocessor"

    @property
    def data(self) -> Path:
        return self.path / "data.json"  # by which its data are recognised again

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def calibration(self) -> Path:
        return self.path / "calibration.json"  # of every evaluated step

    @property
    def reliability(self) -> Path:
        return self.path / "reliability.json"  # of the confidences on the test split

    @property
    def model_card(self) -> Path:
        return self.path / "model.json"  # what the final model is, and what it takes

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"  # a folder for each that was asked for after the training

    @property
    def reproduced(self) -> Path:
        return self.path / "reproduced"  # its code and its training, once more

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def report(self) -> Path:
        return self.path / "report"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"  # a link, with checkpoint.dir

    @property
    def committed(self) -> list[Path]:
        """The folders of the committed checkpoints, oldest first. It checks no file."""
        return sorted(path.parent for path in self.checkpoints.glob("step_*/manifest.json"))

    @property
    def saved_step(self) -> int:
        """The newest step with a committed checkpoint; 0 without one. It checks no file."""
        names = (path.name.removeprefix("step_") for path in self.committed)
        return max((int(name) for name in names if name.isdecimal()), default=0)

    @property
    def console(self) -> Path:
        return self.logs / "console.log"  # what a job of a sweep prints

    @property
    def slurm(self) -> Path:
        return self.path / "slurm.jsonl"  # the jobs of a single run on a cluster

    @property
    def slurm_folder(self) -> Path:
        return self.path / "slurm"

    @property
    def slurm_ends(self) -> Path:
        return self.logs / "slurm_ends.txt"  # starts of jobs that Slurm did not end: "JOB RESTART"

    @property
    def slurm_lease(self) -> Path:
        return self.slurm_folder / "lease.json"  # of the process that watches the job

    def log_of_rank(self, rank: int) -> Path:
        return self.logs / f"rank_{rank}.log"

    def tracker(self, name: str) -> Path:
        """Return the file in which the tracker `name` remembers its run and what was delivered."""
        return self.path / "trackers" / f"{name}.json"
