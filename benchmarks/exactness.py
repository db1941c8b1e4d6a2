"""Whether a run that was cut and resumed is the straight one, over the product of all factors.

    python benchmarks/exactness.py [--pairwise]

Each case is trained straight and with an interruption, and compared in everything: weights,
averaged weights, training state, each rank's own state, journal. With --pairwise only so many cases
that any two factors meet in every way, as in the tests. Run it in the repository; the whole takes
about ten minutes.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parents[1] / "src"), str(Path(__file__).parents[1])]


def main() -> None:
    """Go through the cases and print what failed and one JSON line; exit with 1 if any did."""
    import torch

    from runner.runtime.ranks import ALONE
    from tests.ranks import results_of
    from tests.training.exactness import covering, run_cases, whole_product

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairwise", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    product = whole_product()
    cases = covering(product) if arguments.pairwise else product
    print(f"{len(cases)} of {len(product)} cases", flush=True)
    tell = Progress(len(cases))
    with tempfile.TemporaryDirectory(prefix="exactness_") as folder:
        alone = [case for case in cases if case.ranks == 1]
        results = [run_cases(ALONE, Path(folder), cases=alone, tell=tell)]
        together = [case for case in cases if case.ranks == 2]
        worker = partial(run_cases, cases=together, tell=tell)
        results += results_of(worker, count=2, folder=Path(folder))
    report(results, seconds=tell.seconds, num_cases=len(cases))


class Progress:
    """A line for every tenth case; told of by whichever process is rank 0."""

    def __init__(self, count: int) -> None:
        warnings.simplefilter("error")
        logging.getLogger("runner").setLevel(logging.ERROR)
        self._count = count
        self._done = 0
        self._start = time.time()

    @property
    def seconds(self) -> float:
        return time.time() - self._start

    def __call__(self, case, differences: list[str]) -> None:
        self._done += 1
        if differences:
            print(f"FAILED {case.name}: {differences[0]}", flush=True)
        if self._done % 10 == 0 or self._done == self._count:
            print(f"{self._done} of {self._count} after {self.seconds:.0f} s", flush=True)


def report(results: list[dict[str, list[str]]], *, seconds: float, num_cases: int) -> None:
    """Print the cases that failed, on whichever rank, and the figures."""
    failed: dict[str, list[str]] = {}
    for of_rank in results:
        for name, differences in of_rank.items():
            if differences:
                failed.setdefault(name, differences)
    for name, differences in failed.items():
        print(f"{name:80} {len(differences):4} differences, the first: {differences[0][:200]}")
    print(f"{num_cases - len(failed)} of {num_cases} cases are equal, in {seconds:.0f} s")
    figures = {"benchmark": "exactness", "cases": num_cases, "failed": sorted(failed)}
    print(json.dumps({**figures, "seconds": round(seconds, 1)}))
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
