"""Search in processes that are killed at random instants: python storm.py FOLDER SAMPLER SEED."""

import os
import random
import signal
import sys
import time
from pathlib import Path

from runner.run.status import read_status
from runner.sweeps.directory import SweepDirectory
from runner.sweeps.ledger import PlannedRun
from tests.sweeps.search.searches import end, open_toy, toy_score

NUM_TRIALS = 60
NUM_SLOTS = 3
MOST_KILLS = 40  # on a busy machine no search would get anywhere


def search(path: Path, sampler: str) -> None:
    """Do what is left of the search, a few runs at a time."""
    source = open_toy(path, n_trials=NUM_TRIALS, sampler=sampler)
    under_way = []
    while True:
        while len(under_way) < NUM_SLOTS and (run := source.take()) is not None:
            status = read_status(SweepDirectory(path).job(run.number))
            if status is not None and status.state in ("completed", "pruned"):
                (path / "TWICE").write_text(str(run.number))
            if run in under_way:
                (path / "AT_ONCE").write_text(str(run.number))
            end(path, run, "preempted")
            under_way.append(run)
        if not under_way:
            return
        run = under_way.pop(0)
        source.ended(run, end(path, run, _state(path, run), score=toy_score(run.config)))


def _state(path: Path, run: PlannedRun) -> str:
    """Return how a run ends: some are pruned, some fail once."""
    failed = SweepDirectory(path).job(run.number).path / "failed"
    if run.number % 4 == 2 and not failed.exists():
        failed.touch()
        return "failed"
    return "pruned" if run.number % 4 == 3 else "completed"


def main(path: Path, sampler: str, seed: int) -> None:
    rng = random.Random(seed)
    kills = 0
    while True:
        child = os.fork()
        if child == 0:
            search(path, sampler)
            os._exit(0)
        if kills < MOST_KILLS:
            time.sleep(rng.uniform(0.002, 0.1))
            os.kill(child, signal.SIGKILL)
        _, code = os.waitpid(child, 0)
        if code == 0:
            break
        kills += os.WIFSIGNALED(code)
        if not os.WIFSIGNALED(code):
            sys.exit(f"the search failed after {kills} kills")
    search(path, sampler)  # what failed in the last one, again
    print(kills)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
