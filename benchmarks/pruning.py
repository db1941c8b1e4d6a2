"""What pruning saves: the same search with and without it, on the plate reader.

    python benchmarks/pruning.py [--trials 24] [--steps 450] [--pruner median]

Two searches of Optuna's TPE over learning rate, hidden size and batch size, from the same seed: one
trains every trial to its end, one ends those that fall behind the median of the others. The saved
share is one minus the steps of the second over those of the first. Whether both found an equally
good setting is judged by the spread over seeds: the best setting of each is trained again with
other seeds, and the two means must lie within two standard errors of each other.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from runner.sweeps.directory import SweepDirectory
from runner.sweeps.summary import SweepSummary, summarize

SOURCES = Path(__file__).resolve().parents[1] / "src"
SPACES = (
    "optimizer.lr=tag(log, interval(1e-4, 3e-2))",
    "model.hidden_size=range(32, 97, step=16)",
    "data.batch_size=16,32,64",
)


def main() -> None:
    """Search twice, train the best settings again, and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--every", type=int, default=30, help="steps between two evaluations")
    parser.add_argument("--warmup", type=int, default=5, help="evaluations; CTC sits on a plateau")
    parser.add_argument("--pruner", default="median")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        report(Path(arguments.folder or temporary), arguments)


def report(folder: Path, arguments: argparse.Namespace) -> None:
    """Run everything and print what came of it."""
    found = {}
    for name, pruner in (("whole", "none"), ("pruned", arguments.pruner)):
        found[name] = search(folder, name, pruner, arguments)
        print_search(name, found[name])
    scores = {name: again(folder, name, found[name], arguments) for name in found}
    steps = {name: sum(row.step for row in summary.rows) for name, summary in found.items()}
    means = {name: statistics.mean(values) for name, values in scores.items()}
    error = math.sqrt(sum(statistics.variance(values) / len(values) for values in scores.values()))
    difference = means["pruned"] - means["whole"]
    summary = {
        "saved": 1 - steps["pruned"] / steps["whole"],
        "steps": steps,
        "best": {name: s.best.score for name, s in found.items() if s.best is not None},
        "best_over_seeds": scores,
        "difference": difference,
        "two_standard_errors": 2 * error,
        "is_equal": difference <= 2 * error,
    }
    print(json.dumps(summary))


def search(folder: Path, name: str, pruner: str, arguments: argparse.Namespace) -> SweepSummary:
    """Run one search and return how it stands."""
    run(
        folder,
        "hydra/sweeper=optuna",
        f"hydra.sweeper.n_trials={arguments.trials}",
        "hydra.sweeper.startup_trials=6",
        f"hydra.sweeper.pruner={pruner}",
        *(
            []
            if pruner == "none"
            else [f"hydra.sweeper.pruning_warmup={arguments.warmup} evaluations"]
        ),
        *(["hydra.sweeper.pruning_startup_trials=3"] if pruner == "median" else []),
        f"sweep.name={name}",
        f"trainer.max_steps={arguments.steps}",
        f"trainer.evaluate_every={arguments.every} steps",
        *SPACES,
    )
    return summarize(directory(folder, name))


def again(
    folder: Path, name: str, summary: SweepSummary, arguments: argparse.Namespace
) -> list[float]:
    """Train the best setting of a search with other seeds and return the scores."""
    assert summary.best is not None
    run(
        folder,
        *summary.best.label.split(" "),
        f"seed=range(1,{arguments.seeds + 1})",
        f"sweep.name={name}_seeds",
        f"trainer.max_steps={arguments.steps}",
        f"trainer.evaluate_every={arguments.every} steps",
    )
    rows = summarize(directory(folder, f"{name}_seeds")).rows
    return [row.score for row in rows if row.score is not None]


def run(folder: Path, *overrides: str) -> None:
    """Run one sweep of the plate reader."""
    command = [sys.executable, "-m", "runner", "-m", "+experiment=plate_ocr"]
    still = (
        "callbacks=none",
        "trackers=none",
        "trainer.test_at_end=false",
        "data.evaluation_size=300",
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    subprocess.run([*command, *still, *overrides], cwd=folder, env=environment, check=True)


def directory(folder: Path, name: str) -> SweepDirectory:
    """Return where a sweep lies."""
    return SweepDirectory(folder / "outputs" / "plate_ocr" / "sweeps" / name)


def print_search(name: str, summary: SweepSummary) -> None:
    """Print what a search did."""
    steps = sum(row.step for row in summary.rows)
    best = summary.best
    assert best is not None
    print(f"{name}: {summary.counts}, {steps} steps, best {best.score} ({best.label})", flush=True)


if __name__ == "__main__":
    main()
