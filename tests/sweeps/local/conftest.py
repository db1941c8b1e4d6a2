from collections.abc import Iterator

import pytest

from runner.sweeps.local.pool import LocalPool
from runner.sweeps.local.slots import Slots

SLOTS = 2
GRACE_SECONDS = 0.5


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPool]:
    """A pool of two slots which imports nothing for its jobs."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    pool = LocalPool(Slots(SLOTS, cores=8), grace_seconds=GRACE_SECONDS)
    yield pool
    pool.close()
