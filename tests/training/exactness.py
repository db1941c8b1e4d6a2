"""Straight runs against interrupted and resumed ones: every factor that could tell them apart.

`run_case` trains a case twice, once cut and resumed, and names all that differs in the end.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import combinations, product
from pathlib import Path
from signal import SIGTERM, raise_signal
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from runner.config.options import Options, PrecisionOptions
from runner.data.data import Batch, Data
from runner.data.draws import Draws
from runner.errors import Interrupted
from runner.run.directory import RunDirectory
from runner.run.journal import Journal
from runner.runtime.ranks import ALONE, Ranks
from runner.runtime.seeds import mix, seed_everything
from runner.runtime.signals import StopRequests
from runner.training.callback import Callback, Fit
from runner.training.loop import TrainingLoop
from tests.training.harness import fixed_split, journal_of, tiny_options, tiny_parts, train
from tests.training.rank_trainings import NoJournal

NUM_SAMPLES = 22  # six micro-batches, the last of two samples
NUM_EPOCHS = 3  # where patience does not end the run
PATIENCE = 3  # with no score counting as better: four epochs
FACTORS: dict[str, tuple[Any, ...]] = {
    "ranks": (1, 2),
    "workers": (0, 2),
    "accumulation": (1, 3),
    "precision": ("fp32", "bf16"),
    "has_dropout": (False, True),
    "has_augmentation": (False, True),
    "is_pending": (False, True),
    "cut": ("mid_epoch", "epoch_end", "in_evaluation", "before_save"),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to train, and where it is cut in the second epoch.

    `is_pending`: the patience of early stopping and of a plateau scheduler are used up in part. The
    weights are always averaged, the gradients always clipped.
    """

    ranks: int
    workers: int
    accumulation: int
    precision: str
    has_dropout: bool
    has_augmentation: bool
    is_pending: bool
    cut: str

    @property
    def name(self) -> str:
        return f"{self.training}-{self.cut}"

    @property
    def training(self) -> str:
        """Return the name of what is the same for every cut."""
        said = [f"{self.ranks}_ranks", f"{self.workers}_workers", f"by_{self.accumulation}"]
        said += [self.precision]
        said += ["dropout"] * self.has_dropout + ["augmented"] * self.has_augmentation
        said += ["pending"] * self.is_pending
        return "-".join(said)

    @property
    def steps_per_epoch(self) -> int:
        return 6 // self.accumulation

    @property
    def cut_step(self) -> int:
        """Return the step that is saved when the run is cut."""
        second_end = 2 * self.steps_per_epoch
        behind = {"mid_epoch": -self.steps_per_epoch // 2, "before_save": 1}
        return second_end + behind.get(self.cut, 0)

    @property
    def last_step(self) -> int:
        return self.steps_per_epoch * (1 + PATIENCE if self.is_pending else NUM_EPOCHS)


def whole_product() -> list[Case]:
    """Return every case there is."""
    return [
        Case(**dict(zip(FACTORS, values, strict=True))) for values in product(*FACTORS.values())
    ]


def covering(cases: Sequence[Case], *, strength: int = 2) -> list[Case]:
    """Return few of `cases` in which any `strength` factors meet in every way they can."""
    met_by = {case: set(_meetings(case, strength)) for case in cases}
    missing = set().union(*met_by.values())
    chosen: list[Case] = []
    while missing:
        best = max(cases, key=lambda case: len(met_by[case] & missing))
        missing -= met_by[best]
        chosen.append(best)
    return chosen


def run_case(case: Case, folder: Path, ranks: Ranks = ALONE) -> list[str]:
    """Train straight and resumed; return what went wrong or differs. All ranks call this.

    The straight run is shared by the cases that differ in their cut alone.
    """
    straight, resumed = folder / case.training, folder / case.name
    is_there = ranks.share(straight.exists())
    if not is_there and not _train(case, straight, ranks):
        return ["the straight run was interrupted"]
    if _train(case, resumed, ranks, is_cut=True):
        return ["nothing interrupted the run"]
    ranks.meet()
    wrong = _wrong_places(case, resumed)
    if not _train(case, resumed, ranks):
        return ["the resumed run was interrupted"]
    ranks.meet()
    last = newest_step(resumed)
    if last != case.last_step:
        wrong.append(f"the run ended at step {last}, not {case.last_step}")
    return wrong + run_differences(straight, resumed)


def run_cases(ranks: Ranks, folder: Path, *, cases: Sequence[Case], tell: Any = None) -> dict:
    """Run `cases` one after the other; as a worker of `results_of`."""
    results = {}
    for case in cases:
        results[case.name] = run_case(case, folder / "runs", ranks)
        if tell is not None and ranks.is_main:
            tell(case, results[case.name])
    return results


def newest_step(path: Path) -> int:
    return int(max((path / "checkpoints").iterdir()).name.removeprefix("step_"))


def run_differences(first: Path, second: Path) -> list[str]:
    """Return where the newest checkpoints and the journals of two runs differ."""
    states = [{**_newest_files(path), "journal": journal_of(path)} for path in (first, second)]
    return list(differences(*states))


def differences(first: Any, second: Any, where: str = "") -> Iterator[str]:
    """Say where two nested containers differ; tensors are the same bit by bit or not at all."""
    if type(first) is not type(second):
        yield f"{where}: {type(first).__name__} and {type(second).__name__}"
    elif isinstance(first, Mapping):
        if first.keys() != second.keys():
            yield f"{where}: {sorted(map(str, first))} and {sorted(map(str, second))}"
        for key in first.keys() & second.keys():
            yield from differences(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, list | tuple):
        if len(first) != len(second):
            yield f"{where}: {len(first)} and {len(second)} entries"
        for number, (one, other) in enumerate(zip(first, second, strict=False)):
            yield from differences(one, other, f"{where}/{number}")
    elif not _equal(first, second):
        yield f"{where}: {first} and {second}"


class Cut(Callback):
    """Asks this process to stop where the case says."""

    def __init__(self, case: Case) -> None:
        self._cut = case.cut
        self._step = 2 * case.steps_per_epoch if case.cut == "before_save" else case.cut_step
        self._num_batches = 0

    def on_step_end(self, fit: Fit) -> None:
        if self._cut in ("mid_epoch", "epoch_end") and fit.progress.step == self._step:
            raise_signal(SIGTERM)

    def on_evaluation_batch(self, fit: Fit, split: str, batch: Any, predictions: Any) -> None:
        if self._cut == "in_evaluation" and fit.progress.step == self._step:
            self._num_batches += 1
            if self._num_batches == 2:  # of three
                raise_signal(SIGTERM)

    def on_evaluation_end(self, fit: Fit, split: str, values: dict[str, float]) -> None:
        if self._cut == "before_save" and (split, fit.progress.step) == ("evaluation", self._step):
            raise_signal(SIGTERM)


class Jittered:
    """Samples with noise of all three generators."""

    def __len__(self) -> int:
        return NUM_SAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(8) + random.random() + np.random.rand()
        return torch.randn(8, generator=generator) + 0.1 * noise, torch.tensor(index % 3)


def jittered_batch(batch: Batch, draws: Draws) -> Batch:
    return {**batch, "input": batch["input"] * draws.uniform(1) + 0.1 * draws.normal(8)}


def data_of(case: Case) -> Data:
    held_out = {"evaluation": fixed_split(9), "test": fixed_split(6)}
    if case.has_augmentation:
        return Data(train=Jittered(), augment=jittered_batch, **held_out)
    return Data(train=fixed_split(NUM_SAMPLES), **held_out)


def options_of(case: Case) -> Options:
    options = tiny_options(
        max_epochs=9 if case.is_pending else NUM_EPOCHS,
        log_every_steps=5,  # a window is open at every cut
        gradient_accumulation_steps=case.accumulation,
        max_grad_norm=1.0,
        ema_decay=0.9,
        schedule_every="evaluation" if case.is_pending else "step",
        patience=PATIENCE if case.is_pending else None,
        min_improvement=9.0 if case.is_pending else 0.0,
    )
    autocast = None if case.precision == "fp32" else case.precision
    return replace(
        options,
        loader=replace(options.loader, num_workers=case.workers),
        precision=PrecisionOptions(autocast=autocast),
    )


def _train(case: Case, path: Path, ranks: Ranks, *, is_cut: bool = False) -> bool:
    """Train, or go on, and return whether the training came to its end."""
    options = options_of(case)
    seed_everything(options.seed)
    noise = nn.Dropout(0.3) if case.has_dropout else nn.Identity()
    # No score is ever better: the second that is not lowers the learning rate.
    plateau = partial(ReduceLROnPlateau, patience=1, threshold=9.0, threshold_mode="abs")
    is_cutting = is_cut and ranks.rank == ranks.count - 1  # of several, the last one alone hears it
    changes: dict[str, Any] = {
        "model": nn.Sequential(nn.Linear(8, 16), noise, nn.ReLU(), nn.Linear(16, 3)),
        "data": data_of(case),
        "scheduler": plateau if case.is_pending else partial(OneCycleLR, max_lr=1e-2),
        "callbacks": {"cut": Cut(case)} if is_cutting else {},
    }
    try:
        if ranks.are_several:
            train_as_rank(ranks, path, options, **changes)
        else:
            train(path, options, **changes)
    except Interrupted:
        return False
    return True


def train_as_rank(ranks: Ranks, path: Path, options: Options, **changes: Any) -> Any:
    """Train in `path` as one of `ranks`, or continue what is there; return the result."""
    directory = RunDirectory(path)
    if ranks.is_main:
        path.mkdir(parents=True, exist_ok=True)
    parts = tiny_parts(options, ranks=ranks, **changes)
    if not ranks.is_main:
        seed_everything(mix(options.seed, ranks.rank) >> 1)
    journal: Any = Journal(directory.journal) if ranks.is_main else NoJournal()
    try:
        with StopRequests() as requests:
            loop = TrainingLoop(parts, directory=directory, journal=journal, stop=requests)
            loop.restore()
            return loop.run()
    finally:
        if ranks.is_main:
            journal.close()


def _meetings(case: Case, strength: int) -> Iterator[tuple[tuple[str, Any], ...]]:
    values = [(field.name, getattr(case, field.name)) for field in fields(case)]
    return combinations(values, strength)


def _wrong_places(case: Case, path: Path) -> list[str]:
    """Return what is not as it should be in a run that was just cut."""
    wrong = []
    if (step := newest_step(path)) != case.cut_step:
        wrong.append(f"the run was cut at step {step}, not {case.cut_step}")
    training = _newest_files(path)["training.pt"]
    evaluations = 2 if case.cut == "before_save" else 1
    if (counted := training["progress"]["evaluations"]) != evaluations:
        wrong.append(f"the run was cut after {counted} evaluations, not {evaluations}")
    if case.is_pending and training["best"]["evaluations_since"] != evaluations - 1:
        wrong.append(f"best at the cut: {training['best']}")
    return wrong


def _newest_files(path: Path) -> dict[str, Any]:
    """Return all that the files of the newest checkpoint hold, but the time taken."""
    newest = max((path / "checkpoints").iterdir())
    loaded: dict[str, Any] = {"step": newest.name}
    for file in sorted(newest.iterdir()):
        if file.suffix == ".safetensors":
            loaded[file.name] = load_file(file)
        elif file.suffix == ".pt":
            loaded[file.name] = torch.load(file, weights_only=True)
    loaded["training.pt"]["progress"].pop("seconds")
    return loaded


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return bool(first == second)
