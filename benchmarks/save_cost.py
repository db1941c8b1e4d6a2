"""What saving costs: training with a checkpoint every 20 steps against training without any.

    python benchmarks/save_cost.py [--pairs 5] [--steps 210]

A perceptron of 16.8 million parameters, of which weights and AdamW's state take 201 MB, in steps of
about 250 ms on one torch thread. Each run is a fresh process; the order within a pair alternates.
The clock runs from the end of the first step to the end of the last one: all saves but the one at
the very end lie inside, which comes half a period after the last. `blocked` is the time that the
loop spends in one save. On a machine that does other things the ratio of times says little: that of
the CPU time of the training thread is steadier.
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

WIDTH, DEPTH = 2048, 4
EVERY_STEPS = 20
KINDS = ("without", "saving")


def main() -> None:
    """Measure pairs and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=210)
    parser.add_argument("--batch-size", type=int, default=256, help="sets how long a step takes")
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        saves = arguments.worker == "saving"
        print(json.dumps(train(arguments.steps, arguments.batch_size, saves=saves)))
        return
    extra = ("--steps", str(arguments.steps), "--batch-size", str(arguments.batch_size))
    report([measure_pair(number, extra) for number in range(arguments.pairs)], arguments.steps)


def measure_pair(number: int, extra: tuple[str, ...]) -> dict[str, dict]:
    """Run both kinds, each in a fresh process, and return what they measured."""
    order = KINDS if number % 2 == 0 else tuple(reversed(KINDS))
    pair = {kind: run_worker(kind, extra) for kind in order}
    print(
        f"pair {number + 1:2}  without {pair['without']['seconds']:7.2f} s  "
        f"saving {pair['saving']['seconds']:7.2f} s  "
        f"ratio {pair['saving']['seconds'] / pair['without']['seconds']:.3f}  "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return pair


def run_worker(kind: str, extra: tuple[str, ...]) -> dict:
    """Return what one fresh process measured."""
    command = [sys.executable, __file__, "--worker", kind, *extra]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="save_cost_") as folder:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=folder, check=False
        )
    if done.returncode:
        sys.exit(f"the process {kind} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def train(num_steps: int, batch_size: int, *, saves: bool) -> dict:
    """Train, and return the seconds of the steps and of each call that saved."""
    import torch
    from torch import nn
    from torch.utils.data import TensorDataset

    from runner import (
        Callback,
        CheckpointOptions,
        Data,
        HardwareOptions,
        LoaderOptions,
        Options,
        Trainer,
        TrainerOptions,
    )
    from runner.tasks.classification import Classification
    from runner.training.saving import Saver

    class Clock(Callback):
        """Reads the time at the end of the first step and of the last."""

        def on_step_end(self, fit) -> None:
            if fit.progress.step == 1:
                self.start, self.cpu_start = time.perf_counter(), time.thread_time()
            self.end, self.cpu_end = time.perf_counter(), time.thread_time()

    blocked: list[float] = []
    save = Saver.save

    def timed_save(saver, step, **rest):
        start = time.perf_counter()
        has_begun = save(saver, step, **rest)
        if has_begun:
            blocked.append(time.perf_counter() - start)
        return has_begun

    Saver.save = timed_save
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()) for _ in range(DEPTH)]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4096, WIDTH, generator=generator)
    targets = torch.randint(WIDTH, (4096,), generator=generator)
    clock = Clock()
    Trainer(
        model=nn.Sequential(*layers),
        task=Classification(num_classes=WIDTH),
        data=Data(train=TensorDataset(inputs, targets)),
        optimizer=partial(torch.optim.AdamW, lr=1e-4, fused=True),
        options=Options(
            trainer=TrainerOptions(max_steps=num_steps),
            loader=LoaderOptions(batch_size=batch_size),
            checkpoint=CheckpointOptions(enabled=saves, every=f"{EVERY_STEPS} steps"),
            hardware=HardwareOptions(device="cpu", threads=1),
        ),
        callbacks={"clock": clock},
        trackers={},
        output_dir=Path("outputs"),
    ).fit()
    seconds, cpu = clock.end - clock.start, clock.cpu_end - clock.cpu_start
    return {"seconds": seconds, "cpu": cpu, "blocked": blocked}


def report(measured: list[dict[str, dict]], num_steps: int) -> None:
    """Print medians, ratio and how long a save blocks."""
    without, saving = (
        statistics.median(pair[kind]["seconds"] for pair in measured) for kind in KINDS
    )
    cpu_ratio = statistics.median(p["saving"]["cpu"] / p["without"]["cpu"] for p in measured)
    ratios = sorted(pair["saving"]["seconds"] / pair["without"]["seconds"] for pair in measured)
    blocked = [seconds for pair in measured for seconds in pair["saving"]["blocked"]]
    first = [pair["saving"]["blocked"][0] for pair in measured]
    step_ms = 1000 * without / (num_steps - 1)
    print(f"\na step takes {step_ms:.0f} ms, a save every {EVERY_STEPS} steps")
    print(f"ratio {saving / without:.3f}, within pairs {ratios[0]:.3f}-{ratios[-1]:.3f}")
    print(f"CPU time of the thread that trains, ratio {cpu_ratio:.3f}")
    print(f"blocked a save: median {statistics.median(blocked):.3f} s, worst {max(blocked):.3f} s")
    figures = {
        "benchmark": "save_cost",
        "pairs": len(measured),
        "steps": num_steps,
        "step_ms": round(step_ms, 1),
        "ratio": round(saving / without, 4),
        "ratio_of_pairs": round(statistics.median(ratios), 4),
        "cpu_ratio": round(cpu_ratio, 4),
        "blocked_median": round(statistics.median(blocked), 4),
        "blocked_worst": round(max(blocked), 4),
        "blocked_first_worst": round(max(first), 4),
        "saves": len(blocked),
        "load": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
