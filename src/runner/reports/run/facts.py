"""A run as a page shows it, whoever has read it; None is not known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runner.reports.page import Sample
from runner.reports.reliability import ReliabilityReport
from runner.run.journal import Row


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """One job of a run; times are seconds since 1970."""

    number: int  # from 1
    host: str
    started: float
    from_step: int | None = None
    end: str = ""
    overrides: Sequence[str] = ()
    slurm_job: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointFacts:
    """One checkpoint; `problem` is what a look at its files has found."""

    step: int
    num_bytes: int
    saved: float | None
    score: float | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationFacts:
    """An evaluation that was asked for after the training."""

    name: str
    split: str
    step: int | None
    time: str
    values: Mapping[str, float]
    num_samples: int | None = None
    overrides: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class CodeFacts:
    """The code of a run, of one state or of several."""

    states: Sequence[str] = ()  # in words
    branch: str | None = None
    diff: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class SampleFacts:
    """Samples with what was read in them, and of which evaluation they are."""

    samples: Sequence[Sample]
    told: str


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What the run's own files say."""

    name: str
    state: str
    step: int
    command: str
    metric: str
    mode: str  # min | max
    path: str = "RUN_DIR"  # as a user types it
    planned_steps: int | None = None
    score: float | None = None
    best_step: int | None = None
    seconds: float | None = None
    started: float | None = None
    last_row: float | None = None
    error: str | None = None
    problems: Sequence[str] = ()  # files that cannot be read
    code: CodeFacts = field(default_factory=CodeFacts)
    versions: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)  # all that were installed
    machine: Mapping[str, str] = field(default_factory=dict)
    data: Sequence[tuple[str, str]] = ()
    initial_weights: Sequence[tuple[str, str]] = ()
    jobs: Sequence[JobFacts] = ()
    rows: Sequence[Row] = ()
    evaluations: Sequence[EvaluationFacts] = ()
    samples: SampleFacts | None = None
    reliability: ReliabilityReport | None = None
    checkpoints: Sequence[CheckpointFacts] = ()
    reads_pictures: bool = False
    config: Sequence[str] = ()
    given: Sequence[str] = ()  # overrides of all jobs
    log: Sequence[str] = ()  # its last lines

    @property
    def is_over(self) -> bool:
        return self.state in ("completed", "failed", "cancelled", "pruned")


@dataclass(frozen=True, kw_only=True)
class RunPictures:
    """Files of pictures, as seen from the page; None is not there."""

    curves: str | None = None
    samples: str | None = None
    reliability: str | None = None
