"""`Progress`: where training stands, as counters; part of every checkpoint."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from runner.protocols import check_state_keys


@dataclass(kw_only=True)
class Progress:
    """Counters over the whole run, over all its jobs."""

    step: int = 0  # optimizer updates done
    epoch: int = 0  # whole passes over the training data done
    batch: int = 0  # micro-batches done in the running epoch
    samples: int = 0
    evaluations: int = 0
    evaluated_step: int = -1  # the step of the last evaluation
    told_epochs: int = 0  # of how many the callbacks have heard the end
    wants_save: bool = False  # a better score waits for its checkpoint
    seconds: float = 0.0  # time spent training, without evaluations
    batches_per_epoch: int | None = 1  # of the running one; None: its end is known when it comes

    @property
    def fractional_epoch(self) -> float:
        """Return the epoch as a fraction, rounded for the journal; of a stream, the whole ones."""
        done = self.batch / self.batches_per_epoch if self.batches_per_epoch else 0.0
        return round(self.epoch + done, 4)

    @property
    def is_epoch_end(self) -> bool:
        """Return whether the last step ended an epoch."""
        return self.step > 0 and self.batch == 0

    @property
    def is_evaluated(self) -> bool:
        """Return whether the weights as they are were evaluated."""
        return self.evaluated_step == self.step

    def advance(self, *, batches: int, samples: int, ends_epoch: bool) -> None:
        """Count one step over `batches` micro-batches."""
        self.step += 1
        self.samples += samples
        self.batch += batches
        if ends_epoch:
            self.end_epoch()

    def end_epoch(self) -> None:
        """Count a whole pass over the data."""
        self.epoch += 1
        self.batch = 0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        state = {"told_epochs": state.get("epoch", 0), **state}  # absent in older checkpoints
        names = {field.name for field in fields(self)}
        check_state_keys("progress", state, names)
        for name in names:
            setattr(self, name, state[name])
