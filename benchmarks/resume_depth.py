"""What resuming costs at different depths of an epoch: the time to the first resumed step.

    python benchmarks/resume_depth.py [--repeats 5]

An epoch of 10,000 steps, each of four items that cost 1 ms. A run stops at step 5, another at step
5,000 (their items are free until then); copies of them are resumed for one step, each in a fresh
process, with no workers and with two. The clock runs from the start of `fit` to the end of the
first step; every item read in that time is counted.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

DEPTHS = (5, 5_000)
NUM_STEPS = 10_000
BATCH_SIZE = 4
ITEM_SECONDS = 1e-3


def main() -> None:
    """Measure all and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)  # directory, steps, workers
    arguments = parser.parse_args()
    if arguments.worker:
        directory, max_steps, num_workers = arguments.worker
        print(json.dumps(train(Path(directory), int(max_steps), int(num_workers))))
        return
    with tempfile.TemporaryDirectory(prefix="resume_depth_") as folder:
        for depth in DEPTHS:
            in_fresh_process(Path(folder, str(depth)), depth, num_workers=0, costs=False)
        report(
            {
                f"{num_workers} workers": measure(Path(folder), num_workers, arguments.repeats)
                for num_workers in (0, 2)
            }
        )


def measure(folder: Path, num_workers: int, repeats: int) -> dict[int, list[dict[str, float]]]:
    """Return what each resume measured, by depth; the depths take turns."""
    measured: dict[int, list[dict[str, float]]] = {depth: [] for depth in DEPTHS}
    for _ in range(repeats):
        for depth in DEPTHS:
            copy = folder / "copy"
            shutil.copytree(folder / str(depth), copy)
            figures = in_fresh_process(copy, depth + 1, num_workers=num_workers, costs=True)
            measured[depth].append(figures)
            shutil.rmtree(copy)
    return measured


def in_fresh_process(directory: Path, max_steps: int, *, num_workers: int, costs: bool) -> dict:
    """Train in `directory` up to `max_steps` and return the figures."""
    counted = directory.parent / "items"
    counted.write_bytes(b"")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if costs:
        environment["ITEMS"] = str(counted)
    command = [sys.executable, __file__, "--worker", directory, str(max_steps), str(num_workers)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"a run failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


class Items:
    """Items that cost a millisecond each and are counted in a file, if there is one."""

    deterministic = True

    def __len__(self) -> int:
        return NUM_STEPS * BATCH_SIZE

    def __getitem__(self, index: int):
        import torch

        if counted := os.environ.get("ITEMS"):
            with Path(counted).open("ab") as file:
                file.write(b".")
            time.sleep(ITEM_SECONDS)
        return torch.full((8,), float(index % 7)), torch.tensor(index % 3)


def train(directory: Path, max_steps: int, num_workers: int) -> dict[str, float]:
    """Train, or go on, and return the seconds to the first step and the items read by then."""
    import torch
    from torch import nn

    from runner import (
        Callback,
        Data,
        HardwareOptions,
        LoaderOptions,
        Options,
        Trainer,
        TrainerOptions,
    )
    from runner.tasks.classification import Classification

    figures: dict[str, float] = {}

    class FirstStep(Callback):
        """Looks at the clock at the end of the first step."""

        def on_step_end(self, *_) -> None:
            if not figures:
                counted = os.environ.get("ITEMS")
                figures["items"] = Path(counted).stat().st_size if counted else 0
                figures["seconds"] = time.perf_counter() - start

    trainer = Trainer(
        model=nn.Linear(8, 3),
        task=Classification(num_classes=3),
        data=Data(train=Items()),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        options=Options(
            trainer=TrainerOptions(max_epochs=None, max_steps=max_steps, log_every_steps=1),
            loader=LoaderOptions(batch_size=BATCH_SIZE, num_workers=num_workers),
            hardware=HardwareOptions(device="cpu", threads=1),
        ),
        callbacks={"first_step": FirstStep()},
        trackers={},
        directory=directory,
    )
    start = time.perf_counter()
    trainer.fit()
    return figures


def report(measured: dict[str, dict[int, list[dict[str, float]]]]) -> None:
    """Print medians and ratios."""
    shallow, deep = DEPTHS
    figures: dict[str, object] = {"benchmark": "resume_depth"}
    for name, by_depth in measured.items():
        seconds = {
            depth: statistics.median(one["seconds"] for one in by_depth[depth]) for depth in DEPTHS
        }
        items = {depth: max(one["items"] for one in by_depth[depth]) for depth in DEPTHS}
        ratio = seconds[deep] / seconds[shallow]
        print(
            f"{name}: first resumed step after {seconds[shallow]:.3f} s at step {shallow}, "
            f"{seconds[deep]:.3f} s at step {deep}: ratio {ratio:.2f}; "
            f"items read by then: at most {items[shallow]:.0f} and {items[deep]:.0f}"
        )
        figures[name] = {
            "seconds": [round(seconds[depth], 4) for depth in DEPTHS],
            "ratio": round(ratio, 3),
            "items": [int(items[depth]) for depth in DEPTHS],
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
