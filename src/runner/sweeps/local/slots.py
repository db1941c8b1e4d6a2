"""Who runs where: the slots of this machine, with a share of its cores and GPUs for each job."""

import os
from collections.abc import Sequence

THREADS = "OMP_NUM_THREADS"  # what hardware.threads is when a config leaves it open
GPUS = "CUDA_VISIBLE_DEVICES"


class Slots:
    """Gives slots to jobs. Without a `count`: one a GPU and `jobs_per_gpu`, else one a core."""

    def __init__(
        self,
        count: int | None = None,
        *,
        gpus: Sequence[str] = (),
        jobs_per_gpu: int = 1,
        cores: int | None = None,
    ) -> None:
        self._cores = cores or usable_cores()
        self.count = count or len(gpus) * jobs_per_gpu or self._cores
        self._jobs_on = dict.fromkeys(gpus, 0)
        self._taken: dict[int, tuple[int, list[str]]] = {}  # by job: slots and GPUs

    def have_room(self, slots: int = 1) -> bool:
        """Return whether a job of this size may begin; one that is too big needs all there are."""
        free = self.count - sum(taken for taken, _ in self._taken.values())
        return free >= min(slots, self.count)

    def take(self, number: int, slots: int = 1) -> dict[str, str]:
        """Give slots to the job and return what its environment has to say of them."""
        gpus = sorted(self._jobs_on, key=self._jobs_on.__getitem__)[:slots]
        for gpu in gpus:
            self._jobs_on[gpu] += 1
        slots = min(slots, self.count)
        self._taken[number] = slots, gpus
        environment = self.threads(slots)
        if gpus:
            in_order = [gpu for gpu in self._jobs_on if gpu in gpus]
            environment[GPUS] = ",".join(in_order)
        return environment

    def give_back(self, number: int) -> None:
        """Free the slots of the job."""
        _, gpus = self._taken.pop(number)
        for gpu in gpus:
            self._jobs_on[gpu] -= 1

    def threads(self, slots: int = 1) -> dict[str, str]:
        """Return the environment by which so many slots use no more than their share of cores.

        Nothing if the user has set one.
        """
        if os.environ.get(THREADS):
            return {}
        return {THREADS: str(max(1, self._cores // self.count) * slots)}


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
