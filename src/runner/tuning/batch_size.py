"""Find the largest batch that fits: twice as large until it does not, then in between.

Each size is tried in a process of its own, which may run out of memory: by an error of the device,
or killed by a limit.
"""

import json
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from runner.data.batches import BatchesLoader
from runner.errors import ConfigError, RunError
from runner.files import write_json_atomically
from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots
from runner.sweeps.pool import Ended, Limits
from runner.training.parts import Parts
from runner.training.splitting import is_out_of_memory
from runner.tuning.trial import Steps

_STEPS = 4  # measured, after one that warms up
_SECONDS = 3.0  # no further step after that
_LONGEST_SECONDS = 600.0  # of one trial
_PRELOAD = ("torch", "torch._dynamo", "runner.tuning.batch_size", "runner.build.from_config")
_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of steps with batches of `size`."""

    size: int
    fits: bool
    samples_per_second: float = 0.0
    memory_gib: float = 0.0  # the most there was at once: on the device, or of the process
    is_whole: bool = True  # False: the data have fewer samples
    data_samples: int | None = None  # so many they have at least; None: they do not tell
    error: str | None = None  # what failed, if it was not the memory


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """All sizes that were tried, in this order; the largest that fits is 0 if none does."""

    tried: list[Tried]

    @property
    def largest(self) -> int:
        return max((tried.size for tried in self.tried if tried.fits and tried.is_whole), default=0)

    @property
    def is_all_of_the_data(self) -> bool:
        """Return whether it is the data that end there, and not the memory."""
        return self.largest == max(
            (tried.data_samples for tried in self.tried if tried.data_samples), default=None
        )


def find_batch_size(
    build: Callable[[int], Parts],
    *,
    start: int,
    largest: int = 1 << 16,
    memory_gib: float | None = None,
    tell: Callable[[Tried], None] = lambda _: None,
) -> BatchSizes:
    """Return what came of real training steps with batches of ever more samples.

    `build` makes the parts for a size, in another process, to which it is pickled. A process with
    more than `memory_gib` is ended, and its size does not fit. The largest is found to a sixteenth.
    RunError when something else than memory fails, or not even one sample fits.
    """
    tried: dict[int, Tried] = {}
    start = min(start, largest)
    with (
        closing(LocalPool(Slots(1), preload=_PRELOAD, grace_seconds=2.0)) as pool,
        tempfile.TemporaryDirectory(prefix="runner_batch_size_") as folder,
    ):

        def fits(size: int) -> bool:
            if size not in tried:
                tried[size] = _try(pool, Path(folder), build, size, memory_gib)
                tell(tried[size])
            return tried[size].fits and tried[size].is_whole

        fits(start)
        search(fits, start=start, largest=min(largest, tried[start].data_samples or largest))
    if not any(outcome.fits for outcome in tried.values()):
        raise RunError("not even one sample fits into the memory")
    return BatchSizes(tried=list(tried.values()))


def search(fits: Callable[[int], bool], *, start: int, largest: int) -> int:
    """Return a size that `fits`, at most a sixteenth below the largest one; 0 if none does."""
    good, bad = 0, largest + 1
    size = min(start, largest)
    while size > 0 and bad - good > max(1, good // 16):
        if fits(size):
            good = size
            size = min(2 * size, largest) if bad == largest + 1 else (good + bad) // 2
            if good == largest:
                break
        else:
            bad = size
            size = (good + bad) // 2 if good else size // 2
    return good


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """What a process of the pool does; it writes what it has found to `notes`."""

    build: Callable[[int], Parts]
    size: int
    memory_gib: float | None
    notes: Path

    def __call__(self) -> int:
        try:
            found = measure(self.build(self.size), size=self.size, memory_gib=self.memory_gib)
        except Exception as error:
            told = None if is_out_of_memory(error) else f"{type(error).__name__}: {error}"
            found = Tried(size=self.size, fits=False, error=told)
        write_json_atomically(self.notes, asdict(found))
        return 0


def measure(parts: Parts, *, size: int, memory_gib: float | None = None) -> Tried:
    """Make some training steps and return how fast they are and what memory they take."""
    if isinstance(parts.loaders["train"], BatchesLoader):
        raise ConfigError(
            "data.train gives ready-made batches, so no other size can be tried: give a dataset"
        )
    step = Steps(parts)
    _, samples_of_first = step()
    num_batches = parts.loaders["train"].num_batches
    seconds, total = 0.0, 0
    for _ in range(_STEPS):
        begun = time.perf_counter()
        _, samples = step()
        seconds, total = seconds + time.perf_counter() - begun, total + samples
        if seconds > _SECONDS:
            break
    memory = _most_memory_gib(parts.device)
    is_over = memory_gib is not None and parts.device.type == "cpu" and memory > memory_gib
    return Tried(
        size=size,
        fits=not is_over,
        samples_per_second=total / seconds,
        memory_gib=memory,
        is_whole=samples_of_first >= size,
        data_samples=num_batches and max(1, num_batches - 1) * size,
    )


def _try(
    pool: LocalPool,
    folder: Path,
    build: Callable[[int], Parts],
    size: int,
    memory_gib: float | None,
) -> Tried:
    notes, log = folder / f"{size}.json", folder / f"{size}.log"
    work = _Trial(build=build, size=size, memory_gib=memory_gib, notes=notes)
    limits = Limits(seconds=_LONGEST_SECONDS, memory_gib=memory_gib)
    pool.submit(size, work, log=log, limits=limits)
    ended: list[Ended] = []
    while not ended:
        ended = pool.poll(1.0)
    if notes.is_file():
        found = Tried(**json.loads(notes.read_text(encoding="utf-8")))
    elif ended[0].exceeded == "memory" or ended[0].signal == signal.SIGKILL:
        return Tried(size=size, fits=False)
    else:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        why = "takes too long" if ended[0].exceeded else f"ended early: {' '.join(words)}"
        raise RunError(f"a training step with a batch of {size} {why}")
    if found.error is not None:
        raise RunError(f"a training step with a batch of {size} fails: {found.error}")
    return found


def _most_memory_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _GIB if sys.platform == "darwin" else peak * 1024 / _GIB  # macOS counts bytes
