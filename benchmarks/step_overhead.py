"""What a training step costs: bare PyTorch against runner's Trainer with its shipped defaults on.

    python benchmarks/step_overhead.py [--pairs 15] [--steps 10000]

An MLP 64-256-256-10, batches of 64 from a TensorDataset of 64,000 samples, AdamW as shipped, one
torch thread. Each run is a fresh process; the order within a pair alternates. The clock runs from
the first step to the end of the last one, the checkpoint at the end included. What comes after it,
pictures and the wait for MLflow, stands beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

SHAPE = (64, 256, 256, 10)
NUM_SAMPLES = 64_000
BATCH_SIZE = 64
LEARNING_RATE = 1e-3
KINDS = ("bare", "runner")


def main() -> None:
    """Measure pairs and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument(
        "--rows",
        action="store_true",
        help="ask the dataset for every row, as other map-style datasets are asked; without this "
        "runner takes a batch of the TensorDataset at once, sooner than the bare loop",
    )
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        measure = {"bare": run_bare, "runner": run_trainer}[arguments.worker]
        print(json.dumps(measure(arguments.steps, rows=arguments.rows)))
        return
    extra = ("--steps", str(arguments.steps), *(["--rows"] if arguments.rows else []))
    measured = [measure_pair(number, extra) for number in range(arguments.pairs)]
    report(measured, arguments.steps)


def measure_pair(number: int, extra: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Run both kinds, each in a fresh process, and return their seconds."""
    order = KINDS if number % 2 == 0 else tuple(reversed(KINDS))
    pair = {kind: run_worker(kind, extra) for kind in order}
    print(
        f"pair {number + 1:2}  bare {pair['bare']['steps']:7.3f} s  "
        f"runner {pair['runner']['steps']:7.3f} s  "
        f"ratio {pair['runner']['steps'] / pair['bare']['steps']:.3f}",
        flush=True,
    )
    return pair


def run_worker(kind: str, extra: tuple[str, ...]) -> dict[str, float]:
    """Return what one fresh process measured."""
    command = [sys.executable, __file__, "--worker", kind, *extra]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="step_overhead_") as folder:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=folder, check=False
        )
    if done.returncode:
        sys.exit(f"the {kind} process failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def run_bare(num_steps: int, *, rows: bool) -> dict[str, float]:
    """Train with nothing but PyTorch."""
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, optimizer = build_model(), partial(torch.optim.AdamW, lr=LEARNING_RATE, fused=True)
    optimizer = optimizer(model.parameters())
    loader = DataLoader(build_dataset(rows), batch_size=BATCH_SIZE, shuffle=True)
    start, cpu, step = time.perf_counter(), time.thread_time(), 0
    while step < num_steps:
        for inputs, targets in loader:
            loss = functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            if step == num_steps:
                break
    seconds, cpu = time.perf_counter() - start, time.thread_time() - cpu
    return {"steps": seconds, "cpu": cpu, "all": seconds}


def run_trainer(num_steps: int, *, rows: bool) -> dict[str, float]:
    """Train with all that is on by default: journal, MLflow, progress, checkpoint, pictures."""
    import torch

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
    from runner.training.callbacks.defaults import default_callbacks

    class Clock(Callback):
        """Reads the time at the first step and at the end of training."""

        def on_fit_start(self, *_) -> None:
            self.start, self.cpu = time.perf_counter(), time.thread_time()

        def on_fit_end(self, *_) -> None:
            self.end, self.cpu = time.perf_counter(), time.thread_time() - self.cpu

    clock = Clock()
    torch.manual_seed(0)
    trainer = Trainer(
        model=build_model(),
        task=Classification(num_classes=SHAPE[-1]),
        data=Data(train=build_dataset(rows)),
        optimizer=partial(torch.optim.AdamW, lr=LEARNING_RATE, fused=True),
        options=Options(
            trainer=TrainerOptions(max_steps=num_steps),
            loader=LoaderOptions(batch_size=BATCH_SIZE),
            hardware=HardwareOptions(device="cpu", threads=1),
        ),
        callbacks={"clock": clock, **default_callbacks()},
        output_dir=Path("outputs"),
    )
    trainer.fit()
    seconds = clock.end - clock.start
    return {"steps": seconds, "cpu": clock.cpu, "all": time.perf_counter() - clock.start}


def build_model():
    """Return the MLP, the same one for both."""
    from itertools import pairwise

    from torch import nn

    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(SHAPE):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def build_dataset(rows: bool):
    """Return random samples, the same ones for both, in a dataset that may know only rows."""
    import torch
    from torch.utils.data import TensorDataset

    class Rows(TensorDataset):
        """Not recognised as tensors."""

    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(NUM_SAMPLES, SHAPE[0], generator=generator)
    targets = torch.randint(SHAPE[-1], (NUM_SAMPLES,), generator=generator)
    return (Rows if rows else TensorDataset)(inputs, targets)


def report(measured: list[dict[str, dict[str, float]]], num_steps: int) -> None:
    """Print medians, ratio and absolute overhead."""
    micros = 1e6 / num_steps
    bare, ours, bare_cpu, ours_cpu = (
        micros * statistics.median(pair[kind][what] for pair in measured)
        for what in ("steps", "cpu")
        for kind in KINDS
    )
    after = statistics.median(pair["runner"]["all"] - pair["runner"]["steps"] for pair in measured)
    ratios = sorted(pair["runner"]["steps"] / pair["bare"]["steps"] for pair in measured)
    print(f"\n{'microseconds a step':24}{'elapsed':>10}{'CPU of the thread':>20}")
    print(f"{'bare PyTorch':24}{bare:10.1f}{bare_cpu:20.1f}")
    print(f"{'runner, defaults on':24}{ours:10.1f}{ours_cpu:20.1f}")
    print(f"{'overhead':24}{ours - bare:10.1f}{ours_cpu - bare_cpu:20.1f}")
    print(f"{'ratio':24}{ours / bare:10.3f}{ours_cpu / bare_cpu:20.3f}")
    print(f"ratio within pairs {ratios[0]:.3f}-{ratios[-1]:.3f}")
    print(f"after the last step, pictures and the wait for MLflow: {after:.1f} s")
    figures = {
        "benchmark": "step_overhead",
        "pairs": len(measured),
        "steps": num_steps,
        "bare_us": round(bare, 1),
        "runner_us": round(ours, 1),
        "overhead_us": round(ours - bare, 1),
        "ratio": round(ours / bare, 4),
        "ratio_of_pairs": round(statistics.median(ratios), 4),
        "cpu_ratio": round(ours_cpu / bare_cpu, 4),
        "cpu_overhead_us": round(ours_cpu - bare_cpu, 1),
        "seconds_after_last_step": round(after, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
