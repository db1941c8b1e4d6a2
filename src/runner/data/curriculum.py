"""`Curriculum`: datasets to train on one after the other, such as easy ones before hard ones."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from runner.config.duration import Duration, parse
from runner.config.options import LoaderOptions
from runner.data.data import MapDataset, is_map_style
from runner.data.lengths import Lengths
from runner.data.map_style import MapEpoch, MapLoader
from runner.errors import ConfigError, DataError


class Stage(NamedTuple):
    """A dataset, and for how long it is trained on; None: until training ends."""

    dataset: MapDataset
    duration: Duration | None


class Curriculum:
    """A training dataset that is another one from stage to stage.

    `stages` are pairs of a map-style dataset and its duration: "2 epochs" (or 2), each one pass
    over this dataset, or "500 steps", which end the stage in the middle of an epoch. The last one
    goes on until training ends: its duration is None. Raises DataError for what cannot be.
    """

    def __init__(self, stages: Sequence[Any]) -> None:
        if not stages:
            raise DataError("data: a curriculum needs at least one stage")
        self.stages: Sequence[Stage] = [
            _stage(number, given) for number, given in enumerate(stages, start=1)
        ]
        for number, stage in enumerate(self.stages, start=1):
            if (stage.duration is None) != (number == len(self.stages)):
                raise DataError(
                    f"data: stage {number} of {len(self.stages)} of the curriculum has the "
                    f"duration {stage.duration or 'null'}: each but the last needs one, and the "
                    "last goes on until training ends (null)"
                )


class CurriculumLoader:
    """The micro-batches of a curriculum: which loader has an epoch depends on its number alone.

    `loaders` are pairs of a number of epochs (of the last one it does not count) and a loader.
    """

    reads_ahead = False

    def __init__(self, loaders: Sequence[tuple[int, MapLoader]]) -> None:
        self._loaders = list(loaders)
        self._open: MapLoader | None = None
        *first, (_, last) = loaders
        self.lengths = Lengths(
            last.num_batches, tuple((count, loader.num_batches) for count, loader in first)
        )

    @property
    def num_batches(self) -> int:
        """Return the number of micro-batches of the first epoch."""
        return self.lengths.of(0)

    def epoch(self, number: int, start: int = 0, state: dict[str, Any] | None = None) -> MapEpoch:
        """Return epoch `number` from micro-batch `start` on."""
        loader = self._loader_of(number)
        if loader is not self._open:
            self.close()
        self._open = loader
        return loader.epoch(number, start, state)

    def close(self) -> None:
        """End the workers; the next epoch starts new ones."""
        if self._open is not None:
            self._open.close()

    def _loader_of(self, epoch: int) -> MapLoader:
        for count, loader in self._loaders[:-1]:
            if epoch < count:
                return loader
            epoch -= count
        return self._loaders[-1][1]


class Pass(NamedTuple):
    """Some epochs of one dataset, whole or of `max_batches` micro-batches."""

    dataset: MapDataset
    num_epochs: int
    max_batches: int


def passes_of(
    curriculum: Curriculum, options: LoaderOptions, *, accumulation: int, max_batches: int
) -> list[Pass]:
    """Return the epochs of the stages; one that ends after some steps may end in a shorter one.

    `max_batches` is the most that any epoch has (0: no limit).
    """
    passes = []
    for dataset, duration in curriculum.stages:
        if duration is None or duration.unit == "epochs":
            count = 1 if duration is None else int(duration.value)
            passes.append(Pass(dataset, count, max_batches))
            continue
        batches, left = divmod(len(dataset), options.batch_size)
        batches += left > 0 and not options.drop_last
        batches = min(batches, max_batches) if max_batches else batches
        whole, rest = divmod(int(duration.value), max(1, math.ceil(batches / accumulation)))
        passes += [Pass(dataset, whole, max_batches)] if whole else []
        passes += [Pass(dataset, 1, rest * accumulation)] if rest else []
    return passes


def _stage(number: int, given: Any) -> Stage:
    try:
        dataset, duration = given
    except (TypeError, ValueError) as error:
        raise DataError(
            f"data: stage {number} of the curriculum must be a pair of a dataset and a duration, "
            f"got {type(given).__name__}"
        ) from error
    if not is_map_style(dataset) or not len(dataset):
        raise DataError(
            f"data: stage {number} of the curriculum needs a dataset with random access and a "
            f"length above 0, got {type(dataset).__name__}"
        )
    return Stage(dataset, _duration(number, duration))


def _duration(number: int, given: Any) -> Duration | None:
    if given is None:
        return None
    written = f"{given} epochs" if isinstance(given, int) else given
    try:
        return parse(written, units=("epochs", "steps"))
    except ConfigError as error:
        raise DataError(f"data: stage {number} of the curriculum: {error}") from error
